"""Turns and the ratios that are made of them."""

from __future__ import annotations

import pytest

from sightline.errors import InvalidOptionError
from sightline_bench.measure.rounds import Pass, Ratio, best, paired, take_turns, throughput


class Recorder:
    """Counts its turns in a diary that all share."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self._diary = diary

    def one_pass(self) -> Pass:
        self._diary.append(self.name)
        return passed(images=len(self._diary))


def passed(*, images: int = 10, seconds: float = 1.0, cpu_seconds: float = 1.0) -> Pass:
    return Pass(images=images, seconds=seconds, cpu_seconds=cpu_seconds)


def test_the_first_of_one_round_is_the_last_of_the_next() -> None:
    diary: list[str] = []
    passes = take_turns([Recorder(name, diary) for name in "ABC"], rounds=3)
    assert "".join(diary) == "ABCCBAABC"
    assert [each.images for each in passes["B"]] == [2, 5, 8]


def test_every_pass_is_watched() -> None:
    seen: list[tuple[str, int]] = []
    take_turns([Recorder("A", [])], rounds=3, watch=lambda name, number, came: seen.append((name, number)))
    assert seen == [("A", 0), ("A", 1), ("A", 2)]


def test_two_rounds_are_too_few() -> None:
    with pytest.raises(InvalidOptionError, match="rounds is 2; at least 3"):
        take_turns([Recorder("A", [])], rounds=2)


def test_names_are_unique() -> None:
    with pytest.raises(InvalidOptionError, match="different names: A, A"):
        take_turns([Recorder("A", []), Recorder("A", [])], rounds=3)


def test_ratios_are_taken_within_rounds() -> None:
    ours = [passed(seconds=1.0), passed(seconds=2.0), passed(seconds=4.0)]
    theirs = [passed(seconds=2.0), passed(seconds=8.0), passed(seconds=4.0)]
    ratio = paired(ours, theirs)
    assert ratio.runs == (2.0, 4.0, 1.0)
    assert (ratio.median, ratio.low, ratio.high) == (2.0, 1.0, 4.0)


def test_a_ratio_of_another_figure() -> None:
    assert paired([passed(cpu_seconds=1.0)], [passed(cpu_seconds=4.0)], lambda each: each.cpu_seconds).runs == (0.25,)


def test_different_numbers_of_images_are_compared_by_throughput() -> None:
    assert paired([passed(images=100, seconds=10.0)], [passed(images=4, seconds=1.0)]).runs == (2.5,)


def test_unequal_rounds_make_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired([passed()], [passed(), passed()])


def test_a_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="at least one run"):
        Ratio(())


def test_the_best_has_the_highest_median() -> None:
    passes = {
        "steady": [passed(images=10)] * 3,
        "lucky once": [passed(images=1), passed(images=1), passed(images=99)],
    }
    assert best(passes, ["steady", "lucky once"]) == "steady"


def test_figures_of_a_pass() -> None:
    one = passed(images=4, seconds=2.0)
    assert throughput(one) == one.images_per_second == 2.0
    assert one.milliseconds_per_image == 500.0
