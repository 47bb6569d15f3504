"""What a scene will show, drawn at random before a pixel is painted."""

from dataclasses import dataclass

import numpy as np

from finegrain.pretraining.defects import SURFACE_DEFECTS
from finegrain.pretraining.facts import Facts, ScenePart
from finegrain.pretraining.layout import SIDE, Circle, overlaps, place, places_for
from finegrain.pretraining.vocabulary import (
    COLORS,
    GEOMETRIC_DEFECTS,
    MATERIAL_WORDS,
    SHADED_COLORS,
    SHAPE_WORDS,
    TEXTURE_WORDS,
)

HOST_SHAPES = ("circular", "oval", "hexagonal", "kidney-shaped", "semi-circular", "triangular")
NUMBER_ODDS = {"1": 0.5, "2": 0.14, "3": 0.12, "4": 0.1, "5": 0.08, "multiple": 0.06}
NEUTRAL_COLORS = ("grey", "black", "white", "silver", "beige", "brown")


@dataclass(frozen=True)
class Draft:
    """Facts as planned, where each instance goes, and which faults to draw on what."""

    facts: Facts
    circles: tuple[list[Circle], ...]  # per part, one circle an instance
    damage: dict[tuple[int, int], str]  # (part, instance) -> geometric fault
    surface_faults: tuple[tuple[int, str], ...]  # (part or -1, kind)


def draft_scene(rng: np.random.Generator) -> Draft:
    """A surface from edge to edge (1 in 8), parts on a ground, or small parts on a large one."""
    background, material = _ground(rng)
    if rng.random() < 0.125:
        facts = Facts((), background, material)
        kinds = _choose(tuple(SURFACE_DEFECTS), rng, 1 + (rng.random() < 0.25))
        faults = tuple((-1, kind) for kind in kinds) if rng.random() < 0.6 else ()
        return Draft(facts, (), {}, faults)
    parts, circles = _parts(background, rng)
    facts = Facts(tuple(parts), background, material)
    damage: dict[tuple[int, int], str] = {}
    surface: list[tuple[int, str]] = []
    if rng.random() < 0.55:
        for _ in range(1 + int(rng.random() < 0.3)):
            _add_fault(circles, damage, surface, rng)
    return Draft(facts, tuple(circles), damage, tuple(surface))


def _ground(rng: np.random.Generator) -> tuple[str, str]:
    """Colour and material of the background, more often neutral and plain than not."""
    names = NEUTRAL_COLORS if rng.random() < 0.5 else tuple(COLORS)
    material = "plain" if rng.random() < 0.4 else _pick(tuple(MATERIAL_WORDS), rng)
    return _pick(names, rng), material


def _parts(background: str, rng: np.random.Generator) -> tuple[list[ScenePart], list[list[Circle]]]:
    wanted = int(rng.choice([1, 2, 3, 4], p=[0.45, 0.3, 0.17, 0.08]))
    parts: list[ScenePart] = []
    placed: list[list[Circle]] = []
    taken: list[Circle] = []
    if wanted > 1 and rng.random() < 0.2:
        radius = float(rng.uniform(85, 112))
        parts.append(_part(background, _pick(HOST_SHAPES, rng), "1", "center", rng))
        placed.append([(SIDE / 2, SIDE / 2, radius)])
    for _ in range(3 * wanted):
        if len(parts) == wanted:
            break
        number = str(rng.choice(list(NUMBER_ODDS), p=list(NUMBER_ODDS.values())))
        location = _pick(places_for(number), rng)
        circles = place(location, number, rng)
        if overlaps(circles, taken):
            continue
        ground = parts[0].color if taken == [] and parts else background
        parts.append(_part(ground, _pick(tuple(SHAPE_WORDS), rng), number, location, rng))
        placed.append(circles)
        taken += circles
    return parts, placed


def _part(
    ground: str, shape: str, number: str, location: str, rng: np.random.Generator
) -> ScenePart:
    """A part of any colour but its ground's own, which may still be close (low contrast)."""
    color = _pick(tuple(name for name in COLORS if name != ground), rng)
    shade = _pick(("", "", "light", "dark"), rng) if color in SHADED_COLORS else ""
    texture = "smooth" if rng.random() < 0.2 else _pick(tuple(TEXTURE_WORDS), rng)
    return ScenePart(color, shade, shape, texture, number, location)


def _add_fault(
    circles: list[list[Circle]],
    damage: dict[tuple[int, int], str],
    surface: list[tuple[int, str]],
    rng: np.random.Generator,
) -> None:
    kind = _pick((*SURFACE_DEFECTS, *GEOMETRIC_DEFECTS), rng)
    part = int(rng.integers(len(circles)))
    if kind in GEOMETRIC_DEFECTS:
        damage[part, int(rng.integers(len(circles[part])))] = kind
    else:
        surface.append((part, kind))


def _pick(names: tuple[str, ...], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]


def _choose(names: tuple[str, ...], rng: np.random.Generator, count: int) -> list[str]:
    return [names[i] for i in rng.choice(len(names), count, replace=False)]
