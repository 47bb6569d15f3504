"""A model of anomalib behind the face of a detector.

B images, K shots, S side of the image that the model sees.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.backbones import PatchTokens
from finegrain.backbones.pixels import Pixels, to_images
from finegrain.data.masks import MAP_SIZE
from finegrain.detectors.anomalib.config import AnomalibConfig
from finegrain.detectors.anomalib.fit import fit, only_remembers, restore
from finegrain.detectors.detector import Detector, Prediction
from finegrain.errors import ConfigError


class AnomalibModel(Detector):
    """A model of anomalib, fitted by its own engine; its maps and scores as they come from it.

    Departures: the whole image is seen, without the centre crop that some models have, resized
    bilinearly to S × S; scores are not normalised with a validation set, for there is none: where
    a model validates, it does so on the shots.
    """

    name = "anomalib"
    Config = AnomalibConfig
    config: AnomalibConfig

    @classmethod
    def variant_options(cls, variant: str) -> dict[str, Any]:
        """anomalib:patchcore is the model Patchcore, unless the option says otherwise."""
        return {"model": variant} if variant else {}

    @classmethod
    def own_backbone(cls, options: Mapping[str, Any]) -> str | None:
        """The image itself."""
        return Pixels.name_of(cls.Config.from_options(options).image_size)

    def fit_tokens(self, tokens: PatchTokens) -> None:
        """Fit a new model on the shots alone."""
        images = to_images(tokens)
        self.module = fit(self.config, images, self.backbone.device, self.seed)

    def remembering(self, tokens: PatchTokens) -> "AnomalibModel":
        """Models that only remember are fitted anew; what was trained stays as it is."""
        return super().remembering(tokens) if only_remembers(self.module) else self

    def score(self, tokens: PatchTokens) -> Prediction:
        """The model's image scores, and its maps resized bilinearly."""
        images = to_images(tokens).to(self.backbone.device)
        with torch.no_grad():
            output = self.module.model(self.module.pre_processor.transform(images))
        if output.anomaly_map is None:
            raise ConfigError(f"anomalib's {self.config.model} gives no anomaly map; leave it out")
        maps = output.anomaly_map.float().reshape(len(tokens), 1, *output.anomaly_map.shape[-2:])
        size = (MAP_SIZE, MAP_SIZE)
        maps = F.interpolate(maps, size, mode="bilinear", align_corners=False)[:, 0]
        scores = maps.amax((1, 2)) if output.pred_score is None else output.pred_score.flatten()
        return Prediction(scores.float().cpu().numpy(), maps.cpu().numpy())

    def state(self) -> dict[str, Tensor]:
        """All parameters and buffers of the model."""
        return {k: v.detach().clone() for k, v in self.module.model.state_dict().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Build the model again, untrained, and take them."""
        self.module = restore(self.config, state, self.backbone.device)
