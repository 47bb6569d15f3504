"""Faults drawn onto a scene, each with the mask of the pixels it changed.

Surface faults paint inside a component's visible pixels; geometric ones (chip, breakage, bend)
alter its outline before it is painted, so what is missing shows the background.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from finegrain.pretraining.shapes import Field
from finegrain.pretraining.surfaces import noise

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.float32]  # (h,w,3) on a 0-255 scale, changed in place
Paint = Callable[[Pixels, Mask, np.random.Generator], Field]

_FINE = 3  # lines are drawn this many times larger and averaged down


def paint_defect(kind: str, pixels: Pixels, where: Mask, rng: np.random.Generator) -> Mask | None:
    """Draw a surface fault within `where`; None if too little of it would show."""
    alpha = SURFACE_DEFECTS[kind](pixels, where, rng)
    mask = (alpha > 0.2) & where
    return mask if mask.sum() >= 12 else None


def _blend(pixels: Pixels, alpha: Field, where: Mask, color: npt.ArrayLike) -> Field:
    alpha = np.where(where, alpha, 0).astype(np.float32)
    pixels += alpha[..., None] * (np.asarray(color, dtype=np.float32) - pixels)
    return alpha


def _spot(where: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """A pixel of `where`, kept off its outermost rows and columns when there is a choice."""
    inside = np.flatnonzero(where)
    row, column = divmod(int(inside[rng.integers(len(inside))]), where.shape[1])
    return float(row), float(column)


def _extent(where: Mask) -> float:
    return float(np.sqrt(where.sum()))


def _lines(shape: tuple[int, int], paths: list[npt.NDArray[np.float64]], width: float) -> Field:
    """Antialiased polylines of (row, column) points, as coverage."""
    sheet = Image.new("L", (shape[1] * _FINE, shape[0] * _FINE))
    draw = ImageDraw.Draw(sheet)
    for path in paths:
        points = [(float(x) * _FINE, float(y) * _FINE) for y, x in path]
        draw.line(points, fill=255, width=max(1, round(width * _FINE)), joint="curve")
    small = sheet.reduce(_FINE)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def _walk(
    start: tuple[float, float], length: float, wander: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """A path that starts half its length before `start`, turning by `wander` radians a step."""
    steps = max(4, int(length / 6))
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, wander, steps))
    moves = np.stack([np.sin(angles), np.cos(angles)], 1) * (length / steps)
    path = np.cumsum(moves, 0)
    return np.asarray(path - path[steps // 2] + np.asarray(start))


def _contrasting(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Pixels:
    """A colour clearly lighter or darker than what it lies on."""
    mean = pixels[where].mean(0)
    brighter = mean.mean() < 90 or (mean.mean() < 175 and rng.random() < 0.5)
    target = rng.uniform(200, 250) if brighter else rng.uniform(5, 50)
    return np.asarray(mean + (target - mean) * rng.uniform(0.6, 0.95), dtype=np.float32)


def _scratch(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    length = _extent(where) * rng.uniform(0.3, 0.9)
    count = int(rng.integers(1, 4))
    start = _spot(where, rng)
    first = _walk(start, length, 0.06, rng)
    paths = [first + rng.uniform(-9, 9, 2) * (i > 0) for i in range(count)]
    alpha = _lines(where.shape, paths, rng.uniform(0.8, 1.8)) * np.float32(rng.uniform(0.7, 1))
    return _blend(pixels, alpha, where, _contrasting(pixels, where, rng))


def _crack(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    length = _extent(where) * rng.uniform(0.4, 1.0)
    trunk = _walk(_spot(where, rng), length, 0.5, rng)
    paths = [trunk]
    for _ in range(int(rng.integers(0, 4))):
        knot = trunk[rng.integers(len(trunk))]
        branch = _walk((0.0, 0.0), length * rng.uniform(0.2, 0.5), 0.5, rng)
        paths.append(branch - branch[0] + knot)
    alpha = _lines(where.shape, paths, rng.uniform(1.0, 2.6)) * np.float32(0.95)
    return _blend(pixels, alpha, where, rng.uniform(5, 35) * np.ones(3))


def _cut(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    length = _extent(where) * rng.uniform(0.25, 0.7)
    path = _walk(_spot(where, rng), length, 0.02, rng)
    width = rng.uniform(2.2, 4.5)
    lip = _lines(where.shape, [path + rng.uniform(0.8, 1.6)], width + 1.5)
    _blend(pixels, lip * np.float32(0.6), where, pixels[where].mean(0) * 0.5 + 125)
    slit = _lines(where.shape, [path], width)
    return np.maximum(_blend(pixels, slit, where, rng.uniform(5, 50) * np.ones(3)), lip * where)


def _blob(where: Mask, radius: float, ragged: float, rng: np.random.Generator) -> Field:
    """Signed distance in pixels to a roundish blob about a spot of `where`."""
    row, column = _spot(where, rng)
    y, x = np.ogrid[: where.shape[0], : where.shape[1]]
    squeeze = rng.uniform(0.6, 1)
    angle = rng.uniform(0, np.pi)
    a = (y - row) * np.cos(angle) + (x - column) * np.sin(angle)
    b = (x - column) * np.cos(angle) - (y - row) * np.sin(angle)
    distance = np.hypot(a / squeeze, b) - radius
    return np.asarray(
        distance + noise("coarse", where.shape, rng, 2) * ragged * radius, dtype=np.float32
    )


def _hole(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    radius = np.clip(_extent(where) * rng.uniform(0.05, 0.16), 3, 16)
    distance = _blob(where, radius, 0.06, rng)
    rim = (np.clip(1 - np.abs(distance) / 2.5, 0, 1) * 0.6).astype(np.float32)
    _blend(pixels, rim, where, pixels[where].mean(0) * 0.6 + 90)
    return np.maximum(
        _blend(
            pixels,
            np.clip(0.5 - distance, 0, 1).astype(np.float32),
            where,
            rng.uniform(3, 40) * np.ones(3),
        ),
        np.where(where, rim, 0),
    )


def _stain(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    radius = np.clip(_extent(where) * rng.uniform(0.1, 0.3), 5, 40)
    soft = rng.uniform(1.5, 6)
    alpha = np.clip(0.5 - _blob(where, radius, 0.25, rng) / soft, 0, 1)
    alpha = alpha * rng.uniform(0.45, 0.9)
    color = _other_hue(pixels[where].mean(0), rng)
    return _blend(pixels, alpha.astype(np.float32), where, color)


def _other_hue(mean: Pixels, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A stain's colour: any that differs enough from what it lies on."""
    candidates = rng.uniform(10, 230, (6, 3))
    return np.asarray(candidates[np.argmax(np.abs(candidates - mean).sum(1))])


def _dent(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    radius = np.clip(_extent(where) * rng.uniform(0.12, 0.25), 5, 30)
    bowl = np.exp(-((np.maximum(_blob(where, radius, 0.05, rng) + radius, 0) / radius) ** 2) * 1.5)
    slope_y, slope_x = np.gradient(bowl)
    angle = rng.uniform(0, 2 * np.pi)
    shading = (slope_y * np.sin(angle) + slope_x * np.cos(angle)) * radius * rng.uniform(0.45, 0.9)
    shading = np.where(where, np.clip(shading, -0.45, 0.45), 0).astype(np.float32)
    pixels *= (1 + shading)[..., None]
    pixels += np.maximum(shading, 0)[..., None] * 50
    return np.where(where, bowl, 0).astype(np.float32)


def _contamination(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    total = np.zeros(where.shape, np.float32)
    reach = np.clip(_extent(where) * 0.25, 6, 30)
    row, column = _spot(where, rng)
    y, x = np.ogrid[: where.shape[0], : where.shape[1]]
    color = _other_hue(pixels[where].mean(0), rng)
    for _ in range(int(rng.integers(3, 12))):
        at = np.array([row, column]) + rng.normal(0, reach / 2, 2)
        size = rng.uniform(1.2, 4)
        alpha = np.clip(size - np.hypot(y - at[0], (x - at[1]) * rng.uniform(0.6, 1.6)), 0, 1)
        total = np.maximum(total, _blend(pixels, alpha.astype(np.float32), where, color))
    return total


def _discoloration(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    radius = np.clip(_extent(where) * rng.uniform(0.25, 0.5), 8, 60)
    distance = _blob(where, radius, 0.2, rng)
    alpha = np.clip(0.5 - distance / rng.uniform(4, 12), 0, 1).astype(np.float32)
    mean = pixels[where].mean(0)
    burnt = np.array([45, 28, 16]) + rng.uniform(-15, 25)
    rust = np.array([150, 75, 30]) + rng.uniform(-20, 20)
    faded = mean * 0.4 + 140
    color = (burnt, rust, faded)[rng.integers(3)]
    if np.abs(color - mean).sum() < 120:
        color = mean * 0.35 if mean.mean() > 110 else mean * 0.5 + 120
    patchy = 0.55 + 0.15 * noise("stone", where.shape, rng)
    return _blend(pixels, (alpha * np.clip(patchy, 0.25, 0.9)).astype(np.float32), where, color)


def _residue(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    """A drop or smear, half transparent, with a bright gleam and a dark rim."""
    radius = np.clip(_extent(where) * rng.uniform(0.12, 0.25), 5, 28)
    distance = _blob(where, radius, 0.15, rng)
    body = np.clip(0.5 - distance / 1.5, 0, 1).astype(np.float32)
    tint = np.array([205, 200, 180]) if rng.random() < 0.6 else rng.uniform(60, 240, 3)
    _blend(pixels, body * np.float32(rng.uniform(0.3, 0.6)), where, tint)
    rim = np.clip(1 - np.abs(distance) / 1.6, 0, 1).astype(np.float32)
    _blend(pixels, rim * np.float32(0.5), where, pixels[where].mean(0) * 0.4)
    gleam = np.clip(1 - np.abs(distance + radius * 0.5) / (radius * 0.2 + 1), 0, 1)
    y, x = np.ogrid[: where.shape[0], : where.shape[1]]
    half = (y + x * rng.uniform(-1, 1)) < (y * body).sum() / max(float(body.sum()), 1.0)
    _blend(pixels, (gleam * half * 0.7).astype(np.float32), where, np.full(3, 250))
    return np.where(where, body, 0).astype(np.float32)


def _fibre(pixels: Pixels, where: Mask, rng: np.random.Generator) -> Field:
    length = np.clip(_extent(where) * rng.uniform(0.6, 1.4), 20, 160)
    path = _walk(_spot(where, rng), length, 0.22, rng)
    alpha = _lines(where.shape, [path], rng.uniform(1.2, 2.8)) * np.float32(0.95)
    shadow = _lines(where.shape, [path + 1.5], 2) * np.float32(0.35)
    _blend(pixels, shadow, where, np.full(3, 15))
    color = rng.uniform(10, 245, 3) if rng.random() < 0.5 else _contrasting(pixels, where, rng)
    return _blend(pixels, alpha, where, color)


SURFACE_DEFECTS: dict[str, Paint] = {
    "scratch": _scratch,
    "crack": _crack,
    "cut": _cut,
    "hole": _hole,
    "stain": _stain,
    "dent": _dent,
    "contamination": _contamination,
    "discoloration": _discoloration,
    "residue": _residue,
    "fibre": _fibre,
}
