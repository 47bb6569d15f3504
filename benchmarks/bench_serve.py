#!/usr/bin/env python
"""One client, saturation, overload and memory of the server against the bare computation.

Needs champions of the factory's categories: `make serve` once.
"""

import argparse
import sys
from functools import partial

from benchmarks.serving import bench_serve, watch_scaling
from finegrain.errors import InputError
from finegrain.places import tracking_uri
from finegrain.serving.config import ServingConfig


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of overload [60]")
    parser.add_argument("--requests", type=int, default=5000, help="of the memory run [5000]")
    parser.add_argument("--tracking-uri", default=tracking_uri())
    parser.add_argument(
        "--scaling", action="store_true", help="only watch encoders come and go on two nodes"
    )
    args = parser.parse_args()
    try:
        tell = partial(print, flush=True)
        if args.scaling:
            watch_scaling(ServingConfig(tracking_uri=args.tracking_uri), tell)
            return 0
        settings = ServingConfig(tracking_uri=args.tracking_uri, encoder_max_replicas=1)
        bench_serve(settings, seconds=args.seconds, requests=args.requests, tell=tell)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
