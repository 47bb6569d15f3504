"""SubspaceAD (Lendering et al., CVPR 2026): what a linear subspace of normal patches leaves over.

B images, N patches, V views of a shot, W width of features, R dimensions of the subspace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finegrain.backbones import PatchTokens, RgbImage
from finegrain.data.warping import rotations
from finegrain.detectors.augmented import Augmented
from finegrain.detectors.detector import Prediction
from finegrain.detectors.features import FeatureConfig, chosen_levels, unit_side_by_side
from finegrain.detectors.maps import tail_mean, to_pixels
from finegrain.errors import ConfigError


@dataclass(frozen=True)
class SubspaceConfig(FeatureConfig):
    """Options.

    Args:
        augmentations: copies of each shot, turned by random angles, beside the shot itself.
        variance: share of the patches' variance that lies in the subspace.
        top_share: of the patches, whose mean is the image score.
    """

    augmentations: int = 30
    variance: float = 0.99
    top_share: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augmentations < 0:
            raise ConfigError(f"augmentations must be 0 or more; got {self.augmentations}")
        if not 0 < self.variance < 1:
            raise ConfigError(f"variance must be between 0 and 1; got {self.variance}")
        if not 0 < self.top_share <= 1:
            raise ConfigError(f"top_share must be above 0 and at most 1; got {self.top_share}")


class SubspaceAD(Augmented):
    """Squared distance of each patch to the principal subspace of the shots' patches.

    Departures: any backbone at its own resolution, in place of DINOv2-G at 672 pixels; levels of
    different widths, which have no mean, stand side by side, each of unit norm; copies are turned
    for every category, where the paper exempts one whose orientation is a defect.
    """

    name = "subspacead"
    Config = SubspaceConfig
    config: SubspaceConfig

    def augment(self, shot: RgbImage, place: int) -> list[RgbImage]:
        """The shot, and copies of it turned by any angle."""
        generator = np.random.default_rng((self.seed, place))
        angles = generator.uniform(0, 360, self.config.augmentations)
        return rotations(shot, [0.0, *angles])

    def features(self, tokens: PatchTokens) -> Tensor:  # -> (B,N,W)
        """The mean of the levels."""
        levels = chosen_levels(tokens, self.config.levels)
        if self.config.features == "joint" or len({level.shape[-1] for level in levels}) > 1:
            return unit_side_by_side(tokens, self.config)
        return torch.stack(levels).mean(0)

    def learn(self, views: Sequence[Tensor]) -> None:
        """Mean and principal directions of all patches of all views."""
        patches = [view.flatten(0, 1) for view in views]
        self.mean, self.basis = principal_subspace(patches, self.config.variance)

    def score(self, tokens: PatchTokens) -> Prediction:
        """Squared residuals; the image score is the mean of the highest."""
        centred = self.features(tokens) - self.mean
        residuals = centred - (centred @ self.basis) @ self.basis.T
        scores = residuals.square().sum(-1)  # (B,N)
        maps = to_pixels(scores, tokens.grid)
        images = tail_mean(scores, self.config.top_share)
        return Prediction(images.cpu().numpy(), maps.cpu().numpy())

    def state(self) -> dict[str, Tensor]:
        """Mean (W,) and orthonormal basis (W,R)."""
        return {"mean": self.mean, "basis": self.basis}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the subspace."""
        self.mean = state["mean"].to(self.backbone.device)
        self.basis = state["basis"].to(self.backbone.device)


def principal_subspace(
    parts: Sequence[Tensor], variance: float
) -> tuple[Tensor, Tensor]:  # (M_i,W) each -> (W,), (W,R)
    """The mean, and the fewest principal directions that hold this share of the variance.

    One direction at least is left out: in the whole space nothing would be left over.
    """
    patches = torch.cat(list(parts)).double()
    mean = patches.mean(0)
    scatter = (patches - mean).T @ (patches - mean)
    values, vectors = torch.linalg.eigh(scatter)  # ascending
    shares = values.flip(0).clamp(min=0).cumsum(0) / values.clamp(min=0).sum()
    kept = min(int((shares < variance).sum()) + 1, len(values) - 1)
    return mean.float(), vectors.flip(1)[:, :kept].float().contiguous()
