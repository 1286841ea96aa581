"""Original YOLOv5 checkpoints: the same numbers as their own repository gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.export.original_files import as_original, save_original, tiny_network
from tests.joining_chain import JoiningChain

from sightline.boxes import pairwise_iou
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.exporter import export
from sightline_export.heads import ANCHORS_FIRST
from sightline_export.options import ExportOptions
from sightline_export.pictures import fit
from sightline_export.raw import RawNetwork
from sightline_export.session import Session
from sightline_export.sources import load

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "yolov5.json").read_text())
CHECKPOINT = "weights/yolov5n.pt"


@pytest.fixture(scope="module")
def yolov5n(shared_data: Path) -> RawNetwork:
    """The official checkpoint, which saw squares when its golden numbers were made."""
    return load(shared_data / CHECKPOINT, ExportOptions(rect=False))


def picture(shared_data: Path, name: str) -> npt.NDArray[np.uint8]:
    decoded = cv2.imread(str(shared_data / name))
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8)


def raw_of(network: RawNetwork, shared_data: Path, name: str) -> npt.NDArray[np.float32]:
    assert network.reference is not None
    fitted = network.pixels.apply(fit(picture(shared_data, name), GOLDEN["image_size"]))
    return np.asarray(network.reference.raw(fitted[None])[0])


def test_what_the_file_says(yolov5n: RawNetwork) -> None:
    assert (yolov5n.head, yolov5n.stride, yolov5n.preprocessing.image_size) == (ANCHORS_FIRST, 32, 640)
    assert len(yolov5n.class_names) == 80
    assert yolov5n.class_names[:2] == ("person", "bicycle")


@pytest.mark.parametrize("name", GOLDEN["checkpoint"])
def test_raw_numbers_of_the_original(name: str, *, yolov5n: RawNetwork, shared_data: Path) -> None:
    golden = GOLDEN["checkpoint"][name]["raw"]
    raw = raw_of(yolov5n, shared_data, name)
    assert list(raw.shape) == golden["shape"]
    means = (*raw[:, :5].mean(0, dtype=np.float64), raw[:, 5:].mean(dtype=np.float64))
    np.testing.assert_allclose(means, golden["means"], atol=1e-3)
    for row in golden["rows"]:
        values = raw[row["row"]]
        np.testing.assert_allclose(values[:5], row["box_and_objectness"], atol=5e-3)
        assert values[5:].argmax() == row["class"]
        assert values[5:].max() == pytest.approx(row["class_score"], abs=1e-4)


@pytest.mark.parametrize("name", GOLDEN["checkpoint"])
def test_detections_of_the_original(name: str, *, yolov5n: RawNetwork, shared_data: Path) -> None:
    golden = np.array(GOLDEN["checkpoint"][name]["detections"]).reshape(-1, 6)
    assert yolov5n.reference is not None
    found = yolov5n.reference.detect(picture(shared_data, name), score_threshold=GOLDEN["score_threshold"])
    assert len(golden) > 0
    assert found.class_ids.tolist() == golden[:, 5].astype(int).tolist()
    np.testing.assert_allclose(found.scores, golden[:, 4], atol=1e-4)
    # The original's way back to original pixels does not round the border as its way there does.
    assert np.diag(pairwise_iou(found.boxes_xyxy, golden[:, :4])).min() > 0.95


def test_the_graph_is_the_network(yolov5n: RawNetwork, shared_data: Path) -> None:
    assert yolov5n.reference is not None
    fitted = [fit(picture(shared_data, name), 640) for name in ("images/bus.jpg", "images/zidane.jpg")]
    pictures = np.stack([yolov5n.pixels.apply(each) for each in fitted])
    [came] = Session(yolov5n.model).run([pictures])
    np.testing.assert_allclose(came, yolov5n.reference.raw(pictures), atol=1e-2)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before PyTorch 1.6"])
@pytest.mark.parametrize("half", [True, False], ids=["half", "float"])
def test_a_checkpoint_has_the_weights_that_were_saved(half: bool, legacy: bool, tmp_path: Path) -> None:
    network = tiny_network()
    if half:
        network.half().float()
    path = save_original(tmp_path / "best.pt", network, half=half, legacy=legacy)
    raw = load(path, ExportOptions(image_size=320))
    assert raw.reference is not None
    pictures = torch.rand(2, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network.float().eval()(pictures).numpy()
    np.testing.assert_allclose(raw.reference.raw(pictures.numpy()), wanted, atol=1e-4)
    assert raw.class_names == ("alien", "bat")
    assert raw.stride == 16


def test_an_input_of_1920(tmp_path: Path) -> None:
    network = tiny_network().half().float()
    raw = load(save_original(tmp_path / "best.pt", network), ExportOptions(image_size=1920))
    assert raw.preprocessing == Preprocessing.rect(1920)
    pictures = torch.rand(1, 3, 1920, 1920, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network.float().eval()(pictures).numpy()
    # Two scales, at strides 8 and 16, with three anchors each.
    assert wanted.shape == (1, 3 * (240**2 + 120**2), 7)
    (found,) = Session(raw.model).run([pictures.numpy()])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-2)


def test_averaged_weights_come_first(tmp_path: Path) -> None:
    path = save_original(tmp_path / "last.pt", tiny_network(seed=1))
    again = save_original(tmp_path / "both.pt", tiny_network(seed=2), ema=_model(tiny_network(seed=1)))
    pictures = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    first, second = (load(each, ExportOptions(image_size=320)).reference for each in (path, again))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.raw(pictures), second.raw(pictures))


def _model(network: Any) -> Any:
    return as_original(network, names=("alien", "bat")).half()


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (['Bob\'s "näme", 1', "日本"], ('Bob\'s "näme", 1', "日本")),
        ({0: "alien", 1: "bat"}, ("alien", "bat")),
        (None, ("class_0", "class_1")),
        (["one too few"], ("class_0", "class_1")),
    ],
)
def test_class_names(names: Any, wanted: tuple[str, ...], tmp_path: Path) -> None:
    path = save_original(tmp_path / "names.pt", names=names)
    assert load(path, ExportOptions(image_size=320)).class_names == wanted
    assert load(path, ExportOptions(image_size=320, classes=("x", "y"))).class_names == ("x", "y")
    with pytest.raises(InvalidOptionError, match="1 class names were given; this model has 2 classes"):
        load(path, ExportOptions(image_size=320, classes=("x",)))


def test_a_class_name_of_two_lines_is_refused(tmp_path: Path) -> None:
    path = save_original(tmp_path / "names.pt", names=["a\nb", "c"])
    with pytest.raises(InvalidOptionError, match=r"class name 'a\\nb' is not allowed"):
        load(path, ExportOptions(image_size=320))


def test_one_class(tmp_path: Path) -> None:
    raw = load(save_original(tmp_path / "one.pt", tiny_network(1), names=["alien"]), ExportOptions(image_size=320))
    assert raw.class_names == ("alien",)
    assert Session(raw.model).run([np.zeros((1, 3, 320, 320), np.float32)])[0].shape[2] == 6


def test_the_size_that_it_was_trained_for(tmp_path: Path) -> None:
    path = save_original(tmp_path / "small.pt", opt={"imgsz": 352, "batch_size": 16})
    assert load(path, ExportOptions()).preprocessing.image_size == 352
    path = save_original(tmp_path / "odd.pt", opt={"imgsz": [640, 480]})
    assert load(path, ExportOptions()).preprocessing.image_size == 640
    with pytest.raises(InvalidOptionError, match="no multiple of this network's stride 64; try 320"):
        load(Path("original_yolov5n6.random"), ExportOptions(image_size=352))


def test_options_that_contradict_the_file(tmp_path: Path) -> None:
    path = save_original(tmp_path / "best.pt")
    assert load(path, ExportOptions(family="yolov5", image_size=320)).head is ANCHORS_FIRST
    with pytest.raises(InvalidOptionError, match="has no NMS-free head"):
        load(path, ExportOptions(nms="none"))
    with pytest.raises(InvalidOptionError, match="which tells its family itself; leave out --family"):
        load(path, ExportOptions(family="detecto"))


def test_the_served_checkpoint_is_the_original(
    shared_data: Path, tmp_path: Path, chain: JoiningChain, tmp_path_factory: pytest.TempPathFactory
) -> None:
    photos = sorted((shared_data / "coco" / "images").glob("*.jpg"))[:20]
    sample = tmp_path_factory.mktemp("photos")
    for photo in (*photos, *(shared_data / "images").glob("*.jpg")):
        (sample / photo.name).symlink_to(photo)
    report = export(shared_data / CHECKPOINT, repository=tmp_path, chain=chain, sample=sample)
    assert report.verification.outcome == "passed"
    assert report.verification.matched >= 0.99 * report.verification.reference
    assert report.verification.reference > 100


def test_every_class_of_a_box(yolov5n: RawNetwork, shared_data: Path) -> None:
    every = load(shared_data / CHECKPOINT, ExportOptions(rect=False, multi_label=True)).reference
    best = yolov5n.reference
    assert every is not None
    assert best is not None
    photo = picture(shared_data, "coco/images/000000000139.jpg")
    counts = [len(each.detect(photo, score_threshold=0.05).scores) for each in (best, every)]
    assert counts[0] < counts[1]
