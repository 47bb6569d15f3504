"""FineGrainedAD: prompts from a caption, aligned with their regions on the shots, and a memory.

The idea and its equations are in finegrain/method; this puts them behind the detectors' interface.
"""

import copy
import logging
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from finegrain.backbones import (
    Backbone,
    FrozenClip,
    PatchTokens,
    RemoteBackbone,
    RgbImage,
    aspect_of,
    encode,
)
from finegrain.captions import Caption
from finegrain.detectors.detector import Detector, DetectorConfig, Prediction
from finegrain.detectors.maps import to_pixels
from finegrain.detectors.text import check_reads_text, logit_scale
from finegrain.errors import ConfigError
from finegrain.method.config import MethodConfig, Temperature
from finegrain.method.fit import PromptFit
from finegrain.method.memory import VisualMemory
from finegrain.method.paper import PAPER
from finegrain.method.regions import Regions, sliced
from finegrain.method.scoring import UnitFeatures, class_scores, fused, image_scores, prompt_map
from finegrain.method.training import pausing
from finegrain.method.units import Unit, caption_units

log = logging.getLogger(__name__)
REVISION = 4  # of what a state's tensors and options mean; 0.1.0's had none


@dataclass(frozen=True)
class FineGrainedConfig(MethodConfig, DetectorConfig):
    """The method's switches, and the caption of the category."""

    caption: Caption | None = None


class FineGrained(Detector):
    """PAD from learned prompts and VAD from a visual memory, fused."""

    name = "finegrained"
    needs_caption = True
    Config = FineGrainedConfig
    config: FineGrainedConfig
    backbone: FrozenClip
    rearranged: Callable[[Regions], Regions] | None = None  # of regions found, for a control

    @classmethod
    def variant_options(cls, variant: str) -> dict[str, Any]:
        """The paper's own switches for `finegrained:paper`."""
        return (
            {group: dict(options) for group, options in PAPER.items()} if variant == "paper" else {}
        )

    def __init__(
        self, backbone: Backbone, options: Mapping[str, object] | None = None, *, seed: int = 111
    ) -> None:
        super().__init__(backbone, options, seed=seed)
        check_reads_text(backbone, self.name)
        if self.config.caption is None:
            raise ConfigError(f"{self.name} needs the caption of its category")
        self.caption = self.config.caption
        losses, scoring = self.config.losses, self.config.scoring
        self.temperature = temperature_of(scoring.temperature, backbone, "scoring.temperature")
        self.class_temperature = scoring.class_temperature or self.temperature
        explicit = replace(
            scoring, temperature=self.temperature, class_temperature=self.class_temperature
        )
        if not isinstance(backbone, RemoteBackbone):  # one that only scores learns nothing
            learning = temperature_of(losses.temperature, backbone, "losses.temperature")
            losses = replace(losses, temperature=learning)
        self.config = replace(self.config, losses=losses, scoring=explicit)  # for a checkpoint
        self._units = caption_units(self.caption, multi_level=self.config.prompts.multi_level)
        self._local = torch.tensor(_local(self._units), device=backbone.device)

    def fit(self, shots: Sequence[RgbImage]) -> Self:
        """Learn from the K shots; their slices show where the components are."""
        for _ in self.epochs(shots):
            pass
        return self

    def epochs(self, shots: Sequence[RgbImage], pauses: Container[int] = ()) -> Iterator[int]:
        """As `Detector.epochs` says."""
        self.check_some(shots)
        fine, narrow = None, aspect_of(self.backbone) is not None
        if self.config.regions.fine_resolution and self.config.prompts.multi_level and not narrow:
            fine = sliced(self.backbone, shots, self.backbone.image_size)
        turned = None
        if self.config.memory.turned:
            views = [view for shot in shots for view in turns(shot, narrow=narrow)]
            turned = encode(self.backbone, views)
        yield from self._learn(encode(self.backbone, shots), fine, turned, pauses)

    def fit_tokens(self, shots: PatchTokens) -> None:
        """Learn from the tokens alone, which can't be turned; regions at their resolution."""
        for _ in self._learn(shots, None, None):
            pass

    def remembering(self, shots: PatchTokens) -> Self:
        """A copy with the same prompts and the memory of other shots, which match nothing."""
        other = copy.copy(self)
        other.memory = VisualMemory.of(shots)
        other.owners = torch.zeros(shots.patches.shape[:2], dtype=torch.int16)
        other.owners = other.owners.to(self.backbone.device)
        return other

    def leaving_out(self, index: int, shots: PatchTokens) -> Self:
        """A copy whose memory has not seen one of the shots, nor its turned copies.

        Its prompts have seen it, as every shot: what it says of it is a little too sure.
        """
        if len(self.memory.levels[0]) != len(shots):
            return super().leaving_out(index, shots)
        other = copy.copy(self)
        if len(shots) > 1:
            other.memory = self.memory.without(index)
            other.owners = torch.cat([self.owners[:index], self.owners[index + 1 :]])
        return other

    def _learn(
        self,
        shots: PatchTokens,
        fine: PatchTokens | None,
        turned: PatchTokens | None,
        pauses: Container[int] = (),
    ) -> Iterator[int]:
        temperature = self.config.losses.temperature
        assert isinstance(temperature, float)  # __init__ made a number of it
        learning = PromptFit(
            self.backbone,
            self.caption,
            shots,
            fine,
            self.config,
            seed=self.seed,
            temperature=temperature,
            rearranged=self.rearranged,
        )
        self.memory = VisualMemory.of(shots, turned)
        self.regions: Regions | None = learning.regions
        own = learning.regions.own[self._local]  # (V,K,N)
        self.owners = self._local[own.argmax(0)].to(torch.int16)
        for epoch in pausing(learning.epochs(), self.config.training.epochs, pauses):
            self._take(learning)
            yield epoch
        moved = (f"{name} {share:.3f}" for name, share in learning.moved().items())
        log.info("%s: prompts moved by %s of their length", self.caption.key, ", ".join(moved))

    def _take(self, learning: PromptFit) -> None:
        """What was learned so far."""
        self.features = learning.features()
        self.learned = {
            f"{part}.{name}": value.detach().clone()
            for part, module in (("prompts", learning.bank), ("former", learning.former))
            for name, value in module.named_parameters()
        }

    @property
    def units(self) -> tuple[tuple[str, str], ...]:
        """Name and sentence of each unit."""
        return tuple((unit.name, unit.sentence) for unit in self._units)

    def score(self, tokens: PatchTokens) -> Prediction:
        """M_v and M_p, fused.

        `matched` is the unit whose region on the shots a patch resembles: the clustering around
        the prompts knows a component's place, which u* of Eq. 4 alone does not.
        """
        scoring = self.config.scoring
        visual = self.memory.compare(tokens, self.config.memory)
        prompt, _ = prompt_map(
            tokens.patches, self.features, self._local, self.temperature, scoring
        )
        image = class_scores(tokens, self.features, self.class_temperature)
        patches = fused(visual, prompt, scoring.fusion)
        shown = self.memory.distances(tokens) if scoring.image == "visual" else patches
        scores = image_scores(shown, image, scoring)
        maps = to_pixels(patches, tokens.grid)
        matched = self.memory.owners(tokens, self.owners, self.config.memory.radius)
        return Prediction(scores.cpu().numpy(), maps.cpu().numpy(), matched.cpu().numpy())

    def best_units(self, tokens: PatchTokens) -> Tensor:  # -> (B,N)
        """u* of Eq. 4 as places in `units`: what PAD, not the memory, takes each patch for."""
        scoring = self.config.scoring
        return prompt_map(tokens.patches, self.features, self._local, self.temperature, scoring)[1]

    def state(self) -> dict[str, Tensor]:
        """Memory and unit features, which scoring needs; prompts and Query Former behind them."""
        features = {f"units.{name}": value for name, value in vars(self.features).items()}
        kept = {"owners": self.owners, "revision": torch.tensor(REVISION)}
        return {**self.memory.state(), **features, **kept, **self.learned}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take memory, unit features and what was learned; KeyError if they mean other things."""
        if int(state["revision"]) != REVISION:
            raise KeyError(f"revision {REVISION}")
        device = self.backbone.device
        moved = {name: value.to(device) for name, value in state.items()}
        self.memory = VisualMemory.of_state(moved)
        self.features = UnitFeatures(
            *(moved[f"units.{name}"] for name in ("normal", "abnormal", "queries"))
        )
        self.owners = moved["owners"]
        self.regions = None
        self.learned = {k: v for k, v in moved.items() if k.startswith(("prompts.", "former."))}


def turns(image: RgbImage, *, narrow: bool = False) -> list[RgbImage]:
    """The image turned by 90, 180 and 270 degrees; one of a narrow part upside down alone."""
    quarters = (2,) if narrow else (1, 2, 3)
    return [np.ascontiguousarray(np.rot90(image, turn)) for turn in quarters]


def temperature_of(stated: Temperature, backbone: Backbone, option: str) -> float:
    """T as stated; None is the backbone's logit scale, "log" its logarithm."""
    if isinstance(stated, float):
        return stated
    scale = logit_scale(backbone, option)
    return math.log(scale) if stated == "log" else scale


def _local(units: Sequence[Unit]) -> list[int]:
    """The units that a token can belong to: components and background, or all that there are."""
    found = [i for i, unit in enumerate(units) if unit.kind in ("component", "background")]
    return found or list(range(len(units)))
