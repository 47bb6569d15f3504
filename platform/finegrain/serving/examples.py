"""Pictures to try: individuals of the factory that are in no data set, and the canary."""

from functools import cache, lru_cache

from finegrain.decision.canary import canary
from finegrain.evaluation.figures import png
from finegrain.factory import CATEGORIES, render

INDIVIDUAL = 900  # far above the data set's own
EACH = 2  # good ones, and of each defect

EXAMPLES: dict[str, list[str]] = {
    name: [f"{kind}-{i}" for kind in ("good", *part.defects) for i in range(EACH)]
    for name, part in CATEGORIES.items()
}


@lru_cache(maxsize=64)
def example_png(category: str, name: str) -> bytes:
    """The file of one of EXAMPLES."""
    kind, _, index = name.rpartition("-")
    defect = None if kind == "good" else kind
    return png(render(category, "test", defect, INDIVIDUAL + int(index), 0).image)


@cache
def canary_png() -> bytes:
    """The canary's file: a small image that any category can score."""
    return png(canary())
