"""Colours as people see them: sRGB to CIELAB, and the nearest colour that has a name."""

from typing import Any

import numpy as np
import numpy.typing as npt

from finegrain.captions.vocabulary import alike_values

Floats = npt.NDArray[np.floating[Any]]
WHITE = np.array([0.95047, 1.0, 1.08883])  # XYZ of D65
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375],
     [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
# sRGB of each name, some in more than one shade. Metals have no colour of their own here: silver is
# a grey and copper a brown to a camera.
SHADES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("black", (25, 25, 27)), ("black", (50, 50, 53)),
    ("dark grey", (114, 114, 116)),
    ("grey", (155, 155, 157)), ("grey", (200, 201, 203)),
    ("white", (242, 242, 240)),
    ("red", (190, 40, 40)), ("red", (130, 25, 30)),
    ("orange", (235, 130, 30)), ("orange", (190, 105, 35)),
    ("light orange", (245, 170, 90)),
    ("yellow", (232, 205, 50)), ("yellow", (200, 165, 85)),
    ("green", (50, 145, 70)), ("green", (30, 85, 50)), ("green", (130, 170, 120)),
    ("cyan", (60, 190, 200)),
    ("blue", (50, 85, 185)), ("blue", (90, 110, 150)), ("blue", (25, 40, 95)),
    ("purple", (120, 55, 150)),
    ("pink", (235, 145, 175)),
    ("brown", (120, 72, 42)), ("brown", (150, 98, 65)),
    ("dark brown", (68, 44, 32)),
    ("light brown", (185, 140, 100)),
    ("beige", (215, 195, 155)),
    ("light beige", (235, 222, 195)),
)  # fmt: skip
FAR = 30.0  # ΔE beyond which a colour has no name here
CLOSE = 3.0  # ΔE by which the nearest name is nearer than any that means another colour
AGREED = 0.4  # share of the pixels that must bear the name, or one alike


def to_lab(image: npt.NDArray[np.uint8]) -> Floats:
    """sRGB (...,3) of 8 bits -> L*, a*, b* (IEC 61966-2-1, CIE 15, white D65)."""
    coded = image.astype(np.float64) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    ratios = linear @ TO_XYZ.T / WHITE
    bent = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


_NAMES = tuple(name for name, _ in SHADES)
_PALETTE = to_lab(np.array([shade for _, shade in SHADES], dtype=np.uint8))


def color_name(pixels: Floats) -> str | None:
    """What pixels (P,3) in CIELAB are called: the name nearest to their median (ΔE of 1976).

    None where the name is far, another is nearly as near, or most of the pixels bear others.
    """
    distance = np.linalg.norm(_PALETTE - np.median(pixels, 0), axis=1)
    name = _NAMES[int(distance.argmin())]
    alike = np.isin(_NAMES, list(alike_values(name)))
    nearest = np.linalg.norm(pixels[:, None] - _PALETTE, axis=2).argmin(1)
    near = distance.min() <= min(FAR, distance[~alike].min() - CLOSE)
    return name if near and alike[nearest].mean() >= AGREED else None
