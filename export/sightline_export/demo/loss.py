"""The training loss: which places answer for which object, and what they are charged for."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import box_iou, complete_box_iou_loss

from .network import RawOutput

# Places per object, and how much classification and overlap count when they are ranked.
_PLACES_PER_OBJECT = 10
_SCORE_POWER, _OVERLAP_POWER = 0.5, 5.0
_BOX_WEIGHT, _SCORE_WEIGHT = 3.0, 1.0
# Objects smaller than this are searched in a square of this size, so that each finds a place.
_LEAST_SEARCH_PX = 18.0


class Targets(NamedTuple):
    """What one picture's places should say.

    `object_index`: int64 [A], -1 for background. `quality`: float [A], the score that an assigned place should
    give its class, 0 elsewhere.
    """

    object_index: Tensor
    quality: Tensor


def detection_loss(raw: RawOutput, boxes_xyxy: list[Tensor], class_ids: list[Tensor]) -> Tensor:
    """Mean loss of a batch: CIoU on assigned places, cross entropy towards the overlap on all places.

    `boxes_xyxy` and `class_ids` hold, for each picture, float [m, 4] in input pixels and int64 [m].
    """
    box_sum = raw.logits.sum() * 0
    score_sum, quality_sum = box_sum, torch.zeros(())
    for boxes, logits, wanted, ids in zip(raw.boxes_xyxy, raw.logits, boxes_xyxy, class_ids, strict=True):
        targets = assign(boxes.detach(), logits.detach(), raw.centres, wanted, ids)
        chosen = targets.object_index >= 0
        index = targets.object_index[chosen]
        goal = torch.zeros_like(logits)
        goal[chosen, ids[index]] = targets.quality[chosen]
        # Easy background is nearly free, or its thousands of places would outweigh the few objects.
        charge = torch.where(goal > 0, 1.0, logits.detach().sigmoid() ** 1.5)
        score_sum = score_sum + (charge * binary_cross_entropy_with_logits(logits, goal, reduction="none")).sum()
        each = complete_box_iou_loss(boxes[chosen], wanted[index])
        box_sum = box_sum + (each * targets.quality[chosen]).sum()
        quality_sum = quality_sum + targets.quality.sum()
    return (_BOX_WEIGHT * box_sum + _SCORE_WEIGHT * score_sum) / quality_sum.clamp(min=1.0)


@torch.no_grad()
def assign(boxes_xyxy: Tensor, logits: Tensor, centres: Tensor, wanted_xyxy: Tensor, class_ids: Tensor) -> Targets:
    """Choose, for each of m objects, the places inside it that already agree best with it.

    `boxes_xyxy` float [A, 4] and `logits` float [A, classes] are the network's present answers, `centres` float
    [A, 2]; `wanted_xyxy` float [m, 4], `class_ids` int64 [m]. A place that several objects want goes to the one
    that it overlaps most. The best place of an object should score its overlap, the others in proportion.
    """
    count = len(centres)
    if len(wanted_xyxy) == 0:
        return Targets(torch.full((count,), -1), torch.zeros(count))
    overlaps = box_iou(wanted_xyxy, boxes_xyxy)
    agreement = logits.sigmoid()[:, class_ids].T ** _SCORE_POWER * overlaps**_OVERLAP_POWER
    ranked = torch.where(_inside(centres, wanted_xyxy), agreement + 1e-9, 0.0)
    best, places = ranked.topk(min(_PLACES_PER_OBJECT, count), dim=1)
    wants = torch.zeros_like(ranked).scatter_(1, places, (best > 0).float()) > 0
    owner = torch.where(wants, overlaps + 1e-6, 0.0).max(0)
    owned = wants & (torch.arange(len(wanted_xyxy))[:, None] == owner.indices[None])
    agreement, overlaps = agreement * owned, overlaps * owned
    share = agreement / agreement.amax(1, keepdim=True).clamp(min=1e-12)
    quality = (share * overlaps.amax(1, keepdim=True)).amax(0)
    return Targets(torch.where(owned.any(0), owner.indices, -1), quality)


def _inside(centres: Tensor, wanted_xyxy: Tensor) -> Tensor:
    """Which centres lie in which object's box, bool [m, A]; tiny boxes are widened."""
    middle = (wanted_xyxy[:, :2] + wanted_xyxy[:, 2:]) / 2
    half = ((wanted_xyxy[:, 2:] - wanted_xyxy[:, :2]) / 2).clamp(min=_LEAST_SEARCH_PX / 2)
    return ((centres[None] - middle[:, None]).abs() < half[:, None]).all(2)
