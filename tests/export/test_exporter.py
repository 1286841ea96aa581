"""yolov8n.pt, exported once, on real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from click.testing import CliRunner
from tests.export.tiny import read_rgb

from sightline.boxes import pairwise_iou
from sightline.cli import cli
from sightline.contract import SCORE_FLOOR
from sightline.preprocessing import Preprocessing
from sightline_export.exporter import ExportReport
from sightline_export.graph import GraphSettings
from sightline_export.graph.compose import postprocess
from sightline_export.heads import ANCHORS_LAST
from sightline_export.options import ExportOptions, NmsKind
from sightline_export.pictures import Picture, fit
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.reference import Found, detect
from sightline_export.session import Session
from sightline_export.sources import load

PHOTOGRAPHS = 64
Raw = npt.NDArray[np.float32]
BATCH = 8


@pytest.fixture(scope="module")
def photographs(shared_data: Path) -> list[Picture]:
    files = sorted((shared_data / "coco" / "images").iterdir())[:PHOTOGRAPHS]
    assert len(files) == PHOTOGRAPHS
    return [read_rgb(file) for file in files]


@pytest.fixture(scope="module")
def raw_outputs(shared_data: Path, photographs: list[Picture]) -> list[Raw]:
    """What yolov8n says about each photograph, before any suppression."""
    raw = load(shared_data / "weights" / "yolov8n.pt", ExportOptions())
    session = Session(raw.model)
    outputs = []
    for start in range(0, PHOTOGRAPHS, BATCH):
        pixels = np.stack([fit(picture, 640) for picture in photographs[start : start + BATCH]])
        outputs += list(session.run([pixels.transpose(0, 3, 1, 2) / np.float32(255)])[0])
    return outputs


def run(session: Session, raws: list[Raw], pictures: list[Picture], threshold: float) -> list[Found]:
    found = []
    for start in range(0, len(raws), BATCH):
        batch = raws[start : start + BATCH]
        shapes = np.array([picture.shape for picture in pictures[start : start + BATCH]], dtype=np.int64)
        outputs = session.run([np.stack(batch), shapes, np.full((len(batch), 1), threshold, dtype=np.float32)])
        for count, boxes, scores, classes in zip(outputs[0][:, 0], *outputs[1:], strict=True):
            found.append(Found(boxes[:count], scores[:count], classes[:count]))
    return found


@pytest.mark.parametrize(("nms", "threshold"), [("operator", 0.25), ("operator", SCORE_FLOOR), ("static", 0.25)])
def test_both_suppressions_are_greedy(
    nms: NmsKind,
    threshold: float,
    raw_outputs: list[Raw],
    photographs: list[Picture],
    yolov8n: ExportReport,
) -> None:
    settings = GraphSettings(
        preprocessing=Preprocessing.letterbox(),
        pixels=ZERO_TO_ONE,
        class_count=80,
        candidate_count=8400,
        max_detections=300,
        iou_threshold=0.7,
        score_floor=SCORE_FLOOR,
        nms=nms,
    )
    found = run(Session(postprocess(ANCHORS_LAST, settings)), raw_outputs, photographs, threshold)
    total = matched = 0
    for raw, picture, came in zip(raw_outputs, photographs, found, strict=True):
        wanted = detect(
            raw, info=yolov8n.info, image_size_hw=(picture.shape[0], picture.shape[1]), score_threshold=threshold
        )
        total += len(wanted.scores)
        same = np.abs(came.boxes_xyxy[:, None] - wanted.boxes_xyxy[None]).max(axis=2) < 0.01
        same &= came.class_ids[:, None] == wanted.class_ids[None]
        same &= np.abs(came.scores[:, None] - wanted.scores[None]) < 1e-6
        matched += int(same.any(axis=0).sum())
        assert len(came.scores) == len(wanted.scores)
    assert total > 300
    # At 0.25 all; thousands of boxes at the floor hold a few pairs whose IoU is the threshold but for rounding.
    assert matched >= (total if threshold > SCORE_FLOOR else 0.999 * total)


def test_the_whole_graph_finds_what_the_network_says(
    yolov8n: ExportReport, raw_outputs: list[Raw], photographs: list[Picture]
) -> None:
    session = Session(onnx.load(yolov8n.installed.network / "1" / "model.onnx"))
    pictures = photographs[:4]
    thresholds = np.array([[0.25], [0.5], [float("nan")], [0.25]], dtype=np.float32)
    outputs = session.run_named(
        {
            "images": np.stack([fit(picture, 640) for picture in pictures]),
            "original_shape": np.array([picture.shape for picture in pictures]),
            "score_threshold": thresholds,
        }
    )
    for i, picture in enumerate(pictures):
        wanted = detect(
            raw_outputs[i],
            info=yolov8n.info,
            image_size_hw=(picture.shape[0], picture.shape[1]),
            score_threshold=float(thresholds[i, 0]),
        )
        count = int(outputs["num_detections"][i, 0])
        assert abs(count - len(wanted.scores)) <= 0.02 * len(wanted.scores)
        best = pairwise_iou(wanted.boxes_xyxy, outputs["boxes"][i, :count]).max(axis=1, initial=0)
        assert (best > 0.98).mean() >= 0.98


def test_the_report(yolov8n: ExportReport, shared_data: Path) -> None:
    assert yolov8n.name == "yolov8n"
    assert yolov8n.info.class_names[:2] == ("person", "bicycle")
    assert yolov8n.info.source == "yolov8n.pt"
    assert yolov8n.info.source_sha256.startswith("f59b3d833e2ff32e")
    assert yolov8n.graph_check.reference_detections > 10
    assert 10e6 < yolov8n.installed.size_bytes < 16e6


def test_the_served_graph_has_free_batches(yolov8n: ExportReport) -> None:
    model = onnx.load(yolov8n.installed.network / "1" / "model.onnx")
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert model.ir_version <= 10
    assert [entry.version for entry in model.opset_import] == [18]


def test_the_command(tiny_onnx: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    arguments = ["export", str(tiny_onnx), "--repository", str(repository), "--classes", "a, b,c", "--max-det", "40"]
    arguments += ["--no-gate"]
    done = CliRunner().invoke(cli, [*arguments, "--precision", "bf16", "--iou", "0.5", "--max-pixels", "99"])
    assert done.exit_code == 0, done.output
    for text in ("reading", "comparing", "tiny is ready (named after tiny.onnx", "3: a, b, c", "sightline serve"):
        assert text in done.output
    config = (repository / "tiny" / "config.pbtxt").read_text()
    assert '"bf16"' in config
    assert "dims: 40" in config


def test_the_command_tells_when_others_are_concerned(tiny_onnx: Path, tmp_path: Path) -> None:
    arguments = ["export", str(tiny_onnx), "--repository", str(tmp_path), "--no-gate", "--name"]
    first = CliRunner().invoke(cli, [*arguments, "first", "--max-pixels", "99"])
    assert "pixels now" not in first.output
    done = CliRunner().invoke(cli, [*arguments, "second"])
    assert done.exit_code == 0, done.output
    assert "pixels now" not in done.output
    done = CliRunner().invoke(cli, [*arguments, "second", "--max-pixels", "100"])
    assert "up to 100 pixels now, 99 before; this holds for first too" in done.output


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["export", str(tmp_path / "nowhere.onnx")])
    assert done.exit_code != 0
    assert "does not exist" in str(done.exception)


def test_the_command_has_examples() -> None:
    done = CliRunner().invoke(cli, ["export", "--help"])
    assert done.exit_code == 0
    assert "Examples:" in done.output
    assert "sightline export yolov8n.pt" in done.output
