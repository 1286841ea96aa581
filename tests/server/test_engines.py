"""The engines by themselves, and the choice between them, without Triton."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper as oh
import pytest
from google.protobuf import json_format
from tests.server import tiny_detector

from sightline.contract import ONNX_FILE
from sightline.errors import LaunchError
from sightline_export.config import parse
from sightline_server import engine_choice
from sightline_server.engine_choice import choose_precision, open_engine
from sightline_server.engines import Arrays, Engine, EngineError, OnnxRuntimeEngine, OpenVinoEngine
from sightline_server.samples import sample_inputs
from sightline_server.smoke_test import Tolerance, difference, disagreement, try_engine, with_noise


def served_config(folder: Path) -> dict[str, Any]:
    """The model's configuration as Triton hands it to a backend."""
    text = (folder / "config.pbtxt").read_text()
    config: dict[str, Any] = json.loads(json_format.MessageToJson(parse(text), preserving_proto_field_name=True))
    return config


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The tiny detector's network, in a repository."""
    return tmp_path / tiny_detector.write_network(tmp_path, "tiny", tiny_detector.graph())


@pytest.fixture(params=["onnxruntime", "openvino"])
def engine(request: pytest.FixtureRequest, tiny: Path) -> Engine:
    file = tiny / "1" / ONNX_FILE
    if request.param == "openvino":
        return OpenVinoEngine(file, precision="fp32", threads=1)
    return OnnxRuntimeEngine(file, threads=1)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_engines_compute_the_graph(engine: Engine, count: int) -> None:
    given = tiny_detector.inputs(count)
    received = engine.run(given)
    for name, value in tiny_detector.expected(**_positional(given)).items():
        assert received[name].dtype == value.dtype
        np.testing.assert_allclose(received[name], value, atol=1e-5)


def test_engines_say_what_they_were_given(engine: Engine) -> None:
    with pytest.raises(EngineError, match=r"(ONNX Runtime|OpenVINO) failed: .*"):
        engine.run(tiny_detector.inputs(1) | {"images": np.zeros((1, 32, 32, 3), np.uint8)})
    engine.run(tiny_detector.inputs(1))


@pytest.mark.parametrize(
    "kind", [OnnxRuntimeEngine, lambda file, threads: OpenVinoEngine(file, precision="fp32", threads=threads)]
)
def test_a_broken_file_is_a_readable_error(tmp_path: Path, kind: Any) -> None:
    broken = tmp_path / ONNX_FILE
    broken.write_bytes(b"not a graph")
    with pytest.raises(LaunchError, match=f"cannot load {broken}: [^\n]+$"):
        kind(broken, threads=1)


def test_tensors_must_be_those_of_the_configuration(tiny: Path) -> None:
    config = served_config(tiny)
    config["output"][1]["name"] = "rectangles"
    with pytest.raises(LaunchError, match=r"has no output 'rectangles'; it has .*boxes"):
        open_engine(config, tiny / "1" / ONNX_FILE)
    config = served_config(tiny)
    config["input"][0]["data_type"] = "TYPE_STRING"
    with pytest.raises(LaunchError, match="'images' is TYPE_STRING"):
        open_engine(config, tiny / "1" / ONNX_FILE)


def test_openvino_is_taken_where_it_proves_itself(tiny: Path) -> None:
    engine, info = open_engine(served_config(tiny), tiny / "1" / ONNX_FILE)
    assert (engine.name, info.engine, info.precision, info.reason) == ("openvino", "openvino", "fp32", "")


def test_onnx_runtime_takes_what_openvino_cannot(tmp_path: Path) -> None:
    name = tiny_detector.write_network(tmp_path, "odd", tiny_detector.unknown_to_openvino(), precision="bf16")
    folder = tmp_path / name
    engine, info = open_engine(served_config(folder), folder / "1" / ONNX_FILE)
    assert (info.engine, info.precision) == ("onnxruntime", "fp32")
    assert "OpenVINO cannot load" in info.reason
    assert "fp32 only" in info.reason
    given = tiny_detector.inputs(3)
    np.testing.assert_allclose(
        engine.run(given)["scores"], tiny_detector.expected(**_positional(given))["scores"], atol=1e-5
    )


def test_the_verdict_is_asked_for_once(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_RUN_FOLDER", str(tmp_path))
    open_engine(served_config(tiny), tiny / "1" / ONNX_FILE)
    (verdict,) = (file for file in tmp_path.glob("smoke-*") if not file.suffix)
    verdict.write_text("somebody found a crash")
    _, info = open_engine(served_config(tiny), tiny / "1" / ONNX_FILE)
    assert (info.engine, info.reason) == ("onnxruntime", "somebody found a crash")


def test_copies_of_a_graph_share_the_verdict(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_RUN_FOLDER", str(tmp_path))
    asked: list[Path] = []

    def nothing_is_wrong(file: Path, *_: object, **__: object) -> str:
        asked.append(file)
        return ""

    monkeypatch.setattr(engine_choice, "try_engine", nothing_is_wrong)
    copy, other = tmp_path / "copy.onnx", tmp_path / "other.onnx"
    shutil.copy(tiny / "1" / ONNX_FILE, copy)
    other.write_bytes(copy.read_bytes() + b"\x12\x00")  # the name of who made it: another file of the same graph
    for file in (tiny / "1" / ONNX_FILE, copy, other):
        open_engine(served_config(tiny), file)
    assert asked == [tiny / "1" / ONNX_FILE, other]


def test_choose_precision() -> None:
    assert choose_precision("bf16", ("fp32", "bf16")).precision == "bf16"
    assert choose_precision("bf16", ("fp32",)).precision == "fp32"
    assert choose_precision("bf16", ("fp32",)).reason == "this CPU has no bf16"
    assert "for GPUs" in choose_precision("fp16", ("fp32", "bf16")).reason
    assert "not for CPUs" in choose_precision("fp8", ("fp32", "bf16")).reason
    assert (choose_precision("int8", ("fp32",)).precision, choose_precision("int8", ("fp32",)).reason) == ("fp32", "")


def test_a_crash_is_told_from_a_failure(tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = served_config(tiny)
    given = sample_inputs(config)
    assert try_engine(tiny / "1" / ONNX_FILE, given, "fp32") == ""
    # A program in OpenVINO's place that dies as it does on CPUs that lack an instruction.
    dying = tmp_path / "dying"
    dying.mkdir()
    (dying / "openvino.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.setenv("PYTHONPATH", str(dying))
    assert try_engine(tiny / "1" / ONNX_FILE, given, "fp32") == "OpenVINO crashed (SIGILL)"
    (dying / "openvino.py").write_text("import time; time.sleep(60)")
    assert "within 1 s" in try_engine(tiny / "1" / ONNX_FILE, given, "fp32", timeout_seconds=1)


def test_disagreement() -> None:
    scores = np.array([[0.9, 0.8, 0.0]], np.float32)
    noisy = np.array([[0.9, 0.7, 0.0]], np.float32)

    def judge(received: npt.NDArray[Any], disturbed: npt.NDArray[Any] = scores) -> str:
        expected, noise, answer = ({"scores": values} for values in (scores, disturbed, received))
        return disagreement(expected, noise, answer, Tolerance(noise=1, noises=2, floor=0.01))

    assert judge(scores) == ""
    assert judge(scores[:, ::-1]) == ""
    assert "not finite" in judge(scores * np.float32(np.nan))
    assert "(1, 2)" in judge(scores[:, :2])
    assert "float64" in judge(scores.astype(np.float64))
    assert "differs" in judge(noisy)
    assert judge(noisy, disturbed=noisy) == ""
    assert "differs" in judge(scores * 0.5, disturbed=noisy)
    assert "differs" in judge(scores * 0)


def test_difference_has_a_scale() -> None:
    ones = np.ones(4)
    assert difference(ones, ones) == 0
    assert difference(ones * 0, ones * 0) == 0
    assert difference(ones, ones * 0) == 2
    assert difference(ones, ones * 1.1) == pytest.approx(0.1 / 1.05)


def test_noise_is_small_and_the_same_each_time(tiny: Path) -> None:
    given = sample_inputs(served_config(tiny))
    noisy = with_noise(given, 2)
    steps = noisy["images"].astype(int) - given["images"]
    assert (steps.min(), steps.max()) == (-2, 2)
    np.testing.assert_array_equal(noisy["original_shape"], given["original_shape"])
    np.testing.assert_array_equal(with_noise(given, 2)["images"], noisy["images"])


def test_openvino_may_rename_outputs(tmp_path: Path) -> None:
    # A tensor that is both an output and somebody's input comes back from OpenVINO under several names.
    model = tiny_detector.graph()
    model.graph.node.append(oh.make_node("Identity", ["scores"], ["scores_again"]))
    model.graph.output.append(oh.make_tensor_value_info("scores_again", onnx.TensorProto.FLOAT, ["N", 4]))
    (tmp_path / ONNX_FILE).write_bytes(model.SerializeToString())
    engine = OpenVinoEngine(tmp_path / ONNX_FILE, precision="fp32", threads=1)
    received = engine.run(tiny_detector.inputs(1))
    assert {"num_detections", "boxes", "scores", "classes", "scores_again"} <= received.keys()


def _positional(given: Arrays) -> dict[str, Any]:
    return {"images": given["images"], "shapes": given["original_shape"], "thresholds": given["score_threshold"]}
