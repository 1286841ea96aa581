"""What the three kinds of torchvision's detectors have in common, in a form that an ONNX graph can hold.

Torchvision drops candidates by picking those that stay, so that nearly every tensor's length depends on the picture,
and may be 0, which engines handle badly. Here lengths are fixed: what is dropped gets score 0, and lists are filled
up before they are cut. Names in comments: H, W of the picture, L levels, A candidates, C classes, K output slots.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.onnx.operators import shape_as_tensor
from torchvision.ops import nms

NOTHING = -1.0
"""Score of a candidate that fills a list up; below every score that a network gives."""
_ALL = 2**31 - 1


class _Suppress(torch.autograd.Function):
    """ONNX's NonMaxSuppression: boxes [B, A, 4], scores [B, C, A] to rows of (batch, class, box), int64 [n, 3].

    `torchvision.ops.nms` knows one list of boxes only; to keep classes apart in it their boxes must be moved apart,
    which costs digits.
    """

    @staticmethod
    def forward(_: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, least_score: float) -> Tensor:
        rows = [torch.zeros(0, 3, dtype=torch.int64)]
        for batch, class_id in torch.cartesian_prod(*(torch.arange(n) for n in scores.shape[:2])).tolist():
            candidates = torch.where(scores[batch, class_id] > least_score)[0]
            kept = candidates[nms(boxes[batch][candidates], scores[batch, class_id][candidates], iou_threshold)]
            rows.append(torch.stack([torch.full_like(kept, batch), torch.full_like(kept, class_id), kept], dim=1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(graph: Any, boxes: Any, scores: Any, iou_threshold: float, least_score: float) -> Any:
        limits = (torch.tensor([_ALL]), torch.tensor([iou_threshold]), torch.tensor([least_score]))
        constants = (graph.op("Constant", value_t=value) for value in limits)
        return graph.op("NonMaxSuppression", boxes, scores, *constants)


def suppressed(boxes: Tensor, scores: Tensor, *, iou_threshold: float, least_score: float, count: int) -> Tensor:
    """Places of the best `count` boxes that stay, best first, as (list, class, box): int64 [count, 3].

    Args:
        boxes: [B, A, 4], lists that do not see each other.
        scores: [B, C, A]; those not above `least_score` are dropped.
        iou_threshold: a box goes when its IoU with a better one of its list and class is greater.
        least_score: see there.
        count: places; where fewer boxes stay, the last ones point behind the end: at A of the first list.
    """
    kept: Tensor = _Suppress.apply(boxes, scores, iou_threshold, least_score)
    lists, classes, places = kept.unbind(1)
    kept_scores = scores.reshape(-1)[(lists * scores.shape[1] + classes) * scores.shape[2] + places]
    empty = torch.tensor([[0, 0, scores.shape[2]]]).expand(count, 3)
    ranked = torch.cat([kept_scores, torch.full((count,), 2 * NOTHING)])
    return torch.cat([kept, empty])[torch.topk(ranked, count).indices]


def kept_scores(boxes: Tensor, scores: Tensor, *, iou_threshold: float, least_score: float) -> Tensor:
    """`scores` [B, C, A] with 0 for every box that does not stay; arguments as in `suppressed`."""
    lists, classes, places = _Suppress.apply(boxes, scores, iou_threshold, least_score).unbind(1)
    place = (lists * scores.shape[1] + classes) * scores.shape[2] + places
    flat = scores.reshape(-1)
    return (flat * 0.0).scatter(0, place, flat[place]).reshape(scores.shape)


def with_empty(values: Tensor, fill: float, *, dim: int, count: int = 1) -> Tensor:
    """`values` with `count` slices of `fill` behind them."""
    slot = values.narrow(dim, 0, 1) * 0.0 + fill
    shape = [-1] * values.dim()
    shape[dim] = count
    return torch.cat([values, slot.expand(shape)], dim=dim)


def corners(picture: Tensor) -> Tensor:
    """The picture's far corner twice: W, H, W, H, float32 [4]; traced, so that it follows the picture."""
    height_width = shape_as_tensor(picture)[2:].to(torch.float32)
    return height_width.flip(0).repeat(2)


def padded(picture: Tensor, multiple: int) -> Tensor:
    """The picture with zeros right and below, to a multiple of so many pixels."""
    height, width = picture.shape[2], picture.shape[3]
    return torch.nn.functional.pad(picture, (0, -width % multiple, 0, -height % multiple))


def clipped(boxes: Tensor, far_corner: Tensor) -> Tensor:
    """Boxes [..., 4] cut at the picture's border."""
    return torch.minimum(boxes.clamp(min=0), far_corner)


def is_large(boxes: Tensor, least_side: float) -> Tensor:
    """Which boxes [..., 4] have both sides at least so long."""
    return (boxes[..., 2:] - boxes[..., :2] >= least_side).all(dim=-1)


def finished(boxes: Tensor, scores: Tensor, class_ids: Tensor, far_corner: Tensor) -> Tensor:
    """[K, 4], [K], [K] as what the head `end_to_end` reads: [1, K, 6], boxes as parts of the picture."""
    columns = [boxes / far_corner, scores[:, None], class_ids.to(boxes.dtype)[:, None]]
    return torch.cat(columns, dim=1)[None]
