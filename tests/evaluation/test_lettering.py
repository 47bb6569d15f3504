"""Names of parts in pictures are letters in any script, never the box of a missing one."""

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import ImageFont

from finegrain.evaluation import lettering
from finegrain.evaluation.figures import text_line
from finegrain.evaluation.lettering import NO_LETTER, lettered
from finegrain.studies import curves
from finegrain.studies.curves import plot_curves


@pytest.fixture(params=[True, False], ids=["fonts of the machine", "none"])
def fonts(request, monkeypatch):
    if not request.param:
        monkeypatch.setattr(lettering, "FONTS", ())
    lettering._others.cache_clear()
    yield request.param
    lettering._others.cache_clear()


@pytest.mark.parametrize(
    "name", ["gear", "Gehäuse #1 50%", "螺母", "деталь", "部品 α", "ñandú", "나사"]
)
def test_no_letter_is_a_box(fonts, name):
    shown, font = lettered(name, 12)
    box = bytes(font.getmask(NO_LETTER))
    assert all(bytes(font.getmask(letter)) != box for letter in shown)
    if name.isascii():
        assert shown == name
    if not fonts:
        assert len(shown) >= len(name)


def test_without_a_font_letters_are_told_by_their_number(monkeypatch):
    monkeypatch.setattr(lettering, "_others", lambda _: ())
    shown, _ = lettered("Gehäuse 螺", 12)
    assert shown in ("Gehäuse U+87BA", "Gehause U+87BA")  # Pillow's own font has some accents


def test_other_names_are_other_pictures():
    lines = [text_line(name, 200) for name in ("螺母", "螺栓", "垫圈")]
    assert all(line.shape == (18, 200, 3) for line in lines)
    assert not any(np.array_equal(a, b) for i, a in enumerate(lines) for b in lines[:i])


@pytest.mark.usefixtures("fonts")
@pytest.mark.filterwarnings("error")  # matplotlib warns of a letter that it draws as a box
def test_no_letter_of_a_chart_is_a_box():
    assert plot_curves("螺母 Gehäuse ρ", ["好", "b"], {"垫圈": [1.0, 2.0]})


def test_a_chart_takes_a_font_of_the_machine_where_there_is_one(monkeypatch):
    path = font_manager.findfont("DejaVu Serif")  # in the part of one with Chinese letters
    monkeypatch.setattr(curves, "lettered", lambda text, _: (text, ImageFont.truetype(path, 10)))
    assert curves._shown("螺母") == ("螺母", ["DejaVu Sans", "DejaVu Serif"])
