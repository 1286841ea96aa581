"""Stand-in for Triton's native DALI backend: runs a model's own `dali.py` from Python, on the CPU or a GPU.

Unlike the native backend it looks at each image's header before decoding, and an image that cannot be decoded fails
its own request only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from sightline import contract
from sightline.contract import EngineInfo
from sightline.errors import InferenceError, LaunchError
from sightline_server import environment
from sightline_server.cpu import threads_per_instance
from sightline_server.cuda import open_device
from sightline_server.decoding import Fault, Preprocessed, Preprocessor
from sightline_server.dlpack import adjoining
from sightline_server.engine_report import record_engine
from sightline_server.gpu import instance_device
from sightline_server.pipeline import PIPELINE_ERRORS, Pipeline, dali_version
from sightline_server.samples import DTYPES

_REASON_LENGTH = 400


class TritonPythonModel:
    """One instance of a preprocessing model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Build the model's pipeline."""
        config = json.loads(args["model_config"])
        file = Path(args["model_repository"]) / args["model_version"] / config["default_model_filename"]
        threads = threads_per_instance(config)
        self._outputs = [output["name"] for output in config["output"]]
        reason = self._open(file, config["max_batch_size"], threads, instance_device(args))
        self._isolate = environment.isolate_images()
        self._preprocessor = Preprocessor(
            self._pipeline,
            picture_hw=_picture_hw(config),
            max_pixels=_max_pixels(config),
            dtype=_element_type(config),
        )
        version = dali_version()
        record_engine(
            args["model_name"],
            EngineInfo(
                engine="dali",
                version=version,
                precision=_element_type(config),
                threads=threads,
                device="cpu" if self._gpu is None else "gpu",
                reason=reason,
            ),
        )
        log = pb_utils.Logger.log_warn if reason else pb_utils.Logger.log_info
        log(
            f"{args['model_instance_name']}: {file.name} with DALI {version} {self._place()}, threads: {threads}"
            + (f"; {reason}" if reason else "")
        )

    def _open(self, file: Path, max_batch_size: int, threads: int, device: int | None) -> str:
        """Build the pipeline; why it is not on the GPU where it ought to be, empty otherwise."""
        reason = ""
        self._gpu = None
        if device is not None:
            try:
                self._gpu = open_device(device)
                self._pipeline = Pipeline(file, max_batch_size=max_batch_size, threads=threads, device=device)
            except (LaunchError, *PIPELINE_ERRORS) as error:
                self._gpu = None
                reason = f"on the CPU: DALI cannot use GPU {device}: {' '.join(str(error).split())[:_REASON_LENGTH]}"
        if self._gpu is None:
            self._pipeline = Pipeline(file, max_batch_size=max_batch_size, threads=threads)
        return reason

    def _place(self) -> str:
        if self._pipeline.device is not None:
            return f"on GPU {self._pipeline.device}"
        slow = "DALI, many times slower: OpenCV is not installed, or an older Sightline exported the model"
        resize = "OpenCV" if self._pipeline.uses_opencv else slow
        return f"on the CPU, resized by {resize}"

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a dynamic batch, each of one or several images padded with zeros to the longest."""
        batches = [_files(request) for request in requests]
        try:
            pictures = self._run([data for files in batches for data in files])
        except PIPELINE_ERRORS as error:
            return [_failure(f"DALI error: {error}") for _ in requests]
        responses, start = [], 0
        for files in batches:
            responses.append(self._response(pictures, start, start + len(files)))
            start += len(files)
        return responses

    def _run(self, files: list[npt.NDArray[np.uint8]]) -> Preprocessed:
        if self._isolate:
            return self._preprocessor.run(files)
        return Preprocessed(*self._pipeline.run(files), {})

    def _response(self, pictures: Preprocessed, start: int, stop: int) -> Any:
        bad = [index for index in range(start, stop) if index in pictures.errors]
        if bad:
            return _blame(pictures.errors, bad, start, stop)
        images, original_shapes, *rectangles = self._outputs
        tensors = [
            self._tensor(images, pictures.images[start:stop]),
            pb_utils.Tensor(original_shapes, pictures.original_shapes[start:stop]),
        ]
        for name in rectangles:
            # The smallest that holds those of all images of the request.
            shape = (stop - start, *pictures.rectangles_hw[start:stop].max(axis=0))
            tensors.append(pb_utils.Tensor(name, np.zeros(shape, contract.RECTANGLE.dtype)))
        return pb_utils.InferenceResponse(output_tensors=tensors)

    def _tensor(self, name: str, pictures: Any) -> Any:
        """Pictures for Triton, which copies those of a GPU within it before it asks for the next batch."""
        if self._gpu is None:
            return pb_utils.Tensor(name, pictures)
        whole = adjoining(pictures)
        if whole is not None:
            return pb_utils.Tensor.from_dlpack(name, whole)
        # One request's pictures from several runs of the pipeline: together they were too large for one.
        return pb_utils.Tensor(name, np.concatenate([self._gpu.to_host(picture) for picture in pictures]))


def _files(request: Any) -> list[npt.NDArray[np.uint8]]:
    """The request's files where Triton put them: there may be many large ones in a batch, and no need for a copy."""
    return list(pb_utils.get_input_tensor_by_name(request, contract.ENCODED.name).as_numpy())


def _failure(message: str, *, of_the_server: bool = False) -> Any:
    code = pb_utils.TritonError.INTERNAL if of_the_server else pb_utils.TritonError.INVALID_ARG
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def _blame(errors: dict[int, Fault], bad: list[int], start: int, stop: int) -> Any:
    """The answer to a request whose images are `start` to `stop` of the batch, of which `bad` cannot be used."""
    first = errors[bad[0]]
    if isinstance(first, InferenceError):
        return _failure(str(first), of_the_server=True)
    reason = str(first)
    if stop - start > 1:
        others = f" (and {len(bad) - 1} more of them cannot be used)" if len(bad) > 1 else ""
        reason = f"image {bad[0] - start + 1} of {stop - start}: {reason}{others}"
    return _failure(contract.format_image_error(first.kind, reason))


def _element_type(config: dict[str, Any]) -> str:
    """Of the pictures, such as `uint8`."""
    name: str = np.dtype(DTYPES[config["output"][0]["data_type"]]).name
    return name


def _picture_hw(config: dict[str, Any]) -> tuple[int, int]:
    height, width = (int(side) for side in config["output"][0]["dims"][:2])
    return height, width


def _max_pixels(config: dict[str, Any]) -> int:
    parameter = config["parameters"].get(contract.MAX_PIXELS_PARAMETER)
    return int(parameter["string_value"]) if parameter else contract.DEFAULT_MAX_PIXELS
