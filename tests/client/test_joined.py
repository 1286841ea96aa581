"""The client against a real detector, on a server that fails whole batches for one undecodable image."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conftest import CHECKOUT, skip_or_fail
from tests.server.letterbox_reference import encode, picture

from sightline import Client
from sightline.errors import CorruptImageError, MissingDependencyError
from sightline_server.launcher import EmbeddedServer, ServerOptions

GOOD = encode(".png", picture(height=48, width=64))
# Its header and its end are in order, its pixels are not.
BAD = GOOD[: len(GOOD) // 4] + bytes(len(GOOD) // 2) + GOOD[len(GOOD) // 4 + len(GOOD) // 2 :]


@pytest.fixture(scope="module")
def native_client() -> Iterator[Client]:
    options = ServerOptions(
        repository=CHECKOUT / "model_repository", grpc_port=0, http_port=0, metrics_port=0, isolate_images=False
    )
    try:
        server = EmbeddedServer(options)
    except MissingDependencyError as error:
        skip_or_fail(str(error))
        raise
    with server, Client(server.grpc_url, model="demo") as client:
        yield client


def test_only_undecodable_images_fail(native_client: Client) -> None:
    def detect(number: int) -> type[Exception] | None:
        try:
            native_client.detect(BAD if number % 6 == 0 else GOOD)
        except CorruptImageError as error:
            return type(error)
        return None

    wanted = [CorruptImageError if number % 6 == 0 else None for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(detect, range(24))) == wanted
    images = [BAD if number % 6 == 0 else GOOD for number in range(24)]
    assert [r.error and type(r.error) for r in native_client.stream(images, batch_size=4)] == wanted
