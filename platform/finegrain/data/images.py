"""The one door for pixels: bytes of an image file in, RGB out, or an ImageError that says why."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from finegrain.data.formats import FORMATS, HEAD, kind_of, without_texts
from finegrain.data.listing import images
from finegrain.errors import DatasetError, ImageError, ImageFormatError, ImageSizeError

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MIN_SIDE = 8  # the shorter one may be less: a thin part
WHITE = 65535  # of 16 bits
DARKEST = 64  # of 256 levels: below a quarter of white, 16 bits hold a smaller range, or nothing
REMEDY = (
    "bring all images of the part to 8 bits by one and the same factor; docs/troubleshooting.md "
    "has the lines"
)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip

Values = npt.NDArray[Any]  # (H,W) of whatever type a file holds


def decode_rgb(data: bytes, source: str = "image") -> npt.NDArray[np.uint8]:
    """The bytes of an image file -> (H,W,3) RGB, turned upright by its EXIF orientation.

    Grey is repeated, transparency dropped, 16 bits reduced to 8, of several frames the first taken.

    Raises:
        ImageError: empty, not an image, damaged, larger than the limits, or of values whose white
            nobody knows: floats, 32-bit integers, 16 bits that stay below a quarter of white.
    """
    image, raw = _decode(data, source)
    return np.asarray(_to_rgb(image, raw, source))


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """An image file -> (H,W,3) RGB; see `decode_rgb`."""
    return decode_rgb(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """The content of an image file, refused unread where it exceeds `MAX_BYTES`."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ImageSizeError(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} can't be read: {error.strerror}") from error


def deep_range(data: bytes, source: str = "image") -> tuple[int, int] | None:
    """The lowest and the highest value of 65535 of an image of 16 bits; None for one of 8."""
    if not _is_deep(open_image(data, source)):
        return None
    image, raw = _decode(data, source)
    values = _sixteen(image, raw) if image.mode.startswith("I;16") else 257 * np.asarray(image, int)
    return int(values.min()), int(values.max())


def oddities(data: bytes, source: str = "image") -> tuple[bool, int]:
    """Whether EXIF turns the image, and how many frames its file has, of which one is read."""
    image = open_image(data, source)
    return _turn(image) is not None, int(getattr(image, "n_frames", 1))


def read_mask(path: Path, height: int, width: int) -> npt.NDArray[np.bool_]:
    """A mask file -> (H,W), true where it is `marked`; a folder of them is marked by any.

    Raises:
        DatasetError: the mask is not of its image's size.
    """
    layers = [marked(layer) for layer in mask_layers(path, height, width)]
    return np.asarray(np.any(layers, axis=0))


def mask_layers(path: Path, height: int, width: int) -> list[Values]:
    """The values of a mask file, or of each in a folder of them; errors as for `read_mask`."""
    paths = images(path) if path.is_dir() else [path]
    if not paths:
        raise DatasetError(f"{path} holds no mask; add some, or remove the folder")
    return [mask_values(one, height, width) for one in paths]


def mask_values(path: Path, height: int, width: int) -> Values:
    """A mask file -> (H,W), of several channels the highest; errors as for `read_mask`."""
    image, _ = _decode(read_bytes(path), str(path))
    if image.size != (width, height):
        raise DatasetError(
            f"mask {path} is {image.width}x{image.height} but its image {width}x{height}; "
            "make them the same size"
        )
    if image.mode not in ("1", "L", "F") and not image.mode.startswith("I"):
        image = image.convert("RGB")  # the colours of a palette; without transparency
    return np.asarray(np.atleast_3d(np.asarray(image)).max(axis=-1))  # (H,W,1) or (H,W,3)


def marked(values: Values) -> npt.NDArray[np.bool_]:
    """Where a mask's values (H,W) are anomalous: at least half of white, of 1, 255 or 65535.

    A mask without white holds class indices: all above 0 is anomalous, however dark.
    """
    top = float(values.max(initial=0))
    white = next((white for white in (1, 255, WHITE) if top <= white), top)
    return np.asarray(values >= white / 2 if top >= white / 2 else values > 0)


def open_image(data: bytes, source: str) -> Image.Image:
    """The image by its header alone, nothing decoded yet; errors as for `decode_rgb`."""
    if not data:
        raise ImageError(f"{source} is empty; needed {', '.join(FORMATS)}")
    try:
        image = Image.open(io.BytesIO(without_texts(data)), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageFormatError(_unread(data, source)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageSizeError(f"{source} has more than {MAX_PIXELS:,} pixels") from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything
        raise ImageError(f"{source} is damaged or cut short: {error}") from error
    size = f"{source} is {image.width}x{image.height}"
    if image.width * image.height > MAX_PIXELS:
        raise ImageSizeError(f"{size}; at most {MAX_PIXELS:,} pixels are read")
    if max(image.size) < MIN_SIDE:
        raise ImageSizeError(f"{size}; needed {MIN_SIDE} pixels a side, of the longer one at least")
    return image


def _unread(data: bytes, source: str) -> str:
    kind, needed = kind_of(data[:HEAD]), ", ".join(FORMATS)
    if kind in FORMATS:
        return f"{source} is not an image that can be read: a {kind} of a rare kind, or damaged"
    found = f" that is read: it is {kind}" if kind else ""
    return f"{source} is not an image{found}; needed {needed}"


def _decode(data: bytes, source: str) -> tuple[Image.Image, str]:
    """The decoded first frame, upright, and how its file packs the values."""
    image = open_image(data, source)
    raw = _packing(image)
    try:
        image.load()
        return _upright(image), raw
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"{source} is damaged or cut short: {error}") from error


def _packing(image: Image.Image) -> str:
    """Pillow's word for it, such as RGB;16B."""
    for tile in getattr(image, "tile", ()):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        return str(args[0]) if args else ""
    return ""


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or ";16" in _packing(image)


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What EXIF asks for; what can't be understood there says nothing."""
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # nobody's pixels
        return None


def _to_rgb(image: Image.Image, raw: str, source: str) -> Image.Image:
    """8-bit RGB; PIL would clip deep grey at 255 instead of scaling it."""
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        finite = values[np.isfinite(values)]
        span = (
            f"from {finite.min():g} to {finite.max():g}" if finite.size else "that are no numbers"
        )
        kind = "floats" if image.mode == "F" else "32-bit or signed integers"
        raise ImageFormatError(
            f"{source} holds {kind} {span}, and nothing says which is white; {REMEDY}"
        )
    checked = ";16" in raw
    if image.mode.startswith("I;16"):
        values = _sixteen(image, raw)
        checked = raw != "I;12" and bool(values.any())  # black is black at any depth
        image = Image.fromarray((values >> 8).astype(np.uint8))
    rgb = image.convert("RGB")
    if checked:
        _check_span(rgb, source)
    return rgb


def _sixteen(image: Image.Image, raw: str) -> npt.NDArray[np.uint16]:
    """Grey values of 65535."""
    values = np.asarray(image).astype(np.uint16)
    if raw == "I;12":  # packed, so that white is known
        values = ((values << 4) | (values >> 8)).astype(np.uint16)
    white_is_zero = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0
    return ~values if white_is_zero else values


def _check_span(rgb: Image.Image, source: str) -> None:
    """ImageFormatError where 16 bits hold 8, 10, 12 or 14: all would be read as nearly black."""
    highest = int(np.asarray(rgb).max())
    if highest < DARKEST:
        raise ImageFormatError(
            f"{source} has 16 bits, but no value above {256 * highest + 255:,} of {WHITE:,}: it "
            f"would be read as {highest + 1} levels of nearly black. Is it a camera's 12 bits? "
            f"If so, {REMEDY}"
        )
