"""What a run needs besides the code, made once."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from sightline.annotate import decode_upright
from sightline.errors import InvalidOptionError, MeasurementError
from sightline_bench.material.photos import find_images, photos_of_size, take
from sightline_bench.material.weights import find_weights
from sightline_bench.material.workshop import Workshop, digest_of_export, run_command
from sightline_export.sample import BUNDLED_FOLDER
from sightline_export.sources.quiet import import_ultralytics


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def workshop(tmp_path: Path, told: list[str]) -> Workshop:
    return Workshop(tmp_path / "work", told.append)


def test_things_are_made_once_and_again_when_they_would_differ(workshop: Workshop, told: list[str]) -> None:
    def make(place: Path) -> None:
        (place / "thing").write_text(str(len(told)))

    for made_of in ("one", "one", "two"):
        place = workshop.once("thing", of=[made_of], make=make)
    assert (place / "thing").read_text() == "2"
    assert told == ["making thing, once"] * 2


def test_what_was_not_finished_is_made_anew(workshop: Workshop) -> None:
    def fail(place: Path) -> None:
        (place / "half").touch()
        raise MeasurementError("it broke")

    with pytest.raises(MeasurementError, match="it broke"):
        workshop.once("thing", of=["one"], make=fail)
    place = workshop.once("thing", of=["one"], make=lambda folder: (folder / "whole").touch())
    assert (place / "whole").exists()
    assert not (place / "half").exists()


def test_scratch_is_empty_each_time(workshop: Workshop) -> None:
    (workshop.scratch("annotated") / "old.jpg").touch()
    assert not list(workshop.scratch("annotated").iterdir())


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(MeasurementError, match=r"ended with 3:\nno such checkpoint"):
        run_command(["sh", "-c", "echo no such checkpoint >&2; exit 3"])
    assert run_command(["echo", "done"]) == "done\n"


def test_the_exporter_is_told_by_its_code() -> None:
    assert digest_of_export() == digest_of_export()


def test_weights_that_are_there_are_taken(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "yolov8n.pt").touch()
    weights = find_weights("yolov8n", tmp_path, workshop)
    assert (weights.file, weights.note) == (tmp_path / "yolov8n.pt", "")


def test_weights_that_are_missing_are_replaced_and_told(workshop: Workshop, tmp_path: Path, told: list[str]) -> None:
    weights = find_weights("yolov8n", tmp_path, workshop)
    assert weights.file.is_file()
    assert weights.file.stem == "yolov8n"
    assert "no yolov8n.pt in" in weights.note
    assert "random weights" in weights.note
    assert find_weights("yolov8n", None, workshop).note.startswith("no --weights given")
    assert told == ["making yolov8n-random, once"]


def test_random_weights_can_find_as_much_as_trained_ones(workshop: Workshop) -> None:
    images = find_images(BUNDLED_FOLDER)[:8]
    weights = find_weights("yolov8n", None, workshop, realistic_in=images)
    model = import_ultralytics().YOLO(str(weights.file), task="detect")
    found = [len(model.predict(str(each), rect=False, verbose=False, device="cpu")[0].boxes) for each in images]
    assert sum(found) == pytest.approx(7 * len(images), abs=len(images))
    assert "7 objects in a picture on average" in weights.note


def test_pictures_are_spread_evenly(workshop: Workshop) -> None:
    images = [Path(f"/photos/{index}.jpg") for index in range(10)]
    few = take(workshop, images, 5)
    assert few.count == 5
    assert few.listing.read_text().split() == [f"/photos/{index}.jpg" for index in (0, 2, 4, 6, 8)]


def test_few_pictures_are_taken_again_and_again(workshop: Workshop) -> None:
    many = take(workshop, [Path("/a.jpg"), Path("/b.jpg")], 5)
    assert many.listing.read_text().split() == ["/a.jpg", "/b.jpg", "/a.jpg", "/b.jpg", "/a.jpg"]


def test_photos_are_brought_to_size(workshop: Workshop) -> None:
    drawn = sorted(BUNDLED_FOLDER.glob("*.jpg"))
    photos = photos_of_size(workshop, drawn, 3, size_hw=(108, 192))
    assert [decode_upright(photo.read_bytes()).shape for photo in photos] == [(108, 192, 3)] * 3


def test_a_picture_that_cannot_be_read_is_named(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(MeasurementError, match=r"cannot read .*broken\.jpg"):
        photos_of_size(workshop, [tmp_path / "broken.jpg"], 1, size_hw=(10, 10))


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="no pictures"):
        find_images(tmp_path)


def _fill(place: Path) -> None:
    (place / "made.txt").write_text("made", encoding="utf-8")
    time.sleep(0.2)


def _once(folder: Path) -> list[str]:
    told: list[str] = []
    Workshop(folder, told.append).once("thing", of=["all"], make=_fill)
    return told


def test_processes_make_a_thing_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        told = pool.map(_once, [tmp_path, tmp_path], chunksize=1)
    assert sorted(map(len, told)) == [0, 1]
    assert (tmp_path / "thing" / "made.txt").read_text(encoding="utf-8") == "made"


def test_what_lies_in_a_folder_is_gone_when_it_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "thing" / "old").mkdir(parents=True)
    (tmp_path / "thing" / "old.txt").write_text("old", encoding="utf-8")
    (tmp_path / "thing" / "link").symlink_to(tmp_path)
    _once(tmp_path)
    assert sorted(entry.name for entry in (tmp_path / "thing").iterdir()) == ["made.txt", "made_of.txt"]
    assert _once(tmp_path) == []
