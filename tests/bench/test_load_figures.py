"""The figures of load, each measured once with the demo detector or a no-op model in place of yolov8n."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT, skip_or_fail

from sightline import Client
from sightline.errors import MeasurementError
from sightline_bench.load import perf_analyzer
from sightline_bench.load import sweep as load_sweep
from sightline_bench.load.copies import write_copies
from sightline_bench.load.driver import Driver, Target, serve
from sightline_bench.load.loads import Load
from sightline_bench.load.perf_analyzer import install
from sightline_bench.material.exports import Exported
from sightline_bench.material.photos import find_images
from sightline_bench.material.weights import Weights
from sightline_bench.material.workshop import Workshop
from sightline_bench.measure.rounds import LEAST_ROUNDS
from sightline_bench.ratios import clients, eight_models, latency, load, noop_client
from sightline_bench.ratios.registry import Findings, Group, Setting
from sightline_export.sample import BUNDLED_FOLDER

DEMO = Exported(repository=CHECKOUT / "model_repository", model="demo", precision="fp32")


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """A quick run, in which the demo detector, which is small, stands where yolov8n would be exported to."""
    alone = tmp_path / "repository"
    write_copies(DEMO.repository, DEMO.model, alone, ["demo"])
    for module in (clients, eight_models, latency, load):
        monkeypatch.setattr(module, "export_detector", lambda *_: replace(DEMO, repository=alone))
    monkeypatch.setattr(Setting, "find_weights", lambda *_: Weights(Path("demo.pt"), "the demo detector"))
    monkeypatch.setattr(Setting, "count", lambda self, *, quick, full: min(quick, 8))
    for window in ("_WINDOW_MS", "_WINDOW_OF_BATCHES_MS"):
        monkeypatch.setattr(perf_analyzer, window, 150)
    return Setting(
        workshop=Workshop(tmp_path / "work", lambda line: None),
        images=find_images(BUNDLED_FOLDER),
        images_title="bundled pictures",
        weights=None,
        cores=2,
        rounds=LEAST_ROUNDS,
        quick=True,
        bf16=False,
        tell=lambda line: None,
    )


def measured(group: Group, setting: Setting) -> Findings:
    """All figures of a group, each with a value a round."""
    findings = group.measure(setting, frozenset(key.name for key in group.keys))
    assert findings.figures.keys() == {key.name for key in group.keys}
    for figure in findings.figures.values():
        assert figure.ratio is not None, figure.note
        assert len(figure.ratio.runs) == LEAST_ROUNDS
        assert figure.ratio.low > 0 or figure.unit == "cores"
        assert figure.setting
    return findings


def test_copies_of_a_detector_find_what_it_finds(tmp_path: Path) -> None:
    names = ["demo", "demo_copy2"]
    write_copies(DEMO.repository, DEMO.model, tmp_path, names)
    picture = sorted(BUNDLED_FOLDER.glob("*.jpg"))[0]
    found = []
    with serve(tmp_path) as server:
        for name in names:
            with Client(server.grpc_url, model=name) as client:
                found.append(client.detect(picture).boxes_xyxy.tolist())
    assert found[0] == found[1]
    assert found[0]


def test_tensors_may_travel_through_shared_memory(tmp_path: Path) -> None:
    try:
        program = install(tmp_path / "perf_analyzer")
    except MeasurementError as error:
        skip_or_fail(f"needs perf_analyzer: {error}")
        raise
    target_images = [path.read_bytes() for path in sorted(BUNDLED_FOLDER.glob("*.jpg"))[:2]]
    with serve(DEMO.repository) as server:
        for protocol in ("grpc", "http"):
            ask = Load(requests=4, concurrency=1, protocol=protocol, shared_memory=True)
            came = Driver(program).measure(Target.at(server, "demo", target_images), ask)
            assert {"letterbox_640", "demo_net"} <= came.steps.keys()


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="did not start"):
        serve(tmp_path / "missing")


def test_one_image_at_a_time(setting: Setting) -> None:
    measured(latency.GROUP, setting)


def test_the_queue_and_the_sweeps(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    # One load of each kind; a quick run has not all of them.
    kinds = {"concurrencies": (2,), "batches": (2,)}
    monkeypatch.setattr(load, "ladder", lambda **options: load_sweep.ladder(**{**options, **kinds}))
    monkeypatch.setattr(load, "rates", lambda **options: load_sweep.rates(**{**options, "shares": (0.5,)}))
    section = measured(load.GROUP, setting).sections["load"]
    assert len(section["queue"]) == LEAST_ROUNDS
    assert all(0 < each["service_ms"] <= each["model_p99_ms"] * 2 for each in section["queue"])
    rows = section["sweeps"]
    assert {row["generator"] for row in rows if "generator" in row} == {"perf_analyzer"}
    assert not [row["failure"] for row in rows if "failure" in row]
    assert all({"letterbox_640", "demo_net"} <= row["steps"].keys() for row in rows)
    assert {row["protocol"] for row in rows} == {"grpc", "http"}
    assert any(row["request_rate"] for row in rows)


def test_many_clients(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_MANY", 6)
    monkeypatch.setattr(clients, "_FEWER", (2,))
    section = measured(clients.GROUP, setting).sections["clients"]
    assert section.keys() == {"2 clients", "6 clients", "one client, streaming"}


def test_eight_models(setting: Setting) -> None:
    section = measured(eight_models.GROUP, setting).sections["eight_models"]
    assert section["one loaded"][0]["found"] == section["eight loaded"][0]["found"] > 0


def test_the_client_alone(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Setting, "count", lambda self, *, quick, full: 120)
    monkeypatch.setattr(noop_client, "_IN_FLIGHT", (4,))
    quick = measured(noop_client.SPEED_GROUP, setting)
    assert quick.sections["client_over_perf_analyzer"].keys() == {"client", "grpc, 4 in flight"}
    speed = measured(noop_client.SPEED_GROUP, replace(setting, quick=False))
    assert "8 images a request" in speed.figures["client_over_perf_analyzer"].note
    passes = speed.sections["client_over_perf_analyzer"]
    assert passes.keys() == {"client", "client, batches", "grpc, 4 in flight", "grpc, 4 in flight, 8 images a request"}
    assert all(one["cpu_seconds"] > 0 for came in passes.values() for one in came)
    figure = measured(noop_client.MEMORY_GROUP, setting).figures["client_memory_growth"]
    assert "a quick run" in figure.note
