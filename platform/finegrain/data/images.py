"""The one door for pixels: bytes of an image file in, RGB out, or an ImageError that says why."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from finegrain.errors import DatasetError, ImageError, ImageFormatError, ImageSizeError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MIN_SIDE = 8


def decode_rgb(data: bytes, source: str = "image") -> npt.NDArray[np.uint8]:
    """The bytes of an image file -> (H,W,3) RGB, turned upright by its EXIF orientation.

    Grey is repeated, transparency dropped, 16 bits reduced to 8, of several frames the first taken.

    Raises:
        ImageError: empty, not an image, damaged, smaller or larger than the limits.
    """
    return np.asarray(_to_rgb(_decode(data, source)))


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


def read_mask(path: Path, height: int, width: int) -> npt.NDArray[np.bool_]:
    """A mask file -> (H,W), true where it is not black, however dark: it may hold class indices.

    Raises:
        DatasetError: the mask is not of its image's size.
    """
    image = _decode(read_bytes(path), str(path))
    if image.size != (width, height):
        raise DatasetError(
            f"mask {path} is {image.width}x{image.height} but its image {width}x{height}; "
            "make them the same size"
        )
    if image.mode not in ("1", "L") and not image.mode.startswith("I"):
        image = image.convert("RGB")  # the colours of a palette; without transparency
    values = np.atleast_3d(np.asarray(image))  # (H,W,1) or (H,W,3)
    return np.asarray((values > 0).any(axis=-1))


def _decode(data: bytes, source: str) -> Image.Image:
    """The decoded first frame, upright."""
    image = open_image(data, source)
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, EOFError) as error:
        raise ImageError(f"{source} is damaged or cut short: {error}") from error


def open_image(data: bytes, source: str, max_pixels: int | None = None) -> Image.Image:
    """The image by its header alone, nothing decoded yet; errors as for `decode_rgb`."""
    max_pixels = max_pixels or MAX_PIXELS
    if not data:
        raise ImageError(f"{source} is empty; needed {', '.join(FORMATS)}")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageFormatError(f"{source} is not an image; needed {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise ImageSizeError(f"{source} has more than {max_pixels:,} pixels") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ImageError(f"{source} is damaged or cut short: {error}") from error
    size = f"{source} is {image.width}x{image.height}"
    if image.width * image.height > max_pixels:
        raise ImageSizeError(f"{size}; at most {max_pixels:,} pixels are read")
    if min(image.size) < MIN_SIDE:
        raise ImageSizeError(f"{size}; needed {MIN_SIDE} pixels a side")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; PIL would clip 16-bit grey at 255 instead of scaling it."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")
