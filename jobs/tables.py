#!/usr/bin/env python
"""One table of several benchmarks, for example of methods that need different backbones."""

import argparse
import sys
from pathlib import Path

from finegrain.benchmark.report import combined
from finegrain.errors import InputError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="+", type=Path, help="of benchmarks, e.g. runs/NAME")
    try:
        print(combined(parser.parse_args().directories))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
