"""MVTec-AD, VisA and Real-IAD as their authors ship them."""

import json
import shutil

import pytest

from finegrain.captions.store import library
from finegrain.data import KNOWN, load_category, prepare_dataset
from finegrain.data.images import read_mask
from finegrain.data.published import published
from finegrain.data.realiad import parse_views
from finegrain.errors import ConfigError, DatasetError
from tests.data.trees import (
    SIDE,
    empty,
    mask,
    picture,
    realiad_image,
    write_converted_visa,
    write_mvtec,
    write_realiad,
    write_split,
    write_visa,
)


def names(paths):
    return [path.name for path in paths]


def samples(category):
    return [(sample.defect, sample.path.name, bool(sample.mask)) for sample in category.test]


@pytest.mark.parametrize(("dataset", "count"), [("mvtec", 15), ("visa", 12), ("realiad", 30)])
def test_every_category_has_a_caption_and_published_shots(dataset, count):
    categories = KNOWN[dataset].categories
    assert len(categories) == count
    assert list(categories) == sorted(set(categories))
    assert set(published()[dataset]) == set(categories)
    assert {c.category for c in library().values() if c.dataset == dataset} == set(categories)


# MVTec-AD


@pytest.mark.parametrize("below", [".", "mvtec_anomaly_detection"])
def test_mvtec_is_its_known_folders_alone(tmp_path, below):
    base = write_mvtec(tmp_path / below, "bottle")
    write_mvtec(base, "my_own_part")
    assert prepare_dataset("mvtec", tmp_path, ["bottle"]) == ["bottle"]
    bottle = load_category("mvtec", tmp_path, "bottle")
    assert names(bottle.train) == ["000.png", "001.png", "002.png"]
    assert samples(bottle) == [("broken", "000.png", True), ("good", "000.png", False)]
    with pytest.raises(DatasetError, match="no category 'my_own_part'; found bottle"):
        prepare_dataset("mvtec", tmp_path, ["my_own_part"])
    with pytest.raises(DatasetError, match="no category 'tile'; found bottle"):
        load_category("mvtec", tmp_path, "tile")


def test_all_of_a_data_set_is_not_some_of_it(tmp_path):
    write_mvtec(tmp_path, "bottle")
    with pytest.raises(DatasetError, match=r"no category 'cable', .*choose with --categories"):
        prepare_dataset("mvtec", tmp_path)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mvtec", r"expected CATEGORY/train/good/.*mvtec\.com"),
        ("visa", r"expected CATEGORY/Data/Images/Normal.*1cls\.csv.*spot-diff"),
        ("realiad", r"expected CATEGORY/OK/S0001.*realiad_jsons_sv.*realiad4ad"),
    ],
)
def test_missing_data_say_what_is_needed_and_from_where(tmp_path, dataset, expected):
    with pytest.raises(DatasetError, match=f"is not a folder; {expected}"):
        prepare_dataset(dataset, tmp_path / "absent")
    with pytest.raises(DatasetError, match="found nothing"):
        prepare_dataset(dataset, tmp_path)
    for index in range(14):
        empty(tmp_path / f"file{index:02}.tar")
    with pytest.raises(
        DatasetError, match=rf"found file00\.tar, .*file11\.tar and 2 more\. {expected}"
    ):
        load_category(dataset, tmp_path, "bottle")


def test_a_data_set_that_is_there_twice_is_not_chosen_from(tmp_path):
    write_realiad(tmp_path / "realiad_256", "audiojack")
    write_realiad(tmp_path / "realiad_1024", "audiojack")
    with pytest.raises(DatasetError, match=r"more than once; give one of .*realiad_1024, .*_256"):
        prepare_dataset("realiad", tmp_path)


# VisA


@pytest.mark.parametrize("below", [".", "1cls", "VisA_pytorch/1cls", "visa_pytorch"])
def test_both_layouts_of_visa_give_the_same_samples(tmp_path, below):
    write_visa(tmp_path / "a", "candle")
    write_converted_visa(tmp_path / "b" / below, "candle")
    original, converted = (load_category("visa", tmp_path / root, "candle") for root in "ab")
    assert names(original.train) == names(converted.train) == ["0002.JPG", "0005.JPG", "0007.JPG"]
    assert samples(original) == samples(converted)
    assert samples(original) == [
        ("bad", "000.JPG", True),
        ("bad", "001.JPG", True),
        ("good", "0001.JPG", False),
    ]
    for one in (original, converted):
        assert one.fingerprint()
        marked = read_mask(one.test[0].mask, SIDE, SIDE)
        assert marked[3, 5]
        assert marked.sum() == 1


def test_the_split_of_visa_must_be_there_and_name_what_is_there(tmp_path):
    root = write_visa(tmp_path, "candle")
    split = root / "split_csv/1cls.csv"
    text = split.read_text()
    split.write_text(text.replace("label", "kind"))
    with pytest.raises(DatasetError, match="has no column label; needed object,split,label"):
        load_category("visa", root, "candle")
    split.write_text(text.replace("candle,train", "candle,test"))
    with pytest.raises(DatasetError, match="names no train or no test images of candle"):
        load_category("visa", root, "candle")
    split.unlink()
    with pytest.raises(DatasetError, match=r"1cls\.csv, which says what is for training, can't be"):
        load_category("visa", root, "candle")
    split.write_text(text)
    (root / "candle/Data/Masks/Anomaly/001.png").unlink()
    with pytest.raises(DatasetError, match=r"Anomaly/001\.JPG has no mask; expected .*001\.png"):
        load_category("visa", root, "candle")
    (root / "candle/Data/Images/Normal/0005.JPG").unlink()
    with pytest.raises(DatasetError, match=r"Normal/0005\.JPG is missing"):
        load_category("visa", root, "candle")


# Real-IAD


def test_without_json_whole_good_parts_are_halved_and_that_is_said(tmp_path):
    write_realiad(tmp_path, "usb", good=6, views=2)
    one = load_category("realiad", tmp_path, "usb")
    both = load_category("realiad", tmp_path, "usb", views=["C2", "C1"])
    assert len(one.train) == 3
    assert len(both.train) == 6
    train = {path.parent for path in both.train}
    test = {sample.path.parent for sample in both.test if "OK" in sample.path.parts}
    assert len(train) == len(test) == 3
    assert train.isdisjoint(test)
    assert {path.parent for path in one.train} == train
    assert one == load_category("realiad", tmp_path, "usb")
    assert "half of the good parts, by a fixed draw, are for training" in one.notes[0]


def test_a_bad_part_seen_from_its_good_side_counts_as_good(tmp_path):
    write_realiad(tmp_path, "usb")
    bad = realiad_image("usb", 1, "C1", "QS").rpartition("/")[2]
    unseen = realiad_image("usb", 2, "C1", "HS").rpartition("/")[2]
    one = samples(load_category("realiad", tmp_path, "usb"))
    assert ("QS", bad, True) in one
    assert ("good", unseen, False) in one
    assert all("_C1_" in name for _, name, _ in one)
    both = samples(load_category("realiad", tmp_path, "usb", views=["all"]))
    assert ("HS", unseen.replace("C1", "C2"), True) in both
    assert len(both) == 2 * len(one)


@pytest.mark.parametrize("below", [".", "realiad_256", "realiad_1024"])
@pytest.mark.parametrize("folder", ["realiad_jsons", "realiad_jsons/realiad_jsons"])
def test_json_says_who_trains(tmp_path, below, folder):
    write_realiad(tmp_path / below, "usb")
    train = [realiad_image("usb", part, view) for part in (3, 1) for view in ("C2", "C1")]
    test = [realiad_image("usb", 2, view) for view in ("C1", "C2")]
    bad = [realiad_image("usb", part, "C1", kind) for part, kind in ((1, "QS"), (2, "HS"))]
    write_split(tmp_path / folder / "usb.json", "usb", train, [*test, *bad])
    usb = load_category("realiad", tmp_path, "usb")
    assert names(usb.train) == [train[3].rpartition("/")[2], train[1].rpartition("/")[2]]
    assert [(s.defect, s.path.parent.name) for s in usb.test] == [
        ("good", "S0002"),  # of NG/HS, unseen
        ("QS", "S0001"),
        ("good", "S0002"),
    ]
    assert usb.notes == ()
    assert len(load_category("realiad", tmp_path, "usb", views=["C1", "C2"]).train) == 4
    if below == "realiad_256":  # the root may be the folder of the images as well
        assert load_category("realiad", tmp_path / below, "usb") == usb


def test_the_single_view_has_a_split_of_its_own(tmp_path):
    write_realiad(tmp_path, "usb")
    first, second = ([realiad_image("usb", part, "C1")] for part in (1, 2))
    write_split(tmp_path / "realiad_jsons_sv/usb.json", "usb", first, second)
    write_split(tmp_path / "realiad_jsons/usb.json", "usb", second, first)
    assert load_category("realiad", tmp_path, "usb").train[0].parent.name == "S0001"
    shutil.rmtree(tmp_path / "realiad_jsons_sv")
    assert load_category("realiad", tmp_path, "usb").train[0].parent.name == "S0002"


def test_a_split_without_meta_is_of_its_category(tmp_path):
    write_realiad(tmp_path, "usb")
    first, second = ([realiad_image("usb", part, "C1")] for part in (1, 2))
    path = write_split(tmp_path / "realiad_jsons/usb.json", "usb", first, second)
    with_meta = load_category("realiad", tmp_path, "usb")
    split = json.loads(path.read_text())
    del split["meta"]
    path.write_text(json.dumps(split))
    assert load_category("realiad", tmp_path, "usb") == with_meta


def test_what_is_wrong_with_a_split_is_said(tmp_path):
    write_realiad(tmp_path, "usb")
    image = realiad_image("usb", 1, "C1")
    path = write_split(tmp_path / "realiad_jsons/usb.json", "usb", [image], ["OK/x_C1_1.jpg"])
    with pytest.raises(DatasetError, match=r"x_C1_1\.jpg is missing"):
        load_category("realiad", tmp_path, "usb")
    with pytest.raises(DatasetError, match="0 training and 0 test images of usb in view C4"):
        load_category("realiad", tmp_path, "usb", views=["C4"])
    path.write_text('{"train": [], "test": 3}')
    with pytest.raises(DatasetError, match=r"usb\.json is no split of Real-IAD"):
        load_category("realiad", tmp_path, "usb")
    path.rename(path.with_name("pcb.json"))
    with pytest.raises(DatasetError, match=r"no usb\.json in .*realiad_jsons; add it"):
        load_category("realiad", tmp_path, "usb")


def test_views_are_known_and_of_realiad_alone(tmp_path):
    write_mvtec(tmp_path, "bottle")
    with pytest.raises(ConfigError, match="only realiad has views"):
        load_category("mvtec", tmp_path, "bottle", views=["C1"])
    assert parse_views(["C2", "C1"]) == ("C1", "C2")
    with pytest.raises(ConfigError, match="no view C6; known: C1, C2, C3, C4, C5, or all"):
        parse_views(["C1", "C6"])


@pytest.mark.parametrize("value", [1, 7, 255])
def test_a_mask_marks_whatever_is_not_black(tmp_path, value):
    assert read_mask(mask(tmp_path / "m.png", value), SIDE, SIDE).sum() == 1


def test_an_image_is_read_by_its_suffix_in_capitals(tmp_path):
    write_mvtec(tmp_path, "bottle")
    picture(tmp_path / "bottle/train/good/900.JPG")
    assert names(load_category("mvtec", tmp_path, "bottle").train)[-1] == "900.JPG"


# What differs by the names of its folders alone


def write_loco(root, name):
    for folder, count in (("train/good", 3), ("validation/good", 2), ("test/good", 2)):
        for index in range(count):
            picture(root / name / folder / f"{index:03}.png", index)
    for kind in ("logical_anomalies", "structural_anomalies"):
        picture(root / name / "test" / kind / "000.png", 9)
        mask(root / name / "ground_truth" / kind / "000/000.png")
    mask(root / name / "ground_truth/logical_anomalies/000/001.png", value=254)


def write_btad(root, name):
    for folder in ("train/ok", "test/ok", "test/ko"):
        picture(root / name / folder / "0000.bmp", len(folder))
    mask(root / name / "ground_truth/ko/0000.png")


def write_ad2(root, name):
    for folder in ("train/good", "validation/good", "test_public/good", "test_private"):
        picture(root / name / folder / "000_regular.png", len(folder))
    picture(root / name / "test_public/bad/000_regular.png", 5)
    mask(root / name / "test_public/ground_truth/bad/000_regular_mask.png")


@pytest.mark.parametrize(
    ("dataset", "below", "name", "write", "train", "tests"),
    [
        ("mvtec_loco", "mvtec_loco_anomaly_detection", "pushpins", write_loco, 3,
         [("good", False), ("good", False), ("logical_anomalies", True),
          ("structural_anomalies", True)]),
        ("btad", "BTech_Dataset_transformed", "01", write_btad, 1,
         [("bad", True), ("good", False)]),
        ("mvtec_ad2", "mvtec_ad_2", "can", write_ad2, 1, [("bad", True), ("good", False)]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("deep", [True, False])
def test_layouts_of_other_names(tmp_path, dataset, below, name, write, train, tests, deep):
    root = tmp_path / below if deep else tmp_path
    write(root, name)
    assert prepare_dataset(dataset, tmp_path, [name]) == [name]
    found = load_category(dataset, tmp_path, name)
    assert len(found.train) == train
    assert [(s.defect.replace("ko", "bad"), bool(s.mask)) for s in found.test] == tests
    marked = [read_mask(sample.mask, SIDE, SIDE).sum() for sample in found.test if sample.mask]
    assert marked == [1] * len(marked)
    assert found.notes == found.ignored == ()
    with pytest.raises(DatasetError, match="is described by "):
        prepare_dataset(dataset, tmp_path.parent / "absent")


def test_what_systems_leave_in_realiad_is_no_part_and_no_image(tmp_path):
    root = write_realiad(tmp_path / "usb_root", "usb")
    before = load_category("realiad", root, "usb", ["all"])
    for place in ("OK", "OK/S0001", "NG", "NG/QS", "NG/QS/S0001"):
        for hidden in (".ipynb_checkpoints", "@eaDir"):
            shutil.copytree(root / "usb/OK/S0002", root / "usb" / place / hidden)
        shutil.copy(before.train[0], root / "usb" / place / f"._{before.train[0].name}")
    assert load_category("realiad", root, "usb", ["all"]) == before
