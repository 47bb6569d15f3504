"""Signed distances to plane shapes, negative inside, and the profiles that depth gives them.

u, v: (h,w) coordinates in units; every distance is (h,w) in the same units.
"""

import math

import numpy as np

from finegrain.factory.frame import Plane


def disc(u: Plane, v: Plane, radius: float) -> Plane:
    """A disc around the origin."""
    found: Plane = np.sqrt(u * u + v * v) - radius
    return found


def ring(radii: Plane, inner: float, outer: float) -> Plane:
    """The band between two radii."""
    return np.abs(radii - (inner + outer) / 2) - (outer - inner) / 2


def box(u: Plane, v: Plane, half_u: float, half_v: float, corner: float = 0.0) -> Plane:
    """A rectangle with rounded corners."""
    du = np.abs(u) - (half_u - corner)
    dv = np.abs(v) - (half_v - corner)
    outside_u, outside_v = np.maximum(du, 0), np.maximum(dv, 0)
    outside = np.sqrt(outside_u * outside_u + outside_v * outside_v)
    found: Plane = outside + np.minimum(np.maximum(du, dv), 0) - corner
    return found


def stadium(u: Plane, v: Plane, half_length: float, radius: float) -> Plane:
    """A rectangle along u with half-discs at its ends."""
    beyond = np.maximum(np.abs(u) - half_length, 0)
    found: Plane = np.sqrt(beyond * beyond + v * v) - radius
    return found


def hexagon(u: Plane, v: Plane, radius: float) -> Plane:
    """A regular hexagon; `radius` is that of the circle inside it."""
    u, v = np.abs(u), np.abs(v)
    return np.maximum(v, u * (math.sqrt(3) / 2) + v / 2) - radius


def wheel(radii: Plane, angles: Plane, teeth: int, root: float, tip: float) -> Plane:
    """A gear with trapezoid teeth between two radii; one tooth points along u."""
    wave = np.cos(teeth * angles)
    profile = np.clip(1.7 * wave + 0.12, -1, 1)
    edge = (root + tip) / 2 + profile * ((tip - root) / 2)
    flank = np.where(np.abs(profile) < 1, 1.7 * teeth * (tip - root) / (root + tip), 0.0)
    found: Plane = (radii - edge) / np.sqrt(
        1 + (flank * np.sqrt(1 - wave * wave)) ** 2, dtype=np.float32
    )
    return found


def repeat(u: Plane, pitch: float, count: int) -> Plane:
    """Fold u so that a shape around the origin is drawn `count` times in a row, centred."""
    shift = (count - 1) / 2
    cell = np.clip(np.round(u / pitch + shift), 0, count - 1)
    return u - (cell - shift) * pitch


def bevel(distance: Plane, width: float, rise: float) -> Plane:
    """A height that climbs by `rise` along a quarter circle within `width` of the edge."""
    left = np.clip(1 + distance / width, 0, 1)
    return rise * np.sqrt(1 - left * left)


def smooth(value: Plane, low: float, high: float) -> Plane:
    """0 at `low`, 1 at `high`, with a flat start and end."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
