"""What serving's lower bounds in pyproject.toml are for; each was looked up in that release."""

import importlib
import inspect
import tomllib
import warnings
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from starlette.requests import Request

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def bound(name):
    """The lowest release of a dependency that pyproject.toml admits."""
    listed = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    [wanted] = [r for r in map(Requirement, listed) if r.name == name]
    [lowest] = [s.version for s in wanted.specifier if s.operator == ">="]
    return lowest


@pytest.mark.parametrize(
    ("name", "lowest"),
    [
        ("ray", "2.56"),  # 2.55.1 has serve.ingress(app), without a default
        ("starlette", "1.7"),  # 1.6 lets python-multipart's own error go up
        ("fastapi", "0.133"),  # 0.131 refuses starlette 1
    ],
)
def test_the_bounds_are_those_that_were_looked_up(name, lowest):
    assert bound(name) == lowest


def test_an_ingress_builds_its_app_in_the_replica():
    with warnings.catch_warnings():  # Ray's own classes are of an older pydantic
        warnings.simplefilter("ignore", DeprecationWarning)
        serve = importlib.import_module("ray.serve")
        handle = importlib.import_module("ray.serve.handle")
    assert inspect.signature(serve.ingress).parameters["app"].default is None
    with pytest.raises(ValueError, match="__serve_build_asgi_app__"):
        serve.ingress()(type("Bare", (), {}))
    assert handle.DeploymentHandle[str]  # our annotations give it a type


def test_forms_have_the_limits_that_are_set():  # the fault of Starlette 1.6 is in test_access.py
    assert {"max_files", "max_fields", "max_part_size"} <= inspect.signature(
        Request.form
    ).parameters.keys()
