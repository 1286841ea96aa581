from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.client.noop_images import expected, found, numbered

from sightline import AsyncClient, EncodedImage
from sightline.errors import ClientStateError, InvalidOptionError, ModelNotFoundError, UnreadableImageError
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer


@pytest.fixture(scope="module", autouse=True)
def detectors(repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "echo", options=NoopOptions(echo=True))
    write_noop_detector(repository, "slow", options=NoopOptions(echo=True, delay_seconds=0.2))
    load_model("echo")
    load_model("slow")


async def as_they_come(images: list[EncodedImage]) -> AsyncIterator[EncodedImage]:
    for image in images:
        await asyncio.sleep(0)
        yield image


@pytest.mark.parametrize("count", [0, 1, 500])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_results_come_in_order(server: EmbeddedServer, count: int, *, asynchronous: bool) -> None:
    images = [numbered(n) for n in range(count)]
    async with AsyncClient(server.grpc_url, model="echo") as client:
        source = as_they_come(images) if asynchronous else iter(images)
        results = [result async for result in client.stream(source)]
    assert [result.source for result in results] == [image.source for image in images]
    assert [found(result) for result in results] == [expected(image) for image in images]


async def test_detect_many_at_once(server: EmbeddedServer) -> None:
    images = [numbered(n) for n in range(100)]
    async with AsyncClient(server.grpc_url, model="echo") as client:
        assert (await client.info()).class_names == ("thing",)
        answers = await asyncio.gather(*(client.detect(image) for image in images))
        with pytest.raises(UnreadableImageError):
            await client.detect("nowhere.jpg")
    assert [int(answer.boxes_xyxy[0, 0]) for answer in answers] == [expected(image) for image in images]


async def test_bad_images_get_their_errors_in_place(server: EmbeddedServer) -> None:
    async with AsyncClient(server.grpc_url, model="echo") as client:
        results = [result async for result in client.stream([numbered(1), "nowhere.jpg", numbered(2)])]
    assert [type(result.error) for result in results] == [type(None), UnreadableImageError, type(None)]


@pytest.mark.parametrize("batch_size", [1, 8])
async def test_a_source_that_waits_for_the_result_before(server: EmbeddedServer, batch_size: int) -> None:
    """A dialogue: the next picture is only sent once the answer to the last one is there."""
    answered: asyncio.Queue[int] = asyncio.Queue()

    async def dialogue() -> AsyncIterator[EncodedImage]:
        for number in range(5):
            yield numbered(number)
            assert await answered.get() == expected(numbered(number))

    async with AsyncClient(server.grpc_url, model="echo") as client:
        count = 0
        async for result in client.stream(dialogue(), batch_size=batch_size):
            answered.put_nowait(found(result))
            count += 1
    assert count == 5


async def test_the_event_loop_goes_on_while_a_plain_source_blocks(server: EmbeddedServer) -> None:
    released = threading.Event()

    def blocking() -> Iterator[EncodedImage]:
        yield numbered(0)
        assert released.wait(60)
        yield numbered(1)

    async with AsyncClient(server.grpc_url, model="echo") as client:
        asyncio.get_running_loop().call_later(0.1, released.set)
        results = [result async for result in client.stream(blocking(), batch_size=1)]
    assert [found(result) for result in results] == [expected(numbered(n)) for n in range(2)]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_what_the_source_raises_comes_after_the_results(server: EmbeddedServer, *, asynchronous: bool) -> None:
    def images() -> Iterator[EncodedImage]:
        yield from (numbered(n) for n in range(21))
        raise LookupError("no more pictures")

    async def images_as_they_come() -> AsyncIterator[EncodedImage]:
        for image in images():
            yield image

    async with AsyncClient(server.grpc_url, model="echo") as client:
        results = client.stream(images_as_they_come() if asynchronous else images())
        for number in range(21):
            assert found(await anext(results)) == expected(numbered(number))
        with pytest.raises(LookupError, match="no more pictures"):
            await anext(results)


async def endless() -> AsyncIterator[EncodedImage]:
    for number in itertools.count():
        await asyncio.sleep(0)
        yield numbered(number)


async def test_leaving_early_leaves_no_thread(server: EmbeddedServer) -> None:
    before = own_threads()
    for _ in range(3):
        async with AsyncClient(server.grpc_url, model="slow") as client:
            async with contextlib.aclosing(client.stream(endless())) as results:  # type: ignore[type-var]
                async for result in results:
                    assert found(result) == expected(numbered(0))
                    break
            async for _result in client.stream(endless()):
                break
    assert own_threads() == before


def own_threads() -> set[threading.Thread]:
    """Those that are not asyncio's own pool."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio")}


async def test_cancelling_the_task(server: EmbeddedServer) -> None:
    async with AsyncClient(server.grpc_url, model="slow") as client:
        begun = asyncio.Event()

        async def consume() -> None:
            async for _ in client.stream(endless()):
                begun.set()

        task = asyncio.create_task(consume())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert int((await client.detect(numbered(3))).boxes_xyxy[0, 0]) == expected(numbered(3))


async def test_closing_the_client_ends_its_streams(server: EmbeddedServer) -> None:
    client = AsyncClient(server.grpc_url, model="slow")
    results = client.stream(endless())
    await anext(results)
    await client.close()
    with pytest.raises(ClientStateError, match="closed"):
        async for _ in results:
            pass
    with pytest.raises(ClientStateError, match="closed"):
        await client.detect(numbered(1))


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_closing_the_client_while_the_source_lets_it_wait(server: EmbeddedServer, *, asynchronous: bool) -> None:
    go_on = threading.Event()

    def stalled() -> Iterator[EncodedImage]:
        yield numbered(0)
        assert go_on.wait(60)
        yield numbered(1)

    async def stalled_as_they_come() -> AsyncIterator[EncodedImage]:
        yield numbered(0)
        await asyncio.to_thread(go_on.wait, 60)
        yield numbered(1)

    client = AsyncClient(server.grpc_url, model="echo")
    results = client.stream(stalled_as_they_come() if asynchronous else stalled(), batch_size=1)
    assert found(await anext(results)) == expected(numbered(0))
    waiting = asyncio.ensure_future(anext(results))
    await asyncio.sleep(0.1)
    await client.close()
    go_on.set()
    with pytest.raises(ClientStateError, match="closed"):
        await waiting
    with pytest.raises(ClientStateError, match="closed"):
        await client.info()


async def test_arguments_are_checked_at_once(server: EmbeddedServer) -> None:
    async with AsyncClient(server.grpc_url, model="echo") as client:
        with pytest.raises(InvalidOptionError, match="batch_size"):
            client.stream([], batch_size=0)
        with pytest.raises(InvalidOptionError, match="score_threshold"):
            client.stream([], score_threshold=float("nan"))
        with pytest.raises(InvalidOptionError, match="came int"):
            _ = [result async for result in client.stream([3])]  # type: ignore[list-item]


async def test_an_unknown_model(server: EmbeddedServer) -> None:
    async with AsyncClient(server.grpc_url, model="nobody") as client:
        with pytest.raises(ModelNotFoundError, match="nobody"):
            await client.info()
        with pytest.raises(ModelNotFoundError, match="nobody"):
            _ = [result async for result in client.stream([numbered(1)])]
