"""Requests that are refused for their rate: a proxy stands between client and server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tests.client.noop_images import numbered

from sightline import Client, ClientOptions
from sightline.errors import RateLimitedError
from sightline_server.launcher import EmbeddedServer

SERVICE = "inference.GRPCInferenceService"
HELD_BACK = b"HOLD-ME-BACK"
TIMEOUT_SECONDS = 1.0


class Gatekeeper:
    """Passes requests on, except those that hold `HELD_BACK` while the gate is shut; before the first ones, nothing."""

    def __init__(self, server_url: str) -> None:
        self.gate = threading.Event()
        self.refused = threading.Event()
        self._refuse_descriptions = 2
        self._onward = grpc.insecure_channel(server_url)
        self._threads = ThreadPoolExecutor(4)
        handlers = {method: self._pass_on(method) for method in ("ModelConfig", "ModelReady", "ModelInfer")}
        self._server = grpc.server(self._threads, handlers=[grpc.method_handlers_generic_handler(SERVICE, handlers)])
        self.url = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(None).wait()
        self._onward.close()
        self._threads.shutdown()

    def _pass_on(self, method: str) -> grpc.RpcMethodHandler:
        onward = self._onward.unary_unary(f"/{SERVICE}/{method}")

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if method == "ModelConfig" and self._refuse_descriptions:
                self._refuse_descriptions -= 1
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit exceeded")
            if HELD_BACK in request and not self.gate.is_set():
                self.refused.set()
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit exceeded")
            return bytes(onward(request, timeout=30))

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def gatekeeper(server: EmbeddedServer) -> Iterator[Gatekeeper]:
    running = Gatekeeper(server.grpc_url)
    yield running
    running.close()


@pytest.fixture
def client(gatekeeper: Gatekeeper, noop_model: str) -> Iterator[Client]:
    options = ClientOptions(timeout_seconds=TIMEOUT_SECONDS)
    with Client(gatekeeper.url, model=noop_model, options=options) as opened:
        assert opened.info, "the description is asked for again, too"
        yield opened


def test_an_image_waits_its_turn_while_others_pass(client: Client, gatekeeper: Gatekeeper) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.detect, numbered(1, tail=HELD_BACK))
        gatekeeper.refused.wait(60)
        began = time.monotonic()
        while time.monotonic() - began < 3 * TIMEOUT_SECONDS:
            client.detect(numbered(2))
        assert not waiting.done(), "it has given up"
        gatekeeper.gate.set()
        assert len(waiting.result(60)) == 0


def test_patience_ends_where_nothing_passes(client: Client) -> None:
    with pytest.raises(RateLimitedError, match="rate limit exceeded"):
        client.detect(numbered(1, tail=HELD_BACK))
