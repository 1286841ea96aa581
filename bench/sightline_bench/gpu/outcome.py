"""What came out of a run, as figures of the report and as `sections.gpu` of its JSON file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sightline.errors import MeasurementError
from sightline_bench.gpu.absence import not_measured
from sightline_bench.gpu.figures import TARGET, ChainRace, Row, letterbox_milliseconds, spread
from sightline_bench.gpu.material import Material
from sightline_bench.gpu.measure import Measured, Pace
from sightline_bench.gpu.plan import Arrangement, Plan
from sightline_bench.gpu.survey import Place, Survey
from sightline_bench.measure.results import Figure
from sightline_bench.measure.rounds import as_json

_PREFIX: Mapping[Place, str] = {"gpu": "gpu", "cpu": "rehearsal_on_cpu"}
REHEARSAL = "a rehearsal on the processor, which shows that the harness works: NOT a figure of a GPU"


def figures(measured: Measured, material: Material, place: Place, own: Arrangement) -> dict[str, Figure]:
    """Served by the smaller limit, of each detector on each size of photos.

    Args:
        measured: what came out.
        material: what was worked on.
        place: where.
        own: the product's arrangement.
    """
    found: dict[str, Figure] = {}
    for race in measured.races:
        subject = f"{race.model}_{race.photos}"
        name = f"{race.model}, {race.photos}"
        prefix = _PREFIX[place]
        ways = {
            f"{prefix}_served_over_limit_{subject}": (f"{name}: served ÷ min(engine, decode)", own, False),
            f"{prefix}_best_served_over_limit_{subject}": (f"{name}: likewise, best arrangement", None, False),
        }
        if place == "gpu":
            key = f"{prefix}_served_over_graph_limit_{subject}"
            ways[key] = (f"{name}: served ÷ min(engine with CUDA graph, decode)", own, True)
        for key, (title, arrangement, captured) in ways.items():
            found[key] = _figure(title, race, material, place, race.best(arrangement), captured=captured)
    return found


def _figure(  # noqa: PLR0913 - what it is of
    title: str, race: ChainRace, material: Material, place: Place, row: Row, *, captured: bool
) -> Figure:
    model, photos = material.models[race.model], material.photos[race.photos]
    notes = [REHEARSAL if place == "cpu" else "", model.note]
    setting = f"{row.variant.name}, network in {model.precision}; {photos.title}; the smaller limit: {race.smaller()}"
    try:
        ratio = race.ratio(row, captured=captured)
    except MeasurementError as error:
        ratio, setting = None, ""
        notes.insert(0, f"not measured: {error}")
    return Figure(
        title=title,
        unit="x",
        better="higher",
        target=TARGET if place == "gpu" else None,
        ratio=ratio,
        setting=setting,
        note="; ".join(filter(None, notes)),
    )


def section(measured: Measured, plan: Plan, found: Survey, material: Material, pace: Pace) -> dict[str, Any]:
    """All of it for the JSON file; on a processor not as measured, but as a rehearsal of it."""
    passes = {name: list(came) for name, came in measured.passes.items()}
    beyond = letterbox_milliseconds(plan.alone, measured.passes)
    content = {
        "there": dict(found.there),
        "lacks": dict(found.lacks),
        "left_out": list(plan.left_out),
        "pace": {"rounds": pace.rounds, "seconds": pace.seconds, "served_seconds": pace.served_seconds},
        "models": {
            each.name: {"precision": each.precision, "weights": each.note or "as given"}
            for each in material.models.values()
        },
        "photos": {size: each.title for size, each in material.photos.items()},
        "alone": [row.as_json() for row in measured.rows],
        "letterbox_ms": {name: spread(ratio) for name, ratio in beyond.items()},
        "served": list(_served(measured)),
        "passes": as_json(passes),
    }
    if found.place == "cpu":
        return {**not_measured(REHEARSAL), "rehearsal": content}
    return {"measured": True, "reason": "", "gpu": dict(found.gpu), **content}


def _served(measured: Measured) -> Iterator[dict[str, Any]]:
    for race in measured.races:
        for row in race.rows:
            ratios = {}
            for name, captured in (("over_limit", False), ("over_graph_limit", True)):
                try:
                    ratios[name] = spread(race.ratio(row, captured=captured))
                except MeasurementError:
                    ratios[name] = spread(None)
            yield {**row.as_json(), **ratios, "limit": race.smaller(), "limits": sorted(race.limits.names)}
