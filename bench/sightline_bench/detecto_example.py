"""A small detector that the real `detecto` saves, trained for a moment on drawn scenes; and pictures for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn

from sightline_export.demo.draw import Scene, SceneOptions, draw_scene
from sightline_export.demo.objects import CLASS_NAMES
from sightline_export.pictures import Picture
from sightline_export.pixels import IMAGENET
from sightline_export.sources.torchvision.random_weights import settle_norms, smooth

CLASSES = ("balloon", "cone", "fish")
_SIZE_HW = (160, 320)
_SCENES, _STEPS, _RATE = 12, 240, 0.003
_OPTIONS = SceneOptions(
    size_hw=_SIZE_HW, class_names=CLASSES, objects=(2, 3), diameter_px=(140, 240), distractors=0, wear=0.2
)


@dataclass(frozen=True)
class TrainedDetecto:
    """`detecto.core.Model`, and its file as `Model.save` wrote it."""

    model: Any
    file: Path


def scenes() -> list[Scene]:
    """What the detector learns by heart."""
    drawn = (draw_scene(np.random.default_rng([77, index]), _OPTIONS) for index in range(4 * _SCENES))
    return [scene for scene in drawn if len(scene.boxes_xyxy)][:_SCENES]


@dataclass(frozen=True)
class Strip:
    """A picture (160, 1280, 3) of four scenes in a row, and what is in it.

    Attributes:
        picture: uint8, RGB.
        boxes_xyxy: (N, 4), pixels.
        class_ids: (N,), indices into `CLASSES`.
    """

    picture: Picture
    boxes_xyxy: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]


def strips(count: int) -> list[Strip]:
    """Pictures that a resize to 800 and 1333 pixels makes a little larger.

    A backbone that was never trained makes much of every grey level, so they show whether pictures are resized as
    torchvision does it: rounded to whole grey levels, a quarter of the detections come out otherwise.
    """
    known = scenes()
    picks = (np.random.default_rng(seed).choice(len(known), 4, replace=False) for seed in range(count))
    return [_in_a_row([known[index] for index in pick]) for pick in picks]


def _in_a_row(row: list[Scene]) -> Strip:
    moved = [
        scene.boxes_xyxy + np.array([1, 0, 1, 0], np.float32) * _SIZE_HW[1] * place for place, scene in enumerate(row)
    ]
    names = [CLASS_NAMES[index] for scene in row for index in scene.class_ids]
    return Strip(
        np.concatenate([scene.picture for scene in row], axis=1),
        np.concatenate(moved).astype(np.float32),
        np.array([CLASSES.index(name) for name in names], np.int64),
    )


def train_detecto(folder: Path) -> TrainedDetecto:
    """Generate the weights that detecto begins with, train its last layers, and save it with `Model.save`.

    Args:
        folder: existing; gets the weights and `trained.pth`.
    """
    model = untrained_detecto(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        _train(model.get_internal_model(), scenes())
    model.save(str(folder / "trained.pth"))
    return TrainedDetecto(model, folder / "trained.pth")


def untrained_detecto(folder: Path) -> Any:
    """The `detecto.core.Model` that training begins with; torchvision's cache is then `folder/torch`."""
    _write_weights(folder / "torch" / "hub" / "checkpoints")
    from detecto.core import Model

    with _torch_home(folder / "torch"):
        return Model(list(CLASSES), device=torch.device("cpu"))


@contextmanager
def _torch_home(folder: Path) -> Iterator[None]:
    """torchvision looks for weights there instead of downloading them."""
    before = os.environ.get("TORCH_HOME")
    os.environ["TORCH_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TORCH_HOME"]
        else:
            os.environ["TORCH_HOME"] = before


def _write_weights(folder: Path) -> None:
    """The file that torchvision would download, with weights of our own."""
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91).eval()
        smooth(model.backbone.body)
        pictures = torch.from_numpy(np.stack([IMAGENET.apply(scene.picture) for scene in scenes()[:6]]))
        # Detecto normalises twice.
        mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET.mean, IMAGENET.std))
        settle_norms(model, (pictures - mean) / std)
        for name, feature in model.backbone(pictures[:1]).items():
            if name.isdigit():
                layer = model.backbone.fpn.layer_blocks[int(name)][0]
                layer.weight.div_(feature.std())
                layer.bias.zero_()
    frozen = {name: value for name, value in model.state_dict().items() if "num_batches_tracked" not in name}
    torch.save(frozen, folder / FasterRCNN_ResNet50_FPN_Weights.COCO_V1.url.rpartition("/")[2])


def _train(model: Any, truth: list[Scene]) -> None:
    """Only the last layers learn; what lies before them is computed once for each scene."""
    heads = model.roi_heads
    learning = (heads.box_predictor, heads.box_head.fc7, model.rpn.head.cls_logits, model.rpn.head.bbox_pred)
    weights = [weight for layer in learning for weight in layer.parameters()]
    optimizer = torch.optim.Adam(weights, lr=_RATE)
    with _small_sampling(model):
        known = [_prepared(model, scene) for scene in truth]
        hidden, model.rpn.head.conv = model.rpn.head.conv, nn.Identity()
        model.train()
        for step in range(_STEPS):
            for group in optimizer.param_groups:
                group["lr"] = _RATE * min(1.0, 2 * (1 - step / _STEPS))
            images, features, seen, targets = known[step % len(known)]
            proposals, first = model.rpn(images, seen, targets)
            _, second = heads(features, proposals, images.image_sizes, targets)
            losses: list[Tensor] = [*first.values(), *second.values()]
            optimizer.zero_grad()
            torch.autograd.backward(torch.stack(losses).sum())
            optimizer.step()
        model.rpn.head.conv = hidden
    model.eval()


def _prepared(model: Any, scene: Scene) -> tuple[Any, Any, Any, Any]:
    """Image list, features, what the proposals' hidden layer makes of them, and targets."""
    from detecto.utils import default_transforms

    labels = [1 + CLASSES.index(CLASS_NAMES[index]) for index in scene.class_ids]
    target = {"boxes": torch.from_numpy(scene.boxes_xyxy), "labels": torch.tensor(labels)}
    with torch.no_grad():
        images, targets = model.transform([default_transforms()(scene.picture)], [target])
        features = model.backbone(images.tensors)
        seen = type(features)((name, model.rpn.head.conv(value)) for name, value in features.items())
    return images, features, seen, targets


@contextmanager
def _small_sampling(model: Any) -> Iterator[None]:
    """Few candidates for each step, and pictures at their own size; afterwards all is as it was."""
    samplers, usual = (model.roi_heads.fg_bg_sampler, model.rpn.fg_bg_sampler), (model.transform.min_size,)
    counts = [sampler.batch_size_per_image for sampler in samplers]
    before, after = model.rpn._pre_nms_top_n["training"], model.rpn._post_nms_top_n["training"]
    for sampler in samplers:
        sampler.batch_size_per_image = 64
    model.rpn._pre_nms_top_n["training"], model.rpn._post_nms_top_n["training"] = 200, 100
    model.transform.min_size = (_SIZE_HW[0],)
    model.eval()
    yield
    (model.transform.min_size,) = usual
    model.rpn._pre_nms_top_n["training"], model.rpn._post_nms_top_n["training"] = before, after
    for sampler, count in zip(samplers, counts, strict=True):
        sampler.batch_size_per_image = count
