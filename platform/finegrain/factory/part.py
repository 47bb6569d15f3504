"""The types of the factory: a part that can be drawn, its flaw in one scene, and the scene."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from finegrain.factory.canvas import Canvas
from finegrain.factory.frame import Mask

Facts = dict[str, Any]


@dataclass(frozen=True)
class Flaw:
    """What is wrong with one individual part: a defect's name, None for a good part.

    Its generator is the defect's own, so that the rest of the scene is that of the good part.
    """

    name: str | None
    rng: np.random.Generator

    def one_of(self, count: int, *names: str) -> int | None:
        """Which of `count` equal things the flaw hits; None where it has none of the names.

        Args:
            count: how many there are.
            names: the defects that this hits.
        """
        return int(self.rng.integers(count)) if self.name in names else None


@dataclass(frozen=True)
class Part:
    """A category: how to draw it, what can be wrong with it, and what its caption says.

    Args:
        name: of the category.
        defects: the names of its defect types.
        facts: foreground, background, components and defects, as in the MFSC facts.
        draw: paints an individual, drawn from the generator, with a flaw.
    """

    name: str
    defects: tuple[str, ...]
    facts: Facts
    draw: Callable[[Canvas, np.random.Generator, Flaw], None]


@dataclass(frozen=True)
class Rendering:
    """A picture and the truth about it.

    Args:
        image: (H,W,3) RGB.
        mask: (H,W) the anomalous pixels, none in a good scene.
        components: the visible pixels (H,W) of each component.
    """

    image: npt.NDArray[np.uint8]
    mask: Mask
    components: dict[str, Mask]


def component(
    name: str,
    number: str,
    location: str,
    *,
    colour: Sequence[str],
    texture: Sequence[str],
    shape: Sequence[str],
    direction: str | None = None,
) -> Facts:
    """The facts of one component."""
    return {
        "name": name,
        "number": number,
        "location": location,
        "direction": direction,
        "color": list(colour),
        "texture": list(texture),
        "shape": list(shape),
    }


def facts(
    foreground: str, background: str, components: Sequence[Facts], defects: Sequence[str]
) -> Facts:
    """The facts of a category; `defects` are the folder names, which become words."""
    return {
        "foreground": foreground,
        "background": background,
        "components": list(components),
        "defects": [name.replace("_", " ") for name in defects],
    }
