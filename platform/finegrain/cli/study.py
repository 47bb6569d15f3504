"""`finegrain study`."""

import argparse
import time

from finegrain.benchmark.grid import Grid
from finegrain.cli.command import Command, tell
from finegrain.cli.options import OneFit, given, grid_options, model_options, output_option
from finegrain.errors import ConfigError

REFERENCE = {"captions": "own", "regions": "found", "matching": "query"}  # what a claim is about


def run(args: argparse.Namespace) -> int:
    """Measure a claim of FineGrainedAD beside its controls: what would refute it.

    captions: the category's own, another's, contrary ones, one for all parts, an empty one.
    regions: those found, and the same ones scattered. matching: by q, by n̄, by lot.
    Each is measured fused and as PAD alone, beside VAD alone, in this process.
    """
    from finegrain.backbones import FrozenClip, load_backbone
    from finegrain.benchmark.plan import resolve
    from finegrain.files import write_text
    from finegrain.places import new_folder, runs_folder
    from finegrain.studies.controls import run_controls

    fit = OneFit(**given(args, OneFit))
    grid = Grid(**{**given(args, Grid), "methods": ("finegrained",), "shots": (fit.number,)})
    benchmark = resolve(grid, beside=runs_folder())
    if args.claim == "captions" and len(benchmark.categories) < 2:
        raise ConfigError("another part's caption needs two categories at least; got one")
    clip = load_backbone(grid.backbone, weights=benchmark.weights)
    assert isinstance(clip, FrozenClip)  # resolve has checked that it reads text
    begun = time.monotonic()
    found = run_controls(
        args.claim,
        clip,
        [benchmark.files_of(name) for name in benchmark.categories],
        benchmark.captions,
        shots=fit.number,
        seeds=benchmark.seeds,
        options=benchmark.options.get("finegrained"),
        tell=lambda line: tell(f"[{time.monotonic() - begun:.0f} s] {line}"),
    )
    tables = [found.table(f"{REFERENCE[args.claim]} {side}") for side in ("fused", "PAD")]
    text = "\n\n".join(tables)
    output = new_folder(f"study-{args.claim}", args.output)
    write_text(output / "table.md", f"{text}\n")
    print(f"\n{text}\n\nTable: {output / 'table.md'}")
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument("claim", choices=tuple(REFERENCE), help="what is claimed to matter")


OF_GRID = (
    *("dataset", "data_root", "categories", "seeds", "options", "captions"),
    *("shot_selection", "views", "backbone", "weights"),
)
COMMAND = Command(
    "study",
    run,
    [
        model_options(OneFit, "number", title="on what"),
        grid_options(*OF_GRID),
        output_option("[runs/study-CLAIM-TIME]"),
    ],
    arguments,
)
