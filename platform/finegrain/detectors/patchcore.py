"""PatchCore (Roth et al., CVPR 2022): distance to the nearest remembered normal patch.

B images, N patches, M patches in the memory bank, W joined width of the levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones import Backbone, Convolutional, PatchTokens
from finegrain.detectors.detector import Detector, Prediction
from finegrain.detectors.features import FeatureConfig, side_by_side, unit_side_by_side
from finegrain.detectors.maps import to_pixels
from finegrain.errors import ConfigError

PROJECTED_WIDTH = 128  # random projection in which the coreset is searched, as in the paper
FAIR: Mapping[str, object] = {"levels": None, "unit_norm": True, "neighbourhood": 1}


@dataclass(frozen=True)
class PatchCoreConfig(FeatureConfig):
    """Options; `max_memory` patches are kept, a coreset of them where the shots have more.

    Args:
        levels: left out, a convolutional network's stages without the finest, as the paper takes
            the second and the third of a ResNet; of another backbone all.
    """

    unit_norm: bool = False  # each level of unit norm before they are joined
    neighbourhood: int = 3  # patches a side that are averaged; odd
    reweighting_neighbours: int = 9  # of the nearest patch, which say how rare it is (Eq. 7)
    max_memory: int = 4000  # patches

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbourhood < 1 or self.neighbourhood % 2 == 0:
            raise ConfigError(f"neighbourhood must be odd and positive; got {self.neighbourhood}")
        if min(self.reweighting_neighbours, self.max_memory) < 1:
            raise ConfigError("reweighting_neighbours and max_memory must be positive")


class PatchCore(Detector):
    """Memory bank of locally averaged patch features, thinned to a coreset.

    Departures: the levels are joined on the stride-16 grid, the paper's on the finest of them, of
    stride 8, so that 3 × 3 patches of the finer level reach over 48 pixels in place of 24. The
    stages of an EfficientNet have strides 16 and 32, a ResNet's, and the paper's, 8 and 16.

    `patchcore:fair` has what suits this grid: all levels, each of unit norm, patches as they are.
    """

    name = "patchcore"
    Config = PatchCoreConfig
    config: PatchCoreConfig

    @classmethod
    def variant_options(cls, variant: str) -> dict[str, Any]:
        """What suits the stride-16 grid for `patchcore:fair`; else the paper's."""
        return dict(FAIR) if variant == "fair" else {}

    def __init__(
        self, backbone: Backbone, options: Mapping[str, object] | None = None, *, seed: int = 111
    ) -> None:
        super().__init__(backbone, options, seed=seed)
        if isinstance(backbone, Convolutional) and "levels" not in (options or {}):
            coarser = tuple(range(1, len(backbone.level_strides)))
            self.config = replace(self.config, levels=coarser)  # what a checkpoint says

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Remember the shots' patches (section 3.1), at most `max_memory` (section 3.2)."""
        bank = self._features(tokens).flatten(0, 1)
        if len(bank) > self.config.max_memory:
            generator = torch.Generator(bank.device).manual_seed(self.seed)
            bank = bank[greedy_coreset(bank, self.config.max_memory, generator)]
        self.bank = bank

    def score(self, tokens: PatchTokens) -> Prediction:
        """Distances to the bank (Eq. 6), the image score re-weighted (Eq. 7)."""
        features = self._features(tokens)  # (B,N,W)
        distances = torch.stack([torch.cdist(image, self.bank) for image in features])  # (B,N,M)
        patch_scores, nearest = distances.min(-1)
        worst = patch_scores.argmax(1)
        images = torch.arange(len(tokens), device=worst.device)
        image_scores = self._reweighted(
            distances[images, worst], patch_scores[images, worst], nearest[images, worst]
        )
        maps = to_pixels(patch_scores, tokens.grid)
        return Prediction(image_scores.cpu().numpy(), maps.cpu().numpy())

    def _features(self, tokens: PatchTokens) -> Tensor:  # -> (B,N,W)
        join = unit_side_by_side if self.config.unit_norm else side_by_side
        joined = join(tokens, self.config)
        return locally_aware(joined, tokens.grid, self.config.neighbourhood)

    def _reweighted(self, distances: Tensor, scores: Tensor, nearest: Tensor) -> Tensor:
        """Eq. 7 for each image's worst patch: (B,M), (B,), (B,) -> (B,).

        The weight grows where the nearest normal patch is itself far from its neighbours. Large
        distances are shifted before exp, which leaves the ratio as it is.
        """
        count = min(self.config.reweighting_neighbours, len(self.bank))
        around = torch.cdist(self.bank[nearest], self.bank).topk(count, largest=False).indices
        to_around = distances.gather(1, around)  # (B,count), the nearest itself among them
        share = torch.exp(scores - torch.logsumexp(to_around, dim=1))
        return (1 - share) * scores if count > 1 else scores

    def state(self) -> dict[str, Tensor]:
        """The memory bank (M,W)."""
        return {"bank": self.bank}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the memory bank."""
        self.bank = state["bank"].to(self.backbone.device)


def locally_aware(
    patches: Tensor, grid: tuple[int, int], neighbourhood: int
) -> Tensor:  # (B,N,W) -> (B,N,W)
    """Each patch averaged with its neighbours within the image (Eq. 2)."""
    maps = patches.transpose(1, 2).reshape(len(patches), -1, *grid)
    averaged = F.avg_pool2d(
        maps, neighbourhood, stride=1, padding=neighbourhood // 2, count_include_pad=False
    )
    return averaged.flatten(2).transpose(1, 2)


def greedy_coreset(features: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices (count,) of features (M,W) that leave no feature far from a kept one.

    Farthest-point selection (Algorithm 1) from a random start, in a random projection.
    """
    width = min(PROJECTED_WIDTH, features.shape[1])
    projection = torch.randn(features.shape[1], width, generator=generator, device=features.device)
    projected = features @ projection / width**0.5
    start = torch.randint(len(features), (1,), generator=generator, device=features.device)
    chosen = [int(start)]
    remaining = torch.full((len(features),), torch.inf, device=features.device)
    while len(chosen) < count:
        latest = projected[chosen[-1]]
        remaining = torch.minimum(remaining, (projected - latest).square().sum(1))
        chosen.append(int(remaining.argmax()))
    return torch.tensor(chosen, device=features.device)
