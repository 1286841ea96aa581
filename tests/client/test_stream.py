from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.client.noop_images import BLAME, POISON, expected, found, numbered

from sightline import Client, ClientOptions, EncodedImage, Result
from sightline._gate import Gate
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline.errors import (
    ClientStateError,
    CorruptImageError,
    DeadlineExceededError,
    EmptyImageError,
    ImageTooLargeError,
    InferenceError,
    InvalidOptionError,
    SightlineError,
    UnreadableImageError,
    UnsupportedImageError,
)
from sightline_bench.noop import BLAME_REASON, NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

ENTRIES = 50_000
DETECTORS = {
    "echo": NoopOptions(echo=True),
    "slow": NoopOptions(echo=True, delay_seconds=0.1),
    "one_by_one": NoopOptions(echo=True, max_batch_size=1),
    # Waits for other requests, so that a poisoned one has company.
    "native": NoopOptions(echo=True, poison=POISON, max_queue_delay_microseconds=2_000),
    "blaming": NoopOptions(echo=True, blame=BLAME),
    "crowded": NoopOptions(echo=True, queue_size=1, delay_seconds=0.01),
}


@pytest.fixture(scope="module", autouse=True)
def detectors(repository: Path, load_model: Callable[[str], None]) -> None:
    for name, options in DETECTORS.items():
        write_noop_detector(repository, name, options=options)
        load_model(name)


@pytest.fixture(params=TRANSPORT_KINDS)
def kind(request: pytest.FixtureRequest) -> TransportKind:
    chosen: TransportKind = request.param
    return chosen


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[Client]:
    with Client(server.grpc_url, model="echo") as opened:
        yield opened


def sources(results: list[Result]) -> list[Path | str]:
    return [result.source for result in results]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_results_come_in_order(server: EmbeddedServer, kind: TransportKind, count: int) -> None:
    images = [numbered(n) for n in range(count)]
    with Client(server.grpc_url, model="echo", options=ClientOptions(transport=kind)) as client:
        results = list(client.stream(iter(images)))
    assert sources(results) == [image.source for image in images]
    assert [found(result) for result in results] == [expected(image) for image in images]


def test_every_kind_of_image(client: Client, tmp_path: Path) -> None:
    images = [numbered(n) for n in range(4)]
    paths: list[Path | str] = [tmp_path / "one.bmp", str(tmp_path / "two\n.bmp")]
    for path, image in zip(paths, images, strict=False):
        Path(path).write_bytes(image.data)
    results = list(client.stream([*paths, images[2].data, images[3]]))
    assert sources(results) == [*paths, "bytes 2", images[3].source]
    assert [found(result) for result in results] == [expected(image) for image in images]
    assert all(result.unwrap().image_size_hw == (2, 3) and result.milliseconds for result in results)


def test_memory_does_not_grow_with_the_number_of_images(client: Client) -> None:
    images = [numbered(n) for n in range(997)]
    answers = [expected(image) for image in images]

    def stream(count: int) -> int:
        lap = itertools.cycle(zip(images, answers, strict=True))
        wanted: list[int] = []

        def entries() -> Iterator[EncodedImage]:
            for image, answer in itertools.islice(lap, count):
                wanted.append(answer)
                yield image

        right = 0
        for result in client.stream(entries(), batch_size=16):
            right += found(result) == wanted.pop(0)
        return right

    assert stream(ENTRIES // 10) == ENTRIES // 10
    before = resident_bytes()
    assert stream(ENTRIES) == ENTRIES
    # Less than 100 bytes for each.
    assert resident_bytes() - before < 100 * ENTRIES


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_looks_only_so_far_ahead(client: Client) -> None:
    taken = itertools.count()
    images = (numbered(next(taken)) for _ in range(10_000))
    furthest = 0
    for done, result in enumerate(client.stream(images, batch_size=4)):
        furthest = max(furthest, int(str(result.source).split()[1]))
        assert next(taken) - 1 - done <= 200
        taken = itertools.count(next(taken) - 1)
        if done == 2_000:
            break


def test_held_bytes_bound_how_far_it_looks_ahead(server: EmbeddedServer) -> None:
    held = itertools.count()

    def images() -> Iterator[EncodedImage]:
        for number in range(300):
            next(held)
            yield numbered(number, tail=bytes(100_000))

    options = ClientOptions(batch_bytes=100_000, in_flight=2)
    with Client(server.grpc_url, model="slow", options=options) as client:
        results = client.stream(images(), batch_size=16)
        assert found(next(results)) == expected(numbered(0))
        assert next(held) <= 10
        results.close()  # type: ignore[attr-defined]


def test_a_byte_budget_splits_requests_and_keeps_order(server: EmbeddedServer) -> None:
    images = [numbered(n, tail=bytes(5_000 if n % 5 == 0 else 10)) for n in range(40)]
    with Client(server.grpc_url, model="echo", options=ClientOptions(batch_bytes=6_000)) as client:
        results = list(client.stream(images))
    assert [found(result) for result in results] == [expected(image) for image in images]


def test_the_models_own_batch_size(server: EmbeddedServer) -> None:
    images = [numbered(n) for n in range(20)]
    with Client(server.grpc_url, model="one_by_one") as client:
        assert [found(r) for r in client.stream(images, batch_size=8)] == [expected(image) for image in images]


def test_bad_images_get_their_errors_in_place(client: Client, tmp_path: Path) -> None:
    (tmp_path / "pipe.jpg").symlink_to(tmp_path / "fifo")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "photo.txt").write_text("I am a photo, honestly.")
    good = numbered(1)
    bomb = bytearray(good.data)
    bomb[18:26] = (3_000_000).to_bytes(4, "little") + (2_000_000).to_bytes(4, "little")
    bad: list[tuple[str | Path | bytes, type[Exception]]] = [
        (b"", EmptyImageError),
        (tmp_path / "missing.jpg", UnreadableImageError),
        (tmp_path, UnreadableImageError),
        (tmp_path / "pipe.jpg", UnreadableImageError),
        (tmp_path / "photo.txt", UnsupportedImageError),
        (bytes(bomb), ImageTooLargeError),
        (good.data[:-1], CorruptImageError),
    ]
    mixed = [image for one, _ in bad for image in (good, one)]
    results = list(client.stream(mixed, batch_size=5))
    assert [found(result) for result in results[::2]] == [expected(good)] * len(bad)
    assert [type(result.error) for result in results[1::2]] == [error for _, error in bad]
    assert all(str(result.error) for result in results[1::2])


def test_only_bad_images(client: Client, tmp_path: Path) -> None:
    results = list(client.stream(tmp_path / f"{n}.jpg" for n in range(100)))
    assert sources(results) == [tmp_path / f"{n}.jpg" for n in range(100)]
    assert {type(result.error) for result in results} == {UnreadableImageError}


@pytest.mark.parametrize("every", [2, 29])
@pytest.mark.parametrize("model", ["native", "blaming"])
def test_only_the_culprits_are_reported(server: EmbeddedServer, kind: TransportKind, model: str, every: int) -> None:
    marks = {"native": POISON.encode(), "blaming": BLAME.encode()}
    images = [numbered(n, tail=marks[model] if n % every == 1 else b"") for n in range(90)]
    with Client(server.grpc_url, model=model, options=ClientOptions(transport=kind)) as client:
        results = list(client.stream(images))
    assert sources(results) == [image.source for image in images]
    guilty = {n for n, result in enumerate(results) if result.error is not None}
    assert guilty == set(range(1, 90, every))
    assert all(found(results[n]) == expected(images[n]) for n in set(range(90)) - guilty)
    reason = {"native": "the server cannot decode it", "blaming": BLAME_REASON}[model]
    for number in guilty:
        assert type(results[number].error) is CorruptImageError
        assert reason in str(results[number].error)


def test_a_full_queue_is_waited_for(server: EmbeddedServer, kind: TransportKind) -> None:
    options = ClientOptions(transport=kind, in_flight=8)
    with Client(server.grpc_url, model="crowded", options=options) as client:
        images = [numbered(n) for n in range(60)]
        assert [found(r) for r in client.stream(images, batch_size=2)] == [expected(image) for image in images]


def test_a_deadline_for_each_request(server: EmbeddedServer, kind: TransportKind) -> None:
    options = ClientOptions(transport=kind, timeout_seconds=0.05)
    with Client(server.grpc_url, model="slow", options=options) as client:
        results = list(client.stream([numbered(n) for n in range(10)], batch_size=4))
    assert [type(result.error) for result in results] == [DeadlineExceededError] * 10


def test_what_the_source_raises_comes_after_the_results(client: Client) -> None:
    def images() -> Iterator[EncodedImage]:
        for number in range(21):
            yield numbered(number)
        raise LookupError("no more pictures")

    results = client.stream(images())
    assert [found(next(results)) for _ in range(21)] == [expected(numbered(n)) for n in range(21)]
    with pytest.raises(LookupError, match="no more pictures"):
        next(results)


def test_what_is_no_image_ends_the_stream(client: Client) -> None:
    results = client.stream([numbered(0), 5])  # type: ignore[list-item]
    assert found(next(results)) == expected(numbered(0))
    with pytest.raises(InvalidOptionError, match="came int"):
        next(results)


def test_streams_of_one_client_do_not_mix(client: Client) -> None:
    evens = client.stream(numbered(n) for n in range(0, 600, 2))
    odds = client.stream(numbered(n) for n in range(1, 600, 2))
    for number in range(300):
        assert found(next(evens)) == expected(numbered(2 * number))
        assert found(next(odds)) == expected(numbered(2 * number + 1))


def test_nothing_is_left_behind(server: EmbeddedServer, kind: TransportKind) -> None:
    def use() -> None:
        options = ClientOptions(transport=kind)
        with Client(server.grpc_url, model="slow", options=options) as client:
            client.detect(numbered(0))
            for result in client.stream(numbered(n) for n in itertools.count()):
                assert found(result) == expected(numbered(0))
                break
            unfinished = client.stream(numbered(n) for n in itertools.count())
            next(unfinished)
            list(client.stream([numbered(1)]))

    use()
    threads, files = threading.active_count(), open_files()
    for _ in range(3):
        use()
    assert threading.active_count() <= threads
    wait_until(lambda: open_files() <= files)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_until(true: Callable[[], bool]) -> None:
    """gRPC closes sockets a moment later, in threads of its own."""
    for _ in range(500):
        if true():
            return
        time.sleep(0.02)
    pytest.fail("this has not come true within 10 s")


def test_closing_the_client_ends_its_streams(server: EmbeddedServer, kind: TransportKind) -> None:
    client = Client(server.grpc_url, model="slow", options=ClientOptions(transport=kind))
    results = client.stream(numbered(n) for n in itertools.count())
    next(results)
    client.close()
    with pytest.raises(ClientStateError, match="closed"):
        list(results)


def test_closing_the_client_while_the_source_lets_it_wait(server: EmbeddedServer) -> None:
    client = Client(server.grpc_url, model="echo")

    def closing() -> Iterator[EncodedImage]:
        yield numbered(0)
        client.close()
        yield numbered(1)

    results = client.stream(closing(), batch_size=1)
    with pytest.raises(ClientStateError, match="closed"):
        list(results)


INTERRUPTED = """
import itertools, sys
from sightline import Client, ClientOptions
from tests.client.noop_images import numbered
with Client(sys.argv[1], model="slow", options=ClientOptions(transport=sys.argv[2])) as client:
    for result in client.stream(numbered(n) for n in itertools.count()):
        print("result", flush=True)
"""


def test_ctrl_c_ends_a_stream(server: EmbeddedServer, kind: TransportKind) -> None:
    command = [sys.executable, "-c", INTERRUPTED, server.grpc_url, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "result\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_streams_of_one_client_do_not_blame_each_others_images(server: EmbeddedServer) -> None:
    errors: dict[bytes, set[type[Exception] | None]] = {POISON.encode(): set(), b"": set()}

    def stream(tail: bytes) -> None:
        images = [numbered(n, tail=tail) for n in range(40)]
        results = shared.stream(images, batch_size=4)
        errors[tail].update(None if result.error is None else type(result.error) for result in results)

    with Client(server.grpc_url, model="native") as shared, ThreadPoolExecutor(3) as threads:
        list(threads.map(stream, [POISON.encode(), POISON.encode(), b""]))
    assert errors == {POISON.encode(): {CorruptImageError}, b"": {None}}


def test_calls_of_one_client_do_not_blame_each_others_images(server: EmbeddedServer) -> None:
    def detect(number: int) -> type[Exception] | None:
        try:
            shared.detect(numbered(number, tail=POISON.encode() if number % 4 == 0 else b""))
        except CorruptImageError as error:
            return type(error)
        return None

    with Client(server.grpc_url, model="native") as shared, ThreadPoolExecutor(16) as threads:
        errors = list(threads.map(detect, range(120)))
    assert errors == [CorruptImageError if number % 4 == 0 else None for number in range(120)]


def test_images_of_another_client_do_not_get_good_ones_blamed(server: EmbeddedServer) -> None:
    """Nobody can hold back another client's images: a good one may stay undecided, but is never called corrupt."""
    enough = threading.Event()

    def disturb(_: int) -> None:
        with Client(server.grpc_url, model="native") as other:
            while not enough.is_set():
                with contextlib.suppress(SightlineError):
                    other.detect(numbered(1, tail=POISON.encode()))

    with Client(server.grpc_url, model="native") as client, ThreadPoolExecutor(4) as threads:
        disturbers = threads.map(disturb, range(4))
        results = list(client.stream((numbered(n) for n in range(60)), batch_size=4))
        enough.set()
        list(disturbers)
    assert {type(result.error) for result in results} <= {type(None), InferenceError}


def test_who_waits_at_the_gate_can_be_called_off() -> None:
    gate, closing = Gate(), threading.Event()

    def check() -> None:
        if closing.is_set():
            raise ClientStateError("the stream was closed")

    def wait() -> type[Exception] | None:
        try:
            with gate.alone(check):
                return None
        except ClientStateError as error:
            return type(error)

    with ThreadPoolExecutor(1) as threads, gate.together(check):
        waiting = threads.submit(wait)
        closing.set()
        while not waiting.done():
            gate.wake()
        assert waiting.result() is ClientStateError
    with gate.together(lambda: None), gate.together(lambda: None):
        pass


def test_the_gate_lets_one_in_alone() -> None:
    gate, inside, seen_alone = Gate(), [0], []
    lock = threading.Lock()

    def together() -> None:
        for _ in range(50):
            with gate.together(lambda: None):
                with lock:
                    inside[0] += 1
                time.sleep(0)
                with lock:
                    inside[0] -= 1

    def alone() -> None:
        for _ in range(20):
            with gate.alone(lambda: None):
                seen_alone.append(inside[0])

    threads = [threading.Thread(target=target) for target in (*(together,) * 6, *(alone,) * 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen_alone == [0] * 60
