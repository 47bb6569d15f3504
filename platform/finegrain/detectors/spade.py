"""SPADE (Cohen & Hoshen, 2020): nearest shots by the whole image, then nearest patches in them.

B images, N patches, K shots, R retrieved shots, W joined width of the levels.
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
class SpadeConfig(FeatureConfig):
    """Options: how many shots are retrieved for an image, and patches for a patch."""

    retrieved_shots: int = 4  # that an image is compared with; all where there are fewer
    nearest_patches: int = 1  # of these shots, whose mean distance is a patch's score

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.retrieved_shots, self.nearest_patches) < 1:
            raise ConfigError("retrieved_shots and nearest_patches must be positive")


class Spade(Detector):
    """Image score by the retrieved shots, map by correspondence to their patches.

    Departures: the paper retrieves 50 of hundreds of images; here all of up to `retrieved_shots`.
    It compares patches by the first three stages of a ResNet, as here, but on the grid of the
    finest, and images by the mean behind the fourth; here an image is the mean of its patches. An
    EfficientNet's stages have strides 8, 16, 32, the paper's 4, 8, 16.
    """

    name = "spade"
    Config = SpadeConfig
    config: SpadeConfig

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Keep the shots' global and patch features."""
        self.patches = side_by_side(tokens, self.config)  # (K,N,W)
        self.images = self.patches.mean(1)

    def score(self, tokens: PatchTokens) -> Prediction:
        """Mean squared distance to the retrieved shots (Eq. 2), mean patch distance (Eq. 3)."""
        patches = side_by_side(tokens, self.config)
        to_shots = torch.cdist(patches.mean(1), self.images).square()  # (B,K)
        count = min(self.config.retrieved_shots, len(self.images))
        distances, retrieved = to_shots.topk(count, largest=False)
        patch_scores = torch.stack(
            [
                self._nearest(image, self.patches[shots].flatten(0, 1))
                for image, shots in zip(patches, retrieved, strict=True)
            ]
        )
        maps = to_pixels(patch_scores, tokens.grid)
        return Prediction(distances.mean(1).cpu().numpy(), maps.cpu().numpy())

    def _nearest(self, patches: Tensor, gallery: Tensor) -> Tensor:  # (N,W), (R·N,W) -> (N,)
        distances = torch.cdist(patches, gallery)
        return distances.topk(self.config.nearest_patches, largest=False).values.mean(1)

    def state(self) -> dict[str, Tensor]:
        """Patch features (K,N,W) of the shots."""
        return {"patches": self.patches}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the shots' features."""
        self.patches = state["patches"].to(self.backbone.device)
        self.images = self.patches.mean(1)
