#!/usr/bin/env python
"""How recorded benchmarks would have gone on 1 to 256 workers, in each order of their trials.

python -m benchmarks.simulate_scale runs/A runs/B --workers 1 8 64 --output runs/scale
"""

import argparse
import sys
from pathlib import Path

from finegrain.errors import InputError
from finegrain.files import write_bytes, write_text
from finegrain.studies.scale.replay import bytes_a_trial, read_trials, replay
from finegrain.studies.scale.report import csv_text, order_tables, plot
from finegrain.studies.scale.simulate import SERVER_SECONDS, Serial


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Serial()
    add = parser.add_argument
    add("folders", type=Path, nargs="+", metavar="DIR", help="of benchmarks: one plan in all")
    add("--repeat", type=int, default=1, help="as many times as many seeds [1]")
    add("--known", action="store_true",
        help="orders know the recorded seconds, as on resuming [methods' defaults]")  # fmt: skip
    add("--workers", type=int, nargs="+", default=[2**power for power in range(9)],
        help="[1 2 4 ... 256]")  # fmt: skip
    add("--output", type=Path, default=Path("runs/scale"), help="[runs/scale]")
    add = parser.add_argument_group(
        "seconds, as measured by benchmarks/bench_overhead.py"
    ).add_argument
    add("--start", type=float, default=default.start, help="driver, a trial [%(default)s]")
    add("--finish", type=float, default=default.finish, help="driver, a trial [%(default)s]")
    add("--record", type=float, default=default.record, help="MLflow, a trial "
        f"[%(default)s of a database file; {SERVER_SECONDS} of its server]")  # fmt: skip
    add(
        "--load",
        type=float,
        default=default.load,
        help="process and backbone, a worker [%(default)s]",
    )
    args = parser.parse_args()
    try:
        serial = Serial(args.start, args.finish, args.record, args.load)
        results = read_trials(args.folders, args.repeat)
        rows = replay(results, args.workers, serial, args.known)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    size = bytes_a_trial(results)
    knows = "recorded seconds" if args.known else "default seconds"
    title = f"{len(results)} trials, orders by {knows}"
    text = (
        f"{title}. Driver {serial.start:g} + {serial.finish:g} s and MLflow {serial.record:g} s a "
        f"trial, loading {serial.load:g} s a worker.\n"
        f"Through Ray go {size:.0f} bytes a trial, {size * len(results) / 2**20:.2f} MiB in all, "
        "each inlined in a call (below 100 KiB), so the object store has none of it: images, "
        f"tokens and results are on disk.\n\n{order_tables(rows)}\n"
    )
    write_text(args.output / "scale.md", text)
    write_text(args.output / "scale.csv", csv_text(rows))
    write_bytes(args.output / "scale.png", plot(rows, f"Simulated: {title}"))
    print(f"{text}\n{args.output}/scale.md, scale.csv, scale.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
