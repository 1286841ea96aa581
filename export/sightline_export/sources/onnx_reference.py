"""An ONNX file at work as it came, before anything was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from sightline.detector_info import DetectorInfo
from sightline.errors import VerificationError
from sightline_export.pictures import Picture, preprocess
from sightline_export.pixels import PixelFormat
from sightline_export.reference import Found, detect
from sightline_export.session import Session

from .integer_conv import with_float_convolutions
from .interface import picture_input


@dataclass(frozen=True)
class _Running:
    session: Session
    input_name: str
    input_type: np.dtype[Any]
    remark: str


class OnnxFileReference:
    """A `SourceDetector`: the file itself in ONNX Runtime, and plain numpy behind it.

    Args:
        source: the file.
        output: name of its prediction.
        batched: whether it takes any number of pictures; else it gets one at a time.
        pixels: what it wants to see in a pixel.
        info: the layout of its prediction, its preprocessing, and the numbers of the suppression.
    """

    def __init__(self, source: Path, *, output: str, batched: bool, pixels: PixelFormat, info: DetectorInfo) -> None:
        self._source = source
        self._output = output
        self._batched = batched
        self._pixels = pixels
        self._info = info

    @property
    def description(self) -> str:
        """What runs."""
        return "the file's own output" + self._running.remark

    def detect(self, picture: Picture, *, score_threshold: float) -> Found:
        """Detections in a picture of any size, best first, in its pixels."""
        fitted = self._pixels.apply(preprocess(picture, self._info.preprocessing))
        prediction = self.raw(fitted[None])[0].astype(np.float32)
        size_hw = (picture.shape[0], picture.shape[1])
        return detect(prediction, info=self._info, image_size_hw=size_hw, score_threshold=score_threshold)

    def raw(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """The file's own predictions for float32 [N, 3, S, S].

        Raises:
            VerificationError: ONNX Runtime does not run the file.
        """
        running = self._running
        batches = [pictures] if self._batched else [picture[None] for picture in pictures]
        outputs = [
            running.session.run_named({running.input_name: batch.astype(running.input_type)}) for batch in batches
        ]
        return np.concatenate([output[self._output] for output in outputs])

    @cached_property
    def _running(self) -> _Running:
        model = onnx.load(self._source)
        try:
            session, remark = Session(model), ""
        except VerificationError:
            # ONNX Runtime up to 1.23 has no integer convolution of int8 weights.
            session, remark = Session(with_float_convolutions(model)), ", with float for integer convolutions"
        value = picture_input(model, self._source).value
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        return _Running(session, value.name, kind, remark)
