"""`finegrain promote`."""

import argparse
from typing import TYPE_CHECKING

from finegrain.cli.command import Command, tell
from finegrain.cli.options import tracking_option
from finegrain.errors import ConfigError

if TYPE_CHECKING:
    from finegrain.tracking import Registry


def run(args: argparse.Namespace) -> int:
    """Make a run's checkpoint the champion that is served of its category, or take that back.

    finegrain promote RUN_ID ...                  runs as MLflow lists them
    finegrain promote --from-benchmark NAME       every category's trial of a benchmark
    finegrain promote --from-benchmark NAME --metric pixel_auroc
                                                  every category's best method of a benchmark
    finegrain promote --rollback factory/pcb      the champion before
    finegrain promote --withdraw factory/pcb      none: it is no longer served

    With --metric, the method and number of shots with the highest mean over seeds is promoted in
    each category, as its run with the lowest seed: to take the best seed would be to choose noise.
    Scores are measured on test images: once a metric has chosen, its value for what was chosen is
    no longer an unbiased estimate of how good that is, but on the whole too high. Measure on new
    images.
    """
    if not (args.runs or args.benchmark or args.rollback or args.withdraw):
        raise ConfigError("give RUN_ID, --from-benchmark NAME, --rollback or --withdraw PART")
    if args.metric and not args.benchmark:
        raise ConfigError("--metric chooses among the trials of --from-benchmark NAME")
    if odd := [key for key in (*args.rollback, *args.withdraw) if key.count("/") != 1]:
        raise ConfigError(f"a part is DATASET/CATEGORY, e.g. factory/pcb; got {odd[0]}")
    from finegrain.places import tracking_uri
    from finegrain.tracking import Registry

    registry = Registry(args.uri or tracking_uri())
    runs = [*args.runs, *(_chosen(registry, args) if args.benchmark else [])]
    moved = [registry.rollback(*key.split("/")) for key in args.rollback]
    moved += [registry.promote(run, other_backbone=args.other_backbone) for run in runs]
    for champion in moved:
        print(f"{champion.key}: champion is version {champion.version}")
    for key in args.withdraw:
        print(f"{registry.withdraw(*key.split('/')).key}: no longer served")
    return 0


def _chosen(registry: "Registry", args: argparse.Namespace) -> list[str]:
    """The runs of a benchmark: a category's only one, or its best by a metric."""
    wanted = {"method": args.method, "shots": args.shots, "seed": args.seed}
    if not args.metric:
        return list(registry.benchmark_runs(args.benchmark, **wanted).values())
    best = registry.best_runs(args.benchmark, args.metric, **wanted)
    for key, one in best.items():
        tell(
            f"{key}: {one.method} {one.shots}-shot, mean {args.metric} {one.mean:.1f} over "
            f"{one.seeds} seeds; the run of seed {one.seed}"
        )
    return [one.run_id for one in best.values()]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN_ID")
    add("--from-benchmark", dest="benchmark", metavar="NAME")
    add("--method", help="of that benchmark's trials")
    add("--shots", type=int, help="of that benchmark's trials")
    add("--seed", type=int, help="of that benchmark's trials")
    add("--metric", metavar="NAME",
        help="promote the best of that benchmark's trials by it, e.g. pixel_auroc")  # fmt: skip
    add("--rollback", nargs="+", metavar="DATASET/CATEGORY", default=[])
    add("--withdraw", nargs="+", metavar="DATASET/CATEGORY", default=[])
    add("--other-backbone", action="store_true",
        help="also if it was fitted on another backbone than the champion")  # fmt: skip


COMMAND = Command("promote", run, [tracking_option()], arguments)
