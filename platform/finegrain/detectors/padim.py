"""PaDiM (Defard et al., ICPR 2021): a Gaussian of normal features at every patch position.

B images, N patches, K shots, W chosen feature dimensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from finegrain.backbones import PatchTokens
from finegrain.detectors.detector import Detector, Prediction
from finegrain.detectors.features import FeatureConfig, side_by_side
from finegrain.detectors.maps import to_pixels
from finegrain.errors import ConfigError


@dataclass(frozen=True)
class PaDiMConfig(FeatureConfig):
    """Options: how many feature dimensions are drawn, and what is added to the covariance."""

    dimensions: int = 100  # drawn by seed
    epsilon: float = 0.01  # added to the covariance's diagonal

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dimensions < 1 or self.epsilon <= 0:
            raise ConfigError("dimensions and epsilon must be positive")


class PaDiM(Detector):
    """Mahalanobis distance of each patch to the shots' patches at the same position.

    Departures: with one shot there is no sample covariance, and epsilon alone stands for it. The
    paper takes the first three stages of a ResNet, as here, but joins them on the grid of the
    finest, of stride 4; here that is the stride-16 grid. An EfficientNet's have strides 8, 16, 32.
    """

    name = "padim"
    Config = PaDiMConfig
    config: PaDiMConfig

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Mean and regularised covariance (Eq. 1) of randomly drawn dimensions."""
        joined = side_by_side(tokens, self.config)
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randperm(joined.shape[-1], generator=generator)[: self.config.dimensions]
        self.dimensions = drawn.sort().values.to(joined.device)
        features = joined[..., self.dimensions]  # (K,N,W)
        self.mean = features.mean(0)
        centred = features - self.mean
        covariance = torch.einsum("knv,knw->nvw", centred, centred) / max(len(features) - 1, 1)
        identity = torch.eye(features.shape[-1], device=features.device)
        regular = covariance + self.config.epsilon * identity
        self.cholesky = torch.linalg.cholesky(regular).contiguous()  # as it is after reloading

    def score(self, tokens: PatchTokens) -> Prediction:
        """Mahalanobis distances (Eq. 2); the image score is the maximum of the map."""
        features = side_by_side(tokens, self.config)[..., self.dimensions]
        centred = (features - self.mean).permute(1, 2, 0)  # (N,W,B)
        whitened = torch.linalg.solve_triangular(self.cholesky, centred, upper=False)
        maps = to_pixels(whitened.norm(dim=1).T, tokens.grid)
        return Prediction(maps.amax((1, 2)).cpu().numpy(), maps.cpu().numpy())

    def state(self) -> dict[str, Tensor]:
        """Drawn dimensions (W,), means (N,W) and Cholesky factors (N,W,W)."""
        return {"dimensions": self.dimensions, "mean": self.mean, "cholesky": self.cholesky}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the Gaussians."""
        device = self.backbone.device
        self.dimensions = state["dimensions"].to(device)
        self.mean = state["mean"].to(device)
        self.cholesky = state["cholesky"].to(device)
