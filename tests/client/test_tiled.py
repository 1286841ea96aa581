"""Pictures that are larger than a tile, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.server import tiny_detector

from sightline import AsyncClient, Client, ClientOptions, Detections, EncodedImage, Tiling
from sightline.annotate import Picture, decode_upright
from sightline.errors import CorruptImageError, InvalidOptionError, UnreadableImageError
from sightline.evaluation import read_annotations
from sightline_bench.mosaic_recovery import COLUMNS, LOWEST_SCORE, ROWS, Counts, Mosaic, annotated, apart, touching
from sightline_export.repository import install_detector
from sightline_server.launcher import EmbeddedServer

TINY = "tiny_tiled"
"""Finds one object, as large as the picture; its score is the brightness."""
TILE = tiny_detector.IMAGE_SIZE


@pytest.fixture(scope="module", autouse=True)
def detector(repository: Path, load_model: Callable[[str], None]) -> None:
    install_detector(repository, TINY, tiny_detector.graph().SerializeToString(), tiny_detector.detector_info())
    load_model(TINY)


def bright(height: int, width: int, *, ending: str = ".png") -> bytes:
    return bytes(cv2.imencode(ending, np.full((height, width, 3), 204, np.uint8))[1])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("tile", [TILE, 2 * TILE])
def test_an_object_larger_than_every_tile_is_one_object(server: EmbeddedServer, tile: int, whole: bool) -> None:
    options = ClientOptions(tiling=Tiling(tile=tile, whole=whole))
    with Client(server.grpc_url, model=TINY, options=options) as client:
        found = client.detect(bright(700, 1000))
    assert found.boxes_xyxy.tolist() == [[0, 0, 1000, 700]]
    assert found.image_size_hw == (700, 1000)


def test_what_is_faint_in_one_tile_and_surer_in_the_next_is_one_object(server: EmbeddedServer) -> None:
    picture = np.full((TILE, 3 * TILE // 2, 3), 0.3 * 255, np.uint8)
    picture[:, TILE:] = 0.1 * 255  # so that the second tile is about as bright as the threshold
    with Client(server.grpc_url, model=TINY, options=ClientOptions(tiling=Tiling(tile=TILE, whole=False))) as client:
        found = client.detect(bytes(cv2.imencode(".png", picture)[1]), score_threshold=0.28)
        nothing = client.detect(bytes(cv2.imencode(".png", picture)[1]), score_threshold=0.32)
    assert found.boxes_xyxy.tolist() == [[0, 0, 3 * TILE // 2, TILE]]
    assert found.scores.tolist() == pytest.approx([0.3], abs=0.01)
    assert not len(nothing)


def test_small_and_large_pictures_in_one_stream_and_bad_ones_between(server: EmbeddedServer, tmp_path: Path) -> None:
    damaged = bytearray(bright(700, 1000))
    damaged[60:-20] = bytes(len(damaged) - 80)
    images: list[bytes | Path] = [
        bright(TILE, TILE),
        bright(700, 1000),
        bytes(damaged),
        tmp_path / "missing.jpg",
        bright(TILE // 2, 700, ending=".jpg"),
        bright(10, 20),
    ]
    options = ClientOptions(tiling=Tiling(tile=TILE), in_flight_pixels=100_000)
    with Client(server.grpc_url, model=TINY, options=options) as client:
        results = list(client.stream(images, batch_size=4))
    sizes = [result.detections and result.detections.boxes_xyxy.tolist() for result in results]
    assert [size and size[0][2:] for size in sizes] == [
        [TILE, TILE],
        [1000, 700],
        None,
        None,
        [700, TILE // 2],
        [20, 10],
    ]
    assert [type(result.error) for result in results[2:4]] == [CorruptImageError, UnreadableImageError]
    assert all(result.milliseconds for result in results if result.error is None)


def test_a_picture_turned_by_exif(server: EmbeddedServer, shared_data: Path) -> None:
    picture = shared_data / "awkward" / "orientation" / "Landscape_6.jpg"
    height, width = decode_upright(picture.read_bytes()).shape[:2]
    assert max(height, width) > TILE
    with Client(
        server.grpc_url, model=TINY, options=ClientOptions(tiling=Tiling(tile=TILE), score_threshold=0)
    ) as client:
        found = client.detect(picture)
    assert found.image_size_hw == (height, width)
    assert found.boxes_xyxy.tolist() == [[0, 0, width, height]]


def test_asyncio(server: EmbeddedServer) -> None:
    async def detect() -> list[Detections]:
        options = ClientOptions(tiling=Tiling(tile=TILE))
        async with AsyncClient(server.grpc_url, model=TINY, options=options) as client:
            alone = await client.detect(bright(400, 900))
            return [alone, *[result.unwrap() async for result in client.stream([bright(900, 400)])]]

    assert [found.boxes_xyxy.tolist() for found in asyncio.run(detect())] == [[[0, 0, 900, 400]], [[0, 0, 400, 900]]]


def test_tiles_must_match_the_network(server: EmbeddedServer, noop_model: str) -> None:
    options = ClientOptions(tiling=Tiling(tile=TILE))
    with Client(server.grpc_url, model=noop_model, options=options) as client:
        with pytest.raises(InvalidOptionError, match="do not match the network, which takes 640 x 640"):
            client.detect(bright(700, 1000))
        with pytest.raises(InvalidOptionError, match="do not match"):
            list(client.stream([bright(700, 1000)]))


@pytest.mark.parametrize(
    ("first", "arrange", "everything"),
    [
        pytest.param(2, partial(apart, side=640), True, id="grey between the photos"),
        # What lies beside a photo changes what the network makes of it: docs/large-images.md.
        pytest.param(3, touching, False, id="photos that touch"),
    ],
)
def test_a_mosaic_gives_what_each_of_its_photos_gives(
    *,
    server: EmbeddedServer,
    serve_detector: Callable[[str], str],
    shared_data: Path,
    photos: list[Path],
    first: int,
    arrange: Callable[[list[Picture]], Mosaic],
    everything: bool,
) -> None:
    model = serve_detector("yolov8n")
    truth = read_annotations(shared_data / "coco" / "instances.json")
    files = photos[first::COLUMNS]
    assert len(files) == COLUMNS * ROWS
    mosaic = arrange([decode_upright(file.read_bytes()) for file in files])
    counts = Counts()
    with Client(server.grpc_url, model=model) as client:
        alone = [result.unwrap() for result in client.stream(files, score_threshold=LOWEST_SCORE)]
    with Client(server.grpc_url, model=model, options=ClientOptions(tiling=Tiling(tile=640, overlap=0.2))) as client:
        tiled = client.detect(EncodedImage.from_array(mosaic.picture[..., ::-1]))
    there = [annotated(truth, file, each) for file, each in zip(files, alone, strict=True)]
    counts.add(mosaic.joined(alone), tiled, mosaic.joined(there))

    assert counts.sure_alone > 60
    assert counts.sure_found >= 0.95 * counts.sure_alone, str(counts)
    assert not everything or counts.found >= 0.95 * counts.alone, str(counts)
    assert counts.true_alone > 60
    assert counts.true_found >= 0.95 * counts.true_alone, str(counts)
    assert counts.duplicates <= 0.02 * counts.boxes, str(counts)
