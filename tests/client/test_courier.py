"""One image that never gets through: a proxy stands between client and server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tests.client.noop_images import numbered

from sightline import Client, ClientOptions
from sightline.errors import ServerUnavailableError
from sightline_server.launcher import EmbeddedServer

SERVICE = "inference.GRPCInferenceService"
REFUSED = b"REFUSE-ME"


@pytest.fixture
def proxy_url(server: EmbeddedServer) -> Iterator[str]:
    """A proxy that answers requests with `REFUSED` as if the server had gone."""
    with grpc.insecure_channel(server.grpc_url) as channel, ThreadPoolExecutor(4) as threads:
        handlers = {method: pass_on(channel, method) for method in ("ModelConfig", "ModelReady", "ModelInfer")}
        proxy = grpc.server(threads, handlers=[grpc.method_handlers_generic_handler(SERVICE, handlers)])
        port = proxy.add_insecure_port("127.0.0.1:0")
        proxy.start()
        yield f"127.0.0.1:{port}"
        proxy.stop(None).wait()


def pass_on(channel: grpc.Channel, method: str) -> grpc.RpcMethodHandler:
    onward = channel.unary_unary(f"/{SERVICE}/{method}")

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        if REFUSED in request:
            context.abort(grpc.StatusCode.UNAVAILABLE, "upstream connect error")
        return bytes(onward(request, timeout=30))

    return grpc.unary_unary_rpc_method_handler(answer)


def test_one_image_that_is_always_refused_is_given_up_while_others_pass(proxy_url: str, noop_model: str) -> None:
    given_up = threading.Event()

    def ask_for_the_refused() -> None:
        with pytest.raises(ServerUnavailableError, match="upstream connect error"):
            client.detect(numbered(1, tail=REFUSED))
        given_up.set()

    options = ClientOptions(reconnect_seconds=0.3)
    with Client(proxy_url, model=noop_model, options=options) as client, ThreadPoolExecutor(1) as threads:
        refused = threads.submit(ask_for_the_refused)
        for number in range(3000):
            client.detect(numbered(number))
            if given_up.wait(0.005):
                break
        gave_up_meanwhile = given_up.is_set()
        refused.result(60)
    assert gave_up_meanwhile
