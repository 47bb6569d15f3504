"""A brushed aluminium flange plate: four hexagon bolts on washers, and a bore with a seal ring."""

import math

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas, Colour
from finegrain.factory.frame import Frame
from finegrain.factory.ground import lay_ground
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.shapes import bevel, box, disc, hexagon, ring, smooth
from finegrain.factory.textures import brushed, clouds, grain, sweep, turned

DEFECTS = ("dent", "missing_bolt", "missing_washer", "rust_stain", "scratch", "wrong_bolt")
HALF_U, HALF_V, CORNER = 130.0, 122.0, 24.0
BOLTS = ((-96.0, -88.0), (96.0, -88.0), (-96.0, 88.0), (96.0, 88.0))
PINS = ((0.0, -96.0), (0.0, 96.0))
TOP = 6.0
ZINC: Colour = (168, 171, 174)
WRONG: tuple[Colour, ...] = ((190, 132, 46), (52, 52, 54), (150, 92, 62))


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A plate on a workbench, its bolts turned as the spanner left them."""
    lay_ground(canvas, rng, (72, 70, 66), roughness=0.2, uneven=0.07)
    pose = canvas.pose(rng, turn_deg=7, shift_px=8, zoom=0.035)
    _plate(canvas, rng, pose)
    _bore(canvas, rng, pose)
    hit = flaw.one_of(len(BOLTS), *DEFECTS)
    for number, (u, v) in enumerate(BOLTS):
        place = pose.at(u + rng.uniform(-1, 1), v + rng.uniform(-1, 1))
        own = np.random.default_rng(rng.integers(0, 2**32, 2).tolist())
        _bolt(canvas, own, place, flaw if number == hit else None)
    _damage(canvas, flaw)


def _plate(canvas: Canvas, rng: np.random.Generator, pose: Frame) -> None:
    """The brushed face with a chamfer, a raised pad in the middle and two dowel pins."""
    area = canvas.area(pose, HALF_U + 4)
    edge = box(area.u, area.v, HALF_U, HALF_V, CORNER)
    lines = brushed(rng, area)
    tone = 1 + 0.045 * lines + 0.03 * clouds(rng, area)
    pad = 1.6 * smooth(area.radius, 79, 75)
    height = TOP + pad + 0.06 * lines + bevel(edge, 4, 3)
    canvas.fill(
        area, edge, (172, 175, 178), shade=tone, height=height, gloss=0.25, metal=0.55,
        component="plate",
    )  # fmt: skip
    for u, v in PINS:
        pin = canvas.area(pose.at(u, v), 10)
        hole, face = disc(pin.u, pin.v, 6.5), disc(pin.u, pin.v, 5.5)
        canvas.fill(pin, hole, (52, 52, 54), height=TOP - 1, component="plate")
        canvas.fill(
            pin, face, (150, 150, 150), shade=1 + 0.1 * turned(rng, pin.radius, 1.0),
            height=TOP + 1 + bevel(face, 1.5, 1), gloss=0.4,
        )  # fmt: skip


def _bore(canvas: Canvas, rng: np.random.Generator, pose: Frame) -> None:
    """The bore, turned around its edge, with a black seal ring in its groove."""
    area = canvas.area(pose, 76)
    radii = area.radius
    face = radii - 70
    shine = 1 + 0.06 * turned(rng, radii, 1.1) + 0.2 * sweep(rng, area)
    canvas.fill(area, face, (176, 178, 180), shade=shine)
    groove = ring(radii, 48, 63)
    canvas.fill(area, groove, (70, 70, 72), height=TOP - 1)
    seal = ring(radii + 0.3 * grain(rng, area, 8.0), 49.5, 61.5)
    rounded = TOP - 0.5 + bevel(np.maximum(seal, -6), 6, 4)
    tone = 1 + 0.06 * grain(rng, area, 0.8)
    canvas.fill(
        area, seal, (38, 38, 40), shade=tone, height=rounded, gloss=0.3, metal=0.0,
        component="seal ring",
    )  # fmt: skip
    wall = radii - 41
    canvas.fill(area, wall, (96, 97, 98), height=TOP - 3, metal=0.5)
    canvas.fill(area, radii - 37, (20, 20, 22), height=-6.0, gloss=0.0, metal=0.0)
    canvas.fill(area, wall, component="bore")


def _bolt(canvas: Canvas, rng: np.random.Generator, place: Frame, flaw: Flaw | None) -> None:
    """A washer and a hexagon head with its turned face; `flaw` hits this one."""
    turn, lean = rng.uniform(0, math.pi / 3), rng.uniform(-0.8, 0.8)
    name = flaw.name if flaw else None
    area = canvas.area(place.at(0, 0, turn), 27)
    radii = area.radius
    washer = ring(radii, 8, 24.5)
    tone = 1 + 0.05 * turned(rng, radii, 1.0) + 0.2 * sweep(rng, area) + 0.03 * clouds(rng, area)
    if name == "missing_bolt":
        _empty_hole(canvas, place)
        canvas.mark(area, radii < 24.5)
        return
    if name == "missing_washer":
        canvas.mark(area, (radii < 24.5) & (hexagon(area.u, area.v, 15.5) > 0))
    else:
        canvas.fill(
            area, washer, (188, 189, 188), shade=tone, height=TOP + 2 + bevel(washer, 1.5, 1),
            gloss=0.35, metal=0.6, component="washers",
        )  # fmt: skip
        canvas.tint(area, 1 - 0.4 * np.exp(-(((radii - 25) / 1.1) ** 2)))
    head = hexagon(area.u, area.v, 15.5)
    colour = ZINC
    if flaw and name == "wrong_bolt":
        colour = WRONG[int(flaw.rng.integers(len(WRONG)))]
        canvas.mark(area, head < 0)
    crown = 3.2 * smooth(radii, 18.5, 14.0)
    height = TOP + 8 + crown + 0.06 * lean * area.u + 0.05 * grain(rng, area, 0.8)
    face = 1 + 0.05 * turned(rng, radii, 1.3) + 0.24 * sweep(rng, area) - 0.25 * (radii > 14)
    canvas.fill(
        area, head, colour, shade=face, height=height, gloss=0.4, metal=0.6, component="bolts"
    )


def _empty_hole(canvas: Canvas, place: Frame) -> None:
    """The threaded hole that shows where the bolt is missing."""
    area = canvas.area(place, 14)
    radii = area.radius
    canvas.fill(area, radii - 11, (120, 121, 122), height=TOP - 1.5, metal=0.5)
    thread = 0.6 + 0.4 * np.cos(radii * 3.2)
    canvas.fill(area, radii - 9.5, (58, 58, 60), shade=thread, height=TOP - 4, metal=0.2)
    canvas.fill(area, radii - 6.5, (14, 14, 15), height=-4.0, gloss=0.0, metal=0.0)


def _damage(canvas: Canvas, flaw: Flaw) -> None:
    rng = flaw.rng
    on = ("plate",)
    if flaw.name == "scratch":
        place = flaws.spot(canvas, rng, "plate", inset=8)
        flaws.scratch(canvas, rng, place, on, length=rng.uniform(45, 100),
                      width=rng.uniform(2.2, 3.6), strength=rng.uniform(0.6, 1),
                      colour=(92, 92, 94))  # fmt: skip
    elif flaw.name == "dent":
        place = flaws.spot(canvas, rng, "plate", inset=12)
        flaws.dent(canvas, rng, place, on, radius=rng.uniform(10, 18), depth=rng.uniform(4, 8))
    elif flaw.name == "rust_stain":
        place = flaws.spot(canvas, rng, "plate", inset=5)
        flaws.stain(canvas, rng, place, ("plate", "washers", "bolts"), radius=rng.uniform(14, 28),
                    strength=rng.uniform(0.55, 0.95), colour=(150, 72, 24))  # fmt: skip


BOLTED_PLATE = Part(
    "bolted_plate",
    DEFECTS,
    facts(
        "metal plate",
        "brown",
        [
            component("plate", "1", "center", colour=["metallic silver"],
                      texture=["smooth", "textured"], shape=["rectangular", "flat"]),
            component("bolts", "4", "corners", colour=["metallic grey"], texture=["smooth"],
                      shape=["hexagonal"]),
            component("washers", "4", "corners", colour=["metallic silver"], texture=["smooth"],
                      shape=["circular", "flat"]),
            component("seal ring", "1", "center", colour=["black"], texture=["smooth"],
                      shape=["circular"]),
            component("bore", "1", "center", colour=["black"], texture=["smooth"],
                      shape=["circular"]),
        ],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
