"""What `sightline export` says about what it made: to people, and to programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.detector_info import DetectorInfo

if TYPE_CHECKING:
    from sightline_export.exporter import ExportReport

_FIRST_NAMES = 5


def print_summary(report: ExportReport, repository: Path, *, named: bool) -> None:
    """A headline in colour, facts, and what to do next; warnings where something was not proved.

    Args:
        report: what was made.
        repository: where.
        named: whether the user chose the name.
    """
    origin = "" if named else f" (named after {report.info.source}; --name chooses another)"
    click.secho(f"{report.name} is ready{origin}", fg="green")
    facts = dict(_facts(report))
    facts["serve"] = f"sightline serve --repository {repository}"
    facts["detect"] = f"sightline detect photos/ --model {report.name}"
    for title, text in facts.items():
        click.echo(f"  {title:<10} {text}")
    if not report.verification.verified:
        click.secho(f"warning: {report.name} is UNVERIFIED: {_reason(report)}", fg="yellow", err=True)


def as_json(report: ExportReport, *, seconds: float) -> dict[str, Any]:
    """Everything that was found out; fractions are 0 to 1, operations are those for one picture."""
    info = report.info
    return {
        "name": report.name,
        "source": info.source,
        "source_sha256": info.source_sha256,
        "head": info.head,
        "input": info.preprocessing.model_name,
        "square_because": info.square_because,
        "class_names": list(info.class_names),
        "precision": info.precision,
        "multi_label": info.multi_label,
        "iou_threshold": info.iou_threshold,
        "max_detections": info.max_detections,
        "parameters": report.cost.parameters,
        "flops": report.cost.flops,
        "verification": asdict(report.verification),
        "verified_with": asdict(report.engine) if report.engine is not None else None,
        "trials": [asdict(trial) for trial in report.trials],
        "raw_difference": report.raw_difference.worst,
        "installed": str(report.installed.ensemble),
        "size_bytes": report.installed.size_bytes,
        "versions": dict(info.versions),
        "seconds": round(seconds, 1),
    }


def _facts(report: ExportReport) -> Iterator[tuple[str, str]]:
    info = report.info
    yield "where", str(report.installed.ensemble)
    yield "classes", f"{len(info.class_names)}: {_first_names(info)}"
    yield "input", f"{info.preprocessing}, {info.precision}, head {info.head}"
    if info.square_because:
        yield "square", info.square_because
    yield "network", f"{report.cost}; {report.installed.size_bytes / 1e6:.1f} MB"
    yield "raw", f"largest difference from the source's raw output {report.raw_difference.worst:.1e} of its range"
    yield "gate", str(report.verification)


def _first_names(info: DetectorInfo) -> str:
    return ", ".join(info.class_names[:_FIRST_NAMES]) + (", …" if len(info.class_names) > _FIRST_NAMES else "")


def _reason(report: ExportReport) -> str:
    """Why it counts as unverified, and what to do about it."""
    checked = report.verification
    if checked.outcome == "skipped":
        return "nobody compared it with its source. On a machine that can serve it, export it again without --no-gate"
    if not checked.lacking:
        why = f" ({report.engine.reason})" if report.engine is not None and report.engine.reason else ""
        asked = report.info.precision
        return (
            f"it was compared in {checked.precision}, not in {asked}{why}. Export it again on a machine that "
            f"computes in {asked}"
        )
    return (
        f"{checked.reference} objects in {checked.images} pictures prove nothing. Export it again with --sample "
        f"FOLDER, pictures of what it was trained for, with at least {checked.lacking} objects more in them"
    )
