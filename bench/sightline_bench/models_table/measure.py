"""Runs one row: exports the model through the gate and, where there are annotations, evaluates both sides."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sightline.cli._chain import EmbeddedChain
from sightline.cli._export_report import as_json
from sightline_bench.material.workshop import run_sightline
from sightline_export.exporter import export
from sightline_export.options import ExportOptions
from sightline_server.launcher import EmbeddedServer, ServerOptions

from .material import Material, gather
from .rows import Row


def measure(row: Row, *, data: Path) -> dict[str, Any]:
    """What an export of the model says about itself, with the mAP of both sides where there are annotations.

    Exports run in this process, so that the heavy packages are imported once.

    Args:
        row: the model.
        data: folder of weights, ONNX files and annotated photos.

    Raises:
        SightlineError: the export or the evaluation failed.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sightline-row-") as name:
        folder = Path(name)
        material = gather(row, data, folder)
        measured: dict[str, Any] = {"row": asdict(row), "export": _export(row, material, folder)}
        if material.annotations is not None:
            measured["evaluation"] = _evaluate(row, material, folder)
    return {**measured, "seconds": round(time.monotonic() - started, 1)}


def _export(row: Row, material: Material, folder: Path) -> dict[str, Any]:
    started = time.monotonic()
    report = export(
        material.source,
        repository=folder / "repository",
        chain=EmbeddedChain(),
        sample=material.sample,
        name=row.name,
        options=ExportOptions(
            image_size=row.image_size,
            # All see the same square, so that the rows can be compared.
            rect=False,
            nms=row.nms,
            family=row.detector_family,
            classes=material.classes,
        ),
    )
    return as_json(report, seconds=time.monotonic() - started)


def _evaluate(row: Row, material: Material, folder: Path) -> dict[str, Any]:
    report = folder / "evaluation.json"
    options = ServerOptions(repository=folder / "repository", grpc_port=0, http_port=0, metrics_port=0)
    with EmbeddedServer(options) as server:
        truth = ("--annotations", material.annotations, material.sample)
        family = ("--family", row.detector_family) if row.detector_family else ()
        against = ("--against", material.source, *family)
        run_sightline("evaluate", "--model", row.name, "--url", server.grpc_url, *truth, *against, "--json", report)
    return _read(report)


def _read(report: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return content
