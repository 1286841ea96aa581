"""A group against its members asked one after another, and against their networks alone: what is found, what it costs.

    python -m sightline_bench.group_cost model_repository fleet photos/ [--rounds 3 --json group.json]

An embedded server of its own serves the group and its members, with the same networks for both. First every image goes
through the group and through each member, and the detections are compared. Then the three ways take turns in every
round, so that a busy machine disturbs them alike: the group, the members one after another, and the members' networks
with pictures that are decoded and brought to size already. Processor time is that of the server's processes, by what
they do; the client's is left out. The table shows medians over the rounds, per image.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from sightline import Client, ClientOptions
from sightline.contract import NETWORK_SUFFIX, PREPROCESSING_PREFIXES
from sightline.detector_info import DetectorInfo
from sightline_bench.group_agreement import BATCH_SIZE, Agreement, agreements
from sightline_bench.networks_alone import NetworksAlone
from sightline_server.launcher import EmbeddedServer, ServerOptions

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Of one image, in milliseconds.

    Attributes:
        wall: by the clock, with as many images on their way as the client sends.
        decoding: processor time of what decodes and brings to size.
        networks: processor time of what runs the networks.
        triton: processor time of Triton itself.
        decoded: how often the image was decoded.
    """

    wall: float
    decoding: float
    networks: float
    triton: float
    decoded: float

    @property
    def processor(self) -> float:
        """Processor time of the whole server."""
        return self.decoding + self.networks + self.triton


class Bench:
    """One server, and the ways to ask it."""

    def __init__(self, server: EmbeddedServer, group: str, images: Sequence[Path]) -> None:
        self._server = server
        self._group = group
        self._images = images
        with Client(server.grpc_url, model=group) as client:
            self.members: Mapping[str, DetectorInfo] = dict(client.members)
        self._networks = NetworksAlone(server.grpc_url, self.members, images, batch_size=BATCH_SIZE)
        self._processes = dict(_stubs(server.pid))

    def agreements(self, *, score_threshold: float) -> dict[str, Agreement]:
        """Every member's, by name."""
        return agreements(
            self._server.grpc_url, self._group, self.members, self._images, score_threshold=score_threshold
        )

    def ways(self) -> dict[str, Callable[[], None]]:
        """What takes turns, by name."""
        return {
            "the group": lambda: self._stream(self._group),
            "members one after another": self._stream_members,
            "networks alone": self._networks.run,
        }

    def cost(self, way: Callable[[], None]) -> Cost:
        """What the way costs for each image."""
        before, decoded, begun = self._cpu_seconds(), self._networks.decoded(), perf_counter()
        way()
        wall, after = perf_counter() - begun, self._cpu_seconds()
        count = len(self._images)
        spent = {kind: 1000 * (after[kind] - before[kind]) / count for kind in after}
        return Cost(wall=1000 * wall / count, **spent, decoded=(self._networks.decoded() - decoded) / count)

    def _client(self, model: str) -> Client:
        return Client(self._server.grpc_url, model=model, options=ClientOptions(timeout_seconds=600))

    def _stream(self, model: str) -> None:
        with self._client(model) as client:
            for result in client.stream(self._images, batch_size=BATCH_SIZE):
                if result.error is not None:
                    raise result.error

    def _stream_members(self) -> None:
        for member in self.members:
            self._stream(member)

    def _cpu_seconds(self) -> dict[str, float]:
        spent = dict.fromkeys(("decoding", "networks", "triton"), 0.0)
        spent["triton"] = _process_seconds(self._server.pid)
        for pid, model in self._processes.items():
            kind = "networks" if model.endswith(NETWORK_SUFFIX) else "decoding"
            if kind == "networks" or model.startswith(PREPROCESSING_PREFIXES):
                spent[kind] += _process_seconds(pid)
        return spent


def _stubs(server_pid: int) -> Iterator[tuple[int, str]]:
    """The processes that run the server's models, each with its model: the second word is `.../MODEL/1/FILE`."""
    for task in Path(f"/proc/{server_pid}/task").glob("*/children"):
        for pid in map(int, task.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            yield pid, Path(words[1]).parts[-3]


def _process_seconds(pid: int) -> float:
    """Processor time of all of a process's threads; the name before the numbers may hold blanks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def medians(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    rows = [asdict(cost) for cost in costs]
    return Cost(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def show(agreements: Mapping[str, Agreement], costs: Mapping[str, Cost], images: int) -> Iterator[str]:
    """Two tables in Markdown."""
    yield "| member | objects | images identical | same objects | largest shift px | score difference |"
    yield "|---|---|---|---|---|---|"
    for member, came in agreements.items():
        yield (
            f"| {member} | {came.objects:,} | {came.images_identical} of {images} | {came.images_same} of {images} "
            f"| {came.largest_shift_pixels:.2g} | {came.largest_score_difference:.2g} |"
        )
    yield ""
    yield "| per image | wall ms | processor ms | of it decoding | networks | Triton | times decoded |"
    yield "|---|---|---|---|---|---|---|"
    for name, cost in costs.items():
        yield (
            f"| {name} | {cost.wall:.1f} | {cost.processor:.1f} | {cost.decoding:.2f} | {cost.networks:.1f} "
            f"| {cost.triton:.2f} | {cost.decoded:.2f} |"
        )


@contextmanager
def open_bench(repository: Path, group: str, images: Sequence[Path]) -> Iterator[Bench]:
    """A server for the group and its members, on free ports."""
    from sightline_export.group_config import members_of

    models = (group, *members_of(repository / group))
    options = ServerOptions(repository=repository, models=models, grpc_port=0, http_port=0, metrics_port=0)
    with EmbeddedServer(options) as server:
        yield Bench(server, group, images)


def main() -> None:
    """Compare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("group")
    parser.add_argument("images", type=Path, help="folder of JPEGs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--score-threshold", type=float, default=0.25, help="of the comparison")
    parser.add_argument("--json", type=Path, help="write all figures there, of every round")
    chosen = parser.parse_args()
    images = sorted(chosen.images.glob("*.jpg"))
    with open_bench(chosen.repository, chosen.group, images) as bench:
        agreements = bench.agreements(score_threshold=chosen.score_threshold)
        rounds: dict[str, list[Cost]] = {name: [] for name in bench.ways()}
        for _ in range(chosen.rounds):
            for name, way in bench.ways().items():
                rounds[name].append(bench.cost(way))
    costs = {name: medians(measured) for name, measured in rounds.items()}
    print("\n".join(show(agreements, costs, len(images))))
    if chosen.json is not None:
        content = {
            "images": len(images),
            "agreements": {name: asdict(each) for name, each in agreements.items()},
            "rounds": {name: [asdict(cost) for cost in measured] for name, measured in rounds.items()},
        }
        chosen.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
