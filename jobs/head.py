#!/usr/bin/env python
"""A Ray head on this machine's loopback until Ctrl-C, as `finegrain head` starts it."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["head", *sys.argv[1:]]))
