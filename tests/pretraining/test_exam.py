"""The shipped model's exam and its card, on few scenes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finegrain.backbones.clip.bundled import BUNDLED, CARD_FILE
from finegrain.factory import CATEGORIES
from finegrain.pretraining import exam
from finegrain.pretraining.card import HELD_OUT, REQUIRED, score_table, write_card
from finegrain.pretraining.exam import examine
from finegrain.pretraining.training import PretrainingConfig
from finegrain.pretraining.zeroshot import ZeroShot

SCORES = ZeroShot(0.95, 0.981, 0.97, 0.9, 0.8, 0.7, 0.75, 0.72, 0.5, 0.98, 0.6, scenes=1200)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoded scenes that one exam leaves to the next."""
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture
def sit(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[bool, list[str]]]:
    """An exam of 8 scenes, and of one image a defect of one category, with these bars."""
    monkeypatch.setattr(exam, "CATEGORIES", {"gasket": CATEGORIES["gasket"]})

    def taken(bar: float, factory_bar: float, factory: int = 1) -> tuple[bool, list[str]]:
        told: list[str] = []
        monkeypatch.setattr(exam, "REQUIRED", dict.fromkeys(REQUIRED, bar))
        monkeypatch.setattr(exam, "FACTORY_REQUIRED", factory_bar)
        return examine(BUNDLED, 8, factory, cache, told.append), told

    return taken


def test_an_exam_is_passed_where_every_bar_is_reached(
    sit: Callable[..., tuple[bool, list[str]]],
) -> None:
    passed, told = sit(0.5, 0.5)
    assert passed
    assert told[0] == f"{BUNDLED}, 8 held-out scenes\n"
    [gasket] = [line for line in told if line.startswith("| gasket |")]
    found = gasket.split("|")[2].strip()
    assert told[-1] == f"| mean (required 0.50) | {found} |"
    assert 0.5 < float(found) <= 1


@pytest.mark.parametrize(("bar", "factory_bar"), [(1.01, 0.5), (0.5, 1.01)])
def test_one_bar_that_is_missed_fails_it(
    sit: Callable[..., tuple[bool, list[str]]], bar: float, factory_bar: float
) -> None:
    assert not sit(bar, factory_bar)[0]


def test_without_the_factory_its_bar_does_not_count(
    sit: Callable[..., tuple[bool, list[str]]],
) -> None:
    passed, told = sit(0.5, 1.01, factory=0)
    assert passed
    assert not [line for line in told if "factory" in line]


def test_scores_stand_beside_what_is_required_of_them() -> None:
    rows = score_table(SCORES).splitlines()
    assert rows[0] == "| color | 0.950 | 0.93 |"
    assert rows[3] == "| background | 0.900 | – |"
    assert len(rows) == 11  # each score; the number of scenes is none


def test_a_card_tells_recipe_and_scores(tmp_path: Path) -> None:
    settings = PretrainingConfig(scenes=4000, epochs=3, batch_size=32, peak_lr=2e-3, seed=7)
    write_card(tmp_path, settings, SCORES, size=5_250_000, how="two CPU cores in 1.0 h")
    card = (tmp_path / CARD_FILE).read_text()
    assert "5.25 MB" in card
    assert "4,000 procedural scenes (seeds 0 to 3,999)" in card
    assert "batches of 32 scenes, 3 epochs, seed 7" in card
    assert "one-cycle to 0.002" in card
    assert f"1,200 held-out scenes (seeds {HELD_OUT[0]} to {HELD_OUT[-1]})" in card
    assert score_table(SCORES) in card
