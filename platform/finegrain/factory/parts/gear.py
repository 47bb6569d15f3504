"""A steel spur gear with a brass bush and lightening holes, at any angle on a dark mat."""

import math

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas
from finegrain.factory.frame import Area, Frame, Plane
from finegrain.factory.ground import lay_ground
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.shapes import bevel, disc, ring, smooth, wheel
from finegrain.factory.textures import clouds, grain, sweep, turned

DEFECTS = ("bent_tooth", "broken_tooth", "crack", "missing_hole", "rust_stain", "scratch")
TEETH, ROOT, TIP = 22, 109.0, 130.0
HOLES, HOLE_CIRCLE, HOLE_RADIUS = 5, 68.0, 15.0
HUB, BUSH, BORE = 40.0, 30.0, 19.0
THICK = 7.0
GAP = 0.14  # radians to each side of a tooth that are its own
MAT = (46, 52, 60)
STEEL = (150, 152, 154)


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A gear with its rim, web, hub, bush and bore."""
    lay_ground(canvas, rng, MAT, roughness=0.22, uneven=0.05)
    pose = canvas.pose(rng, turn_deg=180, shift_px=8, zoom=0.035)
    area = canvas.area(pose, 136)
    radii = area.radius
    angles = np.arctan2(area.v, area.u)
    good = wheel(radii, angles, TEETH, ROOT, TIP + rng.uniform(-0.6, 0.6))
    outline = _damaged_outline(canvas, flaw, area, radii, angles, good)
    _steel(canvas, rng, area, radii, outline)
    _holes(canvas, flaw, pose)
    _bush(canvas, rng, pose)
    _damage(canvas, flaw)


def _damaged_outline(
    canvas: Canvas, flaw: Flaw, area: Area, radii: Plane, angles: Plane, good: Plane
) -> Plane:
    """The outline with one tooth bent or broken off."""
    rng = flaw.rng
    tooth = flaw.one_of(TEETH, "bent_tooth", "broken_tooth")
    if tooth is None:
        return good
    middle = (tooth * math.tau / TEETH + math.pi) % math.tau - math.pi
    apart = (angles - middle + math.pi) % math.tau - math.pi
    if flaw.name == "bent_tooth":
        distance = np.minimum(
            np.where(np.abs(apart) < GAP, radii - ROOT, good),
            _bent_tooth(rng, radii - ROOT, apart * radii),
        )
    else:
        left = ROOT + rng.uniform(-4, 6) + rng.uniform(-50, 50) * apart
        left += 1.2 * grain(rng, area, 1.2)
        distance = np.where(np.abs(apart) < GAP, np.maximum(good, radii - left), good)
    canvas.mark(area, (good < 0) != (distance < 0))
    return distance


def _bent_tooth(rng: np.random.Generator, up: Plane, across: Plane) -> Plane:
    """A tooth that leans over more and more towards its tip."""
    tall = TIP - ROOT
    lean = rng.choice([-1, 1]).item() * rng.uniform(6, 12)
    half = 11.3 - 5.2 * up / tall
    sides = np.abs(across - lean * np.clip(up / tall, 0, 1) ** 2) - half
    tooth: Plane = np.maximum(np.maximum(sides, up - tall + 0.08 * abs(lean) * up / tall), -up - 3)
    return tooth


def _steel(
    canvas: Canvas, rng: np.random.Generator, area: Area, radii: Plane, outline: Plane
) -> None:
    """Turned faces: rim and hub stand higher than the web between them."""
    lines = turned(rng, radii, 1.1)
    shine = sweep(rng, area)
    tone = 1 + 0.07 * lines + 0.2 * shine + 0.035 * clouds(rng, area)
    web = 3.0 * smooth(radii, HUB, HUB + 4) * smooth(radii, 97, 93)
    height = THICK - web + 0.1 * lines + bevel(outline, 3.0, 1.5)
    canvas.fill(
        area, outline, STEEL, shade=tone, height=height, gloss=0.35, metal=0.75, component="gear"
    )
    nearest = np.minimum(np.abs(radii - HUB - 2), np.abs(radii - 95))
    canvas.tint(area, 1 - 0.35 * smooth(nearest, 4, 0))


def _holes(canvas: Canvas, flaw: Flaw, pose: Frame) -> None:
    """The lightening holes, which show the mat; a defect leaves one undrilled."""
    absent = flaw.one_of(HOLES, "missing_hole")
    for number in range(HOLES):
        turn = (number + 0.5) * math.tau / HOLES
        place = pose.at(HOLE_CIRCLE * math.cos(turn), HOLE_CIRCLE * math.sin(turn))
        area = canvas.area(place, HOLE_RADIUS + 4)
        distance = disc(area.u, area.v, HOLE_RADIUS)
        if number == absent:
            canvas.mark(area, distance < 0)
            continue
        canvas.emboss(area, -1.2 * smooth(distance, 3, 0))
        canvas.fill(
            area, distance, MAT, height=-1.0, gloss=0.0, metal=0.0, component="lightening holes"
        )


def _bush(canvas: Canvas, rng: np.random.Generator, pose: Frame) -> None:
    """The brass bush and its bore."""
    area = canvas.area(pose, BUSH + 2)
    radii = area.radius
    distance = ring(radii, BORE, BUSH)
    tone = 1 + 0.06 * turned(rng, radii, 1.0) + 0.2 * sweep(rng, area)
    canvas.fill(
        area, distance, (190, 150, 74), shade=tone, height=THICK + 1 + bevel(distance, 2.5, 1.5),
        gloss=0.4, metal=0.7, component="bush",
    )  # fmt: skip
    canvas.fill(area, disc(area.u, area.v, BORE), (22, 22, 24), height=-2.0, gloss=0.0, metal=0.0)
    inner = disc(area.u, area.v, BORE)
    owner = canvas.owner[area.rows, area.cols]
    owner[inner < 0] = 0


def _damage(canvas: Canvas, flaw: Flaw) -> None:
    rng = flaw.rng
    if flaw.name == "scratch":
        place = flaws.spot(canvas, rng, "gear", inset=5)
        length, strength = rng.uniform(45, 90), rng.uniform(0.6, 1.0)
        flaws.scratch(canvas, rng, place, ("gear",), length=length,
                      width=rng.uniform(1.8, 2.8), strength=strength,
                      colour=(225, 225, 225))  # fmt: skip
    elif flaw.name == "rust_stain":
        place = flaws.spot(canvas, rng, "gear", inset=3)
        radius, strength = rng.uniform(12, 26), rng.uniform(0.5, 0.9)
        flaws.stain(canvas, rng, place, ("gear", "bush"), radius=radius, strength=strength,
                    colour=(146, 68, 22))  # fmt: skip
    elif flaw.name == "crack":
        place = flaws.spot(canvas, rng, "gear", inset=8)
        flaws.crack(canvas, rng, place, ("gear", "bush"), length=rng.uniform(30, 60),
                    width=rng.uniform(1.8, 3.2))  # fmt: skip


GEAR = Part(
    "gear",
    DEFECTS,
    facts(
        "gear",
        "black",
        [
            component("gear", "1", "center", colour=["metallic grey"],
                      texture=["smooth", "textured"], shape=["circular", "radial spokes"]),
            component("bush", "1", "center", colour=["yellow"], texture=["smooth"],
                      shape=["circular", "cylindrical"]),
            component("lightening holes", "multiple", "evenly distributed", colour=["black"],
                      texture=["smooth"], shape=["circular"]),
        ],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
