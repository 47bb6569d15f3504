"""`finegrain pretrain`."""

import argparse

from finegrain.cli.command import Command, tell
from finegrain.cli.options import output_option
from finegrain.pretraining.config import PretrainingConfig


def run(args: argparse.Namespace) -> int:
    """Train the bundled vision-language model on procedural scenes with Ray Train.

    finegrain pretrain                               starts a local Ray of its own
    ray job submit jobs/pretrain_backbone.py         on a running cluster
    The same --output goes on from its last epoch; a finished one is judged and saved again.
    """
    import torch

    from finegrain.cluster.train import pretrain
    from finegrain.places import runs_folder

    gpus = 0 if args.no_gpu else torch.cuda.device_count()
    settings = PretrainingConfig(
        scenes=args.scenes, epochs=args.epochs, batch_size=args.batch_size, seed=args.seed
    )
    pretrain(
        args.output or runs_folder() / "pretrain_backbone",
        settings,
        workers=args.workers or max(gpus, 1),
        cpus=args.cpus,
        gpus=gpus > 0,
        tell=tell,
    )
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add, default = parser.add_argument, PretrainingConfig()
    add("--scenes", type=int, default=default.scenes, help="[%(default)s]")
    add("--epochs", type=int, default=default.epochs, help="[%(default)s]")
    add("--batch-size", type=int, default=default.batch_size, help="over all workers [%(default)s]")
    add("--seed", type=int, default=default.seed, help="[%(default)s]")
    add("--workers", type=int, help="each with a GPU, or its share of the CPUs [the GPUs, or 1]")
    add("--cpus", type=int, help="for all workers [all of the cluster]")
    add("--no-gpu", action="store_true", help="leave the GPUs alone")


COMMAND = Command(
    "pretrain",
    run,
    [output_option("scenes, checkpoints and model [runs/pretrain_backbone]")],
    arguments,
)
