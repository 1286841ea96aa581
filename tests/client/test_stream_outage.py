"""Servers that die, each its own: the session's server must live."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.client.noop_images import expected, found, numbered
from tests.conftest import skip_or_fail

from sightline import Client, ClientOptions, EncodedImage, Result
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline._outage import Outage
from sightline.errors import MissingDependencyError, ServerUnavailableError
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer, ServerOptions

COUNT = 400
Start = Callable[[int], EmbeddedServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server of its own, on a given gRPC port."""
    write_noop_detector(tmp_path, "echo", options=NoopOptions(echo=True, delay_seconds=0.01))
    started: list[EmbeddedServer] = []

    def start_on(port: int) -> EmbeddedServer:
        options = ServerOptions(repository=tmp_path, grpc_port=port, http_port=0, metrics_port=0)
        try:
            started.append(EmbeddedServer(options))
        except MissingDependencyError as error:
            skip_or_fail(str(error))
        return started[-1]

    yield start_on
    for server in started:
        server.close()


def kill(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    server.close()


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_a_server_that_dies_mid_stream(start: Start, kind: TransportKind) -> None:
    server = start(0)
    options = ClientOptions(transport=kind, reconnect_seconds=0.5)
    with Client(server.grpc_url, model="echo", options=options) as client:
        results: list[Result] = []
        for result in client.stream(numbered(n) for n in range(COUNT)):
            results.append(result)
            if len(results) == COUNT // 4:
                kill(server)
    assert [result.source for result in results] == [numbered(n).source for n in range(COUNT)]
    done = [n for n, result in enumerate(results) if result.error is None]
    assert [found(results[n]) for n in done] == [expected(numbered(n)) for n in done]
    assert len(done) >= COUNT // 4
    assert {type(result.error) for result in results[-COUNT // 4 :]} == {ServerUnavailableError}


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_a_server_that_comes_back_mid_stream(start: Start, kind: TransportKind) -> None:
    server = start(0)
    port = int(server.grpc_url.rpartition(":")[2])

    def images() -> Iterator[EncodedImage]:
        for number in range(COUNT):
            if number == COUNT // 2:
                # Requests are on their way. From here on the source stalls while the server is away.
                kill(server)
                start(port)
            yield numbered(number)

    with Client(server.grpc_url, model="echo", options=ClientOptions(transport=kind, reconnect_seconds=120)) as client:
        results = list(client.stream(images()))
    assert [found(result) for result in results] == [expected(numbered(n)) for n in range(COUNT)]


def test_patience_is_shared_and_ends() -> None:
    outage = Outage(patience_seconds=0.05)
    assert outage.final_error is None
    outage.begin(ServerUnavailableError("gone"))
    while outage.patient:
        time.sleep(0.01)
    outage.begin(ServerUnavailableError("still gone"))
    assert "still gone" in str(outage.final_error)
    assert outage.claim_probe()
    assert not outage.claim_probe(), "one look a second is enough"
    outage.end()
    assert outage.final_error is None
    assert outage.patient


def test_no_patience_fails_at_once() -> None:
    outage = Outage(patience_seconds=0)
    outage.begin(ServerUnavailableError("gone"))
    assert not outage.patient
    assert "gone" in str(outage.final_error)


def test_a_stream_recovers_after_patience_has_ended(start: Start) -> None:
    server = start(0)
    port = int(server.grpc_url.rpartition(":")[2])

    def endless() -> Iterator[EncodedImage]:
        for number in itertools.count():
            yield numbered(number)

    with Client(server.grpc_url, model="echo", options=ClientOptions(reconnect_seconds=0)) as client:
        results = client.stream(endless(), batch_size=1)
        next(results).unwrap()
        kill(server)
        assert any(result.error is not None for result in results)
        start(port)
        assert any(result.error is None for result in results)
        results.close()  # type: ignore[attr-defined]
