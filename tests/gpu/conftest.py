"""Fixtures of the tests that need an NVIDIA GPU. They work on the demo detector and the pictures of the checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT, HARDWARE

from sightline import Client
from sightline._model import read_detector
from sightline.contract import MODEL_VERSION, ONNX_FILE, network_name
from sightline.detections import Detections
from sightline.detector_info import DetectorInfo
from sightline_export.config import CONFIG_FILE, parse
from sightline_export.sample import BUNDLED_FOLDER
from sightline_server.gpu import Gpus, find_gpus
from sightline_server.launcher import EmbeddedServer, ServerOptions

DETECTOR = "demo"
REPOSITORY = CHECKOUT / "model_repository"


def lack(reason: str) -> None:
    """Skip; fail where a GPU and what belongs to it have to be there."""
    if os.environ.get("REQUIRE_GPU") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def gpus() -> Gpus:
    """The GPUs of this machine, at least one."""
    found = find_gpus()
    if found.problem:
        lack(f"{HARDWARE}has an NVIDIA driver that does not work: {found.problem}")
    if not found.count:
        lack(f"{HARDWARE}has no NVIDIA GPU")
    return found


@pytest.fixture(scope="session")
def cuda_onnxruntime(gpus: Gpus) -> None:
    """ONNX Runtime for GPUs is installed."""
    import onnxruntime

    from sightline_server.onnx_gpu import CUDA_PROVIDER, lacking_provider

    if reason := lacking_provider(onnxruntime.get_available_providers(), CUDA_PROVIDER, onnxruntime.__version__):
        lack(reason)


@pytest.fixture(scope="session")
def pictures() -> Mapping[str, bytes]:
    """The bundled pictures by name."""
    return {file.name: file.read_bytes() for file in sorted(BUNDLED_FOLDER.glob("*.jpg"))}


@pytest.fixture(scope="session")
def info() -> DetectorInfo:
    """What the demo detector tells about itself."""
    return read_detector(parse((REPOSITORY / DETECTOR / CONFIG_FILE).read_text(encoding="utf-8"))).info


@pytest.fixture(scope="session")
def served_graph() -> Path:
    """The demo detector's network as it is served, with the suppression by ONNX's operator."""
    return REPOSITORY / network_name(DETECTOR) / str(MODEL_VERSION) / ONNX_FILE


@contextmanager
def serving(repository: Path = REPOSITORY, *models: str, use_gpus: bool = True) -> Iterator[EmbeddedServer]:
    """A server of the models of a repository, on free ports."""
    options = ServerOptions(
        repository=repository, models=models, grpc_port=0, http_port=0, metrics_port=0, use_gpus=use_gpus
    )
    with EmbeddedServer(options) as server:
        yield server


def detect(server: EmbeddedServer, pictures: Mapping[str, bytes], *, batch_size: int = 4) -> dict[str, Detections]:
    """What the demo detector finds in each picture."""
    with Client(server.grpc_url, model=DETECTOR) as client:
        results = list(client.stream(pictures.values(), batch_size=batch_size))
    return {name: result.unwrap() for name, result in zip(pictures, results, strict=True)}


@pytest.fixture(scope="session")
def gpu_server(gpus: Gpus, cuda_onnxruntime: None) -> Iterator[EmbeddedServer]:
    """The demo detector on the GPUs."""
    with serving(REPOSITORY, DETECTOR) as server:
        yield server


@pytest.fixture(scope="session")
def found_on_cpu(pictures: Mapping[str, bytes]) -> dict[str, Detections]:
    """What the demo detector finds in each picture where it is served by the CPU."""
    with serving(REPOSITORY, DETECTOR, use_gpus=False) as server:
        assert {engine.device for engine in server.engines().values()} == {"cpu"}
        return detect(server, pictures)
