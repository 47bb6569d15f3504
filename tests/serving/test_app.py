"""The application under both its names; nothing is made before it is asked for."""

import importlib
import warnings

import pytest

from finegrain.serving.config import ServingConfig


@pytest.fixture(params=["finegrain.serving.app", "serve_apps.scoring"])
def module(request):
    with warnings.catch_warnings():  # Ray's own classes are of an older pydantic
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(request.param)


def deployments(application):
    """The names of the deployments that are bound in it."""
    found, left = set(), [application._bound_deployment]
    while left:
        one = left.pop()
        found.add(one.name)
        left += [
            arg._bound_deployment for arg in one.init_args if hasattr(arg, "_bound_deployment")
        ]
    return found


def test_a_config_becomes_the_graph_and_the_default_is_made_when_asked_for(module):
    graph = {"Ingress", "Captions", "Encoder", "Scorer"}
    assert deployments(module.build(ServingConfig(scorer_max_replicas=3))) == graph
    assert "app" not in vars(module)
    assert deployments(module.app) == graph
    with pytest.raises(AttributeError, match="has no application"):
        _ = module.application
