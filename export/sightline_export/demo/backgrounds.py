"""Backgrounds for the demo pictures: places, textures and patterns, each a function of (rng, size)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .sprite import Picture, Rgb

Field = NDArray[np.float32]
Size = tuple[int, int]


def noise(rng: np.random.Generator, size_hw: Size, cells: float, *, stretch: float = 1.0) -> Field:
    """Smooth noise in 0..1, float32 [h, w]: about `cells` blobs along the longer side, `stretch` times wider."""
    height, width = size_hw
    per_pixel = cells / max(size_hw)
    small = (max(2, round(height * per_pixel)), max(2, round(width * per_pixel / stretch)))
    coarse = rng.random(small, dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def layered_noise(rng: np.random.Generator, size_hw: Size, cells: float, *, stretch: float = 1.0) -> Field:
    """Four octaves of `noise`, in about 0..1."""
    octaves = [noise(rng, size_hw, cells * 2**k, stretch=stretch) / 2**k for k in range(4)]
    return np.asarray(sum(octaves, np.zeros(size_hw, np.float32)) / 1.875, np.float32)


def colour(rng: np.random.Generator, base: Rgb, spread: float = 14) -> Field:
    """`base` with some variation, float32 [3]."""
    return np.asarray(np.array(base) + rng.uniform(-spread, spread) + rng.uniform(-spread, spread, 3), np.float32)


def ramp(field: Field, low: Field, high: Field) -> Field:
    """Colours between `low` (at 0) and `high` (at 1), float32 [h, w, 3]."""
    return np.asarray(low + (high - low) * field[..., None], np.float32)


def finish(picture: Field) -> Picture:
    """Round and clip to uint8."""
    return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)


def _down(size_hw: Size) -> Field:
    rows = np.linspace(0, 1, size_hw[0], dtype=np.float32)[:, None]
    return np.asarray(np.broadcast_to(rows, size_hw), np.float32)


def _sky(rng: np.random.Generator, size_hw: Size) -> Field:
    tops: list[Rgb] = [(70, 140, 220), (96, 160, 226), (60, 110, 190), (240, 150, 110)]
    top = tops[int(rng.integers(len(tops)))]
    sky = ramp(_down(size_hw), colour(rng, top), colour(rng, (226, 232, 232)))
    clouds = np.clip(layered_noise(rng, size_hw, rng.uniform(2, 5), stretch=2) * 2.4 - 1.2, 0, 1)
    clouds *= rng.uniform(0.3, 0.95)
    return np.asarray(sky * (1 - clouds[..., None]) + 250 * clouds[..., None], np.float32)


def _land(rng: np.random.Generator, size_hw: Size, picture: Field, level: float, base: Rgb) -> None:
    """Paints hills in place: everything below a wavy line near `level` (share of the height)."""
    height, width = size_hw
    x = np.linspace(0, 2 * np.pi, width)
    wave = sum(rng.uniform(0.3, 1) / k * np.sin(k * x * 0.7 + rng.uniform(0, 6)) for k in (1, 2, 3, 5))
    line = (level + 0.05 * np.asarray(wave)) * height
    below = np.arange(height)[:, None] > line[None, :]
    texture = layered_noise(rng, size_hw, 40, stretch=0.5) + 0.25 * _down(size_hw)
    tone = colour(rng, base)
    ground = ramp(texture, tone * 0.72, tone * 1.18)
    picture[below] = ground[below]


def meadow(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Sky over rolling green hills."""
    picture = _sky(rng, size_hw)
    level = rng.uniform(0.3, 0.65)
    for step, base in enumerate(((120, 165, 140), (110, 165, 90), (92, 150, 62))):
        _land(rng, size_hw, picture, level + 0.14 * step, base)
    return finish(picture)


def sea(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Sky over water with waves that grow towards the viewer."""
    picture = _sky(rng, size_hw)
    height, _ = size_hw
    horizon = int(height * rng.uniform(0.25, 0.55))
    size = (height - horizon, size_hw[1])
    far, near = colour(rng, (96, 168, 190)), colour(rng, (24, 92, 130))
    water = ramp(_down(size), far, near)
    waves = noise(rng, size, 26, stretch=5) - 0.5 + 0.6 * (noise(rng, size, 60, stretch=6) - 0.5)
    water += (waves * (18 + 40 * _down(size)))[..., None]
    picture[horizon:] = water
    return finish(picture)


def underwater(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Blue-green depth with slanting light and bubbles."""
    picture = ramp(_down(size_hw), colour(rng, (84, 186, 206)), colour(rng, (12, 54, 104)))
    rays = noise(rng, size_hw, 9, stretch=0.12)
    lean = cv2.getRotationMatrix2D((size_hw[1] / 2, 0), rng.uniform(-25, 25), 1.5)
    slanted = cv2.warpAffine(rays, lean, size_hw[::-1], borderMode=cv2.BORDER_REFLECT)
    picture += (np.clip(slanted - 0.5, 0, 1) * (1 - _down(size_hw)) * 130)[..., None]
    for _ in range(int(rng.integers(8, 30))):
        _bubble(rng, size_hw, picture)
    _land(rng, size_hw, picture, rng.uniform(0.86, 0.97), (176, 166, 126))
    return finish(picture)


def _bubble(rng: np.random.Generator, size_hw: Size, picture: Field) -> None:
    centre = int(rng.integers(size_hw[1])), int(rng.integers(size_hw[0]))
    radius = int(max(size_hw) * rng.uniform(0.003, 0.012)) + 1
    cv2.circle(picture, centre, radius, (190, 228, 236), max(1, radius // 4), cv2.LINE_AA)


def beach(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Sand from above, with ripples and grains."""
    field = 0.6 * layered_noise(rng, size_hw, 5, stretch=2) + 0.4 * layered_noise(rng, size_hw, 60)
    sand = colour(rng, (222, 200, 158), 10)
    picture = ramp(field, sand * 0.8, sand * 1.1)
    return finish(picture + 5 * rng.standard_normal((*size_hw, 1), dtype=np.float32))


def planks(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Wooden boards with grain; either way up."""
    across = rng.random() < 0.5
    height, width = size_hw if across else size_hw[::-1]
    wood = colour(rng, (168, 122, 78), 22)
    grain = layered_noise(rng, (height, width), 30, stretch=10)
    picture = ramp(grain, wood * 0.72, wood * 1.16)
    board = max(24, int(height / rng.uniform(4, 9)))
    for top in range(0, height, board):
        picture[top : top + board] *= rng.uniform(0.84, 1.08)
        picture[top : top + max(2, board // 28)] *= 0.5
    return finish(picture if across else np.ascontiguousarray(picture.transpose(1, 0, 2)))


def tiles(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Square tiles in two colours with pale joints."""
    side = int(max(size_hw) / rng.uniform(6, 14))
    rows, columns = np.arange(size_hw[0])[:, None], np.arange(size_hw[1])[None, :]
    one, two = colour(rng, (206, 214, 216), 30), colour(rng, (120, 150, 165), 50)
    checks = ((rows // side + columns // side) % 2).astype(np.float32)
    picture = ramp(checks, one, two) * (0.9 + 0.16 * layered_noise(rng, size_hw, 8))[..., None]
    joint = max(2, side // 24)
    picture[(rows % side < joint) | (columns % side < joint)] = colour(rng, (228, 226, 220), 8)
    return finish(picture)


def bricks(rng: np.random.Generator, size_hw: Size) -> Picture:
    """A brick wall."""
    height = max(12, int(max(size_hw) / rng.uniform(18, 34)))
    width, joint = int(height * 2.4), max(2, height // 9)
    rows, columns = np.arange(size_hw[0])[:, None], np.arange(size_hw[1])[None, :]
    course = rows // height
    shifted = columns + (course % 2) * (width // 2)
    tones = rng.uniform(0.75, 1.1, (64, 256)).astype(np.float32)
    tone = tones[course % 64, (shifted // width) % 256]
    rough = 0.85 + 0.3 * layered_noise(rng, size_hw, 70)
    picture = np.asarray(colour(rng, (164, 86, 66), 20) * (tone * rough)[..., None], np.float32)
    mortar = (rows % height < joint) | (shifted % width < joint)
    picture[mortar] = (colour(rng, (196, 188, 176), 12) * rough[..., None])[mortar]
    return finish(picture)


def night(rng: np.random.Generator, size_hw: Size) -> Picture:
    """A starry sky over dark hills."""
    picture = ramp(_down(size_hw), colour(rng, (16, 20, 52), 8), colour(rng, (76, 62, 112)))
    for _ in range(int(rng.integers(60, 200))):
        centre = int(rng.integers(size_hw[1])), int(rng.integers(size_hw[0]))
        glow = float(rng.uniform(120, 250))
        cv2.circle(picture, centre, int(max(size_hw) * rng.uniform(0.0005, 0.0022)), (glow, glow, glow * 0.9), -1)
    _land(rng, size_hw, picture, rng.uniform(0.75, 0.95), (38, 46, 62))
    return finish(picture)


def road(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Tarmac with a painted line."""
    tone = colour(rng, (104, 106, 112), 22)
    picture = ramp(layered_noise(rng, size_hw, 9), tone * 0.85, tone * 1.12)
    picture += 7 * rng.standard_normal((*size_hw, 1), dtype=np.float32)
    height, width = size_hw
    start, end = (int(width * rng.uniform(-0.2, 1.2)) for _ in range(2))
    band = max(4, max(size_hw) // 40)
    paint = np.zeros(size_hw, np.uint8)
    cv2.line(paint, (start, 0), (end, height), 255, band, cv2.LINE_AA)
    share = (paint.astype(np.float32) / 255 * 0.8)[..., None]
    return finish(np.asarray(picture * (1 - share) + 232 * share, np.float32))


def wallpaper(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Stripes or dots on paper."""
    base, other = colour(rng, (206, 200, 190), 34), colour(rng, (180, 186, 196), 44)
    rows, columns = np.arange(size_hw[0])[:, None], np.arange(size_hw[1])[None, :]
    step = max(size_hw) / rng.uniform(10, 28)
    if rng.random() < 0.5:
        lean = rng.uniform(-1, 1)
        pattern = (((columns + lean * rows) / step) % 1 < 0.5).astype(np.float32)
    else:
        x, y = (columns / step) % 1 - 0.5, (rows / step) % 1 - 0.5
        pattern = (x * x + y * y < 0.05).astype(np.float32)
    return finish(ramp(pattern, base, other) * (0.92 + 0.14 * layered_noise(rng, size_hw, 3))[..., None])


def studio(rng: np.random.Generator, size_hw: Size) -> Picture:
    """Soft patches of two colours, as a photographer's backdrop."""
    one, two = (colour(rng, (150, 150, 150), 60) for _ in range(2))
    return finish(ramp(layered_noise(rng, size_hw, rng.uniform(1.5, 8)), one, two))


Background = Callable[[np.random.Generator, Size], Picture]
BACKGROUNDS: dict[str, Background] = {
    "meadow": meadow,
    "sea": sea,
    "underwater": underwater,
    "beach": beach,
    "planks": planks,
    "tiles": tiles,
    "bricks": bricks,
    "night": night,
    "road": road,
    "wallpaper": wallpaper,
    "studio": studio,
}
