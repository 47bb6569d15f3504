"""Online scoring: `serve run serve_apps.scoring:build`; `serve deploy serve_apps/scoring.yaml`."""

from ray.serve import Application

from finegrain.serving import ServingConfig
from finegrain.serving.graph import scoring_graph


def build(args: ServingConfig) -> Application:
    """The graph of these settings; `serve run serve_apps.scoring:build name=value` sets them."""
    return scoring_graph(args)


def __getattr__(name: str) -> Application:
    """`app`, the graph of the default settings, for `serve build serve_apps.scoring:app`."""
    if name == "app":
        return build(ServingConfig())
    raise AttributeError(f"{__name__} has no {name}")
