"""The environment of the server and of the processes that run its models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sightline.errors import MissingDependencyError
from sightline_server import staging
from sightline_server.locate import TritonFiles, locate_triton
from sightline_server.options import ServerOptions

# Sixteen letterboxed pictures, made and dropped: how many pages of memory the system had to give once that was usual.
BATCHES = """
import resource
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def batch():
    [bytearray(b"x") * (640 * 640 * 3) for _ in range(16)]
batch(), batch()
before = faults()
for _ in range(4): batch()
print(faults() - before)
"""


@pytest.fixture(scope="module")
def files() -> TritonFiles:
    try:
        return locate_triton()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def pages_given(environment: dict[str, str]) -> int:
    done = subprocess.run([sys.executable, "-c", BATCHES], env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_memory_of_a_batch_serves_the_next_one(
    files: TritonFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ServerOptions(repository=tmp_path)
    assert pages_given(staging.server_environment(tmp_path, files, options)) < 100
    # Whoever sets it has it so.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "100000")
    assert pages_given(staging.server_environment(tmp_path, files, options)) > 10_000
