"""Asks one server for a model in all its precisions: what each finds, and how long it takes, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline import Client, ClientOptions, Detections
from sightline.errors import InferenceError
from sightline.evaluation import Protocol, match_categories, measure, read_annotations, select

BATCH_SIZE = 8
ROUNDS = 5
_TIMED_PICTURES = 16
_OPTIONS = ClientOptions(timeout_seconds=600)


@dataclass(frozen=True)
class Pace:
    """How long pictures take, served.

    Attributes:
        milliseconds: of one picture, with as many on their way as the client sends; the median over the rounds.
        of_first: of the time that the first one takes in the same round: least, median and most of the rounds.
    """

    milliseconds: float
    of_first: tuple[float, float, float]


def average_precision(url: str, model: str, images: Sequence[Path], annotations: Path) -> float | None:
    """COCO's mAP50-95 of what a served detector finds, 0 to 1, as `sightline evaluate` measures it."""
    selection = select([str(path) for path in images], read_annotations(annotations))
    with Client(url, model=model, options=_OPTIONS) as client:
        info = client.info
        stream = client.stream(
            list(selection.image_of_path),
            batch_size=BATCH_SIZE,
            score_threshold=Protocol.of(info).score_threshold,
        )
        found: dict[int, Detections] = {
            selection.image_of_path[str(result.source)]: result.unwrap() for result in stream
        }
    match = match_categories(info.class_names, selection.truth.categories)
    return measure(selection.truth, found, match).ap_50_95


def paces(url: str, models: Iterable[str], images: Sequence[Path], *, rounds: int = ROUNDS) -> dict[str, Pace]:
    """How long each of the models takes for the same pictures; they take turns, after a round that does not count."""
    taken: dict[str, list[float]] = {model: [] for model in models}
    pictures = (list(images) * _TIMED_PICTURES)[:_TIMED_PICTURES]
    for turn in range(rounds + 1):
        for model, milliseconds in taken.items():
            one = _once(url, model, pictures)
            if turn:
                milliseconds.append(one)
    return compare_paces(taken)


def compare_paces(taken: Mapping[str, Sequence[float]]) -> dict[str, Pace]:
    """Milliseconds of every round, by model; the first model is what the others are compared with."""
    first = next(iter(taken.values()))
    found = {}
    for model, rounds in taken.items():
        ratios = [one / other for one, other in zip(rounds, first, strict=True)]
        found[model] = Pace(statistics.median(rounds), (min(ratios), statistics.median(ratios), max(ratios)))
    return found


def _once(url: str, model: str, pictures: Sequence[Path]) -> float:
    """Milliseconds for one picture.

    Raises:
        InferenceError: one failed.
    """
    with Client(url, model=model, options=_OPTIONS) as client:
        begun = time.perf_counter()
        failed = [result.error for result in client.stream(pictures, batch_size=BATCH_SIZE) if result.error]
        spent = time.perf_counter() - begun
    if failed:
        raise InferenceError(f"{model} failed on {len(failed)} of {len(pictures)} pictures: {failed[0]}")
    return 1000 * spent / len(pictures)
