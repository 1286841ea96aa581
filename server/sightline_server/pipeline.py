"""The DALI pipeline of a preprocessing model, run from Python on the CPU or a GPU."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.errors import LaunchError, MissingDependencyError
from sightline.preprocessing import Preprocessing
from sightline_server.dlpack import CPU, CUDA, RawArray
from sightline_server.fitting import Fitter, has_opencv

DECODER = "decode"
"""Name of the pipeline that a preprocessing model's `dali.py` offers for hosts with OpenCV; it need not."""
GPU_SWITCH = "ON_GPU"
"""Name of the variable by which a preprocessing model's `dali.py` decodes on a GPU."""

# DALI turns its C++ exceptions into these.
PIPELINE_ERRORS = (RuntimeError, ValueError, IndexError, TypeError, MemoryError)


Encoded = bytes | npt.NDArray[np.uint8]
"""The bytes of an image file."""

_MODULE_NAME = "sightline_preprocessing_model"


class _UncachedLoader(SourceLoader):
    """Writes no `__pycache__` into the model repository: a server that root runs would leave what others cannot remove.

    The server's environment cannot say this, since Triton's interpreter ignores it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def get_filename(self, fullname: str) -> str:
        return str(self._file)

    def get_data(self, path: str) -> bytes:
        return Path(path).read_bytes()


class Pictures(NamedTuple):
    """Of the network's size: `images` uint8 or float32 [N, H, W, 3], `original_shapes` int64 [N, 3] h, w, channels.

    `rectangles_hw`, int64 [N, 2], are heights and widths of what the model gives as `contract.RECTANGLE`, 0 where it
    gives no such.

    On a GPU `images` are a list of N arrays [1, H, W, 3] there (`RawArray`), each of which keeps its memory.
    """

    images: Any
    original_shapes: npt.NDArray[np.int64]
    rectangles_hw: npt.NDArray[np.int64]


class Pipeline:
    """A DALI pipeline that can be used again after a failure.

    Args:
        file: the model's `dali.py`.
        max_batch_size: most images in one run.
        threads: threads that decode.
        with_opencv: on a CPU, only decode with DALI, where the model offers that, and do the rest with OpenCV; by
            default, where OpenCV is installed.
        device: number of the GPU that decodes and resizes; None for the CPU.

    Attributes:
        device: likewise.

    Raises:
        MissingDependencyError: DALI is not installed.
        LaunchError: the file does not hold exactly one `@autoserialize` pipeline.
    """

    def __init__(
        self,
        file: Path,
        *,
        max_batch_size: int,
        threads: int,
        with_opencv: bool | None = None,
        device: int | None = None,
    ) -> None:
        if device is None:
            # Before DALI and the file look for a GPU: this pipeline runs on the CPU.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        module = load_model_file(file)
        if device is None:
            # That came too late where this process has tried a GPU already.
            setattr(module, GPU_SWITCH, False)
        self.device = device
        self._make, self._fitter = _only_pipeline(module, file), None
        if device is None and (has_opencv() if with_opencv is None else with_opencv) and hasattr(module, DECODER):
            self._make = getattr(module, DECODER)
            self._fitter = Fitter(Preprocessing(module.KIND, tuple(module.SIDES)), most=max_batch_size)
        self._options = {"batch_size": max_batch_size, "num_threads": threads, "device_id": device}
        self._pipeline: Any = None
        self._built()

    @property
    def uses_opencv(self) -> bool:
        """Whether OpenCV resizes."""
        return self._fitter is not None

    def run(self, files: Sequence[Encoded]) -> Pictures:
        """Decode image files, none of them empty, and bring them to size; numpy arrays stay valid until the next run.

        Raises:
            RuntimeError, ValueError, IndexError, TypeError, MemoryError: DALI failed, on whichever image.
        """
        try:
            images, shapes, *rectangles = self._built().run(encoded=[np.frombuffer(data, np.uint8) for data in files])
        except PIPELINE_ERRORS:
            # A pipeline that failed stays unusable. Building one takes about 10 ms, on a CPU.
            self._pipeline = None
            raise
        original_shapes = np.asarray(shapes.as_tensor())
        if self._fitter is not None:
            fitted = self._fitter.fit([np.asarray(image) for image in images])
            return Pictures(fitted.images, original_shapes, fitted.rectangles_hw)
        rectangles_hw = np.zeros((len(files), 2), np.int64)
        for each in rectangles:
            rectangles_hw[:] = [rectangle.shape() for rectangle in each]
        if self.device is not None:
            return Pictures(rows_of(images), original_shapes, rectangles_hw)
        return Pictures(np.asarray(images.as_tensor()), original_shapes, rectangles_hw)

    def _built(self) -> Any:
        if self._pipeline is None:
            self._pipeline = self._make(**self._options)
            self._pipeline.build()
        return self._pipeline


def rows_of(pictures: Any) -> list[RawArray]:
    """What a DALI pipeline gave, wherever it lies, as arrays of one picture each, [1, H, W, 3], without copying.

    They are ready to be read, since `run` without a stream waits for the GPU, and stay as they are, since pipelines
    like ours (DALI's default way to execute) never write into what they once gave.
    """
    from nvidia.dali import tensors, types

    on_gpu = isinstance(pictures, tensors.TensorListGPU)
    rows = []
    for index in range(len(pictures)):
        picture = pictures[index]
        rows.append(
            RawArray(
                pointer=int(picture.data_ptr()),
                shape=(1, *picture.shape()),
                dtype=np.dtype(types.to_numpy_type(picture.dtype)),
                device=(CUDA, picture.device_id()) if on_gpu else (CPU, 0),
                owner=(pictures, picture),
            )
        )
    return rows


def dali_version() -> str:
    """Version of the DALI that is installed; a pipeline has been made before."""
    from nvidia import dali

    version: str = dali.__version__
    return version


def load_model_file(file: Path) -> ModuleType:
    """The module that a `dali.py` makes.

    Raises:
        MissingDependencyError: DALI is not installed.
        LaunchError: there is no such Python file.
    """
    loader = _UncachedLoader(file)
    spec = importlib.util.spec_from_file_location(_MODULE_NAME, file, loader=loader)
    if spec is None or not file.is_file():
        raise LaunchError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nvidia"):
            raise MissingDependencyError("DALI is not installed: `make install` in a checkout") from error
        raise
    return module


def _only_pipeline(module: ModuleType, file: Path) -> Callable[..., Any]:
    marked = [value for value in vars(module).values() if getattr(value, "_is_autoserialize", False)]
    if len(marked) != 1:
        raise LaunchError(f"{file} holds {len(marked)} @autoserialize pipelines; the DALI backend wants exactly one")
    make: Callable[..., Any] = marked[0]
    return make
