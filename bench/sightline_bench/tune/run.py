"""Searches for a detector's fastest settings on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sightline.contract import EngineInfo
from sightline_bench.material.photos import find_images
from sightline_bench.measure.rounds import Figure, Pass, throughput
from sightline_bench.tune.detector import Detector, read_detector
from sightline_bench.tune.options import TuneOptions
from sightline_bench.tune.search import Contestant, Outcome, Tell, search
from sightline_bench.tune.setups import Axis, Setup, axes
from sightline_bench.tune.trial import LATENCY, Trial
from sightline_export.sample import BUNDLED_FOLDER
from sightline_server.cpu import available_cores

_MOST_IMAGES = 48


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search found, and on what.

    Attributes:
        options: what was asked for.
        detector: as it was before.
        outcome: what was found.
        engines: what ran each model.
        images: pictures that were used, in turn.
    """

    options: TuneOptions
    detector: Detector
    outcome: Outcome
    engines: dict[str, EngineInfo]
    images: int


def tune(options: TuneOptions, *, tell: Tell) -> Tuned:
    """Search; nothing is written.

    Args:
        options: what, for whom, how long.
        tell: is told each step.

    Raises:
        InvalidOptionError: there is no such detector, or there are no pictures.
        CorruptImageError: the server can decode none of the pictures.
        LaunchError: the detector cannot be served as it is.
    """
    detector = read_detector(options.repository, options.model)
    files = _spread(find_images(options.images or BUNDLED_FOLDER))
    tell(f"serving {detector.name} as it is")
    begun = time.monotonic()
    with closing(Trial("as it is", Setup(detector.schedules()), detector, options, files)) as start:

        def open_trial(name: str, setup: Setup, champion: Contestant) -> Contestant:
            if isinstance(champion, Trial) and champion.setup.schedules == setup.schedules:
                return champion.asked_otherwise(name, setup)
            return Trial(name, setup, detector, options, start.files)

        outcome = search(
            start,
            _axes(detector, start, streams=options.objective == "throughput"),
            open_trial=open_trial,
            opening_seconds=(opening := time.monotonic() - begun),
            figure=figure_of(options),
            seconds=60 * options.minutes - opening,
            tell=tell,
        )
        return Tuned(
            options=options, detector=detector, outcome=outcome, engines=start.engines, images=len(start.files)
        )


def _axes(detector: Detector, start: Trial, *, streams: bool) -> list[Axis]:
    return axes(
        detector.preprocessing,
        detector.network,
        cores=available_cores(),
        on_gpu=start.engines[detector.network].device == "gpu",
        largest=detector.config(detector.network).max_batch_size,
        streams=streams,
    )


def figure_of(options: TuneOptions) -> Figure:
    """What a pass is judged by; more is better."""
    return throughput if options.objective == "throughput" else _speed


def _speed(one: Pass) -> float:
    return 1000 / one.details[LATENCY]


def _spread(files: Sequence[Path]) -> list[Path]:
    """At most `_MOST_IMAGES`, evenly chosen."""
    if len(files) <= _MOST_IMAGES:
        return list(files)
    return [files[index * len(files) // _MOST_IMAGES] for index in range(_MOST_IMAGES)]
