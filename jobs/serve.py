#!/usr/bin/env python
"""The server on this machine's loopback, as `finegrain serve` starts it."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
