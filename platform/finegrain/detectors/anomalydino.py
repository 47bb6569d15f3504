"""AnomalyDINO (Damm et al., WACV 2025): nearest neighbours among the patches of turned shots.

B images, N patches, V views of a shot, M patches in the memory bank, W width of features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from finegrain.backbones import Backbone, FrozenClip, PatchTokens, RgbImage
from finegrain.data.warping import rotations
from finegrain.detectors.augmented import Augmented
from finegrain.detectors.detector import Prediction
from finegrain.detectors.features import FeatureConfig, Source, unit_side_by_side
from finegrain.detectors.foreground import foreground
from finegrain.detectors.maps import tail_mean, to_pixels
from finegrain.errors import ConfigError

CHUNK = 8192  # rows of the bank that are compared at a time


@dataclass(frozen=True)
class AnomalyDinoConfig(FeatureConfig):
    """Options.

    Args:
        features: left out, the patch tokens of a backbone that only sees, as in the paper, and the
            levels of a CLIP, whose patches are trained to resemble sentences.
        rotations: views of a shot, evenly over the circle; 1 is the shot alone.
        masking: score 0 in the background; only for objects that fill the centre.
        top_share: of the patches, whose mean is the image score.
    """

    rotations: int = 8
    masking: bool = False
    top_share: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rotations < 1:
            raise ConfigError(f"rotations must be 1 or more; got {self.rotations}")
        if not 0 < self.top_share <= 1:
            raise ConfigError(f"top_share must be above 0 and at most 1; got {self.top_share}")


class AnomalyDino(Augmented):
    """Cosine distance of each patch to the nearest patch of the shots and of turned copies of them.

    Departures: any backbone, and images become square; every category's shots are turned, and none
    is masked unless `masking` says so, where the paper looks at each category first; the bank is
    stored in half precision.
    """

    name = "anomalydino"
    Config = AnomalyDinoConfig
    config: AnomalyDinoConfig

    def __init__(
        self, backbone: Backbone, options: Mapping[str, object] | None = None, *, seed: int = 111
    ) -> None:
        super().__init__(backbone, options, seed=seed)
        if self.config.features is None:
            preferred: Source = "levels" if isinstance(backbone, FrozenClip) else "joint"
            self.config = replace(self.config, features=preferred)  # what a checkpoint says

    def augment(self, shot: RgbImage, place: int) -> list[RgbImage]:
        """The shot, turned by equal steps."""
        return rotations(
            shot, [i * 360 / self.config.rotations for i in range(self.config.rotations)]
        )

    def features(self, tokens: PatchTokens) -> Tensor:  # -> (B,N,W)
        """Unit-norm patch tokens."""
        return unit_side_by_side(tokens, self.config)

    def learn(self, views: Sequence[Tensor]) -> None:
        """Remember every patch of every view."""
        self._remember(torch.cat([view.flatten(0, 1) for view in views]).half())

    def score(self, tokens: PatchTokens) -> Prediction:
        """Distances to the nearest neighbours; the image score is the mean of the highest."""
        features = self.features(tokens)
        distances = torch.stack([self._nearest(image) for image in features])  # (B,N)
        if self.config.masking:
            distances = distances * foreground(features, tokens.grid)
        maps = to_pixels(distances, tokens.grid)
        scores = tail_mean(distances, self.config.top_share)
        return Prediction(scores.cpu().numpy(), maps.cpu().numpy())

    def _nearest(self, patches: Tensor) -> Tensor:  # (N,W) -> (N,)
        """1 - cosine to the most similar remembered patch."""
        starts = range(0, len(self.bank), CHUNK)
        best = [(patches @ self.bank[start : start + CHUNK].T).amax(1) for start in starts]
        return (1 - torch.stack(best).amax(0)).clamp(min=0)

    def _remember(self, bank: Tensor) -> None:
        self.bank = bank.float()

    def state(self) -> dict[str, Tensor]:
        """The memory bank (M,W)."""
        return {"bank": self.bank.half()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the memory bank."""
        self._remember(state["bank"].to(self.backbone.device))
