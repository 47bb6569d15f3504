"""The factory: same arguments same bytes, true masks, whole categories on disk."""

import time

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from finegrain.data.folder import load_folder
from finegrain.errors import ConfigError, DatasetError
from finegrain.factory import (
    CATEGORIES,
    SIDE,
    contact_sheet,
    render,
    write_factory,
)
from finegrain.factory import write as writer

EVERY_DEFECT = [(name, defect) for name, part in CATEGORIES.items() for defect in part.defects]
SHADOW_REACH_PX = 22  # the longest shadow, the half-resolution softening, and the lens blur


def same(one, other):
    return (
        one.image.tobytes() == other.image.tobytes() and one.mask.tobytes() == other.mask.tobytes()
    )


def test_there_are_eight_sorted_categories_with_four_to_six_defects_and_whole_facts():
    assert len(CATEGORIES) >= 8
    assert list(CATEGORIES) == sorted(CATEGORIES)
    for name, part in CATEGORIES.items():
        assert part.name == name
        assert 4 <= len(part.defects) <= 6
        assert list(part.defects) == sorted(part.defects)
        assert set(part.facts) == {"foreground", "background", "components", "defects"}
        assert part.facts["defects"] == [defect.replace("_", " ") for defect in part.defects]
        for component in part.facts["components"]:
            assert set(component) == {
                "name", "number", "location", "direction", "color", "texture", "shape",
            }  # fmt: skip


@pytest.mark.parametrize("name", CATEGORIES)
def test_a_good_scene_shows_every_component_of_the_facts_and_no_other(name):
    for index in range(2):
        scene = render(name, "test", None, index, 0)
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert scene.image.dtype == np.uint8
        assert scene.mask.shape == (SIDE, SIDE)
        assert not scene.mask.any()
        assert set(scene.components) == {c["name"] for c in CATEGORIES[name].facts["components"]}
        for mask in scene.components.values():
            assert mask.shape == (SIDE, SIDE)
            assert mask.sum() > 150
        assert np.sum(list(scene.components.values()), axis=0).max() == 1  # never two on a pixel


@pytest.mark.parametrize("name", CATEGORIES)
def test_a_scene_depends_on_its_arguments_alone(name):
    defect = CATEGORIES[name].defects[0]
    scene = render(name, "test", defect, 3, 7)
    render(name, "train", None, 0, 7)  # what was rendered between does not matter
    assert same(scene, render(name, "test", defect, 3, 7))
    good = render(name, "test", None, 3, 7)
    assert same(good, render(name, "test", None, 3, 7))
    for other in (("train", 3, 7), ("test", 4, 7), ("test", 3, 8)):
        assert not same(good, render(name, other[0], None, *other[1:]))


@pytest.mark.parametrize(("name", "defect"), EVERY_DEFECT)
def test_a_defect_changes_its_mask_and_nothing_far_from_it(name, defect):
    for index in (20, 21):
        good = render(name, "test", None, index, 0)
        bad = render(name, "test", defect, index, 0)
        assert 8 <= bad.mask.sum() < 0.2 * SIDE * SIDE
        change = np.abs(bad.image.astype(int) - good.image.astype(int)).max(axis=2)
        assert (change[bad.mask] >= 6).mean() > 0.25
        far = ~binary_dilation(bad.mask, iterations=SHADOW_REACH_PX)
        assert change[far].max(initial=0) <= 1  # rounding in running sums


def test_unknown_names_and_negative_numbers_are_refused_with_the_known_ones():
    with pytest.raises(DatasetError, match=r"no category 'gaer'; found .*gear"):
        render("gaer", "test", None, 0, 0)
    with pytest.raises(DatasetError, match=r"gear has no defect 'cut'; found .*scratch"):
        render("gear", "test", "cut", 0, 0)
    with pytest.raises(ConfigError, match="no split 'val'; known: train, test"):
        render("gear", "val", None, 0, 0)
    with pytest.raises(ConfigError, match="must not be negative; got -1 and 0"):
        render("gear", "test", None, -1, 0)


def test_unknown_categories_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"no category 'gaer'; found .*gear"):
        write_factory(tmp_path / "data", categories=["gear", "gaer"])
    assert not (tmp_path / "data").exists()


def test_the_layout_is_that_of_the_folder_loader(tmp_path):
    told = []
    root = write_factory(
        tmp_path, categories=["gasket"], seed=5, progress=lambda *step: told.append(step)
    )
    part = CATEGORIES["gasket"]
    category = load_folder("factory", root, "gasket")
    defects = len(part.defects)
    assert len(category.train) == 12
    assert [path.name for path in category.train[:2]] == ["000.png", "001.png"]
    assert sum(not sample.anomalous for sample in category.test) == 20
    for defect in part.defects:
        assert sum(sample.defect == defect for sample in category.test) == 6
    assert told == [(n + 1, 32 + 6 * defects) for n in range(32 + 6 * defects)]

    scene = render("gasket", "test", part.defects[0], 20, 5)
    assert np.array_equal(np.asarray(Image.open(category.test[0].path)), scene.image)
    mask = category.test[0].mask
    assert mask == root / "gasket" / "ground_truth" / part.defects[0] / "000_mask.png"
    assert np.array_equal(np.asarray(Image.open(mask)), scene.mask * np.uint8(255))

    pictures = {path.read_bytes() for path in root.rglob("test/*/*.png")}
    assert len(pictures) == 20 + 6 * defects  # every picture shows another individual


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tiny factory: the list of what gets rendered."""
    monkeypatch.setattr(writer, "TRAIN", 1)
    monkeypatch.setattr(writer, "TEST_GOOD", 1)
    monkeypatch.setattr(writer, "TEST_DEFECT", 1)
    rendered = []

    def spy(category, split, defect, index, seed):
        rendered.append(category)
        return render(category, split, defect, index, seed)

    monkeypatch.setattr(writer, "render", spy)
    return rendered


def test_what_is_there_is_not_rendered_again(tmp_path, small):
    write_factory(tmp_path, categories=["gasket"])
    count = len(small)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_factory(tmp_path, categories=["gasket"])
    assert len(small) == count
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_factory(tmp_path, categories=["gasket", "gear"])
    assert small[count:] == ["gear"] * count


def test_another_seed_or_version_replaces_a_category(tmp_path, small, monkeypatch):
    picture = tmp_path / "gasket" / "train" / "good" / "000.png"
    write_factory(tmp_path, categories=["gasket"])
    before = picture.read_bytes()
    write_factory(tmp_path, categories=["gasket"], seed=1)
    assert picture.read_bytes() != before
    count = len(small)
    monkeypatch.setattr(writer, "VERSION", 999)
    write_factory(tmp_path, categories=["gasket"], seed=1)
    assert len(small) > count
    assert [path.name for path in tmp_path.iterdir()] == ["gasket"]


@pytest.mark.usefixtures("small")
def test_an_interrupted_write_leaves_no_half_category(tmp_path):
    write_factory(tmp_path, categories=["gear"])

    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_factory(tmp_path, categories=["gear", "gasket"], progress=stop)
    with pytest.raises(KeyboardInterrupt):
        write_factory(tmp_path, categories=["gear"], seed=1, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["gear"]
    assert writer.is_complete(tmp_path / "gear", CATEGORIES["gear"], 0)


def test_a_damaged_manifest_means_not_complete(tmp_path):
    part = CATEGORIES["gear"]
    (tmp_path / "factory.json").write_text("{half")
    assert not writer.is_complete(tmp_path, part, 0)
    assert not writer.is_complete(tmp_path / "nowhere", part, 0)


def test_the_contact_sheet_has_a_row_per_category_and_a_column_per_defect():
    sheet = contact_sheet(["gear", "gasket"], good=1, cell_px=32)
    assert sheet.shape == (2 * 36, 7 * 36, 3)
    assert sheet.dtype == np.uint8


def test_rendering_is_fast():
    for name in CATEGORIES:
        render(name, "train", None, 0, 0)  # noise tiles and artwork are made once
    start = time.process_time()
    for name in CATEGORIES:
        for index in range(4):
            render(name, "train", None, index, 0)
    assert 4 * len(CATEGORIES) / (time.process_time() - start) > 25  # about 100 on a free core
