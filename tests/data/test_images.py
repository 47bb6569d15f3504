"""The image reader: what it accepts means the same in every format, the rest is refused by name."""

import io

import numpy as np
import pytest
from PIL import Image

from finegrain.data import images
from finegrain.data.images import decode_rgb, read_mask, read_rgb
from finegrain.errors import DatasetError, ImageError

GRADIENT = np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3)


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_the_same_pixels(kind):
    assert (decode_rgb(encoded(Image.fromarray(GRADIENT), kind)) == GRADIENT).all()


def test_grey_is_repeated_and_transparency_dropped():
    grey = Image.fromarray(GRADIENT[..., 0])
    assert (decode_rgb(encoded(grey)) == GRADIENT[..., :1]).all()
    clear = np.dstack([GRADIENT, np.zeros((16, 24), np.uint8)])
    assert (decode_rgb(encoded(Image.fromarray(clear))) == GRADIENT).all()


def test_sixteen_bits_keep_their_scale():
    deep = (np.arange(16 * 24, dtype=np.uint16) * 128).reshape(16, 24)
    assert (decode_rgb(encoded(Image.fromarray(deep)))[..., 0] == deep // 256).all()


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the stored picture needs 90 degrees clockwise
    turned = decode_rgb(encoded(Image.fromarray(GRADIENT), "PNG", exif=exif))
    assert (turned == np.rot90(GRADIENT, -1)).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"GIF89a not really", "is not an image"),
        (encoded(Image.fromarray(GRADIENT), "GIF"), "is not an image"),
        (encoded(Image.fromarray(np.zeros((400, 400), np.uint8)))[:90], "damaged or cut short"),
        (encoded(Image.fromarray(GRADIENT), "JPEG")[:350], "damaged or cut short"),
        (encoded(Image.new("L", (4, 100))), "needed 8 pixels a side"),
    ],
)
def test_what_cannot_be_read_is_named(data, message):
    with pytest.raises(ImageError, match=rf"part\.png.*{message}"):
        decode_rgb(data, "part.png")


def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 16 * 24 - 1)
    with pytest.raises(ImageError, match="24x16; at most 383 pixels"):
        decode_rgb(encoded(Image.fromarray(GRADIENT)))


def test_too_many_bytes_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "big.png"
    path.write_bytes(encoded(Image.fromarray(GRADIENT)))
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match=r"big\.png has .* bytes; at most 10"):
        read_rgb(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"absent\.png can't be read: No such file"):
        read_rgb(tmp_path / "absent.png")


def test_a_mask_must_be_of_its_images_size(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(GRADIENT[..., 0] > 100).save(path)
    assert (read_mask(path, 16, 24) == (GRADIENT[..., 0] > 100)).all()
    with pytest.raises(DatasetError, match=r"24x16 but its image 25x16"):
        read_mask(path, 16, 25)


def test_a_mask_marks_all_that_is_not_black_in_any_format(tmp_path):
    marked = np.zeros((16, 24), dtype=np.uint8)
    marked[3, 5] = 1  # a class index, as dark as can be
    palette = Image.fromarray(marked)
    palette.putpalette([0, 0, 0, 0, 0, 1])  # a blue that is black once it is grey
    opaque = np.dstack([marked, marked, marked, np.full_like(marked, 255)])
    stored = {
        "grey": Image.fromarray(marked),
        "palette": palette,
        "bit": Image.fromarray(marked > 0),
        "deep": Image.fromarray(marked.astype(np.uint16)),
        "opaque": Image.fromarray(opaque),
    }
    for name, image in stored.items():
        image.save(tmp_path / f"{name}.png")
        assert np.argwhere(read_mask(tmp_path / f"{name}.png", 16, 24)).tolist() == [[3, 5]], name
