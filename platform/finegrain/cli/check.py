"""`finegrain check`."""

import argparse

from finegrain.benchmark.grid import DataChoice, Grid
from finegrain.cli.command import Command
from finegrain.cli.options import given, grid_options


def run(args: argparse.Namespace) -> int:
    """Look at every image and mask of a data set before a night's run.

    finegrain check --dataset mvtec --data-root /data/mvtec
    Tells what is there, what is missing, unreadable or empty, and which shots are nearly another
    image. Ends with 1 if something is wrong.
    """
    from tqdm import tqdm

    from finegrain.data.checkup import Checkup

    grid = Grid(**given(args, Grid))
    assert grid.data_root is not None  # it is required
    with tqdm(unit="image", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = Checkup(
            grid.dataset, grid.data_root.resolve(), categories=grid.categories,
            views=grid.views, shots=grid.shots, seeds=grid.seeds,
            published=grid.shot_selection == "published", good=grid.good, progress=show,
        ).run()  # fmt: skip
    print(found.text())
    return 1 if found.problems else 0


COMMAND = Command(
    "check",
    run,
    [
        grid_options(
            *DataChoice.model_fields, "categories", "shots", "seeds",
            required=("dataset", "data_root"),
        )
    ],
)  # fmt: skip
