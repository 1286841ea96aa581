"""yolov8n on the given pictures: Sightline beside its own parts without a server, and beside what people run today."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sightline.contract import ExportPrecision
from sightline_bench.contestants import catalogue
from sightline_bench.contestants.program import Recipe
from sightline_bench.contestants.race import Race
from sightline_bench.material.exports import Exported, UltralyticsFormat, export_by_ultralytics, export_detector
from sightline_bench.material.photos import Photos
from sightline_bench.material.weights import Weights
from sightline_bench.measure.results import Figure
from sightline_bench.ratios.loops import best_threads, script_figure, tuned
from sightline_bench.ratios.registry import Findings, Group, Key, Material, Setting, ratio_figure
from sightline_bench.ratios.tuning import Tuner

_NAME = "yolov8n"
_SERVED, _SERVED_INT8, _SERVED_FP32, _SERVED_SQUARE = "served", "served int8", "served fp32", "served square"
_LOOP, _OPENVINO, _ONNX, _LOADER = "Ultralytics", "Ultralytics OpenVINO", "Ultralytics ONNX", "DataLoader"
_TUNED_LOOP = tuned(_LOOP)
_IN_PROCESS, _ENGINE, _DECODER = "in process", "engine", "decoder"

KEYS = (
    Key(name="served_over_in_process", title="served ÷ in-process loop of the same parts", target=0.97),
    Key(name="served_over_engine", title="served ÷ bare engine on ready pictures", target=0.90),
    Key(name="served_over_ultralytics", title="served ÷ Ultralytics' predict loop on torch", target=3.8),
    Key(name="served_over_ultralytics_int8", title="served in int8 ÷ Ultralytics' predict loop on torch", target=4.5),
    Key(name="served_over_ultralytics_fp32", title="served in fp32 ÷ Ultralytics' predict loop on torch", target=2.1),
    Key(name="served_over_ultralytics_openvino", title="served ÷ Ultralytics on its OpenVINO export", target=1.5),
)
_SIDES = {
    "served_over_in_process": (_SERVED, _IN_PROCESS),
    "served_over_engine": (_SERVED_SQUARE, _ENGINE),
    "served_over_ultralytics": (_SERVED, _LOOP),
    "served_over_ultralytics_int8": (_SERVED_INT8, _LOOP),
    "served_over_ultralytics_fp32": (_SERVED_FP32, _LOOP),
    "served_over_ultralytics_openvino": (_SERVED, _OPENVINO),
}
_FOR_THE_REPORT = (_DECODER, _ONNX, _LOADER)
"""Contestants that are in no ratio; they run when the whole group does, and of them only the first in a quick run."""
_SQUARES = (_ENGINE, _SERVED_SQUARE, _OPENVINO, _ONNX, _LOADER)
_BATCHES = (16, 1, 2, 4, 8, 32, 64)


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """One race of everybody who is in a wanted ratio; of all, when all are wanted."""
    weights = setting.find_weights(_NAME)
    names = {side for key in wanted for side in _sides(key, setting)}
    if _LOOP in names and not setting.quick:
        names.add(_TUNED_LOOP)
    if len(wanted) == len(KEYS):
        names.update(_FOR_THE_REPORT[: 1 if setting.quick else None])
    tuner = Tuner(setting, GROUP.name)
    recipes = [make() for name, make in _contestants(setting, weights, tuner).items() if name in names]
    shapes = f"rectangles in 640 x 640, but for {', '.join(_SQUARES)}, which pad to the square"
    race = setting.race(GROUP.name, "yolov8n, everybody in turn", f"{setting.images_title}, {shapes}", recipes)
    figures = {
        key.name: _figure(key, race, *_sides(key.name, setting), _note(key.name, setting, weights))
        for key in KEYS
        if key.name in wanted
    }
    return Findings(figures=figures, races=[race], sweeps=tuner.sweeps)


def _sides(key: str, setting: Setting) -> tuple[str, str]:
    """The contestants of a ratio; fp32 is what is served by default where there is no bf16."""
    above, below = _SIDES[key]
    return (_SERVED if above == _SERVED_FP32 and setting.fast_precision == "fp32" else above), below


def _figure(key: Key, race: Race, above: str, below: str, note: str) -> Figure:
    make = script_figure if below == _LOOP else ratio_figure
    return make(key, race, above, below, note)


def _note(key: str, setting: Setting, weights: Weights) -> str:
    asks_for_bf16 = key in ("served_over_engine", "served_over_ultralytics", "served_over_ultralytics_openvino")
    return "; ".join(filter(None, [weights.note, setting.precision_note if asks_for_bf16 else ""]))


def _contestants(setting: Setting, weights: Weights, tuner: Tuner) -> dict[str, Callable[[], Recipe]]:
    """What makes each of them, in an order that has the sides of a ratio close together."""
    fast = setting.fast_precision

    def parts(make: Callable[[Photos, Exported], Recipe], *, square: bool = False) -> Recipe:
        splits = [{"workers": workers, "batch": batch} for workers in setting.worker_splits for batch in (1, 8)]
        return tuner.best(make(_many(setting), _export(setting, fast, square=square)), splits, least_images=32)

    def served(name: str, precision: ExportPrecision, *, square: bool = False) -> Recipe:
        return catalogue.served(_many(setting), _export(setting, precision, square=square), name=name)

    return {
        _ENGINE: lambda: parts(catalogue.engine, square=True),
        _SERVED_SQUARE: lambda: served(_SERVED_SQUARE, fast, square=True),
        _IN_PROCESS: lambda: parts(catalogue.in_process),
        _SERVED: lambda: served(_SERVED, fast),
        _OPENVINO: lambda: _own_export(setting, "openvino", _OPENVINO),
        _LOOP: lambda: catalogue.loop(_few(setting), weights, name=_LOOP),
        _TUNED_LOOP: lambda: best_threads(setting, tuner, catalogue.loop(_few(setting), weights, name=_TUNED_LOOP)),
        _SERVED_INT8: lambda: served(_SERVED_INT8, "int8"),
        _SERVED_FP32: lambda: served(_SERVED_FP32, "fp32"),
        _ONNX: lambda: _own_export(setting, "onnx", _ONNX),
        _LOADER: lambda: _with_batches(setting, tuner, catalogue.data_loader(_many(setting), weights)),
        _DECODER: lambda: best_threads(setting, tuner, catalogue.decoder(_many(setting))),
    }


def _many(setting: Setting) -> Photos:
    return setting.photos(quick=32, full=100)


def _few(setting: Setting) -> Photos:
    """For those that take long."""
    return setting.photos(quick=8, full=50)


def _export(setting: Setting, precision: ExportPrecision, *, square: bool = False) -> Exported:
    weights = setting.find_weights(_NAME)
    return export_detector(setting.workshop, weights, precision, images=setting.images, square=square)


def _export_by_ultralytics(setting: Setting, kind: UltralyticsFormat) -> Weights:
    return export_by_ultralytics(setting.workshop, setting.find_weights(_NAME), kind)


def _own_export(setting: Setting, kind: UltralyticsFormat, name: str) -> Recipe:
    exported = _export_by_ultralytics(setting, kind)
    return catalogue.loop(_few(setting), exported, name=name, title=f"Ultralytics' predict on its own {kind} export")


def _with_batches(setting: Setting, tuner: Tuner, recipe: Recipe) -> Recipe:
    candidates = [{"batch": batch, "threads": setting.cores} for batch in _BATCHES]
    return tuner.best(recipe, candidates)


def materials(setting: Setting) -> list[Material]:
    """The exports; those for the report only in a full run."""
    fast = setting.fast_precision
    precisions: list[ExportPrecision] = ["int8", *dict.fromkeys([fast, "fp32"])]
    kinds: list[UltralyticsFormat] = ["openvino"] if setting.quick else ["openvino", "onnx"]
    return [
        partial(_export, setting, fast, square=True),
        *(partial(_export_by_ultralytics, setting, kind) for kind in kinds),
        *(partial(_export, setting, precision) for precision in precisions),
    ]


GROUP = Group(name="yolov8n", keys=KEYS, measure=measure, materials=materials)
