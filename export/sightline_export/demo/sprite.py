"""A small drawing surface: polygons in unit coordinates, supersampled, shaded, and pasted with their mask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]
Rgb = tuple[float, float, float]

_SUBPIXEL_BITS = 4
# Towards the light, in picture axes (x right, y down, z to the viewer): from the upper left.
_LIGHT = np.array([-0.45, -0.6, 0.66])


@dataclass(frozen=True)
class Cutout:
    """A finished drawing: colour already multiplied by its opacity.

    `colour` is float32 [h, w, 3] in 0..255, `opacity` float32 [h, w] in 0..1.
    """

    colour: NDArray[np.float32]
    opacity: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels that count as the object: at least half covered."""
        return self.opacity >= 0.5


class Sprite:
    """A square of `size_px` pixels whose unit coordinates run from -1 to 1, x right and y down.

    `matrix` (float [2, 2]) turns, flips and stretches everything that is drawn.
    """

    def __init__(self, size_px: int, matrix: Points) -> None:
        self.size_px = size_px
        self._factor = 4 if size_px < 120 else 2
        side = size_px * self._factor
        self._side = side
        self._matrix = matrix
        self._colour = np.zeros((side, side, 3), np.uint8)
        self._opacity = np.zeros((side, side), np.uint8)

    def polygon(self, points: Points, colour: Rgb) -> None:
        """Fill the outline `points` (float [n, 2], unit coordinates)."""
        pixels = (points @ self._matrix.T + 1) * (self._side / 2) - 0.5
        fixed = np.round(pixels * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(self._colour, [fixed], colour, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self._opacity, [fixed], 255.0, cv2.LINE_8, _SUBPIXEL_BITS)

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], colour: Rgb) -> None:
        """Fill an ellipse whose axes are the unit axes."""
        self.polygon(arc(centre, radii, 0, 360), colour)

    def line(self, points: Points, width: float, colour: Rgb) -> None:
        """Draw a path (float [n, 2]) as strokes of `width` units with round joints."""
        for start, end in pairwise(points):
            along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
            across = np.array([-along[1], along[0]]) * width / 2
            self.polygon(np.array([start + across, end + across, end - across, start - across]), colour)
            self.ellipse((float(end[0]), float(end[1])), (width / 2, width / 2), colour)

    def finish(self, *, round_body: bool, gloss: float) -> Cutout:
        """Scale down to `size_px` and shade; `round_body` lights it as a ball, otherwise as a flat relief."""
        size = (self.size_px, self.size_px)
        colour = cv2.resize(self._colour, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        opacity = cv2.resize(self._opacity, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        opacity /= np.float32(255)
        light = _ball_light(self.size_px) if round_body else _relief_light(opacity)
        shine = np.clip(light - 1.13, 0, 1) * gloss * 255 * opacity
        lit = np.clip(colour * light[..., None] + shine[..., None], 0, 255 * opacity[..., None])
        return Cutout(np.asarray(lit, np.float32), opacity)


def arc(centre: tuple[float, float], radii: tuple[float, float], start_deg: float, end_deg: float) -> Points:
    """Points along an ellipse, float [n, 2]; degrees run clockwise from +x because y is down."""
    angles = np.radians(np.linspace(start_deg, end_deg, 40))
    return np.stack([centre[0] + radii[0] * np.cos(angles), centre[1] + radii[1] * np.sin(angles)], axis=1)


def curve(*controls: tuple[float, float]) -> Points:
    """Points along the quadratic Bézier of three control points, float [n, 2]."""
    start, middle, end = (np.array(control) for control in controls)
    t = np.linspace(0, 1, 16)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end)


def outline(pieces: Iterable[Points]) -> Points:
    """One closed outline out of several pieces, float [n, 2]."""
    return np.concatenate(list(pieces))


def paste(picture: Picture, cutout: Cutout, left: int, top: int) -> None:
    """Blend `cutout` into `picture` (uint8 [h, w, 3]) in place; what lies outside is cut off."""
    here, there = overlap(picture.shape[:2], cutout.opacity.shape, left, top)
    ground = picture[here].astype(np.float32)
    blended = cutout.colour[there] + ground * (1 - cutout.opacity[there][..., None])
    picture[here] = np.clip(blended + 0.5, 0, 255).astype(np.uint8)


def paste_shadow(picture: Picture, cutout: Cutout, left: int, top: int, strength: float) -> None:
    """Darken `picture` in place where the soft shadow of `cutout` falls, below and to the right of it."""
    size = cutout.opacity.shape[0]
    offset = max(1, size // 18)
    soft = cv2.GaussianBlur(cutout.opacity, (0, 0), max(1.0, size / 30))
    here, there = overlap(picture.shape[:2], soft.shape, left + offset, top + offset)
    darker = picture[here].astype(np.float32) * (1 - strength * soft[there][..., None])
    picture[here] = darker.astype(np.uint8)


def overlap(
    ground_hw: tuple[int, ...], patch_hw: tuple[int, ...], left: int, top: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch at (left, top) lies: its slices in the ground, and the same pixels in the patch."""
    x0, y0 = max(left, 0), max(top, 0)
    x1 = max(min(left + patch_hw[1], ground_hw[1]), x0)
    y1 = max(min(top + patch_hw[0], ground_hw[0]), y0)
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


def _ball_light(size_px: int) -> NDArray[np.float32]:
    axis = np.linspace(-1, 1, size_px, dtype=np.float32) / 0.93
    x, y = np.meshgrid(axis, axis)
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    lambert = np.clip(x * _LIGHT[0] + y * _LIGHT[1] + z * _LIGHT[2], 0, 1)
    return np.asarray(0.5 + 0.72 * lambert, np.float32)


def _relief_light(opacity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lights the drawing as if its edges were bevelled: the blurred opacity is the height."""
    height = cv2.GaussianBlur(opacity, (0, 0), max(0.6, opacity.shape[0] / 28))
    slope_x = np.gradient(height, axis=1) * opacity.shape[0]
    slope_y = np.gradient(height, axis=0) * opacity.shape[0]
    tilt = -(slope_x * _LIGHT[0] + slope_y * _LIGHT[1])
    axis = np.linspace(-1, 1, opacity.shape[0], dtype=np.float32)
    sideways = 0.11 * (axis[None, :] * _LIGHT[0] + axis[:, None] * _LIGHT[1])
    return np.asarray(np.clip(0.98 + sideways + 0.022 * tilt, 0.62, 1.3), np.float32)
