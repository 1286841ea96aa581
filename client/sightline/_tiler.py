"""Cuts a large picture into tiles, has them looked at, and joins what they give."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sightline._loading import Checked
from sightline._options import ClientOptions
from sightline.annotate import Picture, decode_upright
from sightline.detections import Detections, Result, Source
from sightline.errors import CorruptImageError, ImageError, MissingDependencyError
from sightline.images import EncodedImage
from sightline.preprocessing import Preprocessing
from sightline.seams import FAINTEST, View, join
from sightline.tiling import Tiling

_BYTES_PER_PIXEL = 3


class Sendable(Protocol):
    """What goes into a request: an image, or a part of one."""

    @property
    def source(self) -> Source:
        """Its name."""

    @property
    def data(self) -> bytes:
        """An image file."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Its height and width in pixels, after EXIF rotation."""

    @property
    def faintest(self) -> float:
        """Of the score that is wanted, 0 to 1: what it is asked for."""


Answer = Callable[[Sequence[Sendable]], list[Result]]
"""Sends images as one request."""


@dataclass(frozen=True)
class _Part:
    """A part of a picture, as it travels."""

    source: Source
    picture: Picture
    rectangle_xyxy: tuple[int, int, int, int]
    size_hw: tuple[int, int]

    @property
    def faintest(self) -> float:
        """Of the score that is wanted: other views may be surer of what is faint here."""
        return FAINTEST

    @property
    def data(self) -> bytes:
        """Without loss; made anew for each request, so that no memory is held for tiles that wait for their turn."""
        left, top, right, bottom = self.rectangle_xyxy
        pixels = self.picture[top:bottom, left:right]
        if pixels.shape[:2] != self.size_hw:
            import cv2

            pixels = cv2.resize(pixels, self.size_hw[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
        return EncodedImage.from_array(pixels[..., ::-1]).data

    def view(self, found: Detections) -> View:
        """What was found in it, in pixels of the picture."""
        left, top, right, bottom = self.rectangle_xyxy
        height, width = self.size_hw
        scale = np.array([(right - left) / width, (bottom - top) / height] * 2)
        boxes = (found.boxes_xyxy * scale + (left, top, left, top)).astype(np.float32)
        moved = Detections(boxes, found.scores, found.class_ids, found.class_names, self.picture.shape[:2])
        return View(self.rectangle_xyxy, moved)


class Tiler:
    """Finds objects in pictures that are larger than a tile.

    Args:
        tiling: how they are cut.
        preprocessing: what becomes of a picture before the network sees it.
        per_request: tiles in one request at the most.
        options: limits.

    Raises:
        InvalidOptionError: the tiles do not match the network.
        MissingDependencyError: OpenCV, which decodes and cuts, is not installed.
    """

    def __init__(
        self, tiling: Tiling, preprocessing: Preprocessing, *, per_request: int, options: ClientOptions
    ) -> None:
        tiling.check_fits(preprocessing)
        if importlib.util.find_spec("cv2") is None:
            raise MissingDependencyError("cutting pictures into tiles needs OpenCV: `make install` in a checkout")
        self._tiling = tiling
        self._preprocessing = preprocessing
        self._threads = options.fewest_in_flight
        tile_bytes = math.prod(self._sent_hw((tiling.tile, tiling.tile))) * _BYTES_PER_PIXEL
        self._per_request = max(1, min(per_request, options.batch_bytes // tile_bytes))

    def cuts(self, image_size_hw: tuple[int, int]) -> bool:
        """Whether a picture of that height and width in pixels is larger than one tile."""
        return self._tiling.cuts(image_size_hw)

    def detect(self, image: Checked, answer: Answer, *, score_threshold: float) -> Result:
        """What there is in the picture, or the error of any of its tiles.

        Args:
            image: the picture.
            answer: sends its parts.
            score_threshold: lowest score of an object, 0 to 1.

        Raises:
            ClientStateError: the client was closed meanwhile.
        """
        try:
            picture = _decoded(image)
        except ImageError as error:
            return Result(image.source, error=error)
        begun = time.perf_counter()
        parts = self._parts(image, picture)
        views: list[View] = []
        for part, result in zip(parts, self._answers(parts, answer), strict=True):
            if result.detections is None:
                return Result(image.source, error=result.error)
            views.append(part.view(result.detections))
        names = views[0].found.class_names
        found = join(views, class_names=names, image_size_hw=image.size_hw, score_threshold=score_threshold)
        return Result(image.source, detections=found, milliseconds=1000 * (time.perf_counter() - begun))

    def _answers(self, parts: Sequence[_Part], answer: Answer) -> list[Result]:
        """One for each, or up to the first request that failed."""
        results: list[Result] = []
        starts = range(0, len(parts), self._per_request)
        with ThreadPoolExecutor(min(self._threads, len(starts)), thread_name_prefix="sightline-tiles") as threads:
            futures: list[Future[list[Result]]] = [
                threads.submit(answer, parts[start : start + self._per_request]) for start in starts
            ]
            try:
                for future in futures:
                    results += future.result()
                    if any(result.error is not None for result in results):
                        break
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
        return results

    def _parts(self, image: Checked, picture: Picture) -> list[_Part]:
        height, width = image.size_hw
        parts = []
        if self._tiling.whole:
            sent_hw = self._fitted_hw(image.size_hw)
            parts.append(_Part(image.source, picture, (0, 0, width, height), sent_hw))
        for left, top, right, bottom in self._tiling.tiles_xyxy(image.size_hw).tolist():
            sent_hw = self._sent_hw((bottom - top, right - left))
            parts.append(_Part(image.source, picture, (left, top, right, bottom), sent_hw))
        return parts

    def _sent_hw(self, tile_hw: tuple[int, int]) -> tuple[int, int]:
        """Size in which a tile travels: what the network takes where that is smaller and the same picture."""
        return tile_hw if self._preprocessing.kind == "resize" else self._fitted_hw(tile_hw)

    def _fitted_hw(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Size in which the network takes a picture, without borders; its own where that is smaller."""
        before = self._preprocessing
        fitted_hw = before.fitting(size_hw).resized_hw if before.has_borders else before.seen_hw(size_hw)
        return fitted_hw if fitted_hw[0] * fitted_hw[1] < size_hw[0] * size_hw[1] else size_hw


def _decoded(image: Checked) -> Picture:
    picture = decode_upright(image.data)
    if picture.shape[:2] != image.size_hw:
        came, said = picture.shape, image.size_hw
        raise CorruptImageError(f"decoded to {came[1]} x {came[0]} pixels, its header says {said[1]} x {said[0]}")
    return picture
