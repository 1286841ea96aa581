"""Where each image format keeps its size: one function per format, from the file's bytes to `Fields`.

Every function may raise `struct.error` or `IndexError` where the bytes end too early, and `HeaderDamage` where they
contradict themselves. None loops more than a fixed number of times or copies the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_JPEG_SEGMENTS = 10_000
MAX_TIFF_ENTRIES = 1024
MAX_CHUNKS = 100_000
EXIF_ORIENTATION_TAG = 0x0112


class HeaderDamage(ValueError):  # noqa: N818 - says what is wrong, and is turned into a CorruptImageError
    """The header contradicts itself."""


class Fields(NamedTuple):
    """What a header says; `needed_bytes` is the least length that the whole file can have (0: not known)."""

    width: int
    height: int
    needed_bytes: int = 0
    orientation: int = 1
    animated: bool = False


def ends_after(data: bytes, marker: bytes, start: int) -> int:
    """`needed_bytes` of a format that ends in `marker`: one byte more than is there where the marker is missing."""
    return 0 if data.rfind(marker, start) >= 0 else len(data) + 1


# --- JPEG -------------------------------------------------------------------------------------------------------
# Start of frame: 0xC0 to 0xCF without the Huffman table (C4), the reserved JPG (C8) and the arithmetic table (CC).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1
_SIZE = struct.Struct(">HH")
_LENGTH = struct.Struct(">H")


def jpeg_fields(data: bytes) -> Fields:
    """Walks the segments to the frame header; stray bytes between segments are skipped, as libjpeg does."""
    position, orientation = 2, 1
    for _ in range(MAX_JPEG_SEGMENTS):
        position = data.find(b"\xff", position)
        if position < 0:
            break
        marker = data[position + 1]
        if marker in _START_OF_FRAME:
            height, width = _SIZE.unpack_from(data, position + 5)
            return Fields(width, height, ends_after(data, b"\xff\xd9", position), orientation)
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            break
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker == 0x00 or marker in _WITHOUT_LENGTH:
            position += 2
        else:
            if marker == _APP1 and data[position + 4 : position + 10] == b"Exif\0\0":
                orientation = exif_orientation(data, position + 10)
            (length,) = _LENGTH.unpack_from(data, position + 2)
            position += 2 + length
    if position >= len(data) or position < 0:
        raise IndexError
    raise HeaderDamage("no frame header before the picture")


def exif_orientation(data: bytes, start: int) -> int:
    """Orientation 1 to 8 from an EXIF block, 1 where it says nothing that can be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[start : start + 4])
    if order is None:
        return 1
    try:
        (first_entry,) = struct.unpack_from(order + "I", data, start + 4)
        (entries,) = struct.unpack_from(order + "H", data, start + first_entry)
        for index in range(min(entries, MAX_TIFF_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", data, start + first_entry + 2 + 12 * index)
            if tag == EXIF_ORIENTATION_TAG:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


# --- PNG, GIF, BMP ----------------------------------------------------------------------------------------------
_PNG_END = b"IEND\xaeB`\x82"


def png_fields(data: bytes) -> Fields:
    """Size from IHDR, orientation from eXIf; animated where an animation chunk precedes the picture."""
    if data[12:16] != b"IHDR":
        struct.unpack_from(">4s", data, 12)
        raise HeaderDamage("its first chunk is not IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    picture = data.find(b"IDAT", 33)
    animated = picture > 0 and data.find(b"acTL", 33, picture) > 0
    orientation = _orientation_in(data, b"eXIf", _png_chunks(data, most=MAX_CHUNKS))
    # The four bytes can stand in a picture's data by chance, so they are only a reason to look at every chunk.
    if data.count(b"eXIf") > 1 and sum(kind == b"eXIf" for kind, _ in _png_chunks(data, most=len(data))) > 1:
        # PNG allows one, and DALI 2.4 ends the whole process at the second.
        raise HeaderDamage("it has more than one EXIF block")
    return Fields(width, height, ends_after(data, _PNG_END, 33), orientation, animated)


def _png_chunks(data: bytes, *, most: int) -> Iterator[tuple[bytes, int]]:
    """Kind and place of each chunk, of the first `most`; a checksum of four bytes follows it."""
    position = 8
    for _ in range(most):
        if position + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8
        position += length + 12


def _orientation_in(data: bytes, wanted: bytes, chunks: Iterable[tuple[bytes, int]]) -> int:
    """What the first chunk of the kind `wanted`, an EXIF block, says."""
    return next((exif_orientation(data, start) for kind, start in chunks if kind == wanted), 1)


def gif_fields(data: bytes) -> Fields:
    """Size of the logical screen."""
    width, height = struct.unpack_from("<HH", data, 6)
    return Fields(width, height)


def bmp_fields(data: bytes) -> Fields:
    """Size from an OS/2 or Windows header; a negative height means rows from top to bottom."""
    pixels_at, header_bytes = struct.unpack_from("<II", data, 10)
    compression = 0
    if header_bytes == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif header_bytes >= 16:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
        if header_bytes >= 40:
            (compression,) = struct.unpack_from("<I", data, 30)
    else:
        raise HeaderDamage(f"its header claims to be {header_bytes} bytes long")
    height = abs(height)
    # 0: plain rows of whole 32-bit words. 3 and 6: the same with bit masks. Others are compressed.
    plain = compression in (0, 3, 6)
    needed = pixels_at + (width * bits + 31) // 32 * 4 * height if plain else 0
    return Fields(width, height, needed)


# --- WebP -------------------------------------------------------------------------------------------------------
_ANIMATED, _HAS_EXIF = 0x02, 0x08


def webp_fields(data: bytes) -> Fields:
    """Size from the simple lossy, simple lossless or extended header; only the latter may have an orientation."""
    (riff_bytes, _, chunk) = struct.unpack_from("<I4s4s", data, 4)
    needed = riff_bytes + 8
    if chunk == b"VP8X":
        flags, low_width, high_width, low_height, high_height = struct.unpack_from("<B3xHBHB", data, 20)
        width, height = 1 + low_width + (high_width << 16), 1 + low_height + (high_height << 16)
        orientation = _orientation_in(data, b"EXIF", _webp_chunks(data)) if flags & _HAS_EXIF else 1
        return Fields(width, height, needed, orientation, bool(flags & _ANIMATED))
    if chunk == b"VP8L":
        (mark, bits) = struct.unpack_from("<BI", data, 20)
        if mark != 0x2F:
            raise HeaderDamage("its lossless picture does not begin as one")
        return Fields(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), needed)
    if chunk == b"VP8 ":
        (mark_bytes, width, height) = struct.unpack_from("<3sHH", data, 23)
        if mark_bytes != b"\x9d\x01\x2a":
            raise HeaderDamage("its picture does not begin with a key frame")
        return Fields(width & 0x3FFF, height & 0x3FFF, needed)
    raise HeaderDamage(f"its first chunk is {chunk!r}")


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Kind and place of each chunk; all begin at even positions."""
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8
        position += 8 + length + length % 2


# --- TIFF -------------------------------------------------------------------------------------------------------
# Field type to struct character: BYTE, SHORT, LONG, and BigTIFF's LONG8.
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT = 256, 257
_STRIPS, _TILES = (273, 279), (324, 325)
_TIFF_TAGS = frozenset({_WIDTH, _HEIGHT, EXIF_ORIENTATION_TAG, *_STRIPS, *_TILES})


class _TiffEntry(NamedTuple):
    item_format: str
    items: int
    values_at: int

    def value(self, data: bytes, index: int) -> int:
        position = self.values_at + struct.calcsize(self.item_format) * index
        _within(position, data)
        (value,) = struct.unpack_from(self.item_format, data, position)
        return int(value)


def tiff_fields(data: bytes) -> Fields:
    """Size and orientation from the first directory; complete where the last strip or tile lies within the file."""
    entries = _tiff_entries(data)
    if _WIDTH not in entries or _HEIGHT not in entries:
        raise HeaderDamage("its first directory states no size")
    needed = 0
    for offsets, lengths in (_STRIPS, _TILES):
        if offsets in entries and lengths in entries:
            last = min(entries[offsets].items, entries[lengths].items) - 1
            if last >= 0:
                needed = max(needed, entries[offsets].value(data, last) + entries[lengths].value(data, last))
    orientation = entries[EXIF_ORIENTATION_TAG].value(data, 0) if EXIF_ORIENTATION_TAG in entries else 1
    size = entries[_WIDTH].value(data, 0), entries[_HEIGHT].value(data, 0)
    return Fields(*size, needed, orientation if 1 <= orientation <= 8 else 1)


def _tiff_entries(data: bytes) -> dict[int, _TiffEntry]:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (directory,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    _within(directory, data)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, directory)
    if count > MAX_TIFF_ENTRIES:
        raise HeaderDamage(f"its first directory claims {count} entries")
    entry = struct.Struct(order + ("HHQ" if big else "HHI"))
    inline, stride = (8, 20) if big else (4, 12)
    entries: dict[int, _TiffEntry] = {}
    for position in range(directory + (8 if big else 2), directory + (8 if big else 2) + count * stride, stride):
        tag, kind, items = entry.unpack_from(data, position)
        if tag not in _TIFF_TAGS or kind not in _TIFF_TYPES:
            continue
        item_format = order + _TIFF_TYPES[kind]
        values_at = position + entry.size
        if items * struct.calcsize(item_format) > inline:
            (values_at,) = struct.unpack_from(order + ("Q" if big else "I"), data, values_at)
            _within(values_at, data)
        entries[tag] = _TiffEntry(item_format, items, values_at)
    return entries


def _within(offset: int, data: bytes) -> None:
    """BigTIFF has offsets beyond what `struct` takes."""
    if offset >= len(data):
        raise IndexError


# --- JPEG 2000, PNM ---------------------------------------------------------------------------------------------
_PNM_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(
    rb"P([1-6])" + _PNM_GAP + rb"(\d{1,9})" + _PNM_GAP + rb"(\d{1,9})" + rb"(?:" + _PNM_GAP + rb"(\d{1,5}))?"
)
_PNM_HEADER_BYTES = 4096


def jp2_fields(data: bytes) -> Fields:
    """Size from the image header box."""
    box = data.find(b"ihdr", 12, 1024)
    if box < 0:
        raise HeaderDamage("no image header box near its beginning")
    height, width = struct.unpack_from(">II", data, box + 4)
    return Fields(width, height)


def jpeg_2000_codestream_fields(data: bytes) -> Fields:
    """Size from the SIZ segment: the reference grid less the image's offset in it."""
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    return Fields(right - left, bottom - top)


def pnm_fields(data: bytes) -> Fields:
    """Size from the text header; the binary kinds also tell how long the file must be."""
    header = _PNM.match(data[:_PNM_HEADER_BYTES])
    if header is None:
        raise HeaderDamage("its header does not state a size")
    kind, width, height = int(header[1]), int(header[2]), int(header[3])
    if kind == 4:
        return Fields(width, height, header.end(3) + 1 + (width + 7) // 8 * height)
    if kind in (5, 6):
        if header[4] is None:
            raise HeaderDamage("its header states no largest value")
        sample_bytes = 2 if int(header[4]) > 255 else 1
        return Fields(width, height, header.end(4) + 1 + width * height * sample_bytes * (3 if kind == 6 else 1))
    return Fields(width, height)
