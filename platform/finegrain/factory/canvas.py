"""What a scene is made of before light falls on it: colour, height, gloss, metal and owners.

H, W: the image's side; h, w: an area of it. Heights are in pixels, colours linear (squared sRGB).
"""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from finegrain.factory.frame import Area, Frame, Mask, Plane, area_around

Colour = tuple[int, int, int]  # as it shows, 0..255
EDGE = 0.5  # a pixel belongs to what covers more than this share of it


def linear(colour: Colour) -> Plane:
    """The colour (3,1,1) as light adds up: display values are the square root of linear ones."""
    return (np.array(colour, dtype=np.float32).reshape(3, 1, 1) / 255) ** 2


@dataclass
class Canvas:
    """The surface, painted back to front; `shade` in light.py makes an image of it.

    Args:
        side: H and W.
        moved: (x,y) in pixels and the angle in radians by which the part lies elsewhere than its
            own jitter has it.
        albedo: (3,H,W) linear colour.
        height: (H,W) in pixels.
        gloss: (H,W) strength of highlights, 0..1.
        metal: (H,W) share of mirrored surroundings, 0..1.
        coat: (H,W) height of a clear cover, None where nothing has one.
        owner: (H,W) number of the component on top, 0 for the background.
        defect: (H,W) the anomalous pixels.
    """

    side: int
    moved: tuple[float, float, float] = (0.0, 0.0, 0.0)
    albedo: Plane = field(init=False)
    height: Plane = field(init=False)
    gloss: Plane = field(init=False)
    metal: Plane = field(init=False)
    coat: Plane | None = field(init=False, default=None)
    owner: npt.NDArray[np.uint8] = field(init=False)
    defect: Mask = field(init=False)
    components: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        shape = (self.side, self.side)
        self.albedo = np.zeros((3, *shape), dtype=np.float32)
        self.height, self.gloss, self.metal = (np.zeros(shape, np.float32) for _ in range(3))
        self.owner = np.zeros(shape, dtype=np.uint8)
        self.defect = np.zeros(shape, dtype=bool)

    def area(self, frame: Frame, reach: float | None = None) -> Area:
        """The pixels within `reach` units of the frame's origin; all of them without it.

        Of a part that is turned at will, so many that a square of that reach is whole.
        """
        if reach is None:
            reach = 4 * self.side
        elif self.moved[2]:
            reach *= math.sqrt(2)
        return area_around(frame, reach, self.side)

    def pose(
        self, rng: np.random.Generator, *, turn_deg: float, shift_px: float, zoom: float
    ) -> Frame:
        """Where the part lies: around the centre, turned by at most ±`turn_deg`, and then moved."""
        x, y = rng.uniform(-shift_px, shift_px, 2).tolist()
        angle = math.radians(rng.uniform(-turn_deg, turn_deg))
        scale = 1 + rng.uniform(-zoom, zoom)
        dx, dy, turn = self.moved
        return Frame(self.side / 2 + x + dx, self.side / 2 + y + dy, angle + turn, scale)

    def fill(
        self,
        area: Area,
        distance: Plane,
        colour: Colour | None = None,
        *,
        shade: Plane | float = 1.0,
        height: Plane | float | None = None,
        gloss: float | None = None,
        metal: float | None = None,
        component: str | None = None,
        opacity: Plane | float = 1.0,
    ) -> Plane:
        """Paint a shape given by its signed distance (h,w); returns its coverage (h,w).

        `shade` multiplies the colour; what is None stays as it was.
        """
        cover = np.clip(0.5 - distance * area.scale, 0, 1) * opacity
        at = (area.rows, area.cols)
        layers: list[tuple[Plane, Plane | float]] = []
        if colour is not None:
            tones = [float(value) * shade for value in linear(colour).flat]
            layers += zip(self.albedo, tones, strict=True)
        for plane, level in ((self.height, height), (self.gloss, gloss), (self.metal, metal)):
            if level is not None:
                layers.append((plane, level))
        for plane, level in layers:  # one channel at a time: larger temporaries cost page faults
            view = plane[at]
            view += cover * (level - view)
        if component is not None:
            self.owner[at][cover > EDGE] = self._number(component)
        return cover

    def tint(self, area: Area, factor: Plane) -> None:
        """Multiply the colour by a factor (h,w) or (3,h,w)."""
        for channel, plane in enumerate(self.albedo):
            plane[area.rows, area.cols] *= factor if factor.ndim == 2 else factor[channel]

    def emboss(self, area: Area, delta: Plane) -> None:
        """Add to the height."""
        self.height[area.rows, area.cols] += delta

    def cover(self, area: Area, height: Plane) -> None:
        """Add to the height of the clear coat."""
        if self.coat is None:
            self.coat = np.zeros((self.side, self.side), dtype=np.float32)
        self.coat[area.rows, area.cols] += height

    def mark(self, area: Area, inside: Mask) -> None:
        """Add pixels (h,w) to the defect mask."""
        self.defect[area.rows, area.cols] |= inside

    def on(self, area: Area, *components: str) -> Mask:
        """Where in the area (h,w) one of the components lies on top."""
        owner = self.owner[area.rows, area.cols]
        return np.isin(owner, [self._number(name) for name in components])

    def pick(self, rng: np.random.Generator, *components: str, inset: int = 0) -> tuple[int, int]:
        """A random pixel (x,y) of the components whose surroundings belong to them as well.

        Args:
            rng: the defect's own generator.
            components: the names.
            inset: how far, in pixels, the surroundings reach; given up after 60 tries.
        """
        wanted = np.isin(self.owner, [self._number(name) for name in components])
        places = np.flatnonzero(wanted)
        x, y = self.side // 2, self.side // 2
        for _ in range(60 if len(places) else 0):
            y, x = divmod(int(places[rng.integers(len(places))]), self.side)
            steps = (-inset, 0, inset)
            points = [(y + dy, x + dx) for dy in steps for dx in steps]
            if all(
                0 <= row < self.side and 0 <= col < self.side and wanted[row, col]
                for row, col in points
            ):
                break
        return x, y

    def masks(self) -> dict[str, Mask]:
        """The visible pixels (H,W) of each component."""
        return {name: self.owner == number for number, name in enumerate(self.components, 1)}

    def _number(self, component: str) -> int:
        if component not in self.components:
            self.components.append(component)
        return self.components.index(component) + 1
