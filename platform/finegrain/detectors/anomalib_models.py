"""Any image model of the anomalib library as a detector; needs the extra finegrain[anomalib].

B images, K shots, S side of the image that the model sees.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from finegrain.clip import PatchTokens
from finegrain.clip.pixels import Pixels, to_images
from finegrain.detectors import anomalib_fit
from finegrain.detectors.detector import Detector, DetectorConfig, Prediction
from finegrain.detectors.maps import MAP_SIZE
from finegrain.errors import ConfigError

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class AnomalibConfig(DetectorConfig):
    """Options.

    Args:
        model: anomalib's class, for example Patchcore; case and underscores do not matter.
        arguments: of that class, for example {"backbone": "resnet18", "pre_trained": false}.
        weights: what timm would otherwise download: a file of tensors (.safetensors, .pth);
            efficientnet_lite1 for those of its package, with the backbone tf_efficientnet_lite1;
            or random.
        image_size: S; a multiple of the patch size where the model has a ViT.
        mean, std: normalisation of the image on a 0-1 scale, the model's own by default.
        max_epochs: over the K shots, for models that are trained.
        batch_size: of training; EfficientAd asks for 1.
    """

    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    image_size: int = 256
    mean: Rgb | None = None
    std: Rgb | None = None
    max_epochs: int = 100
    batch_size: int = 4

    def __post_init__(self) -> None:
        if min(self.image_size, self.max_epochs, self.batch_size) < 1:
            raise ConfigError("image_size, max_epochs and batch_size must be positive")
        if (self.mean is None) != (self.std is None) or min(self.std or (1.0,)) <= 0:
            raise ConfigError("mean and std go together, and std must be positive")
        anomalib_fit.known_name(self.model)


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

    def fit_tokens(self, shots: PatchTokens) -> None:
        """Fit a new model on the shots alone."""
        images = to_images(shots)
        self.module = anomalib_fit.fit(self.config, images, self.backbone.device, self.seed)

    def remembering(self, shots: PatchTokens) -> "AnomalibModel":
        """Models that only remember are fitted anew; what was trained stays as it is."""
        return super().remembering(shots) if anomalib_fit.only_remembers(self.module) else self

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
        self.module = anomalib_fit.restore(self.config, state, self.backbone.device)
