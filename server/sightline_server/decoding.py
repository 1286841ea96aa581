"""From the bytes of image files to pictures of the network's size, where a bad image costs the others nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.contract import PIXELS_AT_ONCE
from sightline.errors import CorruptImageError, ImageError, InferenceError
from sightline.headers import ImageHeader, check_image
from sightline_server.dlpack import Values
from sightline_server.pipeline import PIPELINE_ERRORS, Encoded, Pictures, Pipeline

# DALI's words for what is no picture's fault: a GPU's memory that is full, for example.
_NOT_THE_PICTURE = re.compile("CUDA (?:driver|runtime) API error[^\n]*|CUDA allocation failed|std::bad_alloc")
Fault = ImageError | InferenceError


class Preprocessed(NamedTuple):
    """A batch: one row per image; those that `errors` (index to error) names have zeros, or None on a GPU.

    An `InferenceError` there says that the machine failed, not the image. Numpy arrays stay valid until the next call;
    types and shapes as in `Pictures`.
    """

    images: Any
    original_shapes: npt.NDArray[np.int64]
    rectangles_hw: npt.NDArray[np.int64]
    errors: dict[int, Fault]


class Preprocessor:
    """Runs a preprocessing pipeline so that every image gets its picture or its own error.

    Args:
        pipeline: the model's pipeline.
        picture_hw: height and width of its pictures in pixels, -1 where they vary; then it takes one image at a time.
        max_pixels: largest width x height that is decoded.
        pixels_at_once: most pixels that are decoded at the same time, unless a single image has more.
        dtype: element type of its pictures.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        picture_hw: tuple[int, int],
        max_pixels: int,
        pixels_at_once: int = PIXELS_AT_ONCE,
        dtype: npt.DTypeLike = np.uint8,
    ) -> None:
        self._pipeline = pipeline
        self._blank_hw = tuple(max(1, side) for side in picture_hw)
        self._max_pixels = max_pixels
        self._pixels_at_once = pixels_at_once
        self._dtype = np.dtype(dtype)

    def run(self, files: Sequence[Encoded]) -> Preprocessed:
        """Pictures and errors of `files`, of which there are at most as many as the pipeline takes at once."""
        headers, errors = self._check(files)
        chunks = list(_chunks(headers, self._pixels_at_once))
        if len(chunks) == 1 and not errors:
            pictures = self._try(files)
            if isinstance(pictures, Pictures):
                return Preprocessed(*pictures, errors)
            chunks = [[index] for index in headers] if len(headers) > 1 else []
            errors = {} if chunks else {0: _fault(headers[0], pictures)}
        images: Any = np.zeros((len(files), *self._blank_hw, 3), self._dtype)
        if self._pipeline.device is not None:
            images = [None] * len(files)
        shapes = np.zeros((len(files), 3), np.int64)
        rectangles_hw = np.zeros((len(files), 2), np.int64)
        for chunk in chunks:
            for index, picture, shape, rectangle_hw in self._pictures(files, headers, chunk, errors):
                images[index], shapes[index], rectangles_hw[index] = picture, shape, rectangle_hw
        return Preprocessed(images, shapes, rectangles_hw, errors)

    def _check(self, files: Sequence[Encoded]) -> tuple[dict[int, ImageHeader], dict[int, Fault]]:
        headers: dict[int, ImageHeader] = {}
        errors: dict[int, Fault] = {}
        for index, data in enumerate(files):
            try:
                headers[index] = check_image(bytes(data), max_pixels=self._max_pixels)
            except ImageError as error:
                errors[index] = error
        return headers, errors

    def _pictures(
        self, files: Sequence[Encoded], headers: dict[int, ImageHeader], chunk: list[int], errors: dict[int, Fault]
    ) -> Iterator[tuple[int, Values, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Index and row of `Pictures` of each image of a chunk that can be decoded; others are put into `errors`."""
        pictures = self._try([files[index] for index in chunk])
        if isinstance(pictures, Pictures):
            yield from zip(chunk, *pictures, strict=True)
        elif len(chunk) == 1:
            errors[chunk[0]] = _fault(headers[chunk[0]], pictures)
        else:
            # One by one rather than by halves: with one bad image of 16 that decodes 16 images again, not 30.
            for index in chunk:
                yield from self._pictures(files, headers, [index], errors)

    def _try(self, files: Sequence[Encoded]) -> Pictures | Exception:
        try:
            return self._pipeline.run(files)
        except PIPELINE_ERRORS as error:
            return error


def _chunks(headers: dict[int, ImageHeader], pixels_at_once: int) -> Iterator[list[int]]:
    """Indices in order, cut so that no chunk of several images holds more than `pixels_at_once`."""
    chunk: list[int] = []
    pixels = 0
    for index, header in headers.items():
        if chunk and pixels + header.pixels > pixels_at_once:
            yield chunk
            chunk, pixels = [], 0
        chunk.append(index)
        pixels += header.pixels
    if chunk:
        yield chunk


def _fault(header: ImageHeader, error: Exception) -> Fault:
    """What a pipeline's failure on this image alone means."""
    picture = f"{header.format} of {header.width} x {header.height} pixels"
    if found := _NOT_THE_PICTURE.search(str(error)):
        return InferenceError(f"{picture} was not decoded, which is the server's failure: DALI says {found[0]!r}")
    return CorruptImageError(
        f"{picture} cannot be decoded: it is damaged, or of a rare variant; save it again with an image editor"
    )
