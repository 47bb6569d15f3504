"""`finegrain study`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

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

    photos: captions made from shots alone, against the factory's true facts and masks.

    defaults: changes of the default against it, on the factory and the turned factory, both of
    another seed, and on photographs; it tells its hours first, and the same --output goes on.
    """
    if args.claim == "defaults":
        return _defaults(args)
    if args.claim == "photos":
        return _photos(args)
    _refuse(args, OF_DEFAULTS, f"--{{}} is of `finegrain study defaults`, not of {args.claim}")
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


def _defaults(args: argparse.Namespace) -> int:
    _refuse(args, OF_CLAIMS, "study defaults has its own data; leave out --{}")
    from finegrain.backbones import FrozenClip, check_backbone, load_backbone
    from finegrain.benchmark.methods import checked_options
    from finegrain.files import write_text
    from finegrain.places import new_folder
    from finegrain.studies.defaults.candidates import OF_PAPER, chosen_candidates
    from finegrain.studies.defaults.report import report
    from finegrain.studies.defaults.run import Results, estimate, plan, run
    from finegrain.studies.defaults.subjects import gather

    fit, grid = OneFit(**given(args, OneFit)), Grid(**given(args, Grid))
    candidates = chosen_candidates(args.candidates or ())
    options = checked_options(["finegrained"], grid.options).get("finegrained")
    check_backbone(grid.backbone, grid.weights, reads_text=True)
    output = new_folder("study-defaults", args.output)
    results = Results(output)
    subjects = gather(output / "data", args.photographs or (), grid.categories, grid.captions)
    clip = load_backbone(grid.backbone, weights=grid.weights)
    assert isinstance(clip, FrozenClip)  # as was checked
    tasks = plan(clip, subjects, candidates, shots=fit.number, seeds=grid.seeds, options=options)
    missing = results.missing(tasks)
    tell(f"{estimate(missing)}; {len(tasks) - len(missing)} are there already, in {output}")
    if args.dry_run:
        return 0
    begun = time.monotonic()
    run(clip, missing, results, lambda line: tell(f"[{time.monotonic() - begun:.0f} s] {line}"))
    text = report(results.of(tasks), OF_PAPER)
    table = output / f"table-{fit.number}shot.md"
    write_text(table, text)
    print(f"\n{text}\nTable: {table}")
    return 0


def _photos(args: argparse.Namespace) -> int:
    _refuse(args, (*OF_CLAIMS, *OF_DEFAULTS), "study photos is of the factory; leave out --{}")
    from finegrain.backbones import FrozenClip, check_backbone, load_backbone
    from finegrain.evaluation.figures import png
    from finegrain.factory import CATEGORIES
    from finegrain.files import write_bytes, write_text
    from finegrain.places import new_folder
    from finegrain.studies.photo_captions import study_photos

    fit, grid = OneFit(**given(args, OneFit)), Grid(**given(args, Grid))
    check_backbone(grid.backbone, grid.weights, reads_text=True)
    clip = load_backbone(grid.backbone, weights=grid.weights)
    assert isinstance(clip, FrozenClip)  # as was checked
    output, tables = new_folder("study-photos", args.output), []
    for seed in grid.seeds:
        categories = grid.categories or tuple(CATEGORIES)
        study, pictures = study_photos(clip, categories, fit.number, seed, tell)
        for name, picture in pictures.items():
            write_bytes(output / f"{name}-{seed}.png", png(picture))
        tables.append(f"Seed {seed}, {fit.number} shots\n\n{study.table()}\n")
    text = "\n".join(tables)
    write_text(output / "table.md", text)
    print(f"\n{text}\nTable and pictures: {output}")
    return 0


def _refuse(args: argparse.Namespace, names: Sequence[str], text: str) -> None:
    """ConfigError where one of the options was given."""
    for name in names:
        if getattr(args, name, None):
            raise ConfigError(text.format(name.replace("_", "-")))


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    parser.add_argument(
        "claim",
        choices=(*REFERENCE, "photos", "defaults"),
        help="what is claimed to matter; captions from photos; or defaults",
    )
    add = parser.add_argument_group("of defaults alone").add_argument
    add(
        "--photographs", nargs="+", type=Path, metavar="DIR",
        help="folders of a category each, in the MVTec-AD layout, named as their captions",
    )  # fmt: skip
    add(
        "--candidates", nargs="+", metavar="NAME",
        help="{finegrain.studies.defaults.candidates.CANDIDATES} [all]",
    )  # fmt: skip
    add("--dry-run", action="store_true", help="tell the fits and hours, and stop")


OF_DEFAULTS = ("photographs", "candidates", "dry_run")
OF_CLAIMS = ("dataset", "data_root", "good", "shot_selection", "views")
OF_GRID = (
    *("dataset", "data_root", "good", "categories", "seeds", "options", "captions"),
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
