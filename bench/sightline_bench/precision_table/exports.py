"""One model through the gate in every precision, side by side in one repository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sightline.cli._chain import EmbeddedChain
from sightline.contract import EXPORT_PRECISIONS, ExportPrecision
from sightline.errors import ExportError
from sightline_bench.models_table.material import Material
from sightline_bench.models_table.rows import Row
from sightline_export.exporter import ExportReport, export
from sightline_export.options import ExportOptions

Tell = Callable[[str], None]


def detector_name(row: Row, precision: ExportPrecision) -> str:
    """What the row's model is called in a precision."""
    return f"{row.name}_{precision}"


def export_all(
    row: Row, material: Material, *, calibration: Path, repository: Path, tell: Tell
) -> dict[ExportPrecision, dict[str, Any]]:
    """What the gate says of each precision.

    What it refuses, or what cannot be made, is a result like any other, with the reason; without fp32 there is no row.

    Raises:
        SightlineError: fp32 failed, or an option is not allowed.
    """
    results: dict[ExportPrecision, dict[str, Any]] = {}
    for precision in EXPORT_PRECISIONS:
        tell(f"{row.name}: {precision}")
        try:
            report = _export(row, material, precision, calibration=calibration, repository=repository)
        except ExportError as error:
            if precision == "fp32":
                raise
            results[precision] = {"refused": str(error)}
            continue
        results[precision] = _facts(report)
    return results


def _export(
    row: Row, material: Material, precision: ExportPrecision, *, calibration: Path, repository: Path
) -> ExportReport:
    return export(
        material.source,
        repository=repository,
        chain=EmbeddedChain(),
        calibration=calibration if precision == "int8" else None,
        sample=material.sample,
        name=detector_name(row, precision),
        options=ExportOptions(
            precision=precision,
            image_size=row.image_size,
            rect=False,
            # fp16 is for GPUs and takes the form that those run.
            nms=None if row.nms == "operator" else row.nms,
            family=row.detector_family,
            classes=material.classes,
        ),
    )


def _facts(report: ExportReport) -> dict[str, Any]:
    return {
        "head": report.info.head,
        "input": report.info.preprocessing.model_name,
        "quantised": report.info.quantised,
        "size_bytes": report.installed.size_bytes,
        "gate": asdict(report.verification),
        "versions": dict(report.info.versions),
    }
