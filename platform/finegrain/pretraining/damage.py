"""Faults of a component's outline: it is altered before it is painted (see defects.py)."""

import numpy as np

from finegrain.pretraining.shapes import OUTLINES, Field
from finegrain.pretraining.surfaces import noise


def damaged(
    kind: str, shape: str, u: Field, v: Field, radius: float, rng: np.random.Generator
) -> Field:
    """The signed distance of a component with a chip, a breakage or a bend."""
    if kind == "bend":
        return OUTLINES[shape](*_bent(u, v, rng))
    whole = OUTLINES[shape](u, v)
    ragged = noise("coarse", u.shape, rng, 2 if radius > 30 else 1)
    if kind == "chip":
        return np.maximum(whole, _bite(whole, u, v, ragged, rng))
    return np.maximum(whole, _broken_off(u, v, ragged, rng))


def _bite(whole: Field, u: Field, v: Field, ragged: Field, rng: np.random.Generator) -> Field:
    """Positive within a ragged disc about a point of the outline."""
    edge = np.flatnonzero(np.abs(whole) < 0.06)
    at = edge[rng.integers(len(edge))]
    size = rng.uniform(0.18, 0.36)
    distance = np.hypot(u - u.flat[at], v - v.flat[at])
    return np.asarray(size - distance + 0.04 * ragged, dtype=np.float32)


def _broken_off(u: Field, v: Field, ragged: Field, rng: np.random.Generator) -> Field:
    """Positive on the far side of a ragged line (a piece is gone) or in a band (it is in two)."""
    angle = rng.uniform(0, 2 * np.pi)
    along = u * np.cos(angle) + v * np.sin(angle) + 0.05 * ragged
    if rng.random() < 0.7:
        return np.asarray(along - rng.uniform(0.1, 0.5), dtype=np.float32)
    return np.asarray(
        rng.uniform(0.06, 0.14) - np.abs(along - rng.uniform(-0.3, 0.3)), dtype=np.float32
    )


def _bent(u: Field, v: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """The frame bent away on one side of a fold, or pinched inwards at one place."""
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = u * cos + v * sin, v * cos - u * sin
    beyond = np.maximum(along - np.float32(rng.uniform(-0.2, 0.2)), 0)
    if rng.random() < 0.6:
        across = across + beyond * np.float32(rng.choice([-1, 1]) * rng.uniform(0.5, 0.9))
    else:
        across = across * (1 + beyond * np.float32(rng.uniform(1.0, 2.0)))
    return (along * cos - across * sin).astype(np.float32), (along * sin + across * cos).astype(
        np.float32
    )
