"""Stand-in for Triton's native ONNX Runtime backend: runs a model's own `model.onnx`, from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.contract import ONNX_FILE, EngineInfo
from sightline_server.engine_choice import open_engine
from sightline_server.engines import Engine
from sightline_server.network_model import NetworkModel


class TritonPythonModel(NetworkModel):
    """One instance of a model."""

    default_file = ONNX_FILE

    def open(self, config: Mapping[str, Any], file: Path, device: int | None) -> tuple[Engine, EngineInfo]:
        """The engine that suits the machine."""
        return open_engine(config, file, device)
