"""Damage that can befall any surface; each painter also marks its pixels as the defect.

A painter takes the canvas, the defect's generator and a frame at the place of the damage, and
stays on the named components. Sizes are in pixels, `strength` in 0..1.
"""

import math
from collections.abc import Sequence

import numpy as np

from finegrain.factory.canvas import Canvas, Colour, linear
from finegrain.factory.frame import Area, Frame, Plane
from finegrain.factory.shapes import smooth
from finegrain.factory.textures import grain

VISIBLE = 0.15  # share of full damage from which on a pixel counts as defective


def spot(canvas: Canvas, rng: np.random.Generator, *components: str, inset: int = 6) -> Frame:
    """A frame at a random place of the components, turned at random."""
    x, y = canvas.pick(rng, *components, inset=inset)
    return Frame(float(x), float(y), rng.uniform(0, 2 * math.pi))


def scratch(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    length: float,
    width: float,
    strength: float,
    colour: Colour,
    depth: float = 1.0,
) -> None:
    """A thin bowed groove that tapers off, sometimes with a shorter one beside it."""
    area = canvas.area(frame, length / 2 + 4)
    bow = rng.uniform(-0.12, 0.12) / length
    half = length / 2
    distance = _stroke(area, half, width / 2, area.v - bow * (area.u**2 - half**2))
    if rng.random() < 0.5:
        shift = rng.uniform(-0.2, 0.2) * length
        offset = rng.uniform(2.5, 4.0)
        beside = area.v - offset - bow * area.u**2
        twin = _stroke(area, half * 0.5, width / 3, beside, shift)
        distance = np.minimum(distance, twin)
    worn = np.clip(0.8 + 0.35 * grain(rng, area, 2.5), 0.25, 1)
    _carve(canvas, area, distance, on, colour, strength * worn, depth)


def _stroke(area: Area, half: float, radius: float, v: Plane, shift: float = 0.0) -> Plane:
    """The distance to a line along u whose width shrinks to nothing at both ends."""
    end = np.clip(1 - np.abs(area.u - shift) / half, -1, 1)
    taper = np.minimum(1, 2.5 * end)
    distance: Plane = np.abs(v) - radius * np.maximum(taper, 0) + 4 * np.maximum(-end, 0)
    return distance


def crack(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    length: float,
    width: float,
    strength: float = 0.85,
    colour: Colour = (18, 16, 15),
) -> None:
    """A jagged dark line, with a branch."""
    _fissure(canvas, rng, frame, on, length, width, strength, colour)
    fork = frame.at(
        rng.uniform(-0.2, 0.15) * length, 0, rng.choice([-1, 1]) * rng.uniform(0.4, 0.8)
    )
    _fissure(canvas, rng, fork.at(length / 5, 0), on, length * 0.4, width * 0.7, strength, colour)


def _fissure(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    length: float,
    width: float,
    strength: float,
    colour: Colour,
) -> None:
    area = canvas.area(frame, length / 2 + 8)
    knots = max(int(length / 4), 3)
    path = np.cumsum(rng.normal(0, 1.5, knots))
    path -= np.linspace(path[0], path[-1], knots)
    line = np.interp(area.u, np.linspace(-length / 2, length / 2, knots), path)
    distance = _stroke(area, length / 2, width / 2, area.v - line.astype(np.float32)) * 0.85
    _carve(canvas, area, distance, on, colour, strength, 1.5)


def _carve(
    canvas: Canvas,
    area: Area,
    distance: Plane,
    on: Sequence[str],
    colour: Colour,
    opacity: Plane | float,
    depth: float,
) -> None:
    inside = canvas.on(area, *on)
    distance = np.where(inside, distance, 9.0)
    full = np.clip(0.5 - distance, 0, 1)
    canvas.fill(area, distance, colour, opacity=opacity)
    canvas.emboss(area, -depth * full)
    canvas.mark(area, full > VISIBLE)


def stain(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    radius: float,
    strength: float,
    colour: Colour,
    edge: float = 0.3,
) -> None:
    """A spill of uneven density with a darker rim; it colours and dulls, and leaves the relief."""
    area, depth = _blob(canvas, rng, frame, radius)
    inside = canvas.on(area, *on)
    body = smooth(depth, 0.0, 0.35) * np.clip(0.8 + 0.25 * grain(rng, area, 5.0), 0.3, 1.2)
    rim = edge * np.exp(-(((depth - 0.14) / 0.09) ** 2))
    density = strength * np.clip(body + rim, 0, 1.3) * inside
    canvas.tint(area, 1 - density * (1 - linear(colour)))
    matt = 1 - 0.8 * np.clip(density, 0, 1)  # what lies on metal hides its mirror
    canvas.metal[area.rows, area.cols] *= matt
    canvas.gloss[area.rows, area.cols] *= matt
    canvas.mark(area, (depth > 0.08) & inside)


def hole(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    radius: float,
    colour: Colour = (14, 14, 15),
    depth: float = 6.0,
    ragged: float = 0.2,
) -> None:
    """A pierced place with a slightly raised rim."""
    area, inwards = _blob(canvas, rng, frame, radius, ragged)
    inside = canvas.on(area, *on)
    rim = np.exp(-((inwards / 0.22) ** 2)) * inside
    canvas.emboss(area, 0.7 * rim)
    distance = np.where(inside, -inwards * radius, 9.0)
    canvas.fill(area, distance, colour, height=-depth, gloss=0.0, metal=0.0)
    canvas.mark(area, (inwards > -0.12) & inside)


def dent(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    radius: float,
    depth: float,
) -> None:
    """A smooth depression, seen only by how it bends the light."""
    area = canvas.area(frame, 2.2 * radius)
    squash = rng.uniform(0.65, 1.0)
    inside = canvas.on(area, *on)
    r2 = (area.u**2 + (area.v / squash) ** 2) / radius**2
    bowl = np.exp(-1.6 * r2 * r2) - 0.22 * np.exp(-((np.sqrt(r2) - 1.35) ** 2) / 0.06)
    canvas.emboss(area, -depth * bowl * inside)
    canvas.mark(area, (r2 < 1.35) & inside)


def debris(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    count: int,
    size: float,
    spread: float,
    colour: Colour,
    rise: float = 2.0,
) -> None:
    """Crumbs that lie on the surface and cast shadows."""
    for _ in range(count):
        u, v = rng.normal(0, spread, 2).tolist()
        crumb = frame.at(u, v, rng.uniform(0, 6.3))
        radius = size * rng.uniform(0.6, 1.4)
        area, inwards = _blob(canvas, rng, crumb, radius, 0.35)
        inside = canvas.on(area, *on)
        distance = np.where(inside, -inwards * radius, 9.0)
        tone = np.clip(1 + 0.2 * grain(rng, area, 1.0), 0.5, 1.5)
        height = canvas.height[area.rows, area.cols] + rise * np.sqrt(np.clip(inwards, 0, 1))
        canvas.fill(area, distance, colour, shade=tone, height=height, gloss=0.1, metal=0.0)
        canvas.mark(area, (inwards > 0) & inside)


def fibre(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    length: float,
    width: float,
    colour: Colour,
    strength: float = 0.9,
) -> None:
    """A curled hair or thread that lies on the surface."""
    area = canvas.area(frame, length * 0.6)
    inside = canvas.on(area, *on)
    bend, wave = rng.uniform(-0.5, 0.5), rng.uniform(0.04, 0.1) * length
    t = area.u / (length / 2)
    path = bend * length * 0.3 * (t * t - 0.4) + wave * np.sin(3.6 * t + rng.uniform(0, 6))
    slope = 1 / np.sqrt(1 + np.gradient(path, axis=1) ** 2 + np.gradient(path, axis=0) ** 2)
    distance = np.where(inside, _stroke(area, length / 2, width / 2, (area.v - path) * slope), 9.0)
    cover = canvas.fill(area, distance, colour, gloss=0.15, metal=0.0, opacity=strength)
    canvas.emboss(area, 1.3 * cover)
    canvas.mark(area, cover > VISIBLE * strength)


def chip(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    on: Sequence[str],
    *,
    radius: float,
    colour: Colour,
    height: float,
    facet: Colour,
) -> None:
    """A piece broken off: what lies beneath shows, and a rough facet along the break."""
    area, inwards = _blob(canvas, rng, frame, radius, 0.3)
    inside = canvas.on(area, *on)
    outer = np.where(inside, -inwards * radius, 9.0)
    rough = np.clip(1 + 0.25 * grain(rng, area, 1.2), 0.4, 1.7)
    slope = canvas.height[area.rows, area.cols] - 3 * np.clip(inwards, 0, 0.5)
    canvas.fill(area, outer, facet, shade=rough, height=slope, gloss=0.25, metal=0.0)
    core = np.where(inside, (0.3 - inwards) * radius, 9.0)
    canvas.fill(area, core, colour, height=height, gloss=0.05, metal=0.0)
    canvas.mark(area, (inwards > 0) & inside)


def _blob(
    canvas: Canvas, rng: np.random.Generator, frame: Frame, radius: float, ragged: float = 0.35
) -> tuple[Area, Plane]:
    """An irregular disc: its depth (h,w), 1 at the centre, 0 at the edge, negative outside."""
    area = canvas.area(frame, radius * 1.9)
    squash = rng.uniform(0.7, 1.0)
    r = np.sqrt(area.u**2 + (area.v / squash) ** 2) / radius
    uneven = 0.6 * grain(rng, area, max(round(radius / 2.5), 2)) + 0.25 * grain(rng, area, 2.0)
    return area, 1 - r - ragged * 0.7 * uneven * np.clip(r, 0, 1)
