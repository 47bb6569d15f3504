"""`finegrain regions`."""

import argparse

from finegrain.benchmark.grid import BackboneChoice
from finegrain.cli.command import Command, tell
from finegrain.cli.options import (
    OF_BACKBONE,
    OneFit,
    given,
    grid_options,
    model_options,
    output_option,
)
from finegrain.errors import ConfigError


def run(args: argparse.Namespace) -> int:
    """Show where FineGrainedAD takes the components to be, against the factory's true masks.

    A table of the mean IoU with each modification of DPC-KNN switched off, and a picture a
    category: the regions under each setting and the token-wise matching (figure 6).
    """
    from finegrain.backbones import FrozenClip, load_backbone
    from finegrain.evaluation.figures import png
    from finegrain.factory import CATEGORIES
    from finegrain.files import write_bytes, write_text
    from finegrain.places import runs_folder
    from finegrain.studies.regions import study_regions

    chosen = BackboneChoice(**given(args, BackboneChoice))
    clip = load_backbone(chosen.backbone, weights=chosen.weights)
    if not isinstance(clip, FrozenClip):
        raise ConfigError(f"{chosen.backbone} reads no captions; take a CLIP")
    fit = OneFit(**given(args, OneFit))
    study, pictures = study_regions(
        clip, args.categories or list(CATEGORIES), fit.number, fit.seed, tell
    )
    output = args.output or runs_folder() / "regions"
    for name, picture in pictures.items():
        write_bytes(output / f"{name}.png", png(picture))
    write_text(output / "table.md", study.table() + "\n")
    print(f"\n{study.table()}\n\nPictures: {output}")
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("categories", nargs="*", help="{finegrain.factory.CATEGORIES} [all]")


COMMAND = Command(
    "regions",
    run,
    [
        model_options(OneFit, title="on what"),
        grid_options(*OF_BACKBONE),
        output_option("[runs/regions]"),
    ],
    arguments,
)
