"""ONNX files that somebody else made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from tests.export.tiny import GRID_CANDIDATES, TINY_SIZE, prediction, tiny_model
from tests.joining_chain import JoiningChain

from sightline.errors import CheckpointError, InvalidOptionError, SightlineError, UnknownHeadError, VerificationError
from sightline_export.exporter import export
from sightline_export.options import ExportOptions
from sightline_export.sources import load
from sightline_export.verify import check_raw_values

Save = Callable[..., Path]
V8 = prediction("anchors_last", classes=3, candidates=50)
V5 = prediction("anchors_first", classes=3, candidates=3 * GRID_CANDIDATES)
FINISHED = prediction("end_to_end", classes=3, candidates=50)
UNDECODED = prediction("grid", classes=3, candidates=GRID_CANDIDATES)
QUERIES = prediction("queries", classes=3, candidates=100)
RANKED = prediction("ranked_queries", classes=3, candidates=50)
NAMES = {"names": "{0: 'a', 1: \"it's\", 2: 'c'}"}

LAYOUTS: list[tuple[np.ndarray[Any, Any], str | None, str, str]] = [
    (V8, None, "anchors_last", "letterbox_320"),
    (V5, None, "anchors_first", "letterbox_320"),
    (FINISHED, None, "end_to_end", "letterbox_320"),
    (QUERIES, None, "queries", "stretch_320"),
    (UNDECODED, "yolox", "grid", "letterbox_320"),
    (UNDECODED, "yolox_legacy", "grid", "letterbox_320"),
    (UNDECODED, "yolox_decoded", "anchors_first", "letterbox_320"),
    (RANKED, "rtdetr_ranked", "ranked_queries", "stretch_320"),
]


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize(("output", "family", "head", "preprocessing"), LAYOUTS)
def test_each_layout_is_exported(
    output: np.ndarray[Any, Any],
    family: str | None,
    head: str,
    preprocessing: str,
    batch: int | str,
    *,
    save: Save,
    tmp_path: Path,
) -> None:
    source = save(tiny_model(output, batch=batch, metadata=NAMES))
    options = ExportOptions(family=family)
    report = export(source, repository=tmp_path / "repository", chain=None, options=options)
    assert report.info.head == head
    assert report.info.class_names == ("a", "it's", "c")
    assert report.info.preprocessing.model_name == preprocessing
    assert report.graph_check.matched >= 0.99 * report.graph_check.reference_detections > 20


@pytest.mark.parametrize(("output", "family"), [(V5, None), (UNDECODED, "yolox"), (QUERIES, None)])
def test_the_served_chain_finds_what_the_file_finds(
    output: np.ndarray[Any, Any],
    family: str | None,
    *,
    save: Save,
    tmp_path: Path,
    chain: JoiningChain,
    small_sample: Path,
) -> None:
    source = save(tiny_model(output, batch=1, metadata=NAMES))
    options = ExportOptions(family=family)
    report = export(source, repository=tmp_path / "repository", chain=chain, sample=small_sample, options=options)
    assert report.verification.matched >= 0.99 * report.verification.reference > 20


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_other_opsets_are_converted(opset: int, save: Save) -> None:
    raw = load(save(tiny_model(V8, opset=opset)), ExportOptions())
    assert {entry.domain: entry.version for entry in raw.model.opset_import} == {"": 18}


def test_half_precision_is_widened(save: Save, tmp_path: Path) -> None:
    source = save(tiny_model(V8.astype(np.float16).astype(np.float32), picture_type=TensorProto.FLOAT16))
    report = export(source, repository=tmp_path / "repository", chain=None)
    assert report.graph_check.matched > 20


def test_free_sizes_are_fixed(save: Save) -> None:
    source = save(tiny_model(V8, picture_dims=(3, "H", "W")))
    assert load(source, ExportOptions()).preprocessing.image_size == 640
    assert load(source, ExportOptions(image_size=352)).preprocessing.image_size == 352
    from_metadata = save(tiny_model(V8, picture_dims=(3, "H", "W"), metadata={"imgsz": "[416, 416]", "stride": "16"}))
    raw = load(from_metadata, ExportOptions())
    assert (raw.preprocessing.image_size, raw.stride) == (416, 16)
    assert [dim.dim_value for dim in raw.model.graph.input[0].type.tensor_type.shape.dim[1:]] == [3, 416, 416]


@pytest.mark.parametrize(
    ("options", "metadata", "names"),
    [
        (ExportOptions(), {}, ("class_0", "class_1", "class_2")),
        (ExportOptions(), NAMES, ("a", "it's", "c")),
        (ExportOptions(), {"names": '["x", "y", "z"]'}, ("x", "y", "z")),
        (ExportOptions(classes=("alien", "bat", "witch")), NAMES, ("alien", "bat", "witch")),
    ],
)
def test_class_names(options: ExportOptions, metadata: dict[str, str], names: tuple[str, ...], save: Save) -> None:
    assert load(save(tiny_model(V8, metadata=metadata)), options).class_names == names


def test_feature_maps_beside_the_prediction_go(save: Save, tmp_path: Path) -> None:
    source = save(tiny_model(V5, metadata=NAMES, extra_output=(1, 3, 40, 40, 8)))
    assert export(source, repository=tmp_path / "repository", chain=None).info.head == "anchors_first"


def test_padding_is_not_judged(save: Save) -> None:
    raw = load(save(tiny_model(FINISHED, metadata=NAMES)), ExportOptions())
    nothing, padded = np.zeros_like(FINISHED), FINISHED.copy()
    padded[30:] = (0, 0, 0, 0, 0, 99)
    check_raw_values([nothing, padded], raw)
    fractions = padded / (*[TINY_SIZE] * 4, 1, 1)
    with pytest.raises(VerificationError, match="are fractions"):
        check_raw_values([nothing, fractions.astype(np.float32)], raw)


LOGITS = V8.copy()
LOGITS[4:] *= 9
FRACTIONS = V8.copy()
FRACTIONS[:4] /= TINY_SIZE
NOT_A_NUMBER = V8.copy()
NOT_A_NUMBER[0, 0] = np.nan
UNKNOWN_CLASS = FINISHED.copy()
UNKNOWN_CLASS[0, 5] = 7

RANKED_FAMILY = ExportOptions(family="rtdetr_ranked")
REFUSED: list[tuple[str, dict[str, Any], ExportOptions, type[SightlineError], str]] = [
    ("inputs NHWC", {"picture_dims": (320, 320, 3)}, ExportOptions(), CheckpointError, "NHWC"),
    ("grey", {"picture_dims": (1, 320, 320)}, ExportOptions(), CheckpointError, "1 channels"),
    ("bytes", {"picture_type": TensorProto.UINT8}, ExportOptions(), CheckpointError, "UINT8.*allowed is one input"),
    ("batch of 4", {"batch": 4}, ExportOptions(), CheckpointError, "fixed to batches of 4"),
    ("oblong", {"picture_dims": (3, 320, 640)}, ExportOptions(), CheckpointError, "not square"),
    ("odd size", {"picture_dims": (3, 333, 333)}, ExportOptions(), InvalidOptionError, "333 is not allowed"),
    ("other size", {}, ExportOptions(image_size=640), InvalidOptionError, "fixed to 320; leave out --imgsz"),
    ("masks", {"extra_output": (1, 32, 80, 80)}, ExportOptions(), UnknownHeadError, "belongs to masks"),
    ("two", {"extra_output": (1, 84, 50)}, ExportOptions(), UnknownHeadError, "one with three axes is needed"),
    ("task", {"metadata": {"task": "segment"}}, ExportOptions(), CheckpointError, "task 'segment'"),
    ("names", {"metadata": {"names": "{0: 'a', 5: 'b'}"}}, ExportOptions(), CheckpointError, "cannot be read"),
    ("count", {"metadata": {"names": "['a']"}}, ExportOptions(), UnknownHeadError, "has 3 classes"),
    ("--classes", {}, ExportOptions(classes=("a", "b")), UnknownHeadError, "with 2 classes.*has 3 classes"),
    ("twice", {"metadata": {"names": "['a', 'a', 'b']"}}, ExportOptions(), InvalidOptionError, "stand twice: a"),
    ("unnamed", {"output": FINISHED}, ExportOptions(family="end_to_end"), InvalidOptionError, "--classes"),
    ("ambiguous", {"output": FINISHED}, ExportOptions(), UnknownHeadError, "say which with --family"),
    ("yolox?", {"output": UNDECODED}, ExportOptions(), UnknownHeadError, "fits yolov6, yolox, yolox_decoded and"),
    ("nms", {}, ExportOptions(nms="none"), InvalidOptionError, "no NMS-free head .yolov8.; leave out --nms none"),
    ("size", {"output": V8}, ExportOptions(family="yolox"), UnknownHeadError, "no known layout for --family yolox"),
    ("pixels", {"output": FINISHED, "metadata": NAMES}, RANKED_FAMILY, VerificationError, "are pixels, where a ranked"),
    ("parts", {"output": RANKED, "metadata": NAMES}, ExportOptions(), VerificationError, "fractions, where a end_to_e"),
    ("logits", {"output": LOGITS}, ExportOptions(), VerificationError, "not from 0 to 1"),
    ("fractions", {"output": FRACTIONS}, ExportOptions(), VerificationError, "are fractions"),
    ("NaN", {"output": NOT_A_NUMBER}, ExportOptions(), VerificationError, "NaN or infinity"),
    ("class 7", {"output": UNKNOWN_CLASS, "metadata": NAMES}, ExportOptions(), VerificationError, "class 7"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[0])
def test_refused(
    case: tuple[str, dict[str, Any], ExportOptions, type[SightlineError], str], save: Save, tmp_path: Path
) -> None:
    _, graph, options, error, match = case
    source = save(tiny_model(**{"output": V8, **graph}))
    repository = tmp_path / "repository"
    with pytest.raises(error, match=match):
        export(source, repository=repository, chain=None, options=options)
    assert not repository.exists()


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 100])
def test_not_an_onnx_file(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "broken.onnx"
    source.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"broken\.onnx"):
        load(source, ExportOptions())


def test_a_truncated_file(save: Save) -> None:
    source = save(tiny_model(V8))
    source.write_bytes(source.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="truncated or no ONNX file"):
        load(source, ExportOptions())


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load(tmp_path / "nowhere.onnx", ExportOptions())
