"""How things look up close: textures of components, materials of backgrounds, light.

A texture is a field of relief (h,w) around 0, multiplied onto the colour: +0.2 is 20% brighter.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from finegrain.pretraining.vocabulary import COLORS

Field = npt.NDArray[np.float32]
Color = npt.NDArray[np.float32]  # (3,) on a 0-255 scale

_TILE = 512


def named_color(name: str, shade: str, rng: np.random.Generator) -> Color:
    """An RGB triple that still deserves its name."""
    color = np.asarray(COLORS[name], dtype=np.float32)
    if shade == "light":
        lift = 0.22 if name in ("grey", "brown") else 0.4  # else they would be silver and beige
        color = color + (255 - color) * np.float32(lift)
    elif shade == "dark":
        color = color * np.float32(0.5)
    gain = rng.uniform(0.94, 1.05)
    return np.asarray(np.clip(color * gain + rng.uniform(-7, 7, 3), 4, 250), dtype=np.float32)


@lru_cache(maxsize=1)
def _noise_bank() -> dict[str, Field]:
    """Tileable noise fields of unit deviation, made once; scenes take random windows of them."""
    rng = np.random.default_rng(20240)
    y, x = np.fft.fftfreq(_TILE)[:, None], np.fft.fftfreq(_TILE)[None]
    frequency = np.hypot(y, x)
    frequency[0, 0] = np.inf
    spectra = {
        "cloud": frequency**-1.7,
        "stone": frequency**-1.1,
        "coarse": np.exp(-(((frequency - 0.14) / 0.04) ** 2)),
        "fine": np.exp(-(((frequency - 0.25) / 0.1) ** 2)),
        "brushed": np.exp(-((y / 0.004) ** 2)) * np.exp(-((x / 0.3) ** 2)),
        "grain": np.exp(-((y / 0.006) ** 2)) * np.exp(-((x / 0.12) ** 2)),
    }
    bank = {name: _unit(_filtered(rng, spectrum)) for name, spectrum in spectra.items()}
    bank["crease"] = _unit(-np.abs(_filtered(rng, np.exp(-(((frequency - 0.05) / 0.015) ** 2)))))
    cells = _filtered(rng, np.exp(-(((frequency - 0.07) / 0.015) ** 2)))
    bank["leather"] = _unit(-np.exp(-((cells / cells.std()) ** 2) * 6))
    dots = ndimage.gaussian_filter((rng.random((_TILE, _TILE)) < 0.02).astype(np.float32), 1.1)
    bank["specks"] = _unit(np.minimum(dots, np.percentile(dots, 99)).astype(np.float32))
    return bank


def _filtered(rng: np.random.Generator, spectrum: npt.NDArray[np.float64]) -> Field:
    white = np.fft.fft2(rng.normal(size=(_TILE, _TILE)))
    return np.fft.ifft2(white * spectrum).real.astype(np.float32)


def _unit(field: Field) -> Field:
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def noise(name: str, shape: tuple[int, int], rng: np.random.Generator, zoom: int = 1) -> Field:
    """A random window of a noise field, (h,w), turned and mirrored at random."""
    height, width = (-(-s // zoom) for s in shape)
    top, left = rng.integers(0, _TILE - height + 1), rng.integers(0, _TILE - width + 1)
    window = _noise_bank()[name][top : top + height, left : left + width]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    if zoom > 1:
        window = window.repeat(zoom, 0).repeat(zoom, 1)[: shape[0], : shape[1]]
    return window


def _times(field: Field, factor: float) -> Field:
    return np.asarray(field * np.float32(factor), dtype=np.float32)


def part_texture(name: str, u: Field, v: Field, radius: float, rng: np.random.Generator) -> Field:
    """The relief of a component's texture over its own frame."""
    strength = rng.uniform(0.8, 1.25)
    if name == "rough":
        return _times(noise("coarse", u.shape, rng), 0.16 * strength)
    if name == "granular":
        return _times(noise("specks", u.shape, rng), 0.17 * strength)
    if name == "crinkled":
        return _times(noise("crease", u.shape, rng), 0.2 * strength)
    if name == "bristled":
        turned = noise("brushed", (max(u.shape), max(u.shape)), rng)
        short = noise("fine", u.shape, rng)
        field = turned.T if rng.random() < 0.5 else turned
        return (field[: u.shape[0], : u.shape[1]] * 0.13 + short * 0.07).astype(np.float32)
    if name in ("striped", "dotted", "checkered"):
        return _times(_pattern(name, u, v, radius, rng), 0.3 * strength)
    return _times(noise("cloud", u.shape, rng), rng.uniform(0, 0.025))


def _pattern(name: str, u: Field, v: Field, radius: float, rng: np.random.Generator) -> Field:
    """Stripes, dots or squares of 7 to 12 pixels, between -1 and 1."""
    period = float(rng.uniform(6.5, 9 if radius < 30 else 13)) / radius
    phase = rng.uniform(0, 2 * np.pi, 2)
    wave_u = np.sin(u * (2 * np.pi / period) + phase[0])
    if name == "striped":
        return _times(np.tanh(wave_u * np.float32(rng.choice([1.2, 4.0]))), 1)
    wave_v = np.sin(v * (2 * np.pi / period) + phase[1])
    if name == "checkered":
        return _times(np.tanh(wave_u * wave_v * 5), 1)
    sign = 1 if rng.random() < 0.5 else -1
    return _times(np.clip((wave_u + wave_v - 0.7) * 2, 0, 1) * 1.6 - 0.3, sign)


def material(name: str, shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """The relief of a background material over the whole image."""
    strength = rng.uniform(0.6, 1.3)
    if name == "plain":
        return _times(noise("cloud", shape, rng), rng.uniform(0, 0.03))
    if name == "textured":
        kind = ("coarse", "fine", "crease")[rng.integers(3)]
        return _times(noise(kind, shape, rng), 0.09 * strength)
    if name == "wooden":
        rings = np.sin(noise("grain", shape, rng) * 2.2 + noise("cloud", shape, rng) * 1.5)
        field = (rings * 0.1 + noise("brushed", shape, rng) * 0.04).astype(np.float32)
        return field.T if rng.random() < 0.5 else field
    if name == "stone":
        rough = noise("stone", shape, rng) * 0.07 + noise("fine", shape, rng) * 0.03
        return (rough * strength).astype(np.float32)
    if name == "metal":
        field = _times(noise("brushed", shape, rng), 0.07 * strength)
        return field.T if rng.random() < 0.5 else field
    if name == "leather":
        return _times(noise("leather", shape, rng, int(rng.integers(1, 3))), 0.08 * strength)
    specks = noise("specks", shape, rng, int(rng.integers(1, 3)))
    return _times(specks, rng.choice([-0.06, 0.06]) * strength)


def lit(image: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A slope of light, a faint colour cast and sensor noise over an (H,W,3) image."""
    height, width = image.shape[:2]
    slope = rng.uniform(-0.08, 0.08, 2)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    light = 1 + slope[0] * rows + slope[1] * columns
    if rng.random() < 0.3:
        light = light - np.float32(rng.uniform(0, 0.15)) * (rows**2 + columns**2)
    cast = rng.uniform(0.97, 1.03, 3) * rng.uniform(0.94, 1.04)
    grain = noise("fine", (height, width), rng) * np.float32(rng.uniform(0.2, 3.5))
    return np.asarray(
        image * (light[..., None] * cast.astype(np.float32)) + grain[..., None], dtype=np.float32
    )
