"""open_clip's vision transformers behind the face of every frozen CLIP.

B images, N patches, D joint width, W vision width; S prompts of L tokens, E text width. Names, tags
and file format are open_clip's own, and its modules are never altered.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.factory import get_model_config
from open_clip.model import CLIP, resize_pos_embed
from open_clip.pretrained import (
    download_pretrained,
    get_pretrained_cfg,
    list_pretrained_tags_by_model,
)
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor

from finegrain.backbones.backbone import RgbImage, normalise
from finegrain.backbones.clip.frozen_clip import Rgb, end_positions
from finegrain.backbones.clip.openclip_models import MODELS, QUICK
from finegrain.backbones.clip.vv_attention import both_paths, causal_path, embed_pixels
from finegrain.backbones.clip.window_attention import window_classes
from finegrain.backbones.efficientnet import parameters_hash
from finegrain.backbones.tokens import PatchTokens
from finegrain.backbones.weights_file import check_fit, read_weights
from finegrain.backbones.windows import Windows, covers
from finegrain.errors import ConfigError

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class OpenClip:
    """A CLIP of open_clip as a `FrozenClip`; it takes the model over, frozen, on its device.

    Raises:
        ConfigError: the precision, or something in the architecture, that the V-V path, the class
            token or truncated prompts would get wrong.
    """

    def __init__(
        self,
        name: str,
        model: CLIP,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        mean: Rgb = OPENAI_DATASET_MEAN,
        std: Rgb = OPENAI_DATASET_STD,
    ) -> None:
        _check_architecture(name, model)
        self.name = name
        self.device, self.dtype = torch.device(device), dtype
        _check_precision(self.dtype, self.device)
        self.mean, self.std = mean, std
        self.logit_scale = math.exp(model.logit_scale.item())  # before it loses precision
        self.model: Any = model.eval().requires_grad_(False).to(self.device, dtype)
        self.image_size: int = model.visual.image_size[0]
        self.grid: tuple[int, int] = model.visual.grid_size
        self.embed_dim: int = model.visual.output_dim
        self.context_length: int = model.context_length
        depth = len(model.visual.transformer.resblocks)
        self.memory_depths = (max(1, depth // 4), max(1, 2 * depth // 3))  # 3 and 8 of 12
        self._tokenizer = SimpleTokenizer(context_length=self.context_length)
        self._mean = torch.tensor(mean, device=self.device)
        self._std = torch.tensor(std, device=self.device)

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over the parameters, as they are in this precision and for this input side."""
        return parameters_hash(self.model)

    def preprocess(self, images: Sequence[RgbImage]) -> Tensor:
        """RGB images of any size -> (B,3,S,S)."""
        return normalise(images, self.image_size, self._mean, self._std)

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,S,S) -> ordinary class token, V-V patches, memories of the ordinary path.

        Windows come with the ordinary patches that the last block leaves, behind its norm.
        """
        side, visual = self.image_size, self.model.visual
        if pixels.shape[1:] != (3, side, side):
            raise ValueError(f"needed pixels (B,3,{side},{side}); got {tuple(pixels.shape)}")
        blocks, grid = visual.transformer.resblocks, visual.grid_size
        own = covers(grid, windows.scales) if windows and windows.shared else None
        with torch.no_grad():
            x = embed_pixels(visual, pixels.to(self.device, self.dtype))
            seen = both_paths(
                blocks, x, self.memory_depths, own=own, all_ordinary=windows is not None
            )
            image, patches = self._joint(seen.image), self._joint(seen.patches)
            memories = tuple(memory.float().contiguous() for memory in seen.memories)
            if windows is None:
                return PatchTokens(image, patches, memories, grid)
            classes = window_classes(blocks, x, seen.windows, windows, grid)
            found = tuple(self._joint(tokens) for tokens in classes)
            ordinary = visual.ln_post(seen.ordinary).float()
        return PatchTokens(image, patches, memories, grid, found, ordinary)

    def _joint(self, tokens: Tensor) -> Tensor:  # (...,W) -> (...,D)
        """Tokens of the last block in the joint space, unit norm."""
        visual = self.model.visual
        return F.normalize((visual.ln_post(tokens) @ visual.proj).float(), dim=-1)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> (S,77) ids, zeros behind the end token; what is longer loses its end."""
        ids: Tensor = self._tokenizer(list(texts))
        return ids.to(self.device)

    def embed_tokens(self, ids: Tensor) -> Tensor:  # (S,L) -> (S,L,E)
        """Token embeddings without positions."""
        embeddings: Tensor = self.model.token_embedding(ids.to(self.device))
        return embeddings.float()

    def encode_prompts(self, embeddings: Tensor, end_positions: Tensor) -> Tensor:
        """(S,L,E), (S,) -> (S,D) unit norm, at the length of the longest prompt of all.

        Causal attention makes what stands behind the end token irrelevant, so nothing is lost.
        """
        if not len(embeddings):
            raise ValueError("encode_prompts needs at least one prompt")
        length = int(end_positions.max()) + 1
        if length > min(embeddings.shape[1], self.context_length):
            raise ValueError(
                f"a prompt ends at token {length} of {embeddings.shape[1]}; {self.name} takes at "
                f"most {self.context_length}: shorten its sentence or its context"
            )
        positions = self.model.positional_embedding[:length]
        x = embeddings[:, :length].to(self.device, self.dtype) + positions
        x = causal_path(self.model.transformer.resblocks, x)
        ends = x[torch.arange(len(x), device=x.device), end_positions.to(x.device)]
        return F.normalize((self.model.ln_final(ends) @ self.model.text_projection).float(), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> (S,D) unit norm, without gradient."""
        ids = self.tokenize(texts)
        with torch.no_grad():
            return self.encode_prompts(self.embed_tokens(ids), end_positions(ids))


def load_open_clip(
    name: str,
    weights: str | Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    image_size: int | None = None,
    mean: Rgb | None = None,
    std: Rgb | None = None,
) -> OpenClip:
    """The named model with weights of one of open_clip's tags or of a local file in its format.

    Args:
        name: one of MODELS; a tag that was trained with QuickGELU gives the QuickGELU variant, a
            file can't say so: there the name decides.
        image_size: another input side; positional embeddings are resized as open_clip does.
        mean: of the pixels, on a 0-1 scale; left out, the tag's, or OpenAI's for a file.
        std: likewise.

    Raises:
        ConfigError: an unknown name, or weights that are neither a tag nor a file.
        CheckpointError: a file that is damaged, of another model, or more than tensors.
        ConnectionError: a tag's weights could not be downloaded.
    """
    _check_name(name)
    tag = get_pretrained_cfg(name, str(weights))
    if tag:
        name = name.removesuffix(QUICK) + (QUICK if tag.get("quick_gelu") else "")
    elif not Path(weights).is_file():
        tags = ", ".join(list_pretrained_tags_by_model(name)) or "none"
        raise ConfigError(f"{weights} is no file and no tag of {name}; its tags: {tags}")
    path = _download(name, str(weights), tag) if tag else Path(weights)
    model = build_model(name, image_size)
    _fill(model, path, name)
    mean, std = mean or tag.get("mean"), std or tag.get("std")
    return OpenClip(
        name,
        model,
        device=device,
        dtype=dtype,
        mean=mean or OPENAI_DATASET_MEAN,
        std=std or OPENAI_DATASET_STD,
    )


def build_model(name: str, image_size: int | None = None) -> CLIP:
    """The named architecture with random weights, for that input side or its own."""
    _check_name(name)
    config = get_model_config(name)  # type: ignore[no-untyped-call]
    patch = config["vision_cfg"]["patch_size"]
    if image_size is not None:
        if image_size < patch or image_size % patch:
            raise ConfigError(f"image_size {image_size} is no multiple of {name}'s patch, {patch}")
        config["vision_cfg"]["image_size"] = image_size
    return CLIP(**config)


def _download(name: str, tag: str, config: dict[str, Any]) -> Path:
    """The weights of a tag from open_clip's hub, or its cache."""
    try:
        return Path(download_pretrained(config))
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"the weights {tag!r} of {name} could not be downloaded: {error}. Try again with a "
            "network, or give a local file in open_clip's format in place of the tag"
        ) from error


def _fill(model: CLIP, path: Path, name: str) -> None:
    """Load a file's weights; positions of another grid are resized, all else must fit exactly."""
    weights, wanted = read_weights(path), model.state_dict()
    positions = weights.get("visual.positional_embedding")
    if positions is not None and _is_square_grid(positions):
        weights["visual.positional_embedding"] = positions.float()
        resize_pos_embed(weights, model)
    if "logit_scale" in weights and weights["logit_scale"].numel() == 1:
        weights["logit_scale"] = weights["logit_scale"].reshape(())
    check_fit(path, weights, wanted, name)
    model.load_state_dict(weights)


def _is_square_grid(positions: Tensor) -> bool:
    """Whether these are positions (1 + side², W), which open_clip takes for granted."""
    patches = len(positions) - 1 if positions.ndim == 2 else 0
    return patches > 0 and math.isqrt(patches) ** 2 == patches


def _check_name(name: str) -> None:
    if name not in MODELS:
        raise ConfigError(f"no open_clip model {name!r} here; known: {', '.join(MODELS)}")


def _check_precision(dtype: torch.dtype, device: torch.device) -> None:
    if dtype not in DTYPES:
        raise ConfigError(f"no precision {dtype}; known: {', '.join(map(str, DTYPES))}")
    if dtype == torch.float16 and device.type == "cpu":
        raise ConfigError("torch.float16 needs a GPU; use torch.bfloat16 or torch.float32 here")


def _check_architecture(name: str, model: CLIP) -> None:
    """ConfigError says what of the architecture this module does not compute."""
    if not isinstance(model.visual, VisionTransformer):
        raise ConfigError(f"{name}'s image tower is a {type(model.visual).__name__}; needed a ViT")
    visual: Any = model.visual
    faults = []
    blocks = [*visual.transformer.resblocks, *model.transformer.resblocks]
    if not all(isinstance(block, ResidualAttentionBlock) for block in blocks):
        faults.append("plain residual attention blocks")
    if visual.attn_pool is not None or visual.pool_type != "tok":
        faults.append(f"a class token (pool_type 'tok', not {visual.pool_type!r})")
    if len(visual.transformer.resblocks) < 2:
        faults.append("two vision blocks at least")
    if visual.image_size[0] != visual.image_size[1]:
        faults.append(f"a square input, not {visual.image_size}")
    if visual.proj is None or not isinstance(model.text_projection, Tensor):
        faults.append("a projection matrix for image and text each")
    if model.attn_mask is None or model.text_pool_type != "argmax":
        faults.append("causal text attention, pooled at the end token")
    if faults:
        raise ConfigError(f"{name} can't be used as a frozen CLIP; needed {'; '.join(faults)}")
