"""A green circuit board with its chips, capacitors, resistors, lamps and a connector."""

import math

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas
from finegrain.factory.frame import Frame
from finegrain.factory.ground import lay_ground
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.parts import pcb_artwork, pcb_components
from finegrain.factory.shapes import bevel, box, disc
from finegrain.factory.textures import artwork, clouds, grain

DEFECTS = (
    "flux_stain",
    "misplaced_resistor",
    "missing_capacitor",
    "scratch",
    "solder_ball",
    "swapped_leds",
)
BOARD = 4.0


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A populated board on an antistatic mat."""
    lay_ground(canvas, rng, (84, 92, 104), roughness=0.12, uneven=0.05)
    pose = canvas.pose(rng, turn_deg=4, shift_px=8, zoom=0.035)
    _board(canvas, rng, pose)
    _damage_board(canvas, flaw)
    _chips(canvas, rng, pose)
    _capacitors(canvas, rng, pose, flaw)
    _resistors(canvas, rng, pose, flaw)
    _leds(canvas, rng, pose, flaw)
    if flaw.name == "solder_ball":
        place = flaws.spot(canvas, flaw.rng, "board", "chips", inset=5)
        _solder_balls(canvas, flaw.rng, place)


def _board(canvas: Canvas, rng: np.random.Generator, pose: Frame) -> None:
    """Laminate, copper beneath the green mask, bare pads, white print, mounting holes."""
    area = canvas.area(pose, pcb_artwork.HALF_U + 3)
    edge = box(area.u, area.v, pcb_artwork.HALF_U, pcb_artwork.HALF_V, 7)
    copper, print_, pads = artwork(pcb_artwork.board_artwork(), area, pcb_artwork.RESOLUTION)
    tone = (1 + 0.45 * copper) * (1 + 0.04 * clouds(rng, area) + 0.03 * grain(rng, area, 0.8))
    height = BOARD + 0.5 * copper + bevel(edge, 1.5, 1) + 0.05 * grain(rng, area, 0.8)
    canvas.fill(area, edge, (26, 92, 58), shade=tone, height=height, gloss=0.28, component="board")
    canvas.fill(area, edge, (206, 190, 142), gloss=0.4, metal=0.4, opacity=pads)
    canvas.emboss(area, 0.5 * pads)
    canvas.fill(area, edge, (222, 226, 222), gloss=0.05, opacity=0.92 * print_ * (pads < 0.3))
    for u, v in pcb_artwork.HOLES:
        hole = canvas.area(pose.at(u, v), 9)
        canvas.fill(hole, disc(hole.u, hole.v, 5.5), (24, 25, 27), height=-2.0, gloss=0.0, metal=0)


def _tolerance(rng: np.random.Generator, pose: Frame, u: float, v: float) -> Frame:
    """Where the placing machine really put a component."""
    du, dv = rng.uniform(-1, 1, 2).tolist()
    return pose.at(u + du, v + dv, math.radians(rng.uniform(-2, 2)))


def _chips(canvas: Canvas, rng: np.random.Generator, pose: Frame) -> None:
    pcb_components.draw_quad_chip(canvas, rng, _tolerance(rng, pose, *pcb_artwork.CHIP))
    pcb_components.draw_small_chip(canvas, rng, _tolerance(rng, pose, *pcb_artwork.AMPLIFIER))
    pcb_components.draw_connector(canvas, rng, _tolerance(rng, pose, *pcb_artwork.CONNECTOR))


def _capacitors(canvas: Canvas, rng: np.random.Generator, pose: Frame, flaw: Flaw) -> None:
    """Two electrolytic cans and four ceramic blocks, one of which may be missing."""
    cans = len(pcb_artwork.ELECTROLYTICS)
    absent = flaw.one_of(cans + len(pcb_artwork.CERAMICS), "missing_capacitor")
    for number, (u, v) in enumerate((*pcb_artwork.ELECTROLYTICS, *pcb_artwork.CERAMICS)):
        place = _tolerance(rng, pose, u, v)
        own = np.random.default_rng(rng.integers(0, 2**32, 2).tolist())
        if number < cans:
            reach, painter = (20.5, 20.5), pcb_components.draw_can
        else:
            reach, painter = (6.0, 11.0), pcb_components.draw_ceramic
        if number == absent:
            area = canvas.area(place, max(reach))
            canvas.mark(area, box(area.u, area.v, *reach, 2) < 0)
        else:
            painter(canvas, own, place)


def _resistors(canvas: Canvas, rng: np.random.Generator, pose: Frame, flaw: Flaw) -> None:
    """Four resistors; one may have slipped off its pads."""
    moved = flaw.one_of(len(pcb_artwork.RESISTORS), "misplaced_resistor")
    for number, (u, v) in enumerate(pcb_artwork.RESISTORS):
        place = _tolerance(rng, pose, u, v)
        own = np.random.default_rng(rng.integers(0, 2**32, 2).tolist())
        if number == moved:
            _mark_block(canvas, place)
            far = flaw.rng.uniform(-7, 7), flaw.rng.uniform(4, 12)
            turn = flaw.rng.choice([-1, 1]).item() * math.radians(flaw.rng.uniform(20, 90))
            place = place.at(*far, turn)
            _mark_block(canvas, place)
        pcb_components.draw_resistor(canvas, own, place)


def _mark_block(canvas: Canvas, place: Frame) -> None:
    area = canvas.area(place, 14)
    canvas.mark(area, box(area.u, area.v, 6, 11.5, 1) < 0)


def _leds(canvas: Canvas, rng: np.random.Generator, pose: Frame, flaw: Flaw) -> None:
    """A red lamp left of a green one; the defect swaps them, or makes both the same."""
    colours = [(196, 44, 38), (66, 168, 74)]
    wrong: list[int] = []
    if flaw.name == "swapped_leds":
        kind = int(flaw.rng.integers(3))
        wrong = [[0, 1], [0], [1]][kind]
        colours = [colours[1 - n] if n in wrong else colours[n] for n in range(2)]
    for number, (u, v) in enumerate(pcb_artwork.LEDS):
        place = _tolerance(rng, pose, u, v)
        own = np.random.default_rng(rng.integers(0, 2**32, 2).tolist())
        pcb_components.draw_led(canvas, own, place, colours[number])
        if number in wrong:
            area = canvas.area(place, 12)
            canvas.mark(area, box(area.u, area.v, 7, 10, 1) < 0)


def _damage_board(canvas: Canvas, flaw: Flaw) -> None:
    """What happens to the bare board lies beneath the components."""
    rng = flaw.rng
    if flaw.name == "scratch":
        place = flaws.spot(canvas, rng, "board", inset=20)
        flaws.scratch(canvas, rng, place, ("board",), length=rng.uniform(45, 90), width=2.6,
                      strength=rng.uniform(0.75, 1.0), colour=(222, 196, 140))  # fmt: skip
    elif flaw.name == "flux_stain":
        place = flaws.spot(canvas, rng, "board", inset=12)
        flaws.stain(canvas, rng, place, ("board",), radius=rng.uniform(20, 36),
                    strength=rng.uniform(0.65, 0.95), colour=(150, 112, 40))  # fmt: skip


def _solder_balls(canvas: Canvas, rng: np.random.Generator, place: Frame) -> None:
    """Loose beads of solder, some of them bridging what should be apart."""
    for _ in range(int(rng.integers(2, 6))):
        u, v = rng.normal(0, 8, 2).tolist()
        radius = rng.uniform(3.2, 6)
        area = canvas.area(place.at(u, v), radius + 2)
        inside = canvas.on(area, "board", "chips")
        distance = np.where(inside, disc(area.u, area.v, radius), 9.0)
        base = canvas.height[area.rows, area.cols]
        canvas.fill(
            area, distance, (176, 178, 182), gloss=0.7, metal=0.6,
            height=base + bevel(np.maximum(distance, -radius), radius, radius),
        )  # fmt: skip
        canvas.mark(area, distance < 0)


PCB = Part(
    "pcb",
    DEFECTS,
    facts(
        "pcb",
        "grey",
        [
            component("board", "1", "center", colour=["green"], texture=["smooth"],
                      shape=["rectangular", "flat"]),
            component("chips", "2", "center", colour=["black"], texture=["smooth"],
                      shape=["rectangular"]),
            component("capacitors", "multiple", "left", colour=["metallic silver", "light brown"],
                      texture=["smooth"], shape=["cylindrical", "rectangular"]),
            component("resistors", "4", "top", colour=["black"], texture=["smooth"],
                      shape=["rectangular"]),
            component("leds", "2", "top right", colour=["red", "green"], texture=["smooth"],
                      shape=["rectangular"]),
            component("connector", "1", "right", colour=["white"], texture=["smooth"],
                      shape=["rectangular"], direction="vertical"),
        ],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
