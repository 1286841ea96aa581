"""From a checkpoint's file to the detector in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sightline.errors import CheckpointError

from .archive import open_archive
from .fields import Fields
from .layers import Concat
from .network import Network, Step
from .rebuild import LAYER_CLASSES, Rebuilder
from .records import Record, short
from .unpickle import NUMBER_BYTES, read_contents

_SEQUENTIAL = "torch.nn.modules.container.Sequential"
_NETWORKS = ("models.yolo.Model", "models.yolo.DetectionModel")
_PROBED_PLACES = 2
"""Sides of the picture that a network is tried on, in largest strides."""


@dataclass(frozen=True, kw_only=True)
class Original:
    """A detector out of a checkpoint.

    Attributes:
        network: its network, float32, for evaluation.
        class_names: one per class id, as the file says; empty where it says nothing.
        trained_size: the size that it was trained for, as the file says.
    """

    network: Network
    class_names: tuple[str, ...]
    trained_size: Any


def read_checkpoint(path: Path) -> Original:
    """The detector in a checkpoint; nothing of the file is run.

    Raises:
        CheckpointError: it is damaged, holds no detector, or wants anything imported that a detector is not made of.
    """
    archive = open_archive(path)
    contents = read_contents(archive.pickle, path, classes=LAYER_CLASSES | {*_NETWORKS})
    numbers = archive.numbers({key: row.length * NUMBER_BYTES[row.kind] for key, row in contents.rows.items()})
    record = _model(contents.value, path)
    fields = Fields(record, "the model", path, numbers)
    network = _network(fields)
    return Original(
        network=network,
        class_names=_class_names(fields, network.head.class_count),
        trained_size=_trained_size(contents.value),
    )


def _model(value: Any, path: Path) -> Record:
    """The averaged weights where there are both, as the original repository takes them."""
    if isinstance(value, Record):
        value = {"model": value}
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}, not a checkpoint of a detector")
    model = value.get("ema") or value.get("model")
    if model is None:
        raise CheckpointError(
            f"{path} holds no model (both 'ema' and 'model' are empty); give the best.pt or last.pt that training saved"
        )
    if not isinstance(model, Record) or model.qualified_name not in _NETWORKS:
        raise CheckpointError(
            f"{path} holds {getattr(model, 'qualified_name', type(model).__name__)} where a whole model is expected; "
            "weights alone do not tell the network. Give the best.pt or last.pt that training saved"
        )
    return model


def _network(fields: Fields) -> Network:
    row = fields.parts().get("model")
    if row is None or row.record.qualified_name != _SEQUENTIAL or not row.parts():
        raise fields.error("it has no layers")
    rebuilder = Rebuilder()
    given = list(row.parts().values())
    steps = []
    for index, each in enumerate(given):
        sources = _sources(each, index)
        last = index == len(given) - 1
        layer = rebuilder.detect(each, scales=len(sources)) if last else rebuilder.layer(each)
        if len(sources) != 1 and not isinstance(layer, Concat) and not last:
            raise each.error(f"it takes {len(sources)} inputs")
        steps.append(Step(layer, sources))
    network = Network(steps).eval().requires_grad_(False)
    _try(network, fields)
    return network


def _sources(fields: Fields, index: int) -> tuple[int, ...]:
    """Indices of the layers before that feed this one; in the file, negative ones count backwards from it."""
    value = fields.value("f")
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not given or not all(type(each) is int and -max(index, 1) <= each < index for each in given):
        raise fields.error(f"it takes its input from {short(value)}")
    return tuple(each if each >= 0 else index + each for each in given)


def _try(network: Network, fields: Fields) -> None:
    """Layers that were read one by one may not fit together."""
    head = network.head
    side = _PROBED_PLACES * max(head.strides)
    wanted = (1, head.anchors.shape[1] * sum((side // stride) ** 2 for stride in head.strides), head.class_count + 5)
    try:
        with torch.no_grad():
            came = tuple(network(torch.zeros(1, 3, side, side)).shape)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise fields.error(f"its layers do not fit together ({str(error).splitlines()[0]})") from error
    if came != wanted:
        raise fields.error(f"a picture of {side} pixels gives {list(came)} where {list(wanted)} is expected")


def _class_names(fields: Fields, count: int) -> tuple[str, ...]:
    names = fields.value("names")
    if isinstance(names, dict):
        names = [names.get(index) for index in range(len(names))]
    sound = isinstance(names, list | tuple) and all(type(name) in (str, int) for name in names)
    return tuple(str(name) for name in names) if sound and len(names) == count else ()


def _trained_size(value: Any) -> Any:
    """`--imgsz` of the training, which releases since 6 keep."""
    options = value.get("opt") if isinstance(value, Mapping) else None
    return options.get("imgsz") if isinstance(options, Mapping) else None
