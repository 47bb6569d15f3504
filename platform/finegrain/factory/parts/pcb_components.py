"""The components of the circuit board, each painted around its own frame."""

import math

import numpy as np

from finegrain.factory.canvas import Canvas, Colour
from finegrain.factory.frame import Area, Frame, Plane
from finegrain.factory.shapes import bevel, box, disc, repeat
from finegrain.factory.textures import clouds, grain

BOARD = 4.0
TIN: Colour = (188, 190, 192)


def draw_quad_chip(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A square chip with ten gull-wing pins a side, lettering and a pin-1 dimple."""
    area = canvas.area(frame, 37)
    for across, along in ((area.u, area.v), (area.v, area.u)):
        pin = box(np.abs(across) - 30, repeat(along, 5.2, 10), 5.5, 1.4, 0.5)
        canvas.fill(
            area, pin, TIN, height=BOARD + 2 - 0.25 * np.abs(np.abs(across) - 26), gloss=0.5,
            metal=0.5, component="chips",
        )  # fmt: skip
    body = box(area.u, area.v, 27.5, 27.5, 1.5)
    _plastic(canvas, rng, area, body, 7.0)
    dimple = disc(area.u + 20, area.v + 20, 3.0)
    canvas.fill(area, dimple, (30, 31, 33), height=BOARD + 6.2)
    for v, half in ((-6.0, 17.0), (1.5, 12.0), (9.0, 15.0)):
        _lettering(canvas, area, area.u, area.v - v, half)


def draw_small_chip(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A chip with six pins on each long side."""
    area = canvas.area(frame, 27)
    pin = box(repeat(area.u, 7.4, 6), np.abs(area.v) - 13, 1.6, 4.5, 0.5)
    canvas.fill(area, pin, TIN, height=BOARD + 2, gloss=0.5, metal=0.5, component="chips")
    _plastic(canvas, rng, area, box(area.u, area.v, 23, 11, 1.2), 6.0)
    _lettering(canvas, area, area.u, area.v, 14)
    canvas.fill(area, disc(area.u + 18, area.v - 5, 2.0), (28, 29, 30), height=BOARD + 5)


def _plastic(
    canvas: Canvas, rng: np.random.Generator, area: Area, body: Plane, rise: float
) -> None:
    tone = 1 + 0.07 * grain(rng, area, 0.8) + 0.04 * clouds(rng, area)
    height = BOARD + rise - 2 + bevel(body, 2.5, 2) + 0.05 * grain(rng, area, 0.8)
    canvas.fill(
        area, body, (50, 51, 54), shade=tone, height=height, gloss=0.13, metal=0.0,
        component="chips",
    )  # fmt: skip


def _lettering(canvas: Canvas, area: Area, u: Plane, v: Plane, half: float) -> None:
    """A line of laser-marked type, too small to read, the same on every board."""
    strokes_at = np.random.default_rng(round(10 * half)).random((2, 64), dtype=np.float32)
    line = box(u, v, half, 2.2)
    cell = np.floor((u + half) / 1.3).astype(np.int32) + 2
    strokes = strokes_at[0][cell % 64] > 0.42
    level = np.floor((v + 2.2) / 1.5).astype(np.int32)
    gaps = strokes_at[1][(cell * 3 + level) % 64] > 0.3
    canvas.fill(area, line, (150, 152, 150), opacity=0.55 * (strokes & gaps))


def draw_connector(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A white shrouded header with eight gold pins."""
    area = canvas.area(frame, 54)
    shell = box(area.u, area.v, 14.5, 51, 1.5)
    tone = 1 + 0.02 * clouds(rng, area)
    canvas.fill(
        area, shell, (226, 224, 212), shade=tone, height=BOARD + 8 + bevel(shell, 1.5, 1.5),
        gloss=0.2, component="connector",
    )  # fmt: skip
    well = box(area.u + 1, area.v, 9.5, 47, 1)
    canvas.fill(area, well, (186, 183, 170), shade=tone, height=BOARD + 3)
    notch = box(area.u - 11, area.v, 3, 9)
    canvas.fill(area, notch, (180, 177, 164), height=BOARD + 3)
    pin = box(area.u + 1, repeat(area.v, 11.4, 8), 2.6, 2.6, 0.6)
    canvas.fill(
        area, pin, (214, 176, 88), height=BOARD + 6 + bevel(pin, 2, 2), gloss=0.6, metal=0.5
    )


def draw_can(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """An electrolytic capacitor: an aluminium can with a black sector, on a black base."""
    area = canvas.area(frame, 24)
    u, v = area.u, area.v
    base = np.maximum(box(u, v, 20, 20, 2), (np.abs(v) - u) * math.sqrt(0.5) - 22)
    canvas.fill(
        area, base, (44, 45, 48), height=BOARD + 2 + bevel(base, 2, 1), gloss=0.15,
        component="capacitors",
    )  # fmt: skip
    can = disc(u, v, 18.2)
    tone = 1 + 0.03 * grain(rng, area, 2.5) + 0.04 * clouds(rng, area)
    height = BOARD + 9 + bevel(can, 4, 3) + rng.uniform(-0.03, 0.03) * u
    canvas.fill(
        area, can, (190, 192, 194), shade=tone, height=height, gloss=0.4, metal=0.55,
        component="capacitors",
    )  # fmt: skip
    sector = np.maximum(disc(u, v, 15), u + 7)
    canvas.fill(area, sector, (40, 41, 46), gloss=0.1, metal=0.0)
    for v0 in (-4.5, 2.5):
        _lettering(canvas, area, u - 4, v - v0, 7)


def draw_ceramic(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A tan ceramic capacitor with tinned ends."""
    tan = (176 + round(rng.uniform(-8, 8)), 142, 104)
    _block(canvas, rng, frame, tan, "capacitors", rise=5.0)


def draw_resistor(canvas: Canvas, rng: np.random.Generator, frame: Frame) -> None:
    """A flat black resistor with its printed value and tinned ends."""
    area = _block(canvas, rng, frame, (38, 38, 40), "resistors", rise=3.0)
    _lettering(canvas, area, area.v, area.u, 4.5)


def _block(
    canvas: Canvas,
    rng: np.random.Generator,
    frame: Frame,
    colour: Colour,
    component: str,
    *,
    rise: float,
) -> Area:
    """A chip component standing along v: solder fillets, ends and body."""
    area = canvas.area(frame, 15)
    u, v = area.u, area.v
    fillet = box(u, np.abs(v) - 10.5, 5.5, 3, 1.5)
    slope = BOARD + np.clip(14.0 - np.abs(v), 0, 4) * (rise / 5)
    canvas.fill(
        area, fillet, (178, 180, 184), height=slope, gloss=0.6, metal=0.5, component=component
    )
    body = box(u, v, 5.5, 10.5, 0.8)
    tone = 1 + 0.04 * grain(rng, area, 0.8)
    height = BOARD + rise - 1 + bevel(body, 1.5, 1)
    canvas.fill(
        area, body, colour, shade=tone, height=height, gloss=0.25, metal=0.0, component=component
    )
    ends = np.maximum(body, 7.2 - np.abs(v))
    canvas.fill(area, ends, (198, 200, 202), gloss=0.5, metal=0.45)
    return area


def draw_led(canvas: Canvas, rng: np.random.Generator, frame: Frame, colour: Colour) -> None:
    """A lamp: a white frame around a coloured lens."""
    area = canvas.area(frame, 13)
    u, v = area.u, area.v
    frame_ = box(u, v, 6.5, 10, 0.8)
    canvas.fill(
        area, frame_, (222, 222, 214), height=BOARD + 3 + bevel(frame_, 1, 1), gloss=0.2,
        component="leds",
    )  # fmt: skip
    lens = box(u, v, 5.0, 6.2, 2.5)
    tone = 1 + 0.06 * grain(rng, area, 2.5)
    canvas.fill(area, lens, colour, shade=tone, height=BOARD + 3 + bevel(lens, 4.5, 3), gloss=0.7)
