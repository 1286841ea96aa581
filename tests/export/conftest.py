"""Fixtures that the exporter's tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from tests.export.fake_tensorrt import FakeTensorRT, write_tiny_detector
from tests.export.tensorrt_workshop import Workshop
from tests.export.tiny import prediction, tiny_model
from tests.joining_chain import JoiningChain

from sightline_export.exporter import ExportReport, export
from sightline_export.options import ExportOptions


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Two threads on a busy processor wait for each other longer than these small networks take."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def yolov8n(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory, chain: JoiningChain, small_sample: Path
) -> ExportReport:
    """yolov8n.pt, exported with the defaults but for squares, which photographs of all shapes can be stacked as."""
    repository = tmp_path_factory.mktemp("exported")
    options = ExportOptions(rect=False)
    return export(
        shared_data / "weights" / "yolov8n.pt", repository=repository, chain=chain, sample=small_sample, options=options
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[[onnx.ModelProto], Path]:
    """A function that writes a model to a file."""

    def write(model: onnx.ModelProto, name: str = "tiny.onnx") -> Path:
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return write


@pytest.fixture
def tiny_onnx(save: Callable[[onnx.ModelProto], Path]) -> Path:
    """A file of a detector that finds nearly the same in every picture."""
    return save(tiny_model(prediction("anchors_last", classes=3, candidates=50)))


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with the detector `tiny`."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_detector(folder, "tiny")
    return folder


@pytest.fixture
def workshop(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Where plans are built, with programs by the names of NVIDIA's on the PATH."""
    (tmp_path / "tools").mkdir()
    made = Workshop(tmp_path, FakeTensorRT(tmp_path / "tools"))
    shutil.copytree(tiny_models, made.models)
    monkeypatch.setenv("PATH", f"{made.tools.folder}:/usr/bin:/bin")
    return made
