"""The MVTec-AD layout and the choice of shots."""

import shutil

import pytest
from PIL import Image

from finegrain.data import load_category, prepare_dataset
from finegrain.data.folder import list_categories, load_folder, scan_folder
from finegrain.data.shots import Shot, check_no_leak, file_sha256, select_shots, shots_at
from finegrain.errors import ConfigError, DatasetError


@pytest.fixture
def plate(plates):
    return load_folder("folder", plates, "plate_a")


def test_a_category_is_its_sorted_files(plate):
    assert [path.name for path in plate.train] == [f"{i:03}.png" for i in range(5)]
    assert [(s.defect, s.path.name) for s in plate.test][:5] == [
        *(("good", f"{i:03}.png") for i in range(4)),
        ("hole", "000.png"),
    ]
    assert [s.anomalous for s in plate.test] == [False] * 4 + [True] * 4
    assert all((s.mask is not None) == s.anomalous for s in plate.test)


def test_masks_may_be_named_like_their_image(plates):
    masks = plates / "plate_a" / "ground_truth" / "hole"
    for path in masks.iterdir():
        path.rename(masks / path.name.replace("_mask", ""))
    assert load_folder("folder", plates, "plate_a").has_masks


def test_masks_as_a_whole_are_optional(plates):
    shutil.rmtree(plates / "plate_a" / "ground_truth")
    assert not load_folder("folder", plates, "plate_a").has_masks


def test_one_missing_mask_is_an_error(plates):
    (plates / "plate_a" / "ground_truth" / "hole" / "002_mask.png").unlink()
    with pytest.raises(DatasetError, match=r"002\.png has no mask; expected .*002_mask\.png"):
        load_folder("folder", plates, "plate_a")


@pytest.mark.parametrize("folder", ["train/good", "test"])
def test_an_empty_category_is_an_error(plates, folder):
    shutil.rmtree(plates / "plate_a" / folder)
    (plates / "plate_a" / folder).mkdir()
    with pytest.raises(DatasetError, match=f"{folder} holds no image"):
        load_folder("folder", plates, "plate_a")


def test_good_photos_alone_are_a_category_in_three_layouts(plates, tmp_path):
    photos = sorted((plates / "plate_a" / "train" / "good").iterdir())
    for place in ("split/train/good", "sound/good", "bare"):
        (tmp_path / place).mkdir(parents=True)
        for photo in photos:
            shutil.copy(photo, tmp_path / place)
    for name in ("split", "sound", "bare"):
        found = load_folder("folder", tmp_path, name)
        assert [path.name for path in found.train] == [path.name for path in photos]
        assert found.test == ()
    assert list_categories(tmp_path) == ["split"]  # where one has train/good, only such ones count
    shutil.rmtree(tmp_path / "split")
    assert list_categories(tmp_path) == ["bare", "sound"]
    with pytest.raises(DatasetError, match="test holds no image"):
        scan_folder("mvtec", tmp_path, "sound")  # a published data set is whole


def test_what_a_dot_hides_is_no_image_and_no_defect(plates, plate):
    train = plates / "plate_a" / "train" / "good"
    shutil.copy(plate.train[0], train / "._000.png")
    hidden = plates / "plate_a" / "test" / ".ipynb_checkpoints"
    hidden.mkdir()
    shutil.copy(plate.train[0], hidden / "000-checkpoint.png")
    assert load_folder("folder", plates, "plate_a") == plate


def test_unknown_names_list_the_known(plates):
    with pytest.raises(ConfigError, match="no dataset 'mvtek'; known: factory, factory_tu"):
        prepare_dataset("mvtek", plates)
    with pytest.raises(DatasetError, match="'plate_c'; found plate_a, plate_b"):
        prepare_dataset("folder", plates, ["plate_c"])
    with pytest.raises(DatasetError, match="'plate_c'; found plate_a, plate_b"):
        load_category("folder", plates, "plate_c")
    with pytest.raises(DatasetError, match="holds no category"):
        prepare_dataset("folder", plates / "plate_a" / "train")
    with pytest.raises(DatasetError, match="is not a folder"):
        prepare_dataset("folder", plates / "absent")


def test_the_fingerprint_follows_names_and_sizes(plate, plates):
    before = plate.fingerprint()
    assert load_folder("folder", plates, "plate_a").fingerprint() == before
    Image.new("RGB", (64, 64)).save(plate.train[0])
    assert plate.fingerprint() != before


def test_shots_are_drawn_by_seed_and_nested(plate):
    four = select_shots(plate, 4, seed=7)
    assert four == select_shots(plate, 4, seed=7)
    assert four[:2] == select_shots(plate, 2, seed=7)
    assert len(set(four)) == 4
    assert set(four) <= set(plate.train)
    assert len({select_shots(plate, 2, seed) for seed in range(20)}) > 5


@pytest.mark.parametrize("count", [-1, 6])
def test_more_shots_than_images_is_an_error(plate, count):
    with pytest.raises(DatasetError, match=f"5 normal training images; {count} shots"):
        select_shots(plate, count, seed=0)


def test_no_shots_are_none(plate):
    assert select_shots(plate, 0, seed=0) == ()


def test_shots_from_a_list(plate):
    assert shots_at(plate, [4, 0]) == (plate.train[4], plate.train[0])
    with pytest.raises(DatasetError, match=r"0 to 4; the list has \[5\]"):
        shots_at(plate, [0, 5])
    with pytest.raises(DatasetError, match="twice"):
        shots_at(plate, [1, 1])


def test_a_copied_shot_among_the_test_images_is_found(plate):
    shots = [Shot(path, file_sha256(path)) for path in plate.train[:2]]
    tests = [file_sha256(sample.path) for sample in plate.test]
    check_no_leak(shots, tests, plate.name)
    shutil.copy(plate.train[1], plate.test[3].path)
    tests = [file_sha256(sample.path) for sample in plate.test]
    with pytest.raises(DatasetError, match=r"train/good/001\.png of plate_a is also a test image"):
        check_no_leak(shots, tests, plate.name)
