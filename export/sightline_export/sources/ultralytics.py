"""Ultralytics checkpoints and architectures."""

from __future__ import annotations

import pickle
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from sightline.contract import DEFAULT_IMAGE_SIZE, check_image_size
from sightline.errors import CheckpointError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.graph.settings import IR_VERSION, OPSET
from sightline_export.heads import ANCHORS_LAST, END_TO_END
from sightline_export.options import ExportOptions, check_class_names
from sightline_export.raw import RawNetwork

from .asset import existing_checkpoint
from .pickled import explain_refusal
from .quiet import import_ultralytics
from .random_weights import enliven
from .ultralytics_reference import UltralyticsReference

_UNREADABLE = (
    *(TypeError, RuntimeError, EOFError, ImportError, AttributeError, KeyError, ValueError, OSError),
    pickle.UnpicklingError,
)
"""What damaged and foreign files were seen to raise."""
_DETECTORS = ("Detect", "v10Detect")
_OTHER_TASKS = {
    "Segment": "segmentation",
    "Pose": "pose estimation",
    "OBB": "oriented boxes",
    "Classify": "classification",
    "SemanticSegment": "semantic segmentation",
    "Depth": "depth estimation",
}


def load_checkpoint(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a `.pt` file: v3u, v5u, v8, v9, v10, 11, 12 or 26, trained for detection.

    Only classes of torch and Ultralytics are unpickled: a checkpoint is untrusted input.

    Raises:
        CheckpointError: not there, damaged, or no detector.
        InvalidOptionError: `nms="none"` for a network without an NMS-free head, or a wrong number of classes.
    """
    path = existing_checkpoint(source)
    ultralytics = import_ultralytics()
    try:
        content, _ = ultralytics.nn.tasks.torch_safe_load(str(path.resolve()), safe_only=True)
    except _UNREADABLE as error:
        raise explain_refusal(path, error) from error
    model = content.get("ema") or content.get("model")
    trained = content.get("train_args") or {}
    return _raw_network(_detector(model, path), path, options, trained_size=trained.get("imgsz"))


def build_architecture(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a `.yaml` of Ultralytics, with random weights from `options.seed`.

    `source` is a file, or the name of one that Ultralytics ships, such as `yolo11n.yaml`.

    Raises:
        CheckpointError: no such architecture, or no detector.
    """
    import torch

    tasks = import_ultralytics().nn.tasks
    try:
        architecture = tasks.yaml_model_load(source)
        if (task := tasks.guess_model_task(architecture)) != "detect":
            raise CheckpointError(f"{source} describes a {task} model; only detectors can be exported")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            model = tasks.DetectionModel(architecture, verbose=False)
            if type(model.model[-1]).__name__ in _DETECTORS:
                enliven(model)
    except (FileNotFoundError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{source} is no architecture that Ultralytics can build: {error}") from error
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
            "exported (v3u, v5u, v8, v9, v10, 11, 12, 26)"
        )
    return model.float().eval()


def _raw_network(model: Any, path: Path, options: ExportOptions, *, trained_size: Any) -> RawNetwork:
    import torch

    image_size = options.image_size or _usual_size(trained_size)
    names = _class_names(model, options)
    stride = int(max(model.stride))
    if image_size % stride:
        raise InvalidOptionError(
            f"image size {image_size} is no multiple of this network's stride {stride}; "
            f"try {image_size // stride * stride}"
        )
    end_to_end = _choose_branch(model, path, options)
    reference = UltralyticsReference(model, image_size=image_size, options=options)
    return RawNetwork(
        model=_trace(model, image_size=image_size, max_detections=options.max_detections),
        head=END_TO_END if end_to_end else ANCHORS_LAST,
        preprocessing=Preprocessing.letterbox(image_size),
        class_names=names,
        stride=stride,
        source=path,
        reference=reference,
        versions={"torch": torch.__version__, "ultralytics": import_ultralytics().__version__},
    )


def _usual_size(trained_size: Any) -> int:
    """The size that the model was trained for, if a letterbox of it can be made."""
    try:
        return check_image_size(trained_size)
    except (InvalidOptionError, TypeError):
        return DEFAULT_IMAGE_SIZE


def _class_names(model: Any, options: ExportOptions) -> tuple[str, ...]:
    count = int(model.model[-1].nc)
    own = getattr(model, "names", None) or {}
    names = options.classes or tuple(str(own.get(i, f"class_{i}")) for i in range(count))
    if len(names) != count:
        raise InvalidOptionError(f"{len(names)} class names were given; this model has {count} classes")
    return check_class_names(names)


def _choose_branch(model: Any, path: Path, options: ExportOptions) -> bool:
    """Set the branch of a two-branch head, and tell whether it is the NMS-free one.

    The one-to-many branch with NMS is what Ultralytics' own `predict` uses by default, so it is the default here.
    """
    head = model.model[-1]
    if options.nms == "none" and getattr(head, "one2one_cv2", None) is None:
        raise InvalidOptionError(f"{path.name} has no NMS-free head; leave out --nms none")
    head.end2end = options.nms == "none"
    return bool(head.end2end)


def _trace(model: Any, *, image_size: int, max_detections: int) -> onnx.ModelProto:
    """The network as ONNX, with a free batch axis."""
    import torch

    model = model.fuse()
    _prepare(model, image_size=image_size, max_detections=max_detections)
    # Two pictures, so that a batch of one is nowhere taken for a constant.
    pictures = torch.zeros(2, 3, image_size, image_size)
    with torch.no_grad(), _without_warnings(), tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        file = Path(folder) / "raw.onnx"
        model(pictures)  # lets the head compute its anchors once, which then are constants
        torch.onnx.export(
            model,
            (pictures,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        )
        traced = onnx.load(file)
    traced.ir_version = IR_VERSION
    return traced


def _prepare(model: Any, *, image_size: int, max_detections: int) -> None:
    """What Ultralytics' own exporter sets before it traces."""
    with_split = import_ultralytics().nn.modules.C2f
    head = model.model[-1]
    head.export, head.format, head.dynamic, head.xyxy, head.shape = True, "onnx", False, False, None
    anchors = sum((image_size // int(stride)) ** 2 for stride in model.stride)
    head.max_det = min(max_detections, anchors)
    for layer in model.modules():
        if isinstance(layer, with_split):
            layer.forward = layer.forward_split
        elif hasattr(layer, "inplace"):
            layer.inplace = True
        if not hasattr(layer, "recompute_scale_factor") and type(layer).__name__ == "Upsample":
            layer.recompute_scale_factor = None  # absent from checkpoints that torch 1.10 and older saved
    for parameter in model.parameters():
        parameter.requires_grad = False


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Tracing warns of every Python number in the network, and of the tracer's age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
