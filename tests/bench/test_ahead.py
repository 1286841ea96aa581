"""What a run needs is made before it measures, several things at a time."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from sightline.errors import MeasurementError
from sightline_bench.progress import Progress
from sightline_bench.ratios.ahead import make_ahead
from sightline_bench.ratios.groups import GROUPS
from sightline_bench.ratios.registry import Findings, Group, Key, Material, Setting
from sightline_bench.run import run_groups


def nothing(setting: Setting, wanted: frozenset[str]) -> Findings:
    return Findings(figures={})


def write_process(folder: Path) -> None:
    (folder / "process.txt").write_text(str(os.getpid()), encoding="utf-8")


def make(setting: Setting, name: str) -> None:
    setting.workshop.once(name, of=[name], make=write_process)


def fail(setting: Setting) -> None:
    raise MeasurementError("there is no such thing")


def two_and_a_failure(setting: Setting) -> list[Material]:
    return [partial(make, setting, "one"), partial(fail, setting), partial(make, setting, "two")]


def a_third(setting: Setting) -> list[Material]:
    return [partial(make, setting, "three")]


GROUP = Group(name="two and a failure", keys=(), measure=nothing, materials=two_and_a_failure)
THIRD = Group(name="a third", keys=(), measure=nothing, materials=a_third)

FIGURES = tuple(Key(name=name, title=name, target=1.0) for name in ("first", "second"))


def lacking(setting: Setting, wanted: frozenset[str]) -> Findings:
    return Findings(figures={key.name: key.lacking("made up") for key in FIGURES if key.name in wanted})


IN_PART = Group(name="in part", keys=FIGURES, measure=lacking, materials=two_and_a_failure)


def test_all_materials_are_there_before_anything_is_measured(setting: Setting) -> None:
    told: list[str] = []
    make_ahead([GROUP, THIRD], replace(setting, tell=told.append))
    made = [setting.workshop.folder / name / "process.txt" for name in ("one", "two", "three")]
    assert str(os.getpid()) not in {file.read_text(encoding="utf-8") for file in made}
    assert sorted(told) == [
        "making one, once: 0 s",
        "making three, once: 0 s",
        "making two, once: 0 s",
        "there is no such thing",
    ]


def test_what_is_there_is_not_told_again(setting: Setting) -> None:
    told: list[str] = []
    for _ in range(2):
        make_ahead([GROUP, THIRD], replace(setting, tell=told.append))
    assert told.count("making one, once: 0 s") == 1


def test_a_group_that_is_measured_in_part_makes_what_it_needs_itself(setting: Setting, tmp_path: Path) -> None:
    for wanted, made in (({"first"}, False), ({"first", "second"}, True)):
        progress = Progress(["in part"], quick=True, file=tmp_path / "seconds.json", write=lambda line: None)
        run_groups([IN_PART], setting, frozenset(wanted), progress=progress)
        assert (setting.workshop.folder / "one").exists() == made


def test_listing_materials_makes_none(setting: Setting) -> None:
    for quick in (True, False):
        assert any(group.materials(replace(setting, quick=quick)) for group in GROUPS)
    assert not any(setting.workshop.folder.iterdir())
