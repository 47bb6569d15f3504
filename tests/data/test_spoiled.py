"""`finegrain check` on spoiled copies of the factory names each fault, and none where none is."""

import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

from finegrain.cli.main import main
from finegrain.data.images import read_rgb
from finegrain.factory import render

PROBLEM, WARNING, NOTHING = (1, "problems:"), (0, "warnings say"), (0, "Nothing is wrong.")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A few gaskets of the factory."""
    root = tmp_path_factory.mktemp("factory") / "data"
    for folder, defect, count in (
        ("train/good", None, 4), ("test/good", None, 2), ("test/scratch", "scratch", 2),
    ):  # fmt: skip
        (root / "gasket" / folder).mkdir(parents=True)
        for index in range(count):
            part = render("gasket", folder.split("/")[0], defect, index, 0)
            Image.fromarray(part.image).save(root / "gasket" / folder / f"{index:03}.png")
            if defect:
                masks = root / "gasket/ground_truth" / defect
                masks.mkdir(parents=True, exist_ok=True)
                Image.fromarray(part.mask).save(masks / f"{index:03}_mask.png")
    return root


def first(part):
    return part / "test/scratch/000.png"


def mask(part):
    return part / "ground_truth/scratch/000_mask.png"


def resaved(path, change, suffix=None, **how):
    """The image changed, in another format where a suffix is given."""
    with Image.open(path) as image:
        changed = change(image)
    path.unlink()
    changed.save(path.with_suffix(suffix or path.suffix), **how)


def deep(image, top):
    values = np.asarray(image.convert("L"), int) * top // 255
    return Image.fromarray(values.astype(np.uint16))


def floats(part):
    resaved(first(part), lambda i: Image.fromarray(np.asarray(i.convert("F")) / 255), ".tif")


def twelve_bits(part):
    resaved(first(part), lambda i: deep(i, 4095), ".tif")


def mixed_depth(part):
    resaved(first(part), lambda i: deep(i, 65535), ".tif")


def system_folders(part):
    (part / "test/.ipynb_checkpoints").mkdir()
    for place in (part / "test/.ipynb_checkpoints/000.png", part / "train/good/._000.png"):
        shutil.copy(part / "test/good/000.png", place)


def good_is_ok(part):
    (part / "test/good").rename(part / "test/ok")


def lossy_mask(part):
    resaved(mask(part), lambda i: i.convert("L"), ".jpg", quality=60)


def tiny_region(part):
    resaved(first(part), lambda i: i.resize((1200, 1200)))
    speck = np.zeros((1200, 1200), np.uint8)
    speck[600, 600] = 255
    Image.fromarray(speck).save(mask(part))


def cut_short(part):
    first(part).write_bytes(first(part).read_bytes()[:900])


def long_text(part):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("comment", "x" * 3_000_000, zip=True)
    resaved(first(part), lambda i: i.copy(), pnginfo=info)


def capitals(part):
    mask(part).rename(mask(part).with_name("000_MASK.PNG"))


def gif(part):
    resaved(first(part), lambda i: i.copy(), ".gif")


def narrow(part):
    for path in part.rglob("*.png"):
        resaved(path, lambda i: i.crop((0, 100, 256, 140)))
    for path in (part / "ground_truth/scratch").iterdir():
        marked = np.zeros((40, 256), np.uint8)
        marked[10:20, 10:20] = 255
        Image.fromarray(marked).save(path)


def oblong(part):
    narrow(part)
    for path in part.rglob("*.png"):
        resaved(path, lambda i: i.resize((120, 40), Image.Resampling.NEAREST))


def no_test(part):
    shutil.rmtree(part / "test")
    shutil.rmtree(part / "ground_truth")


def palette(part):
    def change(image):
        found = image.convert("P")
        found.info["transparency"] = 0
        return found

    resaved(first(part), change)


def cmyk(part):
    resaved(first(part), lambda i: i.convert("CMYK"), ".jpg", quality=95)


def big_endian(part):
    path = first(part)
    with Image.open(path) as image:
        values = np.asarray(deep(image, 65535)).astype(">u2")
    path.unlink()
    Image.frombytes("I;16B", values.shape[::-1], values.tobytes()).save(path.with_suffix(".tif"))


def pages(part):
    with Image.open(part / "test/good/000.png") as other:
        resaved(
            first(part), lambda i: i.copy(), ".tif", save_all=True, append_images=[other.copy()]
        )


def turned_by_exif(part):
    exif = Image.Exif()
    exif[0x0112] = 6
    resaved(first(part), lambda i: i.copy(), ".jpg", exif=exif, quality=95)


def turned_mask(part):
    resaved(first(part), lambda i: i.resize((256, 200)))
    resaved(mask(part), lambda i: i.resize((256, 200)).transpose(Image.Transpose.ROTATE_90))


def nested(part):
    (part / "train/good/monday").mkdir()
    shutil.copy(part / "train/good/000.png", part / "train/good/monday/000.png")


def gone_link(part):
    (part / "train/good/009.png").symlink_to(part / "nowhere.png")


def looped(part):
    for name in ("loop", "hoop"):
        (part / "train/good" / name).symlink_to(part / "train", target_is_directory=True)


def one_mask_for_two(part):
    with Image.open(part / "test/scratch/001.png") as image:
        image.save(part / "test/scratch/000.jpg", quality=95)


def composed(part):
    first(part).rename(first(part).with_name(unicodedata.normalize("NFC", "é.png")))
    mask(part).rename(mask(part).with_name(unicodedata.normalize("NFD", "é_mask.png")))


def odd_name(part):
    part.rename(part.with_name("螺母 #1 50%. "))


def same_but_for_case(part):
    for name in ("A.png", "a.png"):
        shutil.copy(part / "test/good/001.png", part / "test/good" / name)


@pytest.mark.parametrize(
    ("spoil", "ends", "names"),
    [
        (lambda _: None, NOTHING, ""),
        (floats, PROBLEM, "holds floats"),
        (twelve_bits, PROBLEM, "camera's 12 bits"),
        (mixed_depth, WARNING, "1 images of 16 bits and 7 of 8"),
        (system_folders, NOTHING, ""),
        (good_is_ok, PROBLEM, "ok sounds normal"),
        (lossy_mask, WARNING, "has grey levels"),
        (tiny_region, WARNING, "smaller than a pixel of the map"),
        (cut_short, PROBLEM, "000.png is damaged or cut short"),
        (long_text, NOTHING, ""),
        (capitals, NOTHING, ""),
        (gif, WARNING, "000.gif beside the images is not read"),
        (narrow, NOTHING, ""),  # keeps its shape
        (oblong, WARNING, "keep their shape with --resize fit"),
        (no_test, NOTHING, "it is fitted, not measured"),
        (palette, NOTHING, ""),
        (cmyk, NOTHING, ""),
        (big_endian, WARNING, "hold "),
        (pages, WARNING, "000.tif has several frames, or pages"),
        (turned_by_exif, WARNING, "000.jpg is turned by its EXIF orientation and its mask is not"),
        (turned_mask, PROBLEM, "make them the same size"),
        (nested, WARNING, "train/good/monday beside the images is not read"),
        (gone_link, WARNING, "009.png beside the images is not read"),
        (looped, WARNING, "train/good/hoop (and 1 more) beside the images is not read"),
        (one_mask_for_two, PROBLEM, "000.png would share one mask"),
        (composed, NOTHING, ""),
        (odd_name, NOTHING, "螺母 #1 50%. "),
        (same_but_for_case, NOTHING, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_named(spoil, ends, names, whole, tmp_path, capsys):
    shutil.copytree(whole, tmp_path / "data")
    spoil(tmp_path / "data/gasket")
    status = main(["check", "--dataset", "folder", "--data-root", str(tmp_path / "data"),
                   "--shots", "2", "--seeds", "0"])  # fmt: skip
    told = capsys.readouterr().out
    assert (status, ends[1] in told) == (ends[0], True), told
    assert names in told, told
    assert ("Nothing is wrong." in told) == (ends is NOTHING)


@pytest.mark.parametrize("spoil", [palette, cmyk, big_endian, pages, long_text])
def test_an_image_of_another_kind_shows_the_same(spoil, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "data")
    part = tmp_path / "data/gasket"
    before = read_rgb(first(part)).astype(int)
    if spoil is big_endian:
        with Image.open(first(part)) as image:
            before = np.repeat(np.asarray(image.convert("L"), int)[..., None], 3, 2)
    spoil(part)
    [after] = (part / "test/scratch").glob("000.*")
    most = {"palette": 12, "cmyk": 4}.get(spoil.__name__, 0)  # levels of 255, in the mean
    assert np.abs(read_rgb(after).astype(int) - before).mean() <= most
