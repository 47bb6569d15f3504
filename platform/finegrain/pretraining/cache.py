"""Scenes as the frozen tower sees them, rendered and encoded once and kept in sharded files.

A shard is a safetensors file of `SHARD` scenes with their facts as JSON in its header. N = 225
tokens of W = 472 values, P = MAX_PARTS parts, K kinds of defect; coverages are 0 to 255.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from finegrain.backbones.backbone import Backbone, encode
from finegrain.pretraining.facts import MAX_PARTS, Facts, facts_from_json, facts_to_json
from finegrain.pretraining.scenes import Scene, render_scene
from finegrain.pretraining.vocabulary import DEFECT_WORDS

SHARD = 500
KINDS = tuple(DEFECT_WORDS)


@dataclass(frozen=True)
class EncodedScenes:
    """S scenes as tensors, with the facts behind them."""

    features: Tensor  # (S,N,W) float16, the tower's levels side by side
    parts: Tensor  # (S,P,N) uint8, coverage of each token by each part
    defects: Tensor  # (S,K,N) uint8, coverage of each token by each kind of defect
    facts: tuple[Facts, ...]

    def __len__(self) -> int:
        return len(self.facts)

    def subset(self, rows: Sequence[int]) -> "EncodedScenes":
        """The scenes of those indices, in that order."""
        index = torch.as_tensor(rows)
        return EncodedScenes(
            self.features[index],
            self.parts[index],
            self.defects[index],
            tuple(self.facts[row] for row in rows),
        )


def encode_scenes(tower: Backbone, seeds: Sequence[int], batch_size: int = 8) -> EncodedScenes:
    """Render the scenes of those seeds and encode them."""
    scenes = [render_scene(seed) for seed in seeds]
    tokens = encode(tower, [scene.image for scene in scenes], batch_size)
    rows, columns = tokens.grid
    return EncodedScenes(
        torch.cat(tokens.memories, -1).half().cpu(),
        torch.from_numpy(np.stack([_part_cover(scene, rows, columns) for scene in scenes])),
        torch.from_numpy(np.stack([_defect_cover(scene, rows, columns) for scene in scenes])),
        tuple(scene.facts for scene in scenes),
    )


def _silent(_done: int, _total: int) -> None:
    """Nobody asked about progress."""


def write_missing(
    folder: Path,
    tower: Callable[[], Backbone],
    seeds: range,
    *,
    rank: int = 0,
    workers: int = 1,
    on_shard: Callable[[int, int], None] = _silent,
) -> None:
    """Make the shards that `folder` lacks; of several workers, each makes its share of them.

    `tower` is called only when something must be encoded; `on_shard` hears of progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    share = shards(seeds)[rank::workers]  # whatever the others have made in the meantime
    own = [part for part in share if not shard_path(folder, part).exists()]
    backbone = tower() if own else None
    for done, part in enumerate(own, 1):
        assert backbone is not None
        write_shard(shard_path(folder, part), encode_scenes(backbone, part))
        on_shard(done, len(own))


def read_scenes(folder: Path, seeds: range) -> EncodedScenes:
    """The scenes of those seeds, whose shards must all be there."""
    parts = [read_shard(shard_path(folder, part)) for part in shards(seeds)]
    return EncodedScenes(
        torch.cat([part.features for part in parts]),
        torch.cat([part.parts for part in parts]),
        torch.cat([part.defects for part in parts]),
        tuple(one for part in parts for one in part.facts),
    )


def shard_path(folder: Path, seeds: range) -> Path:
    """Where the scenes of those seeds lie."""
    return folder / f"scenes-{seeds.start:07d}-{seeds.stop:07d}.safetensors"


def shards(seeds: range) -> list[range]:
    """The seeds of each shard."""
    starts = range(seeds.start, seeds.stop, SHARD)
    return [range(start, min(start + SHARD, seeds.stop)) for start in starts]


def write_shard(path: Path, scenes: EncodedScenes) -> None:
    """Write through a temporary file, so that a shard is whole or absent."""
    facts = json.dumps([facts_to_json(one) for one in scenes.facts])
    partial = path.with_suffix(".partial")
    tensors = {"features": scenes.features, "parts": scenes.parts, "defects": scenes.defects}
    save_file(tensors, partial, metadata={"facts": facts})
    partial.replace(path)


def read_shard(path: Path) -> EncodedScenes:
    """The scenes of one file."""
    with safe_open(path, framework="pt") as stored:
        facts = tuple(facts_from_json(one) for one in json.loads(stored.metadata()["facts"]))
        features, parts, defects = (stored.get_tensor(k) for k in ("features", "parts", "defects"))
    return EncodedScenes(features, parts, defects, facts)


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Shuffled indices in batches; an incomplete last one is dropped."""
    order = torch.randperm(count, generator=generator).tolist()
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def _part_cover(scene: Scene, rows: int, columns: int) -> npt.NDArray[np.uint8]:  # (P,N)
    cover = np.zeros((MAX_PARTS, rows * columns), dtype=np.uint8)
    for index, mask in enumerate(scene.part_masks):
        cover[index] = token_cover(mask, rows, columns)
    return cover


def _defect_cover(scene: Scene, rows: int, columns: int) -> npt.NDArray[np.uint8]:  # (K,N)
    cover = np.zeros((len(KINDS), rows * columns), dtype=np.uint8)
    for defect in scene.defects:
        row = cover[KINDS.index(defect.kind)]
        np.maximum(row, token_cover(defect.mask, rows, columns), out=row)
    return cover


def token_cover(
    mask: npt.NDArray[np.bool_], rows: int, columns: int
) -> npt.NDArray[np.uint8]:  # (H,W) -> (N,)
    """How much of each token's square a mask covers, rounded up so that a touch is not 0."""
    height, width = mask.shape
    blocks = mask.reshape(rows, height // rows, columns, width // columns)
    return np.asarray(np.ceil(blocks.mean((1, 3)).ravel() * 255), dtype=np.uint8)
