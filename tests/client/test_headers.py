"""Image headers: against Pillow on real files, on files made here, and on bytes that mean harm."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.contract import DEFAULT_MAX_PIXELS
from sightline.errors import CorruptImageError, EmptyImageError, ImageError, ImageTooLargeError, UnsupportedImageError
from sightline.headers import DECODED_FORMATS, PROMISED_FORMATS, check_image, inspect_header

PILLOW_NAMES = {"MPO": "JPEG", "WEBP": "WebP", "JPEG2000": "JPEG 2000", "PPM": "PNM"}
BROKEN = {
    "decompression_bomb.gif": (UnsupportedImageError, "GIF"),
    "hopper.gif": (UnsupportedImageError, "GIF"),
    "hopper.avif": (UnsupportedImageError, "AVIF"),
    "reallybig.bmp": (ImageTooLargeError, "3000000 x 2000000"),
    "broken.png": (CorruptImageError, "IHDR"),
    "broken_data_stream.png": (CorruptImageError, "truncated PNG"),
    "truncated_image.png": (CorruptImageError, "truncated PNG"),
    "truncated_jpeg.jpg": (CorruptImageError, "truncated JPEG"),
    "negative_size.ppm": (UnsupportedImageError, "not an image"),
    "zero_width.gif": (CorruptImageError, "0 x 32"),
}


def encode(pillow_format: str, *, size: tuple[int, int] = (37, 21), mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    gradient = Image.linear_gradient("L").resize(size).convert(mode)
    gradient.save(file, pillow_format, **options)
    return file.getvalue()


def check(data: bytes) -> tuple[str, int, int]:
    header = check_image(data, max_pixels=DEFAULT_MAX_PIXELS)
    return header.format, header.width, header.height


def test_every_awkward_file_agrees_with_pillow_or_has_its_error(shared_data: Path) -> None:
    files = [path for path in sorted((shared_data / "awkward").rglob("*")) if path.is_file()]
    assert len(files) >= 45
    for path in files:
        data = path.read_bytes()
        if path.name in BROKEN:
            error, words = BROKEN[path.name]
            with pytest.raises(error, match=words):
                check(data)
        elif path.name != "png_decompression_dos.png":  # Pillow refuses it
            with Image.open(io.BytesIO(data)) as picture:
                name = PILLOW_NAMES.get(picture.format or "", picture.format)
                assert check(data) == (name, *picture.size), path.name


def test_orientation_and_rotated_size(shared_data: Path) -> None:
    for path in (shared_data / "awkward" / "orientation").glob("*.jpg"):
        header = inspect_header(path.read_bytes())
        with Image.open(path) as picture:
            expected = picture.getexif().get(0x0112, 1) or 1
        assert header.orientation == expected, path.name
        upright = (header.width, header.height) if expected >= 5 else (header.height, header.width)
        assert header.image_size_hw == upright


@pytest.mark.parametrize("pillow_format", ["PNG", "WEBP", "TIFF"])
def test_orientation_out_of_range_or_elsewhere_does_not_count(pillow_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    assert inspect_header(encode(pillow_format, exif=exif)).orientation == 1
    exif[0x0112] = 6
    rotated = encode("PNG", exif=exif)
    block = rotated[rotated.index(b"eXIf") - 4 : rotated.index(b"IDAT") - 4]
    text = struct.pack(">I4s", len(block), b"tEXt") + block + bytes(4)
    assert inspect_header(MADE["PNG"][:33] + text + MADE["PNG"][33:]).orientation == 1
    assert inspect_header(MADE["PNG"][:-12] + block + MADE["PNG"][-12:]).orientation == 6, "behind the picture"


@pytest.mark.parametrize("chunks_before", [0, 5000])
def test_a_second_exif_block_of_a_png_is_refused(chunks_before: int) -> None:
    """DALI 2.4 ends the whole process at one, so it must never get there."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = encode("PNG", exif=exif)
    block = rotated[rotated.index(b"eXIf") - 4 : rotated.index(b"IDAT") - 4]
    empty = struct.pack(">I4s", 0, b"tEXt") + bytes(4)
    blocks = chunks_before * empty + 2 * block
    with pytest.raises(CorruptImageError, match="more than one EXIF block"):
        inspect_header(MADE["PNG"][:33] + blocks + MADE["PNG"][33:])
    in_the_picture = struct.pack(">I4s", 8, b"tEXt") + b"eXIfeXIf" + bytes(4)
    assert inspect_header(rotated[:33] + in_the_picture + rotated[33:]).orientation == 6


def test_orientation_of_a_bigtiff() -> None:
    assert inspect_header(encode("TIFF", big_tiff=True, tiffinfo={0x0112: 5})).image_size_hw == (37, 21)


def test_coco_agrees_with_pillow(shared_data: Path) -> None:
    files = sorted((shared_data / "coco" / "images").glob("*.jpg"))
    assert len(files) == 100
    for path in files:
        with Image.open(path) as picture:
            assert check(path.read_bytes()) == ("JPEG", *picture.size)


MADE = {
    "JPEG": encode("JPEG"),
    "progressive JPEG": encode("JPEG", progressive=True),
    "grey JPEG": encode("JPEG", mode="L"),
    "CMYK JPEG": encode("JPEG", mode="CMYK"),
    "PNG": encode("PNG"),
    "palette PNG": encode("PNG", mode="P"),
    "WebP": encode("WEBP"),
    "lossless WebP": encode("WEBP", lossless=True),
    "WebP with alpha": encode("WEBP", mode="RGBA"),
    "BMP": encode("BMP"),
    "grey BMP": encode("BMP", mode="L"),
    "one-bit BMP": encode("BMP", mode="1"),
    "TIFF": encode("TIFF"),
    "LZW TIFF": encode("TIFF", compression="tiff_lzw"),
    "BigTIFF": encode("TIFF", big_tiff=True),
    "JPEG 2000": encode("JPEG2000"),
    "JPEG 2000 codestream": encode("JPEG2000", no_jp2=True),
    "PPM": encode("PPM"),
    "PGM": encode("PPM", mode="L"),
    "PBM": encode("PPM", mode="1"),
}


@pytest.mark.parametrize("name", MADE)
def test_made_files(name: str) -> None:
    found, width, height = check(MADE[name])
    assert found in DECODED_FORMATS
    assert (width, height) == (37, 21)


@pytest.mark.parametrize("name", [name for name in MADE if "2000" not in name and name != "LZW TIFF"])
@pytest.mark.parametrize("lost_bytes", [1, 2, 20])
def test_a_file_without_its_last_bytes_is_truncated(name: str, lost_bytes: int) -> None:
    data = MADE[name]
    if "TIFF" in name:
        data = data[:-1]  # it may end in one byte of alignment
    with pytest.raises(CorruptImageError, match="truncated"):
        check(data[:-lost_bytes])


@pytest.mark.parametrize("name", ["JPEG", "progressive JPEG", "PNG", "palette PNG"])
def test_padding_with_zero_bytes_does_not_hide_a_truncated_file(name: str) -> None:
    """Images of one request are padded to the longest, and decoders take the zeros for picture."""
    data = MADE[name]
    assert check(data + bytes(5000)) == check(data)
    with pytest.raises(CorruptImageError, match="truncated"):
        check(data[: len(data) * 3 // 4] + bytes(5000))


def test_bmp_headers_of_os2_and_top_down() -> None:
    core = b"BM" + struct.pack("<IHHI", 26 + 4 * 3, 0, 0, 26) + struct.pack("<IHHHH", 12, 1, 3, 1, 24) + bytes(12)
    assert check(core) == ("BMP", 1, 3)
    info = struct.pack("<IiiHHIIiiII", 40, 1, -3, 1, 24, 0, 0, 0, 0, 0, 0)
    assert check(b"BM" + struct.pack("<IHHI", 66, 0, 0, 54) + info + bytes(12)) == ("BMP", 1, 3)
    with pytest.raises(CorruptImageError, match="truncated BMP"):
        check(b"BM" + struct.pack("<IHHI", 66, 0, 0, 54) + info + bytes(11))


def test_big_endian_tiff() -> None:
    entries = [(256, 3, 1, 5 << 16), (257, 4, 1, 7), (273, 4, 1, 8), (279, 4, 1, 0)]
    directory = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHII", *entry) for entry in entries)
    assert check(b"MM\0*" + struct.pack(">I", 8) + directory + bytes(4)) == ("TIFF", 5, 7)


def test_animation_is_flagged() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for pillow_format in ("WEBP", "PNG"):
        file = io.BytesIO()
        frames[0].save(file, pillow_format, save_all=True, append_images=frames[1:])
        assert inspect_header(file.getvalue()).animated
    assert not inspect_header(MADE["PNG"]).animated
    assert not inspect_header(MADE["WebP with alpha"]).animated


def test_error_texts_say_what_came_and_what_to_do() -> None:
    with pytest.raises(EmptyImageError, match="0 bytes"):
        check(b"")
    with pytest.raises(UnsupportedImageError, match=r"not an image: begins with b'hello world'; use JPEG, PNG, WebP"):
        check(b"hello world")
    with pytest.raises(UnsupportedImageError, match="PDF files are not decoded"):
        check(b"%PDF-1.7")
    with pytest.raises(UnsupportedImageError, match="not an image"):
        check(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(CorruptImageError, match="truncated JPEG: its header is cut off after 3 bytes"):
        check(b"\xff\xd8\xff")
    with pytest.raises(CorruptImageError, match="no frame header"):
        check(b"\xff\xd8\xff\xda" + bytes(20))
    with pytest.raises(ImageTooLargeError, match=r"37 x 21 pixels .* limit of 0\.0 megapixels; raise max_pixels"):
        check_image(MADE["PNG"], max_pixels=37 * 21 - 1)
    assert check_image(MADE["PNG"], max_pixels=37 * 21).pixels == 37 * 21


def test_promised_formats_are_decoded() -> None:
    assert set(PROMISED_FORMATS) < set(DECODED_FORMATS)
    assert inspect_header(MADE["JPEG"]).decoded
    assert not inspect_header(encode("GIF", mode="L")).decoded


SIGNATURES = [data[:size] for data in MADE.values() for size in (2, 12, 40)] + [
    b"RIFF\0\0\0\0WEBPVP8X",
    b"MM\0+\0\x08\0\0",
]


def read_or_refuse(data: bytes) -> None:
    """Any other error than one about images fails the test."""
    try:
        header = check_image(data, max_pixels=DEFAULT_MAX_PIXELS)
    except ImageError as error:
        assert str(error)  # noqa: PT017 - which error it is does not matter
    else:
        assert 1 <= header.pixels <= DEFAULT_MAX_PIXELS


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SIGNATURES), st.binary(max_size=300))
@example(b"II+\0\x08\0\0\0", b"\xff" * 200)
@example(b"II*\0", b"\xff" * 200)
def test_arbitrary_bytes_raise_only_image_errors(signature: bytes, rest: bytes) -> None:
    for data in (rest, signature + rest):
        read_or_refuse(data)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(sorted(MADE)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 2000),
)
def test_mutated_files_raise_only_image_errors(name: str, changes: list[tuple[int, int]], kept_bytes: int) -> None:
    mutated = bytearray(MADE[name])
    for position, value in changes:
        mutated[position % len(mutated)] = value
    for data in (bytes(mutated), bytes(mutated[:kept_bytes])):
        read_or_refuse(data)


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xd8" + b"\xff\x01" * 2_000_000,
        b"\xff\xd8" + b"\xff" * 4_000_000,
        b"\xff\xd8" + bytes(4_000_000),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 4, 4) + bytes(4_000_000),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 0, b"IHDR", 4, 4) + bytes(4_000_000),
        b"RIFF\0\0\0\x7fWEBPVP8X" + b"\0\0\0\0\x08" + bytes(4_000_000),
        b"P6 " + b"#\n" * 2_000_000,
        b"P6 " + b"9" * 4_000_000,
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + b"\xff" * 4_000_000,
    ],
)
def test_large_hostile_files_end_in_an_error(hostile: bytes) -> None:
    with pytest.raises(ImageError):
        check(hostile)
