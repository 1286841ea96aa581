"""A network that computes alone takes all cores: who is alone, which engine computes, and what is told about it."""

from __future__ import annotations

import mmap
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
from tests.server import tiny_detector
from tests.server.test_engines import served_config
from tests.server.test_onnx_stand_in import check

from sightline.contract import ONNX_FILE, THREADS_PARAMETER
from sightline_server.cpu import available_cores
from sightline_server.elastic import ElasticEngine, PresentEngine
from sightline_server.engine_choice import open_engine
from sightline_server.engines import Arrays, Engine, OpenVinoEngine
from sightline_server.launcher import EmbeddedServer
from sightline_server.presence import Presence

COMPUTES_UNTIL_TOLD = """
import sys
from pathlib import Path
from sightline_server.presence import Presence
presence = Presence(Path(sys.argv[1]))
with presence.computing():
    print("computing", flush=True)
    sys.stdin.readline()
print("idle", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_process(run_folder: Path) -> Iterator[subprocess.Popen[str]]:
    """One that computes until it reads a line, and lives until it reads another."""
    command = [sys.executable, "-c", COMPUTES_UNTIL_TOLD, str(run_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert read(process) == "computing\n"
            yield process
        finally:
            process.kill()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


class Watched(OpenVinoEngine):
    """An engine on the tiny detector that notes how many images each run had."""

    def __init__(self, file: Path, *, threads: int, before_run: Callable[[], None] = lambda: None) -> None:
        super().__init__(file, precision="fp32", threads=threads)
        self.counts: list[int] = []
        self._before_run = before_run

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        self._before_run()
        self.counts.append(len(inputs["images"]))
        return super().run(inputs)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The tiny detector's network, in a repository."""
    return tmp_path / tiny_detector.write_network(tmp_path, "tiny", tiny_detector.graph())


def wait_for_wide_engine() -> None:
    """Engines open it in threads."""
    for thread in threading.enumerate():
        if thread.name == "sightline-wide-engine":
            thread.join()


def compute(engine: Engine, count: int) -> None:
    """As many images, and look whether the results are theirs."""
    given = tiny_detector.inputs(count, seed=count)
    received = engine.run(given)
    wanted = tiny_detector.expected(given["images"], given["original_shape"], given["score_threshold"])
    assert set(received) >= set(wanted)
    for name, value in wanted.items():
        assert received[name].dtype == value.dtype
        np.testing.assert_allclose(received[name], value, atol=1e-5)


def test_processes_tell_one_another_when_they_compute(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    with presence.computing():
        assert presence.alone(), "it took itself for company"
    with another_process(tmp_path) as other:
        assert not presence.alone()
        tell(other)
        assert read(other) == "idle\n"
        assert presence.alone()


def test_one_that_died_while_it_computed_does_not_count(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    with another_process(tmp_path) as died, another_process(tmp_path) as living:
        died.kill()
        assert died.stdout is not None
        assert died.stdout.read() == ""  # it has ended, and nobody has waited for it yet
        assert not presence.alone()
        living.kill()
        living.wait()
        assert presence.alone()
        # Its place is the next one's, who does not compute yet.
        successor = Presence(tmp_path)
        assert presence.alone()
        with successor.computing():
            assert not presence.alone()


def test_a_failure_ends_the_computing(tmp_path: Path) -> None:
    presence, other = Presence(tmp_path), Presence(tmp_path)
    with pytest.raises(ZeroDivisionError), presence.computing():
        raise ZeroDivisionError
    assert other.alone()


def test_all_cores_are_for_who_computes_alone(tiny: Path, tmp_path: Path) -> None:
    file = tiny / "1" / ONNX_FILE
    narrow, wide = Watched(file, threads=1), Watched(file, threads=2)
    engine = ElasticEngine(narrow, lambda: wide, Presence(tmp_path), batched=True, warm_ups=1)
    other = Presence(tmp_path)
    for count in (4, 1, 1):  # the warm-up, and two requests without company
        compute(engine, count)
    wait_for_wide_engine()
    assert (len(narrow.counts), len(wide.counts)) == (6, 0)
    compute(engine, 1)
    compute(engine, 3)
    assert (len(narrow.counts), len(wide.counts)) == (6, 4)
    with other.computing():
        compute(engine, 5)
    assert (len(narrow.counts), len(wide.counts)) == (11, 4)
    assert {*narrow.counts, *wide.counts} == {1}, "a batch is computed image by image"


def test_it_goes_on_with_its_share_when_another_begins(tiny: Path, tmp_path: Path) -> None:
    file = tiny / "1" / ONNX_FILE
    other = Presence(tmp_path)
    with ExitStack() as stack:
        narrow = Watched(file, threads=1)
        wide = Watched(file, threads=2, before_run=lambda: begin() if len(wide.counts) == 1 else None)

        def begin() -> None:
            stack.enter_context(other.computing())

        engine = ElasticEngine(narrow, lambda: wide, Presence(tmp_path), batched=True)
        compute(engine, 1)
        compute(engine, 1)
        wait_for_wide_engine()
        compute(engine, 7)
        assert (len(narrow.counts), len(wide.counts)) == (2 + 5, 2)


def test_what_is_no_batch_is_computed_whole(tiny: Path, tmp_path: Path) -> None:
    file = tiny / "1" / ONNX_FILE
    narrow, wide = Watched(file, threads=1), Watched(file, threads=2)
    engine = ElasticEngine(narrow, lambda: wide, Presence(tmp_path), batched=False)
    for _ in range(2):
        compute(engine, 3)
    wait_for_wide_engine()
    compute(engine, 3)
    assert (narrow.counts, wide.counts) == ([3, 3], [3])


@pytest.mark.parametrize("stated", ["", "1", "3"])
def test_stated_threads_are_obeyed(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: str) -> None:
    monkeypatch.setenv("SIGHTLINE_RUN_FOLDER", str(tmp_path))
    config, cores = served_config(tiny), available_cores()
    if stated:
        config["parameters"][THREADS_PARAMETER] = {"string_value": stated}
    engine, info = open_engine(config, tiny / "1" / ONNX_FILE)
    assert isinstance(engine, PresentEngine)
    share = max(1, cores // 2)
    elastic = not stated and cores > share
    assert isinstance(engine, ElasticEngine) == elastic
    assert (info.threads, info.most_threads) == (int(stated) if stated else share, cores if elastic else None)
    other = Presence(tmp_path)
    assert other.alone()
    compute(engine, 2)
    assert other.alone()


def test_outside_a_server_there_is_no_company(tiny: Path) -> None:
    engine, info = open_engine(served_config(tiny), tiny / "1" / ONNX_FILE)
    assert not isinstance(engine, PresentEngine)
    assert info.most_threads is None
    compute(engine, 3)


def test_lone_requests_are_answered_by_either_engine(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]
) -> None:
    name = tiny_detector.write_network(repository, "elastic", tiny_detector.graph())
    load_model(name)
    info, cores = server.engines()[name], available_cores()
    assert info.most_threads == (cores if cores > 1 else None)
    with (
        (server.run_folder / "computing").open("rb") as file,
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
    ):
        places = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        seen, done = set[int](), threading.Event()

        def watch() -> None:
            while not done.is_set():
                seen.update(places[:])

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for count in (1, 1, 1, 1, 16, 1, 5, 16, 16):
                check(client, name, tiny_detector.inputs(count, seed=count))
        finally:
            done.set()
            watcher.join()
        assert seen == {0, 1}, "no network told that it computes"
        assert not any(places[:]), "nobody computes, and somebody tells so"
