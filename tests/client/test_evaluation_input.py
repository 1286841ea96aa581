"""What is read from annotations files, and which classes and files have a partner in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.client.evaluation_truth import SIZE_HW, box, content, truth, write

from sightline.errors import InvalidOptionError
from sightline.evaluation import match_categories, read_annotations, select
from sightline.evaluation.annotations import Category

CAT = box(10, 3, [1, 2, 30, 40])


def test_coco_itself(shared_data: Path) -> None:
    came = read_annotations(shared_data / "coco" / "instances.json")
    assert (len(came.images), len(came.categories), len(came.objects)) == (100, 80, 914)
    assert sum(came.objects_by_category().values()) == 903
    assert came.categories[-1] == Category(90, "toothbrush")


def test_defaults(tmp_path: Path) -> None:
    known = truth(tmp_path, [CAT, {**CAT, "area": 7, "iscrowd": 1}])
    plain, full = known.objects
    assert (plain.box_xywh, plain.area, plain.crowd) == ((1, 2, 30, 40), 1200, False)
    assert (full.area, full.crowd) == (7, True)
    assert known.images[0].size_hw == SIZE_HW


def test_ids_may_be_text_in_one_place_and_numbers_in_another(tmp_path: Path) -> None:
    known = truth(tmp_path, [box("10", "3", [1, 2, 3, 4])])
    assert (known.objects[0].image, known.objects[0].category) == (0, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": None}, "`images` is null, where a list is needed"),
        ({"categories": {"3": "cat"}}, "`categories` is an object, where a list is needed"),
        ({"annotations": [7]}, r"`annotations\[0\]` is a number, where an object is needed"),
        ({"images": [{"id": 1}]}, r"`images\[0\]\.file_name` is missing, where text is needed"),
        ({"images": [{"id": 1.5, "file_name": "a"}]}, r"`images\[0\]\.id` is 1\.5, where a whole number or text"),
        ({"images": [{"id": "1", "file_name": "a"}, {"id": 1, "file_name": "b"}]}, "`images` has id 1 more than once"),
        ({"categories": [{"id": 3, "name": " "}]}, r"`categories\[0\]\.name` is \" \", where text"),
        ({"annotations": [{**CAT, "image_id": 99}]}, r"`annotations\[0\]\.image_id` is 99, which is no id in `images`"),
        ({"annotations": [CAT, {**CAT, "category_id": "x"}]}, r"`annotations\[1\]\.category_id` is 'x', which is no"),
        ({"annotations": [{"image_id": 10, "category_id": 3}]}, r"`annotations\[0\]\.bbox` is missing, where \[left"),
        ({"annotations": [box(10, 3, [1, 2, 3])]}, r"bbox` is \[1, 2, 3\], where \[left, top, width, height\]"),
        ({"annotations": [box(10, 3, [1, 2, -3, 4])]}, "none negative in size"),
        ({"annotations": [box(10, 3, [1, 2, float("nan"), 4])]}, "none negative in size"),
        ({"annotations": [{**CAT, "area": -1}]}, r"`annotations\[0\]\.area` is -1, where a number of at least 0"),
        ({"annotations": [{**CAT, "iscrowd": "no"}]}, r"iscrowd` is \"no\", where a number"),
    ],
)
def test_every_fault_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = write(tmp_path, {**content([CAT]), **change})
    with pytest.raises(InvalidOptionError, match=reason):
        read_annotations(path)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="it holds a list, not an object with the lists images, categories"):
        read_annotations(write(tmp_path, []))
    with pytest.raises(InvalidOptionError, match="`images` is missing"):
        read_annotations(write(tmp_path, {}))
    with pytest.raises(InvalidOptionError, match=r"cannot read the annotations .*No such file"):
        read_annotations(tmp_path / "absent.json")
    cut = tmp_path / "cut.json"
    cut.write_text('{"images": [')
    with pytest.raises(InvalidOptionError, match=r"are not JSON: .*line 1 column"):
        read_annotations(cut)
    cut.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InvalidOptionError, match="are not JSON"):
        read_annotations(cut)


def categories(*names: str) -> list[Category]:
    return [Category(10 * index, name) for index, name in enumerate(names)]


def test_names_that_are_equal_win() -> None:
    came = match_categories(["tv", "TV"], categories("TV", "tv"))
    assert came.category_of_class == (1, 0)
    assert came.loose == ()


def test_names_may_differ_in_case_and_spaces() -> None:
    came = match_categories(
        ["Traffic_Light", "dining table", "ufo"], categories("traffic light", "cat", "dining-table ")
    )
    assert came.category_of_class == (0, 2, None)
    assert came.loose == (("Traffic_Light", "traffic light"), ("dining table", "dining-table "))
    assert came.classes_left_over == ("ufo",)
    assert came.categories_left_over == (1,)


def test_no_name_in_common() -> None:
    with pytest.raises(InvalidOptionError, match=r"the detector knows ufo, alien; the annotations have cat, dog"):
        match_categories(["ufo", "alien"], categories("cat", "dog"))
    with pytest.raises(InvalidOptionError, match=r"the detector knows 0, .*, 9 and 20 more; the annotations have none"):
        match_categories([str(index) for index in range(30)], [])


@pytest.mark.parametrize(
    ("classes", "known"),
    [(["T V"], ["tv", "TV"]), (["T V", "t_v"], ["tv"]), (["tv"], ["tv", "tv"])],
)
def test_names_that_several_share(classes: list[str], known: list[str]) -> None:
    with pytest.raises(InvalidOptionError, match="it cannot be told which is which"):
        match_categories(classes, categories(*known))


def test_files_and_images(tmp_path: Path) -> None:
    known = truth(tmp_path, [CAT, box(20, 17, [1, 2, 3, 4])], images=(5, 10, 20))
    came = select(["photos/20.jpg", "photos/other.jpg", "photos/5.jpg", "photos/20.jpg"], known)
    assert came.image_of_path == {"photos/20.jpg": 1, "photos/5.jpg": 0}
    assert [image.id for image in came.truth.images] == [5, 20]
    assert [(each.image, each.category) for each in came.truth.objects] == [(1, 1)]
    assert came.not_annotated == {"photos/other.jpg": "the annotations have no image called other.jpg"}
    assert came.not_given == ("10.jpg",)


def test_two_files_of_the_same_image(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match=r"a/10\.jpg and b/10\.jpg are both 10\.jpg of the annotations"):
        select(["a/10.jpg", "b/10.jpg"], truth(tmp_path, [CAT]))


def test_no_file_of_the_annotations(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match=r"files: 1, such as a\.jpg; images .*: 2, such as 10\.jpg"):
        select(["a.jpg"], truth(tmp_path, [CAT]))
    with pytest.raises(InvalidOptionError, match="files: none"):
        select([], truth(tmp_path, [CAT]))
