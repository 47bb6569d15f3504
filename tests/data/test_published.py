"""The published shots: which they are, and what departs from them."""

import pytest

from finegrain.data import load_category
from finegrain.data.published import (
    check_published,
    published,
    published_indices,
    published_notes,
)
from finegrain.errors import ConfigError, DatasetError
from tests.data.trees import empty, picture, realiad_image, write_realiad, write_split

AUDIOJACK = [
    "S0069/audiojack_0069_OK_C1_20231021132204.jpg",
    "S0292/audiojack_0292_OK_C1_20231021144118.jpg",
    "S0087/audiojack_0087_OK_C1_20231021132629.jpg",
    "S0014/audiojack_0014_OK_C1_20231021130910.jpg",
]


@pytest.fixture
def toothbrush(tmp_path):
    for index in range(60):
        empty(tmp_path / f"toothbrush/train/good/{index:03}.png")
    empty(tmp_path / "toothbrush/test/good/000.png")
    return tmp_path


def realiad(root, name, paths, tested=()):
    """Good parts of which the tested are test images in the JSON split."""
    write_realiad(root, name, views=1)
    for path in paths:
        picture(root / name / "OK" / path)
    train = [realiad_image(name, 1, "C1"), *(f"OK/{p}" for p in paths if p not in tested)]
    test = [realiad_image(name, 2, "C1"), *(f"OK/{p}" for p in tested)]
    write_split(root / "realiad_jsons_sv" / f"{name}.json", name, train, test)
    return root


def test_mvtec_shots_are_places_in_the_sorted_names(toothbrush):
    category = load_category("mvtec", toothbrush, "toothbrush", published=True)
    assert published_indices(category, 1) == (32,)
    assert published_indices(category, 4) == (7, 11, 48, 54)
    for index in range(8):
        (toothbrush / f"toothbrush/train/good/{index:03}.png").unlink()
    category = load_category("mvtec", toothbrush, "toothbrush", published=True)
    with pytest.raises(DatasetError, match="of the published 4 shots of toothbrush, 1 are not"):
        published_indices(category, 4)


def test_every_published_number_is_of_its_length():
    for dataset, categories in published().items():
        for name, by_count in categories.items():
            for count, shots in by_count.items():
                assert len(shots) == count, (dataset, name)
                assert len(set(shots)) == count or name == "toy_brick"
    without = [name for name, shots in published()["realiad"].items() if 2 not in shots]
    assert len(without) == 19


@pytest.mark.parametrize("tested", [[], AUDIOJACK[1:3]])
def test_realiad_shots_are_named_and_never_tested(tmp_path, tested):
    root = realiad(tmp_path, "audiojack", AUDIOJACK, tested)
    category = load_category("realiad", root, "audiojack", published=True)
    chosen = [category.train[i] for i in published_indices(category, 4)]
    assert [f"{path.parent.name}/{path.name}" for path in chosen] == AUDIOJACK
    assert {sample.path for sample in category.test}.isdisjoint(category.train)
    assert [sample.path.parent.name for sample in category.test] == ["S0002"]
    told = "audiojack: 2 of its published shots are test images; they are taken out of the test set"
    assert list(category.notes) == ([told] if tested else [])
    assert list(category.train) == sorted(category.train)
    # Drawn by seed, the split is as it was published.
    assert len(load_category("realiad", root, "audiojack").test) == 1 + len(tested)


def test_a_missing_realiad_shot_is_named(tmp_path):
    root = realiad(tmp_path, "audiojack", AUDIOJACK[:3])
    category = load_category("realiad", root, "audiojack", published=True)
    assert len(published_indices(category, 2)) == 2
    with pytest.raises(DatasetError, match=r"4 shots of audiojack, 1 are not .*leave out"):
        published_indices(category, 4)


def test_shots_published_in_part_are_completed_and_that_is_said(tmp_path):
    paths = [str(path) for path in dict.fromkeys(published()["realiad"]["toy_brick"][4])]
    root = realiad(tmp_path, "toy_brick", paths)
    category = load_category("realiad", root, "toy_brick", published=True)
    four = published_indices(category, 4)
    assert [category.train[i].name for i in four] == [path.partition("/")[2] for path in paths]
    assert len(four) == 3
    assert published_indices(category, 2) == four[:2]
    assert published_notes("realiad", "toy_brick", 4) == (
        "toy_brick: the published 4 shots name an image twice; fitted on the 3 distinct ones",
    )
    assert "no 2 shots were published" in published_notes("realiad", "toy_brick", 2)[0]
    assert published_notes("realiad", "audiojack", 2) == ()
    assert published_notes("mvtec", "bottle", 4) == ()
    assert "did not sort" in published_notes("visa", "candle", 1)[0]


@pytest.mark.parametrize(
    ("dataset", "categories", "shots", "message"),
    [
        ("factory", ["pcb"], [1], "no shots were published for factory, only for mvtec, visa"),
        ("mvtec", ["bottle", "botle"], [1], "no shots were published for botle of mvtec"),
        ("realiad", ["usb"], [1], "view C1; leave out --views"),
        ("mvtec", ["bottle"], [1, 8], "published are 1, 2 and 4 shots; got 8"),
    ],
)
def test_what_was_not_published_is_said(dataset, categories, shots, message):
    with pytest.raises(ConfigError, match=message):
        check_published(dataset, categories, shots, ["C2"] if dataset == "realiad" else [])
