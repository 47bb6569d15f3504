"""An amber glass bottle seen from above over a light table: shoulder, neck, lip and opening."""

import math

import numpy as np

from finegrain.factory import flaws
from finegrain.factory.canvas import Canvas
from finegrain.factory.frame import Area, Frame, Plane
from finegrain.factory.ground import lay_ground
from finegrain.factory.part import Flaw, Part, component, facts
from finegrain.factory.shapes import disc, ring, smooth
from finegrain.factory.textures import grain

DEFECTS = ("bubble", "chip", "contamination", "crack", "scratch", "smear")
BODY, OUTER, INNER = 134.0, 74.0, 50.0
LIGHT_TABLE, GLASS = (238, 240, 238), (206, 112, 34)
# What the table's light makes of the glass at each radius: thick walls are nearly black, curved
# rims gather light and glow in the colour of the glass.
RADII = (0, 18, 34, 43, 48, 50, 53, 57, 62, 67, 71, 74, 77, 82, 88, 95, 103, 112, 120, 126, 130,
         134)  # fmt: skip
TONES = (1.15, 1.05, 0.8, 0.5, 0.16, 0.1, 0.5, 1.0, 0.75, 0.4, 0.2, 0.08, 0.3, 0.62, 0.34, 0.16,
         0.1, 0.13, 0.3, 0.8, 0.4, 0.1)  # fmt: skip


def draw(canvas: Canvas, rng: np.random.Generator, flaw: Flaw) -> None:
    """A bottle at any angle: its mould seams and knurling turn with it."""
    lay_ground(canvas, rng, LIGHT_TABLE, roughness=0.02, uneven=0.012)
    pose = canvas.pose(rng, turn_deg=180, shift_px=9, zoom=0.035)
    area = canvas.area(pose, BODY + 4)
    mouth = pose.at(*rng.uniform(-2.5, 2.5, 2).tolist())  # necks are never quite centred
    radii = _blend(area, mouth, rng)
    _shoulder(canvas, rng, area, radii)
    middle = canvas.area(pose, OUTER + 5)
    _lip(canvas, rng, middle, radii[middle.within(area)])
    _damage(canvas, flaw, pose)


def _blend(area: Area, mouth: Frame, rng: np.random.Generator) -> Plane:
    """Radii measured from the body's centre outside, and from the mouth's inside."""
    du, dv = (mouth.x - area.frame.x, mouth.y - area.frame.y)
    cos, sin = math.cos(area.frame.angle), math.sin(area.frame.angle)
    du, dv = cos * du + sin * dv, cos * dv - sin * du
    plain = area.radius
    inward = smooth(plain, BODY, OUTER)
    u, v = area.u - du * inward, area.v - dv * inward
    oval = 1 + rng.uniform(-0.008, 0.008)
    return np.sqrt(u * u + (v * oval) ** 2)


def _shoulder(canvas: Canvas, rng: np.random.Generator, area: Area, radii: Plane) -> None:
    """The glass from the opening to the widest place, with seams and a ring of knurls."""
    uneven = np.array([1 + rng.uniform(-0.1, 0.1) for _ in RADII])
    table = np.interp(np.arange(0, 140, 0.25), RADII, uneven * TONES).astype(np.float32)
    tone = table[np.clip(radii * 4, 0, len(table) - 1).astype(np.int32)]
    angles = np.arctan2(area.v, area.u)
    lamp = rng.uniform(-math.pi, math.pi)
    waves = 0.22 * np.cos(angles - lamp) + 0.16 * np.cos(2 * angles + rng.uniform(0, 6))
    ripple = 0.06 * grain(rng, area, 24.0) + 0.04 * grain(rng, area, 8.0)
    tone = tone * (1 + waves * smooth(radii, 8, 48) + ripple)
    seam = np.exp(-((area.v / 1.2) ** 2)) * smooth(radii, OUTER, OUTER + 8)
    knurls = np.clip(np.cos(72 * angles), 0, 1) * np.exp(-(((radii - 120) / 2.6) ** 2))
    slope = 13 * smooth(radii, BODY + 6, 80) + 0.25 * seam + 0.9 * knurls
    slope += 0.16 * grain(rng, area, 8.0)
    body = disc(area.u, area.v, BODY)
    canvas.fill(area, body, GLASS, shade=tone, height=slope, gloss=0.85, component="shoulder")
    canvas.tint(area, 1 + (0.3 * seam + 0.7 * knurls) * (body < 0))
    _window(canvas, rng, area, radii)


def _window(canvas: Canvas, rng: np.random.Generator, area: Area, radii: Plane) -> None:
    """The lamp's window mirrored in the shoulder, a pale bow that stays as the bottle turns."""
    x = area.u * math.cos(area.frame.angle) - area.v * math.sin(area.frame.angle)
    y = area.u * math.sin(area.frame.angle) + area.v * math.cos(area.frame.angle)
    turn = np.arctan2(y, x)
    for middle, half, radius, bright in (
        (rng.uniform(-2.6, -1.9), 0.42, 101.0, 0.34),
        (rng.uniform(0.5, 1.1), 0.28, 98.0, 0.14),
    ):
        apart = np.abs((turn - middle + math.pi) % math.tau - math.pi)
        bow = smooth(apart, half + 0.15, half - 0.1) * smooth(np.abs(radii - radius), 7.5, 1.5)
        canvas.fill(area, np.full_like(radii, -1.0), (236, 240, 244), opacity=bright * bow)


def _lip(canvas: Canvas, rng: np.random.Generator, area: Area, radii: Plane) -> None:
    """The rounded lip around the opening, which catches the lamp, and the depth below."""
    lip = ring(radii, INNER, OUTER)
    across = np.clip((radii - INNER) / (OUTER - INNER), 0, 1)
    rounded = 13 + 9 * np.sqrt(np.clip(4 * across * (1 - across), 0, 1))
    canvas.fill(
        area, lip, height=rounded + 0.12 * grain(rng, area, 8.0), gloss=1.0, component="lip"
    )
    opening = radii - INNER
    depth = 10 + 2 * smooth(radii, 10, INNER)
    canvas.fill(area, opening, height=depth, gloss=0.05, component="opening")
    # The bottom shines through the opening, with the ring of its base a little off the centre.
    u, v = area.u - rng.uniform(-3, 3), area.v - rng.uniform(-3, 3)
    below = np.sqrt(u * u + v * v)
    glow = 0.5 * smooth(below, 40, 8) - 0.22 * np.exp(-(((below - 27) / 2.2) ** 2))
    canvas.tint(area, 1 + glow * (opening < 0))


def _damage(canvas: Canvas, flaw: Flaw, pose: Frame) -> None:
    rng = flaw.rng
    if flaw.name == "chip":
        turn = rng.uniform(0, math.tau)
        reach = rng.choice([INNER + 3, OUTER - 4]).item()
        place = pose.at(reach * math.cos(turn), reach * math.sin(turn), turn)
        flaws.chip(canvas, rng, place, ("lip", "shoulder", "opening"), radius=rng.uniform(8, 17),
                   colour=(210, 176, 130), height=9.0, facet=(84, 46, 20))  # fmt: skip
    elif flaw.name == "crack":
        turn = rng.uniform(0, math.tau)
        place = pose.at(66 * math.cos(turn), 66 * math.sin(turn), turn + rng.uniform(-0.5, 0.5))
        pale = bool(rng.random() < 0.5)
        flaws.crack(canvas, rng, place, ("lip", "shoulder"), length=rng.uniform(35, 70),
                    width=rng.uniform(1.8, 3.2), strength=rng.uniform(0.65, 0.95),
                    colour=(226, 196, 150) if pale else (20, 12, 8))  # fmt: skip
    elif flaw.name == "contamination":
        place = flaws.spot(canvas, rng, "opening", inset=12)
        if rng.random() < 0.5:
            flaws.fibre(canvas, rng, place, ("opening",), length=rng.uniform(40, 70), width=2.4,
                        colour=(52, 44, 40))  # fmt: skip
        else:
            flaws.debris(canvas, rng, place, ("opening",), count=int(rng.integers(4, 9)), size=4.0,
                         spread=9, colour=(196, 190, 176))  # fmt: skip
    elif flaw.name == "scratch":
        place = flaws.spot(canvas, rng, "shoulder", inset=6)
        flaws.scratch(canvas, rng, place, ("shoulder",), length=rng.uniform(45, 90), width=2.2,
                      strength=rng.uniform(0.55, 0.95), colour=(176, 140, 104))  # fmt: skip
    elif flaw.name == "bubble":
        place = flaws.spot(canvas, rng, "shoulder", "lip", inset=6)
        _bubble(canvas, rng, place)
    elif flaw.name == "smear":
        place = flaws.spot(canvas, rng, "lip", "shoulder", inset=8)
        flaws.stain(canvas, rng, place, ("lip", "shoulder"), radius=rng.uniform(18, 32),
                    strength=rng.uniform(0.6, 0.85), colour=(60, 50, 44))  # fmt: skip


def _bubble(canvas: Canvas, rng: np.random.Generator, place: Frame) -> None:
    """A seed of air in the glass: a dark outline around a bright heart."""
    radius = rng.uniform(6, 11)
    area = canvas.area(place, radius * 2)
    distance = disc(area.u, area.v * rng.uniform(1.0, 1.5), radius)
    inside = canvas.on(area, "shoulder", "lip")
    outline = 0.6 * np.exp(-((distance / 1.1) ** 2)) * inside
    heart = rng.uniform(0.4, 0.8) * smooth(distance, -0.2 * radius, -radius)
    canvas.tint(area, 1 - outline)
    canvas.fill(area, np.where(inside, distance, 9.0), (220, 180, 130), opacity=heart)
    canvas.mark(area, (distance < 1) & inside)


BOTTLE_MOUTH = Part(
    "bottle_mouth",
    DEFECTS,
    facts(
        "bottle",
        "pure white",
        [
            component("shoulder", "1", "center", colour=["brown"], texture=["smooth"],
                      shape=["circular"]),
            component("lip", "1", "center", colour=["light brown"], texture=["smooth"],
                      shape=["circular", "rounded"]),
            component("opening", "1", "center", colour=["light orange"], texture=["smooth"],
                      shape=["circular"]),
        ],
        DEFECTS,
    ),
    draw,
)  # fmt: skip
