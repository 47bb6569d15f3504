"""Where things lie: a frame has its own origin, turn and scale; an area is a frame's pixels.

u, v: coordinates in a frame's units, v downwards like the rows; x, y: pixels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[Any]  # float32, which numpy's stubs lose track of in arithmetic
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """A coordinate system in the image; `angle` in radians, clockwise on the screen."""

    x: float
    y: float
    angle: float = 0.0
    scale: float = 1.0

    def at(self, u: float, v: float, angle: float = 0.0, scale: float = 1.0) -> "Frame":
        """The frame whose origin lies at (u,v) of this one, turned and scaled against it."""
        x, y = self.to_pixel(u, v)
        return Frame(x, y, self.angle + angle, self.scale * scale)

    def to_pixel(self, u: float, v: float) -> tuple[float, float]:
        """The pixel (x,y) of a point of this frame."""
        cos, sin = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos


@dataclass(frozen=True)
class Area:
    """The pixels around a frame's origin: their place in the image, and u, v (h,w) of each."""

    frame: Frame
    rows: slice
    cols: slice
    u: Plane
    v: Plane

    @property
    def scale(self) -> float:
        """Pixels per unit of the frame."""
        return self.frame.scale

    def within(self, outer: "Area") -> tuple[slice, slice]:
        """The rows and columns that these pixels have in the arrays of an area around them."""
        top, left = outer.rows.start, outer.cols.start
        return (
            slice(self.rows.start - top, self.rows.stop - top),
            slice(self.cols.start - left, self.cols.stop - left),
        )

    @property
    def radius(self) -> Plane:
        """The distance (h,w) of each pixel from the origin, in units of the frame."""
        distance: Plane = np.sqrt(self.u * self.u + self.v * self.v)
        return distance


def area_around(frame: Frame, reach: float, side: int) -> Area:
    """The pixels of a side × side image at most `reach` units away along rows and columns."""
    pixels = reach * frame.scale + 1.5
    left, right = _clip(frame.x - pixels, side), _clip(frame.x + pixels + 1, side)
    top, bottom = _clip(frame.y - pixels, side), _clip(frame.y + pixels + 1, side)
    dx = np.arange(left, right, dtype=np.float32)[None, :] - frame.x
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] - frame.y
    cos, sin = math.cos(frame.angle) / frame.scale, math.sin(frame.angle) / frame.scale
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    return Area(frame, slice(top, bottom), slice(left, right), u, v)


def _clip(value: float, side: int) -> int:
    return int(min(max(value, 0), side))
