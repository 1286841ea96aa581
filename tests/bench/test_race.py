"""Races of small programs, and the figures that groups make of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.bench.small_programs import IMAGES, program, script

from sightline.errors import InvalidOptionError, MeasurementError
from sightline_bench.contestants.program import Recipe
from sightline_bench.contestants.race import Course, Race, run_race, run_sweep
from sightline_bench.measure.results import Results
from sightline_bench.progress import Progress
from sightline_bench.ratios.groups import GROUPS, all_keys, check_keys
from sightline_bench.ratios.registry import Findings, Group, Key, Setting, ratio_figure
from sightline_bench.ratios.tuning import Tuner
from sightline_bench.run import groups_of, run_groups

SLEEP = "time.sleep(0.05)\nreturn len(paths)"
KEY = Key(name="quick_over_slow", title="quick ÷ slow", target=2.0)


def course(rounds: int = 3) -> Course:
    return Course(name="race", title="a race", setting="four images", rounds=rounds)


def race(*recipes: Recipe) -> Race:
    return run_race(course(), recipes, tell=lambda line: None)


def measured(groups: Sequence[Group], setting: Setting) -> Results:
    """A run of them for one figure."""
    wanted = frozenset([KEY.name])
    names = [group.name for group in groups_of(groups, wanted)]
    progress = Progress(names, quick=True, file=setting.workshop.folder / "seconds.json", write=lambda line: None)
    return run_groups(groups, setting, wanted, progress=progress)


def quick_and_slow(setting: Setting, wanted: frozenset[str]) -> Findings:
    """A group's measurement with a sleep in one contestant."""
    contestants = [program("return len(paths)", name="quick"), program(SLEEP, name="slow")]
    came = setting.race("race", "a race", "four images", contestants)
    return Findings(figures={KEY.name: ratio_figure(KEY, came, "quick", "slow")}, races=[came])


def test_a_planted_sleep_is_found_where_it_was_planted() -> None:
    came = race(program("return len(paths)", name="quick"), program(SLEEP, name="slow"))
    for quick, slow in zip(came.of("quick"), came.of("slow"), strict=True):
        assert slow.seconds >= 0.05
        assert quick.seconds < slow.seconds
    assert came.ratio("quick", "slow").low > 1 > came.ratio("slow", "quick").high


def test_programs_take_turns() -> None:
    lines: list[str] = []
    run_race(course(), [program("pass", name="A"), program("pass", name="B")], tell=lines.append)
    assert [line.split(":")[1].split()[0] for line in lines] == ["A", "B", "B", "A", "A", "B"]


def test_one_that_does_not_load_is_left_out_and_told() -> None:
    came = race(program("pass", name="good"), script("raise SystemExit('no such file')", name="bad"))
    assert len(came.of("good")) == 3
    with pytest.raises(MeasurementError, match=r"bad ended.*no such file"):
        came.ratio("good", "bad")
    contestants = came.as_json()["contestants"]
    assert "no such file" in contestants["bad"]["failure"]
    assert contestants["bad"]["passes"] == []
    assert contestants["good"]["peak_memory_bytes"] > 0
    assert contestants["bad"]["processes"] == []
    figure = ratio_figure(KEY, came, "good", "bad")
    assert figure.ratio is None
    assert "no such file" in figure.note


def test_nobody_who_loads_is_an_error() -> None:
    with pytest.raises(MeasurementError, match=r"nobody could run.*no such file"):
        race(script("raise SystemExit('no such file')"))


def test_one_that_dies_in_its_turn_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="weak ended"):
        race(program("pass", name="strong"), program("raise SystemExit('weak')", name="weak"))


def test_every_process_is_accounted_for() -> None:
    child = "import time\nwhile True:\n    input()\n    while time.process_time() < 1: pass\n    print(flush=True)"
    body = f"""
import subprocess, sys
if not hasattr(turns, "child"):
    turns.child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=-1, stdout=-1, text=True, bufsize=1)
    time.sleep(0.5)
    return
turns.child.stdin.write("\\n")
turns.child.stdout.readline()
"""
    contestant = race(program(body)).as_json()["contestants"]["small"]
    own, spawned = contestant["processes"]
    assert spawned["cpu_seconds"] > 0.8 > own["cpu_seconds"]
    assert contestant["peak_memory_bytes"] >= spawned["peak_memory_bytes"] > 10**6


def test_a_sweep_chooses_the_best_setting() -> None:
    body = "import sys\ntime.sleep(0.2 / int(sys.argv[sys.argv.index('--threads') + 1]) ** 2)\nreturn 1"
    sweep = run_sweep(course(), program(body), [{"threads": 1}, {"threads": 4}], tell=lambda line: None)
    assert sweep.chosen.name == "small"
    assert sweep.chosen.settings == {"threads": 4}
    rows = sweep.as_json()["rows"]
    assert [(row["value"], row["chosen"]) for row in rows] == [("threads 1", False), ("threads 4", True)]
    assert rows[0]["images_per_second"] < rows[1]["images_per_second"]


def test_a_quick_run_sweeps_nothing(setting: Setting) -> None:
    tuner = Tuner(setting, "group")
    recipe = tuner.best(program("return 1"), [{"threads": 2}, {"threads": 1}])
    assert recipe.settings == {"threads": 2}
    assert not tuner.sweeps


def test_a_run_has_the_figures_the_races_and_the_machine(setting: Setting) -> None:
    group = Group(name="sleep", keys=(KEY,), measure=quick_and_slow)
    results = measured([group], setting).as_json()
    figure = results["ratios"][KEY.name]
    assert figure["low"] <= figure["median"] <= figure["high"]
    assert figure["low"] > 1
    assert len(figure["runs"]) == results["rounds"] == 3
    assert figure["setting"] == f"the quick one ({IMAGES} images) / the slow one ({IMAGES} images); four images"
    passes = results["races"][0]["contestants"]["slow"]["passes"]
    assert [each["found"] for each in passes] == [IMAGES] * 3
    assert results["machine"]["usable_cores"] > 0
    assert {"commit", "dirty", "versions", "command", "began", "seconds", "quick"} <= results.keys()


def test_a_group_that_fails_leaves_its_figures_with_the_reason(setting: Setting) -> None:
    def fail(setting: Setting, wanted: frozenset[str]) -> Findings:
        raise MeasurementError("no such weights")

    groups = [Group(name="failing", keys=(KEY,), measure=fail)]
    results = measured(groups, setting)
    assert results.figures[KEY.name].ratio is None
    assert results.figures[KEY.name].note == "not measured: no such weights"


def test_what_is_not_wanted_is_not_measured(setting: Setting) -> None:
    def fail(setting: Setting, wanted: frozenset[str]) -> Findings:
        raise AssertionError

    other = Key(name="other", title="another", target=1.0)
    groups = [Group(name="failing", keys=(other,), measure=fail), Group(name="s", keys=(KEY,), measure=quick_and_slow)]
    assert list(measured(groups, setting).figures) == [KEY.name]


def test_a_group_that_forgets_a_figure_is_an_error(setting: Setting) -> None:
    groups = [Group(name="empty", keys=(KEY,), measure=lambda setting, wanted: Findings(figures={}))]
    with pytest.raises(MeasurementError, match="'empty' gave no figure for quick_over_slow"):
        measured(groups, setting)


def test_figures_are_named_once() -> None:
    assert len(all_keys()) == sum(len(group.keys) for group in GROUPS)
    assert check_keys([]) == frozenset(all_keys())
    assert check_keys(["letterbox_ms"]) == {"letterbox_ms"}
    with pytest.raises(InvalidOptionError, match=r"no figure is called speed; there are .*letterbox_ms"):
        check_keys(["letterbox_ms", "speed"])


@pytest.mark.parametrize(("cores", "threads"), [(1, [1]), (2, [2, 1]), (6, [6, 4, 2, 1])])
def test_threads_worth_trying(setting: Setting, cores: int, threads: list[int]) -> None:
    from dataclasses import replace

    assert replace(setting, cores=cores).threads == threads
