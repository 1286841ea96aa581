"""Traces: what start.sh has tritonserver send, received by the test, and the configuration of who receives it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.conftest import skip_or_fail
from tests.deploy.compose_file import CHECKOUT, read_compose
from tests.deploy.triton_process import START, TritonProcess

from sightline import Client
from sightline.contract import network_name
from sightline.errors import MissingDependencyError
from sightline_export.sample import BUNDLED_FOLDER

CONFIG = CHECKOUT / "deploy" / "tracing" / "jaeger.yml"
RATE = 4
REQUESTS = 12
WAIT_SECONDS = 60


class Collector:
    """Takes spans as an OpenTelemetry collector does, over HTTP."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.resources: list[dict[str, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.paths.add(self.path)
                collector.resources += json.loads(body)["resourceSpans"]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: pytest's output is for tests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def spans(self) -> list[dict[str, Any]]:
        """Every span that came so far."""
        scopes = [scope for resource in self.resources for scope in resource["scopeSpans"]]
        return [span for scope in scopes for span in scope["spans"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, demo_repository: Path) -> Iterator[Collector]:
    """A collector that has what a server sent of `REQUESTS` requests."""
    receiver = Collector()
    log_file = tmp_path_factory.mktemp("traced") / "triton.log"
    settings = {"TRACE_RATE": str(RATE), "TRACE_URL": receiver.url}
    try:
        server = TritonProcess(demo_repository, log_file, **settings)
    except MissingDependencyError as error:
        skip_or_fail(str(error))
        raise
    picture = next(BUNDLED_FOLDER.glob("*.jpg")).read_bytes()
    with server, Client(server.grpc_url, model="demo") as client:
        for _ in range(REQUESTS):
            client.detect(picture)
        deadline = time.monotonic() + WAIT_SECONDS
        while sum(1 for span in receiver.spans() if not span.get("parentSpanId")) < REQUESTS // RATE:
            assert time.monotonic() < deadline, f"{len(receiver.spans())} spans came; the log:\n{server.log[-2000:]}"
            time.sleep(0.1)
    yield receiver
    receiver.close()


def attributes(of: dict[str, Any]) -> dict[str, str]:
    return {item["key"]: next(iter(item["value"].values())) for item in of.get("attributes", [])}


def test_one_request_in_so_many_is_traced(collector: Collector) -> None:
    assert collector.paths == {"/v1/traces"}
    assert len({span["traceId"] for span in collector.spans()}) == REQUESTS // RATE


def test_a_trace_shows_both_steps_with_their_queues_and_their_work(collector: Collector) -> None:
    traces: dict[str, list[dict[str, Any]]] = {}
    for span in collector.spans():
        traces.setdefault(span["traceId"], []).append(span)
    for spans in traces.values():
        models = {attributes(span).get("triton.model_name") for span in spans} - {None}
        assert models == {"demo", network_name("demo"), "letterbox_640"}
        events = [event["name"] for span in spans for event in span.get("events", [])]
        assert events.count("QUEUE_START") == 3
        assert events.count("COMPUTE_START") == events.count("COMPUTE_END") == 2


def test_the_spans_name_the_service_and_hold_no_tensors(collector: Collector) -> None:
    assert {attributes(resource["resource"])["service.name"] for resource in collector.resources} == {"sightline"}
    for span in collector.spans():
        for event in span.get("events", []):
            assert not event["name"].startswith("TENSOR")


def test_the_service_listens_where_the_server_sends() -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    compose = read_compose()["services"]
    (url,) = re.findall(r"\$\{TRACE_URL:-([^}]+)\}", START.read_text(encoding="utf-8"))
    assert urlsplit(url).hostname in compose
    assert str(urlsplit(url).port) == config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    assert set(compose["tracing"]["networks"]) & set(compose["triton"]["networks"])
    page = config["extensions"]["jaeger_query"]["http"]["endpoint"].rpartition(":")[2]
    assert [port for port in compose["tracing"]["ports"] if port.startswith("127.0.0.1:") and port.endswith(f":{page}")]


def test_the_configuration_of_the_receiver_names_only_what_it_defines() -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    pipeline = config["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(config[kind])
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    stores = set(config["extensions"]["jaeger_storage"]["backends"])
    assert {config["exporters"]["jaeger_storage_exporter"]["trace_storage"]} == stores
    assert set(config["extensions"]["jaeger_query"]["storage"].values()) == stores
    mount = next(volume for volume in read_compose()["services"]["tracing"]["volumes"] if "tracing" in volume["source"])
    assert read_compose()["services"]["tracing"]["command"] == [f"--config={mount['target']}/{CONFIG.name}"]
