"""A cylinder-head style gasket: dark fibre sheet with bolt holes and a printed sealing bead."""

import math

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas
from finegrain.factory.frame import Area, Frame, Plane
from finegrain.factory.ground import lay_ground
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.shapes import bevel, disc, ring
from finegrain.factory.textures import clouds, grain

DEFECTS = ("chip", "crack", "filled_hole", "missing_bead", "oil_stain", "scratch")
ON = ("gasket", "sealing bead")
HOLES = 6
HOLE_CIRCLE, HOLE_RADIUS = 104.0, 8.0
BORE, BEAD = 60.0, 72.0
SHEET, BEAD_RISE = 3.0, 2.4
BENCH = (196, 198, 196)


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A gasket at any angle on a pale bench."""
    lay_ground(canvas, rng, BENCH, roughness=0.09, uneven=0.035)
    pose = canvas.pose(rng, turn_deg=180, shift_px=8, zoom=0.04)
    area = canvas.area(pose, 140)
    radii = area.radius
    angles = np.arctan2(area.v, area.u)
    blocked = flaw.one_of(HOLES, "filled_hole")
    body = _outline(area, radii, angles, None)
    tone = 1 + 0.05 * clouds(rng, area) + 0.07 * grain(rng, area, 0.7)
    relief = SHEET + 0.1 * grain(rng, area, 0.8) + 0.07 * grain(rng, area, 2.5) + bevel(body, 2, 1)
    whole = body if blocked is None else _outline(area, radii, angles, blocked)
    canvas.fill(area, whole, (94, 97, 96), shade=tone, height=relief, gloss=0.1, component="gasket")
    if blocked is not None:
        canvas.mark(area, (whole < 0) & (body > 0))
    _bead(canvas, rng, flaw, pose)
    _damage(canvas, flaw)


def _outline(area: Area, radii: Plane, angles: Plane, blocked: int | None) -> Plane:
    """The sheet with its bore and all bolt holes but one."""
    lobes = np.cos(HOLES * angles)
    edge = 112.0 + 13.0 * np.clip(0.55 * lobes + 0.35, -0.25, 0.9)
    distance: Plane = np.maximum((radii - edge) * 0.93, BORE - radii)
    for number in range(HOLES):
        if number != blocked:
            turn = number * math.tau / HOLES
            u, v = HOLE_CIRCLE * math.cos(turn), HOLE_CIRCLE * math.sin(turn)
            distance = np.maximum(distance, -disc(area.u - u, area.v - v, HOLE_RADIUS))
    return distance


def _bead(canvas: Canvas, rng: np.random.Generator, flaw: Flaw, pose: Frame) -> None:
    """The printed silicone bead around the bore; a defect leaves a gap in it."""
    area = canvas.area(pose, BEAD + 6)
    radii, angles = area.radius, np.arctan2(area.v, area.u)
    wander = 0.35 * np.cos(3 * angles + rng.uniform(0, 6)) + 0.25 * grain(rng, area, 8.0)
    width = 3.4 + rng.uniform(-0.2, 0.2)
    distance = ring(radii + wander, BEAD - width, BEAD + width)
    tone = 1 + 0.05 * grain(rng, area, 2.5)
    opacity: Plane | float = 1.0
    if flaw.name == "missing_bead":
        middle, half = flaw.rng.uniform(-math.pi, math.pi), flaw.rng.uniform(0.1, 0.35)
        apart = np.abs((angles - middle + math.pi) % math.tau - math.pi)
        gap = (apart - half) * BEAD + 0.8 * grain(flaw.rng, area, 2.5)
        opacity = np.clip(0.5 + gap, 0, 1)
        canvas.mark(area, (distance < 0.5) & (gap < 0))
    height = SHEET + 1 + bevel(distance, width, BEAD_RISE)
    canvas.fill(
        area,
        distance,
        (142, 62, 44),
        shade=tone,
        height=height,
        gloss=0.4,
        component="sealing bead",
        opacity=opacity,
    )


def _damage(canvas: Canvas, flaw: Flaw) -> None:
    rng = flaw.rng
    if flaw.name == "scratch":
        place = flaws.spot(canvas, rng, "gasket", inset=8)
        length, strength = rng.uniform(40, 90), rng.uniform(0.55, 0.95)
        flaws.scratch(
            canvas, rng, place, ON, length=length, width=rng.uniform(1.8, 2.8), strength=strength,
            colour=(176, 178, 176),
        )  # fmt: skip
    elif flaw.name == "oil_stain":
        place = flaws.spot(canvas, rng, "gasket", inset=6)
        radius, strength = rng.uniform(16, 30), rng.uniform(0.6, 0.9)
        flaws.stain(canvas, rng, place, ON, radius=radius, strength=strength, colour=(40, 30, 14))
    elif flaw.name == "crack":
        place = flaws.spot(canvas, rng, "gasket", inset=5)
        length, width = rng.uniform(28, 55), rng.uniform(2.2, 3.6)
        flaws.crack(canvas, rng, place, ON, length=length, width=width, colour=(8, 8, 8))
    elif flaw.name == "chip":
        place = _on_edge(canvas, rng)
        flaws.chip(
            canvas, rng, place, ON, radius=rng.uniform(9, 18), colour=BENCH, height=0.0,
            facet=(84, 84, 80),
        )  # fmt: skip


def _on_edge(canvas: Canvas, rng: np.random.Generator) -> Frame:
    """A place on the outline."""
    sheet = canvas.on(canvas.area(Frame(0, 0)), "gasket")
    rows, cols = np.nonzero(sheet[1:-1, 1:-1] & ~(sheet[2:, 1:-1] & sheet[1:-1, 2:]))
    chosen = int(rng.integers(len(rows)))
    return Frame(float(cols[chosen] + 1), float(rows[chosen] + 1), rng.uniform(0, 6.3))


GASKET = Part(
    "gasket",
    DEFECTS,
    facts(
        "gasket",
        "light grey",
        [
            component("gasket", "1", "center", colour=["grey"], texture=["granular", "rough"],
                      shape=["flat", "circular"]),
            component("sealing bead", "1", "center", colour=["brown", "red"], texture=["smooth"],
                      shape=["circular"]),
        ],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
