"""What parts lie on: a mat, a sheet or a light table, each with its own grain."""

import numpy as np

from finegrain.factory.canvas import Canvas, Colour, linear
from finegrain.factory.frame import Frame
from finegrain.factory.textures import clouds, grain


def lay_ground(
    canvas: Canvas,
    rng: np.random.Generator,
    colour: Colour,
    *,
    roughness: float,
    uneven: float,
    gloss: float = 0.03,
) -> None:
    """Cover the whole canvas with a slightly uneven sheet; `roughness` is its relief in pixels."""
    area = canvas.area(Frame(canvas.side / 2, canvas.side / 2))
    tone = 1 + uneven * clouds(rng, area)
    np.multiply(linear(colour), tone, out=canvas.albedo)
    np.multiply(grain(rng, area, 0.8), roughness, out=canvas.height)
    canvas.gloss[:] = gloss
