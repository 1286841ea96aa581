"""Draws scenes for the demo detector: a picture, the exact boxes of what is visible in it, and the classes.

Everything comes from one `numpy.random.Generator`, so the same seed gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from . import distractors
from .backgrounds import BACKGROUNDS
from .objects import CLASS_NAMES, DRAWINGS, FLYING, FREELY_TURNED
from .sprite import Cutout, Picture, Points, Sprite, overlap, paste, paste_shadow

# Diameters at a longer side of 640 px.
SMALLEST_PX, LARGEST_PX = 28.0, 350.0
MAX_TILT_DEG = 25.0
# An object that others or the border hide more than this is not drawn at all, or nobody could say what it is.
LEAST_VISIBLE = 0.62
_REFERENCE_SIDE_PX = 640
_ATTEMPTS = 12
SIZES_HW = ((480, 640), (640, 480), (427, 640), (640, 427), (360, 640), (640, 640), (375, 500), (500, 333))


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """What may stand in a scene.

    `size_hw`: height and width in pixels, at least 64 each. `background`: a name of `BACKGROUNDS`, or None
    for any. `class_names`: which kinds are drawn. `objects`: least and most objects (attempts: crowded scenes
    get fewer). `diameter_px`: smallest and largest, at a longer side of 640 px. `distractors`: most shapes of
    no class. `wear`: how much blur, noise and change of brightness, 0..1. `horizon`: a share of the height;
    what flies stays above it and the rest stands below. None lets everything be everywhere.
    """

    size_hw: tuple[int, int] = (480, 640)
    background: str | None = None
    class_names: tuple[str, ...] = CLASS_NAMES
    objects: tuple[int, int] = (1, 10)
    diameter_px: tuple[float, float] = (SMALLEST_PX, LARGEST_PX)
    distractors: int = 5
    wear: float = 1.0
    horizon: float | None = None

    def __post_init__(self) -> None:
        if min(self.size_hw) < 64:
            raise ValueError(f"size_hw is {self.size_hw}; both must be at least 64 pixels")
        if self.background is not None and self.background not in BACKGROUNDS:
            raise ValueError(f"no background {self.background!r}; there are {', '.join(BACKGROUNDS)}")
        unknown = [name for name in self.class_names if name not in DRAWINGS]
        if unknown or not self.class_names:
            raise ValueError(f"class_names has {unknown or 'nothing'}; there are {', '.join(CLASS_NAMES)}")
        if not 0 <= self.objects[0] <= self.objects[1]:
            raise ValueError(f"objects is {self.objects}; give (least, most), 0 <= least <= most")


@dataclass(frozen=True)
class Scene:
    """A drawn picture and what is in it.

    `picture`: uint8 [h, w, 3], RGB. `boxes_xyxy`: float32 [n, 4] in pixels, the right and lower edges exclusive,
    the exact extent of each object's visible pixels. `class_ids`: int64 [n], indices into `CLASS_NAMES`.
    `instances`: int16 [h, w], 0 where there is no object, else the object's row in `boxes_xyxy` plus 1.
    """

    picture: Picture
    boxes_xyxy: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    instances: NDArray[np.int16]


@dataclass
class _Stage:
    """The scene while it is being drawn."""

    picture: Picture
    instances: NDArray[np.int16]
    full_areas: list[int] = field(default_factory=list)
    class_ids: list[int] = field(default_factory=list)

    def admits(self, cutout: Cutout, left: int, top: int) -> bool:
        """Whether everything stays recognisable with `cutout` in front of what is there."""
        here, there = overlap(self.instances.shape, cutout.opacity.shape, left, top)
        mask = cutout.mask
        if mask[there].sum() < LEAST_VISIBLE * mask.sum() or not mask.any():
            return False
        if not self.class_ids:
            return True
        count = len(self.class_ids) + 1
        hidden = np.bincount(self.instances[here][mask[there]], minlength=count)[1:]
        visible = np.bincount(self.instances.ravel(), minlength=count)[1:]
        touched = hidden > 0
        return bool(np.all((visible - hidden)[touched] >= LEAST_VISIBLE * np.array(self.full_areas)[touched]))

    def put(self, cutout: Cutout, left: int, top: int, *, shadow: float, class_id: int | None) -> None:
        """Paste `cutout`; with a class it becomes an object, without one it only covers what is behind it."""
        if shadow > 0:
            paste_shadow(self.picture, cutout, left, top, shadow)
        paste(self.picture, cutout, left, top)
        here, there = overlap(self.instances.shape, cutout.opacity.shape, left, top)
        number = 0
        if class_id is not None:
            self.class_ids.append(class_id)
            self.full_areas.append(int(cutout.mask.sum()))
            number = len(self.class_ids)
        self.instances[here][cutout.mask[there]] = number


def draw_scene(rng: np.random.Generator, options: SceneOptions | None = None) -> Scene:
    """Draw one scene; the same state of `rng` gives the same scene."""
    options = options or SceneOptions()
    background = options.background or str(rng.choice(list(BACKGROUNDS)))
    picture = BACKGROUNDS[background](rng, options.size_hw)
    stage = _Stage(np.ascontiguousarray(picture), np.zeros(options.size_hw, np.int16))
    shadow = float(rng.choice([0.0, 0.25, 0.4]))
    for _ in range(int(rng.integers(0, options.distractors + 1))):
        _place(rng, stage, options, shadow=shadow, class_name=None)
    for _ in range(int(rng.integers(options.objects[0], options.objects[1] + 1))):
        _place(rng, stage, options, shadow=shadow, class_name=str(rng.choice(options.class_names)))
    if options.distractors and rng.random() < 0.4:
        _place(rng, stage, options, shadow=shadow, class_name=None)
    worn = _wear(rng, stage.picture, options.wear)
    boxes_xyxy = instance_boxes(stage.instances, len(stage.class_ids))
    return Scene(worn, boxes_xyxy, np.array(stage.class_ids, np.int64), stage.instances)


def random_options(rng: np.random.Generator, *, smallest_px: float = SMALLEST_PX) -> SceneOptions:
    """Options for one scene out of the variety that the detector is trained and measured on.

    `smallest_px`: least diameter of an object, at a longer side of 640 px.
    """
    crowd = int(rng.choice([3, 8, 14]))
    size_hw = SIZES_HW[int(rng.integers(len(SIZES_HW)))]
    return SceneOptions(size_hw=size_hw, objects=(0 if crowd == 3 else 1, crowd), diameter_px=(smallest_px, LARGEST_PX))


def instance_boxes(instances: NDArray[np.int16], count: int) -> NDArray[np.float32]:
    """The extents of the pixels numbered 1..count, float32 [count, 4] xyxy, right and lower edges exclusive."""
    boxes_xyxy = np.zeros((count, 4), np.float32)
    for index in range(count):
        mask = (instances == index + 1).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        boxes_xyxy[index] = (x, y, x + width, y + height)
    return boxes_xyxy


def _place(
    rng: np.random.Generator, stage: _Stage, options: SceneOptions, *, shadow: float, class_name: str | None
) -> None:
    """Draws one thing where it fits; after `_ATTEMPTS` places the scene does without it."""
    height, width = options.size_hw
    scale = max(options.size_hw) / _REFERENCE_SIDE_PX
    low, high = np.log(options.diameter_px)
    diameter = min(float(np.exp(rng.uniform(low, high))) * scale, 0.85 * min(options.size_hw))
    for _ in range(_ATTEMPTS):
        size_px = max(8, round(diameter))
        left = int(rng.integers(-size_px // 8, max(width - size_px * 7 // 8, 1)))
        top = int(rng.integers(*_tops(height, size_px, options.horizon, class_name)))
        cutout = _cutout(rng, size_px, class_name)
        if stage.admits(cutout, left, top):
            class_id = None if class_name is None else CLASS_NAMES.index(class_name)
            stage.put(cutout, left, top, shadow=shadow, class_id=class_id)
            return
        diameter = max(diameter * 0.85, options.diameter_px[0] * scale)


def _tops(height: int, size_px: int, horizon: float | None, class_name: str | None) -> tuple[int, int]:
    """Between which upper edges something of `size_px` may be put; the border may cut off an eighth."""
    low, high = -size_px // 8, max(height - size_px * 7 // 8, 1)
    if horizon is None:
        return low, high
    level = int(horizon * height)
    if class_name in FLYING:
        return low, max(level - size_px, low + 1)
    low = max(level - size_px * 3 // 4, low)
    return low, max(high, low + 1)


def _cutout(rng: np.random.Generator, size_px: int, class_name: str | None) -> Cutout:
    free = class_name is None or class_name in FREELY_TURNED
    sprite = Sprite(size_px, _matrix(rng, 180.0 if free else MAX_TILT_DEG))
    draw = distractors.draw_distractor if class_name is None else DRAWINGS[class_name]
    return draw(sprite, rng)


def _matrix(rng: np.random.Generator, max_tilt_deg: float) -> Points:
    """Turns by up to `max_tilt_deg`, mirrors half of the time, narrows a little; the circle stays inside."""
    angle = np.radians(rng.uniform(-max_tilt_deg, max_tilt_deg) * rng.uniform(0.2, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    sides = np.diag([rng.choice([-1, 1]) * rng.uniform(0.85, 1), rng.uniform(0.88, 1)])
    return np.asarray(turn @ sides)


def _wear(rng: np.random.Generator, picture: Picture, amount: float) -> Picture:
    """Brightness, contrast, a colour cast, then blur or noise, as a camera would add."""
    gain = 1 + amount * rng.uniform(-0.22, 0.18)
    cast = 1 + amount * rng.uniform(-0.06, 0.06, 3)
    worn = picture * (gain * cast).astype(np.float32) + np.float32(amount * rng.uniform(-14, 14))
    blur = amount * float(rng.choice([0, 0, 0.7, 1.2])) * max(picture.shape) / _REFERENCE_SIDE_PX
    if blur > 0:
        worn = cv2.GaussianBlur(worn, (0, 0), blur)
    grain = amount * float(rng.choice([0, 2, 6]))
    if grain > 0:
        worn += rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(grain)
    return np.asarray(np.clip(worn + 0.5, 0, 255), np.uint8)
