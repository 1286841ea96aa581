"""INT8 networks in ONNX files that somebody else made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from tests.export.tiny import prediction, read_rgb, tiny_model
from tests.joining_chain import JoiningChain

from sightline.errors import VerificationError
from sightline.preprocessing import Preprocessing
from sightline_export.arithmetic import is_quantised
from sightline_export.config import parse
from sightline_export.exporter import ExportReport, export
from sightline_export.options import ExportOptions
from sightline_export.pictures import fit, preprocess
from sightline_export.session import Session
from sightline_export.sources import load

Save = Callable[..., Path]
V8 = prediction("anchors_last", classes=3, candidates=50)


@pytest.fixture(scope="module", params=["yolo26n_int8_dynamic_e2e", "yolov8n_int8_qdq_opset11"])
def quantised(
    request: pytest.FixtureRequest,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    chain: JoiningChain,
    small_sample: Path,
) -> ExportReport:
    """A fixed-batch INT8 model that others made."""
    source = shared_data / "onnx" / f"{request.param}.onnx"
    return export(source, repository=tmp_path_factory.mktemp("foreign"), chain=chain, sample=small_sample)


def bus_inputs(shared_data: Path, report: ExportReport) -> dict[str, Any]:
    """bus.jpg twice, with another picture between."""
    files = [shared_data / "images" / name for name in ("bus.jpg", "zidane.jpg", "bus.jpg")]
    pictures = [read_rgb(file) for file in files]
    return {
        "images": np.stack([preprocess(picture, report.info.preprocessing) for picture in pictures]),
        "original_shape": np.array([picture.shape for picture in pictures]),
        "score_threshold": np.full((3, 1), 0.25, dtype=np.float32),
    }


def found_names(outputs: list[np.ndarray[Any, Any]], report: ExportReport, image: int) -> list[str]:
    count = int(outputs[0][image, 0])
    return [report.info.class_names[i] for i in outputs[3][image, :count]]


def model_path(report: ExportReport) -> Path:
    return report.installed.network / "1" / "model.onnx"


def test_finds_the_people_and_the_bus(quantised: ExportReport, shared_data: Path) -> None:
    outputs = list(Session(onnx.load(model_path(quantised))).run_named(bus_inputs(shared_data, quantised)).values())
    names = found_names(outputs, quantised, 0)
    assert names.count("bus") == 1
    assert names.count("person") >= 3
    assert found_names(outputs, quantised, 1).count("person") == 2
    for output in outputs:
        np.testing.assert_array_equal(output[0], output[2])


def test_batches_run_in_openvino(quantised: ExportReport, shared_data: Path) -> None:
    compiled = openvino.Core().compile_model(model_path(quantised), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    outputs = [np.array(value) for value in compiled(bus_inputs(shared_data, quantised)).values()]
    for image in (0, 2):
        names = found_names(outputs, quantised, image)
        assert names.count("bus") == 1
        assert names.count("person") >= 3


def test_a_fixed_batch_is_served_in_batches(quantised: ExportReport) -> None:
    config = parse((quantised.installed.network / "config.pbtxt").read_text())
    assert config.max_batch_size == Preprocessing.letterbox(640).max_batch_size
    (scan,) = [node for node in onnx.load(model_path(quantised)).graph.node if node.op_type == "Scan"]
    body = scan.attribute[0].g if scan.attribute[0].type == onnx.AttributeProto.GRAPH else scan.attribute[1].g
    assert body.input[0].type.tensor_type.shape.dim[0].dim_value == 3


def test_a_quantised_network_is_said_to_be_one(quantised: ExportReport, save: Save) -> None:
    assert (quantised.info.quantised, quantised.info.precision) == (True, "fp32")
    parameters = parse((quantised.installed.ensemble / "config.pbtxt").read_text()).parameters
    assert parameters["sightline.quantised"].string_value == "true"
    assert not is_quantised(load(save(tiny_model(V8)), ExportOptions()).model)


def test_the_graph_is_readable_everywhere(quantised: ExportReport) -> None:
    model = onnx.load(model_path(quantised))
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18}
    assert model.ir_version <= 10
    assert [value.name for value in model.graph.input] == ["images", "original_shape", "score_threshold"]
    assert [value.name for value in model.graph.output] == ["num_detections", "boxes", "scores", "classes"]


def test_no_engine_needs_integer_convolutions(quantised: ExportReport) -> None:
    """ONNX Runtime up to 1.23 has none for int8 weights, neither in the graph nor in the body of its Scan."""
    graphs = [onnx.load(model_path(quantised)).graph]
    operators = set()
    for graph in graphs:
        operators |= {node.op_type for node in graph.node}
        graphs.extend(field.g for node in graph.node for field in node.attribute if field.HasField("g"))
    assert {"Scan", "Conv"} <= operators
    assert "ConvInteger" not in operators


def test_float_convolutions_change_nothing(shared_data: Path) -> None:
    """The dynamically quantised file as it is, against what is made of it."""
    file = shared_data / "onnx" / "yolo26n_int8_dynamic_e2e.onnx"
    picture = fit(read_rgb(shared_data / "images" / "bus.jpg"), 640).astype(np.float32).transpose(2, 0, 1)[None] / 255
    try:
        (before,) = Session(onnx.load(file)).run([picture])
    except VerificationError as error:
        pytest.skip(f"this ONNX Runtime does not run the file itself: {error}")
    (after,) = Session(load(file, ExportOptions()).model).run([picture])
    found = before[0, :, 4] > 0.25
    assert found.sum() >= 4
    np.testing.assert_allclose(after[0, found], before[0, found], atol=1e-2)
