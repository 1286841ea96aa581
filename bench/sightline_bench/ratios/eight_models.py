"""Eight models loaded and one used, beside that one alone; and what eight idle ones cost."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from sightline import Client
from sightline_bench.load.copies import write_copies
from sightline_bench.load.crowd import Stream
from sightline_bench.load.driver import serve
from sightline_bench.load.payloads import paths_of
from sightline_bench.material.exports import Exported, export_detector
from sightline_bench.measure.rounds import Pass, Ratio, as_json, paired, take_turns
from sightline_bench.measure.usage import tree_seconds
from sightline_bench.ratios.registry import Findings, Group, Key, Setting
from sightline_server.launcher import EmbeddedServer

_OVER_ONE, _IDLE = "eight_loaded_over_one", "eight_loaded_idle_cpu"
KEYS = (
    Key(name=_OVER_ONE, title="eight models loaded, one used ÷ one loaded", target=0.97),
    Key(name=_IDLE, title="eight models loaded, idle", target=0.01, unit="cores", better="lower"),
)
_ONE, _EIGHT, _NOTHING = "one loaded", "eight loaded", "eight idle"
_SETTLE_SECONDS = 1.0


class Idle:
    """Does nothing for a while, and counts the processor time of a server and all below it."""

    name = _NOTHING

    def __init__(self, server: EmbeddedServer, seconds: float) -> None:
        self._server, self._seconds = server, seconds

    def one_pass(self) -> Pass:
        """Wait; `images` is 1, as a pass has to have some."""
        time.sleep(_SETTLE_SECONDS)
        before, begun = tree_seconds(self._server.pid), time.perf_counter()
        time.sleep(self._seconds)
        seconds = time.perf_counter() - begun
        return Pass(images=1, seconds=seconds, cpu_seconds=tree_seconds(self._server.pid) - before)


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """Two servers, both alive: the one that is not asked idles."""
    weights = setting.find_weights("yolov8n")
    exported = export_detector(setting.workshop, weights, setting.fast_precision)
    images = paths_of(setting.photos(quick=24, full=100))
    idle_seconds = float(setting.count(quick=3, full=20))
    passes = _race(setting, exported, images, idle_seconds)
    about = f"yolov8n in {exported.precision} and seven copies of it, {len(images)} of {setting.images_title}"
    idle = f"{idle_seconds:g} s without requests, the server with all its processes; yolov8n eight times"
    notes = "; ".join(filter(None, [weights.note, setting.precision_note]))
    cores = Ratio(tuple(one.cpu_seconds / one.seconds for one in passes[_NOTHING]))
    figures = {
        _OVER_ONE: KEYS[0].measured(paired(passes[_EIGHT], passes[_ONE]), about, notes),
        _IDLE: KEYS[1].measured(cores, idle, notes),
    }
    return Findings(
        figures={name: figure for name, figure in figures.items() if name in wanted},
        sections={"eight_models": as_json(passes)},
    )


def _race(setting: Setting, exported: Exported, images: list[Path], idle_seconds: float) -> dict[str, list[Pass]]:
    names = [exported.model, *(f"{exported.model}_copy{number}" for number in range(2, 9))]
    repository = setting.workshop.scratch("eight_models")
    write_copies(exported.repository, exported.model, repository, names)

    def watch(name: str, number: int, came: Pass) -> None:
        cores = came.cpu_seconds / came.seconds
        setting.tell(f"eight models, round {number + 1}: {name:<14} {came.seconds:6.1f} s, {cores:.3f} cores")

    with ExitStack() as stack:
        repositories = {_ONE: exported.repository, _EIGHT: repository}
        servers = {name: stack.enter_context(serve(folder)) for name, folder in repositories.items()}
        streams = []
        for name, server in servers.items():
            client = stack.enter_context(Client(server.grpc_url, model=exported.model))
            streams.append(Stream(name, client, images))
            streams[-1].one_pass()  # not timed
        idle = Idle(servers[_EIGHT], idle_seconds)
        return take_turns([*streams, idle], rounds=setting.rounds, watch=watch)


GROUP = Group(name="eight models", keys=KEYS, measure=measure)
