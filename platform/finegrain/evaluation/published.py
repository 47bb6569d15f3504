"""The numbers that the paper publishes, as data; every table that shows one marks it with †."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

MARK = "†"
SOURCE = (
    f"{MARK} published in 'Towards Fine-Grained Vision-Language Alignment for Few-Shot Anomaly "
    "Detection', not measured here"
)
# What the paper calls the methods that are run here; its own as its text has it.
METHODS = {
    "PaDiM": "padim",
    "SPADE": "spade",
    "PatchCore": "patchcore",
    "WinCLIP+": "winclip",
    "PromptAD": "promptad",
    "FineGrainedAD": "finegrained:paper",
}


@dataclass(frozen=True)
class PublishedRow:
    """One published setting: AUROCs in percent, None where the paper has none.

    `method` and `backbone` are the paper's words; `backbone`, `params` and the like are None where
    its table does not name them, `shots` where all normal images were used.
    """

    table: int
    method: str
    dataset: str
    shots: int | None
    image_auroc: float | None = None
    pixel_auroc: float | None = None
    backbone: str | None = None
    params: str | None = None
    auxiliary_data: bool | None = None
    variant: str | None = None  # of an ablation, as finegrain.studies.variants calls it
    resolution: int | None = None
    tokens: int | None = None
    inference_ms: float | None = None  # an image

    @property
    def setting(self) -> str:
        """K-shot or full-shot."""
        return "full-shot" if self.shots is None else f"{self.shots}-shot"

    @property
    def measured_as(self) -> str:
        """What a measured run of it is called: NAME or NAME:VARIANT."""
        method = METHODS.get(self.method, self.method)
        name = method.partition(":")[0]
        return f"{name}:{self.variant}" if self.variant else method

    @property
    def scores(self) -> dict[str, float]:
        """The defined scores, by the names that measured runs give them."""
        found = {"image_auroc": self.image_auroc, "pixel_auroc": self.pixel_auroc}
        return {name: value for name, value in found.items() if value is not None}


@cache
def published_rows(table: int | None = None) -> tuple[PublishedRow, ...]:
    """The published rows of one table, or of all of them, in the paper's order."""
    stored = json.loads(files(__package__).joinpath("published.json").read_text())
    rows = tuple(PublishedRow(**row) for row in stored)
    return tuple(row for row in rows if table in (None, row.table))
