"""`finegrain head`."""

import argparse
import signal
import sys
from pathlib import Path

from finegrain.cli.command import Command, tell


def run(args: argparse.Namespace) -> int:
    """Run a Ray head on this machine's loopback until Ctrl-C, and say how to submit jobs to it."""
    from finegrain.cluster.head import local_head
    from finegrain.loopback import ENVIRONMENT
    from finegrain.places import runs_folder

    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(0))
    log = args.log or runs_folder() / "ray-head.log"
    with local_head(log=log, dashboard_port=args.dashboard_port) as address:
        print(f"Ray dashboard: {address}\nIn another terminal:")
        for name, value in (ENVIRONMENT | {"RAY_ADDRESS": address}).items():
            print(f"  export {name}={value}")
        tell(f"  {Path(sys.executable).parent / 'ray'} job submit -- finegrain benchmark")
        signal.pause()
    return 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("--dashboard-port", type=int, default=8265, help="[%(default)s]")
    add("--log", type=Path, metavar="FILE", help="of the head [runs/ray-head.log]")


COMMAND = Command("head", run, arguments=arguments)
