#!/usr/bin/env python
"""Fit a detector for each part from good photos alone: `ray job submit jobs/fit.py`."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["fit", *sys.argv[1:]]))
