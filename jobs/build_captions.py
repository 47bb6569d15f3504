#!/usr/bin/env python
"""Caption the categories of a data set, as `finegrain caption` does."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["caption", *sys.argv[1:]]))
