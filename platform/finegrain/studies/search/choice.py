"""What a user asks of a search beside its grid; options of the command line, as grid.py's are."""

from typing import Literal

from pydantic import Field

from finegrain.benchmark.grid import Record


class SearchChoice(Record):
    """How settings are found and judged."""

    space: str | None = Field(
        default=None,
        description="a function of finegrain/studies/search/spaces.py, or FILE.py:FUNCTION "
        "[the method's]",
    )
    samples: int = Field(default=30, ge=1, description="settings in all")
    searcher: Literal["random", "optuna"] = Field(default="optuna", description="who proposes them")
    scheduler: Literal["asha", "none"] = Field(
        default="asha", description="asha stops poor ones early"
    )
    metric: str = Field(default="pixel_auroc", description="what is to be high, of the objective")
    objective: Literal["validation", "test"] = Field(
        default="validation", description="validation sees the shots alone; test leaks, for study"
    )
    study: bool = Field(
        default=False,
        description="measure the test score of every setting beside, unseen by the search",
    )
