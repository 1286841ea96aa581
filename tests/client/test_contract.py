import dataclasses

import pytest

from sightline import contract
from sightline.contract import EngineInfo
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline.verification import Verification


@pytest.mark.parametrize("name", ["yolov8n", "YOLO11.x", "a_b"])
def test_names_that_every_backend_takes(name: str) -> None:
    assert contract.check_model_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "yolo-v8", "my model", "8yolo", "a/b", "../a", "ü", "x_net", "letterbox_640", "resize_tall", "a" * 101]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidOptionError, match="--name"):
        contract.check_model_name(name)


@pytest.mark.parametrize("size", [0, 288, 641, 1952, -640])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(InvalidOptionError, match="multiples of 32 from 320 to 1920"):
        contract.check_image_size(size)


def test_detector_info_survives_the_parameters() -> None:
    info = DetectorInfo(
        class_names=('quo"te', "new\nline", "größe"),
        preprocessing=Preprocessing.resize(shorter=800, longest=1333),
        stride=64,
        precision="bf16",
        head="raw",
        iou_threshold=0.45,
        max_detections=7,
        source="a b.pt",
        source_sha256="00ff",
        versions={"torch": "2", "onnx": "1"},
        verification=Verification(outcome="passed", images=3, reference=120, matched=119, missing=1, min_match=0.99),
    )
    assert DetectorInfo.from_parameters(info.to_parameters()) == info


def test_a_detector_need_not_tell_how_it_was_verified() -> None:
    info = DetectorInfo(class_names=("a",))
    assert "sightline.verification" not in info.to_parameters()
    assert DetectorInfo.from_parameters(info.to_parameters()).verification is None


@pytest.mark.parametrize(
    "change",
    [
        {"sightline.contract_version": "99"},
        {"sightline.class_names": "[oops"},
        {"sightline.verification": "{}"},
        {"sightline.verification": '{"outcome": "failed"}'},
    ],
)
def test_foreign_parameters_are_refused(change: dict[str, str]) -> None:
    good = DetectorInfo(class_names=("a",)).to_parameters()
    with pytest.raises(ContractMismatchError):
        DetectorInfo.from_parameters({**good, **change})
    with pytest.raises(ContractMismatchError):
        DetectorInfo.from_parameters({})


@pytest.mark.parametrize(
    "bad", [{"class_names": ()}, {"precision": "fp8"}, {"iou_threshold": 2.0}, {"max_detections": 0}]
)
def test_impossible_detectors_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidOptionError):
        DetectorInfo(**{"class_names": ("a",), **bad})  # type: ignore[arg-type]


def test_image_errors_travel_as_text() -> None:
    text = "in ensemble 'x', " + contract.format_image_error("corrupt", "line one\nline two")
    assert contract.parse_image_error(text) == ("corrupt", "line one line two")
    assert contract.parse_image_error("CUDA out of memory") is None


def test_engines_say_where_they_run() -> None:
    engine = EngineInfo(engine="openvino", version="2026.4.1", precision="bf16", threads=1)
    assert str(engine) == "openvino 2026.4.1, bf16, 1 thread per instance"
    assert "bf16, 1 to 2 threads per instance" in str(dataclasses.replace(engine, most_threads=2))
    reason = "no OpenVINO on GPUs"
    on_gpu = dataclasses.replace(engine, engine="onnxruntime", version="1.27", device="gpu", reason=reason)
    assert str(on_gpu) == f"onnxruntime 1.27, bf16, on the GPU ({reason})"
