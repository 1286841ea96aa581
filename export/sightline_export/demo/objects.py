"""The eight kinds of object that the demo detector knows, each drawn by one function."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np

from .sprite import Cutout, Points, Rgb, Sprite, arc, curve, outline

_WHITE: Rgb = (246, 244, 238)
_INK: Rgb = (34, 32, 38)


def hue(rng: np.random.Generator, around: float, spread: float, *, value: float = 0.92) -> Rgb:
    """A saturated colour (0..255) near the hue `around` (0..1)."""
    h = (around + rng.uniform(-spread, spread)) % 1
    red, green, blue = colorsys.hsv_to_rgb(h, rng.uniform(0.68, 0.95), value * rng.uniform(0.85, 1.0))
    return red * 255, green * 255, blue * 255


def blend(one: Rgb, other: Rgb, share: float) -> Rgb:
    """`share` of `other` in `one`."""
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def darker(colour: Rgb, share: float = 0.3) -> Rgb:
    """The colour, mixed with black."""
    return blend(colour, (0, 0, 0), share)


def points(*pairs: tuple[float, float]) -> Points:
    """An outline, float [n, 2]."""
    return np.array(pairs, dtype=np.float64)


def draw_ball(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A beach ball: six curved panels, every other one white."""
    sprite.ellipse((0, 0), (0.93, 0.93), _WHITE)
    pole = (rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3))
    first = rng.uniform(0, 1)
    for panel in range(3):
        start, end = panel * 120.0, panel * 120.0 + 60
        colour = hue(rng, first + panel / 3, 0.06)
        rim = arc((0, 0), (0.93, 0.93), start, end)
        out = curve(pole, _bend(pole, rim[0]), (rim[0, 0], rim[0, 1]))
        back = curve((rim[-1, 0], rim[-1, 1]), _bend(pole, rim[-1]), pole)
        sprite.polygon(outline([out, rim, back]), colour)
    sprite.ellipse(pole, (0.13, 0.13), hue(rng, first, 0.04))
    return sprite.finish(round_body=True, gloss=2.6)


def _bend(pole: tuple[float, float], rim: Points) -> tuple[float, float]:
    # The seam of a ball bulges away from the straight line, the more the nearer the pole is to the middle.
    return pole[0] * 0.5 + rim[0] * 0.55 + 0.12 * rim[1], pole[1] * 0.5 + rim[1] * 0.55 - 0.12 * rim[0]


def draw_balloon(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A hot-air balloon: a striped envelope, four ropes and a basket."""
    colours = [hue(rng, h := rng.uniform(0, 1), 0.03), _WHITE if rng.random() < 0.5 else hue(rng, h + 0.45, 0.1)]
    basket = hue(rng, 0.08, 0.015, value=0.6)
    for x in (-0.16, -0.055, 0.055, 0.16):
        sprite.line(points((x * 1.15, 0.48), (x * 0.8, 0.72)), 0.028, _INK)
    sprite.polygon(points((-0.17, 0.68), (0.17, 0.68), (0.14, 0.95), (-0.14, 0.95)), basket)
    sprite.polygon(points((-0.19, 0.66), (0.19, 0.66), (0.19, 0.73), (-0.19, 0.73)), darker(basket))
    for index, share in enumerate((1.0, 0.82, 0.56, 0.2)):
        sprite.polygon(_envelope(share), colours[index % 2])
    band = outline([curve((-0.62, -0.05), (0, 0.1), (0.62, -0.05)), curve((0.55, 0.1), (0, 0.25), (-0.55, 0.1))])
    if rng.random() < 0.5:
        sprite.polygon(band, darker(colours[0], 0.25))
    sprite.polygon(points((-0.2, 0.47), (0.2, 0.47), (0.17, 0.54), (-0.17, 0.54)), darker(colours[0]))
    return sprite.finish(round_body=False, gloss=1.2)


def _envelope(share: float) -> Points:
    top = arc((0, -0.28), (0.66, 0.67), 180, 360)
    right = curve((0.66, -0.28), (0.62, 0.12), (0.2, 0.5))
    shape = outline([top, right, right[::-1] * (-1, 1)])
    return np.asarray(shape * (share, 1.0))


def draw_cone(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A traffic cone: a banded cone on a flat foot."""
    body = hue(rng, float(rng.choice([0.05, 0.05, 0.06, 0.0, 0.14])), 0.015, value=1.0)
    foot = darker(body, 0.35) if rng.random() < 0.6 else _INK
    sprite.polygon(points((-0.74, 0.72), (-0.6, 0.6), (0.6, 0.6), (0.74, 0.72), (0.74, 0.9), (-0.74, 0.9)), foot)
    sprite.polygon(_cone_slice(-0.88, 0.72), body)
    for top, bottom in ((-0.5, -0.2), (0.1, 0.4)):
        sprite.polygon(_cone_slice(top, bottom), _WHITE)
    sprite.ellipse((0, -0.88), (0.1, 0.035), darker(body, 0.55))
    return sprite.finish(round_body=False, gloss=1.0)


def _cone_slice(top: float, bottom: float) -> Points:
    at_top, at_bottom = (0.1 + (y + 0.88) * 0.25 for y in (top, bottom))
    upper = arc((0, top), (at_top, at_top * 0.3), 180, 0)
    lower = arc((0, bottom), (at_bottom, at_bottom * 0.3), 0, 180)
    return outline([upper, lower])


def draw_fish(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A fish in profile: striped body, fins, forked tail and an eye."""
    body = hue(rng, rng.uniform(0, 1), 0)
    fin = blend(hue(rng, rng.uniform(0, 1), 0), body, 0.4)
    stripe = _WHITE if rng.random() < 0.5 else darker(body, 0.5)
    height = rng.uniform(0.36, 0.5)
    tail = [curve((-0.4, 0), (-0.7, -0.1), (-0.94, -0.48)), curve((-0.94, -0.48), (-0.68, 0), (-0.94, 0.48))]
    sprite.polygon(outline([*tail, curve((-0.94, 0.48), (-0.7, 0.1), (-0.4, 0))]), fin)
    back = curve((-0.3, -height * 0.8), (0.0, -height - 0.42), (0.5, -height * 0.7))
    sprite.polygon(outline([back, points((0.1, 0.0))]), fin)
    sprite.polygon(points((-0.1, height * 0.8), (-0.25, height + 0.26), (0.25, height * 0.8)), fin)
    sprite.ellipse((0.17, 0), (0.76, height), body)
    for left in np.arange(-0.38, 0.3, rng.uniform(0.26, 0.36)):
        sprite.polygon(_fish_band(float(left), float(left) + 0.12, height), stripe)
    sprite.polygon(outline([curve((0.2, 0.05), (0.0, 0.0), (-0.05, 0.24)), points((0.14, 0.2))]), fin)
    sprite.ellipse((0.62, -0.1), (0.11, 0.11), _WHITE)
    sprite.ellipse((0.64, -0.1), (0.06, 0.06), _INK)
    sprite.line(curve((0.9, 0.06), (0.82, 0.13), (0.7, 0.12)), 0.03, darker(body, 0.6))
    return sprite.finish(round_body=False, gloss=1.6)


def _fish_band(left: float, right: float, height: float) -> Points:
    x = np.linspace(left, right, 8)
    y = height * np.sqrt(np.clip(1 - ((x - 0.17) / 0.76) ** 2, 0, 1))
    return np.concatenate([np.stack([x, -y], 1), np.stack([x[::-1], y[::-1]], 1)])


def draw_flower(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A flower on a short stem: five to eight two-coloured petals around a disc."""
    green = hue(rng, 0.32, 0.04, value=0.62)
    petal = hue(rng, float(rng.choice([0.0, 0.08, 0.6, 0.75, 0.85, 0.92])), 0.04)
    inner = blend(petal, _WHITE, 0.55)
    if rng.random() < 0.15:
        petal, inner = _WHITE, hue(rng, 0.9, 0.05)
    sprite.line(curve((0, -0.2), (rng.uniform(-0.12, 0.12), 0.4), (rng.uniform(-0.1, 0.1), 0.92)), 0.085, green)
    for side in (-1, 1):
        leaf = [curve((0, 0.8), (0.18, 0.38), (0.5, 0.42)), curve((0.5, 0.42), (0.4, 0.76), (0, 0.8))]
        sprite.polygon(outline(leaf) * (side, 1), blend(green, _WHITE, 0.12 if side > 0 else 0))
    count = int(rng.integers(5, 9))
    for index in range(count):
        angle = 2 * np.pi * index / count
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        for width, length, colour in ((2.2 / count, 0.3, petal), (1.2 / count, 0.21, inner)):
            shape = arc((0.34 - (0.3 - length) * 0.6, 0), (length, min(width, 0.34) * 0.62), 0, 360)
            sprite.polygon(shape @ turn.T + (0, -0.3), colour)
    sprite.ellipse((0, -0.3), (0.19, 0.19), hue(rng, 0.11, 0.02, value=0.75))
    sprite.ellipse((0, -0.3), (0.14, 0.14), hue(rng, 0.14, 0.015, value=1.0))
    return sprite.finish(round_body=False, gloss=0.8)


def draw_kite(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A diamond kite with four panels, two spars and a tail with bows."""
    one = hue(rng, h := rng.uniform(0, 1), 0.03)
    two = _WHITE if rng.random() < 0.3 else hue(rng, h + rng.choice([0.15, 0.33, 0.5]), 0.04)
    top, right, bottom, left, middle = (0, -0.93), (0.6, -0.3), (0, 0.5), (-0.6, -0.3), (0, -0.3)
    sway = rng.choice([-1, 1]) * rng.uniform(0.15, 0.35)
    tail = outline([curve((0, 0.48), (sway, 0.55), (0, 0.7)), curve((0, 0.7), (-sway, 0.82), (sway * 0.4, 0.93))])
    sprite.line(tail, 0.035, _INK)
    for at in (10, 19, 28):
        x, y = tail[at]
        bow = points((x, y), (x - 0.15, y - 0.07), (x - 0.15, y + 0.07), (x, y), (x + 0.15, y - 0.07))
        sprite.polygon(np.concatenate([bow, points((x + 0.15, y + 0.07))]), one if at != 19 else two)
    for index, (a, b) in enumerate(((top, right), (right, bottom), (bottom, left), (left, top))):
        sprite.polygon(points(a, b, middle), one if index % 2 else two)
    for start, end in ((top, bottom), (left, right)):
        sprite.line(points(start, end), 0.03, darker(one, 0.55))
    return sprite.finish(round_body=False, gloss=0.9)


def draw_mushroom(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A toadstool: pale stem, domed cap, light spots."""
    cap = hue(rng, float(rng.choice([0.0, 0.0, 0.04, 0.09, 0.8])), 0.02, value=0.85)
    stem = blend((238, 226, 200), (200, 176, 140), rng.uniform(0, 0.6))
    left = curve((-0.2, -0.1), (-0.2, 0.5), (-0.32, 0.82))
    foot = arc((0, 0.82), (0.32, 0.11), 180, 0)
    sprite.polygon(outline([left, foot, left[::-1] * (-1, 1)]), stem)
    sprite.polygon(points((-0.24, 0.12), (0.24, 0.12), (0.3, 0.27), (-0.3, 0.27)), blend(stem, _WHITE, 0.6))
    sprite.ellipse((0, 0.02), (0.82, 0.16), darker(stem, 0.22))
    dome = [arc((0, 0.02), (0.86, 0.9), 180, 360), curve((0.86, 0.02), (0, 0.24), (-0.86, 0.02))]
    sprite.polygon(outline(dome), cap)
    spots = ((0.0, -0.58, 0.15), (-0.42, -0.32, 0.13), (0.42, -0.36, 0.12), (0.04, -0.17, 0.14), (-0.64, -0.06, 0.07))
    for x, y, radius in (*spots, (0.66, -0.08, 0.08)):
        size = radius * rng.uniform(0.75, 1.1)
        sprite.ellipse((x, y), (size, size * 0.8), _WHITE)
    return sprite.finish(round_body=False, gloss=1.4)


def draw_sailboat(sprite: Sprite, rng: np.random.Generator) -> Cutout:
    """A sailing dinghy: hull with a stripe, mast, mainsail, jib and a pennant."""
    hull = hue(rng, rng.uniform(0, 1), 0, value=0.75)
    main = _WHITE if rng.random() < 0.6 else hue(rng, rng.uniform(0, 1), 0)
    jib = blend(main, hue(rng, rng.uniform(0, 1), 0), rng.uniform(0.1, 1.0))
    sprite.line(points((0, -0.93), (0, 0.5)), 0.055, hue(rng, 0.08, 0.01, value=0.45))
    sprite.polygon(points((0.02, -0.93), (0.32, -0.85), (0.02, -0.76)), hue(rng, 0.0, 0.04))
    luff = curve((0.05, -0.72), (0.62, -0.25), (0.68, 0.36))
    sprite.polygon(outline([luff, points((0.05, 0.36))]), main)
    stripe = curve((0.05, -0.1), (0.3, -0.08), (0.56, -0.1))
    sprite.polygon(outline([stripe, points((0.63, 0.08), (0.05, 0.08))]), blend(main, hull, 0.75))
    sprite.polygon(outline([curve((-0.05, -0.62), (-0.4, -0.15), (-0.64, 0.34)), points((-0.05, 0.34))]), jib)
    keel = curve((0.86, 0.46), (0.72, 0.82), (0.42, 0.88))
    sprite.polygon(outline([points((-0.88, 0.46)), keel, points((-0.5, 0.88))]), hull)
    sprite.polygon(points((-0.88, 0.46), (0.86, 0.46), (0.81, 0.58), (-0.8, 0.58)), _WHITE)
    return sprite.finish(round_body=False, gloss=1.2)


Draw = Callable[[Sprite, np.random.Generator], Cutout]

# The order is the class id.
DRAWINGS: dict[str, Draw] = {
    "ball": draw_ball,
    "balloon": draw_balloon,
    "cone": draw_cone,
    "fish": draw_fish,
    "flower": draw_flower,
    "kite": draw_kite,
    "mushroom": draw_mushroom,
    "sailboat": draw_sailboat,
}
CLASS_NAMES = tuple(DRAWINGS)
# What looks right at any angle; the others stay within `draw.MAX_TILT_DEG` of upright.
FREELY_TURNED = frozenset({"ball"})
# What keeps above the horizon of a scene that has one.
FLYING = frozenset({"balloon", "kite"})
