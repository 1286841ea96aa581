"""Batches: a PyTorch DataLoader reads and letterboxes in processes of its own, the network runs on whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import torch
from _turns import Turns, arguments, read_images
from torch.utils.data import DataLoader, Dataset
from ultralytics import YOLO
from ultralytics.data.augment import LetterBox
from ultralytics.utils.nms import non_max_suppression
from ultralytics.utils.ops import scale_boxes

SIDE = 640
Item = tuple[torch.Tensor, tuple[int, int]]


class Photos(Dataset[Item]):
    """Pictures float32 [3, 640, 640], RGB, 0 to 1, with the height and width of the photo."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._letterbox = LetterBox((SIDE, SIDE), auto=False)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Item:
        image: Any = cv2.imread(self._paths[index])
        picture = self._letterbox(image=image)[..., ::-1].transpose(2, 0, 1)
        return torch.from_numpy(picture.copy()).float() / 255, image.shape[:2]


def collate(items: Sequence[Item]) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """A batch of pictures, and the photos' sizes."""
    return torch.stack([picture for picture, _ in items]), [size_hw for _, size_hw in items]


def main() -> None:
    """Load, then go over the photos batch by batch."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1, help="processes that read and letterbox")
    parser.add_argument("--threads", type=int, help="of torch; without it, torch's own choice")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    network = YOLO(given.weights, task="detect").model.fuse().eval()

    def detect(pictures: torch.Tensor, sizes_hw: Sequence[tuple[int, int]]) -> int:
        kept = non_max_suppression(network(pictures)[0], conf_thres=0.25, iou_thres=0.7, max_det=300)
        for rows, size_hw in zip(kept, sizes_hw, strict=True):
            scale_boxes((SIDE, SIDE), rows[:, :4], size_hw)
        return sum(map(len, kept))

    @torch.inference_mode()
    def one_pass(paths: Sequence[str]) -> int:
        loader = DataLoader(Photos(paths), batch_size=given.batch, num_workers=given.workers, collate_fn=collate)
        return sum(detect(*batch) for batch in loader)

    turns.take(read_images(given.images), one_pass)


if __name__ == "__main__":
    main()
