"""What a file is by its first bytes, and the pixels of a PNG without the texts around them."""

import struct
from pathlib import Path

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
PNG = b"\x89PNG\r\n\x1a\n"
READ = {  # first bytes -> format; WEBP is a RIFF
    PNG: "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
FOREIGN = {  # pictures, of kinds that are not read
    b"GIF8": "GIF", b"\0\0\0\x0cjP  ": "JPEG 2000", b"8BPS": "PSD", b"P5": "PGM", b"P6": "PPM",
    b"%PDF": "PDF", b"<svg": "SVG", b"\0\0\1\0": "ICO", b"DDS ": "DDS", b"v/1\1": "OpenEXR",
}  # fmt: skip
HEAD = 16  # bytes that tell them apart
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
ORIENTED = b"Raw profile type "  # a text that holds EXIF, and so how the camera was held


def is_image(path: Path) -> bool:
    """Whether a file begins as an image of a kind that is read, whatever its name says."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD)) in FORMATS
    except OSError:
        return False


def kind_of(head: bytes) -> str | None:
    """PNG, GIF and so on by the first bytes; None for what is no known picture."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return "HEIC or AVIF"
    return next((kind for start, kind in (READ | FOREIGN).items() if head.startswith(start)), None)


def without_texts(data: bytes) -> bytes:
    """A PNG without texts and colour profiles: nobody's pixels, and a decoder may refuse them.

    Whatever else it is, and a PNG that is cut short, is left as it is.
    """
    if not data.startswith(PNG):
        return data
    kept, place = [PNG], len(PNG)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if kind not in TEXTS or data.startswith(ORIENTED, place + 8):
            kept.append(data[place:end])
        place = end
    return b"".join([*kept, data[place:]])
