"""Ultralytics checkpoints and architectures."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import CheckpointError, InvalidOptionError
from sightline.preprocessing import Preprocessing, PreprocessingKind
from sightline_export.heads import ANCHORS_LAST, END_TO_END, RANKED_QUERIES, Head
from sightline_export.options import ExportOptions
from sightline_export.raw import RawNetwork

from .chosen import NoRectanglesError, chosen_class_names, chosen_image_size, chosen_preprocessing
from .quiet import import_ultralytics
from .random_weights import enliven
from .ultralytics_guard import check_restricts, check_unaltered, restricted
from .ultralytics_reference import UltralyticsReference
from .ultralytics_trace import trace
from .versions import explained, explaining, first_line

_UNREADABLE = (
    *(TypeError, RuntimeError, EOFError, ImportError, AttributeError, KeyError, ValueError, OSError),
    pickle.UnpicklingError,
)
"""What damaged and foreign files were seen to raise."""
_QUERIES = "RTDETRDecoder"
_DETECTORS = ("Detect", "v10Detect", _QUERIES)
_OTHER_TASKS = {
    "Segment": "segmentation",
    "Pose": "pose estimation",
    "OBB": "oriented boxes",
    "Classify": "classification",
    "SemanticSegment": "semantic segmentation",
    "Depth": "depth estimation",
    "WorldDetect": "detection by text",
    "YOLOE": "detection by text",
}


def load_checkpoint(path: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a `.pt` file: v3u, v5u, v6, v8, v9, v10, 11, 12, 26 or RT-DETR, trained for detection.

    Only classes of torch and Ultralytics are unpickled: a checkpoint is untrusted input.

    Raises:
        CheckpointError: damaged, altered, or no detector.
        UnsupportedVersionError: the installed Ultralytics is not a tested one, and failed; or torch is too old to keep
            the file from running code.
        InvalidOptionError: `nms="none"` for a network without an NMS-free head, or a wrong number of classes.
    """
    tasks = import_ultralytics().nn.tasks
    check_restricts(tasks)
    try:
        content, _ = tasks.torch_safe_load(str(path.resolve()), safe_only=True)
        model = content.get("ema") or content.get("model")
        check_unaltered(model, path)
        trained = content.get("train_args") or {}
    except _UNREADABLE as error:
        unreadable = CheckpointError(
            f"{path} cannot be read as a checkpoint of Ultralytics ({first_line(error)}); it may be damaged, or hold "
            "layers of a changed Ultralytics. Copy it again, or export it to ONNX where it was trained"
        )
        raise explained(unreadable) from error
    size = trained.get("imgsz") if isinstance(trained, Mapping) else None
    with explaining(f"export {path}"):
        return _raw_network(_detector(model, path), path, options, trained_size=size)


def build_architecture(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a `.yaml` of Ultralytics, with random weights from `options.seed`.

    `source` is a file, or the name of one that Ultralytics ships, such as `yolo11n.yaml`.

    Raises:
        CheckpointError: no such architecture, or no detector.
        UnsupportedVersionError: the installed Ultralytics is not a tested one, and failed; or torch is too old to keep
            the file from running code.
    """
    import torch

    tasks = import_ultralytics().nn.tasks
    check_restricts(tasks)
    try:
        architecture = tasks.yaml_model_load(source)
        queries = architecture["head"][-1][2] == _QUERIES
        if not queries and (task := tasks.guess_model_task(architecture)) != "detect":
            raise CheckpointError(f"{source} describes a {task} model; only detectors can be exported")
        with torch.random.fork_rng(devices=[]), restricted(tasks):
            torch.manual_seed(options.seed)
            model = (tasks.RTDETRDetectionModel if queries else tasks.DetectionModel)(architecture, verbose=False)
            if type(model.model[-1]).__name__ in _DETECTORS:
                enliven(model)
    except (FileNotFoundError, LookupError, TypeError, ValueError, AttributeError) as error:
        unknown = CheckpointError(f"{source} is no architecture that Ultralytics can build: {first_line(error)}")
        raise explained(unknown) from error
    with explaining(f"export {source}"):
        return _raw_network(_detector(model, source), source, options, trained_size=None)


def _detector(model: Any, path: Path) -> Any:
    """`model` itself if it is a detector that needs nothing but pictures."""
    import torch

    if not isinstance(model, torch.nn.Module):
        raise CheckpointError(
            f"{path} holds {type(model).__name__} where a model is expected; it may be a plain state_dict. "
            "Give the .pt that Ultralytics' training saved, or export to ONNX where it was trained"
        )
    layers = getattr(model, "model", None)
    kind = type(layers[-1]).__name__ if isinstance(layers, torch.nn.Sequential) else type(model).__name__
    if kind not in _DETECTORS:
        what = next((task for name, task in _OTHER_TASKS.items() if kind.startswith(name)), kind)
        raise CheckpointError(
            f"{path} is a model for {what}; only detectors whose last layer is {' or '.join(_DETECTORS)} can be "
            "exported (v3u, v5u, v6, v8, v9, v10, 11, 12, 26, RT-DETR)"
        )
    return model.float().eval()


def _raw_network(model: Any, path: Path, options: ExportOptions, *, trained_size: Any) -> RawNetwork:
    import torch

    stride = int(max(model.stride))
    image_size = chosen_image_size(options, trained_size, stride=stride)
    names = chosen_class_names(options, getattr(model, "names", None), count=int(model.model[-1].nc))
    head, kind = _choose_head(model, path, options)
    preprocessing = chosen_preprocessing(options, kind, image_size=image_size, stride=stride, head=head)
    if options.rect and not head.needs_nms:
        _check_places(model, preprocessing, options)
    reference = UltralyticsReference(model, image_size=image_size, options=options)
    return RawNetwork(
        model=trace(model, image_size=image_size, max_detections=options.max_detections, any_size=bool(options.rect)),
        head=head,
        preprocessing=preprocessing,
        class_names=names,
        stride=stride,
        source=path,
        reference=reference,
        versions={"torch": torch.__version__, "ultralytics": import_ultralytics().__version__},
    )


def _check_places(model: Any, preprocessing: Preprocessing, options: ExportOptions) -> None:
    """Refuse a head that ranks more detections than the thinnest rectangle, one stride high, has places."""
    width, height = preprocessing.sides
    places = sum((height // int(stride)) * (width // int(stride)) for stride in model.stride)
    if places < options.max_detections:
        raise NoRectanglesError(
            f"its head is NMS-free, and the thinnest rectangle, {height} x {width}, has {places} places for "
            f"{options.max_detections} detections",
            f"ask for --max-det {places} or less, or for a larger --imgsz",
        )


def _choose_head(model: Any, path: Path, options: ExportOptions) -> tuple[Head, PreprocessingKind]:
    """Layout of the output and preprocessing; sets the branch of a two-branch head.

    The one-to-many branch with NMS is what Ultralytics' own `predict` uses by default, so it is the default here.
    RT-DETR has no other than an NMS-free head, and its predictor does not keep the aspect.
    """
    head = model.model[-1]
    if type(head).__name__ == _QUERIES:
        return RANKED_QUERIES, "stretch"
    if options.nms == "none" and getattr(head, "one2one_cv2", None) is None:
        raise InvalidOptionError(f"{path.name} has no NMS-free head; leave out --nms none")
    head.end2end = options.nms == "none"
    return (END_TO_END if head.end2end else ANCHORS_LAST), "letterbox"
