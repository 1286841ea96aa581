"""Torchvision's detectors from one normalised picture to finished detections, ready to be traced.

Layers, anchors' sizes and box coders are those of the torchvision model; what lies between them is written anew,
because torchvision's own post-processing cannot be exported soundly: see `steps`. The results are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor
from torchvision.ops import roi_align

from .steps import NOTHING, clipped, corners, finished, is_large, kept_scores, padded, suppressed, with_empty

PAD_MULTIPLE = 32
"""Torchvision fills pictures up to a multiple of so many pixels, except for SSD."""
_SMALLEST_BOX, _SMALLEST_PROPOSAL = 1e-2, 1e-3
"""Sides in pixels, as in torchvision's `postprocess_detections` and `RegionProposalNetwork`."""


class RegionNetwork(nn.Module):
    """Faster R-CNN: [1, 3, H, W] to [1, K, 6]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.rpn, self.heads = model.backbone, model.rpn, model.roi_heads
        self.slots = int(model.roi_heads.detections_per_img)

    def forward(self, picture: Tensor) -> Tensor:
        """Detections in one picture."""
        far_corner = corners(picture)
        picture = padded(picture, PAD_MULTIPLE)
        features = self.backbone(picture)
        proposals, is_proposal = self._propose(picture, list(features.values()), far_corner)
        pooled = self._pool(features, proposals)
        logits, deltas = self.heads.box_predictor(self.heads.box_head(pooled))
        return self._detections(logits, deltas, proposals, is_proposal, far_corner)

    def _propose(self, picture: Tensor, features: list[Tensor], far_corner: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [P, 4] where something may be, and which of them are any: bool [P]."""
        count = self.rpn.pre_nms_top_n()
        boxes, scores = [], []
        for cells, feature in zip(self.rpn.anchor_generator.cell_anchors, features, strict=True):
            logits, deltas = (values[0] for values in self.rpn.head([feature]))
            anchors = grid_of(cells, feature, picture)
            ranked = with_empty(by_cell(logits, 1)[:, 0], -torch.inf, dim=0, count=count)
            best, place = torch.topk(ranked, count)
            coded = with_empty(by_cell(deltas, 4), 0.0, dim=0, count=count)[place]
            decoded = self.rpn.box_coder.decode_single(coded, with_empty(anchors, 0.0, dim=0, count=count)[place])
            proposed, score = clipped(decoded, far_corner), torch.sigmoid(best)
            usable = is_large(proposed, _SMALLEST_PROPOSAL) & (score >= self.rpn.score_thresh)
            boxes.append(proposed)
            scores.append(torch.where(usable, score, NOTHING))
        lists = torch.stack(boxes), torch.stack(scores)
        kept = suppressed(
            lists[0],
            lists[1][:, None],
            iou_threshold=self.rpn.nms_thresh,
            least_score=NOTHING / 2,
            count=self.rpn.post_nms_top_n(),
        )
        place = kept[:, 0] * (count + 1) + kept[:, 2]
        proposals = with_empty(lists[0], 0.0, dim=1).reshape(-1, 4)[place]
        return proposals, with_empty(lists[1], NOTHING, dim=1).reshape(-1)[place] > NOTHING / 2

    def _pool(self, features: dict[str, Tensor], proposals: Tensor) -> Tensor:
        """What lies under each proposal, from the level that suits its size: [P, channels, side, side]."""
        pooler = self.heads.box_roi_pool
        levels = [features[name] for name in pooler.featmap_names if name in features]
        level_count = pooler.map_levels.k_max - pooler.map_levels.k_min + 1
        # One box more, of no size, goes to every level, so that none is without boxes.
        boxes = with_empty(proposals, 0.0, dim=0)
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
        level_of = pooler.map_levels([proposals])
        extra = torch.tensor([proposals.shape[0]])
        pooled, order = [], []
        for index in range(level_count):
            members = torch.cat([torch.where(level_of == index)[0], extra])
            scale = pooler.scales[index]
            pooled.append(roi_align(levels[index], rois[members], pooler.output_size, scale, pooler.sampling_ratio))
            order.append(members)
        back = torch.topk(torch.cat(order).to(torch.float32), proposals.shape[0], largest=False).indices
        return torch.cat(pooled)[back]

    def _detections(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, is_proposal: Tensor, far_corner: Tensor
    ) -> Tensor:
        """[1, K, 6]; each class is suppressed in a list of its own, since it has its own box for a proposal."""
        decoded = self.heads.box_coder.decode_single(deltas, proposals)
        boxes = clipped(decoded.reshape(proposals.shape[0], -1, 4), far_corner)[:, 1:]
        scores = torch.softmax(logits, dim=-1)[:, 1:]
        stays = is_proposal[:, None] & is_large(boxes, _SMALLEST_BOX) & (scores > self.heads.score_thresh)
        lists = boxes.permute(1, 0, 2), torch.where(stays, scores, 0.0).permute(1, 0)
        return best_of_lists(*lists, iou_threshold=self.heads.nms_thresh, count=self.slots, far_corner=far_corner)


class RetinaNetwork(nn.Module):
    """RetinaNet: [1, 3, H, W] to [1, K, 6].

    Args:
        model: torchvision's.
        first_label: labels below it are no class: 1 where label 0 stands for the background, else 0.
    """

    def __init__(self, model: Any, *, first_label: int) -> None:
        super().__init__()
        self.model = model
        self.first_label = first_label

    def forward(self, picture: Tensor) -> Tensor:
        """Detections in one picture."""
        far_corner = corners(picture)
        picture = padded(picture, PAD_MULTIPLE)
        features = list(self.model.backbone(picture).values())
        levels = zip(self.model.anchor_generator.cell_anchors, features, strict=True)
        found = [self._candidates(grid_of(cells, feature, picture), feature, far_corner) for cells, feature in levels]
        boxes, scores, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        class_count = self.model.head.classification_head.num_classes
        by_class = torch.where(labels[None] == torch.arange(class_count)[:, None], scores[None], 0.0)
        slots = self.model.detections_per_img
        kept = suppressed(
            boxes[None], by_class[None], iou_threshold=self.model.nms_thresh, least_score=0.0, count=slots
        )
        place, label = kept[:, 2], kept[:, 1]
        score = torch.where(label >= self.first_label, with_empty(scores, 0.0, dim=0)[place], 0.0)
        class_id = (label - self.first_label).clamp(min=0)
        return finished(with_empty(boxes, 0.0, dim=0)[place], score, class_id, far_corner)

    def _candidates(self, anchors: Tensor, feature: Tensor, far_corner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best of one level: boxes [T, 4], scores [T] (0 for what is too low), labels [T]."""
        count = self.model.topk_candidates
        outputs = self.model.head([feature])
        logits, deltas = outputs["cls_logits"][0], outputs["bbox_regression"][0]
        ranked = with_empty(torch.sigmoid(logits).flatten(), NOTHING, dim=0, count=count)
        scores, place = torch.topk(ranked, count)
        anchor = torch.div(place, logits.shape[1], rounding_mode="floor")
        coded = with_empty(deltas, 0.0, dim=0, count=count)[anchor]
        decoded = self.model.box_coder.decode_single(coded, with_empty(anchors, 0.0, dim=0, count=count)[anchor])
        usable = torch.where(scores > self.model.score_thresh, scores, 0.0)
        return clipped(decoded, far_corner), usable, place % logits.shape[1]


class SsdNetwork(nn.Module):
    """SSD and SSDLite, whose input size is fixed: [N, 3, S, S] to [N, K, 6].

    Args:
        model: torchvision's.
        anchors: its default boxes for that size, [A, 4].
    """

    def __init__(self, model: Any, *, anchors: Tensor) -> None:
        super().__init__()
        self.model = model
        self.anchors = anchors
        self.side = int(model.transform.fixed_size[0])

    def forward(self, pictures: Tensor) -> Tensor:
        """Detections in each picture; every class of each is suppressed in a list of its own."""
        outputs = self.model.head(list(self.model.backbone(pictures).values()))
        scores = torch.softmax(outputs["cls_logits"], dim=-1)[:, :, 1:].permute(0, 2, 1)
        class_count, count = scores.shape[1], min(self.model.topk_candidates, self.anchors.shape[0])
        best, place = torch.topk(scores, count, dim=2)
        best = torch.where(best > self.model.score_thresh, best, 0.0).reshape(-1, 1, count)
        boxes = self._decoded(outputs["bbox_regression"])[:, None].expand(-1, class_count, -1, -1)
        candidates = boxes.gather(2, place[..., None].expand(-1, -1, -1, 4))
        lists = candidates.reshape(-1, count, 4)
        kept = kept_scores(lists, best, iou_threshold=self.model.nms_thresh, least_score=0.0)
        slots = self.model.detections_per_img
        by_picture = with_empty(kept.reshape(-1, class_count * count), 0.0, dim=1, count=slots)
        found, place = torch.topk(by_picture, slots, dim=1)
        rows = with_empty(lists.reshape(-1, class_count * count, 4), 0.0, dim=1, count=slots)
        boxes = rows.gather(1, place[..., None].expand(-1, -1, 4)) / self.side
        class_id = torch.div(place, count, rounding_mode="floor").clamp(max=class_count - 1)
        return torch.cat([boxes, found[..., None], class_id[..., None].to(boxes.dtype)], dim=2)

    def _decoded(self, deltas: Tensor) -> Tensor:
        """Boxes [N, A, 4] in pixels, cut at the border."""
        anchors = self.anchors.repeat(deltas.shape[0], 1)
        boxes: Tensor = self.model.box_coder.decode_single(deltas.reshape(-1, 4), anchors)
        return boxes.reshape(deltas.shape).clamp(0, self.side)


def best_of_lists(boxes: Tensor, scores: Tensor, *, iou_threshold: float, count: int, far_corner: Tensor) -> Tensor:
    """[1, count, 6] from one list for each class: boxes [C, A, 4], scores [C, A], 0 for what is dropped."""
    kept = suppressed(boxes, scores[:, None], iou_threshold=iou_threshold, least_score=0.0, count=count)
    class_id = kept[:, 0]
    place = class_id * (scores.shape[1] + 1) + kept[:, 2]
    best_boxes = with_empty(boxes, 0.0, dim=1).reshape(-1, 4)[place]
    return finished(best_boxes, with_empty(scores, 0.0, dim=1).reshape(-1)[place], class_id, far_corner)


def by_cell(values: Tensor, length: int) -> Tensor:
    """[1, anchors * length, h, w] as [h * w * anchors, length], in the order of the anchors."""
    cells = values.reshape(values.shape[1] // length, length, -1)
    return cells.permute(2, 0, 1).reshape(-1, length)


def grid_of(cells: Tensor, feature: Tensor, picture: Tensor) -> Tensor:
    """The anchors `cells` [a, 4] around every cell of a level: [h * w * a, 4], in pixels of the padded picture.

    A cell is as many whole pixels wide as fit, as torchvision has it: 61, not 64, where 800 pixels make 13 cells.
    """
    strides = torch.div(shape_as_tensor(picture)[2:], torch._shape_as_tensor(feature)[2:], rounding_mode="floor")
    # Counting ones instead of asking for a range, which a trace would fix.
    down = (torch.ones_like(feature[0, 0, :, 0]).cumsum(0) - 1) * strides[0].to(feature.dtype)
    across = (torch.ones_like(feature[0, 0, 0, :]).cumsum(0) - 1) * strides[1].to(feature.dtype)
    y = down[:, None].expand(feature.shape[2], feature.shape[3]).reshape(-1)
    x = across[None, :].expand(feature.shape[2], feature.shape[3]).reshape(-1)
    shifts = torch.stack([x, y, x, y], dim=1)
    return (shifts[:, None] + cells[None]).reshape(-1, 4)
