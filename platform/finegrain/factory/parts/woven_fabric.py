"""A blue twill filling the frame: warp over two, under two, each row one thread further."""

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas, linear
from finegrain.factory.frame import Area, Mask, Plane
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.textures import clouds, grain

DEFECTS = ("cut", "hole", "lint", "misweave", "oil_stain", "wrong_thread")
PITCH = 9.0  # between threads, in pixels at scale 1
WARP, WEFT = (84, 106, 150), (150, 160, 178)
ODD = ((150, 70, 60), (40, 44, 60), (176, 150, 90))  # wrong threads
ON = ("fabric",)


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A piece of cloth, a little slanted, with uneven threads."""
    pose = canvas.pose(rng, turn_deg=7, shift_px=20, zoom=0.06)
    area = canvas.area(pose)
    wander = 1.6 * grain(rng, area, 24.0)
    u = (area.u + wander + 0.5 * grain(rng, area, 8.0)) / PITCH
    v = (area.v - wander + 0.5 * grain(rng, area, 8.0, 1)) / PITCH
    column, row = np.floor(u), np.floor(v)
    over = (column + row) % 4 < 2
    if flaw.name == "misweave":
        over = over ^ _misweave(canvas, flaw, area)
    warp, weft = linear(WARP), linear(WEFT)
    tones = 1 + 0.09 * rng.standard_normal((2, 256), dtype=np.float32)
    warp_tone = tones[0][column.astype(np.int32) % 256]
    weft_tone = tones[1][row.astype(np.int32) % 256]
    across_u, across_v = 2 * (u - column) - 1, 2 * (v - row) - 1
    height = np.where(over, _thread(across_u, across_v), _thread(across_v, across_u))
    fuzz = 1 + 0.13 * grain(rng, area, 0.7) + 0.05 * clouds(rng, area)
    canvas.height[:] = height + 0.25 * grain(rng, area, 0.8)
    canvas.gloss[:] = 0.06
    canvas.fill(area, np.full_like(height, -1.0), component="fabric")
    colour = np.where(over, warp * warp_tone, weft * weft_tone)
    if flaw.name == "wrong_thread":
        colour = _wrong_thread(canvas, flaw, area, column, row, over, colour)
    deep = 0.62 + 0.13 * height
    np.multiply(colour, fuzz * deep, out=canvas.albedo)
    _damage(canvas, flaw)


def _thread(across: Plane, along: Plane) -> Plane:
    """The height of a round thread where it lies on top: it dives at both ends."""
    result: Plane = 3.0 * np.sqrt(np.maximum(1 - across * across, 0)) * (1 - 0.4 * along * along)
    return result


def _misweave(canvas: Canvas, flaw: Flaw, area: Area) -> Mask:
    """A rectangle in which the threads cross the other way round."""
    rng = flaw.rng
    reach = canvas.side / PITCH / 2 - 7
    first_u, first_v = (round(x) for x in rng.uniform(-reach, reach - 8, 2).tolist())
    wide, tall = (int(x) for x in rng.choice([[12, 2], [2, 12], [9, 4], [5, 5], [4, 9]]))
    column, row = np.floor(area.u / PITCH), np.floor(area.v / PITCH)
    inside: Mask = (
        (column >= first_u) & (column < first_u + wide) & (row >= first_v) & (row < first_v + tall)
    )
    canvas.mark(area, inside)
    return inside


def _wrong_thread(
    canvas: Canvas,
    flaw: Flaw,
    area: Area,
    column: Plane,
    row: Plane,
    over: Mask,
    colour: Plane,
) -> Plane:
    """A length of one warp or weft thread in another colour."""
    rng = flaw.rng
    reach = canvas.side / PITCH / 2 - 5
    number = round(rng.uniform(-reach, reach))
    start = round(rng.uniform(-reach, reach - 8))
    length = int(rng.integers(12, 26))
    lengthwise = bool(rng.random() < 0.5)
    along, across = (row, column) if lengthwise else (column, row)
    thread = (across == number) & (along >= start) & (along < start + length)
    visible = thread & (over if lengthwise else ~over)
    canvas.mark(area, visible)
    wrong, share = linear(ODD[int(rng.integers(len(ODD)))]), rng.uniform(0.5, 1.0)
    return np.where(visible, colour + share * (wrong - colour), colour)


def _damage(canvas: Canvas, flaw: Flaw) -> None:
    rng = flaw.rng
    place = flaws.spot(canvas, rng, "fabric", inset=28)
    if flaw.name == "hole":
        radius = rng.uniform(9, 18)
        flaws.hole(canvas, rng, place, ON, radius=radius, ragged=0.4, colour=(26, 26, 30))
        for _ in range(3):
            u, v = rng.normal(0, radius * 0.5, 2).tolist()
            end = place.at(u, v, rng.uniform(0, 6))
            flaws.fibre(canvas, rng, end, ON, length=radius * 1.8, width=1.3,
                        colour=(130, 142, 170))  # fmt: skip
    elif flaw.name == "cut":
        flaws.crack(canvas, rng, place, ON, length=rng.uniform(34, 70), width=rng.uniform(3.0, 5.0),
                    colour=(24, 24, 28))  # fmt: skip
    elif flaw.name == "oil_stain":
        flaws.stain(canvas, rng, place, ON, radius=rng.uniform(20, 38), edge=0.1,
                    strength=rng.uniform(0.5, 0.8), colour=(70, 56, 40))  # fmt: skip
    elif flaw.name == "lint":
        pale = bool(rng.random() < 0.6)
        flaws.fibre(canvas, rng, place, ON, length=rng.uniform(45, 90), width=rng.uniform(2.0, 3.2),
                    colour=(218, 214, 204) if pale else (30, 30, 34))  # fmt: skip


WOVEN_FABRIC = Part(
    "woven_fabric",
    DEFECTS,
    facts(
        "fabric",
        "blue",
        [component("fabric", "1", "entire image", colour=["blue", "grey"],
                   texture=["woven", "textured"], shape=["flat", "rectangular"])],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
