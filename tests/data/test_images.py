"""The image reader: what it accepts means the same in every format, the rest is refused by name."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from finegrain.data import images
from finegrain.data.formats import PNG
from finegrain.data.images import (
    decode_rgb,
    deep_range,
    marked,
    mask_values,
    open_image,
    read_mask,
    read_rgb,
)
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


DEEP = (np.arange(16 * 24) * 10).astype(np.uint16).reshape(16, 24)  # up to 3830: a camera's 12 bits


def tiff_of(values):
    return encoded(Image.fromarray(values), "TIFF")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (tiff_of(DEEP.astype(np.float32) / 3830), "floats from 0 to 1, and nothing says"),
        (tiff_of(DEEP.astype(np.float32) - 7.5), "floats from -7.5 to 3822.5, and nothing"),
        (tiff_of(np.full((16, 24), np.nan, np.float32)), "floats that are no numbers"),
        (tiff_of(DEEP.astype(np.int32) * 1000), "integers from 0 to 3.83e"),
        (tiff_of(DEEP), "16 bits, but no value above 3,839 of 65,535"),
        (encoded(Image.fromarray(DEEP)), "16 bits, but no value above 3,839 of 65,535"),
        (encoded(Image.fromarray(DEEP * 4)), "no value above 15,359"),  # 14 bits
        (encoded(Image.fromarray(DEEP // 16)), "no value above 255"),  # 8 bits
    ],
)
def test_values_whose_white_nobody_knows_are_refused_with_a_remedy(data, told):
    with pytest.raises(ImageError, match=rf"part\.tif .*{told}.*by one and the same factor"):
        decode_rgb(data, "part.tif")


def png_of_colour(values):
    """A PNG (H,W,3) of 16 bits, which Pillow reads and does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    height, width = values.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"".join([
        PNG, chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""),
    ])  # fmt: skip


def chunk(kind, content):
    whole = kind + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


def test_colour_of_sixteen_bits_is_read_over_its_whole_range_alone():
    deep = GRADIENT.astype(np.uint16) * 257
    assert (decode_rgb(png_of_colour(deep)) == GRADIENT).all()
    with pytest.raises(ImageError, match="no value above 4,095 of 65,535"):
        decode_rgb(png_of_colour(deep >> 4))


def test_white_that_is_zero_and_twelve_packed_bits_are_known():
    whole = np.linspace(0, 65535, 16 * 24).astype(np.uint16).reshape(16, 24)
    negative = encoded(Image.fromarray(65535 - whole), "TIFF", tiffinfo={262: 0})
    assert (decode_rgb(negative)[..., 0] == whole >> 8).all()
    values = (np.arange(16 * 24) * 10).reshape(16, 24)
    pairs = values.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1
    ).astype(np.uint8)
    plain = encoded(Image.fromarray(packed.reshape(16, 36)), "TIFF")
    entries = {256: 24, 258: 12}  # width and bits, which its header gave for bytes
    for tag, value in entries.items():
        place = plain.index(struct.pack("<HH", tag, 4 if tag == 256 else 3))
        plain = plain[: place + 8] + struct.pack("<I", value) + plain[place + 12 :]
    assert (decode_rgb(plain)[..., 0] == values >> 4).all()


def test_black_is_black_at_any_depth_and_ranges_are_told():
    assert decode_rgb(encoded(Image.fromarray(np.zeros((16, 24), np.uint16)))).max() == 0
    assert deep_range(encoded(Image.fromarray(DEEP * 16))) == (0, 61280)
    assert deep_range(png_of_colour(GRADIENT.astype(np.uint16) * 257)) == (0, 255 * 257)
    assert deep_range(encoded(Image.fromarray(GRADIENT))) is None


@pytest.mark.parametrize("size", [(300, 3), (3, 300), (4, 100), (1, 9)])
def test_narrow_parts_are_read(size):
    stripe = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert (decode_rgb(encoded(Image.fromarray(stripe))) == stripe).all()


def with_texts(kind, content):
    """GRADIENT with a chunk of a PNG before its pixels."""
    plain = encoded(Image.fromarray(GRADIENT))
    return plain[:33] + chunk(kind, content) + plain[33:]  # the header has 33 bytes


LONG = zlib.compress(b"x" * (2**20 + 1))


@pytest.mark.parametrize(
    "data",
    [
        with_texts(b"zTXt", b"Comment\0\0" + LONG),
        with_texts(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
        with_texts(b"iCCP", b"profile\0\0" + LONG),
        with_texts(b"tEXt", b"Raw profile type exif\0\nexif\n   12\nno hexadecimal digits"),
        with_texts(b"eXIf", b"II*\0\xff\xff\xff\x7f"),
        with_texts(b"zTXt", b"Comment\0\0" + b"no zlib"),
    ],
)
def test_a_png_is_read_whatever_its_texts_hold(data):
    assert (decode_rgb(data) == GRADIENT).all()
    assert open_image(data, "part.png").size == (24, 16)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_photo_is_read_whatever_its_exif_holds():
    plain = Image.fromarray(GRADIENT)
    for broken in (b"Exif\0\0nothing", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"):
        assert (decode_rgb(encoded(plain, "JPEG", exif=broken))
                == decode_rgb(encoded(plain, "JPEG"))).all()  # fmt: skip


def refusal(data):
    """Why the bytes are no image; None where they are one."""
    try:
        assert decode_rgb(data, "part.x").ndim == 3
    except ImageError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore:.*EXIF data")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
def test_whatever_a_decoder_raises_names_the_file(kind):
    whole = encoded(Image.fromarray(GRADIENT), kind)
    generator = np.random.default_rng(5)
    for _ in range(60):
        data = bytearray(whole[: generator.integers(1, len(whole) + 1)])
        for place in generator.integers(0, len(data), 3):
            data[place] = generator.integers(256)
        message = refusal(bytes(data))
        assert message is None or message.startswith("part.x ")


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
        (
            encoded(Image.fromarray(GRADIENT), "GIF"),
            "is not an image that is read: it is GIF; needed PNG",
        ),
        (encoded(Image.fromarray(GRADIENT), "PPM"), "it is PPM; needed"),
        (encoded(Image.new("L", (4, 7))), "needed 8 pixels a side, of the longer one at least"),
        (b"\0\0\0\x1cftypheic and so on", "it is HEIC or AVIF; needed"),
        (b"II*\0" + bytes(40), "is not an image that can be read: a TIFF of a rare kind"),
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


def test_specks_beside_white_are_no_defect(tmp_path):
    """A JPEG rings around an edge, and a smoothed edge is grey: half of white decides."""
    drawn = np.zeros((64, 64), np.uint8)
    drawn[20:40, 20:40] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.jpg", quality=40)
    assert ((mask_values(tmp_path / "mask.jpg", 64, 64) > 0) & (drawn == 0)).sum() > 50
    assert (read_mask(tmp_path / "mask.jpg", 64, 64) == (drawn > 0)).all()
    large = Image.fromarray(drawn).resize((256, 256), Image.Resampling.BICUBIC)
    large.resize((64, 64), Image.Resampling.BOX).save(tmp_path / "smooth.png")
    assert (read_mask(tmp_path / "smooth.png", 64, 64) == (drawn > 0)).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2, 9], [0, 1, 1, 1]),  # classes
        ([0, 1, 127, 128], [0, 0, 0, 1]),
        ([0.0, 0.4, 0.5, 1.0], [0, 0, 1, 1]),
        ([0, 300, 32768, 65535], [0, 0, 1, 1]),
        ([0, 1, 300, 4095], [0, 1, 1, 1]),  # 12 bits have no white
        ([0, 90_000, 200_000, 300_000], [0, 0, 1, 1]),
        ([0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_half_of_white_is_marked_or_every_class(values, expected):
    assert marked(np.array([values])).tolist() == [[bool(one) for one in expected]]


def test_a_mask_of_floats_is_read(tmp_path):
    Image.fromarray((GRADIENT[..., 0] > 100).astype(np.float32)).save(tmp_path / "mask.tif")
    assert (read_mask(tmp_path / "mask.tif", 16, 24) == (GRADIENT[..., 0] > 100)).all()


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


def test_many_texts_take_no_longer_than_their_bytes():
    image = encoded(Image.fromarray(GRADIENT))
    text = struct.pack(">I", 3) + b"tEXta\0b" + struct.pack(">I", zlib.crc32(b"tEXta\0b"))
    start = time.monotonic()  # each cost a copy of all that follows it: half a minute
    np.testing.assert_array_equal(decode_rgb(image[:33] + text * 300_000 + image[33:]), GRADIENT)
    assert time.monotonic() - start < 5
