#!/usr/bin/env python
"""Make a run's checkpoint the champion of its category, as `finegrain promote` does."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["promote", *sys.argv[1:]]))
