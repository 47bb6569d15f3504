#!/usr/bin/env python
"""Compare the methods of recorded benchmarks, as `finegrain compare` does."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
