"""Letters in pictures: a category may be called 螺母 or Gehäuse, and no letter becomes a box.

Pillow's own font has Latin letters. For others a font of this machine is looked for; where there is
none, accents go, and what is left is told by its number, such as U+87BA.
"""

import unicodedata
from collections.abc import Callable
from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf",
    "Arial Unicode.ttf", "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf",
    "SourceHanSansCN-Regular.otf", "wqy-zenhei.ttc", "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf", "uming.ttc", "msyh.ttc", "simsun.ttc",
    "meiryo.ttc", "malgun.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",
)  # fmt: skip
NO_LETTER = "\U0010ffff"  # no font has it, so it is drawn as what a missing one becomes


def lettered(text: str, size: int) -> tuple[str, Font]:
    """The text as it can be written in full, and the font for it."""
    own = ImageFont.load_default(size)
    for font in (own, *_others(size)):
        if _has_all(font, text):
            return text, font
    return spelt(text, lambda part: _has_all(own, part)), own


def spelt(text: str, written: Callable[[str], bool]) -> str:
    """The text without what `written` denies: accents go, other letters become numbers."""
    return "".join(letter if written(letter) else _told(letter, written) for letter in text)


def _told(letter: str, written: Callable[[str], bool]) -> str:
    plain = unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in plain if not unicodedata.combining(part))
    return plain if plain and written(plain) else f"U+{ord(letter):04X}"


def _has_all(font: Font, text: str) -> bool:
    return all(_drawn(font, letter) != _drawn(font, NO_LETTER) for letter in set(text))


@cache
def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


@cache
def _others(size: int) -> tuple[Font, ...]:
    """The fonts that this machine has of FONTS."""
    found = []
    for name in FONTS:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return tuple(found)
