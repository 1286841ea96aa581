"""Shapes that belong to no class, so that the detector cannot take every outline for an object."""

from __future__ import annotations

import numpy as np

from .objects import blend, darker, hue, points
from .sprite import Cutout, Points, Rgb, Sprite, arc, outline


def draw_distractor(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """One of: crate, disc, ring, triangle, bar, stone, leaf, cross."""
    kinds = (_crate, _disc, _ring, _triangle, _bar, _stone, _leaf, _cross)
    base = hue(rng, rng.uniform(0, 1), 0, value=rng.uniform(0.45, 1))
    tone = blend(base, (150, 146, 138), rng.uniform(0.1, 0.8))
    kinds[int(rng.integers(len(kinds)))](sprite, rng, tone)
    return sprite.finish(round_body=False, gloss=0.6)


def _crate(sprite: Sprite, _: np.random.Generator, tone: Rgb) -> None:
    sprite.polygon(points((-0.6, -0.6), (0.6, -0.6), (0.6, 0.6), (-0.6, 0.6)), tone)
    for y in (-0.6, -0.05, 0.5):
        sprite.polygon(points((-0.6, y), (0.6, y), (0.6, y + 0.1), (-0.6, y + 0.1)), darker(tone))


def _disc(sprite: Sprite, rng: np.random.Generator, tone: Rgb) -> None:
    sprite.ellipse((0, 0), (0.85, rng.uniform(0.5, 0.85)), tone)


def _ring(sprite: Sprite, rng: np.random.Generator, tone: Rgb) -> None:
    inner = rng.uniform(0.5, 0.7)
    for start in (0, 180):
        half = [arc((0, 0), (0.85, 0.85), start, start + 180), arc((0, 0), (inner, inner), start + 180, start)]
        sprite.polygon(outline(half), tone)


def _triangle(sprite: Sprite, rng: np.random.Generator, tone: Rgb) -> None:
    sprite.polygon(points((rng.uniform(-0.3, 0.3), -0.8), (0.7, 0.5), (-0.7, 0.5)), tone)


def _bar(sprite: Sprite, rng: np.random.Generator, tone: Rgb) -> None:
    width = rng.uniform(0.06, 0.25)
    sprite.polygon(points((-0.95, -width), (0.95, -width), (0.95, width), (-0.95, width)), tone)


def _stone(sprite: Sprite, rng: np.random.Generator, tone: Rgb) -> None:
    grey = blend(tone, (130, 128, 124), 0.8)
    sprite.polygon(_lumpy(rng, 0.8), grey)


def _leaf(sprite: Sprite, _: np.random.Generator, tone: Rgb) -> None:
    half = arc((0, 0.55), (0.95, 0.95), 215, 325)
    sprite.polygon(outline([half, half * (-1, -1)]), tone)
    sprite.line(points((-0.8, 0), (0.8, 0)), 0.05, darker(tone))


def _cross(sprite: Sprite, rng: np.random.Generator, tone: Rgb) -> None:
    width = rng.uniform(0.12, 0.28)
    sprite.polygon(points((-0.8, -width), (0.8, -width), (0.8, width), (-0.8, width)), tone)
    sprite.polygon(points((-width, -0.8), (width, -0.8), (width, 0.8), (-width, 0.8)), tone)


def _lumpy(rng: np.random.Generator, radius: float) -> Points:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    lumps = sum(rng.uniform(0, 0.1) * np.sin(k * angles + rng.uniform(0, 6)) for k in (1, 2, 3, 4))
    away = radius * (0.8 + np.asarray(lumps))
    return np.stack([away * np.cos(angles), 0.75 * away * np.sin(angles)], axis=1)
