#!/usr/bin/env python
"""Search a method's options: `ray job submit -- jobs/search.py --method padim`."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))
