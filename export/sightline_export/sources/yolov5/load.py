"""Raw networks of the original YOLOv5 and YOLOv3."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.contract import DEFAULT_IMAGE_SIZE
from sightline.errors import InvalidOptionError
from sightline_export.heads import ANCHORS_FIRST
from sightline_export.options import ExportOptions
from sightline_export.raw import RawNetwork
from sightline_export.sources.chosen import chosen_class_names, chosen_image_size, chosen_preprocessing

if TYPE_CHECKING:
    from .network import Network

ORIGINAL_PREFIX = "original_"
"""Before the names that Ultralytics gives to other networks of its present package."""
_SIZES = "nsmlx"
RANDOM_NAMES = tuple(
    ORIGINAL_PREFIX + name
    for name in (
        *(f"yolov5{size}{large}" for large in ("", "6") for size in _SIZES),
        *("yolov3", "yolov3-spp", "yolov3-tiny"),
    )
)
"""What `build_original` builds, such as `original_yolov5s`."""
_COCO_CLASSES = 80
_LARGE_STRIDE, _LARGE_IMAGE_SIZE = 64, 1280
"""Networks with a scale at stride 64 were made for larger pictures, and do worse on small ones."""


def load_original(path: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a `.pt` that ultralytics/yolov5 or ultralytics/yolov3 saved after training a detector.

    Nothing of the file is run: it is untrusted input.

    Raises:
        CheckpointError: damaged, no detector, or it names anything that a detector is not made of.
        InvalidOptionError: an option contradicts the file.
    """
    from .checkpoint import read_checkpoint

    original = read_checkpoint(path)
    return _raw_network(
        original.network, path, options, class_names=original.class_names, trained_size=original.trained_size
    )


def build_original(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of `original_yolov5n.random` and its like: random weights, from `options.seed`, that detect.

    It has as many classes as names are given, else 80.

    Raises:
        InvalidOptionError: no such network, or a size that is not possible.
    """
    import torch

    from .architectures import ARCHITECTURES
    from .random_weights import enliven

    if source.stem not in RANDOM_NAMES:
        raise InvalidOptionError(f"{source.stem!r} is not known; choose one of {', '.join(RANDOM_NAMES)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = ARCHITECTURES[source.stem.removeprefix(ORIGINAL_PREFIX)](len(options.classes or ()) or _COCO_CLASSES)
        enliven(network)
    return _raw_network(network, source, options, class_names=(), trained_size=None)


def _raw_network(
    network: Network, source: Path, options: ExportOptions, *, class_names: tuple[str, ...], trained_size: Any
) -> RawNetwork:
    from sightline_export.sources.trace import trace

    from .network import fused
    from .reference import OriginalReference

    head = network.head
    stride = max(head.strides)
    if options.nms == "none":
        raise InvalidOptionError(f"{source.name} has no NMS-free head; leave out --nms none")
    usual = _LARGE_IMAGE_SIZE if stride == _LARGE_STRIDE else DEFAULT_IMAGE_SIZE
    image_size = chosen_image_size(options, trained_size, stride=stride, usual=usual)
    any_size = bool(options.rect)
    preprocessing = chosen_preprocessing(options, "letterbox", image_size=image_size, stride=stride, head=ANCHORS_FIRST)
    return RawNetwork(
        model=trace(fused(network, any_size=any_size), image_size=image_size, any_size=any_size),
        head=ANCHORS_FIRST,
        preprocessing=preprocessing,
        class_names=chosen_class_names(options, class_names, count=head.class_count),
        stride=stride,
        source=source,
        reference=OriginalReference(network, preprocessing=preprocessing, options=options),
        versions={"torch": version("torch")},
    )
