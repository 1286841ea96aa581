"""A run from beginning to end: what is written on the way, what is left when it is cut off, and the time told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT

from sightline.errors import MeasurementError
from sightline_bench.measure.results import Results
from sightline_bench.measure.rounds import Ratio
from sightline_bench.measure.usage import tree
from sightline_bench.progress import Progress
from sightline_bench.ratios.groups import GROUPS, all_keys
from sightline_bench.ratios.registry import Findings, Group, Key, Setting
from sightline_bench.run import groups_of, run_groups

FIRST, SECOND = Key(name="first", title="the first", target=1.0), Key(name="second", title="the second", target=1.0)


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def group(key: Key) -> Group:
    def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
        return Findings(figures={key.name: key.measured(Ratio((1.0, 2.0, 3.0)), "made up")})

    return Group(name=f"group of {key.name}", keys=(key,), measure=measure)


def progress_of(names: list[str], tmp_path: Path, clock: Clock, lines: list[str]) -> Progress:
    return Progress(names, quick=True, file=tmp_path / "seconds.json", write=lines.append, clock=clock)


def test_results_are_kept_after_each_group(setting: Setting, tmp_path: Path) -> None:
    kept: list[Results] = []
    names = ["group of first", "group of second"]
    last = run_groups(
        [group(FIRST), group(SECOND)],
        setting,
        frozenset(["first", "second"]),
        progress=progress_of(names, tmp_path, Clock(), []),
        keep=kept.append,
    )
    early, late = (json.loads(json.dumps(results.as_json())) for results in kept)
    assert (early["complete"], late["complete"]) == (False, True)
    assert list(early["ratios"]) == list(late["ratios"]) == ["first", "second"]
    assert early["ratios"]["first"]["runs"] == [1.0, 2.0, 3.0]
    assert early["ratios"]["second"]["note"] == "not measured: the run was cut off before"
    assert list(early["seconds_by_group"]) == names[:1]
    assert last.figures == kept[-1].figures


def test_every_figure_has_its_place_in_the_file(setting: Setting, tmp_path: Path) -> None:
    def fail(setting: Setting, wanted: frozenset[str]) -> Findings:
        raise MeasurementError("nothing is measured here")

    groups = [Group(name=each.name, keys=each.keys, measure=fail) for each in GROUPS]
    progress = progress_of([each.name for each in groups], tmp_path, Clock(), [])
    content = run_groups(groups, setting, frozenset(all_keys()), progress=progress).as_json()
    assert {"ratios", "machine", "versions", "commit", "dirty", "command", "complete"} <= content.keys()
    assert len(content["ratios"]) == 20
    assert content["ratios"].keys() == all_keys().keys()
    for key, told in content["ratios"].items():
        assert told.keys() >= {"median", "low", "high", "runs", "target", "unit", "better", "setting", "note"}, key
        assert (told["median"], told["runs"]) == (None, [])
        assert told["note"] == "not measured: nothing is measured here"


def test_only_groups_with_wanted_figures_are_measured() -> None:
    assert [each.name for each in groups_of(GROUPS, frozenset(["letterbox_ms"]))] == ["letterbox"]


def test_the_time_of_a_run_is_told(tmp_path: Path) -> None:
    clock, lines = Clock(), list[str]()
    progress = progress_of(["one", "two"], tmp_path, clock, lines)
    progress.tell("begins")
    clock.now += 20
    progress.done("one", remember=True)  # half of what was guessed
    progress.tell("next")
    clock.now += 100
    progress.tell("late")
    assert lines == ["[0:00 of about 1:20] begins", "[0:20 of about 0:40] next", "[2:00 of more than 2:00] late"]
    progress.done("two", remember=False)
    assert progress.expected_seconds == progress.seconds == 120


def test_the_last_run_tells_how_long_the_next_will_take(tmp_path: Path) -> None:
    clock = Clock()
    first = progress_of(["one", "two"], tmp_path, clock, [])
    clock.now += 300
    assert first.done("one", remember=True) == 300
    clock.now += 7
    first.done("two", remember=False)
    assert progress_of(["one", "two"], tmp_path, clock, []).expected_seconds == 300 + 40
    (tmp_path / "seconds.json").write_text("[]")
    assert progress_of(["one", "two"], tmp_path, clock, []).expected_seconds == 80


PROGRAM = """
import sys
sys.path.insert(0, {checkout!r})
from tests.bench.small_programs import program
from tests.bench.test_run import FIRST, SECOND, group
from sightline.cli import main
from sightline_bench.ratios import groups
from sightline_bench.ratios.registry import Group

def measure(setting, wanted):
    setting.race("race", "a race", "", [program("time.sleep(600)", name=name) for name in "AB"])

groups.GROUPS = (group(FIRST), Group(name="long", keys=(SECOND,), measure=measure))
groups.check_keys.__defaults__ = (groups.GROUPS,)
sys.argv[1:] = ["bench", "--quick", "--work", {work!r}, "--json", {json!r}]
main()
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`sightline bench` in the midst of a race whose programs sleep."""
    code = PROGRAM.format(checkout=str(CHECKOUT), work=str(tmp_path / "work"), json=str(tmp_path / "bench.json"))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_cut_off(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals, status: int
) -> None:
    deadline = time.monotonic() + 120
    while len(tree(running.pid)) < 3:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    programs = tree(running.pid)[1:]
    running.send_signal(number)
    output, errors = running.communicate(timeout=60)
    assert running.returncode == status, errors
    assert not [pid for pid in programs if Path(f"/proc/{pid}").exists()]
    content = json.loads((tmp_path / "bench.json").read_text())
    assert not content["complete"]
    assert content["ratios"]["first"]["median"] == 2.0
    assert content["ratios"]["second"]["median"] is None
    assert "cut off" in errors
    assert "the second" in output
    assert not list(tmp_path.glob(".*.part"))
