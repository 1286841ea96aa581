"""A stream to a detector of rectangles, whose requests hold images of many chunks: order, errors, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.client.noop_images import BLAME, expected, found

from sightline import AsyncClient, Client, ClientOptions, EncodedImage, Result
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline.detector_info import DetectorInfo
from sightline.errors import ClientStateError, CorruptImageError, UnreadableImageError
from sightline.preprocessing import Preprocessing
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

NAME = "echo_rect"
SIZES_HW = ((3, 4), (4, 3), (4, 4), (3, 5), (2, 4))


@pytest.fixture(scope="module", autouse=True)
def detector(repository: Path, load_model: Callable[[str], None]) -> None:
    options = NoopOptions(echo=True, blame=BLAME, delay_seconds=0.01)
    info = DetectorInfo(class_names=("thing",), preprocessing=Preprocessing.rect())
    write_noop_detector(repository, NAME, options=options, info=info)
    load_model(NAME)


def shaped(number: int, *, tail: bytes = b"") -> EncodedImage:
    """A BMP that no other number has, of one aspect or another."""
    pixels = np.full((*SIZES_HW[number * number % len(SIZES_HW)], 3), 255, np.uint8)
    pixels[0, 0] = (number & 255, number >> 8, 0)
    plain = EncodedImage.from_array(pixels, source=f"number {number}")
    return EncodedImage(plain.source, plain.data + tail) if tail else plain


def check(results: list[Result], images: list[EncodedImage]) -> None:
    assert [result.source for result in results] == [image.source for image in images]
    assert [found(result) for result in results] == [expected(image) for image in images]


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_results_come_in_order(server: EmbeddedServer, kind: TransportKind) -> None:
    images = [shaped(number) for number in range(500)]
    with Client(server.grpc_url, model=NAME, options=ClientOptions(transport=kind)) as client:
        check(list(client.stream(iter(images))), images)


def test_awaited_results_come_in_order(server: EmbeddedServer) -> None:
    images = [shaped(number) for number in range(200)]

    async def collect() -> list[Result]:
        async with AsyncClient(server.grpc_url, model=NAME) as client:
            return [result async for result in client.stream(images)]

    check(asyncio.run(collect()), images)


def test_an_image_at_fault_costs_only_itself(server: EmbeddedServer, tmp_path: Path) -> None:
    bad, missing = {7, 40, 41}, {11, 12}
    tails = {number: BLAME.encode() for number in bad}
    images = [shaped(number, tail=tails.get(number, b"")) for number in range(100)]
    given = [tmp_path / str(number) if number in missing else image for number, image in enumerate(images)]
    with Client(server.grpc_url, model=NAME) as client:
        results = list(client.stream(given))
    errors = {number: type(result.error) for number, result in enumerate(results) if result.error is not None}
    assert errors == dict.fromkeys(bad, CorruptImageError) | dict.fromkeys(missing, UnreadableImageError)
    good = [number for number in range(100) if number not in errors]
    check([results[number] for number in good], [images[number] for number in good])


def test_closing_the_client_ends_the_stream(server: EmbeddedServer) -> None:
    client = Client(server.grpc_url, model=NAME)
    results = client.stream(shaped(number % 1000) for number in range(1_000_000))
    assert found(next(results)) == expected(shaped(0))
    client.close()
    with pytest.raises(ClientStateError):
        list(results)
