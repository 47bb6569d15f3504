#!/usr/bin/env python
"""Where FineGrainedAD takes the components to be, against the factory's true masks.

A table of the mean IoU with each modification of DPC-KNN switched off, and a picture a category:
the regions under each setting and the token-wise matching (figure 6).
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from finegrain.backbones import load_backbone
from finegrain.backbones.clip.frozen_clip import FrozenClip
from finegrain.errors import ConfigError, InputError
from finegrain.evaluation.figures import png
from finegrain.factory import CATEGORIES
from finegrain.files import write_bytes, write_text
from finegrain.places import runs_folder
from finegrain.studies.regions import study_regions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("categories", nargs="*", help=f"[all of {', '.join(CATEGORIES)}]")
    add("--shots", type=int, default=4, help="[4]")
    add("--seed", type=int, default=0, help="[0]")
    add("--clip", default="bundled", help="a CLIP [bundled]")
    add("--clip-weights", help="of an open_clip model")
    add("--output", type=Path, help="[runs/regions]")
    args = parser.parse_args()
    output = args.output or runs_folder() / "regions"
    try:
        clip = load_backbone(args.clip, weights=args.clip_weights)
        if not isinstance(clip, FrozenClip):
            raise ConfigError(f"{args.clip} reads no captions; take a CLIP")
        study, pictures = study_regions(
            clip, args.categories or list(CATEGORIES), args.shots, args.seed,
            partial(print, flush=True),
        )  # fmt: skip
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, picture in pictures.items():
        write_bytes(output / f"{name}.png", png(picture))
    write_text(output / "table.md", study.table() + "\n")
    print(f"\n{study.table()}\n\nPictures: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
