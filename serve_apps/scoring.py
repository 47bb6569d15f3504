"""Online scoring: `serve run serve_apps.scoring:build`; `serve deploy serve_apps/scoring.yaml`.

What the package has as finegrain.serving.app, under a name that a checkout knows.
"""

from finegrain.serving.app import __getattr__, build

__all__ = ["__getattr__", "build"]
