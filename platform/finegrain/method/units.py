"""A caption's units as sentences: what is normal, and what would be abnormal.

An abnormal sentence concatenates a defect ("... with crack") or replaces an attribute's value by
one that means something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from finegrain.captions import Caption, Component
from finegrain.captions.vocabulary import VOCABULARY, base_values, find_value, words_for

Kind = Literal["image", "foreground", "component", "background"]
ALIKE: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            {"gray", "grey", "silver", "metallic grey", "metallic silver", "dark grey"},
            {"brown", "dark brown", "light brown", "various browns", "copper"},
            {"beige", "light beige"},
            {"orange", "light orange", "gold", "yellow"},
            {"red", "red specks"},
            {"rough", "granular", "textured", "woven", "knitted", "crinkled"},
            {"smooth", "glossy", "metallic", "matte", "transparent"},
            {"bristled", "fuzzy"},
            {"circular", "rounded", "oval", "ring-shaped", "spherical", "radial spokes"},
            {"rectangular", "square", "straight", "elongated", "flat", "cylindrical", "tubular"},
            {"conical", "conical head"},
            {"center", "evenly distributed", "entire image", "throughout", "scattered"},
            {"corners", "both sides"},
            {"right", "right center"},
            {"left", "left center"},
            {"top", "top center"},
            {"bottom", "bottom center"},
        ),
    )
)
"""Values that the same thing may bear; none of them stands for an anomaly of another."""


@dataclass(frozen=True)
class Value:
    """An attribute's value where a sentence says it: characters start to end."""

    attribute: str
    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Unit:
    """One sentence of the caption, with what could be wrong about it."""

    kind: Kind
    name: str
    sentence: str
    values: tuple[Value, ...]  # in the order of the sentence, never overlapping
    defects: tuple[str, ...]

    def replaced(self, value: Value, other: str) -> str:
        """The sentence with another value at one place."""
        return self.sentence[: value.start] + other + self.sentence[value.end :]


def caption_units(caption: Caption, *, multi_level: bool = True) -> tuple[Unit, ...]:
    """Image, foreground, the components, background (where there is one); or image alone."""
    image = _described("image", caption.foreground, caption.summary, caption.components, caption)
    if not multi_level:
        return (image,)
    relation = caption.logical_relation
    units = [
        image,
        _described("foreground", caption.foreground, relation, caption.components, caption),
        *(_described("component", c.name, c.caption, (c,), caption) for c in caption.components),
    ]
    if caption.background:
        sentence = f"{caption.background} background"
        units.append(
            Unit("background", "background", sentence, _any_values(sentence), caption.defects)
        )
    return tuple(units)


def _described(
    kind: Kind, name: str, sentence: str, components: Sequence[Component], caption: Caption
) -> Unit:
    """A unit whose sentence says attributes of components."""
    found: list[Value] = []
    for component in components:
        offset = max(sentence.find(component.caption), 0)  # a template repeats it word for word
        for attribute, value in component.attributes.items():
            span = find_value(sentence[offset:], attribute, value)
            if span:
                found.append(Value(attribute, value, span[0] + offset, span[1] + offset))
    return Unit(kind, name, sentence, _apart(found), caption.defects)


def _any_values(sentence: str) -> tuple[Value, ...]:
    """Colours and textures that a sentence names, longer names first."""
    found = [
        Value(attribute, value, *span)
        for attribute in ("color", "texture")
        for value in sorted(VOCABULARY[attribute], key=len, reverse=True)
        if (span := find_value(sentence, attribute, value))
    ]
    return _apart(found)


def _apart(values: Sequence[Value]) -> tuple[Value, ...]:
    """In the order of the sentence, without those that overlap one found before."""
    kept: list[Value] = []
    for value in values:
        if all(value.end <= other.start or other.end <= value.start for other in kept):
            kept.append(value)
    return tuple(sorted(kept, key=lambda value: value.start))


def abnormal_sentences(unit: Unit, rng: np.random.Generator) -> list[str]:
    """Each defect concatenated, then one replacement for each attribute that the unit tells."""
    sentences = [f"{unit.sentence} with {defect}" for defect in unit.defects]
    by_attribute: dict[str, list[Value]] = {}
    for value in unit.values:
        by_attribute.setdefault(value.attribute, []).append(value)
    for attribute, values in by_attribute.items():
        value = values[int(rng.integers(len(values)))]
        others = contrary_values(attribute, value.value)
        other = others[int(rng.integers(len(others)))]
        sentences.append(unit.replaced(value, words_for(attribute, other)[0]))
    return sentences


def contrary_values(attribute: str, value: str) -> list[str]:
    """The values of the closed list that contradict this one."""
    own = set(base_values(value))
    alike = own.union(*(group for group in ALIKE if group & own))
    return [other for other in VOCABULARY[attribute] if other not in alike]
