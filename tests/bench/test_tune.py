"""`sightline tune`: what is taken, what is not, and what is written."""

from __future__ import annotations

import json
import os
import random
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tests.export.lint_repository import write_good_repository
from tests.server.tiny_detector import detector_info, graph

from sightline.cli import cli
from sightline.detections import Detections
from sightline.errors import InvalidOptionError, LaunchError, OutputError
from sightline_bench.measure.rounds import Pass, throughput
from sightline_bench.tune.detector import read_detector
from sightline_bench.tune.keep import keep, reset
from sightline_bench.tune.options import TuneOptions
from sightline_bench.tune.run import figure_of
from sightline_bench.tune.search import Contestant, Outcome, search
from sightline_bench.tune.setups import Axis, Setup, axes
from sightline_bench.tune.trial import LATENCY, Trial
from sightline_export.config import CONFIG_FILE
from sightline_export.groups import install_group
from sightline_export.repository import install_detector
from sightline_export.sample import BUNDLED_FOLDER
from sightline_export.schedule import NETWORK_SCHEDULE, PREPROCESSING_SCHEDULE, read_schedule

START = Setup({"letterbox_640": PREPROCESSING_SCHEDULE, "traffic_net": NETWORK_SCHEDULE})
PLANTED_MICROSECONDS = 500_000


def detections(count: int) -> Detections:
    boxes = np.array([[10 * number, 0, 10 * number + 9, 9] for number in range(count)])
    return Detections(
        boxes_xyxy=boxes.astype(np.float32),
        scores=np.full(count, 0.9, np.float32),
        class_ids=np.zeros(count, np.int32),
        class_names=("thing",),
        image_size_hw=(100, 100),
    )


class Simulated:
    """A served setup whose passes take as long as a function of the setup says, and cost no time."""

    def __init__(self, name: str, setup: Setup, seconds: Callable[[Setup], float], clock: list[float]) -> None:
        self.name, self.setup, self.images = name, setup, 10
        self.found: Mapping[str, Detections] = {"image": detections(3)}
        self.closed = 0
        self._seconds, self._clock = seconds, clock

    def calibrate(self) -> None:
        self.images = 100

    def one_pass(self) -> Pass:
        seconds = self._seconds(self.setup)
        self._clock[0] += seconds
        return Pass(images=self.images, seconds=seconds, cpu_seconds=seconds)

    def close(self) -> None:
        self.closed += 1


class World:
    """Serves simulated setups and remembers them."""

    def __init__(self, seconds: Callable[[Setup], float]) -> None:
        self.seconds, self.clock = seconds, [0.0]
        self.opened: list[Simulated] = []
        self.told: list[str] = []

    def open(self, name: str, setup: Setup, champion: Contestant) -> Simulated:
        self.opened.append(Simulated(name, setup, self.seconds, self.clock))
        return self.opened[-1]

    def search(self, among: Sequence[Axis], *, seconds: float = 1e9) -> Outcome:
        return search(
            Simulated("start", START, self.seconds, self.clock),
            among,
            open_trial=self.open,
            opening_seconds=1.0,
            figure=throughput,
            seconds=seconds,
            tell=self.told.append,
            clock=lambda: self.clock[0],
        )


def all_axes(*, cores: int = 4, on_gpu: bool = False, largest: int = 16, streams: bool = True) -> list[Axis]:
    return axes("letterbox_640", "traffic_net", cores=cores, on_gpu=on_gpu, largest=largest, streams=streams)


def delay_of(setup: Setup) -> int:
    return setup.schedules["letterbox_640"].max_queue_delay_microseconds


def test_what_is_faster_is_found_and_the_rest_stays() -> None:
    def seconds(setup: Setup) -> float:
        return 1.0 + 0.2 * (setup.schedules["traffic_net"].instances != 1) + 0.1 * (delay_of(setup) != 2000)

    world = World(seconds)
    outcome = world.search(all_axes())
    assert outcome.best.schedules == {
        "letterbox_640": replace(PREPROCESSING_SCHEDULE, max_queue_delay_microseconds=2000),
        "traffic_net": replace(NETWORK_SCHEDULE, instances=1),
    }
    assert outcome.gain is not None
    assert outcome.gain.median == pytest.approx(1.3)
    assert [row.setting for row in outcome.rows if row.taken] == [
        "traffic_net: instances 1, again",
        "letterbox_640: queue delay 2000 µs, again",
        "letterbox_640: queue delay 2000 µs; traffic_net: instances 1, again",
    ]
    assert all(trial.closed for trial in world.opened)


def test_noise_changes_nothing() -> None:
    rng = random.Random(0)
    for _ in range(20):
        world = World(lambda setup: rng.uniform(0.8, 1.2))
        assert world.search(all_axes()).best == START


def test_a_small_gain_changes_nothing() -> None:
    assert World(lambda setup: 1.0 - 0.01 * (delay_of(setup) == 0)).search(all_axes()).best == START


def test_what_was_lucky_once_has_to_be_lucky_again() -> None:
    turns: Counter[str] = Counter()

    def seconds(setup: Setup) -> float:
        turns[str(setup)] += 1
        return 0.5 if delay_of(setup) == 0 and turns[str(setup)] <= 4 else 1.0

    outcome = World(seconds).search(all_axes())
    assert outcome.best == START
    assert "looks best" in [row.verdict for row in outcome.rows]


def test_a_slow_setting_is_shown_and_not_taken() -> None:
    outcome = World(lambda setup: 1.0 + (delay_of(setup) == 5000)).search(all_axes())
    (row,) = [row for row in outcome.rows if "letterbox_640: queue delay 5000" in row.setting]
    assert row.against is not None
    assert row.against.median == pytest.approx(0.5)
    assert (row.verdict, row.taken) == ("no better", False)
    assert outcome.best == START


def test_the_setup_that_finds_something_else_is_refused() -> None:
    world = World(lambda setup: 1.0 - 0.5 * (delay_of(setup) == 0))
    usual = world.open

    def open_trial(name: str, setup: Setup, champion: Contestant) -> Simulated:
        trial = usual(name, setup, champion)
        if delay_of(setup) == 0:
            trial.found = {"image": detections(2)}
        return trial

    world.open = open_trial  # type: ignore[method-assign]
    outcome = world.search(all_axes())
    assert outcome.best == START
    assert "refused: it misses 1 detections and has 0 others" in [row.verdict for row in outcome.rows]


def test_the_setup_that_cannot_be_served_is_told() -> None:
    world = World(lambda setup: 1.0)

    def open_trial(name: str, setup: Setup, champion: Contestant) -> Simulated:
        raise LaunchError("no room")

    world.open = open_trial  # type: ignore[method-assign]
    outcome = world.search(all_axes())
    assert outcome.best == START
    assert {row.verdict for row in outcome.rows} == {"cannot be served: no room"}


def test_the_time_is_kept_and_what_was_left_out_is_told() -> None:
    world = World(lambda setup: 10.0)
    outcome = world.search(all_axes(), seconds=400)
    assert world.clock[0] <= 400
    assert outcome.rows
    late = "how long decoding waits (letterbox_640: queue delay 0"
    assert any(each.startswith(late) for each in outcome.left_out)
    assert World(lambda setup: 10.0).search(all_axes(), seconds=60).rows == ()


def test_requests_of_the_client_are_recommended_and_not_part_of_what_is_written() -> None:
    outcome = World(lambda setup: 1.0 + 0.2 * (setup.batch_size != 4)).search(all_axes())
    assert outcome.batch_size == 4
    assert outcome.best == START


def test_what_is_tried() -> None:
    def tried(axis: int, *, cores: int) -> list[str]:
        return [setup.words(START) for setup in all_axes(cores=cores)[axis].challengers(START)]

    assert tried(0, cores=2) == ["traffic_net: instances 1", "traffic_net: threads 2"]
    assert tried(0, cores=1) == ["traffic_net: instances 1"]
    assert "traffic_net: instances 16" in tried(0, cores=16)
    assert tried(1, cores=2) == ["letterbox_640: threads 1", "letterbox_640: instances 2"]
    assert not any("network waits" in axis.title or "prefers" in axis.title for axis in all_axes())
    titles = [axis.title for axis in all_axes(on_gpu=True, streams=False, largest=1)]
    assert titles == ["instances of the network", "how long the network waits", "how long decoding waits"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    repository = tmp_path / "repository"
    install_detector(repository, "tiny", graph().SerializeToString(), detector_info())
    return repository


def test_a_planted_delay_is_found_and_another_is_not_taken(tiny: Path) -> None:
    """On a real server: decoding begins with a delay, and one that is twice as long stands beside none."""
    detector = read_detector(tiny, "tiny")
    planted = replace(PREPROCESSING_SCHEDULE, max_queue_delay_microseconds=PLANTED_MICROSECONDS)
    keep(detector, {"letterbox_320": planted})
    detector = read_detector(tiny, "tiny")
    options = TuneOptions(repository=tiny, model="tiny", objective="latency", clients=1)
    pictures = sorted(BUNDLED_FOLDER.glob("*.jpg"))
    found = {}

    def values(setup: Setup) -> list[Setup]:
        slow = replace(planted, max_queue_delay_microseconds=2 * PLANTED_MICROSECONDS, threads=1)
        fast = replace(planted, max_queue_delay_microseconds=0, preferred_batch_sizes=(4, 8))
        one_network = setup.having("tiny_net", replace(NETWORK_SCHEDULE, instances=1, threads=2))
        return [one_network.having("letterbox_320", each) for each in (slow, fast)]

    def open_trial(name: str, setup: Setup, champion: Contestant) -> Trial:
        trial = Trial(name, setup, detector, options, pictures)
        found[delay_in(setup)] = trial.found
        return trial

    def delay_in(setup: Setup) -> int:
        return setup.schedules["letterbox_320"].max_queue_delay_microseconds

    with closing(Trial("start", Setup(detector.schedules()), detector, options, pictures)) as start:
        start.calibrate = lambda: setattr(start, "images", 1)  # type: ignore[method-assign]
        outcome = search(
            start,
            [Axis("delay", values)],
            open_trial=open_trial,
            opening_seconds=1.0,
            figure=figure_of(options),
            seconds=1e9,
            tell=print,
        )
        one = start.one_pass()
        before = start.found
    assert one.details[LATENCY] > PLANTED_MICROSECONDS / 1000
    assert delay_in(outcome.best) == 0
    slower = next(row for row in outcome.rows if f"{2 * PLANTED_MICROSECONDS}" in row.setting)
    assert slower.against is not None
    assert slower.against.high < 1
    assert len(before) == len(pictures)
    for after in found.values():
        for image, expected in before.items():
            assert np.array_equal(after[image].boxes_xyxy, expected.boxes_xyxy)
            assert np.array_equal(after[image].scores, expected.scores)
    assert sum(len(each) for each in before.values())
    changed = [tiny / model / CONFIG_FILE for model in ("letterbox_320", "tiny_net")]
    assert keep(detector, outcome.best.schedules) == changed
    assert delay_in(Setup(read_detector(tiny, "tiny").schedules())) == 0


# --- what is written --------------------------------------------------------------------------------------------
@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = write_good_repository(tmp_path / "repository", detector="traffic")
    write_good_repository(folder, detector="helmets")
    install_group(folder, "fleet", ["traffic", "helmets"])
    return folder


def contents(repository: Path) -> dict[str, bytes]:
    return {str(path.relative_to(repository)): path.read_bytes() for path in repository.rglob("*") if path.is_file()}


def test_settings_are_written_and_reset_to_the_last_byte(repository: Path) -> None:
    before = contents(repository)
    detector = read_detector(repository, "traffic")
    file = repository / "traffic_net" / CONFIG_FILE
    mode = stat.S_IMODE(file.stat().st_mode)
    wanted = replace(NETWORK_SCHEDULE, instances=1, threads=3)
    assert keep(detector, {**detector.schedules(), "traffic_net": wanted}) == [file]
    assert read_schedule(read_detector(repository, "traffic").config("traffic_net")) == wanted
    assert stat.S_IMODE(file.stat().st_mode) == mode
    changed = [name for name, text in contents(repository).items() if text != before[name]]
    assert changed == [f"traffic_net/{CONFIG_FILE}"]
    assert reset(read_detector(repository, "traffic")) == [file]
    assert contents(repository) == before
    assert reset(read_detector(repository, "traffic")) == []


def test_what_somebody_changed_meanwhile_is_left_alone(repository: Path) -> None:
    detector = read_detector(repository, "traffic")
    keep(detector, {"traffic_net": replace(NETWORK_SCHEDULE, instances=7)})
    before = contents(repository)
    with pytest.raises(OutputError, match="was changed while this searched"):
        keep(detector, {"traffic_net": replace(NETWORK_SCHEDULE, instances=1)})
    assert contents(repository) == before


def test_both_files_or_none(repository: Path) -> None:
    detector = read_detector(repository, "traffic")
    before = contents(repository)
    in_the_way = repository / "traffic_net" / f".{CONFIG_FILE}.{os.getpid()}"
    in_the_way.mkdir()
    with pytest.raises(OutputError, match="nothing was changed"):
        keep(
            detector,
            {
                "letterbox_640": replace(PREPROCESSING_SCHEDULE, threads=1),
                "traffic_net": replace(NETWORK_SCHEDULE, instances=1),
            },
        )
    in_the_way.rmdir()
    assert contents(repository) == before


# --- the command ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["traffic", "--clients", "3"], "--clients belongs to --objective latency"),
        (["fleet"], "fleet is a group and has no settings of its own: tune its members (traffic, helmets)"),
        (["nobody"], "there is no model 'nobody'"),
        (["traffic_net"], "ask for traffic"),
        (["traffic", "--minutes", "0"], "0.0 is not in the range x>0"),
        (["traffic", "--json", "nowhere/tune.json"], "there is no folder"),
        (["traffic", "--reset", "--dry-run"], "--reset measures nothing"),
        (["traffic", "--images", "."], "no pictures"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    arguments: list[str], words: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["tune", *arguments, "--repository", str(repository)])
    assert done.exit_code == 2, done.output
    assert words in " ".join(done.output.replace("│", " ").split())


def test_reset_tells_what_else_it_touches(repository: Path) -> None:
    words = ["tune", "traffic", "--reset", "--repository", str(repository)]
    assert "nothing was changed" in CliRunner().invoke(cli, words).output
    detector = read_detector(repository, "traffic")
    keep(detector, {model: replace(each, threads=1) for model, each in detector.schedules().items()})
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "note: letterbox_640 also serves fleet, helmets" in done.output
    assert "note: traffic_net also serves fleet" in done.output
    assert "a server that runs has the old settings" in done.output


def test_a_dry_run_shows_and_writes_nothing(tiny: Path, tmp_path: Path) -> None:
    before = contents(tiny)
    file = tmp_path / "tune.json"
    words = ["tune", "tiny", "--repository", str(tiny), "--minutes", "0.01", "--dry-run", "--json", str(file)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "tiny stays as it is: there was no time to compare anything; give it more --minutes" in done.output
    assert "no time for: instances and threads of the network" in " ".join(done.output.split())
    content = json.loads(file.read_text())
    assert content["best"] == content["start"]
    assert content["written"] == content["comparisons"] == []
    assert content["engines"]["tiny_net"]["device"] == "cpu"
    assert contents(tiny) == before


@pytest.mark.parametrize(("field", "value"), [("objective", "speed"), ("clients", 0), ("minutes", float("nan"))])
def test_options_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidOptionError, match=field):
        TuneOptions(repository=Path(), model="m", **{field: value})  # type: ignore[arg-type]
