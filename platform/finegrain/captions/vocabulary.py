"""The closed lists of attribute values, and how a sentence may say them.

The base lists are those of the published captions; what the categories at hand need beyond them
stands apart. A value may join base values: "red and yellow", "smooth with threaded".
"""

import re

_PUBLISHED: dict[str, tuple[str, ...]] = {
    "color": (
        "black", "blue", "brown", "gray", "green", "grey", "light beige", "light brown",
        "light orange", "metallic grey", "metallic silver", "red specks", "silver",
        "various browns", "white", "yellow",
    ),
    "texture": (
        "bristled", "granular", "rough", "smooth", "threaded", "textured", "fuzzy", "crinkled",
        "knitted", "woven",
    ),
    "shape": (
        "circular", "conical head", "crescent", "cylindrical", "diamond-shaped", "flat",
        "four protrusions", "interlock", "irregular", "kidney-shaped", "oval", "radial spokes",
        "rectangular", "rounded", "semi-circular", "spherical",
    ),
    "location": (
        "both sides", "bottom", "bottom left", "bottom right", "center", "corners",
        "entire image", "evenly distributed", "left", "right", "right center", "scattered",
        "throughout", "top", "top center", "top left", "top right",
    ),
    "number": ("1", "2", "3", "4", "multiple"),
}  # fmt: skip
_ADDED: dict[str, tuple[str, ...]] = {
    "color": (
        "beige", "copper", "cyan", "dark brown", "dark green", "dark grey", "gold", "orange",
        "pink", "purple", "red", "transparent",
    ),
    "texture": ("dotted", "glossy", "matte", "metallic", "striped", "transparent"),
    "shape": (
        "conical", "cross-shaped", "elongated", "hexagonal", "multiple holes", "ring-shaped",
        "square", "star-shaped", "straight", "triangular", "tubular",
    ),
    "location": ("bottom center", "left center"),
    "number": ("5", "6"),
}  # fmt: skip
VOCABULARY: dict[str, tuple[str, ...]] = {
    name: (*values, *_ADDED[name]) for name, values in _PUBLISHED.items()
}
ATTRIBUTES = tuple(VOCABULARY)
DIRECTIONS = (
    "vertical",
    "horizontal",
    "diagonal",
    "upward",
    "downward",
)  # an open list's opposites

NUMBER_WORDS: dict[str, tuple[str, ...]] = {
    "1": ("one", "a single", "1"),
    "2": ("two", "2"),
    "3": ("three", "3"),
    "4": ("four", "4"),
    "5": ("five", "5"),
    "6": ("six", "6"),
    "multiple": ("multiple", "several", "many"),
}
ALIKE: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            {"gray", "grey", "silver", "metallic grey", "metallic silver", "dark grey"},
            {"brown", "dark brown", "light brown", "various browns", "copper"},
            {"beige", "light beige"},
            {"orange", "light orange", "gold", "yellow"},
            {"red", "red specks"},
            {"rough", "granular", "textured", "woven", "knitted", "crinkled"},
            {"smooth", "glossy", "metallic", "matte", "transparent"},
            {"bristled", "fuzzy"},
            {"circular", "rounded", "oval", "ring-shaped", "spherical", "radial spokes"},
            {"rectangular", "square", "straight", "elongated", "flat", "cylindrical", "tubular"},
            {"conical", "conical head"},
            {"center", "evenly distributed", "entire image", "throughout", "scattered"},
            {"corners", "both sides"},
            {"right", "right center"},
            {"left", "left center"},
            {"top", "top center"},
            {"bottom", "bottom center"},
            {"vertical", "upward", "downward"},
        ),
    )
)
"""Values that the same thing may bear; none of them stands for an anomaly of another."""
_JOINTS = re.compile(r" and | or | with ")


def base_values(phrase: str) -> list[str]:
    """The values that a phrase joins with "and", "or" and "with"."""
    return _JOINTS.split(phrase)


def alike_values(phrase: str) -> set[str]:
    """The values that a phrase joins, and all that the same thing may bear instead."""
    own = set(base_values(phrase))
    return own.union(*(group for group in ALIKE if group & own))


def unknown_values(attribute: str, phrase: str) -> list[str]:
    """The parts of a phrase that are not in the attribute's closed list."""
    return [value for value in base_values(phrase) if value not in VOCABULARY[attribute]]


def words_for(attribute: str, value: str) -> tuple[str, ...]:
    """How a sentence may say a value, the usual way first."""
    return NUMBER_WORDS[value] if attribute == "number" else (value,)


def find_value(sentence: str, attribute: str, value: str) -> tuple[int, int] | None:
    """Where a sentence first says a value, as (start, end) of whole words; None where nowhere."""
    return next(iter(find_values(sentence, attribute, value)), None)


def find_values(sentence: str, attribute: str, value: str) -> list[tuple[int, int]]:
    """All places where a sentence says a value, by the usual words first."""
    return [span for words in words_for(attribute, value) for span in find_words(sentence, words)]


def find_words(sentence: str, words: str) -> list[tuple[int, int]]:
    """All places where a sentence says these words, as (start, end) of whole words."""
    found = re.finditer(rf"(?<![\w-]){re.escape(words)}(?![\w-])", sentence, re.IGNORECASE)
    return [match.span() for match in found]
