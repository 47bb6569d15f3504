#!/usr/bin/env python
"""Look at every image and mask of a data set, as `finegrain check` does."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["check", *sys.argv[1:]]))
