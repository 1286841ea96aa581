"""Rules about TensorRT plans and the manifests beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sightline import contract
from sightline_export.lint.findings import Problem, Rule, error, warning
from sightline_export.lint.folders import ModelFolder, Repository
from sightline_export.tensorrt.manifest import (
    JOURNAL_FILE,
    MANIFEST_FILE,
    REBUILD_COMMAND,
    PlanError,
    read_manifest,
)

_LARGEST_HEADER_BYTES = 1 << 20


def _plan_header(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path in _plans(model):
        if has_ultralytics_header(path):
            message = "this is an Ultralytics .engine file: JSON metadata stands in front of the TensorRT plan"
            fix = "build the plan inside the serving container from the ONNX file, or cut the header off"
            yield error(path, message, fix)


def _plan_manifest(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path in _plans(model):
        manifest_path = path.parent / MANIFEST_FILE
        try:
            manifest = read_manifest(path.parent)
        except PlanError as reason:
            if model.is_network:
                message = f"nobody knows which TensorRT and GPU this plan is for: {reason}"
                yield warning(manifest_path, message, f"build it with: {REBUILD_COMMAND}")
            continue
        if path.stat().st_size != manifest.plan_bytes:
            message = f"the plan has {path.stat().st_size:,} bytes, its manifest says {manifest.plan_bytes:,}"
            yield error(path, message, f"build it anew with: {REBUILD_COMMAND} --force")
        if model.is_network and dict(manifest.parameters) != model.parameters:
            message = "the configuration tells other things about the detector than the plan's manifest"
            yield error(model.config_path, message, f"write it anew with: {REBUILD_COMMAND}")


def _plan_switch(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    journal = repository.path / JOURNAL_FILE
    if model.backend == contract.TENSORRT_BACKEND and journal.exists():
        message = "a build was killed while it replaced configurations, so they may not belong together"
        yield error(journal, message, f"have it finished by: {REBUILD_COMMAND}")


def _plans(model: ModelFolder) -> Iterator[Path]:
    if model.backend == contract.TENSORRT_BACKEND:
        yield from model.model_files


def has_ultralytics_header(path: Path) -> bool:
    """Whether the file begins with a 4-byte little-endian length and that many bytes of a JSON object."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(4), "little")
        if not 2 <= length <= min(path.stat().st_size - 4, _LARGEST_HEADER_BYTES):
            return False
        try:
            return isinstance(json.loads(file.read(length)), dict)
        except ValueError:
            return False


RULES = (
    Rule("plan-header", _plan_header),
    Rule("plan-manifest", _plan_manifest),
    Rule("plan-switch", _plan_switch),
)
