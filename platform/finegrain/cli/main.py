"""The command `finegrain`: which commands there are, and what becomes of errors."""

import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from functools import partial

from pydantic import ValidationError

from finegrain.cli import (
    ablations,
    audit,
    backup,
    benchmark,
    caption,
    check,
    compare,
    exam,
    feedback,
    fit,
    head,
    paper,
    pretrain,
    promote,
    published,
    record,
    regions,
    score,
    search,
    serve,
    study,
    tables,
    watch,
)
from finegrain.cli.command import Parser
from finegrain.errors import InputError

COMMANDS = (
    check.COMMAND,
    caption.COMMAND,
    fit.COMMAND,
    benchmark.COMMAND,
    record.COMMAND,
    tables.COMMAND,
    compare.COMMAND,
    promote.COMMAND,
    audit.COMMAND,
    serve.COMMAND,
    feedback.COMMAND,
    score.COMMAND,
    watch.COMMAND,
    search.COMMAND,
    ablations.COMMAND,
    regions.COMMAND,
    study.COMMAND,
    paper.COMMAND,
    published.COMMAND,
    pretrain.COMMAND,
    exam.COMMAND,
    head.COMMAND,
    backup.BACKUP,
    backup.RESTORE,
)
DONE, INCOMPLETE, WRONG = 0, 1, 2  # exit statuses


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 for done, 1 for incomplete, 2 for a wrong wish."""
    parser = Parser(
        prog="finegrain",
        description="Benchmark and serve few-shot visual anomaly detection.",
        epilog="`finegrain COMMAND --help` tells more.",
    )
    kinds = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        kind = kinds.add_parser(
            command.name,
            help=command.text.partition("\n")[0],
            description=command.text,
            formatter_class=RawDescriptionHelpFormatter,
            parents=command.options,
        )
        command.arguments(kind)
        kind.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    return exit_status(partial(args.run, args))


def exit_status(work: Callable[[], int]) -> int:
    """The status of some work; what its user can mend is one line on stderr, and status 2."""
    try:
        return work()
    except ValidationError as error:
        print(f"error: {_mistakes(error)}", file=sys.stderr)
    except _to_be_mended() as error:
        print(f"error: {error}", file=sys.stderr)
    return WRONG


def _to_be_mended() -> tuple[type[Exception], ...]:
    """Errors that a user can mend; MLflow's own only where it was imported and so can be raised."""
    mlflow = sys.modules.get("mlflow.exceptions")
    return (InputError, OSError, *((mlflow.MlflowException,) if mlflow else ()))


def _mistakes(error: ValidationError) -> str:
    """Each mistake with its place, in one line."""
    return "; ".join(
        f"{'.'.join(map(str, found['loc'])) or error.title}: {found['msg']}, got {found['input']!r}"
        for found in error.errors()
    )
