"""What counts as an image: a path, the bytes of an image file, or an `EncodedImage`. Nothing is decoded here."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.detections import Source
from sightline.errors import ImageTooLargeError, InvalidOptionError, UnreadableImageError

DEFAULT_MAX_IMAGE_BYTES = 512 * 1024 * 1024
"""Largest file that is sent."""

_PEEKED_BYTES = 256 * 1024
_BMP_HEADER = struct.Struct("<2sIHHI IiiHHIIiiII")
_BMP_RESOLUTION = 2835  # pixels per metre: 72 dpi


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of an image file, and a name for them.

    Attributes:
        source: name that the result carries.
        data: a whole JPEG, PNG, WebP, BMP or TIFF file.

    Raises:
        InvalidOptionError: `data` is not `bytes`.
    """

    source: Source
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes):
            raise InvalidOptionError(
                f"data is {type(self.data).__name__}; it must be the bytes of an image file "
                "(for an array of pixels: EncodedImage.from_array)"
            )

    @classmethod
    def from_array(cls, rgb: npt.NDArray[np.uint8], *, source: Source = "array") -> EncodedImage:
        """Encode pixels without loss, as BMP.

        Args:
            rgb: uint8 (H, W, 3), red first, 0 to 255; H and W at least 1. OpenCV's frames are BGR: `frame[..., ::-1]`.
            source: name that the result carries.

        Raises:
            InvalidOptionError: another type or shape.
        """
        return cls(source, _encode_bmp(_checked_rgb(rgb)))


Image = str | Path | bytes | EncodedImage
"""What the client takes."""


def check_image_type(image: object) -> None:
    """Refuse what is not an `Image`, with a hint.

    Raises:
        InvalidOptionError: it is of another type.
    """
    if isinstance(image, (str, Path, bytes, EncodedImage)):
        return
    hint = "; for an array of pixels use EncodedImage.from_array" if hasattr(image, "shape") else ""
    raise InvalidOptionError(
        f"an image is a path (str or Path), the bytes of a file, or an EncodedImage; came {type(image).__name__}{hint}"
    )


def read_image_file(path: str | Path, *, max_bytes: int = DEFAULT_MAX_IMAGE_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        UnreadableImageError: it cannot be opened or read, or is a folder, a pipe or a device.
        ImageTooLargeError: it has more than `max_bytes` bytes.
    """
    data, _ = _read(path, max_bytes, max_bytes)
    check_size(len(data), max_bytes=max_bytes)
    return data


def peek_image_file(path: str | Path, *, short_bytes: int, max_bytes: int) -> tuple[bytes, int]:
    """All of a regular file up to `short_bytes` bytes, of a longer one the first 256 KB; and its length in bytes.

    Raises:
        UnreadableImageError, ImageTooLargeError: as `read_image_file`.
    """
    return _read(path, short_bytes, max_bytes)


def _read(path: str | Path, short_bytes: int, max_bytes: int) -> tuple[bytes, int]:
    try:
        # Unbuffered: the bytes go from the system into their final place, once.
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImageError(f"cannot read {str(path)!r}: it is {_kind_of(status.st_mode)}, not a file")
            check_size(status.st_size, max_bytes=max_bytes)
            return file.read(_PEEKED_BYTES if status.st_size > short_bytes else -1), status.st_size
    except OSError as error:
        raise UnreadableImageError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL, or a character that the file system's encoding lacks
        raise UnreadableImageError(f"cannot read {str(path)!r}: not a possible file name ({error})") from error


def check_size(size_bytes: int, *, max_bytes: int) -> None:
    """Refuse a file above the limit.

    Raises:
        ImageTooLargeError: it is.
    """
    if size_bytes > max_bytes:
        raise ImageTooLargeError(
            f"{size_bytes:,} bytes are above the limit of {max_bytes:,}; raise max_image_bytes if that is wanted"
        )


def _open_without_waiting(path: str, flags: int) -> int:
    """Opening a named pipe that nobody writes to would otherwise wait for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _kind_of(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")


def _checked_rgb(rgb: Any) -> npt.NDArray[np.uint8]:
    array = np.asarray(rgb)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise InvalidOptionError(
            f"an image array must be uint8 (height, width, 3), at least 1 x 1; came {array.dtype} {array.shape}"
        )
    return array


def _encode_bmp(rgb: npt.NDArray[np.uint8]) -> bytes:
    """24-bit BMP: rows from bottom to top, blue first, each padded to a multiple of 4 bytes."""
    height, width = rgb.shape[:2]
    row_bytes = -(-width * 3 // 4) * 4
    size = row_bytes * height
    if _BMP_HEADER.size + size >= 1 << 32:
        raise InvalidOptionError(f"an array of {height} x {width} pixels does not fit into a BMP of 4 GiB")
    rows = np.zeros((height, row_bytes), np.uint8)
    rows[:, : width * 3] = rgb[::-1, :, ::-1].reshape(height, width * 3)
    offset = _BMP_HEADER.size
    header = _BMP_HEADER.pack(
        *(b"BM", offset + size, 0, 0, offset),
        *(40, width, height, 1, 24, 0, size, _BMP_RESOLUTION, _BMP_RESOLUTION, 0, 0),
    )
    return header + rows.tobytes()
