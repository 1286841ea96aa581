"""Every writer by itself."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.detections import Detections, Result
from sightline.errors import (
    ContractMismatchError,
    CorruptImageError,
    InvalidOptionError,
    OutputError,
    ServerBusyError,
    SightlineError,
)
from sightline.writers import AnnotatedWriter, CocoIds, CocoWriter, ErrorLog, JsonLinesWriter, YoloWriter
from sightline.writers.files import OutputNames, encode_json, write_whole
from sightline.writers.jsonl import error_kind

NAMES = ("person", "car")


def result(source: str | Path = "a.jpg", *, count: int = 2, size_hw: tuple[int, int] = (100, 200)) -> Result:
    boxes = np.array([[10, 20, 30.123456, 60], [0, 0, 200, 100]], np.float32)[:count]
    scores = np.array([0.87654321, 0.25], np.float32)[:count]
    return Result(source, Detections(boxes, scores, np.array([1, 0], np.int32)[:count], NAMES, size_hw))


def lines(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def test_one_json_object_a_line(tmp_path: Path) -> None:
    with JsonLinesWriter(tmp_path / "new" / "folder") as writer:
        writer.write(result())
        writer.write(result(Path("b.jpg"), count=0))
    first, second = lines(tmp_path / "new" / "folder" / "results.jsonl")
    assert first == {
        "source": "a.jpg",
        "width": 200,
        "height": 100,
        "detections": [
            {"box_xyxy": [10.0, 20.0, 30.12, 60.0], "score": 0.87654, "class_id": 1, "class_name": "car"},
            {"box_xyxy": [0.0, 0.0, 200.0, 100.0], "score": 0.25, "class_id": 0, "class_name": "person"},
        ],
    }
    assert list(first) == ["source", "width", "height", "detections"]
    assert second == {"source": "b.jpg", "width": 200, "height": 100, "detections": []}


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    for source in ("old.jpg", "new.jpg"):
        with JsonLinesWriter(tmp_path) as writer:
            writer.write(result(source))
    assert [line["source"] for line in lines(tmp_path / "results.jsonl")] == ["new.jpg"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CorruptImageError("x"), "corrupt"),
        (ServerBusyError("x"), "server-busy"),
        (OutputError("x"), "write-failed"),
        (ContractMismatchError("x"), "contract-mismatch"),
        (SightlineError("x"), "sightline"),
    ],
)
def test_error_kinds(error: SightlineError, kind: str) -> None:
    assert error_kind(error) == kind


def test_errors_are_one_object_a_line(tmp_path: Path) -> None:
    log = ErrorLog(tmp_path)
    assert lines(log.path) == []
    log.add("broken.jpg", CorruptImageError("ends after 10 of 20 rows\nreally"))
    log.close()
    assert lines(log.path) == [
        {"source": "broken.jpg", "error": "corrupt", "reason": "ends after 10 of 20 rows\nreally"}
    ]


@pytest.mark.parametrize(
    "name",
    [
        "with space.jpg",
        "größe 日本.jpg",
        "new\nline.jpg",
        'quo"te\\.jpg',
        "line\u2028separator\x85.jpg",
        os.fsdecode(b"\xff\xfe.jpg"),
    ],
)
def test_any_name_survives_on_one_line(name: str) -> None:
    encoded = encode_json({"source": name})
    assert len(encoded.decode().splitlines()) == 1
    assert json.loads(encoded)["source"] == name


def test_names_stay_readable() -> None:
    assert "größe 日本".encode() in encode_json({"source": "größe 日本"})


def test_a_killed_run_leaves_whole_lines(tmp_path: Path) -> None:
    code = """
        import sys, numpy as np
        from pathlib import Path, PurePath
        from sightline.detections import Detections, Result
        from sightline.writers import JsonLinesWriter
        many = Detections(np.ones((50, 4), np.float32), np.ones(50, np.float32), np.zeros(50, np.int32), ("a",), (9, 9))
        writer = JsonLinesWriter(Path(sys.argv[1]))
        for number in range(10**9):
            writer.write(Result(f"{number}.jpg", many))
            if number == 20:
                print("going", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"going\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    written = lines(tmp_path / "results.jsonl")
    assert len(written) > 20
    assert [line["source"] for line in written] == [f"{number}.jpg" for number in range(len(written))]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the file's size refuses the third line in the middle, as a full disk would."""
    writer = JsonLinesWriter(tmp_path)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        writer.write(result("1.jpg"))
        size = (tmp_path / "results.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * 5 // 2, before[1]))
        writer.write(result("2.jpg"))
        with pytest.raises(OutputError, match=r"cannot write .*results\.jsonl: File too large"):
            writer.write(result("3.jpg"))
        writer.write(Result("4", Detections.none(class_names=NAMES, image_size_hw=(1, 1))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
        writer.close()
    assert [line["source"] for line in lines(tmp_path / "results.jsonl")] == ["1.jpg", "2.jpg", "4"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder .*file"):
        JsonLinesWriter(tmp_path / "file")
    (tmp_path / "results.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*results\.jsonl: Is a directory"):
        JsonLinesWriter(tmp_path)


def test_a_failed_file_leaves_the_old_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.txt", b"old")
    (tmp_path / "a" / "c").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_whole(tmp_path / "a" / "c", b"a folder is in the way")
    with pytest.raises(OutputError, match="cannot write"):
        write_whole(tmp_path / "a" / "b.txt" / "d.txt", b"a file is in the way")
    write_whole(tmp_path / "a" / "b.txt", b"new")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"new"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.txt", "c"]


def test_output_names_mirror_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = OutputNames(Path("photos"))
    assert str(names.claim("photos/x.jpg")) == "x"
    assert names.claim("photos/a/x.jpg") == PurePath("a/x")
    assert names.claim(tmp_path / "photos" / "b" / "x.tar.jpg") == PurePath("b/x.tar")
    assert names.claim("elsewhere/x.jpg").parts[-2:] == ("elsewhere", "x")
    assert not names.claim("../../x.jpg").is_absolute()
    assert ".." not in names.claim("photos/../../x.jpg").parts


def test_output_names_are_never_shared() -> None:
    names = OutputNames(Path("photos"))
    claimed = [str(names.claim(f"photos/{name}")) for name in ("x.jpg", "x.png", "X.JPG", "x", "x_png.gif", "x.jpg")]
    assert claimed == ["x", "x_png", "X_JPG", "x_2", "x_png_gif", "x"]


def test_yolo_labels(tmp_path: Path) -> None:
    with YoloWriter(tmp_path, base=Path("photos")) as writer:
        writer.write(result("photos/sub/a.jpg"))
        writer.write(result("photos/none.png", count=0))
    assert (tmp_path / "labels" / "sub" / "a.txt").read_text().splitlines() == [
        "1 0.100309 0.400000 0.100617 0.400000",
        "0 0.500000 0.500000 1.000000 1.000000",
    ]
    assert (tmp_path / "labels" / "none.txt").read_text() == ""
    assert (tmp_path / "classes.txt").read_text() == "person\ncar\n"


def test_yolo_labels_with_scores(tmp_path: Path) -> None:
    YoloWriter(tmp_path, base=Path(), with_scores=True).write(result())
    assert (tmp_path / "labels" / "a.txt").read_text().splitlines()[
        0
    ] == "1 0.100309 0.400000 0.100617 0.400000 0.876543"


def test_numbered_coco_results(tmp_path: Path) -> None:
    with CocoWriter(tmp_path) as writer:
        writer.write(result("b.jpg"))
        assert not (tmp_path / "coco_results.json").exists()
        writer.write(result("none.jpg", count=0))
        writer.write(result("a.jpg", count=1))
    assert json.loads((tmp_path / "coco_results.json").read_bytes()) == [
        {"image_id": 1, "category_id": 2, "bbox": [10.0, 20.0, 20.12, 40.0], "score": 0.87654},
        {"image_id": 1, "category_id": 1, "bbox": [0.0, 0.0, 200.0, 100.0], "score": 0.25},
        {"image_id": 3, "category_id": 2, "bbox": [10.0, 20.0, 20.12, 40.0], "score": 0.87654},
    ]
    numbered = json.loads((tmp_path / "coco_images.json").read_bytes())
    assert [image["file_name"] for image in numbered["images"]] == ["b.jpg", "none.jpg", "a.jpg"]
    assert numbered["images"][0] == {"id": 1, "file_name": "b.jpg", "width": 200, "height": 100}
    assert numbered["categories"] == [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}]
    assert not list(tmp_path.glob("*.part"))


def test_no_coco_results(tmp_path: Path) -> None:
    CocoWriter(tmp_path).close()
    assert json.loads((tmp_path / "coco_results.json").read_bytes()) == []
    assert json.loads((tmp_path / "coco_images.json").read_bytes())["images"] == []


def test_coco_results_with_annotations(tmp_path: Path, shared_data: Path) -> None:
    """The ids are COCO's own, and its evaluation reads the file."""
    annotations = shared_data / "coco" / "instances.json"
    truth = json.loads(annotations.read_bytes())
    by_id = {category["id"]: category["name"] for category in truth["categories"]}
    names = tuple(by_id.values())
    with CocoWriter(tmp_path, ids=CocoIds.from_annotations(annotations)) as writer:
        for image in truth["images"]:
            own = [each for each in truth["annotations"] if each["image_id"] == image["id"] and not each["iscrowd"]]
            corners = [[x, y, x + w, y + h] for x, y, w, h in (each["bbox"] for each in own)]
            detections = Detections(
                np.array(corners, np.float32).reshape(-1, 4),
                np.ones(len(own), np.float32),
                np.array([names.index(by_id[each["category_id"]]) for each in own], np.int32),
                names,
                (image["height"], image["width"]),
            )
            writer.write(Result(f"somewhere/{image['file_name']}", detections))
    assert not (tmp_path / "coco_images.json").exists()
    assert not writer.left_out
    from faster_coco_eval import COCO, COCOeval_faster

    ours = COCO(str(annotations))
    evaluation = COCOeval_faster(ours, ours.loadRes(str(tmp_path / "coco_results.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0, abs=1e-6)


def annotations_file(folder: Path, content: object) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def test_coco_images_by_name_and_folder(tmp_path: Path) -> None:
    content = {
        "images": [
            {"id": 7, "file_name": "train/a.jpg"},
            {"id": 8, "file_name": "val/a.jpg"},
            {"id": 9, "file_name": "val/only.jpg"},
        ],
        "categories": [{"id": 44, "name": "car"}],
    }
    ids = CocoIds.from_annotations(annotations_file(tmp_path, content))
    assert ids.image_id("/data/val/a.jpg") == 8
    assert ids.image_id(Path("train/a.jpg")) == 7
    assert ids.image_id("only.jpg") == 9
    with pytest.raises(OutputError, match=r"several images called a\.jpg"):
        ids.image_id("a.jpg")
    with pytest.raises(OutputError, match=r"no image called b\.jpg"):
        ids.image_id("val/b.jpg")
    with CocoWriter(tmp_path, ids=ids) as writer:
        writer.write(result("only.jpg"))
    assert [each["category_id"] for each in json.loads((tmp_path / "coco_results.json").read_bytes())] == [44]
    assert writer.left_out == {"person": 1}


@pytest.mark.parametrize(
    "content", [[], {}, {"images": [{"id": 1}], "categories": []}, {"images": 3, "categories": []}]
)
def test_other_json_is_no_annotations_file(tmp_path: Path, content: object) -> None:
    with pytest.raises(InvalidOptionError, match="no COCO annotations file"):
        CocoIds.from_annotations(annotations_file(tmp_path, content))


def test_annotations_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="cannot read the annotations"):
        CocoIds.from_annotations(tmp_path / "missing.json")
    (tmp_path / "text.json").write_text("no json")
    with pytest.raises(InvalidOptionError, match="no COCO annotations file"):
        CocoIds.from_annotations(tmp_path / "text.json")


def test_annotated_pictures(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "awkward" / "orientation" / "Portrait_6.jpg"
    with AnnotatedWriter(tmp_path, base=shared_data) as writer:
        writer.write(result(source, size_hw=(1800, 1200)))
    picture = cv2.imread(
        str(tmp_path / "annotated" / "awkward" / "orientation" / "Portrait_6.jpg"), cv2.IMREAD_UNCHANGED
    )
    assert picture is not None
    assert picture.shape == (1800, 1200, 3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("awkward/nowhere.jpg", "cannot read the picture again: No such file"),
        ("README.md", "OpenCV cannot decode"),
        ("images/bus.jpg", "was the file changed"),
    ],
)
def test_pictures_that_cannot_be_annotated(tmp_path: Path, shared_data: Path, source: str, message: str) -> None:
    writer = AnnotatedWriter(tmp_path, base=shared_data)
    with pytest.raises(OutputError, match=message):
        writer.write(result(shared_data / source))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("quality", [0, 101])
def test_jpeg_quality_has_limits(tmp_path: Path, quality: int) -> None:
    with pytest.raises(InvalidOptionError, match="from 1 to 100"):
        AnnotatedWriter(tmp_path, base=tmp_path, jpeg_quality=quality)
