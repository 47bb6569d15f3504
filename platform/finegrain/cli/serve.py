"""`finegrain serve`."""

import argparse
import os
import secrets
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from finegrain.cli.command import Command, tell
from finegrain.cli.options import pairs, tracking_option

if TYPE_CHECKING:
    from finegrain.tracking import Registry


def run(args: argparse.Namespace) -> int:
    """Serve on this machine's loopback until Ctrl-C, with the inspector.

    Where no category has a champion, the factory's are fitted on 4 shots and promoted first.
    """
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(0))
    options = pairs(args.set, "--set")
    from finegrain.serving.config import ServingConfig
    from finegrain.serving.local import served
    from finegrain.tracking import Registry

    uri = {"tracking_uri": args.uri} if args.uri else {}
    settings = ServingConfig.model_validate(uri | options)
    registry = Registry(settings.tracking_uri)
    if not registry.champions():
        fit_factory(registry, settings.tracking_uri)
    query = local_query()
    with served(settings, port=args.port) as address:
        tell(f"Inspector: {address}/{query}   API: {address}/docs   (Ctrl-C stops)")
        signal.pause()
    return 0


def local_query() -> str:
    """`?key=...` for a browser, with a new key; nothing where the user has set keys, or none."""
    from finegrain.serving.config import API_KEY, KEYS_FILE, LOCAL_KEY

    if API_KEY in os.environ or KEYS_FILE in os.environ:
        return ""
    os.environ[LOCAL_KEY] = secrets.token_urlsafe(16)
    return f"?key={os.environ[LOCAL_KEY]}"


def fit_factory(registry: "Registry", uri: str) -> None:
    """Benchmark FineGrainedAD on the factory in a process of its own, and promote what it fits."""
    from finegrain.places import new_folder

    tell("No category has a champion: fitting the factory's on 4 shots")
    folder = new_folder("champions", None)
    grid = ["--methods", "finegrained", "--shots", "4", "--seeds", "0"]
    places = ["--output", str(folder), "--tracking-uri", uri]
    command = [sys.executable, "-m", "finegrain.cli", "benchmark", *grid, *places]
    subprocess.run(command, check=True)
    for run_id in registry.benchmark_runs(folder.name, method=None, shots=None, seed=None).values():
        tell(f"{registry.promote(run_id).key} is promoted")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own."""
    add = parser.add_argument
    add("--port", type=int, default=8000, help="[%(default)s]")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="of ServingConfig")


COMMAND = Command("serve", run, [tracking_option()], arguments)
