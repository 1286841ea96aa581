"""Groups in a model repository: what is written, what is refused, and that they stay in step with their members."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.export.lint_repository import INFO, change_config, write_good_repository

from sightline import contract
from sightline.cli import cli
from sightline.contract import MEMBERS_PARAMETER
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, ExportError, InvalidOptionError
from sightline.groups import group_outputs, parse_members, preprocessings
from sightline.preprocessing import Preprocessing
from sightline_export import config
from sightline_export.group_config import group_config, groups_in
from sightline_export.groups import install_group, remove_group
from sightline_export.lint import lint
from sightline_export.repository import install_detector
from sightline_export.sizing import size_repository

SMALL = replace(INFO, class_names=("helmet",), preprocessing=Preprocessing.letterbox(320), max_detections=7)
FEW = replace(INFO, class_names=("a", "b", "c"), max_detections=20, precision="bf16")
MEMBERS = {"first": INFO, "few.v2": FEW}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    for name, info in {**MEMBERS, "small": SMALL}.items():
        write_good_repository(folder, detector=name, info=info)
    install_group(folder, "fleet", list(MEMBERS))
    return folder


@pytest.fixture
def repository(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "repository")


def read(repository: Path, name: str) -> Any:
    return config.parse((repository / name / config.CONFIG_FILE).read_text())


def group(*words: object) -> Any:
    return CliRunner().invoke(cli, ["group", *map(str, words)])


def test_members_of_one_size_share_the_decode(repository: Path) -> None:
    written = read(repository, "fleet")
    letterbox, *networks = written.ensemble_scheduling.step
    assert letterbox.model_name == "letterbox_640"
    assert [step.model_name for step in networks] == ["first_net", "few.v2_net"]
    pictures = letterbox.output_map["images"]
    assert [step.input_map["images"] for step in networks] == [pictures, pictures]
    assert [step.input_map["score_threshold"] for step in networks] == ["score_threshold"] * 2
    assert networks[1].output_map["boxes"] == "few.v2.boxes"
    assert {tensor.name: list(tensor.dims) for tensor in written.output if tensor.name.endswith("boxes")} == {
        "first.boxes": [300, 4],
        "few.v2.boxes": [20, 4],
    }
    assert [tensor.name for tensor in written.output] == [spec.name for spec in group_outputs(MEMBERS)]
    assert [tensor.name for tensor in written.input] == [spec.name for spec in contract.ensemble_inputs()]
    assert lint(repository) == []


def test_members_of_different_size_decode_by_themselves(repository: Path) -> None:
    made = install_group(repository, "mixed", ["first", "small"])
    assert preprocessings(made.members) == {INFO.preprocessing: ("first",), SMALL.preprocessing: ("small",)}
    large, small, *networks = read(repository, "mixed").ensemble_scheduling.step
    assert (large.model_name, small.model_name) == ("letterbox_640", "letterbox_320")
    assert networks[0].input_map["images"] == large.output_map["images"]
    assert networks[1].input_map["images"] == small.output_map["images"]
    assert networks[1].input_map["original_shape"] == small.output_map["original_shape"]
    assert lint(repository) == []


def test_members_that_see_rectangles_share_them(repository: Path) -> None:
    rect = replace(INFO, preprocessing=Preprocessing.rect())
    for name in ("wide", "wider"):
        write_good_repository(repository, detector=name, info=rect)
    made = install_group(repository, "panorama", ["wide", "wider", "first"])
    assert preprocessings(made.members) == {rect.preprocessing: ("wide", "wider"), INFO.preprocessing: ("first",)}
    seen, _, wide, wider, first = read(repository, "panorama").ensemble_scheduling.step
    assert seen.model_name == "rect_640_32"
    assert wide.input_map["rectangle"] == wider.input_map["rectangle"] == seen.output_map["rectangle"]
    assert "rectangle" not in first.input_map
    assert lint(repository) == []


def test_a_group_takes_as_many_images_as_each_member_can() -> None:
    large = replace(INFO, preprocessing=Preprocessing.letterbox(1280))
    assert group_config("g", {"a": INFO, "b": large}).max_batch_size == large.preprocessing.max_batch_size
    resized = replace(INFO, preprocessing=Preprocessing.resize(shorter=800, longest=1333))
    assert group_config("g", {"a": INFO, "b": resized}).max_batch_size == 1


def test_it_names_its_members_and_nothing_else(repository: Path) -> None:
    parameters = {key: value.string_value for key, value in read(repository, "fleet").parameters.items()}
    assert parse_members(parameters) == ("first", "few.v2")
    assert parse_members({**parameters, MEMBERS_PARAMETER: '["a","b"]'}) == ("a", "b")
    assert parse_members(INFO.to_parameters()) is None


@pytest.mark.parametrize("text", ["", "[]", '["a"]', '["a", "a"]', '["a", 1]', '{"a": 1, "b": 2}', '"ab"'])
def test_members_that_cannot_be_read(repository: Path, text: str) -> None:
    parameters = {key: value.string_value for key, value in read(repository, "fleet").parameters.items()}
    with pytest.raises(ContractMismatchError, match="members cannot be read"):
        parse_members({**parameters, MEMBERS_PARAMETER: text})
    with pytest.raises(ContractMismatchError, match="contract version is missing"):
        parse_members({MEMBERS_PARAMETER: text})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["new", "first"], "a group of first is none: name at least 2"),
        (["new"], "a group of nothing is none"),
        (["new", "first", "first"], "'first' is named twice"),
        (["new", "first", "firts"], "no detector 'firts'; did you mean 'first'?"),
        (["new", "first", "first_net"], "no detector 'first_net'"),
        (["new", "first", "letterbox_640"], "no detector 'letterbox_640'"),
        (["new", "first", "fleet"], "'fleet' is a group"),
        (["fleet", "first", "small"], "is there already; add --replace"),
        (["fleet", "first", "fleet", "--replace"], "'fleet' is a group"),
        (["small", "first", "few.v2", "--replace"], "is a detector and is left alone"),
        (["foreign", "first", "few.v2", "--replace"], "is no group and is left alone"),
        (["a-b", "first", "few.v2"], "model name 'a-b' is not allowed"),
        (["small", "--remove"], "small is no group; groups of this repository: fleet"),
        (["nothing", "--remove"], "nothing is not there"),
        (["fleet", "first", "--remove"], "--remove takes the group's name and nothing else"),
        (["fleet", "--replace", "--remove"], "--remove takes the group's name and nothing else"),
    ],
)
def test_what_is_refused_changes_nothing(repository: Path, words: list[str], message: str) -> None:
    (repository / "foreign").mkdir()
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    done = group(*words, "--repository", repository)
    assert done.exit_code in (1, 2)
    assert message in f"{done.output} {done.exception}"
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*") if path != repository} == {
        path: time for path, time in before.items() if path != repository
    }


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="is no folder of models"):
        install_group(tmp_path / "absent", "fleet", ["a", "b"])


def test_a_member_whose_decoder_is_gone(repository: Path) -> None:
    shutil.rmtree(repository / "letterbox_320")
    with pytest.raises(ExportError, match="letterbox_320 is missing, which decodes for small"):
        install_group(repository, "mixed", ["first", "small"])


def test_replaced_and_removed(repository: Path) -> None:
    assert install_group(repository, "fleet", ["small", "first"], replace=True).replaced
    assert groups_in(repository) == {"fleet": ("small", "first")}
    remove_group(repository, "fleet")
    assert groups_in(repository) == {}
    assert {path.name for path in repository.iterdir()} >= {"small", "small_net", "first", "first_net"}
    assert [path for path in repository.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "info",
    [
        replace(FEW, max_detections=33),
        replace(FEW, preprocessing=Preprocessing.letterbox(320)),
        replace(FEW, preprocessing=Preprocessing.stretch(640)),
        replace(FEW, class_names=("z",)),
    ],
    ids=["detections", "size", "kind", "classes"],
)
def test_a_member_that_is_exported_again_is_taken_over(repository: Path, info: DetectorInfo) -> None:
    write_good_repository(repository, detector="few.v2", info=info)
    assert read(repository, "fleet") == group_config("fleet", {"first": INFO, "few.v2": info})
    assert [finding for finding in lint(repository) if finding.severity == "error"] == []


def test_an_export_tells_what_became_of_groups(repository: Path) -> None:
    install_group(repository, "mixed", ["first", "small"])
    shutil.rmtree(repository / "small_net")
    installed = install_detector(repository, "first", b"graph", INFO)
    assert (installed.groups, installed.broken_groups) == (("fleet",), ("mixed",))
    assert install_detector(repository, "other", b"graph", INFO).groups == ()


def test_an_export_does_not_replace_a_group(repository: Path) -> None:
    with pytest.raises(ExportError, match=r"fleet is a group of detectors and is left alone.*sightline group fleet"):
        install_detector(repository, "fleet", b"graph", INFO)
    assert groups_in(repository) == {"fleet": ("first", "few.v2")}


def test_the_fix_that_check_names_works(repository: Path) -> None:
    shutil.rmtree(repository / "small_net")
    shutil.rmtree(repository / "small")
    change_config(repository / "few.v2_net", lambda c: c.output[1].dims.__setitem__(0, 5))
    change_config(repository / "fleet", lambda c: c.output[0].dims.__setitem__(0, 2))
    findings = {finding.rule: finding for finding in lint(repository) if finding.model == "fleet"}
    assert set(findings) == {"group-stale"}
    words = findings["group-stale"].fix.split()
    assert words[:3] == ["sightline", "group", "fleet"]
    assert CliRunner().invoke(cli, words[1:]).exit_code == 0
    assert [finding for finding in lint(repository) if finding.model == "fleet"] == []


def test_what_lies_between_models_is_sized_as_for_the_members(repository: Path) -> None:
    with_group = size_repository(repository, max_image_bytes=1000)
    remove_group(repository, "fleet")
    assert size_repository(repository, max_image_bytes=1000) == with_group


def test_the_command_tells_what_is_shared(repository: Path) -> None:
    one = group("alike", "first", "few.v2", "--repository", repository)
    assert one.exit_code == 0
    assert "alike is ready: 2 detectors on one decode" in one.output
    assert "note:" not in one.output
    two = group("mixed", "first", "small", "--repository", repository)
    assert "mixed is ready: 2 detectors on 2 decodes" in two.output
    assert "note: each picture is decoded 2 times, not once" in two.output
    assert "first by letterbox_640; small by letterbox_320" in two.output
    assert "exported with the same --imgsz" in two.output
    assert "a request holds" not in two.output
    again = group("mixed", "first", "small", "--replace", "--repository", repository, "--json")
    made = json.loads(again.stdout)
    assert made["replaced"]
    assert made["decoders"] == {"letterbox_640": ["first"], "letterbox_320": ["small"]}
    assert made["members"]["small"]["class_names"] == ["helmet"]
    assert made["outputs"][-1] == "small.classes"


def test_the_command_does_not_advise_what_does_not_help(repository: Path) -> None:
    """No --imgsz makes a letterbox of a stretch, and whoever adds a torchvision detector pays for it in batches."""
    for name, way in {
        "stretched": Preprocessing.stretch(640),
        "resized": Preprocessing.resize(shorter=800, longest=1333),
    }.items():
        write_good_repository(repository, detector=name, info=replace(INFO, preprocessing=way))
    kinds = group("kinds", "first", "stretched", "--repository", repository).output
    assert "There is no sharing between kinds (letterbox, stretch)" in kinds
    assert "--imgsz" not in kinds
    slow = group("slow", "first", "resized", "few.v2", "--repository", repository).output
    assert "up to 1 image\n" in slow
    assert "note: a request holds 1 image, not 16, because resized takes no more" in slow
    some = group("some", "first", "small", "stretched", "--repository", repository).output
    assert "Members that see a letterbox share it when they are exported with the same --imgsz" in some
