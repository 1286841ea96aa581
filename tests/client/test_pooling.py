"""Images of one aspect fill requests, whichever chunks they came in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sightline import ClientOptions
from sightline._loading import Checked
from sightline._pooling import Pool
from sightline.detections import Result
from sightline.errors import ClientStateError, InferenceError

MARK = InferenceError("an answer like any other")
WIDE, TALL = (480, 640), (640, 480)


class Server:
    """Answers no request before it is let go, and knows what was in each."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.came = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error: Exception | None = None

    def send(self, images: Sequence[Checked]) -> list[Result]:
        self.requests.append([str(image.source) for image in images])
        self.came.release()
        assert self.go.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        return [Result(image.source, error=MARK) for image in images]


@pytest.fixture
def server() -> Server:
    return Server()


Ask = Callable[[str], "Future[str]"]
"""Puts in images, one for each letter (capitals are wide ones), and gives the sources of their results."""


@pytest.fixture
def ask(server: Server) -> Iterator[Ask]:
    """Through a pool that has one request of at most 3 images on its way; the first is on it, the others wait."""
    pool = Pool(server.send, lambda image: image.size_hw, size=3, senders=1, options=ClientOptions())
    put_in: list[str] = []
    with ThreadPoolExecutor(8) as threads:

        def put(letters: str) -> Future[str]:
            images = [Checked(letter, b"1", WIDE if letter.isupper() else TALL) for letter in letters]
            future = threads.submit(lambda: "".join(str(result.source) for result in pool.answer(images)))
            if not put_in:
                assert server.came.acquire(timeout=60)
            else:
                deadline = time.monotonic() + 60
                while pool.waiting < sum(map(len, put_in[1:])) + len(letters):
                    assert time.monotonic() < deadline
                    time.sleep(0.001)
            put_in.append(letters)
            return future

        yield put
        server.go.release(1000)
    pool.close()


def finish(server: Server, *futures: Future[str]) -> list[str]:
    """Let all requests go; the sources of the results."""
    server.go.release(1000)
    return [future.result(timeout=60) for future in futures]


def test_nothing_waits_for_company(server: Server, ask: Ask) -> None:
    assert finish(server, ask("A")) == ["A"]
    assert server.requests == [["A"]]


def test_images_gather_while_a_request_is_on_its_way(server: Server, ask: Ask) -> None:
    chunks = [ask(letters) for letters in ("A", "bCd", "EfG", "H")]
    assert finish(server, *chunks) == ["A", "bCd", "EfG", "H"]
    # The oldest first, whatever would make the fullest request.
    assert server.requests == [["A"], ["b", "d", "f"], ["C", "E", "G"], ["H"]]


def test_an_error_is_for_all_that_were_sent(server: Server, ask: Ask) -> None:
    chunks = [ask(letters) for letters in ("A", "Bc", "D")]
    server.error = ClientStateError("closed")
    server.go.release(1000)
    for chunk in chunks:
        with pytest.raises(ClientStateError, match="closed"):
            chunk.result(timeout=60)


@pytest.mark.parametrize(
    ("size_bytes", "size_hw", "together"),
    [(1, (48, 64), 3), (40, (48, 64), 2), (60, (48, 64), 1), (1000, (48, 64), 1), (1, (960, 640), 2)],
)
def test_a_request_keeps_within_its_limits(
    server: Server, size_bytes: int, size_hw: tuple[int, int], together: int
) -> None:
    options = ClientOptions(batch_bytes=100, batch_pixels=4 * 480 * 640)
    pool = Pool(server.send, lambda image: image.size_hw, size=3, senders=1, options=options)
    server.go.release(1000)
    images = [Checked(str(index), bytes(size_bytes), size_hw) for index in range(6)]
    assert [result.source for result in pool.answer(images)] == [image.source for image in images]
    assert [len(request) for request in server.requests] == [together] * (6 // together)
    pool.close()
