"""The alerts on a server's life, in a real Prometheus; tests/deploy/test_prometheus.py has the others."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc
from tests.conftest import running_server
from tests.deploy import dashboard
from tests.deploy.conftest import program
from tests.deploy.prometheus_process import PrometheusProcess, Sample

from sightline_bench.noop import DEFAULT_NAME, write_noop_detector
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.system

(SHOWN_ON_THE_DASHBOARD,) = (target["expr"] for target in dashboard.panel("Alerts")["targets"])


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that a test may harm."""
    folder = tmp_path / "models"
    folder.mkdir()
    write_noop_detector(folder)
    with running_server(folder) as running:
        yield running


@pytest.fixture
def prometheus(own_server: EmbeddedServer, tmp_path: Path) -> Iterator[PrometheusProcess]:
    targets = {"triton:8002": own_server.metrics_url, "triton:8000": own_server.http_url}
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with PrometheusProcess(program("prometheus", "prometheus"), folder, targets, short=True) as running:
        running.wait_for('up{job=~"triton.*"} == 1', lambda samples: len(samples) == 2)
        # Before its first scrape there is no server, as far as it knows.
        running.wait_for('ALERTS{alertname=~"SightlineServer.+"}', _none)
        yield running


def firing(prometheus: PrometheusProcess) -> set[str]:
    return {sample.labels["alertname"] for sample in prometheus.query('ALERTS{alertstate="firing"}')}


def has_fired(name: str) -> str:
    return f'ALERTS{{alertname="{name}", alertstate="firing"}}'


def test_a_killed_server_is_pending_and_then_fires(own_server: EmbeddedServer, prometheus: PrometheusProcess) -> None:
    os.kill(own_server.pid, signal.SIGKILL)
    prometheus.wait_for('ALERTS{alertname="SightlineServerDown", alertstate="pending"}')
    (alert,) = prometheus.wait_for(has_fired("SightlineServerDown"))
    assert alert.labels["severity"] == "critical"
    assert alert.labels["instance"] == "127.0.0.1"
    # One cause, one alert.
    assert firing(prometheus) == {"SightlineServerDown"}
    (shown,) = prometheus.query(SHOWN_ON_THE_DASHBOARD)
    assert shown.value == 1


def test_a_model_that_does_not_load_makes_the_server_not_ready(
    own_server: EmbeddedServer, prometheus: PrometheusProcess
) -> None:
    repository = own_server.options.repository
    shutil.copytree(repository / DEFAULT_NAME, repository / "broken")
    config = repository / "broken" / "config.pbtxt"
    config.write_text(config.read_text(encoding="utf-8").replace(f'"{DEFAULT_NAME}"', '"broken"'), encoding="utf-8")
    code = repository / "broken" / "1" / "model.py"
    good = code.read_text(encoding="utf-8")
    code.write_text("this is no Python", encoding="utf-8")
    with tritonclient.grpc.InferenceServerClient(own_server.grpc_url) as client:
        with pytest.raises(tritonclient.grpc.InferenceServerException):
            client.load_model("broken")
        prometheus.wait_for(has_fired("SightlineServerNotReady"))
        assert "SightlineServerDown" not in firing(prometheus)
        code.write_text(good, encoding="utf-8")
        client.load_model("broken")
    prometheus.wait_for(has_fired("SightlineServerNotReady"), _none)


def _none(samples: list[Sample]) -> bool:
    return not samples
