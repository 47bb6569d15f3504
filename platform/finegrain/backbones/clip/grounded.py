"""The trained half of the bundled model, apart from its frozen image tower: heads and text tower.

The configuration is JSON in open_clip's manner: embed_dim, vision_cfg, text_cfg.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finegrain.backbones.clip.image_heads import ClassPooling, HeadConfig, PatchProjection
from finegrain.backbones.clip.text_tower import TextConfig, TextTower
from finegrain.errors import ConfigError

MAX_LOGIT_SCALE = 100.0


@dataclass(frozen=True)
class GroundedConfig:
    """Sizes of the heads and of the text tower, and of the space they share."""

    vision: HeadConfig
    text: TextConfig
    embed_dim: int = 256

    def to_json(self) -> dict[str, Any]:
        """open_clip's names for the three parts."""
        return {
            "embed_dim": self.embed_dim,
            "vision_cfg": asdict(self.vision),
            "text_cfg": asdict(self.text),
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "GroundedConfig":
        """The configuration behind `to_json`; ConfigError names an unknown key."""
        return GroundedConfig(
            _known(HeadConfig, stored["vision_cfg"]),
            _known(TextConfig, stored["text_cfg"]),
            stored["embed_dim"],
        )


class GroundedModel(nn.Module):
    """Tower features and sentences in one space, compared by cosine times `logit_scale`."""

    def __init__(self, config: GroundedConfig) -> None:
        super().__init__()
        self.config = config
        self.patches = PatchProjection(config.vision, config.embed_dim)
        self.pooling = ClassPooling(config.vision, config.embed_dim)
        self.text = TextTower(config.text, config.embed_dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))

    @property
    def logit_scale(self) -> Tensor:
        """The temperature, exponentiated and bounded as CLIP's is."""
        return self.log_scale.exp().clamp(max=MAX_LOGIT_SCALE)

    def image_tokens(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B,N,W) tower features -> class token (B,D) and patches (B,N,D), unit norm."""
        patches = self.patches(features)
        image = self.pooling(patches)
        return F.normalize(image.float(), dim=-1), F.normalize(patches.float(), dim=-1)


def _known(kind: Any, values: dict[str, Any]) -> Any:
    names = [field.name for field in fields(kind)]
    for key in values:
        if key not in names:
            raise ConfigError(f"no setting {key!r} in {kind.__name__}; known: {', '.join(names)}")
    return kind(**values)
