"""The served graph: front, raw network, head, suppression and un-letterbox in one ONNX model."""

from __future__ import annotations

from .compose import candidate_limit, compose
from .multi_label import check_multi_label
from .settings import GraphSettings

__all__ = ["GraphSettings", "candidate_limit", "check_multi_label", "compose"]
