# mypy: allow-untyped-decorators
"""Encoded image files in; an RGB picture of the network's size and the original shape out.

Triton loads this file (`default_model_filename: "dali.py"`). It needs nothing but DALI, and it is the same for every
preprocessing except for KIND and SIDES. It decodes on the GPU where libcuda finds one, and on the CPU elsewhere.
"""

import ctypes
import os
from typing import Any

from nvidia.dali import __version__, fn, math, pipeline_def, types
from nvidia.dali.plugin.triton import autoserialize

KIND = "letterbox"
SIDES = (640,)
# torchvision, for which these are made, does not round to whole grey levels.
NOT_ROUNDED = KIND in ("resize", "stretch_float")
# A square with borders; of a "rect", SIDES are that of the square and what those of the rectangle are multiples of.
HAS_BORDERS = KIND in ("letterbox", "rect")
PAD_VALUE = 114
MAX_BATCH_SIZE = 16


def has_gpu() -> bool:
    """Whether libcuda is there and finds a device; DALI wants `device_id=None` where it does not."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


ON_GPU = has_gpu()
# Until DALI 2.1, only the experimental decoders turn pictures as EXIF says, read every WebP and give RGB for grey.
DECODING = fn if tuple(map(int, __version__.split(".")[:2])) >= (2, 2) else fn.experimental
OPTIONS = {
    "batch_size": MAX_BATCH_SIZE,
    "num_threads": len(os.sched_getaffinity(0)),
    "prefetch_queue_depth": 1,
}


def encoded_input() -> Any:
    """The model's only input: the bytes of a file per image; zero bytes after its end change nothing."""
    return fn.external_source(name="encoded", dtype=types.UINT8, ndim=1, device="cpu")


def decoded(encoded: Any) -> Any:
    """Pictures [H, W, 3] RGB of their own sizes."""
    return DECODING.decoders.image(
        encoded,
        device="mixed" if ON_GPU else "cpu",
        output_type=types.RGB,
        jpeg_fancy_upsampling=True,
        # All to the hardware decoder where there is one: a share would make a picture depend on its batch.
        hw_decoder_load=1.0,
    )


def target_size(original_shape: Any) -> Any:
    """Height and width, whole numbers in FLOAT, of the picture before borders."""
    size_hw = fn.cast(original_shape[:2], dtype=types.FLOAT64)
    sides_hw = {"letterbox": fitted, "rect": fitted, "resize": resized}.get(KIND, stretched)(size_hw)
    return fn.cast(math.max(sides_hw, 1), dtype=types.FLOAT)


def fitted(size_hw: Any) -> Any:
    """The largest size that fits into the square.

    Computed here because `fn.resize(mode="not_larger")` rounds half up, and Ultralytics, whose detectors are trained
    on its own letterbox, half to even: with the former, a photo of 1280 x 853 would be a row off.
    """
    exact = size_hw * math.min(SIDES[0] / size_hw[0], SIDES[0] / size_hw[1])
    rounded = math.floor(exact + 0.5)
    is_odd_tie = (rounded - exact == 0.5) & (rounded - 2 * math.floor(rounded / 2) == 1)
    return rounded - is_odd_tie


def resized(size_hw: Any) -> Any:
    """Shorter side SIDES[0], or longer side SIDES[-1] where that is smaller; rounded down, as torchvision does."""
    shorter, longer = math.min(size_hw[0], size_hw[1]), math.max(size_hw[0], size_hw[1])
    return math.floor(size_hw * math.min(SIDES[0] / shorter, SIDES[-1] / longer))


def stretched(size_hw: Any) -> Any:
    """Always the square."""
    return size_hw * 0 + SIDES[0]


def rectangle(original_shape: Any) -> tuple[Any, ...]:
    """Of a "rect", the model's third output: zeros, as many rows and columns as the network is to see strides of.

    What is meant is the shape: Triton joins only requests that agree in it. A request of several images is answered
    with their largest height and width, by Triton's DALI backend too, which pads nothing and so cannot be trusted with
    values whose shape varies within a request.
    """
    if KIND != "rect":
        return ()
    strides_hw = math.ceil(target_size(original_shape) / SIDES[-1])
    return (fn.zeros(shape=fn.cast(strides_hw, dtype=types.INT32), dtype=types.INT32),)


@autoserialize
@pipeline_def(device_id=0 if ON_GPU else None, **OPTIONS)
def preprocess() -> tuple[Any, ...]:
    """What Triton's DALI backend runs: `images` [H, W, 3] RGB, `original_shape` INT64 [3] after EXIF rotation."""
    encoded = encoded_input()
    original_shape = DECODING.peek_image_shape(encoded, dtype=types.INT64)
    images = decoded(encoded)
    images = fn.resize(
        images,
        size=target_size(original_shape),
        dtype=types.FLOAT if NOT_ROUNDED else types.UINT8,
        interp_type=types.INTERP_LINEAR,
        antialias=False,
        subpixel_scale=False,
    )
    if HAS_BORDERS:
        images = fn.crop(
            images,
            crop=(SIDES[0], SIDES[0]),
            out_of_bounds_policy="pad",
            fill_values=PAD_VALUE,
            rounding="truncate",
        )
    return images, original_shape, *rectangle(original_shape)


@pipeline_def(device_id=None, **OPTIONS)
def decode() -> tuple[Any, Any]:
    """For a server that runs DALI from Python on a CPU: pictures [H, W, 3] RGB of their own sizes, `original_shape`.

    That server does the rest with OpenCV, as KIND and SIDES say, many times faster than DALI; Triton's own DALI backend
    never builds this one.
    """
    encoded = encoded_input()
    original_shape = DECODING.peek_image_shape(encoded, dtype=types.INT64)
    return decoded(encoded), original_shape
