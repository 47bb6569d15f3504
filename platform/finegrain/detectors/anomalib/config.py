"""What is chosen of a model of anomalib."""

from dataclasses import dataclass, field
from typing import Any

from finegrain.detectors.anomalib.library import known_name
from finegrain.detectors.detector import DetectorConfig
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
        known_name(self.model)
