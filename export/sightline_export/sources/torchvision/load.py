"""Raw networks of torchvision's detectors."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from sightline.errors import CheckpointError, InvalidOptionError, MissingDependencyError
from sightline.preprocessing import Preprocessing
from sightline_export.families import FAMILIES
from sightline_export.heads import END_TO_END
from sightline_export.options import ExportOptions, check_class_names
from sightline_export.raw import RawNetwork
from sightline_export.sources.chosen import check_takes_rect
from sightline_export.sources.trace import trace_along

from .architectures import VARIANTS, Architecture, Variant, is_frozen
from .state import fill, looks_like, read_state_dict, recognise

if TYPE_CHECKING:
    from torch import nn

STATE_DICT_SUFFIXES = (".pth", ".pt")
_COCO_LABELS = 91
_TRACED_SIZE = 128
"""Side in pixels of the pictures that only show the way; every size works afterwards."""


def load_state_dict(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a state_dict: of `options.family`, or of the only family that it can be of.

    Raises:
        CheckpointError: not there, damaged, no state_dict, or of another network than the family.
        InvalidOptionError: an unknown family, too few or too many class names, or a size that is not possible.
        MissingDependencyError: torchvision is not installed.
    """
    _import_torchvision()
    state = read_state_dict(source)
    family = options.family or recognise(state, source)
    variant = _variant(family)
    architecture = variant.architecture
    if architecture.class_tensor not in state:
        raise CheckpointError(f"{source} is no {family}; it is {looks_like(state)}. Choose with --family")
    label_count = architecture.label_count(state)
    model = _build(architecture, label_count, state)
    fill(model, state, family=family, path=source)
    if is_frozen(state):
        _set_epsilon(model, variant)
    return _raw_network(model, family, source, options, label_count=label_count)


def build_random(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of `FAMILY.random`, such as `fasterrcnn_resnet50_fpn.random`: random weights that detect.

    It has as many classes as names are given, else those of COCO; `options.seed` chooses among the weights.

    Raises:
        InvalidOptionError: no such family, or a size that is not possible.
        MissingDependencyError: torchvision is not installed.
    """
    _import_torchvision()
    import torch

    from .random_weights import enliven

    family = source.stem
    variant = _variant(family)
    label_count = len(options.classes) + 1 if options.classes else _COCO_LABELS
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = _build(variant.architecture, label_count, {})
        _set_size(model, Preprocessing.resize(shorter=320, longest=640))
        enliven(model, variant.architecture)
    return _raw_network(model, family, source, options, label_count=label_count)


def _variant(family: str) -> Variant:
    if family not in VARIANTS:
        raise InvalidOptionError(f"family {family!r} is none of torchvision's: {', '.join(VARIANTS)}")
    return VARIANTS[family]


def _build(architecture: Architecture, label_count: int, state: Mapping[str, Any]) -> Any:
    """Torchvision's model in eval mode, its weights fresh."""
    from torchvision.models import detection

    from .ssdlite import has_full_tail, ssdlite_with_full_tail

    if architecture.kind == "ssd" and has_full_tail(state):
        return ssdlite_with_full_tail(label_count).eval()
    builder = getattr(detection, architecture.builder)
    return builder(weights=None, weights_backbone=None, num_classes=label_count).eval()


def _set_epsilon(model: Any, variant: Variant) -> None:
    """Have the batch norms, which were frozen ones in training, compute as those do."""
    import torch

    if variant.architecture.kind == "ssd":
        return
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eps = variant.frozen_epsilon


def _set_size(model: Any, preprocessing: Preprocessing) -> None:
    if model.transform.fixed_size is None:
        model.transform.min_size, model.transform.max_size = (preprocessing.sides[0],), preprocessing.sides[1]


def _raw_network(model: Any, family: str, source: Path, options: ExportOptions, *, label_count: int) -> RawNetwork:
    from .reference import TorchvisionDetector

    variant = VARIANTS[family]
    preprocessing = variant.architecture.at(options.image_size)
    check_takes_rect(options, preprocessing.kind, END_TO_END)
    names, first_label = _class_names(variant, label_count, options, source)
    traced = _trace(_network(model, variant.architecture, first_label=first_label))
    _set_size(model, preprocessing)
    return RawNetwork(
        model=traced,
        head=END_TO_END,
        preprocessing=preprocessing,
        class_names=names,
        stride=variant.architecture.stride,
        source=source,
        reference=TorchvisionDetector(
            model=model,
            is_normalised_twice=variant.is_normalised_twice,
            first_label=first_label,
            max_detections=options.max_detections,
        ),
        pixels=FAMILIES[family].pixels,
        score_floor=float((getattr(model, "roi_heads", None) or model).score_thresh),
        versions={"torch": version("torch"), "torchvision": version("torchvision")},
    )


def _class_names(
    variant: Variant, label_count: int, options: ExportOptions, source: Path
) -> tuple[tuple[str, ...], int]:
    """The names, and the label of the first: 0 where a RetinaNet, which needs no background, was trained so."""
    names = options.classes
    if names is None:
        # Detecto never trains on COCO's labels: as many classes are somebody's own.
        if label_count != _COCO_LABELS or variant.is_normalised_twice:
            raise InvalidOptionError(
                f"{source} holds no class names; give all {label_count - 1} with --classes, in the order of training, "
                "such as --classes alien,bat,witch"
            )
        names = _coco_names()
    background = label_count - len(names)
    if background not in ((0, 1) if variant.architecture.kind == "retina" else (1,)):
        raise InvalidOptionError(
            f"{len(names)} class names were given; {source} has {label_count - 1} classes beside the background"
        )
    return check_class_names(names), background


def _coco_names() -> tuple[str, ...]:
    """What torchvision calls the labels of COCO from 1 on; of the 90, ten stand for nothing."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:]
    return tuple(f"unused {label}" if name == "N/A" else name for label, name in enumerate(names, start=1))


def _network(model: Any, architecture: Architecture, *, first_label: int) -> nn.Module:
    """What is traced. `model` runs once, on a small picture, so that its parts learn their scales."""
    import torch
    from torchvision.models.detection.image_list import ImageList

    from .networks import RegionNetwork, RetinaNetwork, SsdNetwork

    if architecture.kind == "ssd":
        side = architecture.preprocessing.sides[0]
        picture = torch.zeros(1, 3, side, side)
        with torch.no_grad():
            features = list(model.backbone(picture).values())
            anchors = model.anchor_generator(ImageList(picture, [(side, side)]), features)[0]
        return SsdNetwork(model, anchors=anchors)
    _set_size(model, Preprocessing.resize(shorter=_TRACED_SIZE, longest=_TRACED_SIZE))
    with torch.no_grad():
        model([torch.zeros(3, _TRACED_SIZE, _TRACED_SIZE)])
    return RegionNetwork(model) if architecture.kind == "region" else RetinaNetwork(model, first_label=first_label)


def _trace(network: Any) -> onnx.ModelProto:
    import torch

    fixed_side = getattr(network, "side", None)
    side = fixed_side or _TRACED_SIZE
    shape = (2 if fixed_side else 1, 3, side, side)
    pictures = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return trace_along(network.eval(), pictures, free_axes={0: "batch"} if fixed_side else {2: "height", 3: "width"})


def _import_torchvision() -> None:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError(
            f"torchvision cannot be imported ({error}): `make install` in a checkout, or pip install torchvision"
        ) from error
