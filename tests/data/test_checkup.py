"""The checkup finds what was spoilt, and nothing where nothing was."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finegrain.data.checkup import Checkup
from finegrain.data.images import read_rgb
from finegrain.data.likeness import look
from finegrain.errors import ConfigError
from tests.data.trees import mask, picture, write_mvtec, write_realiad, write_visa

JOB = Path(__file__).parents[2] / "jobs" / "check_data.py"


def check(root, dataset="folder", **options):
    return Checkup(dataset, root, **({"shots": [2], "seeds": [0]} | options)).run()


def test_good_data_are_counted_and_nothing_is_wrong(plates):
    calls = []
    found = check(plates, shots=[5], progress=lambda *call: calls.append(call))
    assert found.problems == []
    one = found.categories[0]
    assert (one.name, one.train, one.good, one.defects) == ("plate_a", 5, 4, {"hole": 4})
    assert set(one.sizes) == {(64, 64)}
    assert calls == [(done, 26) for done in range(1, 27)]
    text = found.text()
    words = " ".join(text.split())
    assert "| plate_a | 5 | 4 | 4 | 64x64 | 64x64 | 64x64 | 0 | 0 |" in words
    assert "| plate_b/hole | 4 | 0 | 0 | 0 | 0 |" in words
    assert text.endswith("Nothing is wrong.")
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert all(len({len(line) for line in table}) == 1 for table in tables)  # they line up


@pytest.mark.parametrize(
    ("spoil", "fault", "message"),
    [
        (lambda a: (a / "ground_truth/hole/001_mask.png").unlink(), "missing", "has no mask"),
        (lambda a: mask(a / "ground_truth/hole/001_mask.png", 0, 64), "empty", "is all black"),
        (lambda a: mask(a / "ground_truth/hole/001_mask.png"), "other size", "is 16x16 but"),
        (
            lambda a: (a / "ground_truth/hole/001_mask.png").write_bytes(b"no"),
            "unreadable",
            "is not an image",
        ),
        (lambda a: (a / "train/good/003.png").write_bytes(b""), None, r"003\.png is empty"),
        (lambda a: (a / "test/hole/003.png").write_bytes(b"x"), None, r"003\.png is not an image"),
        (lambda a: shutil.rmtree(a / "test"), None, "test holds no image"),
        (
            lambda a: shutil.copy(a / "test/good/000.png", a / "train/good/000.png"),
            None,
            r"shot .*train/good/000\.png and .*test/good/000\.png are the same file",
        ),
    ],
)
def test_what_is_spoilt_is_found_once_and_does_not_end_the_checkup(plates, spoil, fault, message):
    spoil(plates / "plate_a")
    found = check(plates, shots=[5])
    assert len(found.problems) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found.problems[0])
    assert found.categories[0].mask_faults == ({("hole", fault): 1} if fault else {})
    assert found.categories[1].train == 5
    assert "1 problems:" in found.text()


def rewritten(path, change, **options):
    """The picture's pixels (64,64,3), changed and stored under the same name or that suffix."""
    suffix = options.pop("suffix", path.suffix)
    changed = change(np.asarray(Image.open(path)))
    path.unlink()
    Image.fromarray(changed).save(path.with_suffix(suffix), **options)


def deep(factor):
    return lambda pixels: pixels[..., 0].astype(np.uint16) * factor


SPOILT = {
    "floats": (
        lambda a: rewritten(
            a / "test/good/001.png", lambda p: p[..., 0].astype(np.float32) / 255, suffix=".tif"
        ),
        "holds floats from .* by one and the same factor",
    ),
    "12 bits": (
        lambda a: rewritten(a / "test/good/001.png", deep(16)),
        "16 bits, but no value above .* by one and the same factor",
    ),
    "32 bits": (
        lambda a: rewritten(
            a / "train/good/001.png", lambda p: p[..., 0].astype(np.int32), suffix=".tif"
        ),
        "holds 32-bit or signed integers",
    ),
    "good of another name": (
        lambda a: (a / "test/good").rename(a / "test/OK_images"),
        "sounds normal, but would count as a defect; give --good 'OK_images'",
    ),
    "text named png": (
        lambda a: (a / "train/good/notes.png").write_text("taken on Monday"),
        r"notes\.png is not an image",
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_each_fault_that_makes_numbers_wrong_is_a_problem(plates, fault):
    spoil, message = SPOILT[fault]
    spoil(plates / "plate_a")
    found = check(plates, shots=[5])
    [problem] = found.problems
    assert re.search(message, problem), problem
    assert not found.text().endswith("Nothing is wrong.")


ODD = {
    "grey mask": (
        lambda a: rewritten(
            a / "ground_truth/hole/001_mask.png",
            lambda m: m.astype(np.uint8) * 255, suffix=".jpg", quality=40,
        ),
        "has grey levels; what is darker than half of white is good",
    ),
    "small defect": (
        lambda a: large(a / "test/hole/001.png", a / "ground_truth/hole/001_mask.png"),
        "1 regions of plate_a's masks are smaller than a pixel of the map and count as one",
    ),
    "GIF beside": (
        lambda a: (a / "test/hole/004.gif").write_bytes(b"GIF89a"),
        r"hole/004\.gif beside the images is not read; move it away",
    ),
    "folder within": (
        lambda a: shutil.copytree(a / "test/good", a / "test/good/Monday"),
        r"test/good/Monday beside the images is not read; move it away",
    ),
    "narrow": (
        lambda a: rewritten(a / "test/good/001.png", lambda p: p[:20]),
        "plate_a has 1 images like 64x20; they become square when they are encoded, by more than 2",
    ),
    "two depths": (
        lambda a: rewritten(a / "test/good/001.png", deep(257)),
        "plate_a has 1 images of 16 bits and 12 of 8: are they of one brightness",
    ),
    "no good test image": (
        lambda a: shutil.rmtree(a / "test/good"),
        "plate_a has no good test image: image AUROC has no value",
    ),
}  # fmt: skip


def large(image, mask_file):
    """An image of 1200 pixels a side with a defect of 2 x 2."""
    Image.open(image).resize((1200, 1200)).save(image)
    marks = np.zeros((1200, 1200), np.uint8)
    marks[601:603, 601:603] = 255
    Image.fromarray(marks).save(mask_file)


@pytest.mark.parametrize("oddity", ODD)
def test_what_is_odd_is_a_warning_while_numbers_stay_right(plates, oddity):
    spoil, message = ODD[oddity]
    spoil(plates / "plate_a")
    found = check(plates)
    assert found.problems == []
    [warning] = found.warnings
    assert re.search(message, warning), warning
    text = found.text()
    assert "1 warnings:" in text
    assert not text.endswith("Nothing is wrong.")


LEFT = {
    "checkpoints": lambda a: shutil.copytree(a / "test/good", a / "test/.ipynb_checkpoints"),
    "thumbs": lambda a: (a / "test/hole/Thumbs.db").write_bytes(b"x"),
    "mac": lambda a: (a / "train/good/._000.png").write_bytes(b"Mac OS X"),
    "texts": lambda a: (a / "license.txt").write_text("CC"),
    "upper case": lambda a: [
        path.rename(path.with_suffix(".PNG")) for path in (a / "ground_truth/hole").iterdir()
    ],
}


@pytest.mark.parametrize("left", LEFT)
def test_what_systems_leave_is_not_wrong(plates, left):
    before = check(plates).text()
    LEFT[left](plates / "plate_a")
    assert check(plates).text() == before
    assert before.endswith("Nothing is wrong.")


def test_the_range_of_deep_images_is_told(plates):
    for path in (plates / "plate_a").glob("t*/*/*.png"):
        rewritten(path, deep(257))
    found = check(plates, categories=["plate_a"])
    assert found.problems == found.warnings == []
    assert re.search(r"plate_a: 13 images of 16 bits hold \d+ to \d+ of 65535", found.text())


def test_the_name_of_good_folders_is_taken(plates):
    for place in ("train", "test"):
        (plates / "plate_a" / place / "good").rename(plates / "plate_a" / place / "ok")
    found = check(plates, categories=["plate_a"], good="ok")
    assert found.text().endswith("Nothing is wrong.")
    assert (found.categories[0].good, found.categories[0].defects) == (4, {"hole": 4})


def test_good_photos_alone_are_no_problem_but_a_note(plates):
    for spare in ("test", "ground_truth"):
        shutil.rmtree(plates / "plate_a" / spare)
    found = check(plates, shots=[5])
    assert found.problems == []
    assert "plate_a has no test image: it is fitted, not measured" in found.text()


def test_more_shots_than_images_are_a_problem(plates):
    assert "6 shots were asked for" in check(plates, shots=[6]).problems[0]


def test_known_categories_that_are_missing_are_a_problem_unless_chosen_away(tmp_path):
    write_mvtec(tmp_path, "bottle")
    found = check(tmp_path, "mvtec")
    assert len(found.missing) == 14
    assert "category cable is missing" in found.problems
    assert check(tmp_path, "mvtec", categories=["bottle"]).problems == []
    shutil.rmtree(tmp_path / "bottle/ground_truth")
    found = check(tmp_path, "mvtec", categories=["bottle"])
    assert found.categories[0].mask_faults == {("broken", "missing"): 1}


def test_sizes_are_told_by_their_pixels(tmp_path):
    write_mvtec(tmp_path, "bottle")
    for index, size in enumerate(((40, 10), (100, 9), (12, 12))):
        Image.new("RGB", size).save(tmp_path / f"bottle/train/good/{index:03}.png")
    text = check(tmp_path, "mvtec", categories=["bottle"]).text()
    assert "| 12x12 | 16x16 | 100x9 |" in " ".join(text.split())


def test_every_layout_is_checked(tmp_path):
    visa = check(write_visa(tmp_path / "v", "candle"), "visa", categories=["candle"])
    assert visa.problems == []
    assert visa.categories[0].defects == {"bad": 2}
    root = write_realiad(tmp_path / "r", "usb")
    usb = check(root, "realiad", categories=["usb"], views=["all"])
    assert usb.problems == []
    assert usb.categories[0].defects == {"QS": 2, "HS": 1}
    assert "by a fixed draw" in usb.text()


def test_published_shots_are_checked_for_their_presence(tmp_path):
    write_mvtec(tmp_path, "bottle")
    found = check(tmp_path, "mvtec", categories=["bottle"], published=True)
    assert "of the published 2 shots of bottle, 2 are not among" in found.problems[0]
    with pytest.raises(ConfigError, match="no shots were published for folder"):
        check(tmp_path, "folder", published=True)
    with pytest.raises(ConfigError, match="no dataset 'mvtek'"):
        check(tmp_path, "mvtek")


@pytest.mark.parametrize("change", ["quality", "double", "lighter"])
def test_a_changed_copy_of_a_shot_is_nearly_it(plates, change):
    shot = Image.open(plates / "plate_a/train/good/002.png")
    copy = plates / "plate_a/test/good/900.jpg"
    if change == "double":
        shot = shot.resize((128, 128))
    elif change == "lighter":
        shot = Image.fromarray((np.asarray(shot) + 9).astype(np.uint8))
    shot.save(copy, quality=70)
    found = check(plates, shots=[5], categories=["plate_a"])
    assert found.problems == []
    assert copy in [twin.other for twin in found.categories[0].twins]
    assert "| train/good/002.png | test/good/900.jpg |" in " ".join(found.text().split())


def test_other_pictures_are_not_alike(tmp_path):
    looks = [look(read_rgb(picture(tmp_path / f"{seed}.png", seed))) for seed in range(8)]
    assert all(one.like(one) for one in looks)
    pairs = [(a, b) for i, a in enumerate(looks) for b in looks[:i]]
    assert not any(a.like(b) for a, b in pairs)
    assert max(a.correlation(b) for a, b in pairs) < 0.5  # of independent noise: about 0


def test_the_job_prints_and_ends_with_what_it_found(plates):
    command = [sys.executable, JOB, "--dataset", "folder", "--data-root", plates]
    done = subprocess.run([*command, "--shots", "2"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Nothing is wrong." in done.stdout
    (plates / "plate_a/test/good/000.png").write_bytes(b"")
    done = subprocess.run([*command, "--shots", "2"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "000.png is empty" in done.stdout
    done = subprocess.run([*command[:-1], plates / "absent"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "is not a folder" in done.stderr
