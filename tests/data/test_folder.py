"""The MVTec-AD layout and the choice of shots."""

import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from finegrain.data import load_category, prepare_dataset
from finegrain.data.folder import list_categories, load_folder, scan_folder, sounds_normal
from finegrain.data.images import read_mask
from finegrain.data.shots import (
    Shot,
    check_no_leak,
    drawable,
    file_sha256,
    select_shots,
    shots_at,
)
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


HIDDEN = (
    ".ipynb_checkpoints", "__MACOSX", ".Trash-0", "@eaDir", "Thumbs.db", "desktop.ini", ".DS_Store",
    "$RECYCLE.BIN", "._000.png",
)  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_what_systems_leave_is_nobodys_image(plates, plate, name):
    for place in ("train/good", "test", "test/hole", "ground_truth", "ground_truth/hole", "."):
        folder = plates / "plate_a" / place / name
        folder.mkdir(parents=True)
        shutil.copy(plate.train[0], folder / "000.png")
    (plates / name / "train/good").mkdir(parents=True)
    shutil.copy(plate.train[0], plates / name / "train/good")
    assert load_folder("folder", plates, "plate_a") == plate
    assert list_categories(plates) == ["plate_a", "plate_b"]


def test_masks_are_found_whatever_the_case_of_their_names(plates):
    masks = plates / "plate_a" / "ground_truth" / "hole"
    for path, name in zip(
        sorted(masks.iterdir()),
        ("000_mask.PNG", "001_MASK.png", "002.Png", "003_Mask.PNG"),
        strict=True,
    ):
        path.rename(masks / name)
    found = load_folder("folder", plates, "plate_a").test[4:]
    assert [sample.mask.stem[:3] for sample in found] == ["000", "001", "002", "003"]


def test_masks_may_lie_in_a_folder_an_image(plates, plate):
    """As MVTec LOCO has them: what any of them marks is anomalous."""
    mask = plate.test[4].mask
    whole = read_mask(mask, 64, 64)
    halves = whole.copy(), whole.copy()
    rows = np.flatnonzero(whole.any(1))
    halves[0][: rows[5]] = False
    halves[1][rows[5] :] = False
    mask.unlink()
    folder = mask.with_name("000")
    folder.mkdir()
    for index, half in enumerate(halves):
        Image.fromarray(half).save(folder / f"{index:03}.png")
    after = load_folder("folder", plates, "plate_a")
    assert after.test[4].mask == folder
    assert (read_mask(folder, 64, 64) == whole).all()
    before = after.fingerprint()
    Image.fromarray(whole).save(folder / "001.png")
    assert after.fingerprint() != before
    (folder / "000.png").unlink()
    (folder / "001.png").unlink()
    with pytest.raises(DatasetError, match="000 holds no mask"):
        read_mask(folder, 64, 64)


@pytest.mark.parametrize(
    "name",
    ["ok", "OK", "Good", "normal", "OK_images", "ok-01", "OKImages", "defect_free", "no_defect",
     "良品", "01_good", "Nominal"],
)  # fmt: skip
def test_normal_test_images_of_another_name_are_no_defect(plates, plate, name):
    (plates / "plate_a/test/good").rename(plates / "plate_a/test" / name)
    with pytest.raises(DatasetError, match=rf"{name} sounds normal, .* give --good '{name}'"):
        load_folder("folder", plates, "plate_a")
    for train in ("good", name):  # of the training images either name will do
        named = load_category("folder", plates, "plate_a", good=name)
        assert len(named.train) == 5
        assert counted(named.test) == counted(plate.test)
        if train != name:
            (plates / "plate_a/train/good").rename(plates / "plate_a/train" / name)
    with pytest.raises(DatasetError, match=rf"{name} sounds normal: give --good '{name}'"):
        list_categories(only(plates, "plate_a"))


def counted(samples):
    return Counter((sample.defect, sample.path.name, bool(sample.mask)) for sample in samples)


def only(root, name):
    """A root with that category alone."""
    alone = root.parent / "alone"
    alone.mkdir()
    shutil.move(root / name, alone)
    return alone


@pytest.mark.parametrize(
    "name",
    ["broken", "not_ok", "no_good", "nok", "ko", "NG", "abnormal", "bad", "logical_anomalies",
     "token", "goodyear_missing"],
)  # fmt: skip
def test_defects_do_not_sound_normal(name):
    assert not sounds_normal(name)


def test_two_folders_that_sound_normal_are_named(plates):
    shutil.copytree(plates / "plate_a/test/good", plates / "plate_a/test/OK")
    with pytest.raises(DatasetError, match=r"test/OK sounds normal.*; move its images to"):
        load_folder("folder", plates, "plate_a")
    with pytest.raises(ConfigError, match="--good is of the data set folder; mvtec names"):
        load_category("mvtec", plates, "plate_a", good="ok")


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


def test_the_fingerprint_sees_content(plate, plates):
    """Other pictures of the same names, sizes and times are other pictures."""
    for path in (plate.train[0], plate.test[-1].path, plate.test[-1].mask):
        before, stat = plate.fingerprint(), path.stat()
        content = bytearray(path.read_bytes())
        content[-20] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        assert load_folder("folder", plates, "plate_a").fingerprint() != before
    before, first, second = plate.fingerprint(), plate.test[0].path, plate.test[1].path
    swapped = first.read_bytes(), second.read_bytes()
    second.write_bytes(swapped[0])
    first.write_bytes(swapped[1])
    assert plate.fingerprint() != before


@pytest.mark.parametrize("stray", ["0.jpg", "zzz.png", "._1.png", "Thumbs.db", "0.gif", "a/1.png"])
def test_what_is_no_image_moves_no_draw(plate, plates, stray):
    drawn = [select_shots(plate, 3, seed) for seed in range(5)]
    path = plates / "plate_a/train/good" / stray
    path.parent.mkdir(exist_ok=True)
    path.write_text("a note")
    after = load_folder("folder", plates, "plate_a")
    assert [select_shots(after, 3, seed) for seed in range(5)] == drawn
    assert drawable(after) == plate.train


def test_a_list_of_places_is_refused_where_a_stray_moves_them(plate, plates):
    stray = plates / "plate_a/train/good/002a.png"
    stray.write_text("a note")
    after = load_folder("folder", plates, "plate_a")
    assert shots_at(after, [0, 2]) == (plate.train[0], plate.train[2])
    with pytest.raises(DatasetError, match=r"002a\.png is no image, and moves the places"):
        shots_at(after, [0, 4])
    with pytest.raises(DatasetError, match=r"5 normal .* 6 shots .*002a\.png is not an image"):
        select_shots(after, 6, seed=0)


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
