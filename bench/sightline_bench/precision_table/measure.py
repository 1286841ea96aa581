"""Runs one row: a model in every precision, or the group of five."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sightline.contract import ExportPrecision, network_name
from sightline_bench.group_agreement import agreements
from sightline_bench.models_table.material import Material
from sightline_bench.models_table.rows import Row
from sightline_server.launcher import EmbeddedServer, ServerOptions

from .exports import Tell, detector_name, export_all
from .five import MEMBERS, install_five
from .photos import halve, material_of, pictures
from .served import average_precision, paces

_SCORE_THRESHOLD = 0.25


def measure_row(row: Row, *, data: Path, tell: Tell) -> dict[str, Any]:
    """What each precision of a model does.

    Raises:
        SightlineError: it could not be exported in fp32, or was not served.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sightline-row-") as name:
        folder = Path(name)
        halves = halve(data, folder)
        material, calibration = material_of(row, data, folder, halves)
        repository = folder / "repository"
        precisions = export_all(row, material, calibration=calibration, repository=repository, tell=tell)
        _serve(row, material, repository, precisions)
        numbers = {"calibrated_on": len(pictures(calibration)), "judged_on": len(pictures(material.sample))}
    return {
        "row": asdict(row),
        **numbers,
        "precisions": precisions,
        "seconds": round(time.monotonic() - begun, 1),
    }


def _serve(row: Row, material: Material, repository: Path, precisions: dict[ExportPrecision, dict[str, Any]]) -> None:
    """Add what is to be seen from outside to those that were installed."""
    installed = [precision for precision, came in precisions.items() if "refused" not in came]
    images = pictures(material.sample)
    with EmbeddedServer(_options(repository)) as server:
        engines = server.engines()
        for precision in installed:
            model = detector_name(row, precision)
            precisions[precision]["engine"] = asdict(engines[network_name(model)])
            if material.annotations is not None:
                found = average_precision(server.grpc_url, model, images, material.annotations)
                precisions[precision]["ap_50_95"] = found
        models = {detector_name(row, precision): precision for precision in installed}
        for model, pace in paces(server.grpc_url, models, images).items():
            precisions[models[model]]["pace"] = asdict(pace)


def measure_group(*, data: Path, tell: Tell) -> dict[str, Any]:
    """What five detectors find as a group in all photos, compared with what each finds by itself.

    They are not judged here: the other rows, and the table of models, do that.

    Raises:
        SightlineError: one could not be exported or served.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sightline-row-") as name:
        repository = Path(name) / "repository"
        install_five(data, repository, group="five", tell=tell)
        images = pictures(data / "coco" / "images")
        with EmbeddedServer(_options(repository)) as server:
            engines = server.engines()
            found = agreements(server.grpc_url, "five", tuple(MEMBERS), images, score_threshold=_SCORE_THRESHOLD)
    return {
        "images": len(images),
        "score_threshold": _SCORE_THRESHOLD,
        "members": {
            member: {
                **asdict(MEMBERS[member]),
                "engine": asdict(engines[network_name(member)]),
                "agreement": asdict(agreement),
            }
            for member, agreement in found.items()
        },
        "seconds": round(time.monotonic() - begun, 1),
    }


def _options(repository: Path) -> ServerOptions:
    # In the precision that is asked for, where the processor has it: those for CPUs are not to be had on a GPU.
    return ServerOptions(repository=repository, grpc_port=0, http_port=0, metrics_port=0, use_gpus=False)
