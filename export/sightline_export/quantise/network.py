"""Quantises a raw network with NNCF, but for its decoding and the last learnt layers."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import onnx

from sightline.errors import ExportError, MissingDependencyError
from sightline_export.arithmetic import is_quantised
from sightline_export.graph.learnt import decoding, last_learnt
from sightline_export.raw import RawNetwork

from .calibration import Calibration
from .unsigned import with_unsigned_activations

_SILENT = "NNCF_CI"
"""A variable that NNCF reads when it is imported: with it, nothing is sent to anybody."""


def check_installed() -> None:
    """Accept a machine that can quantise.

    Raises:
        MissingDependencyError: the quantise extra is not installed.
    """
    _import_nncf()


def quantise(raw: RawNetwork, calibration: Calibration) -> onnx.ModelProto:
    """The network with its weights and what goes between its layers as 8-bit numbers, behind Q and DQ nodes.

    Weights have a scale for each channel and use 7 of their 8 bits, so that the sums of processors without VNNI do not
    overflow. What the last learnt layers give, and all that is computed of it, stays FP32: boxes and scores.

    Args:
        raw: in FP32.
        calibration: pictures that tell the ranges.

    Raises:
        MissingDependencyError: the quantise extra is not installed.
        ExportError: the network has 8-bit numbers already, or NNCF cannot quantise it.
    """
    if is_quantised(raw.model):
        raise ExportError(f"{raw.source.name} is quantised already: export it as it is, with --precision fp32")
    nncf = _import_nncf()
    model = onnx.ModelProto()
    model.CopyFrom(raw.model)
    name_nodes(model.graph)
    name = model.graph.input[0].name
    files = list(calibration.files)
    kept = kept_float(model.graph)

    def inputs(file: str) -> dict[str, npt.NDArray[Any]]:
        return {name: calibration.input(file, raw.preprocessing, raw.pixels)}

    with _quietly():
        try:
            quantised: onnx.ModelProto = nncf.quantize(
                model,
                nncf.Dataset(files, inputs),  # one after the other: all at once take gigabytes
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(files),
                ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
            )
        except Exception as error:  # NNCF raises a dozen kinds of its own, sharing only `Exception`
            raise ExportError(f"NNCF cannot quantise {raw.source.name}: {error}; export it in fp32 or bf16") from error
    if not is_quantised(quantised):
        raise ExportError(f"{raw.source.name} has no layer that could be quantised: export it in fp32 or bf16")
    return with_unsigned_activations(quantised)


def kept_float(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that stay FP32: the last learnt layers, and what decodes their results."""
    decoded = decoding(graph, graph.output[0].name)
    kept = decoded | last_learnt(graph, graph.output[0].name)
    return [node.name for node in graph.node if node.output[0] in kept and node.op_type != "Constant"]


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own, by which it can be left out."""
    seen: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in seen:
            node.name = f"node_{index}"
        seen.add(node.name)


def _import_nncf() -> Any:
    before = os.environ.get(_SILENT)
    os.environ[_SILENT] = before or "1"
    try:
        with _quietly():
            import nncf
    except ImportError as error:
        raise MissingDependencyError(
            f"--precision int8 needs the quantise extra ({error}): `make install` in a checkout"
        ) from error
    finally:
        if before is None:
            os.environ.pop(_SILENT, None)
    return nncf


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without NNCF's progress bars and messages about each node."""
    logger = logging.getLogger("nncf")
    level = logger.level
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            logger.setLevel(logging.ERROR)
            yield
        finally:
            logger.setLevel(level)
