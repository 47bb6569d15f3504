"""Captions from photos: colours, shapes and places that are known, and what is left out."""

from itertools import combinations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from finegrain.backbones import PatchTokens
from finegrain.captions import Provenance, caption_from_facts
from finegrain.captions.from_photos import answers, caption_from_photos, measures
from finegrain.captions.from_photos.answers import Answers
from finegrain.captions.from_photos.lab import color_name, to_lab
from finegrain.captions.from_photos.regions import SIDE, find_regions
from finegrain.captions.store import read_caption, write_caption
from finegrain.captions.vocabulary import VOCABULARY, find_value
from finegrain.method.units import abnormal_sentences, caption_units
from finegrain.studies.photo_captions import is_right, study_photos
from tests.conftest import PLATE

GREY, RED, BLUE = (150, 150, 150), (200, 30, 30), (30, 60, 190)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # from the definition, by hand calculators of CIELAB under D65
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0, 0)),
    ],
)
def test_srgb_to_lab(rgb, lab):
    np.testing.assert_allclose(to_lab(np.array([rgb], dtype=np.uint8))[0], lab, atol=0.02)


def pixels(*colors):
    return to_lab(np.array(colors, dtype=np.uint8))


@pytest.mark.parametrize(
    ("rgb", "name"),
    [((20, 20, 20), "black"), ((250, 250, 250), "white"), (RED, "red"), (BLUE, "blue"),
     ((120, 70, 40), "brown"), ((60, 110, 80), "green"), ((235, 220, 40), "yellow")],
)  # fmt: skip
def test_colors_have_their_names(rgb, name):
    assert color_name(pixels(*[rgb] * 5)) == name


def test_a_color_that_is_not_sure_has_no_name():
    spread = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)]
    assert color_name(pixels(*spread)) is None
    assert color_name(pixels((0, 255, 0))) is None  # farther than any paint from all names
    between = pixels((50, 50, 53), (114, 114, 116)).mean(0)[None]  # black and dark grey
    assert color_name(between) is None


def drawn(draw_on, side=SIDE):
    picture = Image.new("L", (side, side))
    draw_on(ImageDraw.Draw(picture))
    return np.asarray(picture) > 0


WHOLE = (slice(0, SIDE), slice(0, SIDE))


def pieces(*boxes, kind="ellipse"):
    mask = drawn(lambda d: [getattr(d, kind)(box, fill=255) for box in boxes])
    return measures.pieces_of(mask, WHOLE)


CORNERS = [(x, y, x + 15, y + 15) for x in (5, 98) for y in (5, 98)]
GRID = [(x, y, x + 10, y + 10) for x in (10, 40, 70, 100) for y in (10, 55, 100)]


@pytest.mark.parametrize(
    ("boxes", "number", "location", "direction"),
    [
        ([(45, 45, 75, 75)], "1", "center", None),
        (CORNERS, "4", "corners", None),
        (GRID, "multiple", "evenly distributed", None),
        ([(4, 40, 14, 80), (104, 40, 114, 80)], "2", "both sides", "vertical"),
        ([(80, 5, 110, 30)], "1", "top right", None),
        ([(20, 100, 100, 112)], "1", "bottom", "horizontal"),
        ([(0, 0, 119, 119)], "1", "entire image", None),
    ],
)
def test_what_masks_tell(boxes, number, location, direction):
    shots = [pieces(*boxes, kind="rectangle" if boxes[0][2] == 119 else "ellipse")] * 3
    assert measures.number(shots) == number
    assert measures.location(shots) == location
    assert measures.direction(shots) == direction


def test_specks_are_no_pieces():
    assert measures.number([pieces((20, 20, 60, 60), (90, 90, 91, 91))]) == "1"


def test_where_shots_disagree_nothing_is_said():
    one, four = pieces((5, 5, 20, 20)), pieces(*CORNERS)
    other = pieces((100, 5, 115, 20))
    assert measures.location([one, other]) is None
    assert measures.number([one, one, four, four]) is None
    assert measures.number([pieces(*CORNERS[:3]), four, four]) == "4"  # one more or less is usual
    assert measures.number([four, pieces(*GRID), pieces(*GRID[:9])]) == "multiple"


def test_the_grain_of_a_surface():
    lines = np.sin(np.arange(SIDE) / 3)[None].repeat(SIDE, 0)
    assert measures.grain([lines, lines]) == "vertical"
    assert measures.grain([lines.T]) == "horizontal"
    assert measures.grain([lines, lines.T]) is None
    noise = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    assert measures.grain([noise]) is None
    assert measures.grain([np.zeros((SIDE, SIDE))]) is None


def scene(shift=0, ground=GREY):
    """A red disc with a hole, and a blue square; the masks of disc, square and hole."""
    picture = Image.new("RGB", (240, 240), ground)
    draw = ImageDraw.Draw(picture)
    disc, hole, square = (
        (30 + shift, 30, 130 + shift, 130),
        (65 + shift, 65, 95 + shift, 95),
        (150, 150 - shift, 200, 200 - shift),
    )
    draw.ellipse(disc, fill=RED)
    draw.ellipse(hole, fill=ground)
    draw.rectangle(square, fill=BLUE)
    image = np.asarray(picture)
    inside = drawn(lambda d: d.ellipse(hole, fill=255), 240)
    return image, [(image == RED).all(-1), (image == BLUE).all(-1), inside]


def without_tokens(count):
    """Tokens that are all the same: colours alone decide."""
    patches = torch.zeros(count, 225, 8)
    patches[..., 0] = 1
    return PatchTokens(patches[:, 0], patches, (patches,), (15, 15))


@pytest.mark.parametrize("count", [1, 3])
def test_regions_are_where_the_parts_are_also_unaligned(count):
    scenes = [scene(8 * k) for k in range(count)]
    found = find_regions([image for image, _ in scenes], without_tokens(count))
    assert found.count == 3
    assert found.background
    for labels, (_, masks) in zip(found.labels, scenes, strict=True):
        for index, mask in enumerate(masks):
            region = labels.repeat(2, 0).repeat(2, 1) == index
            assert (region & mask).sum() > 0.8 * (region | mask).sum()


def test_a_texture_fills_the_picture():
    rng = np.random.default_rng(0)
    threads = (np.add.outer(np.arange(240), np.arange(240)) // 6 % 2)[..., None]
    shots = [
        (np.where(threads, (60, 90, 160), (150, 155, 160)) + rng.normal(0, 5, (240, 240, 3)))
        .clip(0, 255).astype(np.uint8)
        for _ in range(2)
    ]  # fmt: skip
    found = find_regions(shots, without_tokens(2))
    assert not found.background
    assert (found.labels >= 0).all()


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_picture_is_one_part(shade):
    found = find_regions([np.full((50, 80, 3), shade, np.uint8)] * 2, without_tokens(2))
    assert (found.count, found.background) == (1, False)
    assert not found.labels.any()


def test_what_one_shot_alone_shows_is_no_component():
    plain = [scene()[0], scene()[0]]
    odd = plain[0].copy()
    odd[200:235, 20:60] = (235, 220, 40)
    found = find_regions([*plain, odd], without_tokens(3))
    assert found.count == 3


ATTRIBUTES = ("number", "location", "color", "texture", "shape")
FACTS = {"number": "2", "location": "corners", "color": ["red"], "texture": ["woven"],
         "shape": ["square"], "direction": None}  # fmt: skip


def caption_without(*missing):
    facts = {name: ([] if isinstance(value, list) else None) if name in missing else value
             for name, value in FACTS.items()}  # fmt: skip
    told = {"foreground": "bracket", "background": "black", "defects": ["scratch"],
            "components": [{"name": "part", **facts}, {"name": "bolts", **facts}]}  # fmt: skip
    return caption_from_facts("own", "bracket", told, Provenance(source="photos"))


@pytest.mark.parametrize("missing", [m for n in range(6) for m in combinations(ATTRIBUTES, n)])
def test_a_missing_attribute_is_in_no_sentence(missing):
    caption = caption_without(*missing)
    for component in caption.components:
        assert set(component.told) == set(ATTRIBUTES) - set(missing)
    for unit in caption_units(caption):
        if unit.kind == "background":
            continue
        abnormal = abnormal_sentences(unit, np.random.default_rng(0))
        assert not {value.attribute for value in unit.values} & set(missing)
        for sentence in (unit.sentence, *abnormal):
            shown = sentence.replace(caption.background + " background", "")
            assert "None" not in sentence
            assert "  " not in sentence
            for name in missing:
                assert not any(find_value(shown, name, value) for value in VOCABULARY[name])


def told_by(probabilities):
    """Answers of a CLIP that says what it is told to, for one shot of 4 patches."""
    words = tuple(probabilities)
    asked = Answers.__new__(Answers)
    asked._scale, asked._floors = 1.0, {}
    asked._patches = torch.eye(len(words))[:1].repeat(4, 1)[None]
    asked._words = {"texture": words}
    asked._texts = {"texture": torch.log(torch.tensor([list(probabilities.values())])).T}
    asked._texts["texture"] = asked._texts["texture"].repeat(1, len(words))
    return asked


def test_the_clip_is_believed_where_it_is_sure():
    cover = torch.tensor([[1.0, 1.0, 0.2, 0.0]])
    assert told_by({"smooth": 0.8, "rough": 0.2}).sure("texture", cover) == "smooth"
    assert told_by({"smooth": 0.6, "striped": 0.4}).sure("texture", cover) is None
    alike = {"rough": 0.4, "granular": 0.35, "smooth": 0.25}  # either way it is not smooth
    assert told_by(alike).sure("texture", cover) == "rough"
    assert told_by({"smooth": 1.0}).sure("texture", torch.zeros(1, 4)) is None
    strange = told_by({"smooth": 0.8, "rough": 0.2})
    strange._floors = {"texture": 0.1}  # both cosines, ln 0.8 and ln 0.2, are below
    assert strange.sure("texture", cover) is None


def test_a_model_that_knows_few_names_is_not_asked_for_any(backbone):
    assert set(backbone.unknown_words(answers.NOUNS)) == set()
    assert "woven" not in answers._known(backbone, answers.QUESTIONS["texture"])
    assert Answers(backbone, without_tokens(1)).name(torch.ones(1, 225)) is None


@pytest.fixture(scope="module")
def found(request):
    backbone = request.getfixturevalue("backbone")
    return caption_from_photos("folder", "my_part", [scene(0)[0], scene(9)[0]], backbone, "ab")


def test_the_caption_of_a_scene(found, backbone, tmp_path):
    caption = found.caption
    assert (caption.key, caption.foreground) == ("folder/my_part", "my part")
    assert caption.background == "grey"
    disc, square, hole = caption.components
    assert (disc.color, disc.number) == ("red", "1")
    assert (square.color, square.location, square.number) == ("blue", "bottom right", "1")
    assert hole.color == "grey"
    assert len({c.name for c in caption.components}) == 3
    assert caption.provenance == Provenance(source="photos", shots_sha256=("a", "b"))
    again = caption_from_photos("folder", "my_part", [scene(0)[0], scene(9)[0]], backbone, "ab")
    assert again.caption == caption
    write_caption(tmp_path / "own.yaml", caption)
    assert read_caption(tmp_path / "own.yaml") == caption


def test_other_captions_are_written_as_before():
    assert "shots_sha256" not in Provenance(source="hand").model_dump()
    caption = caption_without()
    assert caption_from_facts("folder", "plate", facts_of(PLATE), caption.provenance)


def facts_of(record):
    components = [
        {**c, **{name: c[name].split(" and ") for name in ("color", "texture", "shape")}}
        for c in record["components"]
    ]
    return {**record, "components": components}


def test_factory_parts_against_their_true_facts(backbone):
    """The bars of `finegrain study photos` on three of its parts, at two shots."""
    told = []
    parts = ("cable_section", "gasket", "woven_fabric")
    study, pictures = study_photos(backbone, parts, 2, 0, told.append)
    assert study.overlap >= 0.7
    for name, bar in (("color", 0.8), ("location", 0.7), ("number", 0.8)):
        assert study.accuracy(name) >= bar
        assert study.tallies[name].said >= 7
    assert [line.partition(":")[0] for line in told] == [*pictures] == [*parts]
    assert "| all " in study.table()


@pytest.mark.parametrize(
    ("attribute", "said", "truth", "right"),
    [
        ("number", "3", "4", True),
        ("number", "2", "4", False),
        ("number", "5", "multiple", True),
        ("number", "multiple", "1", False),
        ("color", "grey", ["metallic silver"], True),
        ("color", "red", ["yellow"], False),
        ("location", "top", "top center", True),
        ("location", "left", "right", False),
    ],
)
def test_what_is_right(attribute, said, truth, right):
    assert is_right(attribute, said, truth) is right
