"""Who gets through the proxy, and what the others are told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from tests.client.noop_images import expected, found, numbered
from tests.deploy.proxy_process import NOBODY_LISTENS, Answer, Proxy
from tritonclient.grpc import service_pb2

from sightline import Access, AsyncClient, Client, ClientOptions
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline.errors import (
    AuthenticationError,
    InvalidOptionError,
    PermissionDeniedError,
    SecureConnectionError,
    ServerUnavailableError,
)
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.system

SERVICE = "inference.GRPCInferenceService"
ORDINARY = {
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelConfig",
    "ModelInfer",
}
STREAM = "ModelStreamInfer"


@pytest.fixture(scope="module", autouse=True)
def echo(repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "echo", options=NoopOptions(echo=True))
    load_model("echo")


def client(proxy: Proxy, access: Access, transport: TransportKind = "unary") -> Client:
    options = ClientOptions(access=access, transport=transport, reconnect_seconds=0)
    return Client(proxy.url, model="echo", options=options)


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_images_get_through(proxy: Proxy, kind: TransportKind) -> None:
    images = [numbered(number) for number in range(100)]
    with client(proxy, proxy.access("trusty"), kind) as opened:
        assert [found(result) for result in opened.stream(images)] == [expected(image) for image in images]


async def test_the_asyncio_client(proxy: Proxy) -> None:
    images = [numbered(number) for number in range(30)]
    options = ClientOptions(access=proxy.access())
    async with AsyncClient(proxy.url, model="echo", options=options) as opened:
        assert [found(result) async for result in opened.stream(images)] == [expected(image) for image in images]


def test_no_token(proxy: Proxy) -> None:
    with client(proxy, proxy.access(None)) as opened, pytest.raises(AuthenticationError, match="--token-file"):
        opened.detect(numbered(1))


@pytest.mark.parametrize("change", [str.upper, lambda token: token[:-1], lambda token: token + "0", lambda _: "wrong"])
def test_a_wrong_token(proxy: Proxy, change: Callable[[str], str]) -> None:
    good = proxy.access()
    access = Access(tls=True, ca_certificates=good.ca_certificates, token=change(proxy.token("alice")))
    with client(proxy, access) as opened, pytest.raises(AuthenticationError, match="no valid token") as raised:
        opened.detect(numbered(1))
    assert proxy.token("alice")[:-1] not in str(raised.value)


@pytest.fixture(scope="module")
def channel(proxy: Proxy) -> Iterator[grpc.Channel]:
    credentials = grpc.ssl_channel_credentials(proxy.ca.read_bytes())
    with grpc.secure_channel(proxy.url, credentials) as opened:
        yield opened


def status_of(proxy: Proxy, channel: grpc.Channel, method: str, token: str) -> grpc.StatusCode:
    """What an empty message gets."""
    call = channel.unary_unary(f"/{method}")
    try:
        call(b"", timeout=30, metadata=proxy.access(token).call_metadata)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


METHODS = [method.name for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods]


@pytest.mark.parametrize("method", METHODS)
def test_methods_by_class(proxy: Proxy, channel: grpc.Channel, method: str) -> None:
    denied = {
        name
        for name in ("alice", "trusty", "root")
        if status_of(proxy, channel, f"{SERVICE}/{method}", name) is grpc.StatusCode.PERMISSION_DENIED
    }
    if method in ORDINARY:
        assert denied == set()
    else:
        assert denied == ({"alice", "root"} if method == STREAM else {"alice", "trusty"})


@pytest.mark.parametrize("method", [f"{SERVICE}/Nothing/More", "other.Service/Method", "grpc.health.v1.Health/Watch"])
def test_unknown_methods(proxy: Proxy, channel: grpc.Channel, method: str) -> None:
    assert status_of(proxy, channel, method, "root") is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        ("ordinary", ["/v2", "/v2/health/ready", "/v2/models/echo", "/v2/models/echo/versions/1/config"]),
        ("admin", ["/v2/models/stats", "/v2/models/echo/stats", "/v2/models/STATS", "/v2/models/echo/trace/setting"]),
        ("admin", ["/v2/repository/index", "/v2/systemsharedmemory/status", "/v2/cudasharedmemory/region/x/status"]),
        ("admin", ["/v2/logging", "//v2//logging", "/v2/models/../logging", "/v2/x/..%2flogging", "/v2/%6cogging"]),
        ("unknown", ["/", "/metrics", "/v3", "/standard/v2/logging", "/admin/v2/logging", "/v2/models/a%0A/../x/y"]),
    ],
)
def test_http_paths_by_class(proxy: Proxy, kind: str, paths: list[str]) -> None:
    for path in paths:
        assert proxy.get(path, token=None).status == 401
        assert verdict(proxy.get(path)) == {"ordinary": "passed", "admin": "denied", "unknown": "unknown"}[kind], path
        assert verdict(proxy.get(path, token="root")) == ("unknown" if kind == "unknown" else "passed"), path


def verdict(answer: Answer) -> str:
    """What the proxy thought of a request; Triton has statuses of its own."""
    if answer.status == 403 and "class" in answer.body:
        return "denied"
    return "unknown" if answer.status == 404 and "the proxy knows no" in answer.body else "passed"


def test_http_errors_are_json(proxy: Proxy) -> None:
    assert proxy.get("/v2", token=None).headers["www-authenticate"] == "Bearer"
    answer = proxy.get("/v2/logging")
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == '{"error":"the token of alice (class standard) does not allow this"}\n'


def test_http2_as_well(proxy: Proxy) -> None:
    """Everything but gRPC's own client is plain HTTP to nginx; curl negotiates HTTP/2."""
    headers = proxy.folder / "header"
    headers.write_text(f"authorization: Bearer {proxy.token('alice')}\n", encoding="utf-8")
    command = ["curl", "--silent", "--cacert", str(proxy.ca), "--header", f"@{headers}"]
    command += ["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}", f"https://{proxy.url}/v2"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2 200"


def test_health_needs_no_token(proxy: Proxy) -> None:
    assert proxy.get("/healthz", token=None)[::2] == (200, "ok\n")
    assert proxy.get("/readyz", token=None).status == 200


def test_model_control_is_not_for_everybody(proxy: Proxy) -> None:
    from sightline.served import list_served

    with pytest.raises(PermissionDeniedError, match="class standard"):
        list_served(proxy.url, access=proxy.access())
    assert "echo" in {model.name for model in list_served(proxy.url, access=proxy.access("root"))}


def test_tls_towards_a_port_without_it(server: EmbeddedServer, proxy: Proxy) -> None:
    for url in (server.grpc_url, server.http_url):
        opened = Client(url, model="echo", options=ClientOptions(access=proxy.access()))
        with opened, pytest.raises(SecureConnectionError, match="does not speak TLS"):
            opened.detect(numbered(1))


def test_no_tls_towards_a_port_with_it(proxy: Proxy) -> None:
    with client(proxy, Access()) as opened, pytest.raises(ServerUnavailableError, match="or it wants TLS: --tls-ca"):
        opened.detect(numbered(1))


@pytest.mark.parametrize(
    ("sent", "status"), [("http", 400), ("long", 414), ("many", 431)], ids=["no TLS", "a long path", "long headers"]
)
def test_requests_that_are_none(proxy: Proxy, sent: str, status: int) -> None:
    """What goes wrong before there is a path is not made worse. curl may still be sending when the answer comes."""
    command = ["curl", "--silent", "--cacert", str(proxy.ca)]
    command += {
        "http": ["--http2-prior-knowledge", f"http://{proxy.url}/v2"],
        "long": ["--http1.1", f"https://{proxy.url}/{'a' * 40_000}"],
        "many": ["--http1.1", "--header", f"x: {'a' * 40_000}", f"https://{proxy.url}/v2"],
    }[sent]
    subprocess.run(command, capture_output=True, check=False)
    assert '"status":500' not in proxy.log_with(f'"status":{status}')


def test_authorities_that_do_not_know_it(proxy: Proxy) -> None:
    with client(proxy, Access(tls=True)) as opened, pytest.raises(SecureConnectionError, match="--tls-ca FILE"):
        opened.detect(numbered(1))


def test_a_token_goes_unencrypted_to_this_machine_only(proxy: Proxy, server: EmbeddedServer) -> None:
    token = proxy.token("alice")
    with pytest.raises(InvalidOptionError, match="unencrypted") as raised:
        Client("gpu.example.com:8001", model="echo", options=ClientOptions(access=Access(token=token)))
    assert token not in str(raised.value)
    with Client(server.grpc_url, model="echo", options=ClientOptions(access=Access(token=token))) as opened:
        assert found(opened.stream([numbered(3)]).__next__()) == expected(numbered(3))


def test_triton_is_away() -> None:
    with Proxy(grpc=NOBODY_LISTENS, http=NOBODY_LISTENS) as alone:
        with client(alone, alone.access()) as opened, pytest.raises(ServerUnavailableError, match="Triton does not"):
            opened.detect(numbered(1))
        answer = alone.get("/v2")
        assert (answer.status, answer.body) == (502, '{"error":"Triton does not answer the proxy"}\n')
        assert alone.get("/readyz", token=None).status == 502
        assert alone.get("/healthz", token=None).status == 200
