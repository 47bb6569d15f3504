#!/usr/bin/env python
"""The server on this machine's loopback until Ctrl-C, with its inspector.

Where no category has a champion, the factory's are fitted on 4 shots and promoted first.
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from finegrain.errors import InputError
from finegrain.serving.config import ServingConfig, default_tracking_uri
from finegrain.serving.local import served
from finegrain.tracking import Registry


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="[8000]")
    parser.add_argument("--tracking-uri", default=default_tracking_uri())
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="of ServingConfig"
    )
    args = parser.parse_args()
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(0))
    try:
        options = dict(option.split("=", 1) for option in args.set)
        settings = ServingConfig.model_validate({"tracking_uri": args.tracking_uri, **options})
        registry = Registry(settings.tracking_uri)
        if not registry.champions():
            fit_factory(registry, settings.tracking_uri)
        with served(settings, port=args.port) as address:
            print(f"Inspector: {address}/   API: {address}/docs   (Ctrl-C stops)", flush=True)
            signal.pause()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def fit_factory(registry: Registry, uri: str) -> None:
    print("No category has a champion: fitting the factory's on 4 shots", flush=True)
    name = time.strftime("champions-%Y%m%d-%H%M%S")
    job = [sys.executable, str(Path(__file__).with_name("full_benchmark.py"))]
    grid = ["--methods", "finegrained", "--shots", "4", "--seeds", "0"]
    places = ["--output", f"runs/{name}", "--tracking-uri", uri]
    subprocess.run([*job, *grid, *places], check=True)
    for run in registry.benchmark_runs(name, method=None, shots=None, seed=None).values():
        print(f"{registry.promote(run).key} is promoted", flush=True)


if __name__ == "__main__":
    sys.exit(main())
