"""What an operator does with the proxy: change tokens and certificates, read its log, give it files with mistakes."""

from __future__ import annotations

import http.server
import itertools
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import tritonclient.grpc
from tests.client.noop_images import expected, found, numbered
from tests.deploy.proxy_process import LOOPBACK, Proxy

from sightline import Client, ClientOptions, Result
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline.errors import AuthenticationError, SecureConnectionError
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.system

TOKENS = {"alice": "trusted", "leaving": "standard"}


@pytest.fixture(scope="module", autouse=True)
def echo(repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "echo", options=NoopOptions(echo=True))
    load_model("echo")


@pytest.fixture
def own(server: EmbeddedServer) -> Iterator[Proxy]:
    """A proxy that a test may change."""
    with Proxy(grpc=server.grpc_url, http=server.http_url, tokens=TOKENS) as running:
        yield running


def client(proxy: Proxy, token: str = "alice", transport: TransportKind = "unary") -> Client:
    return Client(proxy.url, model="echo", options=ClientOptions(access=proxy.access(token), transport=transport))


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_a_reload_drops_no_request(own: Proxy, kind: TransportKind) -> None:
    stop = threading.Event()
    numbers = itertools.takewhile(lambda number: number < 100 or not stop.is_set(), itertools.count())

    def work() -> list[Result]:
        with client(own, transport=kind) as opened:
            return list(opened.stream(map(numbered, numbers), batch_size=1))

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(work)
        try:
            for number in range(3):
                own.add_token(f"new{number}")
                own.reload()
                with client(own, f"new{number}") as opened:
                    opened.detect(numbered(number))
        finally:
            stop.set()
        results = running.result(60)
    assert [found(result) for result in results] == [expected(numbered(n)) for n in range(len(results))]
    if kind == "unary":
        assert len(workers_of(own, "/inference.GRPCInferenceService/ModelInfer")) >= 2, "no reload came in between"


def workers_of(proxy: Proxy, path: str) -> set[str]:
    """The processes that have taken the requests of the busy client; the others have tokens of other names."""
    lines = [json.loads(line) for line in proxy.log().splitlines() if line.startswith("{")]
    return {line["worker"] for line in lines if (line["client"], line["path"]) == ("alice", path)}


def test_other_clients_notice_no_reload(own: Proxy) -> None:
    """Not even one that never tries again by itself."""
    headers = dict(own.access().call_metadata)
    stop = threading.Event()

    def ask() -> int:
        answers = 0
        with tritonclient.grpc.InferenceServerClient(own.url, ssl=True, root_certificates=str(own.ca)) as opened:
            while not stop.is_set():
                assert opened.is_model_ready("echo", headers=headers)
                answers += 1
        return answers

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(ask) for _ in range(4)]
        try:
            for _ in range(3):
                own.reload()
        finally:
            stop.set()
        assert all(each.result(60) for each in running)


def test_a_reload_takes_tokens_over(own: Proxy) -> None:
    tokens = own.private / "tokens"
    with client(own, "leaving") as leaving:
        leaving.detect(numbered(1))
        own.add_token("coming")
        kept = [line for line in tokens.read_text().splitlines() if not line.startswith("leaving:")]
        tokens.write_text("\n".join(["# a comment", "", *kept]) + "\r\n")
        assert own.reload().stdout == "proxy: reloaded\n"
        with pytest.raises(AuthenticationError):
            leaving.detect(numbered(1))
    with client(own, "coming") as coming:
        coming.detect(numbered(1))


def test_a_name_may_have_two_tokens_for_a_while(own: Proxy) -> None:
    before = own.access("leaving")
    own.add_token("leaving")
    own.reload()
    assert before.token != own.token("leaving")
    for access in (before, own.access("leaving")):
        with Client(own.url, model="echo", options=ClientOptions(access=access)) as opened:
            opened.detect(numbered(1))


def test_a_mistake_leaves_the_running_proxy_alone(own: Proxy) -> None:
    tokens = own.private / "tokens"
    good = tokens.read_text()
    for content, complaint in (("alice\n", "line 1"), ("# none\n", "holds no token: nobody could get in")):
        tokens.write_text(content)
        failed = own.reload(check=False)
        assert failed.returncode != 0
        assert complaint in failed.stderr
    tokens.write_text(good)
    (own.private / "tls.crt").write_text("no certificate")
    assert "nginx refuses the configuration" in own.reload(check=False).stderr
    with client(own) as opened:
        opened.detect(numbered(1))
    assert len([path for path in (own.folder / "run").iterdir() if path.name.startswith("conf.")]) == 1


def test_a_file_that_is_missing_is_named(own: Proxy) -> None:
    (own.private / "tokens").unlink()
    assert f"cannot read {own.private}/tokens as user" in own.reload(check=False).stderr


def make_certificate(proxy: Proxy, *, days: int, name: str) -> None:
    """Sign the proxy's key by an authority of its own, which goes into ca.crt."""
    private = proxy.private
    key = str(private / "tls.key")
    authority = ["openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=test", "-days", "9"]
    subprocess.run([*authority, "-out", str(private / "ca.crt")], check=True, capture_output=True)
    request = ["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}"]
    wish = subprocess.run(request, check=True, capture_output=True).stdout
    extensions = private / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{name}\n")
    sign = ["openssl", "x509", "-req", "-CA", str(private / "ca.crt"), "-CAkey", key, "-set_serial", "7"]
    sign += ["-days", str(days), "-extfile", str(extensions), "-out", str(private / "new.crt")]
    subprocess.run(sign, input=wish, check=True, capture_output=True)
    # Another file, as certbot does it: newer nginx takes one of the same inode and second for the same.
    (private / "new.crt").chmod(0o644)
    (private / "new.crt").replace(private / "tls.crt")


@pytest.mark.parametrize(
    ("days", "name", "complaint"),
    [(-1, "localhost", "certificate has expired"), (9, "other.example.com", "certificate is for other names")],
)
def test_a_certificate_that_is_no_good(own: Proxy, days: int, name: str, complaint: str) -> None:
    make_certificate(own, days=days, name=name)
    own.reload()
    with client(own) as opened, pytest.raises(SecureConnectionError, match=complaint):
        opened.detect(numbered(1))


def test_a_renewed_certificate(own: Proxy) -> None:
    before = own.access()
    make_certificate(own, days=9, name="localhost")
    own.reload()
    with client(own) as opened:
        opened.detect(numbered(1))
    stranger = Client(own.url, model="echo", options=ClientOptions(access=before))
    with stranger, pytest.raises(SecureConnectionError, match="nobody who is trusted has signed"):
        stranger.detect(numbered(1))


def test_a_certificate_of_ones_own_is_kept(own: Proxy) -> None:
    made = own.run_script("dev-certificate.sh", "gpu.example.com", "10.0.0.5")
    assert "for DNS:gpu.example.com,IP:10.0.0.5" in made.stdout
    make_certificate(own, days=9, name="localhost")
    kept = (own.private / "tls.crt").read_bytes()
    assert "is not from this script" in own.run_script("dev-certificate.sh", check=False).stderr
    assert (own.private / "tls.crt").read_bytes() == kept


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.3"])
def test_tls_versions(proxy: Proxy, version: str) -> None:
    command = ["curl", "--silent", f"--tls-max={version}"[:9], version, f"--tlsv{version}", "--cacert", str(proxy.ca)]
    command += ["--ciphers", "DEFAULT@SECLEVEL=0", f"https://{proxy.url}/healthz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout == "ok\n") == (version != "1.1")


def test_tokens_are_nowhere_to_be_seen(own: Proxy) -> None:
    with client(own) as opened:
        opened.detect(numbered(1))
    own.get("/v2?token=in-the-query")
    own.reload()
    own.get("/v2/logging", token="leaving")
    log = own.log_with('"client":"leaving"')
    assert '"client":"alice"' in log
    assert "in-the-query" not in log
    tokens = [own.token(name) for name in TOKENS]
    assert not [token for token in tokens if token in log]
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            try:
                text = (process / file).read_bytes()
            except OSError:  # it has ended
                continue
            assert not [token for token in tokens if token.encode() in text]
    holding = [path for path in own.folder.rglob("*") if path.is_file() and holds(path, tokens)]
    assert (own.folder / "run" / "current").resolve() / "tokens.conf" in holding
    assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}


def holds(path: Path, tokens: list[str]) -> bool:
    return any(token in path.read_text(errors="replace") for token in tokens)


SENT_ALONG = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "a=b", "x-forwarded-for": "10.9.8.7"}


def test_triton_gets_neither_tokens_nor_orders_to_trace() -> None:
    seen: list[dict[str, str]] = []

    class Recorder(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Recorder) as upstream:
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        with Proxy(http=f"{LOOPBACK}:{upstream.server_port}") as own:
            assert own.get("/v2", headers=SENT_ALONG).status == 200
        upstream.shutdown()
    check_onward(seen[0])


def test_triton_gets_neither_tokens_nor_orders_to_trace_by_grpc() -> None:
    seen: list[dict[str, str | bytes]] = []

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append(dict(context.invocation_metadata()))
        return b""

    service, method = "inference.GRPCInferenceService", "ServerLive"
    recorder = {method: grpc.unary_unary_rpc_method_handler(answer)}
    with ThreadPoolExecutor(1) as threads:
        upstream = grpc.server(threads, handlers=[grpc.method_handlers_generic_handler(service, recorder)])
        port = upstream.add_insecure_port(f"{LOOPBACK}:0")
        upstream.start()
        with Proxy(grpc=f"{LOOPBACK}:{port}") as own, grpc.secure_channel(own.url, credentials(own)) as channel:
            call = channel.unary_unary(f"/{service}/{method}")
            assert call(b"", metadata=(*own.access().call_metadata, *SENT_ALONG.items()), timeout=30) == b""
        upstream.stop(None).wait()
    check_onward(seen[0])


def credentials(proxy: Proxy) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(proxy.ca.read_bytes())


def check_onward(headers: Mapping[str, str | bytes]) -> None:
    assert headers.keys().isdisjoint({"authorization", "traceparent", "tracestate"})
    assert headers["x-forwarded-for"] == LOOPBACK


def test_the_log_is_json_with_names_and_statuses(own: Proxy) -> None:
    with client(own) as opened:
        opened.detect(numbered(1))
    own.get("/v2", token=None)
    lines = [json.loads(line) for line in own.log_with('"status":401').splitlines()]
    infer = next(line for line in lines if line["path"].endswith("/ModelInfer"))
    assert (infer["client"], infer["status"], infer["grpc_status"]) == ("alice", 200, "0")
    assert infer["bytes_in"] > 100
    refused = next(line for line in lines if line["path"] == "/v2")
    assert (refused["client"], refused["status"]) == ("", 401)
