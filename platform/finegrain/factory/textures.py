"""Grain, clouds, brushed metal, and artwork laid into a frame.

Noise is cropped at random places from a few periodic tiles, which are pure functions of their
arguments: as deterministic as drawing it afresh, and twenty times faster.
"""

from functools import lru_cache

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from finegrain.factory.frame import Area, Plane

TILE = 640  # larger than any image, so that crops differ


@lru_cache(maxsize=32)
def tile(sigma_y: float, sigma_x: float, layer: int = 0) -> Plane:
    """Periodic noise (TILE,TILE), mean 0 and variance 1, blurred by the sigmas."""
    rng = np.random.default_rng([20240611, layer, round(10 * sigma_y), round(10 * sigma_x)])
    noise: Plane = rng.standard_normal((TILE, TILE), dtype=np.float32)
    if sigma_y or sigma_x:
        noise = gaussian_filter(noise, (sigma_y, sigma_x), mode="wrap")
    noise = (noise - noise.mean()) / noise.std()
    noise.setflags(write=False)
    return noise


@lru_cache(maxsize=1)
def _cloud_tile() -> Plane:
    """Periodic noise of three sizes at once; variance about 1."""
    found: Plane = 0.75 * tile(24.0, 24.0) + 0.5 * tile(8.0, 8.0, 1) + 0.4 * tile(2.5, 2.5, 2)
    return found


@lru_cache(maxsize=1)
def _brush_tile() -> Plane:
    """Long and short lines along the columns; variance about 1, flat for quick look-ups."""
    found: Plane = (0.8 * tile(0.6, 60.0) + 0.6 * tile(0.5, 14.0)).ravel()
    return found


def grain(rng: np.random.Generator, area: Area, sigma_px: float, layer: int = 0) -> Plane:
    """Noise (h,w) over the area, blobs of about `sigma_px`; variance 1."""
    return _crop(rng, area, tile(sigma_px, sigma_px, layer))


def clouds(rng: np.random.Generator, area: Area) -> Plane:
    """Uneven tone (h,w) at three sizes; variance about 1."""
    return _crop(rng, area, _cloud_tile())


def _crop(rng: np.random.Generator, area: Area, noise: Plane) -> Plane:
    height, width = area.u.shape
    room = TILE - max(height, width)
    y, x = int(rng.integers(room)), int(rng.integers(room))
    return noise[y : y + height, x : x + width]


def brushed(rng: np.random.Generator, area: Area) -> Plane:
    """Fine parallel lines (h,w) along the frame's u; variance about 1."""
    y, x = TILE + int(rng.integers(TILE)), TILE + int(rng.integers(TILE))
    rows = (area.v * (1.6 * area.scale) + float(y)).astype(np.int32) % TILE
    cols = (area.u * area.scale + float(x)).astype(np.int32) % TILE
    lines: Plane = _brush_tile()[rows * TILE + cols]
    return lines


def turned(rng: np.random.Generator, radii: Plane, pitch: float) -> Plane:
    """The concentric lines (h,w) that a lathe leaves, `pitch` units apart; variance about 1."""
    row = tile(0.0, 0.8)[int(rng.integers(TILE))]
    noise: Plane = row[(radii * (2 / pitch)).astype(np.int32) % TILE]
    return noise


def sweep(rng: np.random.Generator, area: Area) -> Plane:
    """The bow-tie reflection (h,w) of turned metal, between -1 and 1, at a random angle."""
    turn = 2 * rng.uniform(0, np.pi)
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    uu, vv = area.u * area.u, area.v * area.v
    wave: Plane = (cos * (uu - vv) + 2 * sin * area.u * area.v) / (uu + vv + 1)
    return wave * np.abs(wave)


def artwork(image: Image.Image, area: Area, resolution: float) -> Plane:
    """The channels (c,h,w), 0..1, of a drawing whose centre lies on the frame's origin.

    Args:
        image: the drawing.
        area: where it goes.
        resolution: pixels of the drawing per unit of the frame.
    """
    height, width = area.u.shape
    u, v = area.u, area.v
    across = (u[0, 1] - u[0, 0], u[1, 0] - u[0, 0], u[0, 0])
    down = (v[0, 1] - v[0, 0], v[1, 0] - v[0, 0], v[0, 0])
    centre = (image.width / 2, image.height / 2)
    matrix = [
        float(value) * resolution + (offset if index == 2 else 0.0)
        for values, offset in zip((across, down), centre, strict=True)
        for index, value in enumerate(values)
    ]
    laid = image.transform(
        (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    planes = np.asarray(laid, dtype=np.float32) / 255
    return np.ascontiguousarray(np.moveaxis(planes, -1, 0))
