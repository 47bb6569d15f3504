"""PromptAD's prompts by semantic concatenation, and their losses on the K shots.

NP   [P_1]..[P_C][object name]                      normal
MAP  [P_1]..[P_C][object name] with [a defect]      abnormal, manual
LAP  [P_1]..[P_C][object name][A_1]..[A_S]          abnormal, learnable

The image branch (CAP) sees class tokens, the pixel branch (PAP) patch tokens; in `PromptFeatures`
the branches are the units 0 and 1. E is the width of token embeddings.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from finegrain.backbones import FrozenClip, PatchTokens
from finegrain.detectors.detector import DetectorConfig
from finegrain.method.config import Count, NotNegative, Positive, TrainingConfig
from finegrain.method.losses import clip_loss, mean_distance, triplet_loss
from finegrain.method.prompt_rows import (
    PLACEHOLDER,
    TAIL,
    OpenPrompts,
    PromptRows,
    learnable_vectors,
)
from finegrain.method.prompts import HANDCRAFTED, LEARNABLE, NORMAL, PromptFeatures
from finegrain.method.training import descend

BRANCHES = 2  # image, pixels
Few = Annotated[int, Field(ge=1, le=TAIL)]  # vectors: those at a prompt's end are never cut off
Phrase = Annotated[str, Field(min_length=1, max_length=100)]
DEFECTS = (
    "scratch",
    "crack",
    "hole",
    "dent",
    "stain",
    "contamination",
    "cut",
    "chip",
    "damage",
    "deformation",
    "missing part",
    "bent part",
    "broken part",
    "color spot",
)  # where nobody knows what can go wrong with a category


@dataclass(frozen=True)
class PromptADConfig(DetectorConfig):
    """The category's words and the paper's hyperparameters.

    Args:
        defects: what can be wrong, as the caption has it; without a caption a list of our own.
    """

    object_name: Phrase = "object"  # the caption's foreground, or the category's name
    defects: Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=100)] = DEFECTS
    prefix: Few = 4  # C, learnable vectors before the object's name
    suffix: Few = 1  # S, learnable vectors behind it in a LAP
    normal: Count = 1  # NPs a branch; MAPs and LAPs are made with each prefix
    learnable: Count = 4  # suffixes a branch
    margin: NotNegative = 0.0  # of the explicit anomaly margin; the published code's
    alignment: NotNegative = 0.001  # λ
    temperature: Positive | None = None  # T; None: the logarithm of the backbone's logit scale
    training: TrainingConfig = field(default_factory=TrainingConfig)


class BranchPrompts(nn.Module):
    """The prompts of both branches, in one batch; they share no parameter.

    Args:
        clip: the frozen model; its text tower gives gradients to prefixes and suffixes alone.
        config: words and numbers of prompts.
        seed: of the initial values.
    """

    unit: Tensor
    kind: Tensor
    prefix_of: Tensor
    filler_of: Tensor

    def __init__(self, clip: FrozenClip, config: PromptADConfig, seed: int) -> None:
        super().__init__()
        rows = PromptRows(clip, config.prefix)
        name = rows.pieces(config.object_name)
        manual = [rows.pieces(f"{config.object_name} with {defect}") for defect in config.defects]
        learnable = [[*name, *[PLACEHOLDER] * config.suffix]] * config.learnable
        prefixes = BRANCHES * config.normal
        for pieces in [name, *manual, *learnable] * prefixes:
            rows.add(pieces)
        self.prompts = OpenPrompts(rows)
        kinds = [NORMAL] + [HANDCRAFTED] * len(manual) + [LEARNABLE] * len(learnable)
        prefix_of = torch.arange(prefixes).repeat_interleave(len(kinds))
        fillers = torch.arange(BRANCHES * config.learnable * config.suffix).view(BRANCHES, 1, -1)
        for key, values in (
            ("unit", prefix_of // config.normal),
            ("kind", torch.tensor(kinds * prefixes)),
            ("prefix_of", prefix_of),
            ("filler_of", fillers.expand(-1, config.normal, -1).flatten()),
        ):
            self.register_buffer(key, values.to(clip.device), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        width = self.prompts.base.shape[-1]
        self.prefix = learnable_vectors(prefixes, config.prefix, width, generator, clip.device)
        suffixes = BRANCHES * config.learnable
        self.suffix = learnable_vectors(suffixes, config.suffix, width, generator, clip.device)

    def forward(self) -> PromptFeatures:
        """All prompts through the frozen text tower."""
        context = self.prefix.index_select(0, self.prefix_of)
        fillers = self.suffix.flatten(0, 1).index_select(0, self.filler_of)
        return PromptFeatures(self.prompts.encode(context, fillers), self.unit, self.kind, BRANCHES)


def branch_losses(
    prompts: PromptFeatures, tokens: Sequence[Tensor], temperature: float, margin: float
) -> dict[str, Tensor]:
    """L_clip, L_EAM and L_align by name, each summed over the branches.

    L_clip = −log of the share of n̄, the unit-norm mean NP, in a softmax over n̄ and every MAP and
    LAP. L_EAM = max(0, ‖z−n̄‖ − ‖z−ā‖ + m) with ā the unit-norm mean of MAPs and LAPs.
    L_align = ‖mean(MAP) − mean(LAP)‖². The first two are means over the tokens.

    Args:
        prompts: features of all prompts.
        tokens: (M,D) unit norm for each branch.
        temperature: T.
        margin: m.
    """
    normal, abnormal = prompts.normal(), prompts.abnormal()
    clip, margins = [], []
    for branch, z in enumerate(tokens):
        every = prompts.of(branch, HANDCRAFTED, LEARNABLE)
        clip.append(clip_loss(z, normal[branch], every, temperature))
        margins.append(triplet_loss(z, normal[branch], abnormal[branch], margin))
    return {
        "clip": torch.stack(clip).sum(),
        "margin": torch.stack(margins).sum(),
        "alignment": mean_distance(prompts).sum(),
    }


def learn_branches(
    bank: BranchPrompts, shots: PatchTokens, config: PromptADConfig, temperature: float
) -> Iterator[int]:
    """Let the prompts learn on the K shots, an epoch at a time."""
    tokens = (shots.image, shots.patches.flatten(0, 1))
    weights = {"clip": 1.0, "margin": 1.0, "alignment": config.alignment}

    def objectives() -> Mapping[str, Tensor]:
        return branch_losses(bank(), tokens, temperature, config.margin)

    return descend(list(bank.parameters()), objectives, weights, config.training)
