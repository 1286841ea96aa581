"""Networks in 8 bits: what is, what is not, and that both engines compute the same."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from google.protobuf.json_format import MessageToDict
from onnx import TensorProto, numpy_helper
from tests.export.conv_network import conv_network, write_scenes
from tests.export.tiny import read_rgb

from sightline.errors import ExportError, InvalidOptionError
from sightline.parity import PRECISION_DEMANDS
from sightline.preprocessing import Preprocessing
from sightline_export.config import CONFIG_FILE, parse
from sightline_export.exporter import ExportReport, export
from sightline_export.fastest import network_inputs
from sightline_export.options import ExportOptions
from sightline_export.pixels import PixelFormat
from sightline_export.quantise import Calibration, open_calibration, quantise
from sightline_export.raw import RawNetwork
from sightline_export.sources import load
from sightline_server.engine_choice import open_engine
from sightline_server.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine

pytestmark = pytest.mark.timeout(900)
Save = Callable[[onnx.ModelProto], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RawNetwork, onnx.ModelProto]:
    folder = tmp_path_factory.mktemp("quantised")
    onnx.save(conv_network(), folder / "conv.onnx")
    raw = load(folder / "conv.onnx", ExportOptions())
    calibration = open_calibration(write_scenes(folder / "scenes", 16), tell=lambda _: None)
    return raw, quantise(raw, calibration)


def _kinds(model: onnx.ModelProto) -> dict[str, str]:
    """What makes the first input of each convolution, by its last output's name."""
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    return {node.output[0]: made_by.get(node.input[0], "") for node in model.graph.node if node.op_type == "Conv"}


def test_the_last_layer_and_the_decoding_stay_float(made: tuple[RawNetwork, onnx.ModelProto]) -> None:
    _, quantised = made
    assert _kinds(quantised) == {"first": "DequantizeLinear", "middle": "DequantizeLinear", "last": "Concat"}
    made_by = {name: node for node in quantised.graph.node for name in node.output}
    assert made_by[made_by["fractions"].input[0]].op_type == "Reshape"


def test_numbers_between_layers_are_unsigned_and_weights_have_seven_bits(
    made: tuple[RawNetwork, onnx.ModelProto],
) -> None:
    _, quantised = made
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    zero_points = [known[node.input[2]] for node in quantised.graph.node if node.op_type == "QuantizeLinear"]
    assert zero_points
    assert {value.dtype for value in zero_points} == {np.dtype(np.uint8)}
    weights = [tensor for tensor in quantised.graph.initializer if tensor.data_type == TensorProto.INT8]
    largest = [int(np.abs(numpy_helper.to_array(tensor).astype(int)).max()) for tensor in weights]
    assert max(largest) in (63, 64)


class Watched(Calibration):
    """Calibration pictures of which at most two are in memory, the one that is used and the one that comes."""

    held: ClassVar[list[weakref.ref[npt.NDArray[Any]]]] = []

    def input(self, name: str, preprocessing: Preprocessing, pixels: PixelFormat) -> npt.NDArray[Any]:
        self.held[:] = [each for each in self.held if each() is not None]
        assert len(self.held) <= 1
        came = super().input(name, preprocessing, pixels)
        self.held.append(weakref.ref(came))
        return came


def test_calibration_pictures_are_not_held_all_at_once(
    made: tuple[RawNetwork, onnx.ModelProto], tmp_path: Path
) -> None:
    raw, quantised = made
    looked_at = open_calibration(write_scenes(tmp_path / "scenes", 16), tell=lambda _: None)
    assert quantise(raw, Watched(looked_at.files, looked_at.scenes)) == quantised
    assert Watched.held


def test_both_engines_compute_nearly_what_fp32_gives(made: tuple[RawNetwork, onnx.ModelProto], tmp_path: Path) -> None:
    raw, quantised = made
    onnx.save(raw.model, tmp_path / "fp32.onnx")
    onnx.save(quantised, tmp_path / "int8.onnx")
    picture = np.random.default_rng(1).random((2, 3, 320, 320)).astype(np.float32)
    engines: list[Engine] = [
        OnnxRuntimeEngine(tmp_path / "fp32.onnx", threads=1),
        OnnxRuntimeEngine(tmp_path / "int8.onnx", threads=1),
        OpenVinoEngine(tmp_path / "int8.onnx", precision="fp32", threads=1),
    ]
    wanted, *came = (np.array(engine.run({engine.inputs[0]: picture})[engine.outputs[0]]) for engine in engines)
    for output in came:
        assert 0 < np.abs(output[:, 4:] - wanted[:, 4:]).max() < 0.05


def test_a_quantised_network_is_not_quantised_again(
    made: tuple[RawNetwork, onnx.ModelProto], save: Save, tmp_path: Path
) -> None:
    calibration = open_calibration(write_scenes(tmp_path / "scenes", 16), tell=lambda _: None)
    with pytest.raises(ExportError, match="is quantised already"):
        quantise(load(save(made[1]), ExportOptions()), calibration)


def test_int8_without_pictures_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    options = ExportOptions(precision="int8")
    with pytest.raises(InvalidOptionError, match="--calibration"):
        export(tmp_path / "missing.pt", repository=tmp_path / "models", chain=None, options=options)


# --- a real network -----------------------------------------------------------------------------------------------
def test_yolov8n_in_int8_passes_the_gate_on_other_photographs(yolov8n_int8: ExportReport) -> None:
    checked = yolov8n_int8.verification
    assert checked.verified
    assert checked.precision == "int8"
    assert checked.matched >= PRECISION_DEMANDS["int8"].share * checked.reference
    parameters = parse((yolov8n_int8.installed.ensemble / CONFIG_FILE).read_text()).parameters
    assert parameters["sightline.precision"].string_value == "int8"
    assert parameters["sightline.quantised"].string_value == "true"
    assert yolov8n_int8.info.versions["nncf"]


def with_signed_activations(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same numbers from -128 to 127, as NNCF writes them."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    zero_points = {node.input[2] for node in changed.graph.node if node.op_type == "QuantizeLinear"}
    for tensor in changed.graph.initializer:
        if tensor.name in zero_points:
            moved = numpy_helper.to_array(tensor).astype(int) - 128
            tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.int8), tensor.name))
    del changed.graph.value_info[:]
    return changed


def test_an_engine_that_computes_int8_wrong_is_not_taken(
    yolov8n_int8: ExportReport, shared_data: Path, tmp_path: Path
) -> None:
    """As OpenVINO 2026.4.1 does without VNNI; elsewhere it is right, and must be taken."""
    file = tmp_path / "signed.onnx"
    onnx.save(with_signed_activations(onnx.load(yolov8n_int8.installed.network / "1" / "model.onnx")), file)
    config = parse((yolov8n_int8.installed.network / CONFIG_FILE).read_text())
    config.ClearField("model_warmup")  # as the gate serves it
    engine, info = open_engine(MessageToDict(config, preserving_proto_field_name=True), file)
    picture = read_rgb(shared_data / "images" / "bus.jpg")
    found = engine.run(network_inputs(yolov8n_int8.info, picture))
    assert int(found["num_detections"][0, 0]) >= 4
    openvino = OpenVinoEngine(file, precision="fp32", threads=1)
    right = int(openvino.run(network_inputs(yolov8n_int8.info, picture))["num_detections"][0, 0]) >= 4
    assert (info.engine, bool(info.reason)) == (("openvino", False) if right else ("onnxruntime", True))
