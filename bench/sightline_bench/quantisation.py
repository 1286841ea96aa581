"""Compares tools that quantise a network to 8 bits, by accuracy and by speed in both engines for CPUs.

    python -m sightline_bench.quantisation yolov8n.pt --calibration train/ --images val/ --annotations instances.json

Each tool calibrates on the same pictures, leaves the same layers in FP32 (the last learnt ones and the decoding), and
is judged on other pictures by the same plain numpy behind the raw network, so that only the network differs. Timings
take turns, so that a busy machine disturbs all alike. `--also NAME=FILE` judges an ONNX file of the same network that
was quantised elsewhere. bench/results/quantisation.md holds a table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from sightline.detections import Detections
from sightline.detector_info import DetectorInfo
from sightline.evaluation import Selection, match_categories, measure, read_annotations, select
from sightline.parity import PRECISION_DEMANDS, compare
from sightline_export.options import ExportOptions
from sightline_export.pictures import Picture
from sightline_export.quantise import Calibration, open_calibration, quantise
from sightline_export.quantise.network import kept_float, name_nodes
from sightline_export.raw import RawNetwork
from sightline_export.reference import detect
from sightline_export.sample import decode_rgb, open_sample
from sightline_export.sources import load
from sightline_export.verify import network_input
from sightline_server.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine

_LOWEST_SCORE = 0.001
_THRESHOLD = 0.25
Pictures = Mapping[str, Picture]


@dataclass(frozen=True)
class Row:
    """One file in one engine: mean average precision 0 to 1, share of FP32's detections matched, milliseconds."""

    tool: str
    engine: str
    average_precision: float
    matched: float
    milliseconds: float


def with_onnx_runtime(raw: RawNetwork, calibration: Calibration, folder: Path) -> onnx.ModelProto:
    """What `onnxruntime.quantization.quantize_static` makes, as its documentation advises for CPUs without VNNI."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source, prepared, target = (folder / f"{name}.onnx" for name in ("source", "prepared", "quantised"))
    model = onnx.ModelProto()
    model.CopyFrom(raw.model)
    name_nodes(model.graph)
    onnx.save(model, source)
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    there = {node.name for node in onnx.load(prepared).graph.node}
    inputs = calibration.inputs(raw.preprocessing, raw.pixels)
    name = model.graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            picture = next(inputs, None)
            return None if picture is None else {name: picture}

    quantize_static(
        str(prepared),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[each for each in kept_float(model.graph) if each in there],
    )
    return onnx.load(target)


def with_openvino(raw: RawNetwork, calibration: Calibration, folder: Path) -> Path:
    """What NNCF makes of the network in OpenVINO's own format, which no other engine reads."""
    import nncf
    import openvino

    model = onnx.ModelProto()
    model.CopyFrom(raw.model)
    name_nodes(model.graph)
    onnx.save(model, folder / "for_openvino.onnx")
    converted = openvino.convert_model(folder / "for_openvino.onnx")
    inputs = list(calibration.inputs(raw.preprocessing, raw.pixels))
    scope = nncf.IgnoredScope(names=kept_float(model.graph), validate=False)
    quantised = nncf.quantize(
        converted,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
        ignored_scope=scope,
    )
    openvino.save_model(quantised, folder / "openvino.xml", compress_to_fp16=False)
    return folder / "openvino.xml"


def measure_rows(
    raw: RawNetwork, engines: Mapping[tuple[str, str], Engine], pictures: Pictures, selection: Selection
) -> list[Row]:
    """A row for each engine; the first is the one that the others are compared with."""
    info = DetectorInfo(class_names=raw.class_names, preprocessing=raw.preprocessing, head=raw.head.name)
    match = match_categories(raw.class_names, selection.truth.categories)
    found = {key: _find(raw, info, engine, pictures) for key, engine in engines.items()}
    seconds = _time({key: _once(raw, engine, pictures) for key, engine in engines.items()})
    first = next(iter(engines))
    demand = PRECISION_DEMANDS["int8"]
    rows = []
    for tool, engine_name in engines:
        key = (tool, engine_name)
        by_image = {selection.image_of_path[name]: each for name, each in found[key].items()}
        metrics = measure(selection.truth, by_image, match)
        expected, came = ({n: _above(d) for n, d in found[k].items()} for k in (first, key))
        tally = compare(expected, came, partner_margin=demand.score_difference).tally(demand)
        share = tally.matched / max(1, tally.matched + tally.missing)
        rows.append(Row(tool, engine_name, metrics.ap_50_95 or 0.0, share, 1e3 * seconds[key]))
    return rows


def _find(raw: RawNetwork, info: DetectorInfo, engine: Engine, pictures: Pictures) -> dict[str, Detections]:
    found = {}
    for name, picture in pictures.items():
        output = np.array(engine.run({engine.inputs[0]: network_input(raw, picture)})[engine.outputs[0]][0], np.float32)
        size_hw = (picture.shape[0], picture.shape[1])
        came = detect(output, info=info, image_size_hw=size_hw, score_threshold=_LOWEST_SCORE)
        classes = came.class_ids.astype(np.int32)
        found[name] = Detections(came.boxes_xyxy, came.scores, classes, info.class_names, size_hw)
    return found


def _above(found: Detections) -> Detections:
    keep = found.scores >= _THRESHOLD
    return replace(found, boxes_xyxy=found.boxes_xyxy[keep], scores=found.scores[keep], class_ids=found.class_ids[keep])


def _once(raw: RawNetwork, engine: Engine, pictures: Pictures) -> Callable[[], object]:
    values = {engine.inputs[0]: network_input(raw, next(iter(pictures.values())))}
    return lambda: engine.run(values)


def _time(runs: Mapping[Any, Callable[[], object]], rounds: int = 15) -> dict[Any, float]:
    """Median seconds of each, taking turns."""
    taken: dict[Any, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            started = time.perf_counter()
            run()
            taken[key].append(time.perf_counter() - started)
    return {key: statistics.median(values) for key, values in taken.items()}


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| made by | engine | mAP50-95 | of FP32's detections matched | ms | of FP32's time |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row.milliseconds / rows[0].milliseconds
        figures = f"{100 * row.average_precision:.2f} | {row.matched:.1%} | {row.milliseconds:.0f} | {ratio:.2f}"
        lines.append(f"| {row.tool} | {row.engine} | {figures} |")
    return "\n".join(lines)


def parse_also(text: str) -> tuple[str, Path]:
    """`NAME=FILE` as both of them.

    Raises:
        argparse.ArgumentTypeError: a part is missing, or there is no such file.
    """
    name, _, file = text.rpartition("=")
    if not name or not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE with a file that is there")
    return name, Path(file)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    for name in ("calibration", "images", "annotations"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--also", type=parse_also, action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    raw = load(given.source, ExportOptions(rect=False))
    calibration = open_calibration(given.calibration, tell=print)
    sample = open_sample(given.images)
    pictures = {name: decode_rgb(sample[name]) for name in sample}
    selection = select(list(pictures), read_annotations(given.annotations))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            "FP32": raw.model,
            "NNCF on ONNX, UINT8 (ours)": quantise(raw, calibration),
            "ONNX Runtime, MinMax": with_onnx_runtime(raw, calibration, folder),
        }
        engines: dict[tuple[str, str], Engine] = {}
        written = {tool: folder / f"{index}.onnx" for index, tool in enumerate(files)}
        for tool, model in files.items():
            onnx.save(model, written[tool])
        for tool, file in (written | dict(given.also)).items():
            engines[tool, "OpenVINO"] = OpenVinoEngine(file, precision="fp32", threads=given.threads)
            engines[tool, "ONNX Runtime"] = OnnxRuntimeEngine(file, threads=given.threads)
        own = with_openvino(raw, calibration, folder)
        engines["NNCF on OpenVINO's format", "OpenVINO"] = OpenVinoEngine(own, precision="fp32", threads=given.threads)
        print(table(measure_rows(raw, engines, pictures, selection)))


if __name__ == "__main__":
    main()
