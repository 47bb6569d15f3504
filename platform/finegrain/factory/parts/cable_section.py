"""A three-core power cable, cut across: sheath, filler, three insulated copper strands."""

import math

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas, Colour
from finegrain.factory.frame import Frame, Plane
from finegrain.factory.ground import lay_ground
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.shapes import bevel, disc, ring
from finegrain.factory.textures import brushed, clouds, grain

DEFECTS = (
    "cut_insulation",
    "missing_strands",
    "missing_wire",
    "pierced_sheath",
    "shifted_wire",
    "swapped_wires",
)
WIRES: tuple[tuple[str, Colour], ...] = (
    ("yellow wire", (206, 172, 42)),
    ("blue wire", (40, 84, 158)),
    ("brown wire", (112, 66, 40)),
)
OUTER, LINING = 132.0, 108.0
WIRE, CORE, WIRE_CIRCLE = 46.0, 29.0, 55.0
STRAND = 4.7
TOP = 8.0
FILLER = (166, 164, 156)


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A cable end facing the camera, nearly upright."""
    lay_ground(canvas, rng, (150, 154, 158), roughness=0.05, uneven=0.03)
    pose = canvas.pose(rng, turn_deg=14, shift_px=8, zoom=0.035)
    _sheath(canvas, rng, pose)
    slots = [_slot(rng, pose, number) for number in range(3)]
    seeds = rng.integers(0, 2**32, 3).tolist()
    hit = flaw.one_of(3, *DEFECTS)
    colours = list(range(3))
    if flaw.name == "swapped_wires" and hit is not None:
        other = (hit + 1) % 3
        colours[hit], colours[other] = other, hit
        for number in (hit, other):
            _mark_wire(canvas, slots[number])
    for number, slot in enumerate(slots):
        own = np.random.default_rng(int(seeds[number]))
        if number == hit and flaw.name == "missing_wire":
            _mark_wire(canvas, slot)
            _socket(canvas, slot)
            continue
        if number == hit and flaw.name == "shifted_wire":
            _mark_wire(canvas, slot)
            _socket(canvas, slot)
            way = flaw.rng.uniform(0, math.tau)
            far = flaw.rng.uniform(5, 11)
            slot = slot.at(far * math.cos(way), far * math.sin(way))
            _mark_wire(canvas, slot)
        lost = flaw if number == hit and flaw.name == "missing_strands" else None
        _wire(canvas, own, slot, WIRES[colours[number]], lost)
    _damage(canvas, flaw, pose, slots[hit or 0])


def _slot(rng: np.random.Generator, pose: Frame, number: int) -> Frame:
    turn = math.radians(-90 + 120 * number + rng.uniform(-4, 4))
    far = WIRE_CIRCLE + rng.uniform(-2, 2)
    return pose.at(far * math.cos(turn), far * math.sin(turn), rng.uniform(0, math.tau))


def _sheath(canvas: Canvas, rng: np.random.Generator, pose: Frame) -> None:
    """The black sheath around the grey filler, both with the marks of the saw."""
    area = canvas.area(pose, OUTER + 4)
    radii = area.radius
    marks = brushed(rng, area)
    outer = radii - OUTER
    tone = 1 + 0.07 * clouds(rng, area) + 0.12 * marks
    canvas.fill(
        area, outer, (52, 53, 56), shade=tone, height=TOP + bevel(outer, 3, 2) + 0.1 * marks,
        gloss=0.22, component="sheath",
    )  # fmt: skip
    inner = radii - LINING + 1.2 * grain(rng, area, 24.0)
    powder = 1 + 0.05 * clouds(rng, area) + 0.07 * grain(rng, area, 0.8) + 0.04 * marks
    height = TOP - 1.5 + 0.25 * grain(rng, area, 0.8) + 0.3 * grain(rng, area, 2.5)
    canvas.fill(area, inner, FILLER, shade=powder, height=height, gloss=0.04, component="filler")


def _wire(
    canvas: Canvas,
    rng: np.random.Generator,
    slot: Frame,
    kind: tuple[str, Colour],
    lost: Flaw | None,
) -> None:
    """One insulated conductor; `lost` takes some of its strands away."""
    name, colour = kind
    area = canvas.area(slot, WIRE + 3)
    radii = area.radius
    marks = brushed(rng, area)
    tone = 1 + 0.05 * clouds(rng, area) + 0.05 * marks + rng.uniform(-0.06, 0.06)
    outer = radii - WIRE * (1 + rng.uniform(-0.015, 0.015))
    canvas.fill(
        area, outer, colour, shade=tone, height=TOP + bevel(outer, 4, 2.5) + 0.08 * marks,
        gloss=0.3, component=name,
    )  # fmt: skip
    core = radii - CORE
    canvas.fill(area, core, (30, 22, 18), height=TOP - 1.5, gloss=0.0, component="copper cores")
    u, v = _strand_cells(area.u + 0.5 * grain(rng, area, 8.0), area.v + 0.5 * grain(rng, area, 8.0))
    strand = np.maximum(disc(u, v, STRAND * 0.93), core)
    bright = 1 + 0.16 * grain(rng, area, 2.5) + 0.1 * marks
    if lost is not None:
        turn, far = lost.rng.uniform(0, math.tau), lost.rng.uniform(0, 18)
        gap = disc(
            area.u - far * math.cos(turn), area.v - far * math.sin(turn), lost.rng.uniform(5, 10)
        )
        canvas.mark(area, (gap < 0) & (core < 0))
        strand = np.maximum(strand, -gap)
    height = TOP + bevel(strand, 2.6, 1.8)
    canvas.fill(area, strand, (206, 128, 84), shade=bright, height=height, gloss=0.45, metal=0.5)


def _strand_cells(u: Plane, v: Plane) -> tuple[Plane, Plane]:
    """Fold the plane into the cells of a hexagonal packing of strands."""
    pitch_u, pitch_v = 2 * STRAND, 2 * STRAND * math.sqrt(3)
    first = (u - pitch_u * np.round(u / pitch_u), v - pitch_v * np.round(v / pitch_v))
    half_u, half_v = u - pitch_u / 2, v - pitch_v / 2
    second = (
        half_u - pitch_u * np.round(half_u / pitch_u),
        half_v - pitch_v * np.round(half_v / pitch_v),
    )
    nearer = first[0] ** 2 + first[1] ** 2 < second[0] ** 2 + second[1] ** 2
    return np.where(nearer, first[0], second[0]), np.where(nearer, first[1], second[1])


def _socket(canvas: Canvas, slot: Frame) -> None:
    """The empty channel that a wire leaves in the filler."""
    area = canvas.area(slot, WIRE + 3)
    canvas.fill(area, disc(area.u, area.v, WIRE), (62, 60, 56), height=-2.0, gloss=0.0)


def _mark_wire(canvas: Canvas, slot: Frame) -> None:
    area = canvas.area(slot, WIRE + 3)
    canvas.mark(area, disc(area.u, area.v, WIRE) < 0)


def _damage(canvas: Canvas, flaw: Flaw, pose: Frame, slot: Frame) -> None:
    rng = flaw.rng
    if flaw.name == "cut_insulation":
        area = canvas.area(slot, WIRE + 2)
        middle, half = rng.uniform(-math.pi, math.pi), rng.uniform(0.05, 0.2)
        apart = (np.arctan2(area.v, area.u) - middle + math.pi) % math.tau - math.pi
        wedge = (np.abs(apart) - half) * area.radius + 0.8 * grain(rng, area, 2.5)
        cut = np.maximum(wedge, ring(area.radius, CORE + 1, WIRE + 1))
        canvas.fill(area, cut, (70, 66, 60), height=TOP - 6, gloss=0.0)
        canvas.mark(area, cut < 0)
    elif flaw.name == "pierced_sheath":
        turn = rng.uniform(0, math.tau)
        place = pose.at(120 * math.cos(turn), 120 * math.sin(turn), turn)
        if rng.random() < 0.5:
            flaws.hole(canvas, rng, place, ("sheath",), radius=rng.uniform(3.5, 6.5), depth=-2.0)
        else:
            flaws.crack(canvas, rng, place, ("sheath", "filler"), length=rng.uniform(18, 30),
                        width=rng.uniform(1.6, 2.8), colour=(6, 6, 6))  # fmt: skip


CABLE_SECTION = Part(
    "cable_section",
    DEFECTS,
    facts(
        "cable",
        "textured gray",
        [
            component("yellow wire", "1", "top center", colour=["yellow"], texture=["smooth"],
                      shape=["circular", "cylindrical"]),
            component("blue wire", "1", "bottom right", colour=["blue"], texture=["smooth"],
                      shape=["circular", "cylindrical"]),
            component("brown wire", "1", "bottom left", colour=["brown"], texture=["smooth"],
                      shape=["circular", "cylindrical"]),
            component("copper cores", "3", "center", colour=["copper"], texture=["granular"],
                      shape=["circular"]),
            component("sheath", "1", "center", colour=["black"], texture=["rough"],
                      shape=["circular"]),
            component("filler", "1", "center", colour=["grey"], texture=["granular"],
                      shape=["irregular"]),
        ],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
