"""The printed layers of the circuit board: copper, silkscreen and pads, drawn once.

Coordinates are the board's units with the origin at its centre.
"""

from functools import lru_cache

from PIL import Image, ImageDraw

HALF_U, HALF_V = 132.0, 110.0
RESOLUTION = 1.5  # pixels of the drawing per unit
OVERSAMPLE = 3
Point = tuple[float, float]

CONNECTOR = (106.0, 18.0)
CHIP = (2.0, 6.0)
AMPLIFIER = (-78.0, 62.0)
ELECTROLYTICS: tuple[Point, ...] = ((-88.0, -58.0), (-88.0, -6.0))
RESISTORS: tuple[Point, ...] = ((-46.0, -78.0), (-22.0, -78.0), (2.0, -78.0), (26.0, -78.0))
CERAMICS: tuple[Point, ...] = ((-30.0, 80.0), (-4.0, 80.0), (22.0, 80.0), (48.0, 80.0))
LEDS: tuple[Point, ...] = ((62.0, -78.0), (88.0, -78.0))
HOLES: tuple[Point, ...] = ((-118.0, -96.0), (118.0, -96.0), (-118.0, 96.0), (118.0, 96.0))


class _Pen:
    """Draws in board units on one channel of the artwork."""

    def __init__(self) -> None:
        side = round(2 * (HALF_U + 4) * RESOLUTION * OVERSAMPLE)
        self.image = Image.new("L", (side, side))
        self._draw = ImageDraw.Draw(self.image)

    def _at(self, point: Point) -> Point:
        k, middle = RESOLUTION * OVERSAMPLE, self.image.width / 2
        return middle + point[0] * k, middle + point[1] * k

    def line(self, *points: Point, width: float = 1.8) -> None:
        pixels = round(width * RESOLUTION * OVERSAMPLE)
        self._draw.line([self._at(p) for p in points], fill=255, width=pixels, joint="curve")

    def dot(self, centre: Point, radius: float, fill: int = 255) -> None:
        (x, y), r = self._at(centre), radius * RESOLUTION * OVERSAMPLE
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def box(self, centre: Point, half_u: float, half_v: float, width: float = 0.0) -> None:
        u, v = centre
        corners = (*self._at((u - half_u, v - half_v)), *self._at((u + half_u, v + half_v)))
        if width:
            self._draw.rectangle(corners, outline=255, width=round(width * RESOLUTION * OVERSAMPLE))
        else:
            self._draw.rectangle(corners, fill=255)

    def text(self, corner: Point, words: str, size: float) -> None:
        from PIL import ImageFont

        font = ImageFont.load_default(size * RESOLUTION * OVERSAMPLE)
        self._draw.text(self._at(corner), words, fill=255, font=font)

    def done(self) -> Image.Image:
        return self.image.reduce(OVERSAMPLE)


@lru_cache(maxsize=1)
def board_artwork() -> Image.Image:
    """Copper under the mask, white print and bare pads as the channels of one drawing."""
    return Image.merge("RGB", (_copper(), _silkscreen(), _pads()))


def _copper() -> Image.Image:
    pen = _Pen()
    u0, v0 = CHIP
    for n in range(10):
        step = (n - 4.5) * 5.2
        pen.line((u0 + 34, v0 + step), (u0 + 52 + step / 3, v0 + step), (86, 18 + step * 1.5 + 2),
                 (CONNECTOR[0], 18 + step * 1.5), width=1.7)  # fmt: skip
        rise = v0 - 42 - 2.4 * abs(n - 4.5)
        goal = -46 + 24 * (n // 2.5)
        bend = (goal, -58 - n % 2 * 3)
        pen.line((u0 + step, v0 - 34), (u0 + step, rise), bend, (goal, -70), width=1.6)
        fall = v0 + 46 + 2.2 * abs(n - 4.5)
        pen.line((u0 + step, v0 + 34), (u0 + step, fall), (-34 + 9 * n, 70), width=1.6)
    for n in range(5):
        v = v0 - 20 + 8 * n
        pen.line((u0 - 34, v), (-46 - 4 * n, v), (-60 - 3 * n, v + 14), (-60 - 3 * n, 30 + 3 * n),
                 (-96 + 12 * n, 46), width=1.6)  # fmt: skip
    pen.line((-88, -72), (-88, -96), (40, -96), (62, -88), width=4)
    pen.line((-88, -36), (-64, -36), (-56, -66), width=3.2)
    pen.line((-112, -60), (-112, 80), (-100, 92), (60, 98), (100, 84), width=4)
    pen.line((72, 46), (72, 70), (60, 80), width=2.2)
    for via in _vias():
        pen.dot(via, 3.4)
    return pen.done()


def _vias() -> tuple[Point, ...]:
    row = tuple((-50.0 + 3.0 * n, -40.0 + 17.0 * n) for n in range(5))
    return (*row, (48, -46), (60, -40), (72, -50), (58, 54), (84, 62), (-20, 56), (34, 58),
            (-60, -20), (-112, 20), (-112, -20), (90, -44), (-104, 34))  # fmt: skip


def _silkscreen() -> Image.Image:
    pen = _Pen()
    pen.box(CHIP, 29, 29, 1.0)
    pen.dot((CHIP[0] - 34, CHIP[1] - 34), 1.8)
    pen.box(AMPLIFIER, 27, 15, 1.0)
    pen.box(CONNECTOR, 17, 54, 1.1)
    for n, (u, v) in enumerate(ELECTROLYTICS):
        pen.text((u + 25, v + 12), f"C{n + 1}", 9)
        pen.box((u, v), 23, 23, 1.0)
    for n, (u, v) in enumerate(RESISTORS):
        pen.box((u, v), 8, 14, 0.9)
        pen.text((u - 6, v - 26), f"R{n + 1}", 9)
    for n, (u, v) in enumerate(CERAMICS):
        pen.box((u, v), 8, 13, 0.9)
        pen.text((u - 6, v - 25), f"C{n + 5}", 9)
    for n, (u, v) in enumerate(LEDS):
        pen.box((u, v), 9.5, 13, 0.9)
        pen.text((u - 5, v + 14), f"D{n + 1}", 9)
    pen.text((-46, -44), "FG-320", 12)
    pen.text((56, 88), "REV C", 9)
    return pen.done()


def _pads() -> Image.Image:
    pen = _Pen()
    for via in _vias():
        pen.dot(via, 2.6)
        pen.dot(via, 1.1, fill=0)
    for u, v in (*RESISTORS, *CERAMICS):
        pen.box((u, v - 9), 5.5, 3.6)
        pen.box((u, v + 9), 5.5, 3.6)
    for u, v in LEDS:
        pen.box((u, v - 9), 5.5, 3.2)
        pen.box((u, v + 9), 5.5, 3.2)
    for u, v in ELECTROLYTICS:
        pen.box((u - 20, v), 4, 3)
        pen.box((u + 20, v), 4, 3)
    for u, v in HOLES:
        pen.dot((u, v), 9.5)
    return pen.done()
