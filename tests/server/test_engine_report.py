"""Clients learn over gRPC which engine runs each model."""

from __future__ import annotations

from pathlib import Path

import pytest
import tritonclient.grpc

from sightline.contract import ENGINES, ENGINES_MODEL, EngineInfo, format_engines, parse_engines
from sightline_server.engine_report import record_engine, recorded_engines
from sightline_server.launcher import EmbeddedServer


def ask(server: EmbeddedServer) -> dict[str, EngineInfo]:
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        answer = client.infer(ENGINES_MODEL, []).as_numpy(ENGINES.name)
    assert answer is not None
    return parse_engines(answer.tobytes())


def test_round_trip() -> None:
    engines = {"a_net": EngineInfo(engine="openvino", version="1", precision="fp32", threads=2, reason="ü")}
    assert parse_engines(format_engines(engines)) == engines
    assert parse_engines(format_engines({})) == {}


def test_the_server_tells_what_it_recorded(server: EmbeddedServer) -> None:
    assert ask(server) == server.engines()


def test_recording_needs_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = EngineInfo(engine="dali", version="2", precision="uint8", threads=1)
    record_engine("letterbox_640", info)
    monkeypatch.setenv("SIGHTLINE_RUN_FOLDER", str(tmp_path))
    record_engine("letterbox_640", info)
    record_engine("letterbox_640", info)
    assert recorded_engines(tmp_path) == {"letterbox_640": info}
