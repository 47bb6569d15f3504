"""Outlines of components as signed distances: negative inside, in units of the radius.

u, v are coordinates in the component's own frame (radius 1, u to the right, v down); the distances
are exact near the outline, which is all that antialiasing, bevels and shadows need.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Outline = Callable[[Field, Field], Field]

UPRIGHT_SHAPES = {"square": 0.2, "diamond-shaped": 0.3, "semi-circular": 0.6, "triangular": 0.5}
"""Largest turn in radians of the shapes that a full turn would make into another one."""


def _single(values: npt.NDArray[Any]) -> Field:
    return values.astype(np.float32, copy=False)


def _circle(u: Field, v: Field) -> Field:
    return _single(np.hypot(u, v) - 0.95)


def _box(u: Field, v: Field, half_width: float, half_height: float, corner: float) -> Field:
    x = np.maximum(np.abs(u) - (half_width - corner), 0)
    y = np.maximum(np.abs(v) - (half_height - corner), 0)
    inside = np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)
    return _single(np.where(inside < -corner, inside, np.hypot(x, y) - corner))


def _half_planes(u: Field, v: Field, sides: int, inner: float) -> Field:
    angles = np.arange(sides) * (2 * np.pi / sides) + np.pi / 2
    return _single(np.max([u * np.cos(a) + v * np.sin(a) for a in angles], axis=0) - inner)


def _ellipse(u: Field, v: Field, half_height: float) -> Field:
    scaled = np.hypot(u, v / half_height) - 1
    slope = np.hypot(u, v / half_height**2) / np.maximum(np.hypot(u, v / half_height), 1e-3)
    return _single(scaled / np.maximum(slope, 0.5))


def _star(u: Field, v: Field) -> Field:
    turn = np.pi * 2 / 5
    angle = np.abs(np.mod(np.arctan2(u, -v), turn) - turn / 2) - turn / 2  # 0 at a tip
    radius = np.hypot(u, v)
    x, y = radius * np.cos(angle), radius * np.abs(np.sin(angle))
    tip, notch = np.array([1.05, 0.0]), 0.46 * np.array([np.cos(turn / 2), np.sin(turn / 2)])
    edge = notch - tip
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
    side = (x - tip[0]) * normal[0] + y * normal[1]
    return _single(-side if normal @ tip < 0 else side)


def _cross(u: Field, v: Field) -> Field:
    return _single(np.minimum(_box(u, v, 1.0, 0.3, 0.05), _box(u, v, 0.3, 1.0, 0.05)))


def _crescent(u: Field, v: Field) -> Field:
    return _single(np.maximum(np.hypot(u + 0.2, v) - 0.98, 0.78 - np.hypot(u - 0.3, v)))


def _half_circle(u: Field, v: Field) -> Field:
    return _single(np.maximum(np.hypot(u, v - 0.45) - 1.0, v - 0.45))


def _kidney(u: Field, v: Field) -> Field:
    return _single(_ellipse(u, _single(v + 0.62 * u * u - 0.28), 0.5) * 0.85)


OUTLINES: dict[str, Outline] = {
    "circular": _circle,
    "oval": lambda u, v: _ellipse(u, v, 0.58),
    "square": lambda u, v: _box(u, v, 0.82, 0.82, 0.06),
    "rectangular": lambda u, v: _box(u, v, 1.0, 0.42, 0.05),
    "triangular": lambda u, v: _half_planes(u, v - 0.2, 3, 0.58),
    "diamond-shaped": lambda u, v: _single(np.abs(u) * 0.86 + np.abs(v) * 0.5 - 0.5),
    "hexagonal": lambda u, v: _half_planes(u, v, 6, 0.84),
    "star-shaped": _star,
    "cross-shaped": _cross,
    "crescent": _crescent,
    "semi-circular": _half_circle,
    "kidney-shaped": _kidney,
    "spherical": _circle,
    "cylindrical": lambda u, v: _box(u, v, 1.0, 0.42, 0.2),
}


def turn_for(shape: str, rng: np.random.Generator) -> float:
    """A rotation in radians under which the shape keeps its name."""
    limit = UPRIGHT_SHAPES.get(shape, np.pi)
    return float(rng.uniform(-limit, limit))


def local_frame(
    rows: Field, columns: Field, center: tuple[float, float], radius: float, turn: float
) -> tuple[Field, Field]:
    """Pixel rows and columns -> u, v around `center` (row, column)."""
    y, x = (rows - center[0]) / radius, (columns - center[1]) / radius
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return (x * cos + y * sin).astype(np.float32), (y * cos - x * sin).astype(np.float32)


def coverage(distance: Field, radius: float) -> Field:
    """How much of each pixel the outline covers, 0 to 1; antialiased over one pixel."""
    return _single(np.clip(0.5 - distance * radius, 0, 1))
