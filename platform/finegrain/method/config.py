"""The switches of the method; the paper's own values are in paper.py."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=1000)]
Fusion = Literal["weighted", "harmonic", "visual", "prompt"]
Matching = Literal["prompt", "query"]
ImageScore = Literal["visual", "map", "tail"]
Weighting = Literal["losses", "tokens"]
Temperature = Positive | Literal["log"] | None  # None: the backbone's logit scale; or its logarithm
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class PromptConfig:
    """The prompts (section 3)."""

    __pydantic_config__ = STRICT
    multi_level: bool = True  # off: the image unit alone, the baseline of table 4
    context: Count = 4  # learnable vectors before a sentence
    learnable: Count = 4  # ALPs a unit
    initial: NotNegative = 0.0  # length of initial vectors, in tokens' own; 0: CoOp's std of 0.02


@dataclass(frozen=True)
class RegionConfig:
    """Region aggregation and its four modifications of DPC-KNN (section 4)."""

    __pydantic_config__ = STRICT
    semantic_centers: bool = True  # off: the tokens of largest density times distance
    semantic_dimension: bool = True  # off: tokens as they are
    two_stages: bool = True  # off: background and components in one clustering
    fine_resolution: bool = True  # off: the shots' own token grid
    weight: NotNegative = 1.5  # added to 1 on a unit's own region
    ground_neighbours: Count = 8
    part_neighbours: Count = 5


@dataclass(frozen=True)
class MemoryConfig:
    """The memory behind the map; Eq. 1: radius null, joint and turned false, finest 1, usual 0."""

    __pydantic_config__ = STRICT
    radius: NotNegative | None = 0.14  # in sides of the image; None: a shot's tokens anywhere
    near: Annotated[float, Field(ge=0, le=1)] = 0.25  # share of the distance within the radius
    turned: bool = True  # the shots by 90, 180 and 270 degrees too
    joint: bool = True  # the joint space as one more level
    finest: Positive = 2.0  # weight of the first level, the finest; of each other: 1
    usual: NotNegative = (
        0.25  # share of how far the shots' token is from the other shots' that goes
    )


@dataclass(frozen=True)
class LossConfig:
    """Weights of the objectives (Eq. 2, 3) and their constants."""

    __pydantic_config__ = STRICT
    weighting: Weighting = "losses"  # what region weights multiply; "tokens": the published code
    class_token: bool = True  # the image unit is aligned with the class tokens too
    temperature: Temperature = None  # T of L_clip
    clip: NotNegative = 1.0
    triplet: NotNegative = 1.0
    mean: NotNegative = 10.0  # the paper's: 0.001
    regularization: NotNegative = 0.0  # the paper's: 1
    query: NotNegative = 1.0
    margin: NotNegative = 1.0
    eta: NotNegative = 1.0


@dataclass(frozen=True)
class TrainingConfig:
    """SGD on the shots; 0 epochs leave the prompts as they were initialised.

    The paper learns for 100. More than 30 gave nothing on the factory and on photographs.
    """

    __pydantic_config__ = STRICT
    epochs: Annotated[int, Field(ge=0, le=10_000)] = 100
    learning_rate: Positive = 2e-3
    final_learning_rate: NotNegative = 1e-5
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NotNegative = 5e-4


@dataclass(frozen=True)
class ScoringConfig:
    """From tokens to scores (section 5)."""

    __pydantic_config__ = STRICT
    temperature: Temperature = "log"  # T of the map
    class_temperature: Positive | None = None  # T of S_c; None: the map's
    token_wise: bool = True  # off: the mean over all units, of every level, instead of the matched
    image: ImageScore = "tail"  # beside S_c: max of Eq. 1, max or tail mean of the final map
    tail: Annotated[float, Field(gt=0, le=1)] = 0.01  # share of the map's tokens in a tail mean
    level: Annotated[float, Field(ge=0, lt=1)] = 0.5  # share of the map's median that goes from it
    matching: Matching = "prompt"  # of a token with a unit: by n̄, in shares; or by q alone
    reweighting: bool = True  # Eq. 6, 7
    fusion: Fusion = "weighted"  # the paper's: "harmonic"


@dataclass(frozen=True)
class MethodConfig:
    """All stages."""

    __pydantic_config__ = STRICT
    prompts: PromptConfig = field(default_factory=PromptConfig)
    regions: RegionConfig = field(default_factory=RegionConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=30))
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
