"""Networks as other repositories build them, from their ONNX file to the served graph."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from tests.export.foreign_networks import STRIDES, AnchorBased, Queries, Yolox, lively, write_onnx
from tests.export.tiny import read_rgb
from tests.joining_chain import JoiningChain

from sightline.boxes import letterbox
from sightline.errors import UnknownHeadError
from sightline_export.exporter import ExportReport, export
from sightline_export.options import ExportOptions
from sightline_export.pictures import Picture, draw_scene, fit
from sightline_export.session import Session
from sightline_export.sources import load
from sightline_export.sources.quiet import import_ultralytics, quietly

THRESHOLD = 0.3


def served(report: ExportReport, pictures: list[Picture], fitted: list[Picture]) -> list[npt.NDArray[np.float32]]:
    """Rows of box, score, class of each picture, from the installed graph."""
    inputs: dict[str, npt.NDArray[Any]] = {
        "images": np.stack(fitted),
        "original_shape": np.array([picture.shape for picture in pictures]),
        "score_threshold": np.full((len(pictures), 1), THRESHOLD, dtype=np.float32),
    }
    outputs = Session(onnx.load(report.installed.network / "1" / "model.onnx")).run_named(inputs)
    rows = []
    for image, count in enumerate(outputs["num_detections"][:, 0]):
        parts = [outputs[name][image, :count].reshape(count, -1) for name in ("boxes", "scores", "classes")]
        rows.append(np.hstack(parts).astype(np.float32))
    return rows


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> list[Picture]:
    return [read_rgb(shared_data / "images" / name) for name in ("bus.jpg", "zidane.jpg")]


def nearest(row: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> float:
    """Largest difference from the nearest of the others, in pixels; scores and classes count a hundredfold."""
    weights = np.array([1, 1, 1, 1, 100, 100])
    return float(np.abs((others - row) * weights).max(axis=1).min())


def yolox_detections(network: Any, picture: Picture, image_size: int) -> npt.NDArray[np.float32]:
    """Candidates above the threshold as YOLOX's demo finds them (BGR, 0 to 255), in the original's pixels, no NMS."""
    bgr = fit(picture, image_size)[..., ::-1]
    with torch.no_grad():
        raw = network(torch.from_numpy(bgr.transpose(2, 0, 1).astype(np.float32))[None])[0]
    place = letterbox(image_size_hw=(picture.shape[0], picture.shape[1]), input_size=image_size)
    scale, rows, index = place.resized_hw[0] / picture.shape[0], [], 0
    for stride in STRIDES:
        for y in range(image_size // stride):
            for x in range(image_size // stride):
                tx, ty, tw, th, objectness, *classes = raw[index].tolist()
                index += 1
                if (score := objectness * max(classes)) < THRESHOLD:
                    continue
                width, height = math.exp(tw) * stride / scale, math.exp(th) * stride / scale
                centre_x = ((tx + x) * stride - place.left) / scale
                centre_y = ((ty + y) * stride - place.top) / scale
                left, right = centre_x - width / 2, centre_x + width / 2
                top, bottom = centre_y - height / 2, centre_y + height / 2
                rows.append([left, top, right, bottom, score, classes.index(max(classes))])
    found = np.array(rows, dtype=np.float32).reshape(-1, 6)
    limits = np.array([picture.shape[1], picture.shape[0]] * 2)
    found[:, :4] = np.clip(found[:, :4], 0, limits)
    return found


@pytest.mark.parametrize(("image_size", "opset", "batch"), [(416, 11, None), (320, 13, "batch")])
def test_yolox(image_size: int, opset: int, batch: str | None, tmp_path: Path, photographs: list[Picture]) -> None:
    network = lively(Yolox(), image_size=image_size, scale=255.0)
    source = write_onnx(network, tmp_path / "yolox_nano.onnx", image_size=image_size, opset=opset, batch=batch)
    with pytest.raises(UnknownHeadError, match="yolov6, yolox, yolox_decoded and yolox_legacy; say which"):
        load(source, ExportOptions())
    options = ExportOptions(family="yolox", iou_threshold=1.0)
    report = export(source, repository=tmp_path / "repository", chain=None, options=options)
    assert (report.info.head, report.info.preprocessing.image_size) == ("grid", image_size)
    found = served(report, photographs, [fit(picture, image_size) for picture in photographs])
    for picture, came in zip(photographs, found, strict=True):
        wanted = yolox_detections(network, picture, image_size)
        assert len(wanted) > 20
        assert len(came) == min(len(wanted), 300)
        # Where there are more than slots, the best are kept.
        assert max(nearest(row, wanted) for row in came) < 1.0


def test_a_network_with_anchors_is_recognised_by_their_number(
    tmp_path: Path, chain: JoiningChain, small_sample: Path
) -> None:
    network = lively(AnchorBased(), image_size=320, scale=1.0)
    source = write_onnx(network, tmp_path / "best.onnx", image_size=320, opset=12)
    names = tuple("abcd")
    report = export(
        source,
        repository=tmp_path / "repository",
        chain=chain,
        sample=small_sample,
        options=ExportOptions(classes=names),
    )
    assert (report.info.head, report.info.class_names) == ("anchors_first", names)
    assert report.verification.matched >= 0.99 * report.verification.reference > 100


def test_queries_are_stretched(tmp_path: Path, chain: JoiningChain, small_sample: Path) -> None:
    network = lively(Queries(), image_size=320, scale=1.0)
    source = write_onnx(network, tmp_path / "rtdetr.onnx", image_size=320, opset=16, batch="N")
    report = export(
        source,
        repository=tmp_path / "repository",
        chain=chain,
        sample=small_sample,
        options=ExportOptions(classes=tuple("abcd")),
    )
    assert report.info.preprocessing.model_name == "stretch_320"
    assert report.verification.matched >= 0.99 * report.verification.reference > 50


def test_few_queries_leave_slots_empty(tmp_path: Path, photographs: list[Picture]) -> None:
    network = lively(Queries(7), image_size=320, scale=1.0)
    source = write_onnx(network, tmp_path / "few.onnx", image_size=320, opset=16, batch="N")
    options = ExportOptions(family="rtdetr", max_detections=40)
    report = export(source, repository=tmp_path / "repository", chain=None, options=options)
    found = served(report, photographs, [fit(each, 320) for each in photographs])
    assert [0 < len(rows) <= 7 for rows in found] == [True, True]


def test_half_precision(tmp_path: Path, photographs: list[Picture]) -> None:
    """A graph in FP16 from input to output."""
    network = lively(AnchorBased(), image_size=320, scale=1.0)
    whole = write_onnx(network, tmp_path / "whole.onnx", image_size=320, opset=17)
    half = write_onnx(network, tmp_path / "half.onnx", image_size=320, opset=17, half=True)
    raw = load(half, ExportOptions())
    assert raw.reference.raw(np.zeros((2, 3, 320, 320), np.float32)).dtype == np.float16
    picture = raw.pixels.apply(fit(photographs[0], 320))[None]
    (came,), (wanted,) = Session(raw.model).run([picture]), Session(load(whole, ExportOptions()).model).run([picture])
    assert came.dtype == np.float32
    np.testing.assert_allclose(came[..., 4:], wanted[..., 4:], atol=0.02)


def ultralytics_onnx(architecture: str, folder: Path, **arguments: Any) -> Path:
    """A file that Ultralytics' own exporter writes of random weights."""
    tasks = import_ultralytics().nn.tasks
    with quietly():
        from ultralytics.engine.exporter import Exporter

        model = tasks.DetectionModel(f"{architecture}.yaml", verbose=False)
        model.task = "detect"
        model.pt_path = str(folder / f"{architecture}.pt")
        overrides = {"format": "onnx", "simplify": False, "batch": 1, "device": "cpu", **arguments}
        return Path(Exporter(overrides=overrides)(model=model))


ULTRALYTICS_FILES: list[tuple[str, dict[str, Any], str]] = [
    ("yolov8n", {"imgsz": 320}, "anchors_last"),
    ("yolov8n", {"imgsz": 416, "dynamic": True}, "anchors_last"),
    ("yolo26n", {"imgsz": 320}, "anchors_last"),
    ("yolo26n", {"imgsz": 320, "nms": False}, "end_to_end"),
    ("yolov8n-p2", {"imgsz": 320, "opset": 13}, "anchors_last"),
    ("yolov8n-p6", {"imgsz": 320}, "anchors_last"),
]


@pytest.mark.parametrize(("architecture", "arguments", "head"), ULTRALYTICS_FILES)
def test_files_that_ultralytics_exported(
    architecture: str, arguments: dict[str, Any], head: str, tmp_path: Path
) -> None:
    raw = load(ultralytics_onnx(architecture, tmp_path, **arguments), ExportOptions())
    size = arguments["imgsz"]
    assert (raw.head.name, raw.preprocessing.image_size, len(raw.class_names)) == (head, size, 80)
    pictures = np.stack([raw.pixels.apply(draw_scene((size, size), seed=seed)) for seed in range(2)])
    np.testing.assert_allclose(raw.reference.raw(pictures), Session(raw.model).run([pictures])[0], atol=1e-3)
