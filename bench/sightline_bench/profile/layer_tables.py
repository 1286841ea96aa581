"""From what engines tell of their layers to a `LayerTable`, each layer with the operations of what it computes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sightline.errors import InvalidOptionError
from sightline_bench.profile.layers import Layer, LayerTable, flops_by_name, part_named
from sightline_bench.profile.recorders import RawLayer, Recording
from sightline_export.cost import NodeCost, operations, weights_position

_OPENVINO_CORE = "/WithoutBiases"
"""What OpenVINO adds to the name of a convolution when it takes its bias apart."""
_TENSORRT_FIELDS = ("name", "averageMs")


def openvino_table(recording: Recording, nodes: Sequence[NodeCost], *, source: str, precision: str) -> LayerTable:
    """OpenVINO says of which operators each of its layers was made."""
    flops = flops_by_name(nodes)
    known = {name for layer in recording["layers"] for name in layer["covers"]}

    def computed(layer: RawLayer) -> int:
        sums = 0
        for name in layer["covers"]:
            core = name.removesuffix(_OPENVINO_CORE)
            # Where a convolution stands beside its bias, the work is in the former.
            if name == core and core + _OPENVINO_CORE in known:
                continue
            sums += flops.get(core, 0)
        return sums

    return _table(recording, nodes, computed, source=source, precision=precision)


def onnxruntime_table(recording: Recording, nodes: Sequence[NodeCost], *, source: str, precision: str) -> LayerTable:
    """ONNX Runtime renames what it joins, but tells the shapes."""
    return _table(recording, nodes, _operations_of, source=source, precision=precision)


def _operations_of(layer: RawLayer) -> int:
    position = weights_position(layer["kind"])
    if position is None or position >= len(layer["reads"]):
        return 0
    return operations(layer["kind"], layer["reads"][0], layer["reads"][position], layer["gives"][0])


def _table(
    recording: Recording, nodes: Sequence[NodeCost], computed: Callable[[RawLayer], int], *, source: str, precision: str
) -> LayerTable:
    layers = tuple(
        Layer(
            name=layer["name"],
            kind=layer["kind"],
            implementation=layer["implementation"],
            part=next(filter(None, map(part_named, [layer["name"], *layer["covers"]])), ""),
            milliseconds=layer["milliseconds"],
            flops=computed(layer),
            bytes_moved=layer["bytes_moved"],
            precision=layer["precision"] or precision,
        )
        for layer in recording["layers"]
    )
    return LayerTable(
        source=source,
        precision=precision,
        layers=layers,
        wall_milliseconds=recording["wall_milliseconds"],
        network_flops=sum(node.flops for node in nodes),
    )


def read_trtexec_profile(file: Path, nodes: Sequence[NodeCost], *, precision: str) -> LayerTable:
    """What `trtexec --exportProfile` wrote: a count of runs, then an object for each layer.

    Layers that TensorRT joined have the operators' names in theirs, with signs such as ` + ` between.

    Args:
        file: JSON.
        nodes: of the detector's graph for one picture.
        precision: of the plan.

    Raises:
        InvalidOptionError: it is no such file.
    """
    entries = _trtexec_entries(file)
    runs = sum(entry["count"] for entry in entries if "count" in entry)
    flops = flops_by_name(nodes)
    layers = tuple(
        Layer(
            name=entry["name"],
            kind=_tensorrt_kind(entry["name"], nodes),
            part=next(filter(None, map(part_named, _words(entry["name"]))), ""),
            milliseconds=float(entry["averageMs"]),
            flops=sum(flops.get(name, 0) for name in _words(entry["name"])),
            precision=precision,
        )
        for entry in entries
        if all(field in entry for field in _TENSORRT_FIELDS)
    )
    if not layers:
        raise InvalidOptionError(f"{file} holds no layer; write it with trtexec --loadEngine=… --exportProfile={file}")
    return LayerTable(
        source=f"TensorRT, {runs or 'an unknown number of'} runs, from {file.name}",
        precision=precision,
        layers=layers,
        wall_milliseconds=None,
        network_flops=sum(node.flops for node in nodes),
        note="read from the file, not measured here: operations are those of a batch of one",
    )


def _trtexec_entries(file: Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidOptionError(f"cannot read {file} as a profile of trtexec: {error}") from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise InvalidOptionError(f"{file} is no profile of trtexec: it is not a JSON list of objects")
    return content


def _words(name: str) -> list[str]:
    """Names of operators in the name of a layer of TensorRT."""
    return [word for word in re.split(r"\s*\+\s*|[(),{}]|\s+", name) if word]


def _tensorrt_kind(name: str, nodes: Sequence[NodeCost]) -> str:
    kinds = {node.name: node.kind for node in nodes} | {node.output: node.kind for node in nodes}
    return next((kinds[word] for word in _words(name) if word in kinds), "other")
