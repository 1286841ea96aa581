"""A small model repository without fault, for the tests of the linter to break."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightline import contract
from sightline.contract import TensorSpec
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export import config
from sightline_export.repository import install_detector

ONNX_TYPES = {
    "UINT8": TensorProto.UINT8,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP32": TensorProto.FLOAT,
}
DETECTOR = "tiny"
INFO = DetectorInfo(class_names=("cat", "dog"))


def write_good_repository(folder: Path, *, detector: str = DETECTOR, info: DetectorInfo = INFO) -> Path:
    """Letterbox, network and ensemble, as the exporter writes them."""
    install_detector(folder, detector, network_graph(info).SerializeToString(), info)
    return folder


def write_preprocessing(folder: Path, preprocessing: Preprocessing) -> None:
    """A preprocessing model that no detector uses."""
    write_good_repository(folder, detector="passing", info=replace(INFO, preprocessing=preprocessing))
    shutil.rmtree(folder / "passing")
    shutil.rmtree(folder / contract.network_name("passing"))


def network_graph(info: DetectorInfo = INFO, *, opset: int = 18, ir_version: int = 10) -> Any:
    """A graph with a network's inputs and outputs, which never detects anything."""
    slots = info.max_detections
    constants = [
        numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
        numpy_helper.from_array(np.array([2]), "last"),
        numpy_helper.from_array(np.array([1, slots]), "slots"),
        numpy_helper.from_array(np.array([1, slots, 4]), "corners"),
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["original_shape"], ["size"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["score_threshold", "zero"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["num_detections"], to=TensorProto.INT32),
        helper.make_node("Expand", ["nothing", "slots"], ["scores"]),
        helper.make_node("Cast", ["scores"], ["classes"], to=TensorProto.INT32),
        helper.make_node("Unsqueeze", ["nothing", "last"], ["nothing_3d"]),
        helper.make_node("Expand", ["nothing_3d", "corners"], ["boxes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [_value(spec) for spec in info.preprocessing.network_inputs],
        [_value(spec) for spec in contract.detection_outputs(slots)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def _value(spec: TensorSpec) -> Any:
    return helper.make_tensor_value_info(spec.name, ONNX_TYPES[spec.datatype], ["batch", *spec.dims])


def save(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_config(model: Path, rendered: Any) -> None:
    save(model / "config.pbtxt", config.render(rendered).encode())


def change_config(model: Path, change: Callable[[Any], object]) -> None:
    parsed = config.parse((model / "config.pbtxt").read_text())
    change(parsed)
    write_config(model, parsed)


def change_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new))


def change_graph(path: Path, change: Callable[[Any], object]) -> None:
    graph = onnx.load(path)
    change(graph)
    path.write_bytes(graph.SerializeToString())
