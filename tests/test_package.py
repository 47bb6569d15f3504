"""The house rules that a reviewer would otherwise have to remember."""

import ast
import graphlib
import json
import platform
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "platform" / "finegrain"
FLOORS = (  # lowest first; a room imports its own and what lies lower
    {"errors", "files", "tables", "places", "loopback"},
    {"factory", "backbones"},
    {"data"},
    {"captions"},
    {"method"},
    {"detectors"},
    {"decision"},
    {"evaluation", "checkpoint"},
    {"benchmark", "tracking", "pretraining", "fitted"},
    {"cluster", "serving", "watching", "pyfunc"},
    {"studies"},
    {"cli"},
)
WITH_CLUSTER = {"tracking", "cluster", "serving", "pyfunc", "studies", "cli"}
CORE = set().union(*FLOORS) - WITH_CLUSTER
SLOW = {"timm", "open_clip", "torchvision"}  # seconds, which only those who encode shall wait
NOT_IN_CORE = {"ray", "mlflow", "fastapi", "starlette", "pandas", "matplotlib"}


def test_platform_is_still_the_standard_library():
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert platform.python_version() == sys.version.split()[0]


def test_core_imports_neither_ray_nor_mlflow_and_at_first_no_slow_library():
    core = [name for name in modules() if room(name) in CORE]
    code = f"""
import importlib, sys
import finegrain.benchmark, finegrain.fitted
print(*sys.modules)
for name in {core}: importlib.import_module(name)
print(*sys.modules)
"""
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, loaded = (set(line.split()) for line in said.splitlines())
    assert {"torch", "finegrain.detectors.patchcore"} <= first
    assert SLOW & first == set()
    assert "finegrain.detectors.patchcore" in loaded
    assert NOT_IN_CORE & loaded == set()


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    dotted = {".".join(p.relative_to(SOURCE.parent).with_suffix("").parts): p
              for p in SOURCE.rglob("*.py")}  # fmt: skip
    return {name.removesuffix(".__init__"): path for name, path in dotted.items()}


def room(module: str) -> str:
    """What directly below finegrain it lies in; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def arrows() -> dict[str, set[str]]:
    """Module -> the modules that it imports, of this package."""
    known, found = modules(), {}
    for name, path in known.items():
        targets = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    targets.add(inner if inner in known else node.module or "")
        found[name] = targets & set(known)
    return found


def test_every_room_has_its_floor():
    assert {room(name) for name in modules()} - {""} == set().union(*FLOORS)


def test_arrows_only_run_down():
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    wrong = [
        (name, target)
        for name, targets in arrows().items()
        for target in targets
        if room(name) != room(target) and room(name) and floor[room(target)] >= floor[room(name)]
    ]
    assert wrong == []


def test_there_are_no_circles():
    try:
        list(graphlib.TopologicalSorter(arrows()).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"modules import each other in a circle: {error.args[1]}")


@pytest.mark.parametrize(
    ("module", "homes"),
    [
        ("mlflow", {"tracking"}),
        ("open_clip", {"backbones"}),
        ("anomalib", {"detectors"}),
        ("lightning", set()),
        ("ray", {"cluster", "serving", "studies"}),
        ("fastapi", {"serving"}),
        ("finegrain.cluster", {"cluster", "studies", "cli"}),
        ("finegrain.serving", {"serving", "cli"}),
        ("finegrain.studies", {"studies", "cli"}),
        ("finegrain.cli", {"cli"}),
    ],
)
def test_each_wrapped_library_is_imported_in_one_place(module, homes):
    strangers = [
        path
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] not in homes
        and any(name == module or name.startswith(f"{module}.") for name in imports_of(path))
    ]
    assert strangers == []


def test_nothing_imports_what_is_not_in_the_wheel():
    outside = ("jobs", "benchmarks", "tune_spaces", "serve_apps", "tests")
    imported = {name for path in SOURCE.rglob("*.py") for name in imports_of(path)}
    assert not [name for name in imported if name.partition(".")[0] in outside]


def test_cluster_yaml_is_one_that_ray_accepts():
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    assert cluster["head_node_type"] in cluster["available_node_types"]
