from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc
from click.testing import CliRunner
from google.protobuf import text_format
from tests.conftest import running_server
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.utils import InferenceServerException

from sightline.cli import cli
from sightline.contract import MODEL_VERSION, ensemble_inputs
from sightline.detector_info import DetectorInfo
from sightline.errors import ServerUnavailableError
from sightline.served import ServedModel, list_served
from sightline.verification import Verification
from sightline_bench.noop import PYTHON_BACKEND, write_noop_detector

INFO = DetectorInfo(
    class_names=("cat", "dog", "line\nbreak", *"abcdefgh"),
    precision="bf16",
    source="pets.pt",
    source_sha256="ab" * 32,
    versions={"ultralytics": "8.4"},
    verification=Verification(outcome="inconclusive", images=2, reference=12, matched=12, min_match=0.96),
)
VERIFIED = dataclasses.replace(
    INFO, verification=Verification(outcome="passed", images=99, reference=667, matched=667, min_match=0.96)
)
PLAIN_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse(output_tensors=[]) for _ in requests]
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a detector, a part of another, a model of another kind, and one that fails to load."""
    repository = tmp_path_factory.mktemp("served")
    write_noop_detector(repository, "pets", info=INFO)
    write_noop_detector(repository, "proven", info=VERIFIED)
    for name in ("plain", "toy_net"):
        _write_plain(repository, name)
    with running_server(repository) as server, tritonclient.grpc.InferenceServerClient(server.grpc_url) as control:
        (write_noop_detector(repository, "broken") / str(MODEL_VERSION) / "model.py").write_text("1 / 0\n")
        with pytest.raises(InferenceServerException):
            control.load_model("broken")
        yield server.grpc_url


def _write_plain(repository: Path, name: str) -> None:
    config = pb.ModelConfig(name=name, backend=PYTHON_BACKEND)
    config.input.add(name="text", data_type=pb.TYPE_STRING, dims=[1])
    config.output.add(name="label", data_type=pb.TYPE_STRING, dims=[1])
    version = repository / name / str(MODEL_VERSION)
    version.mkdir(parents=True)
    (version / "model.py").write_text(PLAIN_MODEL)
    (repository / name / "config.pbtxt").write_text(text_format.MessageToString(config))


def test_what_is_served(url: str) -> None:
    served = {model.name: model for model in list_served(url)}
    assert list(served) == ["broken", "pets", "plain", "proven"]
    assert served["pets"] == ServedModel(
        name="pets",
        ready=True,
        detector=INFO,
        inputs=ensemble_inputs(),
        max_batch_size=16,
        backend=PYTHON_BACKEND,
    )
    plain = served["plain"]
    assert (plain.ready, plain.detector) == (True, None)
    assert "is not a Sightline detector: it takes text" in plain.reason
    broken = served["broken"]
    assert (broken.ready, broken.detector) == (False, None)
    assert "ZeroDivisionError" in broken.reason


def test_no_server() -> None:
    with pytest.raises(ServerUnavailableError, match="no Triton answers"):
        list_served("127.0.0.1:1")


def test_the_command(url: str) -> None:
    done = CliRunner().invoke(cli, ["models", "--url", url])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0].startswith("broken: NOT READY: ")
    assert lines[1] == "pets: ready"
    facts = dict(line.strip().split(maxsplit=1) for line in lines[2:10])
    assert facts["inputs"] == "encoded UINT8 [-1], score_threshold FP32 [1]; up to 16 images in a request"
    assert facts["classes"] == "11: cat, dog, line break, a, b, c, d, e, …"
    assert facts["size"].startswith("640 x 640")
    assert facts["precision"] == "bf16"
    assert facts["engine"] == "Triton's python backend"
    assert facts["gate"].startswith(
        "UNVERIFIED: only 12 reference detections, 88 too few; 12 of 12 matched in 2 images"
    )
    assert facts["source"] == f"pets.pt, sha256 {'ab' * 32}"
    assert "plain: ready, but not a detector: " in done.output
    assert "verified: 667 of 667 matched in 99 images, 0 missing, 0 extra" in done.output


def test_the_command_as_json(url: str) -> None:
    done = CliRunner().invoke(cli, ["models", "--url", url, "--json"])
    models = {model["name"]: model for model in json.loads(done.stdout)}
    assert models["pets"]["detector"]["class_names"] == list(INFO.class_names)
    assert models["pets"]["detector"]["class_count"] == 11
    assert models["pets"]["detector"]["verification"]["outcome"] == "inconclusive"
    assert models["proven"]["detector"]["verification"]["matched"] == 667
    assert [tensor["name"] for tensor in models["pets"]["inputs"]] == ["encoded", "score_threshold"]
    assert (models["broken"]["ready"], models["broken"]["detector"]) == (False, None)
