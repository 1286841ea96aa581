"""Drawing detections into the picture they were found in, upright, with labels that fit its size."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightline.boxes import FloatArray, areas
from sightline.detections import Detections
from sightline.errors import CorruptImageError, MissingDependencyError, OutputError

if TYPE_CHECKING:
    import supervision

Picture = npt.NDArray[np.uint8]
"""Height, width, blue-green-red; OpenCV's order."""

DEFAULT_JPEG_QUALITY = 90
_SMALLEST_TEXT = 0.4
_SHORTER_SIDE_PER_OBJECT = 12


def require_annotators() -> None:
    """Check that pictures can be drawn.

    Raises:
        MissingDependencyError: the `annotate` extra is not installed.
    """
    # Found, not imported: that takes seconds, and may as well happen while the first images are detected.
    if importlib.util.find_spec("cv2") is None or importlib.util.find_spec("supervision") is None:
        raise MissingDependencyError("drawing pictures needs: `make install` in a checkout")


def load_annotators() -> None:
    """Load all that drawing needs, which takes seconds, now and not at the first picture.

    Raises:
        MissingDependencyError: as `require_annotators`.
    """
    require_annotators()
    box, score, class_id = np.array([[1, 1, 9, 9]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32)
    draw(np.zeros((16, 16, 3), np.uint8), Detections(box, score, class_id, ("",), (16, 16)))


def decode_upright(encoded: bytes) -> Picture:
    """The picture as people see it: EXIF rotation applied, 8 bits, without alpha.

    Raises:
        CorruptImageError: OpenCV cannot decode it.
    """
    import cv2

    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    if picture is None:
        raise CorruptImageError("OpenCV cannot decode this picture, so nothing can be drawn in it")
    return picture.astype(np.uint8, copy=False)


def encode_jpeg(picture: Picture, *, quality: int = DEFAULT_JPEG_QUALITY) -> bytes:
    """JPEG bytes without any EXIF tag; `quality` from 1 to 100.

    Raises:
        OutputError: the picture has a side beyond JPEG's 65,535 pixels.
    """
    import cv2

    if max(picture.shape[:2]) > 65_535:
        raise OutputError(f"{picture.shape[1]}x{picture.shape[0]} pixels do not fit into a JPEG (65,535 a side)")
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(encoded)


def draw(picture: Picture, detections: Detections) -> Picture:
    """The picture with boxes and labels (`person 0.87`), one colour per class; `picture` itself stays as it is.

    Raises:
        OutputError: the detections belong to a picture of another size.
    """
    if picture.shape[:2] != tuple(detections.image_size_hw):
        found_hw, drawn_hw = detections.image_size_hw, picture.shape[:2]
        raise OutputError(
            f"the detections belong to a picture of {found_hw[1]}x{found_hw[0]} pixels, this one has "
            f"{drawn_hw[1]}x{drawn_hw[0]}: was the file changed meanwhile?"
        )
    scene: Picture = picture.copy()
    if not len(detections):
        return scene
    style = _Style.fitting(detections)
    best_first = detections.only(np.argsort(-detections.scores, kind="stable"))
    texts = [f"{name} {score:.2f}" for _, score, _, name in best_first]
    outlines = np.concatenate([best_first.boxes_xyxy[:, :2] - style.line // 2, best_first.boxes_xyxy[:, 2:]], axis=1)
    places = label_boxes(outlines, style.text_sizes_wh(texts), image_size_hw=detections.image_size_hw)
    # The weakest is drawn first, so that the best end on top.
    objects = best_first.only(np.arange(len(texts))[::-1]).to_supervision()
    style.boxes().annotate(scene, objects)
    objects.xyxy = places[::-1, [0, 3, 2, 3]]  # the annotator puts a label on the upper edge of what it belongs to
    style.labels().annotate(scene, objects, labels=texts[::-1])
    return scene


@dataclass(frozen=True, kw_only=True)
class _Style:
    """Sizes in pixels, and the font's scale."""

    line: int
    text_scale: float
    text_line: int
    padding: int

    @classmethod
    def fitting(cls, detections: Detections) -> _Style:
        """So large that it can be read when the whole picture is seen on one screen.

        Where most objects are too small for that, as in pictures of 100 megapixels, labels fit the objects instead:
        they would hide all of them otherwise, and whoever looks at such objects sees them enlarged.
        """
        typical = float(np.median(np.sqrt(areas(detections.boxes_xyxy))))
        shorter = min(*detections.image_size_hw, _SHORTER_SIDE_PER_OBJECT * typical)
        scale = max(_SMALLEST_TEXT, shorter / 1100)
        return cls(
            line=max(1, round(shorter / 240)),
            text_scale=scale,
            text_line=max(1, round(scale)),
            padding=round(8 * scale),
        )

    def boxes(self) -> supervision.BoxAnnotator:
        """Draws the boxes."""
        import supervision

        return supervision.BoxAnnotator(thickness=self.line)

    def labels(self) -> supervision.LabelAnnotator:
        """Draws the labels: on the colour of the class, in black or white, whichever stands out."""
        import supervision

        return supervision.LabelAnnotator(
            text_color=_text_colours(),
            text_scale=self.text_scale,
            text_thickness=self.text_line,
            text_padding=self.padding,
        )

    def text_sizes_wh(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Width and height of each label with its padding, in pixels."""
        import cv2

        sizes = (cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, self.text_scale, self.text_line)[0] for text in texts)
        return [(width + 2 * self.padding, height + 2 * self.padding) for width, height in sizes]


def label_boxes(
    boxes_xyxy: FloatArray, sizes_wh: Sequence[tuple[int, int]], *, image_size_hw: tuple[int, int]
) -> FloatArray:
    """Where labels of the given sizes go: at their boxes, inside the picture, and off each other where possible.

    Args:
        boxes_xyxy: (N, 4), pixels. Earlier boxes choose first.
        sizes_wh: width and height of each label, pixels.
        image_size_hw: height and width of the picture.

    Returns:
        (N, 4) xyxy. Each is above its box if that is free, else inside it, below it, or at its right side; where
        nothing is free, it is above and covers others.
    """
    height, width = image_size_hw
    placed = np.zeros((len(sizes_wh), 4))
    for number, ((x1, y1, x2, y2), (label_width, label_height)) in enumerate(
        zip(boxes_xyxy.tolist(), sizes_wh, strict=True)
    ):
        tops = (y1 - label_height, y1, y2, y2 - label_height)
        right, lowest = max(0, width - label_width), max(0, height - label_height)
        corners = [
            (min(max(left, 0), right), min(max(top, 0), lowest)) for left in (x1, x2 - label_width) for top in tops
        ]
        choices = np.array([(left, top, left + label_width, top + label_height) for left, top in corners])
        placed[number] = choices[int(np.argmax(_are_free(choices, placed[:number])))]
    return placed


def _are_free(boxes_xyxy: FloatArray, others_xyxy: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether each box has no area in common with any of the others."""
    overlaps = (boxes_xyxy[:, None, :2] < others_xyxy[:, 2:]) & (others_xyxy[:, :2] < boxes_xyxy[:, None, 2:])
    free: npt.NDArray[np.bool_] = ~overlaps.all(axis=2).any(axis=1)
    return free


@cache
def _text_colours() -> supervision.ColorPalette:
    """Black or white for each colour of the classes."""
    import supervision

    colours = supervision.ColorPalette.DEFAULT.colors
    return supervision.ColorPalette(
        [supervision.Color.BLACK if _is_light(c.as_rgb()) else supervision.Color.WHITE for c in colours]
    )


def _is_light(rgb: tuple[int, int, int]) -> bool:
    red, green, blue = rgb
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140
