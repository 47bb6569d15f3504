"""What a user asks of a benchmark.

A field here is an option of the command line as well (see cli/options.py): its description is the
help, where {MODULE.TABLE} stands for the names in that table. Nothing dear is imported, so that
`finegrain --help` is quick.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Selection = Literal["seeded", "published"]
CaptionSource = Literal["library", "photos"]
Resizing = Literal["auto", "fit", "squash"]  # backbones/frame.py, which is dear to import


@dataclass(frozen=True)
class Flag:
    """How the command line has a field, where --its-name and its values would not do.

    Args:
        names: in place of --its-name.
        metavar: what stands for a value in the help.
        repeated: the option is given once for each value.
    """

    names: tuple[str, ...] = ()
    metavar: str | None = None
    repeated: bool = False


class Record(BaseModel):
    """Values that are checked, never change, and know no other names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataChoice(Record):
    """What names the files of a category."""

    dataset: str = Field(default="factory", description="{finegrain.data.DATASETS}")
    data_root: Annotated[Path | None, Flag(metavar="DIR")] = Field(
        default=None,
        description="folder of the categories; the factory is rendered where none is given",
    )
    shot_selection: Selection = Field(
        default="seeded", description="published: as in published results, mvtec, visa, realiad"
    )
    views: Annotated[tuple[str, ...], Flag(metavar="VIEW")] = Field(
        default=(), description="of realiad: C1 to C5, or all [C1]"
    )
    good: Annotated[str, Flag(metavar="NAME")] = Field(
        default="good", description="of folder: what its folders of normal images are called"
    )


class Geometry(Record):
    """How an image of any shape becomes the square that a backbone sees."""

    resize: Resizing = Field(
        default="auto",
        description="fit: a narrow part keeps its aspect ratio, padded with its border; squash: it "
        "becomes a square; auto: fit where the shots are four times as long as wide",
    )


class Checks(Record):
    """What is asked of the thresholds, and whether a part is looked at before it is relied on."""

    alarms_per_100: Annotated[float, Flag(("--false-alarms",), "PER_100")] = Field(
        default=5.0, description="of 100 good parts, that thresholds are calibrated for"
    )
    self_check: bool = Field(
        default=False, description="look at the shots, and paint defects on them"
    )


# Newer than the first results: at their defaults not hashed.
LATER = ("shot_selection", "views", "good", "self_check", "resize")


class BackboneChoice(Record):
    """What names the frozen image model."""

    backbone: Annotated[str, Flag(("--backbone", "--clip"), "MODEL")] = Field(
        default="bundled", description="the frozen image model: {finegrain.backbones.BACKBONES}"
    )
    weights: Annotated[
        str | None, Flag(("--backbone-weights", "--clip-weights"), "PATH|TAG")
    ] = Field(
        default=None,
        description="of an open_clip model: a local file, or a tag that open_clip downloads; of a "
        "ResNet or DINOv2: a local file, or hub",
    )  # fmt: skip


class Grid(Checks, Geometry, BackboneChoice, DataChoice):
    """Every category by every method, number of shots and seed; `resolve` checks it."""

    categories: tuple[str, ...] = Field(default=(), description="[all]")
    methods: Annotated[tuple[str, ...], Flag(metavar="NAME[:VARIANT]")] = Field(
        default=(),
        description="{finegrain.detectors.DETECTORS} [all]; a variant has options of its own",
    )
    shots: tuple[int, ...] = Field(
        default=(1, 2, 4), description="images that a detector is fitted on"
    )
    seeds: tuple[int, ...] = Field(
        default=(0, 1, 2), description="which draw the shots and all randomness"
    )
    fewer_shots: bool = Field(
        default=False, description="of a category with fewer images than shots, take all"
    )
    options: Annotated[tuple[str, ...], Flag(("--set",), "METHOD.OPTION=VALUE", repeated=True)] = (
        Field(default=(), description="an option of a detector, as JSON; may be repeated")
    )
    shot_list: Annotated[Path | None, Flag(metavar="JSON")] = Field(
        default=None, description="{category: {K: [places in sorted train/good]}} [drawn by seed]"
    )
    captions: Annotated[Path | None, Flag(metavar="DIR")] = Field(
        default=None, description="of YAML files, before the bundled ones"
    )
    captions_from: CaptionSource = Field(
        default="library",
        description="whence a caption that --captions does not hold: the bundled ones, or made "
        "from each fit's own shots",
    )
