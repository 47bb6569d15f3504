#!/usr/bin/env python
"""Train the bundled CLIP: `ray job submit jobs/pretrain_backbone.py`."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
