"""Sentences of a caption's units, and what would contradict them."""

from collections import Counter

import numpy as np
import pytest

from finegrain.captions import Caption, CaptionStore, find_caption
from finegrain.captions.vocabulary import VOCABULARY, base_values
from finegrain.method.units import abnormal_sentences, caption_units, contrary_values
from tests.conftest import PLATE

CAPTION = Caption.model_validate(PLATE)
LIBRARY = list(CaptionStore(None))


def test_units_are_image_foreground_components_background():
    units = caption_units(CAPTION)
    kinds = ["image", "foreground", "component", "component", "background"]
    assert [unit.kind for unit in units] == kinds
    assert units[2].sentence == CAPTION.components[0].caption
    assert units[4].sentence == "white background"
    assert [unit.kind for unit in caption_units(CAPTION, multi_level=False)] == ["image"]
    without = caption_units(CAPTION.model_copy(update={"background": None}))
    assert [unit.kind for unit in without] == kinds[:4]


@pytest.mark.parametrize("key", ["factory/pcb", "mvtec/transistor", "visa/candle"])
def test_values_stand_where_they_are_said(key):
    for unit in caption_units(find_caption(*key.split("/"))):
        ends = [0]
        for value in unit.values:
            said = unit.sentence[value.start : value.end]
            assert said == value.value or value.attribute == "number"
            assert value.start >= ends[-1]
            ends.append(value.end)


def test_every_component_is_told_in_the_summary():
    image = caption_units(CAPTION)[0]
    attributes = ["number", "color", "texture", "shape", "location"]
    assert [value.attribute for value in image.values[:5]] == attributes
    assert [value.value for value in image.values].count("grey") == 1
    assert "black" in [value.value for value in image.values]


def test_a_replacement_changes_one_value_into_a_contrary_one():
    unit = caption_units(CAPTION)[3]  # the bore
    sentences = abnormal_sentences(unit, np.random.default_rng(0))
    assert sentences[:2] == [f"{unit.sentence} with hole", f"{unit.sentence} with scratch"]
    assert len(sentences) == 2 + 5
    by_start = sorted(unit.values, key=lambda value: value.start)
    changed = set()
    for sentence in sentences[2:]:
        for value in by_start:
            before, after = unit.sentence[: value.start], unit.sentence[value.end :]
            if sentence.startswith(before) and sentence.endswith(after):
                other = sentence[len(before) : len(sentence) - len(after)]
                if other != unit.sentence[value.start : value.end]:
                    changed.add(value.attribute)
        assert sentence != unit.sentence
    assert changed == set(VOCABULARY)


def told_of(unit, attributes=None):
    """How often the unit's sentence tells each attribute's value."""
    return Counter(
        (v.attribute, v.value)
        for v in unit.values
        if attributes is None or v.attribute in attributes
    )


@pytest.mark.parametrize("caption", LIBRARY, ids=lambda caption: caption.key)
def test_every_attribute_of_every_component_is_replaced(caption):
    """In its own unit and in the summary all of them, in the relation number and place."""
    units = caption_units(caption)
    image, foreground = units[:2]
    of_components = [unit for unit in units if unit.kind == "component"]
    for unit, component in zip(of_components, caption.components, strict=True):
        assert told_of(unit) == Counter(component.told.items())
        kinds = len(component.told) + len(unit.defects)
        sentences = abnormal_sentences(unit, np.random.default_rng(0))
        assert len(set(sentences) - {unit.sentence}) == kinds
    every = Counter(pair for c in caption.components for pair in c.told.items())
    assert told_of(image) == every
    places = Counter({k: n for k, n in every.items() if k[0] in ("number", "location")})
    assert told_of(foreground, ("number", "location")) == places


def test_what_a_summary_does_not_say_of_a_component_is_not_taken_from_another():
    plain = CAPTION.model_copy(update={"summary": "a plate of grey stripes with a black bore"})
    image = caption_units(plain)[0]
    assert [(v.value, v.start) for v in image.values] == [("grey", 11), ("black", 31)]
    other = CAPTION.model_copy(update={"summary": "a black plate with something grey"})
    assert caption_units(other)[0].values == ()


@pytest.mark.parametrize(
    ("attribute", "value", "kept_out"),
    [
        ("color", "metallic silver", {"grey", "silver", "metallic grey"}),
        ("color", "red and yellow", {"red", "yellow", "orange"}),
        ("shape", "circular", {"rounded", "oval"}),
        ("location", "center", {"entire image"}),
    ],
)
def test_what_means_the_same_is_no_contrary(attribute, value, kept_out):
    others = set(contrary_values(attribute, value))
    assert others
    assert not others & (kept_out | set(base_values(value)))
