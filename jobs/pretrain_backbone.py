#!/usr/bin/env python
"""Train the bundled vision-language model on procedural scenes with Ray Train.

ray job submit jobs/pretrain_backbone.py
python jobs/pretrain_backbone.py                 starts a local Ray of its own
The same --output goes on from its last epoch; a finished one is judged and saved again.
"""

import argparse
import sys
from pathlib import Path

import torch

from finegrain.cluster.train import pretrain
from finegrain.errors import InputError
from finegrain.places import runs_folder
from finegrain.pretraining.training import PretrainingConfig


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, default = parser.add_argument, PretrainingConfig()
    add("--output", type=Path, help="scenes, checkpoints and model [runs/pretrain_backbone]")
    add("--scenes", type=int, default=default.scenes, help="[%(default)s]")
    add("--epochs", type=int, default=default.epochs, help="[%(default)s]")
    add("--batch-size", type=int, default=default.batch_size, help="over all workers [%(default)s]")
    add("--seed", type=int, default=default.seed, help="[%(default)s]")
    add("--workers", type=int, help="each with a GPU, or its share of the CPUs [the GPUs, or 1]")
    add("--cpus", type=int, help="for all workers [all of the cluster]")
    add("--no-gpu", action="store_true", help="leave the GPUs alone")
    args = parser.parse_args()
    gpus = 0 if args.no_gpu else torch.cuda.device_count()
    settings = PretrainingConfig(
        scenes=args.scenes, epochs=args.epochs, batch_size=args.batch_size, seed=args.seed
    )
    output = args.output or runs_folder() / "pretrain_backbone"
    try:
        pretrain(
            output,
            settings,
            workers=args.workers or max(gpus, 1),
            cpus=args.cpus,
            gpus=gpus > 0,
            tell=lambda line: print(line, flush=True),
        )
    except InputError as error:
        print(f"pretrain_backbone: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
