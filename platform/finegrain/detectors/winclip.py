"""WinCLIP and WinCLIP+ (Jeong et al., CVPR 2023): windows of an image against words and shots.

B images, N patches, n windows of one scale, K shots, D joint width, T exponentiated logit scale.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones import Backbone, FrozenClip, PatchTokens, RgbImage, Windows
from finegrain.backbones.windows import cover
from finegrain.detectors.detector import Detector, DetectorConfig, Prediction
from finegrain.detectors.maps import to_pixels
from finegrain.detectors.prompt_ensemble import prototypes
from finegrain.detectors.text import check_reads_text, logit_scale
from finegrain.errors import ConfigError

SMALLEST = 1e-12  # score of a window in a harmonic mean


@dataclass(frozen=True)
class WinClipConfig(DetectorConfig):
    """Options.

    Args:
        object_name: what the images show, as the prompts call it.
        scales: sides of the windows in patches.
        shared: windows' class tokens see patches of the whole image's pass: several times faster
            on a vision transformer, and another feature than the paper's; see `Windows`.
        temperature: T of the softmax over the two states; None takes the model's own.
    """

    object_name: str | None = None
    scales: tuple[int, ...] = (2, 3)
    shared: bool = False
    temperature: float | None = None

    def __post_init__(self) -> None:
        Windows(self.scales, self.shared)
        if self.temperature is not None and self.temperature <= 0:
            raise ConfigError(f"temperature must be positive; got {self.temperature}")


class WinClip(Detector):
    """Without a shot, WinCLIP: language alone. With shots, WinCLIP+.

    Departures: T is the model's own, about 100 for most CLIPs, where implementations of the paper
    fix 1/0.07. Prototypes are means of unit-norm features. On the bundled model a window's token is
    the mean of its patches, and patches are compared with the shots' in the joint space. The map of
    WinCLIP+ is the mean of both maps, and is smoothed like every detector's.
    """

    name = "winclip"
    names_object = True
    zero_shot = True
    Config = WinClipConfig
    config: WinClipConfig
    backbone: FrozenClip

    def __init__(
        self, backbone: Backbone, options: Mapping[str, object] | None = None, *, seed: int = 111
    ) -> None:
        super().__init__(backbone, options, seed=seed)
        check_reads_text(backbone, self.name)
        if not self.config.object_name:
            raise ConfigError(f"{self.name} needs object_name, what its images show")
        self.object_name = self.config.object_name
        temperature = self.config.temperature or logit_scale(backbone, "temperature")
        self.config = replace(self.config, temperature=temperature)  # what a checkpoint says
        self.temperature = temperature
        self.memory: tuple[Tensor, ...] = ()

    @property
    def windows(self) -> Windows:
        """What tokens have to come with."""
        return Windows(self.config.scales, self.config.shared)

    def fit(self, images: Sequence[RgbImage]) -> Self:
        """Read the prompts, and remember the shots if there are any."""
        if images:
            return super().fit(images)
        self._read_prompts()
        self.memory = ()
        return self

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Read the prompts and remember the shots' patches and windows."""
        self._read_prompts()
        self._remember(tokens)

    def remembering(self, tokens: PatchTokens) -> Self:
        """A copy with the same prompts and the memory of other shots."""
        other = copy.copy(self)
        other._remember(tokens)
        return other

    def _read_prompts(self) -> None:
        self.normal, self.abnormal = prototypes(self.backbone, self.object_name)

    def _remember(self, tokens: PatchTokens) -> None:
        self.memory = tuple(level.flatten(0, 1) for level in self._levels(tokens))

    def score(self, tokens: PatchTokens) -> Prediction:
        """Image score and smoothed map."""
        scores, maps = self.patch_scores(tokens)
        return Prediction(scores.cpu().numpy(), to_pixels(maps, tokens.grid).cpu().numpy())

    def patch_scores(self, tokens: PatchTokens) -> tuple[Tensor, Tensor]:
        """Image score (B,) and map (B,N): of language, and with shots half of the association."""
        levels = self._levels(tokens)
        scores = self._abnormality(tokens.image)
        maps = self._language_map(scores, levels[1:], tokens.grid)
        if self.memory:
            seen = self._association_map(levels, tokens.grid)
            scores, maps = (scores + seen.amax(1)) / 2, (maps + seen) / 2
        return scores, maps

    def _levels(self, tokens: PatchTokens) -> list[Tensor]:
        """Unit-norm patches and windows, (B,N,W) and (B,n,D) each; ConfigError lacking windows."""
        needed = [len(cover(tokens.grid, scale)) for scale in self.config.scales]
        found = [window.shape[1] for window in tokens.windows]
        if found != needed:
            raise ConfigError(
                f"{self.name} needs windows of {self.config.scales} patches a side, {needed} of "
                f"them; the tokens have {found or 'none'}: encode with windows=detector.windows"
            )
        patches = tokens.patches if tokens.ordinary is None else tokens.ordinary
        return [F.normalize(patches, dim=-1), *tokens.windows]

    def _abnormality(self, features: Tensor) -> Tensor:  # (...,D) -> (...)
        """ascore: the softmax over both prototypes, of the abnormal one."""
        return torch.sigmoid(self.temperature * (features @ (self.abnormal - self.normal)))

    def _language_map(
        self, image: Tensor, windows: Sequence[Tensor], grid: tuple[int, int]
    ) -> Tensor:  # (B,), (B,n,D) a scale -> (B,N)
        """The harmonic mean over the scales, the whole image the largest."""
        scales = [
            harmonic(self._abnormality(features), cover(grid, scale))
            for scale, features in zip(self.config.scales, windows, strict=True)
        ]
        whole = image.clamp(min=SMALLEST)[:, None].expand_as(scales[0])
        inverse = torch.stack([1 / score.clamp(min=SMALLEST) for score in (whole, *scales)])
        return 1 / inverse.mean(0)

    def _association_map(self, levels: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
        """The mean over patches and scales of ½ · min over the memory of (1 − cos); (B,N)."""
        patches, *windows = (
            _distances(level, memory) for level, memory in zip(levels, self.memory, strict=True)
        )
        scales = [
            harmonic(scores, cover(grid, scale))
            for scale, scores in zip(self.config.scales, windows, strict=True)
        ]
        return torch.stack([patches, *scales]).mean(0)

    def state(self) -> dict[str, Tensor]:
        """Prototypes and memory."""
        levels = {f"memory.{i}": level for i, level in enumerate(self.memory)}
        return {"normal": self.normal, "abnormal": self.abnormal, **levels}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take prototypes and memory."""
        moved = {name: value.to(self.backbone.device) for name, value in state.items()}
        self.normal, self.abnormal = moved["normal"], moved["abnormal"]
        count = sum(name.startswith("memory.") for name in moved)
        self.memory = tuple(moved[f"memory.{i}"] for i in range(count))


def harmonic(scores: Tensor, covered: Tensor) -> Tensor:  # (B,n), (n,N) -> (B,N)
    """Each patch's harmonic mean over the windows that cover it."""
    covered = covered.to(scores)
    return covered.sum(0) / (1 / scores.clamp(min=SMALLEST) @ covered)


def _distances(features: Tensor, memory: Tensor) -> Tensor:  # (B,n,D), (M,D) -> (B,n)
    """½ · (1 − the highest cosine)."""
    return ((1 - (features @ memory.T).amax(-1)) / 2).clamp(min=0)
