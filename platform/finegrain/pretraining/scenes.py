"""Procedural scenes: a seed gives an image, what is true of it, and masks of parts and faults.

The scenes teach words for parts, colours, textures, shapes, places and faults; they know nothing of
the embedded factory data set, on which the model is tested.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from finegrain.pretraining.damage import damaged
from finegrain.pretraining.defects import SURFACE_DEFECTS, Mask, Pixels, paint_defect
from finegrain.pretraining.drafting import Draft, draft_scene
from finegrain.pretraining.facts import Facts, ScenePart
from finegrain.pretraining.layout import SIDE, Circle
from finegrain.pretraining.shapes import OUTLINES, Field, coverage, local_frame, turn_for
from finegrain.pretraining.surfaces import lit, material, named_color, part_texture
from finegrain.pretraining.vocabulary import GEOMETRIC_DEFECTS


@dataclass(frozen=True)
class Defect:
    """One fault: its kind, which part it is on (-1: the background material), and where."""

    kind: str
    part: int
    mask: Mask  # (H,W)


@dataclass(frozen=True)
class Scene:
    """A rendered scene with its truth."""

    image: npt.NDArray[np.uint8]  # (H,W,3) RGB
    facts: Facts
    part_masks: npt.NDArray[np.bool_]  # (P,H,W) visible pixels, faults included
    defects: tuple[Defect, ...]


def render_scene(seed: int) -> Scene:
    """The scene of that seed: the same image and truth on every call."""
    rng = np.random.default_rng([1907, seed])
    draft = draft_scene(rng)
    facts = draft.facts
    canvas, ground = _background(facts, rng)
    masks = np.zeros((len(facts.parts), SIDE, SIDE), dtype=np.bool_)
    defects: list[Defect] = []
    for index, (part, circles) in enumerate(zip(facts.parts, draft.circles, strict=True)):
        for kind, lost in _paint_part(canvas, part, circles, draft, index, masks, rng):
            defects.append(Defect(kind, index, lost))
    defects += _surface_faults(canvas, draft, masks, ground, rng)
    image = np.clip(lit(canvas, rng), 0, 255).astype(np.uint8)
    return Scene(image, _as_drawn(facts, defects), masks, tuple(defects))


def _background(facts: Facts, rng: np.random.Generator) -> tuple[Pixels, Mask]:
    color = named_color(facts.background, "", rng)
    relief = material(facts.material, (SIDE, SIDE), rng)
    tint = 1 + relief[..., None] * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    return (color * tint).astype(np.float32), np.ones((SIDE, SIDE), dtype=np.bool_)


def _paint_part(
    canvas: Pixels,
    part: ScenePart,
    circles: list[Circle],
    draft: Draft,
    index: int,
    masks: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> list[tuple[str, Mask]]:
    """Draw the instances of one part and note its mask; returns the faults of its outline."""
    color = named_color(part.color, part.shade, rng)
    common_turn = turn_for(part.shape, rng)
    style = _Style(rng)
    faults: list[tuple[str, Mask]] = []
    for number, circle in enumerate(circles):
        kind = draft.damage.get((index, number))
        turn = common_turn if style.aligned else turn_for(part.shape, rng)
        covered, lost = _paint_instance(canvas, part, color, circle, turn, kind, style, rng)
        masks[:index] &= ~covered
        masks[index] |= covered
        if kind is not None and lost.sum() >= 12:
            masks[index] |= lost
            faults.append((kind, lost))
    return faults


class _Style:
    """How the instances of one part are finished, the same for all of them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.aligned = rng.random() < 0.5
        self.bevel = float(rng.uniform(0, 0.35)) if rng.random() < 0.6 else 0.0
        self.light = float(rng.uniform(0, 2 * np.pi))
        self.shadow = float(rng.uniform(0.1, 0.5)) if rng.random() < 0.5 else 0.0
        self.outline = float(rng.uniform(0.2, 0.6)) if rng.random() < 0.25 else 0.0
        self.rim = float(rng.choice([-0.35, 0.3])) if rng.random() < 0.15 else 0.0
        self.gloss = float(rng.uniform(0.2, 0.5)) if rng.random() < 0.15 else 0.0


def _paint_instance(
    canvas: Pixels,
    part: ScenePart,
    color: npt.NDArray[np.float32],
    circle: Circle,
    turn: float,
    damage: str | None,
    style: _Style,
    rng: np.random.Generator,
) -> tuple[Mask, Mask]:
    """Blend one instance into the canvas; its pixels, and those that its damage changed."""
    row, column, radius = circle
    reach = radius * 1.25 + 4
    top, left = max(int(row - reach), 0), max(int(column - reach), 0)
    bottom, right = min(int(row + reach) + 1, SIDE), min(int(column + reach) + 1, SIDE)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    columns = np.arange(left, right, dtype=np.float32)[None]
    u, v = local_frame(rows, columns, (row, column), radius, turn)
    whole = OUTLINES[part.shape](u, v)
    distance = whole if damage is None else damaged(damage, part.shape, u, v, radius, rng)
    cover = coverage(distance, radius)
    box = canvas[top:bottom, left:right]
    if style.shadow:
        offset = max(1, round(radius * 0.08))
        fallen = np.roll(distance, (offset, offset), (0, 1))
        shade = np.clip(0.5 - fallen * radius / 6, 0, 1) * np.float32(style.shadow)
        box *= (1 - shade)[..., None]
    paint = color * _relief(part, u, v, distance, radius, style, rng)[..., None]
    box += cover[..., None] * (np.clip(paint, 0, 255) - box)
    covered = np.zeros((SIDE, SIDE), dtype=np.bool_)
    covered[top:bottom, left:right] = cover > 0.5
    lost = np.zeros((SIDE, SIDE), dtype=np.bool_)
    if damage is not None:
        lost[top:bottom, left:right] = (cover > 0.5) != (coverage(whole, radius) > 0.5)
    return covered, lost


def _relief(
    part: ScenePart,
    u: Field,
    v: Field,
    distance: Field,
    radius: float,
    style: _Style,
    rng: np.random.Generator,
) -> Field:
    """Brightness over one instance: texture, roundness or bevel, and harmless finish marks."""
    relief: npt.NDArray[np.floating] = 1 + part_texture(part.texture, u, v, radius, rng)
    if part.color == "silver":
        sheen = np.sin((u * np.cos(style.light) + v * np.sin(style.light)) * 3.2 + style.light)
        relief = relief + np.float32(0.26) * sheen
    if part.shape == "spherical":
        height = np.sqrt(np.clip(1 - (u**2 + v**2), 0, 1))
        away = np.hypot(u + 0.35, v + 0.35)
        relief = relief * (0.5 + 0.6 * height) + 0.45 * np.exp(-((away / 0.25) ** 2))
    elif part.shape == "cylindrical":
        height = np.sqrt(np.clip(1 - (v / 0.42) ** 2, 0, 1))
        relief = relief * (0.45 + 0.65 * height) + 0.35 * np.exp(-(((v + 0.15) / 0.08) ** 2))
    elif style.bevel:
        near = np.clip(1 + distance * radius / (2 + radius * 0.08), 0, 1)
        facing = u * np.cos(style.light) + v * np.sin(style.light)
        relief = relief + np.float32(style.bevel) * near * np.clip(facing * 1.5, -1, 1)
    if style.outline:
        relief = relief - np.float32(style.outline) * (distance * radius > -2.0)
    if style.rim:
        relief = relief + np.float32(style.rim) * (np.abs(distance + 0.2) * radius < 1.2)
    if style.gloss:
        away = np.hypot((u + 0.25) / 0.3, (v + 0.25) / 0.12)
        relief = relief + np.float32(style.gloss) * np.clip(1.5 - away, 0, 1)
    return np.asarray(relief, dtype=np.float32)


def _surface_faults(
    canvas: Pixels,
    draft: Draft,
    masks: npt.NDArray[np.bool_],
    ground: Mask,
    rng: np.random.Generator,
) -> list[Defect]:
    """Paint the drafted surface faults onto what is visible of their part, or of the ground."""
    found: list[Defect] = []
    for part, kind in draft.surface_faults:
        where = masks[part] if part >= 0 else ground & ~masks.any(0)
        if where.sum() < 150:
            continue
        rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        mask = paint_defect(kind, canvas[window], where[window], rng)
        if mask is not None:
            full = np.zeros_like(where)
            full[window] = mask
            found.append(Defect(kind, part, full))
    return found


def _as_drawn(facts: Facts, defects: list[Defect]) -> Facts:
    """The facts with the faults that can really be seen."""
    kinds: dict[int, list[str]] = {}
    for defect in defects:
        kinds.setdefault(defect.part, []).append(defect.kind)
    parts = tuple(
        replace(part, defects=tuple(dict.fromkeys(kinds.get(index, []))))
        for index, part in enumerate(facts.parts)
    )
    surface = tuple(dict.fromkeys(kinds.get(-1, [])))
    return replace(facts, parts=parts, surface_defects=surface)


assert set(SURFACE_DEFECTS).isdisjoint(GEOMETRIC_DEFECTS)
