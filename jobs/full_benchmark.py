#!/usr/bin/env python
"""Benchmark few-shot anomaly detectors: `ray job submit jobs/full_benchmark.py`."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
