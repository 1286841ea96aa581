"""64 clients of yolov8n at the same time: whether they slow each other down, and whether all get their share."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from sightline import Client
from sightline_bench.load.crowd import FAIRNESS, Crowd, Stream
from sightline_bench.load.driver import serve
from sightline_bench.load.payloads import paths_of
from sightline_bench.material.exports import export_detector
from sightline_bench.measure.rounds import Pass, Ratio, as_json, best, paired, take_turns
from sightline_bench.ratios.registry import Findings, Group, Key, Setting

_OVER_BEST, _FAIRNESS = "clients_64_over_best", "clients_64_fairness"
KEYS = (
    Key(name=_OVER_BEST, title="throughput with 64 clients ÷ best", target=0.97),
    Key(name=_FAIRNESS, title="64 clients, slowest ÷ fastest", target=0.9),
)
_MANY, _FEWER = 64, (4, 16)
_STREAM = "one client, streaming"


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """64 clients with one image at a time each, fewer of them, and one that streams, on one server by turns."""
    weights = setting.find_weights("yolov8n")
    exported = export_detector(setting.workshop, weights, setting.fast_precision)
    each = setting.count(quick=4, full=6)
    images = paths_of(setting.photos(quick=48, full=100))
    passes = _race(setting, exported.repository, exported.model, images, images_each=each)
    crowd = f"{_MANY} clients"
    winner = best(passes, list(passes))
    about = f"yolov8n in {exported.precision}, {each} images for each of {_MANY} clients, one at a time"
    notes = "; ".join(filter(None, [weights.note, setting.precision_note]))
    figures = {
        _OVER_BEST: KEYS[0].measured(paired(passes[crowd], passes[winner]), f"{about}; best: {winner}", notes),
        _FAIRNESS: KEYS[1].measured(Ratio(tuple(one.details[FAIRNESS] for one in passes[crowd])), about, notes),
    }
    return Findings(
        figures={name: figure for name, figure in figures.items() if name in wanted},
        sections={"clients": as_json(passes)},
    )


def _race(
    setting: Setting, repository: Path, model: str, images: list[Path], *, images_each: int
) -> dict[str, list[Pass]]:
    total = _MANY * images_each

    def watch(name: str, number: int, came: Pass) -> None:
        setting.tell(f"clients, round {number + 1}: {name:<24} {came.images_per_second:8.2f} images/s")

    with ExitStack() as stack:
        server = stack.enter_context(serve(repository))
        crowds = [
            stack.enter_context(
                Crowd(server.grpc_url, model, images, clients=count, images_each=max(4, total // 4 // count))
            )
            for count in (_FEWER[-1:] if setting.quick else _FEWER)
        ]
        crowds.append(
            stack.enter_context(Crowd(server.grpc_url, model, images, clients=_MANY, images_each=images_each))
        )
        client = stack.enter_context(Client(server.grpc_url, model=model))
        return take_turns([*crowds, Stream(_STREAM, client, images)], rounds=setting.rounds, watch=watch)


GROUP = Group(name="clients", keys=KEYS, measure=measure)
