"""Image towers of timm that only see: the ResNets of the first detectors, and DINOv2.

B images, N patches, W_l width of level l, D width of DINOv2's tokens. Weights come from timm's hub
or from a local file in the format of timm, torchvision or DINOv2's authors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import hf_hub_download
from torch import Tensor, nn

from finegrain.backbones.backbone import RgbImage, normalise
from finegrain.backbones.efficientnet import fold_norms, level_tokens, parameters_hash
from finegrain.backbones.tokens import PatchTokens
from finegrain.backbones.weights_file import check_fit, read_weights
from finegrain.backbones.windows import Windows, pooled
from finegrain.errors import CheckpointError, ConfigError

HUB = "hub"  # in place of a file: timm's own weights of the tags below
RESNETS = {  # the ImageNet weights that PatchCore, PaDiM and SPADE were published with
    "resnet18": "resnet18.tv_in1k",
    "wide_resnet50_2": "wide_resnet50_2.tv_in1k",
}
DINOS = {
    "dinov2_small": "vit_small_patch14_dinov2.lvd142m",  # AnomalyDINO's
    "dinov2_base": "vit_base_patch14_dinov2.lvd142m",
    "dinov2_small_reg4": "vit_small_patch14_reg4_dinov2.lvd142m",
    "dinov2_base_reg4": "vit_base_patch14_reg4_dinov2.lvd142m",
    "dinov2_giant_reg4": "vit_giant_patch14_reg4_dinov2.lvd142m",  # SubspaceAD's
}
TOWERS = (*RESNETS, *DINOS)
RESNET_LEVELS = [1, 2, 3]  # layer1 to layer3, of stride 4, 8, 16
PATCH = 14  # pixels a side, of DINOv2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
RESNET_SIDE, DINO_SIDE = 240, 448  # pixels; AnomalyDINO's, a grid of 32 × 32


class _Tower:
    """What both kinds share; it takes the network over, frozen, on its device."""

    def __init__(
        self, name: str, network: nn.Module, device: torch.device | str, image_size: int
    ) -> None:
        self.name, self.image_size = name, image_size
        self.device = torch.device(device)
        self.weights_hash = parameters_hash(network)
        self.network: Any = network.eval().requires_grad_(False).to(self.device)
        self._mean = torch.tensor(MEAN, device=self.device)
        self._std = torch.tensor(STD, device=self.device)

    def preprocess(self, images: Sequence[RgbImage]) -> Tensor:
        """RGB images of any size -> (B,3,S,S)."""
        return normalise(images, self.image_size, self._mean, self._std)


class ResNetTower(_Tower):
    """A ResNet as a `Backbone`: layer1 to layer3 on the stride-16 grid.

    PaDiM and SPADE were published on all three, PatchCore on the last two; each takes its own where
    its option `levels` is left out.
    """

    level_strides = (4, 8, 16)

    def __init__(
        self, name: str, network: nn.Module, device: torch.device | str, image_size: int
    ) -> None:
        super().__init__(name, network, device, image_size)
        self.grid = (image_size // 16, image_size // 16)
        fold_norms(self.network)
        self.network.to(memory_format=torch.channels_last)

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,S,S) -> tokens; `patches` are the levels side by side, each of unit norm first."""
        levels = self.network.forward_intermediates(
            pixels.to(self.device).contiguous(memory_format=torch.channels_last),
            indices=RESNET_LEVELS,
            stop_early=True,
            intermediates_only=True,
        )
        rows, columns = levels[-1].shape[-2:]
        return level_tokens(levels, (rows, columns), windows)


class DinoTower(_Tower):
    """DINOv2 as a `Backbone`: class token and patches behind the last norm.

    `memories` are the middle blocks' outputs whose mean SubspaceAD takes: the 23rd to the 29th of
    40, or as many in proportion. Departures from both papers: images become square, and positions
    are resized once, with antialiasing, as timm does.
    """

    def __init__(
        self, name: str, network: nn.Module, device: torch.device | str, image_size: int
    ) -> None:
        super().__init__(name, network, device, image_size)
        depth = len(self.network.blocks)
        self.memory_blocks = list(range(round(22 / 40 * depth), round(28 / 40 * depth) + 1))
        self.grid = (image_size // PATCH, image_size // PATCH)

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,S,S) -> tokens; image and patches (B,·,D) in one visual space."""
        tokens, memories = self.network.forward_intermediates(
            pixels.to(self.device), indices=self.memory_blocks, output_fmt="NLC"
        )
        unit = F.normalize(tokens, dim=-1)
        patches = unit[:, self.network.num_prefix_tokens :]
        found = pooled(patches, self.grid, windows.scales) if windows else ()
        return PatchTokens(unit[:, 0], patches, tuple(memories), self.grid, found)


def load_tower(
    name: str, weights: str | Path, device: torch.device | str, image_size: int | None = None
) -> ResNetTower | DinoTower:
    """The named tower with weights from the hub or from a local file.

    Raises:
        ConfigError: weights that are neither "hub" nor a file, or an input side that does not fit.
        CheckpointError: a file that is damaged, of another model, or more than tensors.
        ConnectionError: the hub could not be reached.
    """
    if str(weights) != HUB and not Path(weights).is_file():
        raise ConfigError(f"{weights} is no file; {name} takes a file of weights, or {HUB!r}")
    side = image_size or (RESNET_SIDE if name in RESNETS else DINO_SIDE)
    network = build_network(name, side)
    _fill(network, download(name) if str(weights) == HUB else Path(weights), name)
    if name in DINOS:
        return DinoTower(name, network, device, side)
    network.prune_intermediate_layers(RESNET_LEVELS, prune_head=True)  # type: ignore[operator]
    return ResNetTower(name, network, device, side)


def build_network(name: str, image_size: int) -> nn.Module:
    """timm's network for that input side, its weights yet to be filled in."""
    import timm  # it takes a second and a half: only where a tower is needed

    multiple = PATCH if name in DINOS else 16
    if image_size < multiple or image_size % multiple:
        raise ConfigError(
            f"{name} needs an image_size in multiples of {multiple}; got {image_size}"
        )
    architecture = (RESNETS | DINOS)[name].partition(".")[0]
    own: dict[str, Any] = {"img_size": image_size, "weight_init": "skip"} if name in DINOS else {}
    network: nn.Module = timm.create_model(architecture, pretrained=False, **own)
    return network


def download(name: str) -> Path:
    """The hub's file, or the copy of it that an earlier call left."""
    tag = (RESNETS | DINOS)[name]
    try:
        return Path(hf_hub_download(f"timm/{tag}", "model.safetensors"))
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"the weights {tag!r} of {name} could not be downloaded: {error}. Try again with a "
            f"network, or give a local file in place of {HUB!r}"
        ) from error


def _fill(network: Any, path: Path, name: str) -> None:
    """Load a file's weights; DINOv2's names and grid are converted, all else must fit exactly."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    weights, wanted = read_weights(path), network.state_dict()
    if name in DINOS:
        try:
            weights = checkpoint_filter_fn(weights, network)
        except Exception as error:  # timm takes for granted what a stranger's file may lack
            raise CheckpointError(f"{path} does not hold the weights of {name}: {error}") from error
    counters = {key: value for key, value in wanted.items() if key.endswith("num_batches_tracked")}
    weights = counters | weights  # older files have none, and nothing depends on them
    check_fit(path, weights, wanted, name)
    network.load_state_dict(weights)
