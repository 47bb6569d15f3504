#!/usr/bin/env python
"""Components against the factory's true masks: `ray job submit jobs/regions.py`."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["regions", *sys.argv[1:]]))
