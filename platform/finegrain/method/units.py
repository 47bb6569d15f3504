"""A caption's units as sentences: what is normal, and what would be abnormal.

An abnormal sentence concatenates a defect ("... with crack") or replaces an attribute's value by
one that means something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from finegrain.captions import Caption, Component
from finegrain.captions.vocabulary import (
    DIRECTIONS,
    VOCABULARY,
    alike_values,
    find_values,
    find_words,
    words_for,
)

Kind = Literal["image", "foreground", "component", "background"]
Span = tuple[int, int]  # characters, the end left out


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
    """A unit whose sentence says attributes of components, each in its own stretch.

    Longer values are looked for first, so that "metallic" is not found within "metallic silver".
    """
    found: list[Value] = []
    for component, told in zip(components, _mentions(sentence, components), strict=True):
        if told is None:
            continue
        values = sorted(component.told.items(), key=lambda pair: -len(pair[1]))
        for attribute, value in values:
            spans = [
                span
                for span in find_values(sentence, attribute, value)
                if told.holds(span) and all(_apart(span, (v.start, v.end)) for v in found)
            ]
            if spans:
                found.append(Value(attribute, value, *min(spans, key=told.distance)))
    return Unit(kind, name, sentence, tuple(sorted(found, key=_start)), caption.defects)


@dataclass(frozen=True)
class _Mention:
    """Where a sentence speaks of a component: characters of the stretch, and of its name."""

    start: int
    end: int
    name: Span

    def holds(self, span: Span) -> bool:
        return self.start <= span[0] and span[1] <= self.end

    def distance(self, span: Span) -> tuple[bool, int]:
        """From the name; what the name itself says comes last."""
        gap = max(self.name[0] - span[1], span[0] - self.name[1])
        return not _apart(span, self.name), gap


def _mentions(sentence: str, components: Sequence[Component]) -> list[_Mention | None]:
    """Each component's stretch: its own caption, or what stands between its neighbours' names.

    None where a sentence of several components does not name it: nothing there is surely its own.
    """
    if len(components) == 1:
        names = find_words(sentence, components[0].name) or [(0, 0)]
        return [_Mention(0, len(sentence), names[-1])]
    captions = [_verbatim(sentence, component) for component in components]
    named = _names(sentence, components, captions)
    found: list[_Mention | None] = []
    for own, stretch in zip(named, captions, strict=True):
        if own is None:
            found.append(None)
            continue
        others = [name for name in named if name is not None and name != own]
        before = max((name[1] for name in others if name[1] <= own[0]), default=0)
        after = min((name[0] for name in others if name[0] >= own[1]), default=len(sentence))
        found.append(_Mention(*(stretch or (before, after)), own))
    return found


def _verbatim(sentence: str, component: Component) -> Span | None:
    begin = sentence.find(component.caption)
    return None if begin < 0 else (begin, begin + len(component.caption))


def _names(
    sentence: str, components: Sequence[Component], captions: Sequence[Span | None]
) -> list[Span | None]:
    """Where each component is named, longer names first: "wire" is not that of "yellow wire"."""
    names: list[Span | None] = [None] * len(components)
    for index in sorted(range(len(components)), key=lambda i: -len(components[i].name)):
        within = captions[index] or (0, len(sentence))
        free = [
            span
            for span in find_words(sentence, components[index].name)
            if within[0] <= span[0] < within[1]
            and all(_apart(span, taken) for taken in names if taken)
        ]
        if free:
            names[index] = free[-1] if captions[index] else free[0]
    return names


def _any_values(sentence: str) -> tuple[Value, ...]:
    """Colours and textures that a sentence names, longer names first."""
    found: list[Value] = []
    for attribute in ("color", "texture"):
        for value in sorted(VOCABULARY[attribute], key=len, reverse=True):
            for span in find_values(sentence, attribute, value):
                if all(_apart(span, (other.start, other.end)) for other in found):
                    found.append(Value(attribute, value, *span))
    return tuple(sorted(found, key=_start))


def _apart(one: Span, other: Span) -> bool:
    return one[1] <= other[0] or other[1] <= one[0]


def _start(value: Value) -> int:
    return value.start


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
    alike = alike_values(value)
    known = DIRECTIONS if attribute == "direction" else VOCABULARY[attribute]
    return [other for other in known if other not in alike]
