"""Stand-in for Triton's native TensorRT backend: runs a model's own `model.plan`, from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.contract import TENSORRT_FILE, EngineInfo
from sightline_server.engine_choice import open_plan
from sightline_server.engines import Engine
from sightline_server.network_model import NetworkModel


class TritonPythonModel(NetworkModel):
    """One instance of a model."""

    default_file = TENSORRT_FILE

    def open(self, config: Mapping[str, Any], file: Path, device: int | None) -> tuple[Engine, EngineInfo]:
        """TensorRT: nothing else reads plans."""
        return open_plan(config, file, device)
