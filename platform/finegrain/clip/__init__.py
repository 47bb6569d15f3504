"""Frozen image models: pixels in, tokens out.

tokens.py        PatchTokens, what a backbone says about images
backbone.py      Backbone, the face of every model; preprocessing; batched encoding
efficientnet.py  EfficientNet-Lite1, ImageNet weights from the package index
"""

from finegrain.clip.backbone import Backbone, RgbImage, encode
from finegrain.clip.efficientnet import EfficientNetLite1
from finegrain.clip.tokens import PatchTokens
from finegrain.errors import ConfigError

__all__ = ["BACKBONES", "Backbone", "PatchTokens", "RgbImage", "encode", "load_backbone"]

BACKBONES = {EfficientNetLite1.name: EfficientNetLite1}


def load_backbone(name: str, device: str = "cpu") -> Backbone:
    """The frozen model of that name; ConfigError lists the known ones."""
    if name not in BACKBONES:
        raise ConfigError(f"no backbone {name!r}; known: {', '.join(sorted(BACKBONES))}")
    return BACKBONES[name](device)
