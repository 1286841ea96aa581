"""Makes the file that trtexec reads."""

from __future__ import annotations

from pathlib import Path

import onnx

from sightline.contract import PlanPrecision
from sightline.errors import ExportError
from sightline.parity import ParityReport
from sightline_export.sample import open_sample

from .agreement import check_agreement
from .network import plan_graph, read_served
from .sources import Source
from .takes import check_takes


def write_graph(source: Source, precision: PlanPrecision, file: Path) -> ParityReport:
    """Write a detector's graph for TensorRT, after it was compared with the served one.

    Raises:
        ExportError: it cannot become a plan, TensorRT cannot take it, or it finds something else.
        OSError: the file cannot be written.
    """
    served = read_served(source.onnx)
    planned = plan_graph(served, source.info, precision)
    check_takes(planned)
    report = check_agreement(served, planned, source.info, open_sample(None), precision)
    try:
        onnx.save(planned, file)
    except ValueError as error:
        raise ExportError(f"the graph is larger than an ONNX file can be: {error}") from error
    return report
