"""Frozen image models: pixels in, tokens out; and the CLIPs among them, which also read text.

tokens.py        PatchTokens, what a model says about images
windows.py       Windows of patches, which an image may be encoded in beside whole
backbone.py      Backbone, the face of every model; preprocessing; batched encoding
frame.py         narrow and tall parts: their patches alone
catalog.py       the table of all models: a new one is a file and a row there
efficientnet.py  EfficientNet-Lite1, ImageNet weights from the package index
timm_towers.py   ResNets and DINOv2 of timm: from its hub or from a file (weights_file.py)
pixels.py        the image itself, for detectors that bring an encoder of their own
clip/            those with a text tower
"""

from finegrain.backbones.backbone import (
    Backbone,
    Convolutional,
    RemoteBackbone,
    RgbImage,
    encode,
)
from finegrain.backbones.catalog import BACKBONES, check_backbone, load_backbone
from finegrain.backbones.clip.bundled import BundledClip
from finegrain.backbones.clip.frozen_clip import FrozenClip
from finegrain.backbones.frame import Resize, aspect_of, framed, shots_aspect
from finegrain.backbones.tokens import PatchTokens
from finegrain.backbones.windows import Windows

__all__ = [
    "BACKBONES",
    "Backbone",
    "BundledClip",
    "Convolutional",
    "FrozenClip",
    "PatchTokens",
    "RemoteBackbone",
    "Resize",
    "RgbImage",
    "Windows",
    "aspect_of",
    "check_backbone",
    "encode",
    "framed",
    "load_backbone",
    "shots_aspect",
]
