"""The search spaces that come with the package: copy one, change it, and give FILE.py:FUNCTION.

`finegrain search --space NAME` takes them from finegrain/studies/search/spaces.py.
"""

from finegrain.studies.search.spaces import (
    anomalydino,
    finegrained,
    padim,
    patchcore,
    promptad,
    spade,
    subspacead,
    winclip,
)

__all__ = [
    "anomalydino",
    "finegrained",
    "padim",
    "patchcore",
    "promptad",
    "spade",
    "subspacead",
    "winclip",
]
