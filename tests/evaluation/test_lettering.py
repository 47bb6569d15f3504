"""Names of parts in pictures are letters in any script, never the box of a missing one."""

import numpy as np
import pytest

from finegrain.evaluation import lettering
from finegrain.evaluation.figures import text_line
from finegrain.evaluation.lettering import NO_LETTER, lettered


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
