"""An aluminium blister pack: twelve two-coloured capsules under clear domes."""

import math

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas, Colour
from finegrain.factory.frame import Frame
from finegrain.factory.ground import lay_ground
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.shapes import bevel, box, smooth, stadium
from finegrain.factory.textures import brushed, clouds, grain

DEFECTS = (
    "contamination",
    "cracked_capsule",
    "foil_scratch",
    "missing_capsule",
    "turned_capsule",
    "wrong_colour",
)
COLUMNS, ROWS, PITCH_U, PITCH_V = 4, 3, 64.0, 66.0
HALF_U, HALF_V = 133.0, 106.0
CAP: Colour = (176, 42, 40)
BODY: Colour = (226, 190, 92)
WRONG: tuple[tuple[Colour, Colour], ...] = (
    ((30, 80, 160), (40, 96, 150)),
    ((60, 60, 62), (220, 220, 212)),
    ((196, 100, 34), (226, 190, 92)),
    ((52, 122, 82), (216, 216, 206)),
)
FOIL = 3.0


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A full pack on a dark sheet."""
    lay_ground(canvas, rng, (64, 74, 84), roughness=0.06, uneven=0.03)
    pose = canvas.pose(rng, turn_deg=3, shift_px=8, zoom=0.02)
    _foil(canvas, rng, pose)
    hit = flaw.one_of(COLUMNS * ROWS, *DEFECTS)
    for number in range(COLUMNS * ROWS):
        column, row = number % COLUMNS, number // COLUMNS
        pocket = pose.at((column - (COLUMNS - 1) / 2) * PITCH_U, (row - (ROWS - 1) / 2) * PITCH_V)
        _pocket(canvas, rng, pocket, flaw if number == hit else None)
    if flaw.name == "foil_scratch":
        place = flaws.spot(canvas, flaw.rng, "foil", inset=5)
        flaws.scratch(canvas, flaw.rng, place, ("foil",), length=flaw.rng.uniform(45, 95),
                      width=flaw.rng.uniform(2, 3), strength=flaw.rng.uniform(0.6, 1),
                      colour=(70, 72, 76), depth=2.0)  # fmt: skip


def _foil(canvas: Canvas, rng: np.random.Generator, pose: Frame) -> None:
    """The sealed sheet with its diamond embossing and slight warp."""
    area = canvas.area(pose, HALF_U + 4)
    edge = box(area.u, area.v, HALF_U, HALF_V, 14)
    knurl = 0.26 * np.cos(area.u * 0.62) * np.cos(area.v * 0.62)
    warp = 0.5 * grain(rng, area, 24.0) + 0.1 * grain(rng, area, 8.0)
    tone = 1 + 0.04 * brushed(rng, area) + 0.03 * clouds(rng, area)
    canvas.fill(
        area, edge, (186, 188, 192), shade=tone, height=FOIL + knurl + warp + bevel(edge, 2, 1),
        gloss=0.3, metal=0.6, component="foil",
    )  # fmt: skip


def _pocket(canvas: Canvas, rng: np.random.Generator, frame: Frame, flaw: Flaw | None) -> None:
    """A clear dome with a capsule in it, which lies loose; `flaw` hits this one."""
    area = canvas.area(frame, 32)
    rim = stadium(area.u, area.v, 13.5, 14.5)
    tone = 1 + 0.03 * clouds(rng, area)
    canvas.fill(area, rim, (150, 153, 158), shade=tone, height=FOIL - 0.8, gloss=0.3, metal=0.35)
    canvas.tint(area, 1 - 0.22 * np.exp(-((rim / 1.5) ** 2)))
    u, v = rng.uniform(-3, 3), rng.uniform(-2, 2)
    turn = math.radians(rng.uniform(-7, 7))
    grains, colour_seed = rng.uniform(-0.05, 0.05), rng.integers(0, 2**32, 2).tolist()
    own = np.random.default_rng(colour_seed)
    name = flaw.name if flaw else None
    if name == "missing_capsule":
        canvas.mark(area, stadium(area.u, area.v, 13.0, 10.5) < 0)
    else:
        if name == "turned_capsule":
            turn += math.pi
        seat = frame.at(u, v, turn)
        colours = (CAP, BODY)
        if flaw and name == "wrong_colour":
            colours = WRONG[int(flaw.rng.integers(len(WRONG)))]
        _capsule(
            canvas, own, seat, colours, grains, mark=name in ("turned_capsule", "wrong_colour")
        )
        if flaw and name == "cracked_capsule":
            _crack(canvas, flaw.rng, seat)
    if flaw and name == "contamination":
        _dirt(canvas, flaw.rng, frame)
    dome = bevel(rim, 9.0, 6.0) + 0.12 * grain(own, area, 8.0)
    canvas.cover(area, dome * smooth(rim, 0.5, -0.5))


def _capsule(
    canvas: Canvas,
    rng: np.random.Generator,
    seat: Frame,
    colours: tuple[Colour, Colour],
    lighter: float,
    *,
    mark: bool,
) -> None:
    """Two gelatine halves, the cap on the left slightly wider than the body."""
    area = canvas.area(seat, 25)
    body = stadium(area.u, area.v, 12.0, 9.2)
    sleeve = stadium(area.u, area.v, 12.3, 9.8)
    cap = np.maximum(sleeve, area.u - 1.5)
    tone = 1 + lighter + 0.03 * grain(rng, area, 2.5)
    for distance, round_, colour, radius in (
        (body, body, colours[1], 9.2),
        (cap, sleeve, colours[0], 9.8),
    ):
        height = FOIL + bevel(round_, radius, radius * 0.9)
        canvas.fill(
            area, distance, colour, shade=tone, height=height, gloss=0.5, metal=0.0,
            component="capsules",
        )  # fmt: skip
    if mark:
        canvas.mark(area, np.minimum(body, cap) < 0)


def _crack(canvas: Canvas, rng: np.random.Generator, seat: Frame) -> None:
    """A capsule burst across, with some powder spilt."""
    place = seat.at(rng.uniform(-9, 9), 0, math.pi / 2 + rng.uniform(-0.5, 0.5))
    flaws.crack(canvas, rng, place, ("capsules",), length=rng.uniform(20, 34),
                width=rng.uniform(3.5, 5.5), colour=(50, 20, 14))  # fmt: skip
    if rng.random() < 0.5:
        spill = seat.at(rng.uniform(-8, 8), 11)
        flaws.debris(canvas, rng, spill, ("foil", "capsules"), count=9, size=2.2, spread=5,
                     colour=(236, 232, 216), rise=1.0)  # fmt: skip


def _dirt(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A hair or crumbs sealed into the pack."""
    place = frame.at(rng.uniform(-18, 18), rng.uniform(-14, 14), rng.uniform(0, 6.3))
    if rng.random() < 0.5:
        flaws.fibre(canvas, rng, place, ("foil", "capsules"), length=rng.uniform(30, 60),
                    width=2.6, colour=(36, 30, 26))  # fmt: skip
    else:
        flaws.debris(canvas, rng, place, ("foil", "capsules"), count=int(rng.integers(4, 9)),
                     size=4.2, spread=8, colour=(60, 48, 36))  # fmt: skip


BLISTER_PACK = Part(
    "blister_pack",
    DEFECTS,
    facts(
        "blister pack",
        "dark grey",
        [
            component("capsules", "multiple", "evenly distributed", colour=["red", "yellow"],
                      texture=["smooth"], shape=["oval", "rounded"], direction="horizontal"),
            component("foil", "1", "center", colour=["metallic silver"],
                      texture=["textured", "crinkled"], shape=["rectangular", "flat"]),
        ],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
