#!/usr/bin/env python
"""Zero-shot scores of the bundled model on held-out scenes and on the factory categories.

Exits with 1 where a score is below what the project requires of a shipped model.
"""

import argparse
import sys
from pathlib import Path

from finegrain.backbones.clip.bundled import BUNDLED
from finegrain.errors import InputError
from finegrain.places import runs_folder
from finegrain.pretraining.exam import examine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--model", type=Path, default=BUNDLED, help="folder of the model [the shipped one]")
    add("--scenes", type=int, default=1200, help="held-out scenes [%(default)s]")
    add("--factory", type=int, default=8, help="images of each factory defect; 0: none [8]")
    add("--cache", type=Path, help="of encoded scenes [runs/pretrain_backbone/scenes]")
    args = parser.parse_args()
    cache = args.cache or runs_folder() / "pretrain_backbone" / "scenes"
    try:
        passed = examine(args.model, args.scenes, args.factory, cache, print)
    except InputError as error:
        print(f"eval_backbone: {error}", file=sys.stderr)
        return 2
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
