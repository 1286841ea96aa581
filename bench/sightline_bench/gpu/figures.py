"""From passes to figures: throughput of each, and of the served chain as a part of the smaller of two limits."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sightline.errors import MeasurementError
from sightline_bench.gpu.plan import Alone, Arrangement, Chain, DecoderAlone, EngineAlone, LetterboxAlone, PhotoSize
from sightline_bench.gpu.smi import Use
from sightline_bench.measure.rounds import Pass, Passes, Ratio, best, paired, throughput

TARGET = 0.90


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant that was measured, or why it was not.

    Attributes:
        variant: what it is.
        rates: images per second, a value a round; None where it was not measured.
        use: of the GPU meanwhile; None where it was not watched.
        memory_bytes: what the GPU's memory in use grew by when it was loaded and warmed up; None where not seen.
        failure: why it was not measured.
        found: objects in all passes; None where it finds none by its nature.
    """

    variant: Alone | Chain
    rates: Ratio | None
    use: Use | None = None
    memory_bytes: int | None = None
    failure: str = ""
    found: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Its part of the file."""
        return {
            "name": self.variant.name,
            **asdict(self.variant),
            "images_per_second": spread(self.rates),
            "gpu": asdict(self.use) if self.use else None,
            "memory_bytes": self.memory_bytes,
            "found": self.found,
            "failure": self.failure,
        }


def spread(ratio: Ratio | None) -> dict[str, Any]:
    """Median, lowest, highest and runs; nulls and no runs where there is nothing."""
    if ratio is None:
        return {"median": None, "low": None, "high": None, "runs": []}
    return {"median": ratio.median, "low": ratio.low, "high": ratio.high, "runs": list(ratio.runs)}


def rates(passes: Sequence[Pass]) -> Ratio:
    """Images per second, round by round."""
    return Ratio(tuple(map(throughput, passes)))


def over_limit(served: Sequence[Pass], *limits: Sequence[Pass]) -> Ratio:
    """Throughput of the chain by that of whichever limit is smaller by its median, round by round.

    Raises:
        ValueError: they have not as many rounds.
    """
    limit = min(limits, key=lambda passes: statistics.median(map(throughput, passes)))
    return paired(served, limit)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The fastest variants by themselves of what a chain is made of; names of passes, None where there is none.

    Attributes:
        engine: with suppression, without CUDA graph, as it is served.
        captured: with suppression and CUDA graph.
        decoder: of the photos' size.
    """

    engine: str | None
    captured: str | None
    decoder: str | None

    @property
    def names(self) -> frozenset[str]:
        """Of all that there are."""
        return frozenset(filter(None, (self.engine, self.captured, self.decoder)))


@dataclass(frozen=True, kw_only=True)
class ChainRace:
    """Ways to serve one detector on photos of one size, beside the fastest of its parts, all in turns.

    Attributes:
        model: the detector.
        photos: of which size.
        limits: the parts.
        passes: of all that ran, the parts among them.
        rows: of the ways to serve it.
    """

    model: str
    photos: PhotoSize
    limits: Limits
    passes: Passes
    rows: tuple[Row, ...]

    def ratio(self, row: Row, *, captured: bool = False) -> Ratio:
        """Throughput of a way to serve it by the smaller limit.

        Args:
            row: the way.
            captured: whether the engine's limit is that with a CUDA graph, which Triton's stand-ins do not use.

        Raises:
            MeasurementError: it, or a limit, was not measured.
        """
        engine = self.limits.captured if captured else self.limits.engine
        sides = {"the engine": engine, "the decoder": self.limits.decoder}
        lacking = [what for what, name in sides.items() if name not in self.passes]
        if row.rates is None or lacking:
            raise MeasurementError(row.failure or f"{' and '.join(lacking)} alone did not run")
        limits = [self.passes[name] for name in (engine, self.limits.decoder) if name is not None]
        return over_limit(self.passes[row.variant.name], *limits)

    def smaller(self) -> str:
        """Which of the two limits it is."""
        limits = (self.limits.engine, self.limits.decoder)
        names = [name for name in limits if name is not None and name in self.passes]
        return min(names, key=lambda name: rates(self.passes[name]).median) if names else ""

    def best(self, arrangement: Arrangement | None = None) -> Row:
        """The fastest way to serve it, of one arrangement or of all; one that failed where none ran."""
        rows = [row for row in self.rows if arrangement in (None, _arrangement(row))]
        return max(rows, key=lambda row: row.rates.median if row.rates else -1.0)


def _arrangement(row: Row) -> Arrangement | None:
    return row.variant.arrangement if isinstance(row.variant, Chain) else None


def find_limits(variants: Sequence[Alone], passes: Passes, model: str, photos: str) -> Limits:
    """The fastest ones, of those that ran."""
    ran = [variant for variant in variants if variant.name in passes]
    engines = [each for each in ran if isinstance(each, EngineAlone) and each.model == model and each.suppression]
    decoders = [each.name for each in ran if isinstance(each, DecoderAlone) and each.photos == photos]
    return Limits(
        engine=_fastest(passes, [each.name for each in engines if not each.cuda_graph]),
        captured=_fastest(passes, [each.name for each in engines if each.cuda_graph]),
        decoder=_fastest(passes, decoders),
    )


def _fastest(passes: Passes, names: Sequence[str]) -> str | None:
    return best(passes, names) if names else None


def letterbox_milliseconds(variants: Sequence[Alone], passes: Passes) -> Mapping[str, Ratio]:
    """What the letterbox takes beyond the decoder for an image, by the name of the variant: never of other settings.

    A difference of two times that were measured, so it may be below 0 where the letterbox is nothing beside noise.
    """
    decoders = {
        (each.photos, each.batch, each.streams): each.name
        for each in reversed(variants)  # the first of a size, which is as served, wins
        if isinstance(each, DecoderAlone) and each.name in passes
    }
    found = {}
    for each in variants:
        if isinstance(each, LetterboxAlone) and each.name in passes:
            decoder = decoders.get((each.photos, each.batch, each.streams))
            if decoder is not None:
                pairs = zip(passes[each.name], passes[decoder], strict=True)
                found[each.name] = Ratio(
                    tuple(whole.milliseconds_per_image - alone.milliseconds_per_image for whole, alone in pairs)
                )
    return found
