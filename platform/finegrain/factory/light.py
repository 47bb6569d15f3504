"""Light on a canvas, and the camera that takes the picture.

H, W: the image's side. A surface of height h has the normal (-dh/dx, -dh/dy, 1) / norm.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from finegrain.factory.canvas import Canvas
from finegrain.factory.frame import Plane
from finegrain.factory.textures import TILE, tile

SHADOW_STEPS_PX = (2, 4, 8, 12)  # how far towards the light something may stand in it

BAND_ROWS = 40  # lit at a time: what is at hand then fits the processor's cache


@dataclass(frozen=True)
class Light:
    """One lamp, its surroundings and the camera's state.

    Args:
        direction: unit vector (x,y,z) towards the lamp.
        ambient: share of light from everywhere.
        exposure: brightness of the whole.
        slope: relative brightness gained across the image along x and y.
        balance: factors of red, green and blue.
        mirror: angle of the surroundings that metal mirrors, and their phase; from above mostly.
        softness: weight of the two neighbours in the lens blur.
        noise: standard deviation of a pixel's noise, in grey levels.
        grain_at: where the noise is cropped from its tile.
    """

    direction: tuple[float, float, float]
    ambient: float
    exposure: float
    slope: tuple[float, float]
    balance: tuple[float, float, float]
    mirror: tuple[float, float]
    softness: float
    noise: float
    grain_at: tuple[int, int, int]


def draw_light(rng: np.random.Generator, side: int) -> Light:
    """The light of one picture: a lamp from the upper left or right, a lamp's colour, a gain."""
    azimuth = math.radians(rng.uniform(-125, -55))
    elevation = math.radians(rng.uniform(46, 60))
    warmth = rng.uniform(-0.045, 0.045)
    slope_x, slope_y = rng.uniform(-0.15, 0.15, 2).tolist()
    y, x = rng.integers(0, TILE - side, 2).tolist()
    return Light(
        direction=(
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ),
        ambient=rng.uniform(0.38, 0.5),
        exposure=rng.uniform(0.9, 1.1),
        slope=(slope_x, slope_y),
        balance=(1 + warmth, 1.0 + rng.uniform(-0.01, 0.01), 1 - warmth),
        mirror=(rng.uniform(-2.2, -0.9), rng.uniform(-0.3, 0.3)),
        softness=rng.uniform(0.1, 0.24),
        noise=rng.uniform(1.0, 2.4),
        grain_at=(y, x, int(rng.integers(2))),
    )


def shade(canvas: Canvas, light: Light) -> npt.NDArray[np.uint8]:
    """The picture (H,W,3) of the canvas under the light; what was the colour is then its light."""
    lit, sky = _shadows(canvas.height, light)
    slopes = _gradients(canvas.height)
    coat_slopes = None if canvas.coat is None else _gradients(canvas.coat)
    for start in range(0, canvas.side, BAND_ROWS):
        rows = slice(start, start + BAND_ROWS)
        coat = None if coat_slopes is None else (coat_slopes[0][rows], coat_slopes[1][rows])
        gx, gy = slopes[0][rows], slopes[1][rows]
        _light_rows(canvas, light, rows, (gx, gy), coat, lit[rows], sky[rows])
    picture = np.empty((canvas.side, canvas.side, 3), dtype=np.uint8)
    for channel, plane in enumerate(canvas.albedo):
        picture[..., channel] = _expose(plane, light, channel)
    return picture


def _light_rows(
    canvas: Canvas,
    light: Light,
    rows: slice,
    slopes: tuple[Plane, Plane],
    coat_slopes: tuple[Plane, Plane] | None,
    lit: Plane,
    sky: Plane,
) -> None:
    """Turn the colour of some rows into the light they send to the camera, in place."""
    gx, gy = slopes
    lx, ly, lz = light.direction
    along = np.linspace(-0.5, 0.5, canvas.side, dtype=np.float32)
    x, y = along[None, :], along[rows, None]
    norm = 1 / np.sqrt(1 + gx * gx + gy * gy)
    facing = np.maximum((lz - lx * gx - ly * gy) * norm, 0)
    diffuse = light.ambient * sky + ((1 - light.ambient) / lz) * facing * lit
    turn, phase = light.mirror
    cos, sin = math.cos(turn), math.sin(turn)
    tilt = cos * (1.9 * gx + 1.1 * x) + sin * (1.9 * gy + 1.1 * y) + phase
    mirrored = 0.85 + 0.55 * tilt / (1 + np.abs(tilt))
    amount = diffuse + canvas.metal[rows] * (mirrored * (0.4 + 0.6 * lit) - 0.55 * diffuse - 0.3)
    falloff = light.exposure * (1 + light.slope[0] * x + light.slope[1] * y)
    shine = canvas.gloss[rows] * _highlight(gx, gy, norm, light) * lit
    if coat_slopes is not None:
        cx, cy = coat_slopes
        shine += 0.6 * _highlight(cx, cy, 1 / np.sqrt(1 + cx * cx + cy * cy), light)
    amount *= falloff
    shine *= falloff
    for plane, balance in zip(canvas.albedo, light.balance, strict=True):
        plane[rows] = (plane[rows] * amount + shine) * balance


def _gradients(height: Plane) -> tuple[Plane, Plane]:
    """Central differences along x and y."""
    gx, gy = np.zeros_like(height), np.zeros_like(height)
    np.subtract(height[:, 2:], height[:, :-2], out=gx[:, 1:-1])
    np.subtract(height[2:], height[:-2], out=gy[1:-1])
    gx *= 0.5
    gy *= 0.5
    return gx, gy


def _highlight(gx: Plane, gy: Plane, norm: Plane, light: Light) -> Plane:
    """Blinn's (n·h)^k as a wide lobe of k = 8 and a tight one of k = 64."""
    lx, ly, lz = light.direction
    length = math.sqrt(lx * lx + ly * ly + (lz + 1) ** 2)
    hx, hy, hz = lx / length, ly / length, (lz + 1) / length
    power = np.maximum((hz - hx * gx - hy * gy) * norm, 0.3)  # 0.3^64 is still a normal float
    for _ in range(3):
        power *= power
    wide = 0.12 * power
    for _ in range(3):
        power *= power
    return wide + 1.1 * power


def _shadows(height: Plane, light: Light) -> tuple[Plane, Plane]:
    """How much of the lamp and of the sky each point sees (H,W), found at half the resolution."""
    small = np.ascontiguousarray(height[::2, ::2])
    lx, ly, lz = light.direction
    flat = math.hypot(lx, ly)
    pad = SHADOW_STEPS_PX[-1] // 2
    wide = np.pad(small, pad, mode="edge")
    rows, cols = small.shape
    blocked = np.zeros_like(small)
    for step in SHADOW_STEPS_PX:
        dy, dx = round(step / 2 * ly / flat), round(step / 2 * lx / flat)
        above = wide[pad + dy : pad + dy + rows, pad + dx : pad + dx + cols] - small
        np.maximum(blocked, above - step * lz / flat, out=blocked)
    lit = 1 - 0.8 * np.clip(blocked / 2, 0, 1)
    sky = 1 - np.clip((uniform_filter(small, 9) - small) * 0.09, 0, 0.55)
    return _enlarge(uniform_filter(lit, 3)), _enlarge(sky)


def _enlarge(plane: Plane) -> Plane:  # (h,w) -> (2h,2w)
    """Twice the size, each step softened by the mean with the next pixel."""
    large = plane.repeat(2, axis=0).repeat(2, axis=1)
    large[1:] = 0.5 * (large[1:] + large[:-1])
    large[:, 1:] = 0.5 * (large[:, 1:] + large[:, :-1])
    return large


def _expose(plane: Plane, light: Light, channel: int) -> Plane:  # (H,W) -> (H,W)
    """Lens blur, gamma and noise for one channel, in grey levels; consumes the plane."""
    side, w = len(plane), light.softness
    for blurred in (plane, plane.T):
        neighbours = blurred[2:] + blurred[:-2]
        neighbours *= w
        blurred[1:-1] *= 1 - 2 * w
        blurred[1:-1] += neighbours
    np.maximum(plane, 0, out=plane)
    np.sqrt(plane, out=plane)
    plane *= 255
    y, x, layer = light.grain_at
    plane += (0.9 * light.noise) * tile(0.5, 0.5, layer)[y : y + side, x : x + side]
    # What differs between the channels is finer.
    plane += (0.5 * light.noise) * tile(0.0, 0.0, channel)[x : x + side, y : y + side]
    return np.clip(plane, 0, 255, out=plane)
