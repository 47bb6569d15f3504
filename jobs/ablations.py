#!/usr/bin/env python
"""What each part is worth: `ray job submit -- jobs/ablations.py components`."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["ablations", *sys.argv[1:]]))
