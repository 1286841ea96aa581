"""What a group finds, as values and on disk; no server is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightline import Detections, GroupDetections, Result, job
from sightline.errors import CorruptImageError, InvalidOptionError, OutputError
from sightline.writers import (
    AnnotatedWriter,
    CocoIds,
    CocoWriter,
    ErrorLog,
    GroupWriter,
    JsonLinesWriter,
    Writer,
    WriterPool,
    YoloWriter,
)
from sightline.writers.annotated import SharedPicture
from sightline.writers.base import Write

SIZE_HW = (100, 200)
PETS, CARS = ("cat", "dog"), ("car",)


def found(names: tuple[str, ...], *class_ids: int, size_hw: tuple[int, int] = SIZE_HW) -> Detections:
    count = len(class_ids)
    boxes = np.tile(np.array([10, 20, 30, 60], np.float32), (count, 1))
    return Detections(
        boxes, np.linspace(0.9, 0.5, count).astype(np.float32), np.array(class_ids, np.int32), names, size_hw
    )


def grouped() -> GroupDetections:
    return GroupDetections({"pets.v2": found(PETS, 0, 1), "cars": found(CARS, 0)})


def result(source: str | Path = "a.jpg") -> Result:
    return Result(source, group=grouped(), milliseconds=5.0)


def test_one_detections_per_model_in_the_groups_order() -> None:
    both = grouped()
    assert list(both) == ["pets.v2", "cars"]
    assert [len(each) for each in both.values()] == [2, 1]
    assert both["cars"].class_names == CARS
    assert both.image_size_hw == SIZE_HW
    with pytest.raises(KeyError):
        both["fleet"]
    assert {both: 1}[GroupDetections(dict(both))] == 1


@pytest.mark.parametrize("by_model", [{}, {"a": found(PETS), "b": found(PETS, size_hw=(9, 9))}], ids=["none", "sizes"])
def test_what_belongs_to_no_image_is_refused(by_model: dict[str, Detections]) -> None:
    with pytest.raises(InvalidOptionError, match="belong to one image"):
        GroupDetections(by_model)


def test_only_some_classes() -> None:
    some = grouped().only_classes(["dog", "car"])
    assert {model: each.class_ids.tolist() for model, each in some.items()} == {"pets.v2": [1], "cars": [0]}
    assert [len(each) for each in grouped().only_classes(["car"]).values()] == [0, 1]
    with pytest.raises(InvalidOptionError, match="no class 'bus'; it knows: cat, dog, car"):
        grouped().only_classes(["bus"])


def test_a_result_is_of_a_detector_or_of_a_group() -> None:
    assert result().unwrap_group()["cars"].class_names == CARS
    with pytest.raises(InvalidOptionError, match=r"take unwrap_group\(\)"):
        result().unwrap()
    one = Result("a.jpg", found(PETS, 0))
    assert len(one.unwrap()) == 1
    with pytest.raises(InvalidOptionError, match=r"take unwrap\(\)"):
        one.unwrap_group()
    with pytest.raises(CorruptImageError):
        Result("a.jpg", error=CorruptImageError("x")).unwrap_group()
    with pytest.raises(InvalidOptionError, match="a result has either"):
        Result("a.jpg", found(PETS), group=grouped())
    assert Result.of("a.jpg", grouped()).group is not None
    assert Result.of("a.jpg", found(PETS)).detections is not None


def test_one_field_per_model(tmp_path: Path) -> None:
    with JsonLinesWriter(tmp_path) as writer:
        writer.write(result())
    (line,) = lines(tmp_path / "results.jsonl")
    assert list(line) == ["source", "width", "height", "models"]
    assert list(line["models"]) == ["pets.v2", "cars"]
    assert [thing["class_name"] for thing in line["models"]["pets.v2"]] == ["cat", "dog"]
    assert line["models"]["cars"][0] == {
        "box_xyxy": [10.0, 20.0, 30.0, 60.0],
        "score": 0.9,
        "class_id": 0,
        "class_name": "car",
    }


def test_one_folder_per_model(tmp_path: Path) -> None:
    picture = tmp_path / "photos" / "sub" / "a.jpg"
    picture.parent.mkdir(parents=True)
    assert cv2.imwrite(str(picture), np.zeros((*SIZE_HW, 3), np.uint8))
    out = tmp_path / "out"
    makers: list[Any] = [
        CocoWriter,
        lambda folder: YoloWriter(folder, base=tmp_path / "photos"),
        lambda folder: AnnotatedWriter(folder, base=tmp_path / "photos"),
    ]
    writers = [GroupWriter(out, grouped(), make) for make in makers]
    assert [(writer.name, writer.in_order) for writer in writers] == [
        (kind.name, kind.in_order) for kind in (CocoWriter, YoloWriter, AnnotatedWriter)
    ]
    with WriterPool(writers, errors=ErrorLog(out)) as pool:
        pool.submit(result(picture))
    assert (pool.done, pool.failed, pool.unlogged) == (1, 0, [])
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    files = ("coco_results.json", "coco_images.json", "labels/sub/a.txt", "classes.txt", "annotated/sub/a.jpg")
    assert written == {"errors.jsonl", *(f"{model}/{file}" for model in grouped() for file in files)}
    assert (out / "cars" / "classes.txt").read_text() == "car\n"
    assert len((out / "pets.v2" / "labels" / "sub" / "a.txt").read_text().splitlines()) == 2
    categories = json.loads((out / "pets.v2" / "coco_images.json").read_text())["categories"]
    assert [category["name"] for category in categories] == list(PETS)
    pets, cars = (cv2.imread(str(out / model / "annotated" / "sub" / "a.jpg")) for model in grouped())
    assert pets is not None
    assert cars is not None
    assert (pets != cars).any()


class RemovesTheFile(AnnotatedWriter):
    """Takes the picture's file away as soon as one member has drawn it."""

    def prepare_sharing(self, result: Result, decoded: SharedPicture) -> Write:
        write = super().prepare_sharing(result, decoded)

        def then_remove() -> None:
            write()
            Path(result.source).unlink(missing_ok=True)

        return then_remove


def test_members_draw_into_one_decoded_picture_and_not_over_each_other(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    cv2.imwrite(str(source), np.full((*SIZE_HW, 3), 90, np.uint8))
    for model, detections in grouped().items():
        AnnotatedWriter(tmp_path / "alone" / model, base=tmp_path).write(Result(source, detections))
    together = tmp_path / "together"
    GroupWriter(together, grouped(), lambda folder: RemovesTheFile(folder, base=tmp_path)).write(result(source))
    assert not source.exists()
    for model in grouped():
        drawn = [folder / model / "annotated" / "a.jpg" for folder in (together, tmp_path / "alone")]
        assert drawn[0].read_bytes() == drawn[1].read_bytes()


def test_ids_of_annotations_are_those_of_each_members_classes(tmp_path: Path) -> None:
    annotations = tmp_path / "truth.json"
    content = {"images": [{"id": 7, "file_name": "a.jpg"}], "categories": [{"id": 90, "name": "dog"}]}
    annotations.write_text(json.dumps(content))
    ids = CocoIds.from_annotations(annotations)
    with GroupWriter(tmp_path, grouped(), lambda folder: CocoWriter(folder, ids=ids)) as writer:
        writer.write(result())
    pets = json.loads((tmp_path / "pets.v2" / "coco_results.json").read_text())
    assert [(each["image_id"], each["category_id"]) for each in pets] == [(7, 90)]
    assert json.loads((tmp_path / "cars" / "coco_results.json").read_text()) == []
    left_out = {model: dict(each.left_out) for model, each in writer.members.items() if isinstance(each, CocoWriter)}
    assert left_out == {"pets.v2": {"cat": 1}, "cars": {"car": 1}}


def test_what_one_member_cannot_write_keeps_no_other_from_it(tmp_path: Path) -> None:
    writer = GroupWriter(tmp_path, grouped(), lambda folder: YoloWriter(folder, base=tmp_path))
    labels = tmp_path / "pets.v2" / "labels"
    labels.rmdir()
    labels.write_text("in the way")
    with pytest.raises(OutputError, match=r"^pets\.v2: cannot write .*a\.txt"):
        writer.write(result(tmp_path / "a.jpg"))
    assert (tmp_path / "cars" / "labels" / "a.txt").read_text().startswith("0 ")


def test_a_group_that_was_made_anew_meanwhile_is_not_written_in_part(tmp_path: Path) -> None:
    pool = WriterPool([GroupWriter(tmp_path, ["pets.v2", "boats"], CocoWriter)], errors=ErrorLog(tmp_path))
    with pool:
        pool.submit(result())
    assert (pool.done, pool.failed) == (0, 1)
    (line,) = lines(tmp_path / "errors.jsonl")
    assert "the group has other members (pets.v2, cars) than when this run began (pets.v2, boats)" in line["reason"]
    assert json.loads((tmp_path / "pets.v2" / "coco_results.json").read_text()) == []


def test_a_single_detectors_result_has_no_place_in_it(tmp_path: Path) -> None:
    writer: Writer = GroupWriter(tmp_path, grouped(), CocoWriter)
    with pytest.raises(InvalidOptionError, match="result of one detector"):
        writer.write(Result("a.jpg", found(PETS)))
    with pytest.raises(InvalidOptionError, match="a group has members"):
        GroupWriter(tmp_path, [], CocoWriter)


def test_a_run_counts_by_class_and_by_model(tmp_path: Path) -> None:
    rows: list[job.Row] = []
    pool = WriterPool([JsonLinesWriter(tmp_path)], errors=ErrorLog(tmp_path))
    results = [result("a.jpg"), Result("b.jpg", error=CorruptImageError("truncated")), result("c.jpg")]
    report = job.run(results, pool=pool, classes=["dog", "car"], watchers=[rows.append])
    assert (report.done, report.failed) == (2, 1)
    assert report.objects == {"dog": 2, "car": 2}
    assert report.models == {"pets.v2": 2, "cars": 2}
    assert "4 objects: 2 by pets.v2, 2 by cars" in report.summary()
    assert [row.objects for row in rows] == [2, 0, 2]
    assert rows[0].best_score == pytest.approx(0.9)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
