"""A served picture taken apart: what is slow is found where it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tritonclient.grpc

from sightline import Client
from sightline.detections import Result
from sightline.errors import CorruptImageError
from sightline.writers import Writer
from sightline_bench.measure.server_steps import StepCount, settled_steps, steps_after
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_bench.profile.served import STAGES, Chain, OneByOne, Read, one_by_one, stages, usable
from sightline_bench.profile.shares import Share, decode_share
from sightline_bench.profile.stream import stream
from sightline_export.sample import BUNDLED_FOLDER
from sightline_server.launcher import EmbeddedServer

CHECKOUT = Path(__file__).resolve().parents[2]
DALI_FILE = CHECKOUT / "model_repository" / "letterbox_640" / "1" / "dali.py"
PLANTED_SECONDS = 0.4
UNKNOWN = Share(None, "not measured")
NOTHING = StepCount(
    requests=0,
    images=0,
    executions=0,
    total_seconds=0.0,
    queue_seconds=0.0,
    input_seconds=0.0,
    infer_seconds=0.0,
    output_seconds=0.0,
    busy_seconds=0.0,
)


class Sleeper(Writer):
    """Writes nothing, slowly."""

    name = "nothing"
    in_order = True

    def prepare(self, result: Result) -> Callable[[], None]:
        return lambda: time.sleep(PLANTED_SECONDS)


def slow_read(path: Path) -> bytes:
    time.sleep(PLANTED_SECONDS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def chains(server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]) -> Callable[[float], Chain]:
    """A function that gives a no-op detector which takes so many seconds."""
    names: dict[float, str] = {}

    def make(delay_seconds: float) -> Chain:
        if delay_seconds not in names:
            names[delay_seconds] = name = f"profiled_{len(names)}"
            write_noop_detector(repository, name, options=NoopOptions(delay_seconds=delay_seconds))
            load_model(name)
        name = names[delay_seconds]
        return Chain(server.grpc_url, name, name, None, instances={name: 1}, server_pid=server.pid)

    return make


@pytest.fixture(scope="module")
def pictures() -> list[Path]:
    return sorted(BUNDLED_FOLDER.glob("*.jpg"))[:2]


@pytest.mark.parametrize("planted", ["read", "network", "write", "nowhere"])
def test_a_planted_sleep_shows_up_where_it_was_planted(
    planted: str, chains: Callable[[float], Chain], pictures: list[Path]
) -> None:
    chain = chains(PLANTED_SECONDS if planted == "network" else 0.0)
    read: Read = slow_read if planted == "read" else Path.read_bytes
    writers = [Sleeper()] if planted == "write" else []
    taken = one_by_one(chain, pictures, writers, images=2, read=read)
    found = stages(chain, taken, decode=UNKNOWN, network=UNKNOWN)
    slow = {name for name, milliseconds in found.items() if milliseconds >= 1000 * PLANTED_SECONDS}
    assert slow == ({planted} - {"nowhere"})
    assert sum(found.values()) == pytest.approx(1000 * sum(taken.seconds) / 2, rel=0.02, abs=2.0)


PLANTED_CALL = 'fn.python_function(decoded(encoded), function=dawdle, output_layouts="HWC")'
PLANTED = f"""

def dawdle(picture: Any) -> Any:
    import time

    time.sleep({PLANTED_SECONDS})
    return picture
"""


def test_a_planted_sleep_behind_the_decoder_is_the_letterboxs(tmp_path: Path, pictures: list[Path]) -> None:
    text = DALI_FILE.read_text(encoding="utf-8")
    line = "    return decoded(encoded), original_shape\n"
    assert text.count(line) == 1
    slow = tmp_path / "dali.py"
    slow.write_text(text.replace(line, line.replace("decoded(encoded)", PLANTED_CALL)) + PLANTED, encoding="utf-8")
    share = decode_share(slow, pictures, threads=1, rounds=3)
    assert share.part is not None
    assert share.whole_milliseconds >= 1000 * PLANTED_SECONDS
    assert share.part < 0.5


def test_the_servers_steps_are_parted_by_the_shares() -> None:
    chain = Chain("", "whole", "net", "letterbox", instances={}, server_pid=0)
    counts = {
        "whole": replace(NOTHING, total_seconds=1.2),
        "letterbox": replace(NOTHING, queue_seconds=0.01, input_seconds=0.02, infer_seconds=0.2, output_seconds=0.03),
        "net": replace(NOTHING, queue_seconds=0.04, input_seconds=0.05, infer_seconds=0.8, output_seconds=0.09),
    }
    taken = OneByOne((0.7, 0.7), (0.65, 0.65), read_seconds=0.01, write_seconds=0.04, counts=counts)
    found = stages(chain, taken, decode=Share(0.75), network=Share(0.9))
    expected = {
        "read": 10,
        "decode": 75,
        "letterbox": 25,
        "network": 360,
        "NMS": 40,
        "Triton": 75,
        "transport": 75,
        "write": 40,
    }
    assert found == pytest.approx(expected)
    assert tuple(found) == STAGES
    assert sum(found.values()) == pytest.approx(700)


def test_without_a_share_the_first_part_has_it_all() -> None:
    chain = Chain("", "net", "net", None, instances={}, server_pid=0)
    counts = {"net": replace(NOTHING, infer_seconds=0.8)}
    found = stages(chain, OneByOne((0.9,), (0.9,), 0.0, 0.0, counts), decode=UNKNOWN, network=UNKNOWN)
    assert (found["network"], found["NMS"], found["decode"]) == (800.0, 0.0, 0.0)


def test_a_share_is_that_of_the_fastest_rounds_and_never_more_than_all() -> None:
    assert Share.of([9.0, 3.0, 8.0], [8.0, 10.0, 4.0]).part == 0.75
    assert Share.of([5.0, 5.0, 5.0], [4.0, 4.0, 4.0]).part == 1.0


def test_a_stream_is_counted(chains: Callable[[float], Chain], pictures: list[Path]) -> None:
    chain = chains(0.05)
    found = stream(chain, pictures, images=10, formats=["jsonl"])
    assert (found.images, found.failed) == (10, 0)
    (step,) = found.steps
    assert found.busiest is step
    assert step.milliseconds * step.mean_batch >= 50
    assert 0 < step.busy <= 1
    assert found.memory_bytes > 1e6


def test_pictures_that_the_server_refuses_are_left_out(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None], tmp_path: Path
) -> None:
    write_noop_detector(repository, "refusing", options=NoopOptions(blame="broken"))
    load_model("refusing")
    chain = Chain(server.grpc_url, "refusing", "refusing", None, instances={}, server_pid=server.pid)
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    picture = next(iter(BUNDLED_FOLDER.glob("*.jpg"))).read_bytes()
    good.write_bytes(picture)
    bad.write_bytes(picture + b"broken")
    assert usable(chain, [bad, good]) == [good]
    with pytest.raises(CorruptImageError, match="none of the 1 pictures"):
        usable(chain, [bad])


def test_counts_are_waited_for(chains: Callable[[float], Chain], pictures: list[Path]) -> None:
    chain = chains(0.0)
    with tritonclient.grpc.InferenceServerClient(chain.url) as server, Client(chain.url, model=chain.model) as client:
        before = settled_steps(server, chain.models)
        client.detect(pictures[0])
        assert steps_after(server, before, requests=1)[chain.model].images == 1
