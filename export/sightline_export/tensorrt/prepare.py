"""Makes the file that trtexec reads."""

from __future__ import annotations

from pathlib import Path

import onnx

from sightline.errors import ExportError
from sightline.parity import MINIMUM_REFERENCE
from sightline_export.agreement import agreement_bar, check_agreement
from sightline_export.sample import open_sample

from .network import plan_graph, read_served, squared
from .options import BuildOptions
from .plan_config import squared_info
from .sources import Source
from .takes import check_takes


def write_graph(source: Source, options: BuildOptions, file: Path) -> str:
    """Write a detector's graph for TensorRT, after it was compared with the served one; gives the result in words.

    Raises:
        NotPlannableError: it cannot become a plan.
        ExportError: nothing in it can be FP16, it finds something else, or there is no such sample.
        OSError: the file cannot be written.
    """
    served = read_served(source.onnx)
    planned = plan_graph(served, source.info, options.precision)
    check_takes(planned)
    bar = agreement_bar(options.precision, options.min_match)
    alike, info = squared(served, source.info), squared_info(source.info)
    report = check_agreement(alike, planned, info, open_sample(options.sample), bar)
    try:
        onnx.save(planned, file)
    except ValueError as error:
        raise ExportError(f"the graph is larger than an ONNX file can be: {error}") from error
    if report.reference >= MINIMUM_REFERENCE:
        return report.summary()
    return (
        f"{report.summary()}; these are few: to know more, give --sample FOLDER with pictures that it was trained for"
    )
