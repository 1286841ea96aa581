"""Format and pixel size of an image from the first bytes of its file, without decoding anything.

Client and server look at every image this way before they spend memory on it, so this module is pure Python, needs
nothing, and never raises anything but an `ImageError`, whatever the bytes are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from sightline._header_fields import (
    Fields,
    HeaderDamage,
    bmp_fields,
    gif_fields,
    jp2_fields,
    jpeg_2000_codestream_fields,
    jpeg_fields,
    png_fields,
    pnm_fields,
    tiff_fields,
    webp_fields,
)
from sightline.errors import CorruptImageError, EmptyImageError, ImageTooLargeError, UnsupportedImageError

PROMISED_FORMATS = ("JPEG", "PNG", "WebP", "BMP", "TIFF")
"""Formats for which a result is owed (TIFF with 8 bits per sample)."""
DECODED_FORMATS = (*PROMISED_FORMATS, "JPEG 2000", "PNM")
"""Formats that the server decodes."""


@dataclass(frozen=True)
class ImageHeader:
    """What the beginning of an image file says.

    Attributes:
        format: name of the file format, such as `"JPEG"`.
        width: stored pixels per row, before any rotation that EXIF asks for.
        height: stored rows, likewise.
        orientation: EXIF orientation, 1 to 8, of a JPEG, PNG, WebP or TIFF; 1 for every other format.
        animated: whether the file says that it holds several frames; only the first is decoded.
        complete: whether the file is as long as it says; a truncated one cannot be decoded.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    animated: bool = False
    complete: bool = True

    @property
    def pixels(self) -> int:
        """Width x height."""
        return self.width * self.height

    @property
    def image_size_hw(self) -> tuple[int, int]:
        """Height and width in pixels after EXIF rotation."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)

    @property
    def decoded(self) -> bool:
        """Whether the server decodes this format."""
        return self.format in DECODED_FORMATS


Parser = Callable[[bytes], Fields]

# By the first two bytes, which tell all sized formats apart; each parser checks the rest of its signature.
_PARSERS: dict[bytes, tuple[str, Parser]] = {
    b"\xff\xd8": ("JPEG", jpeg_fields),
    b"\x89P": ("PNG", png_fields),
    b"RI": ("WebP", webp_fields),
    b"BM": ("BMP", bmp_fields),
    b"GI": ("GIF", gif_fields),
    b"II": ("TIFF", tiff_fields),
    b"MM": ("TIFF", tiff_fields),
    b"\x00\x00": ("JPEG 2000", jp2_fields),
    b"\xff\x4f": ("JPEG 2000", jpeg_2000_codestream_fields),
    **{f"P{digit}".encode(): ("PNM", pnm_fields) for digit in range(1, 7)},
}
_SIGNATURES: dict[str, tuple[bytes, ...]] = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "WebP": (b"RIFF",),
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "PNM": tuple(f"P{digit}{space}".encode() for digit in range(1, 7) for space in " \t\r\n#"),
}

# Recognised so that the error can name them: offset, bytes there, name.
_NAMED_ONLY: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftyp", "MP4 or QuickTime video"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"\0\0\x01\0", "Windows icon"),
    (0, b"%PDF-", "PDF"),
    (0, b"<svg", "SVG"),
    (0, b"P7\n", "PAM"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM video"),
    (0, b"PK\x03\x04", "ZIP archive"),
    (8, b"AVI LIST", "AVI video"),
)


def inspect_header(data: bytes) -> ImageHeader:
    """Format, size and the like of the image whose file begins with `data`.

    Args:
        data: the whole file, or its beginning; with only the beginning, `complete` says nothing.

    Raises:
        EmptyImageError: there are no bytes.
        UnsupportedImageError: not an image, or of a format that is recognised by name only.
        CorruptImageError: the header is cut off or contradicts itself.
    """
    if not data:
        raise EmptyImageError("the file is empty (0 bytes)")
    found = _PARSERS.get(bytes(data[:2]))
    if found is None or not data.startswith(_SIGNATURES[found[0]]) or (found[0] == "WebP" and data[8:12] != b"WEBP"):
        raise _unsupported(data)
    name, parser = found
    try:
        fields = parser(data)
    except (struct.error, IndexError):
        raise CorruptImageError(f"truncated {name}: its header is cut off after {len(data)} bytes") from None
    except HeaderDamage as damage:
        raise CorruptImageError(f"damaged {name}: {damage}") from None
    if fields.width < 1 or fields.height < 1:
        raise CorruptImageError(f"damaged {name}: its header states {fields.width} x {fields.height} pixels")
    return ImageHeader(
        name, fields.width, fields.height, fields.orientation, fields.animated, len(data) >= fields.needed_bytes
    )


def check_image(data: bytes, *, max_pixels: int) -> ImageHeader:
    """The header of the image file `data`, if it is worth decoding.

    Raises:
        EmptyImageError: there are no bytes.
        UnsupportedImageError: not an image, or of a format that is not decoded.
        CorruptImageError: the header is damaged, or the file is shorter than it says.
        ImageTooLargeError: more than `max_pixels` pixels.
    """
    header = inspect_header(data)
    if not header.decoded:
        raise _not_decoded(header.format)
    if header.pixels > max_pixels:
        raise ImageTooLargeError(
            f"{header.format} of {header.width} x {header.height} pixels ({header.pixels / 1e6:,.1f} megapixels) is "
            f"above the limit of {max_pixels / 1e6:,.1f} megapixels; raise max_pixels if you trust where it comes from"
        )
    if not header.complete:
        raise CorruptImageError(
            f"truncated {header.format}: {len(data)} bytes are there, and the picture goes on after them"
        )
    return header


def _unsupported(data: bytes) -> UnsupportedImageError:
    for offset, signature, name in _NAMED_ONLY:
        if data[offset : offset + len(signature)] == signature:
            return _not_decoded(name)
    return UnsupportedImageError(f"not an image: begins with {bytes(data[:16])!r}; use {_use()}")


def _not_decoded(name: str) -> UnsupportedImageError:
    return UnsupportedImageError(f"{name} files are not decoded; use {_use()}")


def _use() -> str:
    return f"{', '.join(PROMISED_FORMATS[:-1])} or 8-bit {PROMISED_FORMATS[-1]}"
