"""Annotated pictures: boxes and labels drawn into the pictures they were found in."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import ClassVar

from sightline.annotate import DEFAULT_JPEG_QUALITY, Picture, decode_upright, draw, encode_jpeg, require_annotators
from sightline.detections import Detections, Result, Source
from sightline.errors import ImageError, InvalidOptionError, OutputError
from sightline.writers.base import Write, Writer
from sightline.writers.files import OutputNames, make_folder, reason_of, write_whole

ANNOTATED_FOLDER = "annotated"
_LARGE_PIXELS = 50_000_000


class AnnotatedWriter(Writer):
    """`annotated/NAME.jpg` for every picture, upright (EXIF rotation applied, and no tag left to apply it again)."""

    name: ClassVar[str] = "annotated picture"
    in_order: ClassVar[bool] = False

    def __init__(self, folder: Path, *, base: Path, jpeg_quality: int = DEFAULT_JPEG_QUALITY) -> None:
        """Write below `folder`, mirroring the folders that pictures have below `base`.

        Args:
            folder: where `annotated/` is made.
            base: the folder whose structure is mirrored.
            jpeg_quality: 1 (small) to 100 (faithful).

        Raises:
            InvalidOptionError: the quality is out of range.
            MissingDependencyError: the `annotate` extra is not installed.
            OutputError: the folder cannot be made.
        """
        if not 1 <= jpeg_quality <= 100:
            raise InvalidOptionError(f"JPEG quality is {jpeg_quality}; it must lie from 1 to 100")
        require_annotators()
        self._folder = folder / ANNOTATED_FOLDER
        self._names = OutputNames(base)
        self._jpeg_quality = jpeg_quality
        # Of the large pictures only one is in memory at a time, however many threads write.
        self._one_large = threading.Lock()
        make_folder(self._folder)

    def prepare(self, result: Result) -> Write:
        """See `Writer`."""
        return self.prepare_sharing(result, SharedPicture(result.source))

    def prepare_sharing(self, result: Result, decoded: SharedPicture) -> Write:
        """As `prepare`, with a picture that others draw into as well."""
        name = self._names.claim(result.source)
        path = self._folder / name.with_name(name.name + ".jpg")
        return partial(self._write, decoded, path, result.unwrap())

    def _write(self, decoded: SharedPicture, path: Path, detections: Detections) -> None:
        height, width = detections.image_size_hw
        if height * width > _LARGE_PIXELS:
            with self._one_large:
                encoded = self._encode(decoded.decode(), detections)
        else:
            encoded = self._encode(decoded.picture, detections)
        write_whole(path, encoded)

    def _encode(self, picture: Picture, detections: Detections) -> bytes:
        return encode_jpeg(draw(picture, detections), quality=self._jpeg_quality)


class SharedPicture:
    """The picture of a result, decoded when it is first drawn into; for one thread at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._picture: Picture | None = None

    @property
    def picture(self) -> Picture:
        """It, kept as long as this object; nobody may change it.

        Raises:
            OutputError: it cannot be read or decoded any more.
        """
        if self._picture is None:
            self._picture = self.decode()
        return self._picture

    def decode(self) -> Picture:
        """It, decoded now and not kept.

        Raises:
            OutputError: as `picture`.
        """
        try:
            return decode_upright(Path(self._source).read_bytes())
        except OSError as error:
            raise OutputError(f"cannot read the picture again: {reason_of(error)}") from error
        except ImageError as error:
            raise OutputError(str(error)) from error
