"""`finegrain fit`."""

import argparse
from pathlib import Path

from finegrain.cli.command import Command, tell
from finegrain.cli.options import (
    given,
    grid_options,
    output_option,
    resume_option,
    share_options,
    tracking_option,
)
from finegrain.errors import ConfigError

METHOD, MOST = "anomalydino", 8  # shots of a part


def run(args: argparse.Namespace) -> int:
    """Fit a detector for each part from good photos alone: no test images, no masks.

    finegrain fit PHOTOS --promote          and `finegrain serve` serves every part
    finegrain fit PHOTOS --method finegrained
    finegrain fit --resume NAME             what is missing of an earlier one

    PHOTOS is one part, a folder of photos, or a folder of parts, PHOTOS/PART/*.jpg. Where a part
    has a folder train/good or good (--good), its photos are taken from there. A part with
    more photos than --most is fitted on that many, drawn by --seed. The parts are spread over the
    Ray cluster like the trials of a benchmark, and the thresholds are calibrated on the photos:
    --false-alarms of 100 good parts are expected above them. FineGrainedAD's caption of a part is
    made from its photos, unless --captions has one.
    """
    from finegrain.benchmark.grid import Grid
    from finegrain.cluster.connect import Share
    from finegrain.cluster.parts import fit_parts

    if bool(args.photos) == bool(args.resume):
        raise ConfigError("give either PHOTOS, the folder of good photos, or --resume NAME")
    complete = fit_parts(
        args.photos,
        Grid(**given(args, Grid), methods=(args.method,), shots=(args.most,), seeds=(args.seed,)),
        output=args.output,
        resume=args.resume,
        uri=args.uri,
        share=Share(args.cpus_per_trial, args.gpus_per_trial),
        promote=args.promote,
        tell=tell,
    )
    return 0 if complete else 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("photos", nargs="?", type=Path, metavar="PHOTOS")
    add("--method", default=METHOD, metavar="NAME[:VARIANT]",
        help=f"{{finegrain.detectors.DETECTORS}} [{METHOD}]")  # fmt: skip
    add("--most", type=int, default=MOST, metavar="K", help=f"photos of a part [{MOST}]")
    add("--seed", type=int, default=0, help="draws the photos and all randomness [0]")
    add("--promote", action="store_true", help="make each part's detector its champion")


COMMAND = Command(
    "fit",
    run,
    [
        grid_options(
            "categories", "good", "options", "captions", "backbone", "weights", "resize",
            title="on what",
        ),
        grid_options("alarms_per_100", title="how often"),
        output_option("folder of the fits [runs/fit-TIME]"),
        resume_option(),
        tracking_option("beside the output"),
        share_options(),
    ],
    arguments,
)  # fmt: skip
