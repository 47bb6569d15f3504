"""The bundled model trained by Ray Train: 1 to n workers, CPU or GPU, checkpoint and resume.

All of it lies in one directory, which every node must reach:

    scenes/     shards of encoded scenes, kept for the next run
    train/      Ray Train's checkpoints, one an epoch; the same directory resumes from the last
    model/      the trained model, its configuration and its model card
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device, prepare_model

from finegrain.backbones.clip.bundled import load_grounded, save_grounded
from finegrain.backbones.efficientnet import EfficientNetLite1
from finegrain.pretraining.cache import (
    read_scenes,
    read_shard,
    shard_path,
    shards,
    write_missing,
)
from finegrain.pretraining.card import HELD_OUT, score_table, write_card
from finegrain.pretraining.config import PretrainingConfig
from finegrain.pretraining.training import Trainer, new_model
from finegrain.pretraining.zeroshot import evaluate_zero_shot

SCENES, TRAIN, MODEL = "scenes", "train", "model"
STATE = "state.pt"


def pretrain(
    directory: Path,
    settings: PretrainingConfig,
    *,
    workers: int,
    cpus: int | None,
    gpus: bool,
    tell: Callable[[str], None],
) -> Path:
    """Train, or go on from the directory's last checkpoint; returns the folder of the model.

    `cpus` are shared by all workers (None: all that the cluster has); with `gpus` each has one too.
    """
    start = time.monotonic()
    directory = directory.resolve()
    if not ray.is_initialized():
        ray.init()
    share = max(1, (cpus or _cluster_cpus()) // workers)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "directory": str(directory), "settings": asdict(settings), "threads": share,
        },
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=gpus,
            resources_per_worker={"CPU": share} | ({"GPU": 1} if gpus else {}),
        ),
        run_config=RunConfig(
            name=TRAIN,
            storage_path=str(directory),
            failure_config=FailureConfig(max_failures=2),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )  # fmt: skip
    checkpoint = trainer.fit().checkpoint
    if checkpoint is None:
        raise RuntimeError(f"training in {directory} ended without a checkpoint")
    how = f"{workers} {'GPU' if gpus else 'CPU'} worker{'s' * (workers > 1)}"
    minutes = (time.monotonic() - start) / 60
    return _conclude(directory, settings, checkpoint, f"{how} in {minutes:.0f} minutes", tell)


def _cluster_cpus() -> int:
    return int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]


def train_worker(config: dict[str, Any]) -> None:
    """One worker: its share of the scenes to encode, then its share of every batch."""
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    device = get_device()
    torch.set_num_threads(config["threads"])
    settings = PretrainingConfig(**config["settings"])
    folder, seeds = Path(config["directory"]) / SCENES, range(settings.scenes)
    write_missing(
        folder, lambda: EfficientNetLite1(device), seeds, rank=rank, workers=workers,
        on_shard=lambda done, total: print(f"worker {rank}: shard {done}/{total}", flush=True),
    )  # fmt: skip
    if workers > 1:
        torch.distributed.barrier()
    scenes = read_scenes(folder, seeds)
    model = new_model(scenes, settings.seed).to(device)
    trainer = Trainer(model, settings, wrap=prepare_model)
    if checkpoint := ray.train.get_checkpoint():
        with checkpoint.as_directory() as stored:
            trainer.restore(torch.load(Path(stored) / STATE, device, weights_only=True))
    for epoch in trainer.epochs(scenes, rank, workers):
        if rank == 0:
            print(f"epoch {epoch.number}/{settings.epochs}: {epoch}", flush=True)
        metrics = {"epoch": epoch.number, "seconds": epoch.seconds, **epoch.losses}
        with tempfile.TemporaryDirectory() as scratch:
            if rank == 0:
                torch.save(trainer.state(), Path(scratch) / STATE)
            ray.train.report(
                metrics, checkpoint=Checkpoint.from_directory(scratch) if rank == 0 else None
            )


def _conclude(
    directory: Path,
    settings: PretrainingConfig,
    checkpoint: Checkpoint,
    how: str,
    tell: Callable[[str], None],
) -> Path:
    """Save the last epoch's model, judge what was saved on held-out scenes, and write its card."""
    with checkpoint.as_directory() as stored:
        state = torch.load(Path(stored) / STATE, "cpu", weights_only=True)
    scenes, folder, tower = directory / SCENES, directory / MODEL, EfficientNetLite1()
    sample = read_shard(shard_path(scenes, shards(range(settings.scenes))[0]))
    trained = new_model(sample, settings.seed)
    trained.load_state_dict(state["model"])
    size = save_grounded(trained, folder, tower.weights_hash)
    write_missing(scenes, lambda: tower, HELD_OUT)
    saved = load_grounded(folder, tower.weights_hash)
    scores = evaluate_zero_shot(saved, read_scenes(scenes, HELD_OUT))
    write_card(folder, settings, scores, size, how)
    tell(f"{score_table(scores)}\n{folder}: {size / 1e6:.2f} MB; {how}")
    return folder
