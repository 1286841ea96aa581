"""The training loss: which places answer for which object, and what they are charged for."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import complete_box_iou_loss, sigmoid_focal_loss

from .network import STRIDES, RawOutput

BACKGROUND = -1
_BOX_WEIGHT = 2.0
# A scale answers for objects whose longer side is this many of its strides; the outer scales take what is beyond.
_LEAST_STRIDES, _MOST_STRIDES = 3.0, 8.0
# Places answer within this many strides of an object's centre, along each axis.
_REACH_STRIDES = 1.5


def detection_loss(raw: RawOutput, boxes_xyxy: list[Tensor], class_ids: list[Tensor]) -> Tensor:
    """Mean loss of a batch: CIoU on the places that answer for an object, focal cross entropy on all places.

    `boxes_xyxy` and `class_ids` hold, for each picture, float [m, 4] in input pixels and int64 [m].
    """
    owners = [assign(raw.centres, raw.strides, wanted) for wanted in boxes_xyxy]
    goal = torch.zeros_like(raw.logits)
    wanted_xyxy = []
    for picture, (owner, wanted, ids) in enumerate(zip(owners, boxes_xyxy, class_ids, strict=True)):
        chosen = owner != BACKGROUND
        goal[picture, chosen, ids[owner[chosen]]] = 1.0
        wanted_xyxy.append(wanted[owner[chosen]])
    chosen = torch.stack(owners) != BACKGROUND
    box_sum = complete_box_iou_loss(raw.boxes_xyxy[chosen], torch.cat(wanted_xyxy), reduction="sum")
    score_sum = sigmoid_focal_loss(raw.logits, goal, reduction="sum")
    mean: Tensor = (_BOX_WEIGHT * box_sum + score_sum) / chosen.sum().clamp(min=1)
    return mean


@torch.no_grad()
def assign(centres: Tensor, strides: Tensor, wanted_xyxy: Tensor) -> Tensor:
    """Which object each place answers for: int64 [A], a row of `wanted_xyxy` or `BACKGROUND`.

    Places of the scales that fit an object's size answer for it where they lie inside it and near its centre; the
    place nearest to the centre on the finest scale that fits always does. Of several objects the smallest wins.

    `centres` float [A, 2] and `strides` float [A, 1] are the places, in pixels; `wanted_xyxy` float [m, 4].
    """
    if len(wanted_xyxy) == 0:
        return torch.full((len(centres),), BACKGROUND)
    middle = (wanted_xyxy[:, :2] + wanted_xyxy[:, 2:]) / 2
    half = (wanted_xyxy[:, 2:] - wanted_xyxy[:, :2]) / 2
    away = (centres[None] - middle[:, None]).abs()
    inside = (away < half[:, None]).all(2) & (away < _REACH_STRIDES * strides[None]).all(2)
    fits = _fits(half.amax(1) * 2, strides[:, 0])
    distance = torch.where(fits, away.sum(2) + strides[:, 0] * 1e-3, torch.inf)
    nearest = torch.zeros_like(fits).scatter_(1, distance.argmin(1, keepdim=True), value=True)
    candidate = (inside & fits) | nearest
    area = torch.where(candidate, half.prod(1)[:, None], torch.inf)
    least, owner = area.min(0)
    return torch.where(least.isfinite(), owner, BACKGROUND)


def _fits(longer_sides: Tensor, strides: Tensor) -> Tensor:
    """Whether an object of that longer side belongs to a place of that stride, bool [m, A]."""
    ratio = longer_sides[:, None] / strides[None]
    large_enough = (ratio >= _LEAST_STRIDES) | (strides[None] == min(STRIDES))
    small_enough = (ratio <= _MOST_STRIDES) | (strides[None] == max(STRIDES))
    return large_enough & small_enough
