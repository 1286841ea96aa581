"""The session's server itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from sightline_bench.noop import write_noop_detector
from sightline_server.launcher import EmbeddedServer


def test_serves_the_noop_detector(server: EmbeddedServer, noop_model: str) -> None:
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        assert client.is_model_ready(noop_model)


def test_a_model_can_join(server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "joined")
    load_model("joined")
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        assert client.is_model_ready("joined")
        client.unload_model("joined")


def test_shared_memory_of_clients_is_shut(server: EmbeddedServer) -> None:
    with (
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
        pytest.raises(InferenceServerException, match="restricted"),
    ):
        client.register_system_shared_memory("mine", "/anything", 16)


def test_tracing_and_logging_are_shut(server: EmbeddedServer) -> None:
    with (
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as client,
        pytest.raises(InferenceServerException, match="restricted"),
    ):
        client.update_log_settings({"log_file": "/nowhere"})
