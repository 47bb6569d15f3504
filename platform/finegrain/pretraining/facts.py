"""What is true of a scene: plain values, from which captions and tests are made.

`ScenePart` is one kind of component with all its instances; a scene has at most `MAX_PARTS`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from finegrain.pretraining.vocabulary import (
    COLORS,
    DEFECT_WORDS,
    LOCATION_WORDS,
    MATERIAL_WORDS,
    NUMBER_WORDS,
    SHAPE_WORDS,
    TEXTURE_WORDS,
)

MAX_PARTS = 4


@dataclass(frozen=True)
class ScenePart:
    """One kind of component: its attributes, and the defects that its instances show."""

    color: str
    shade: str  # "", "light" or "dark"
    shape: str
    texture: str
    number: str
    location: str
    defects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("color", self.color, COLORS)
        _check("shade", self.shade, ("", "light", "dark"))
        _check("shape", self.shape, SHAPE_WORDS)
        _check("texture", self.texture, TEXTURE_WORDS)
        _check("number", self.number, NUMBER_WORDS)
        _check("location", self.location, LOCATION_WORDS)
        for defect in self.defects:
            _check("defect", defect, DEFECT_WORDS)


@dataclass(frozen=True)
class Facts:
    """A scene in words; without parts it shows a single surface from edge to edge."""

    parts: tuple[ScenePart, ...]
    background: str  # its colour
    material: str
    surface_defects: tuple[str, ...] = ()  # on the background material itself

    def __post_init__(self) -> None:
        _check("background", self.background, COLORS)
        _check("material", self.material, MATERIAL_WORDS)
        if len(self.parts) > MAX_PARTS:
            raise ValueError(f"a scene has at most {MAX_PARTS} parts; got {len(self.parts)}")

    @property
    def defects(self) -> tuple[str, ...]:
        """Every kind of defect in the scene, without repeats."""
        found = [*self.surface_defects, *(d for part in self.parts for d in part.defects)]
        return tuple(dict.fromkeys(found))


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """Plain values that `facts_from_json` turns back."""
    return asdict(facts)


def facts_from_json(stored: dict[str, Any]) -> Facts:
    """The facts behind `facts_to_json`; ValueError where a value is not in its list."""
    parts = tuple(
        ScenePart(**{**part, "defects": tuple(part["defects"])}) for part in stored["parts"]
    )
    return Facts(parts, stored["background"], stored["material"], tuple(stored["surface_defects"]))


def _check(field: str, value: str, known: Any) -> None:
    if value not in known:
        raise ValueError(f"no {field} {value!r}; known: {', '.join(known)}")
