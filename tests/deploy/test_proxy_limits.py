"""How much one token may ask for, and what becomes of a job that wants more."""

from __future__ import annotations

import gzip
import itertools
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import pytest
from tests.client.noop_images import expected, found, numbered
from tests.deploy.proxy_process import Proxy

from sightline import Client, ClientOptions, EncodedImage
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline.errors import ImageTooLargeError, PermissionDeniedError, RateLimitedError
from sightline_bench.noop import NoopOptions, write_noop_detector

pytestmark = pytest.mark.system

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def echo(repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "echo", options=NoopOptions(echo=True))
    load_model("echo")


def client(proxy: Proxy, token: str, **options: object) -> Client:
    return Client(proxy.url, model="echo", options=ClientOptions(access=proxy.access(token), **options))  # type: ignore[arg-type]


def large(number: int, megabytes: int) -> EncodedImage:
    return numbered(number, tail=b"x" * (megabytes * MEGABYTE))


def test_a_large_body(proxy: Proxy) -> None:
    image = large(1, 60)
    with client(proxy, "alice") as opened:
        assert [found(result) for result in opened.stream([image])] == [expected(image)]


def test_an_oversized_body_is_the_images_own_fault(proxy: Proxy) -> None:
    """Its neighbours in the same request are served, and so is everything after it."""
    images = [large(5, 2) if number == 5 else numbered(number) for number in range(40)]
    with client(proxy, "small") as opened:
        results = list(opened.stream(images, batch_size=8))
    assert type(results[5].error) is ImageTooLargeError
    assert "larger than the 1m that small may send" in str(results[5].error)
    others = [number for number in range(40) if number != 5]
    assert [found(results[number]) for number in others] == [expected(images[number]) for number in others]


def test_an_oversized_body_over_http(proxy: Proxy) -> None:
    answer = proxy.get("/v2/models/echo/infer", token="small", body=b"x" * 2 * MEGABYTE)
    assert (answer.status, answer.body) == (413, '{"error":"the request is larger than the 1m that small may send"}\n')


@pytest.mark.parametrize("packing", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_no_packed_request_gets_past_the_limit(proxy: Proxy, packing: grpc.Compression) -> None:
    """What is small on the line would be large in Triton."""
    credentials = grpc.ssl_channel_credentials(proxy.ca.read_bytes())
    with grpc.secure_channel(proxy.url, credentials) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"x" * 2 * MEGABYTE, metadata=proxy.access("small").call_metadata, compression=packing, timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "no compressed requests are taken" in refused.value.details()


@pytest.mark.parametrize("packing", ["gzip", "GZIP", "deflate", "identity, gzip"])
def test_no_packed_request_gets_past_the_limit_over_http(proxy: Proxy, packing: str) -> None:
    packed, headers = gzip.compress(b"x" * 2 * MEGABYTE), {"content-encoding": packing}
    answer = proxy.get("/v2/models/echo/infer", token="small", body=packed, headers=headers)
    assert answer.status == 415
    assert "no compressed requests are taken" in answer.body
    assert proxy.get("/v2", headers={"content-encoding": "identity"}).status == 200


def test_what_has_no_token_is_not_read(proxy: Proxy) -> None:
    assert proxy.get("/v2/models/echo/infer", token=None, body=b"x" * 2 * MEGABYTE).status == 401


def test_the_limit_is_for_a_request_not_for_a_stream(proxy: Proxy) -> None:
    images = [numbered(number, tail=b"x" * (MEGABYTE // 2)) for number in range(10)]
    with client(proxy, "small", transport="stream") as opened:
        assert [found(result) for result in opened.stream(images, batch_size=1)] == [expected(i) for i in images]


def test_streams_are_not_for_every_class(proxy: Proxy) -> None:
    with client(proxy, "alice", transport="stream") as opened:
        results = list(opened.stream([numbered(1)]))
    assert type(results[0].error) is PermissionDeniedError


def test_streams_at_the_same_time(proxy: Proxy) -> None:
    """The class `small` has two. A third is refused, and gets its turn when they have ended."""
    with client(proxy, "small", transport="stream", timeout_seconds=0.5) as third:
        assert third.info
        with client(proxy, "small", transport="stream") as occupying:
            streams = [occupying.stream(map(numbered, itertools.count()), batch_size=1) for _ in range(2)]
            assert [found(next(each)) for each in streams] == [expected(numbered(0))] * 2
            [refused] = third.stream([numbered(2)])
        assert type(refused.error) is RateLimitedError
    with client(proxy, "small", transport="stream") as later:
        assert [found(result) for result in later.stream([numbered(2)])] == [expected(numbered(2))]


def test_a_job_that_is_too_fast_slows_down_and_loses_nothing(proxy: Proxy) -> None:
    """20 requests a second, 2 at once; the client has 12 on their way."""
    images = [numbered(number) for number in range(60)]
    with client(proxy, "narrow", in_flight=12) as opened:
        assert [found(r) for r in opened.stream(images, batch_size=1)] == [expected(image) for image in images]
    refused = [line for line in proxy.log().splitlines() if '"client":"narrow"' in line and '"grpc_status":"8"' in line]
    assert refused, "the client was never too fast: this proves nothing"


def test_where_nothing_passes_patience_ends(proxy: Proxy) -> None:
    """A request whose body never comes occupies all that the token may have at once."""
    with client(proxy, "single", timeout_seconds=0.3) as hasty:
        assert hasty.info
        with unfinished_request(proxy, "single"):
            while proxy.get("/v2", token="single").status != 429:
                pass
            with pytest.raises(RateLimitedError, match="rate limit of single: 900 requests a second, 1 at once"):
                hasty.detect(numbered(3))


def unfinished_request(proxy: Proxy, token: str) -> AbstractContextManager[ssl.SSLSocket]:
    host, _, port = proxy.url.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    encrypted = proxy.tls_context().wrap_socket(connection, server_hostname=host)
    head = f"POST /v2/models/echo/infer HTTP/1.1\r\nhost: {host}\r\ncontent-length: 9\r\n"
    encrypted.sendall(f"{head}authorization: Bearer {proxy.token(token)}\r\n\r\n".encode())
    return encrypted


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_one_token_does_not_slow_another(proxy: Proxy, kind: TransportKind) -> None:
    with client(proxy, "narrow") as slow, client(proxy, "trusty", transport=kind) as fast:
        slowly = slow.stream(numbered(number) for number in range(1000))
        found(next(slowly))
        images = [numbered(number) for number in range(200)]
        assert [found(r) for r in fast.stream(images, batch_size=1)] == [expected(image) for image in images]
        assert fast.info
    assert not [
        line for line in proxy.log().splitlines() if '"client":"trusty"' in line and '"grpc_status":"8"' in line
    ]


def test_too_many_over_http(proxy: Proxy) -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: proxy.get("/v2", token="narrow"), range(36)))
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.status for answer in answers} == {200, 429}
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].body == (
        '{"error":"rate limit of narrow: 20 requests a second, 2 at once, 0 streams; slow down and try again"}\n'
    )
