#!/usr/bin/env python
"""A table or figure of the paper: `ray job submit -- jobs/paper_tables.py --table 1`."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["paper", *sys.argv[1:]]))
