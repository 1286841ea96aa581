"""The sample pictures that come with the repository, for `make demo` and the README.

Draw them again: python -m sightline_export.demo.pictures
"""

from __future__ import annotations

import argparse
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .draw import Scene, SceneOptions, draw_scene
from .objects import CLASS_NAMES
from .samples import SAMPLE_PICTURES_SEED, encode_jpeg

FOLDER = Path(__file__).parent / "pictures"
_QUALITY = 88
# EXIF orientation 6: whoever shows the picture turns it a quarter clockwise.
_TURN_CLOCKWISE = 6


@dataclass(frozen=True, kw_only=True)
class SamplePicture:
    """One committed picture: `variant` picks among the scenes that `options` allow; `turned` stores it on its side."""

    options: SceneOptions
    variant: int
    turned: bool = False

    def draw(self) -> Scene:
        """The scene as it should be seen."""
        return draw_scene(np.random.default_rng([SAMPLE_PICTURES_SEED, self.variant]), self.options)

    def encode(self) -> bytes:
        """The scene as the bytes of the committed JPEG file."""
        picture = self.draw().picture
        if not self.turned:
            return encode_jpeg(picture, quality=_QUALITY)
        stored = encode_jpeg(np.ascontiguousarray(np.rot90(picture)), quality=_QUALITY)
        return with_orientation(stored, _TURN_CLOCKWISE)


# Tidier than the training pictures: little wear, no tiny things, few shapes of no class.
_tidy = partial(SceneOptions, wear=0.35, diameter_px=(48, 240), distractors=0)

SAMPLE_PICTURES: dict[str, SamplePicture] = {
    "aquarium": SamplePicture(
        variant=12,
        options=_tidy(size_hw=(480, 640), background="underwater", class_names=("fish",), objects=(8, 12)),
    ),
    "beach": SamplePicture(
        variant=17,
        options=_tidy(
            size_hw=(427, 640),
            background="beach",
            class_names=("ball", "kite", "fish", "cone"),
            objects=(6, 9),
            distractors=2,
        ),
    ),
    "crowd": SamplePicture(
        variant=11,
        options=_tidy(
            size_hw=(768, 1024), background="studio", class_names=CLASS_NAMES, objects=(26, 32), diameter_px=(40, 150)
        ),
    ),
    "festival": SamplePicture(
        variant=15,
        options=_tidy(
            size_hw=(853, 1280),
            background="meadow",
            class_names=("balloon", "balloon", "kite", "flower"),
            objects=(9, 12),
            horizon=0.6,
        ),
    ),
    "garden": SamplePicture(
        variant=15,
        options=_tidy(
            size_hw=(1280, 853),
            background="meadow",
            class_names=("flower", "mushroom", "ball", "kite"),
            objects=(9, 12),
            horizon=0.5,
        ),
    ),
    "harbour": SamplePicture(
        variant=12,
        options=_tidy(
            size_hw=(720, 1280),
            background="sea",
            class_names=("sailboat", "sailboat", "balloon", "kite"),
            objects=(8, 11),
            horizon=0.5,
        ),
    ),
    "midnight": SamplePicture(
        variant=13,
        options=_tidy(
            size_hw=(540, 960),
            background="night",
            class_names=("balloon", "kite", "mushroom"),
            objects=(7, 10),
            horizon=0.85,
        ),
    ),
    "nursery": SamplePicture(
        variant=13,
        options=_tidy(
            size_hw=(600, 600), background="wallpaper", class_names=("ball", "fish", "sailboat", "kite"), objects=(7, 9)
        ),
    ),
    "parquet": SamplePicture(
        variant=16,
        options=_tidy(size_hw=(375, 500), background="planks", class_names=CLASS_NAMES, objects=(6, 8), distractors=3),
    ),
    "roadworks": SamplePicture(
        variant=10,
        turned=True,
        options=_tidy(
            size_hw=(640, 480), background="road", class_names=("cone", "cone", "ball"), objects=(7, 9), distractors=1
        ),
    ),
    "tiles": SamplePicture(
        variant=11,
        options=_tidy(size_hw=(500, 333), background="tiles", class_names=CLASS_NAMES, objects=(5, 7), distractors=2),
    ),
    "wall": SamplePicture(
        variant=17,
        options=_tidy(
            size_hw=(360, 640),
            background="bricks",
            class_names=("mushroom", "flower", "cone", "balloon"),
            objects=(6, 9),
            distractors=2,
        ),
    ),
}


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The same JPEG with an EXIF segment that holds only the orientation (1..8)."""
    if not 1 <= orientation <= 8:
        raise ValueError(f"orientation is {orientation}; EXIF knows 1 to 8")
    # A TIFF header, one directory with one entry (tag 0x0112, type SHORT, count 1), and no next directory.
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def write_pictures(folder: Path) -> list[Path]:
    """Draw all sample pictures into `folder` as NAME.jpg; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, sample in SAMPLE_PICTURES.items():
        path = folder / f"{name}.jpg"
        path.write_bytes(sample.encode())
        paths.append(path)
    return paths


def main(arguments: list[str] | None = None) -> None:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(prog="python -m sightline_export.demo.pictures", description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder; default: the committed one")
    for path in write_pictures(parser.parse_args(arguments).output):
        print(f"{path}  {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
