"""A group against its members asked one after another, and against their networks alone: what is found, what it costs.

    python -m sightline_bench.group_cost model_repository fleet photos/ [--timed 24 --rounds 5 --json group.json]
    python -m sightline_bench.group_cost /tmp/five five photos/ --five-from ../shared/data

An embedded server of its own serves the group and its members, with the same networks for both. First every image goes
through the group and through each member, and the detections are compared. Then the three ways take turns: the group,
the members one after another, and the group's networks alone: the group without its first step, which is sent pictures
that are decoded and brought to size already. Each round begins with another of them, the first
round does not count, and what is compared is the ratio within a round, so that a busy machine disturbs them alike.
Processor time is that of the server's processes, by what they do; the client's is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from sightline import Client, ClientOptions
from sightline.contract import NETWORK_SUFFIX, PREPROCESSING_PREFIXES
from sightline_bench.group_agreement import BATCH_SIZE, Agreement, agreements
from sightline_bench.measure.usage import process_seconds
from sightline_bench.networks_alone import NetworksAlone, write_networks_alone
from sightline_bench.precision_table.five import install_five
from sightline_export.config import CONFIG_FILE, parse
from sightline_export.group_config import members_of
from sightline_server.launcher import EmbeddedServer, ServerOptions

ALONE = "networks alone"


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

    def __init__(
        self,
        server: EmbeddedServer,
        group: str,
        members: Sequence[str],
        images: Sequence[Path],
        networks: NetworksAlone,
    ) -> None:
        self._server = server
        self._group = group
        self._members = members
        self._images = images
        self._networks = networks
        self._processes = dict(_stubs(server.pid))

    def ways(self) -> dict[str, Callable[[], None]]:
        """What takes turns, by name."""
        return {
            "the group": lambda: self._stream(self._group),
            "members one after another": self._stream_members,
            ALONE: self._networks.run,
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
        for member in self._members:
            self._stream(member)

    def _cpu_seconds(self) -> dict[str, float]:
        spent = dict.fromkeys(("decoding", "networks", "triton"), 0.0)
        spent["triton"] = process_seconds(self._server.pid)
        for pid, model in self._processes.items():
            kind = "networks" if model.endswith(NETWORK_SUFFIX) else "decoding"
            if kind == "networks" or model.startswith(PREPROCESSING_PREFIXES):
                spent[kind] += process_seconds(pid)
        return spent


def _stubs(server_pid: int) -> Iterator[tuple[int, str]]:
    """The processes that run the server's models, each with its model: the second word is `.../MODEL/1/FILE`."""
    for task in Path(f"/proc/{server_pid}/task").glob("*/children"):
        for pid in map(int, task.read_text().split()):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            yield pid, Path(words[1]).parts[-3]


def take_turns(bench: Bench, rounds: int) -> dict[str, list[Cost]]:
    """What each way costs in each round, after one that does not count; another way begins each time."""
    ways = list(bench.ways().items())
    found: dict[str, list[Cost]] = {name: [] for name, _ in ways}
    for turn in range(rounds + 1):
        first = turn % len(ways)
        for name, way in (*ways[first:], *ways[:first]):
            cost = bench.cost(way)
            if turn:
                found[name].append(cost)
    return found


def medians(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    rows = [asdict(cost) for cost in costs]
    return Cost(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def ratios(
    costs: Sequence[Cost], others: Sequence[Cost], figure: Callable[[Cost], float]
) -> tuple[float, float, float]:
    """Least, median and most of a figure in terms of what it is for another way in the same round."""
    found = [figure(one) / figure(other) for one, other in zip(costs, others, strict=True)]
    return min(found), statistics.median(found), max(found)


def show_agreements(found: Mapping[str, Agreement], images: int) -> Iterator[str]:
    """A table in Markdown."""
    yield "| member | objects | images identical | same objects | largest shift px | score difference |"
    yield "|---|---|---|---|---|---|"
    for member, came in found.items():
        yield (
            f"| {member} | {came.objects:,} | {came.images_identical} of {images} | {came.images_same} of {images} "
            f"| {came.largest_shift_pixels:.2g} | {came.largest_score_difference:.2g} |"
        )
    yield ""


def show_costs(rounds: Mapping[str, Sequence[Cost]]) -> Iterator[str]:
    """A table in Markdown: medians over the rounds, and ratios with their spread."""
    alone = rounds[ALONE]
    yield (
        "| per image | wall ms | of networks alone | processor ms | of networks alone | decoding | networks | Triton "
        "| times decoded |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, costs in rounds.items():
        cost = medians(costs)
        wall = _spread(ratios(costs, alone, lambda each: each.wall))
        processor = _spread(ratios(costs, alone, lambda each: each.processor))
        yield (
            f"| {name} | {cost.wall:.1f} | {wall} | {cost.processor:.1f} | {processor} | {cost.decoding:.2f} "
            f"| {cost.networks:.1f} | {cost.triton:.2f} | {cost.decoded:.2f} |"
        )


def _spread(ratio: tuple[float, float, float]) -> str:
    least, median, most = ratio
    return f"{median:.2f} ({least:.2f}-{most:.2f})"


@contextmanager
def _served(repository: Path, group: str, members: Iterable[str]) -> Iterator[EmbeddedServer]:
    """The group, its members and its networks alone on free ports; nothing is written into the repository."""
    with tempfile.TemporaryDirectory(prefix="sightline-group-") as name:
        folder = Path(name)
        for model in repository.iterdir():
            if (model / CONFIG_FILE).is_file():
                (folder / model.name).symlink_to(model.resolve())
        models = (group, *members, write_networks_alone(folder, group))
        options = ServerOptions(repository=folder, models=models, grpc_port=0, http_port=0, metrics_port=0)
        with EmbeddedServer(options) as server:
            yield server


def main() -> None:
    """Compare, measure, print."""
    chosen = _parser().parse_args()
    if chosen.five_from is not None and not chosen.repository.exists():
        install_five(chosen.five_from, chosen.repository, group=chosen.group, tell=print)
    images = sorted(chosen.images.glob("*.jpg"))
    members = members_of(chosen.repository / chosen.group)
    found: dict[str, Agreement] = {}
    with _served(chosen.repository, chosen.group, members) as server:
        timed = images[: chosen.timed]
        if not chosen.no_comparison:
            found = agreements(server.grpc_url, chosen.group, members, images, score_threshold=chosen.score_threshold)
            print("\n".join(show_agreements(found, len(images))), flush=True)
        config = parse((chosen.repository / chosen.group / CONFIG_FILE).read_text(encoding="utf-8"))
        networks = NetworksAlone(server.grpc_url, config, timed, batch_size=BATCH_SIZE)
        rounds = take_turns(Bench(server, chosen.group, members, timed, networks), chosen.rounds)
    print("\n".join(show_costs(rounds)))
    if chosen.json is not None:
        content = {
            "images": len(images),
            "timed": len(timed),
            "agreements": {name: asdict(each) for name, each in found.items()},
            "rounds": {name: [asdict(cost) for cost in measured] for name, measured in rounds.items()},
        }
        chosen.json.write_text(json.dumps(content, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("group")
    parser.add_argument("images", type=Path, help="folder of JPEGs")
    parser.add_argument("--timed", type=int, default=24, help="images that are timed; all are compared")
    parser.add_argument("--rounds", type=int, default=5, help="that count")
    parser.add_argument("--score-threshold", type=float, default=0.25, help="of the comparison")
    parser.add_argument("--no-comparison", action="store_true", help="only measure what it costs")
    parser.add_argument(
        "--five-from",
        type=Path,
        metavar="DATA",
        help="make the repository of this test data first, if it is not there",
    )
    parser.add_argument("--json", type=Path, help="write all figures there, of every round")
    return parser


if __name__ == "__main__":
    main()
