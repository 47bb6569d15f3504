import numpy as np

from finegrain.pretraining.captions import component_caption, scene_caption, swapped
from finegrain.pretraining.claims import VISIBLE, Claim
from finegrain.pretraining.drafting import draft_scene
from finegrain.pretraining.facts import ScenePart
from finegrain.pretraining.states import part_pair
from finegrain.pretraining.vocabulary import (
    COLOR_WORDS,
    LOCATION_WORDS,
    NUMBER_WORDS,
    SHAPE_WORDS,
    TEXTURE_WORDS,
)

RED = ScenePart("red", "", "circular", "smooth", "2", "top left")
WORDS = {
    "color": COLOR_WORDS,
    "shape": SHAPE_WORDS,
    "texture": TEXTURE_WORDS,
    "number": NUMBER_WORDS,
    "location": LOCATION_WORDS,
}


def test_short_captions_are_true_of_every_part_that_fits() -> None:
    other = ScenePart("red", "", "square", "rough", "1", "center")
    red, red_circle = Claim((("color", "red"),)), Claim((("color", "red"), ("shape", "circular")))
    assert red.of_part(RED)
    assert red.of_part(other)
    assert not red_circle.of_part(other)
    placed = Claim((("color", "red"), ("location", "top left")))
    assert not placed.of_part(other)
    assert placed.of_part(other, VISIBLE)  # a region does not show its place


def test_captions_say_what_they_claim_and_no_more() -> None:
    for seed in range(300):
        statement = component_caption(RED, np.random.default_rng(seed))
        told = dict(statement.claims[0].values)
        assert told
        assert set(told) & {"color", "texture", "shape"}
        for name, words in WORDS.items():
            spoken = any(f" {word}" in f" {statement.text} " for word in words[getattr(RED, name)])
            if name in told:
                assert spoken, (statement.text, name)
        assert "  " not in statement.text


def test_scene_captions_are_true_and_swapped_ones_false() -> None:
    false = 0
    for seed in range(400):
        facts = draft_scene(np.random.default_rng(seed)).facts
        statement = scene_caption(facts, np.random.default_rng(seed))
        assert statement.of_scene(facts)
        wrong = swapped(statement, facts, seed)
        assert wrong is not None
        assert wrong.text != statement.text
        assert len(wrong.claims) == len(statement.claims)
        false += not wrong.of_scene(facts)
    assert false >= 390  # a swap may describe another part of the scene


def test_hard_negatives_change_one_value_only() -> None:
    for seed in range(100):
        facts = draft_scene(np.random.default_rng(seed)).facts
        statement = scene_caption(facts, np.random.default_rng(seed))
        wrong = swapped(statement, facts, seed)
        assert wrong is not None
        values = [{v for c in s.claims for v in c.values} for s in (statement, wrong)]
        assert len({name for name, _ in values[0] ^ values[1]} - {"shade"}) <= 1


def test_defect_pairs_differ_in_condition_only() -> None:
    sound, faulty = part_pair(RED, "crack", np.random.default_rng(3))
    assert sound != faulty
    assert set(sound.split()) - {"without", "defect", "flaw", "damage"} <= set(faulty.split())
