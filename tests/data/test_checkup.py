"""The checkup finds what was spoilt, and nothing where nothing was."""

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
