"""Ultralytics checkpoints and architectures: all families, and the files that are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from tests.joining_chain import JoiningChain

from sightline.errors import CheckpointError, InvalidOptionError
from sightline_export.config import parse
from sightline_export.exporter import export
from sightline_export.options import ExportOptions, NmsKind
from sightline_export.session import Session
from sightline_export.sources import load
from sightline_export.sources.quiet import import_ultralytics

FAMILIES: list[tuple[str, NmsKind, str]] = [
    ("yolov3-tiny", "operator", "anchors_last"),
    ("yolov5n", "operator", "anchors_last"),
    ("yolov8n", "operator", "anchors_last"),
    ("yolov8n", "static", "anchors_last"),
    ("yolov9t", "operator", "anchors_last"),
    ("yolov10n", "operator", "anchors_last"),
    ("yolov10n", "none", "end_to_end"),
    ("yolo11n", "operator", "anchors_last"),
    ("yolo12n", "operator", "anchors_last"),
    ("yolo26n", "operator", "anchors_last"),
    ("yolo26n", "none", "end_to_end"),
]
QUICK = 320


@pytest.mark.parametrize(("architecture", "nms", "head"), FAMILIES)
def test_every_family(
    architecture: str, nms: NmsKind, head: str, *, tmp_path: Path, chain: JoiningChain, small_sample: Path
) -> None:
    options = ExportOptions(image_size=QUICK, nms=nms)
    source = Path(f"{architecture}.yaml")
    report = export(source, repository=tmp_path, chain=chain, sample=small_sample, options=options)
    assert report.name == architecture.replace("-", "_")
    assert (report.info.head, report.info.stride, report.info.preprocessing.image_size) == (head, 32, QUICK)
    # 210 places of the thinnest rectangle are too few for 300 finished detections.
    assert report.info.preprocessing.kind == ("letterbox" if head == "end_to_end" else "rect")
    assert bool(report.info.square_because) == (head == "end_to_end")
    assert len(report.info.class_names) == 80
    assert set(report.info.versions) >= {"onnx", "sightline", "torch", "ultralytics"}
    assert report.graph_check.matched >= 0.99 * report.graph_check.reference_detections > 20
    assert report.verification.reference >= 50 * report.verification.images > 100
    assert report.verification.outcome == "passed"


OTHERS: list[tuple[str, int]] = [
    *(("yolov5n-p6", 64), ("yolov6n", 32), ("yolov8n-p2", 32), ("yolov8n-p6", 64), ("yolo26n-p6", 64)),
]
"""The smallest size of what else a yaml can build, and the largest stride."""


@pytest.mark.parametrize(("architecture", "stride"), OTHERS)
def test_every_other_family(architecture: str, stride: int, tmp_path: Path) -> None:
    options = ExportOptions(image_size=QUICK)
    report = export(Path(f"{architecture}.yaml"), repository=tmp_path, chain=None, options=options)
    assert (report.info.head, report.info.stride) == ("anchors_last", stride)
    assert report.graph_check.matched >= 0.99 * report.graph_check.reference_detections > 20


RTDETR = """
nc: 80
backbone:
  - [-1, 1, HGStem, [8, 16]]
  - [-1, 1, DWConv, [32, 3, 2, 1, False]]
  - [-1, 1, HGBlock, [16, 64, 3]]
  - [-1, 1, DWConv, [64, 3, 2, 1, False]]
  - [-1, 1, HGBlock, [16, 64, 3]]
  - [-1, 1, DWConv, [64, 3, 2, 1, False]]
  - [-1, 1, HGBlock, [16, 64, 3]]
head:
  - [-1, 1, AIFI, [128, 4]]
  - [[2, 4, 7], 1, RTDETRDecoder, [nc, 64, 300, 4, 4, 3]]
"""
"""RT-DETR with every sort of layer that rtdetr-l has, but small."""


def test_rtdetr(tmp_path: Path, chain: JoiningChain, small_sample: Path) -> None:
    source = tmp_path / "rtdetr-small.yaml"
    source.write_text(RTDETR)
    options = ExportOptions(image_size=QUICK)
    report = export(source, repository=tmp_path / "repository", chain=chain, sample=small_sample, options=options)
    assert (report.info.head, report.info.preprocessing.model_name) == ("ranked_queries", "stretch_320")
    assert report.verification.matched >= 0.99 * report.verification.reference > 100


def test_rtdetr_takes_any_batch(tmp_path: Path) -> None:
    source = tmp_path / "rtdetr-small.yaml"
    source.write_text(RTDETR)
    raw = load(source, ExportOptions(image_size=QUICK, max_detections=50, nms="none"))
    pictures = np.random.default_rng(0).random((3, 3, QUICK, QUICK), dtype=np.float32)
    session = Session(raw.model)
    together = session.run([pictures])[0]
    assert together.shape == (3, 50, 6)
    for picture, expected in zip(pictures, together, strict=True):
        np.testing.assert_allclose(session.run([picture[None]])[0][0], expected, atol=1e-5)
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(raw.model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    np.testing.assert_allclose(compiled(pictures)[0][..., 4], together[..., 4], atol=1e-3)


def model_of(architecture: str, kind: str = "DetectionModel") -> Any:
    return getattr(import_ultralytics().nn.tasks, kind)(architecture, verbose=False)


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one class, whose name needs quoting, trained for 352 pixels."""
    tasks = import_ultralytics().nn.tasks
    model = tasks.DetectionModel("yolov8n.yaml", nc=1, verbose=False)
    model.names = {0: 'Bob\'s "näme", 1'}
    path = tmp_path_factory.mktemp("custom") / "my best-model (2).pt"
    torch.save({"model": model, "train_args": {"imgsz": 352}}, path)
    return path


def test_a_custom_model_of_one_class(custom: Path, tmp_path: Path) -> None:
    report = export(custom, repository=tmp_path, chain=None)
    assert report.name == "my_best_model_2"
    config = parse((tmp_path / report.name / "config.pbtxt").read_text())
    assert config.parameters["sightline.class_names"].string_value == '["Bob\'s \\"näme\\", 1"]'
    assert report.info.preprocessing.image_size == 352
    assert report.info.source == custom.name
    assert len(report.info.source_sha256) == 64


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ({0: "person\nbicycle"}, r"'person\\nbicycle' is not allowed: it must be printable"),
        ({0: ""}, "'' is not allowed"),
        ({0: "a", 1: "a"}, "stand twice: a"),
        ({0: 7}, ("7",)),
        (["Bus, rot", "naïve 'quote' \\"], ("Bus, rot", "naïve 'quote' \\")),
    ],
)
def test_odd_class_names(names: Any, match: str | tuple[str, ...], tmp_path: Path) -> None:
    model = import_ultralytics().nn.tasks.DetectionModel("yolov8n.yaml", nc=len(names), verbose=False)
    model.names = names
    path = tmp_path / "odd.pt"
    torch.save({"model": model}, path)
    if not isinstance(match, str):
        assert load(path, ExportOptions(image_size=QUICK)).class_names == match
        return
    with pytest.raises(InvalidOptionError, match=match):
        load(path, ExportOptions(image_size=QUICK))


def test_class_names_can_be_given(custom: Path) -> None:
    assert load(custom, ExportOptions(classes=("alien",))).class_names == ("alien",)
    with pytest.raises(InvalidOptionError, match="2 class names were given; this model has 1 class"):
        load(custom, ExportOptions(classes=("alien", "bat")))


def test_only_two_branched_models_have_an_nms_free_head(custom: Path) -> None:
    with pytest.raises(InvalidOptionError, match="has no NMS-free head; leave out --nms none"):
        load(custom, ExportOptions(nms="none"))


def test_seeds_decide_over_random_weights() -> None:
    def weights(seed: int) -> bytes:
        raw = load(Path("yolov8n.yaml"), ExportOptions(image_size=QUICK, seed=seed))
        return bytes(raw.model.graph.initializer[0].SerializeToString())

    state = torch.random.get_rng_state()
    assert weights(1) == weights(1) != weights(2)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("yolov8n.pt", "ultralytics/assets/"),
        ("yolov5nu.pt", "ultralytics/assets/"),
        ("rtdetr-l.pt", "ultralytics/assets/"),
        ("yolov5n.pt", "ultralytics/yolov5/"),
        ("yolov5x6.pt", "ultralytics/yolov5/"),
        ("yolov3-spp.pt", "ultralytics/yolov3/"),
    ],
)
def test_an_official_checkpoint_without_internet(
    name: str, published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Nobody listens on the discard port, so this is a network that refuses at once.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    said = rf"could not be downloaded from https://github\.com/{published}.*without internet, copy the file here"
    with pytest.raises(CheckpointError, match=said):
        load(Path(name), ExportOptions())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["yolov8n-seg.pt", "yolov5q.pt", "elsewhere/yolov8n.pt"])
def test_other_names_are_not_looked_for(name: str) -> None:
    with pytest.raises(CheckpointError, match="does not exist; give the path"):
        load(Path(name), ExportOptions())


def test_a_size_that_is_no_multiple_of_the_stride() -> None:
    with pytest.raises(InvalidOptionError, match="no multiple of this network's stride 64; try 320"):
        load(Path("yolov8n-p6.yaml"), ExportOptions(image_size=352))


def test_ultralytics_leaves_no_traces(tmp_path: Path) -> None:
    """No settings in the user's folders, nothing printed, nothing beside the working directory's files."""
    script = (
        "from pathlib import Path; from sightline_export.sources import load;"
        "from sightline_export.options import ExportOptions;"
        "load(Path('yolov8n.yaml'), ExportOptions(image_size=320))"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    for name in ("YOLO_CONFIG_DIR", "YOLO_VERBOSE", "YOLO_AUTOINSTALL", "YOLO_OFFLINE"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "ltralytics" in str(path.relative_to(tmp_path))]
    assert left == []


@pytest.mark.parametrize(("rect", "sides"), [(None, ["height", "width"]), (False, [QUICK, QUICK])])
def test_the_traced_network_takes_any_batch(rect: bool | None, sides: list[str | int]) -> None:
    raw = load(Path("yolo11n.yaml"), ExportOptions(image_size=QUICK, rect=rect))
    (value,) = raw.model.graph.input
    assert [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] == ["batch", 3, *sides]
    onnx.checker.check_model(raw.model, full_check=True)
