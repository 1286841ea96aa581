"""deploy/prometheus: its files by promtool, and against what a Triton under load really exports."""

from __future__ import annotations

import itertools
import math
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from tests.deploy import dashboard
from tests.deploy.compose_file import read_compose
from tests.deploy.conftest import program, send_what_is_no_picture
from tests.deploy.prometheus_process import CONFIG, FOLDER, PrometheusProcess, QueryError, alerts, read_rules
from tests.deploy.triton_process import TritonProcess

from sightline import Client
from sightline.contract import NETWORK_SUFFIX, PREPROCESSING_PREFIXES
from sightline_export.sample import BUNDLED_FOLDER

pytestmark = pytest.mark.system

GPU_METRICS = Path(__file__).with_name("gpu_metrics.txt")
METRIC = re.compile(r"\b(?:nv_\w+|sightline:[\w:]+|prometheus_\w+)|\b(?:up|ALERTS)(?=\{)")
COMPARISON = re.compile(r" (==|!=|>=|<=|>|<) ")
ALL = {"instance": ".+", "detector": "(demo)"}


@pytest.fixture(scope="module")
def gpu_target() -> Iterator[str]:
    """`HOST:PORT` that serves the metrics of GPUs that this machine lacks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = GPU_METRICS.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is for tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def load(triton: TritonProcess) -> Iterator[None]:
    """Clients that keep the server busy."""
    stop = threading.Event()
    pictures = sorted(BUNDLED_FOLDER.glob("*.jpg"))

    def work() -> None:
        with Client(triton.grpc_url, model="demo") as client:
            for _ in client.stream(itertools.takewhile(lambda _: not stop.is_set(), itertools.cycle(pictures))):
                pass

    worker = threading.Thread(target=work)
    worker.start()
    yield
    stop.set()
    worker.join()


@pytest.fixture(scope="module")
def prometheus(
    triton: TritonProcess, load: None, gpu_target: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusProcess]:
    """Prometheus, once it has seen the server under load for long enough to tell rates."""
    targets = {"triton:8002": triton.metrics_url, "triton:8000": triton.http_url}
    # The GPUs' metrics belong to the same server, so they get its `instance`; in a deployment it exports them itself.
    gpus = {
        "job_name": "gpus",
        "static_configs": [{"targets": [gpu_target], "labels": {"instance": "127.0.0.1"}}],
    }
    folder = tmp_path_factory.mktemp("prometheus")
    with PrometheusProcess(program("prometheus", "prometheus"), folder, targets, extra_jobs=[gpus]) as running:
        running.wait_for('sightline:images:rate1m{model="demo"} > 0')
        running.wait_for("sightline:verdict > 0")
        running.wait_for("sightline:batch_size:mean1m")
        running.wait_for('nv_inference_request_summary_us{model="demo", quantile="0.99"} > 0')
        yield running


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [program("promtool", "prometheus"), *arguments]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60)


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rules found") == len(list((FOLDER / "rules").glob("*.yml")))


def test_the_rules_do_what_their_tests_say() -> None:
    tests = sorted((FOLDER / "tests").glob("*_test.yml"))
    assert len(tests) == 2
    done = promtool("test", "rules", *tests)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_to_stay_quiet() -> None:
    tests = yaml.safe_load((FOLDER / "tests" / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    names = {alert["alert"] for alert in alerts()}
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == names
    assert {check["alertname"] for check in checks if not check.get("exp_alerts")} == names


def test_a_rule_that_never_fires_fails_the_tests_of_the_rules(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "copy")
    rules, tests = (tmp_path / "copy" / name for name in ("rules/alerts.yml", "tests/alerts_test.yml"))
    rules.write_text(rules.read_text(encoding="utf-8").replace("> 0.95", "> 1.95"), encoding="utf-8")
    content = yaml.safe_load(tests.read_text(encoding="utf-8"))
    content["tests"] = [test for test in content["tests"] if "memory" in test["name"]]
    tests.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = promtool("test", "rules", tests)
    assert done.returncode != 0
    assert "SightlineGpuMemoryNearlyFull" in done.stderr


def test_what_is_scraped_are_services_of_the_compose_file() -> None:
    services = read_compose()["services"]
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    targets = [
        target for job in config["scrape_configs"] for static in job["static_configs"] for target in static["targets"]
    ]
    for target in targets:
        host, _, port = target.rpartition(":")
        service = services["prometheus" if host == "localhost" else host]
        assert set(service["networks"]) & set(services["prometheus"]["networks"])
        assert any(published.endswith(f":{port}") for published in service["ports"])


def test_the_server_without_a_gpu_is_found_in_place_of_triton() -> None:
    services = read_compose()["services"]
    assert services["cpu"]["networks"]["monitoring"]["aliases"] == ["triton"]
    assert "monitoring" in services["prometheus"]["networks"]
    # So no two hosts of that name: docker refuses to publish a port twice.
    assert services["cpu"]["ports"] == services["triton"]["ports"]
    assert "monitoring" not in services["triton"]["networks"]


def test_the_rules_tell_steps_by_the_names_of_the_contract() -> None:
    preprocessing = f"({'|'.join(PREPROCESSING_PREFIXES)}).+"
    texts = [rule["expr"] for rule in read_rules()]
    texts += [query.expression for query in dashboard.queries(ALL)]
    assert any(preprocessing in text for text in texts)
    for text in texts:
        for value in re.findall(r'model[=!]~"([^"]+)"', text):
            known = {"_.+", f".+{NETWORK_SUFFIX}", preprocessing, "(demo)", f"(demo){NETWORK_SUFFIX}"}
            left = value.replace(preprocessing, "").split("|")
            assert set(left) - {""} <= known, value


@pytest.mark.parametrize("query", list(dashboard.queries(ALL)), ids=lambda query: f"{query.panel} {query.legend}")
def test_every_query_of_the_dashboard_returns_data(prometheus: PrometheusProcess, query: dashboard.Query) -> None:
    found = prometheus.query(query.expression)
    assert found, query.expression
    # Without a GPU there is no pinned memory, so its share is 0 / 0.
    assert "pinned" in query.expression or not all(math.isnan(sample.value) for sample in found), query.expression
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(label in sample.labels for sample in found), f"{query.expression} has no label {label}"


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_finds_what_it_compares(prometheus: PrometheusProcess, alert: dict[str, str]) -> None:
    # `bool` has a comparison say 0 or 1 where it would otherwise hide what does not fire.
    assert COMPARISON.search(alert["expr"])
    # Rates need two samples, which the youngest server may not have given yet.
    assert prometheus.wait_for(COMPARISON.sub(r" \1 bool ", alert["expr"]).replace("unless", "and"))


def test_every_metric_that_is_asked_for_exists(prometheus: PrometheusProcess) -> None:
    texts = [rule["expr"] for rule in read_rules()] + [query.expression for query in dashboard.queries(ALL)]
    asked = {name for text in texts for name in METRIC.findall(text)}
    assert len(asked) > 20
    # ALERTS exists once an alert is pending; that it does is tested where one is.
    assert asked - {"ALERTS"} <= prometheus.names()


def test_a_query_of_what_no_server_exports_is_found_out(prometheus: PrometheusProcess) -> None:
    assert not prometheus.query("nv_inference_requests_success")
    with pytest.raises(QueryError, match="parse error"):
        prometheus.query("sum(nv_inference_count")


def test_a_request_that_fails_is_counted_once_by_the_rules(
    triton: TritonProcess, prometheus: PrometheusProcess
) -> None:
    def counted() -> float:
        return sum(sample.value for sample in prometheus.query('nv_inference_request_failure{model="demo"}'))

    before = counted()
    send_what_is_no_picture(triton)
    prometheus.wait_for('sightline:failures:rate5m{model="demo"} > 0')
    # Triton's own count, which the rule halves.
    assert counted() - before == 2


def test_the_variables_offer_the_server_and_its_detectors(prometheus: PrometheusProcess) -> None:
    offered = {}
    for name, variable in dashboard.variables().items():
        selector, label = dashboard.label_values(variable, ALL)
        values = {sample.labels[label] for sample in prometheus.query(selector)}
        offered[name] = dashboard.choices(variable, values)
    assert offered == {"instance": {"127.0.0.1"}, "detector": {"demo"}}


def test_under_load_no_rule_fails_and_the_server_is_ready(prometheus: PrometheusProcess) -> None:
    assert {sample.value for sample in prometheus.query("prometheus_rule_evaluation_failures_total")} == {0}
    assert [sample.value for sample in prometheus.query('up{job=~"triton.*"}')] == [1, 1]
    assert not prometheus.query('ALERTS{alertstate="firing"}')


def test_the_verdict_is_one_that_the_dashboard_has_words_for(prometheus: PrometheusProcess) -> None:
    (verdict,) = prometheus.query("sightline:verdict")
    (mapping,) = dashboard.panel("Is the GPU full, and if not, what is it waiting for?")["fieldConfig"]["defaults"][
        "mappings"
    ]
    assert str(int(verdict.value)) in mapping["options"]
    # Two clients' worth of pictures on two cores, beside recorded GPUs that are at 0.39.
    assert verdict.value in (2, 3, 4, 5)
