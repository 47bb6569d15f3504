"""The house rules that a reviewer would otherwise have to remember."""

import ast
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
CORE = (
    "captions", "data", "clip", "method", "detectors", "evaluation", "pretraining", "checkpoint.py",
    "calibration.py", "decision.py",
)  # fmt: skip
NOT_IN_CORE = {"ray", "mlflow", "fastapi", "starlette", "pandas", "matplotlib"}


def test_platform_is_still_the_standard_library():
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert platform.python_version() == sys.version.split()[0]


def test_core_imports_neither_ray_nor_mlflow():
    files = [p.relative_to(SOURCE.parent) for p in SOURCE.rglob("*.py")]
    core = [".".join(p.with_suffix("").parts) for p in files if p.parts[1] in CORE]
    code = (
        f"import importlib, sys\nfor m in {core}: importlib.import_module(m)\nprint(*sys.modules)"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "finegrain.detectors.patchcore" in loaded
    assert NOT_IN_CORE & set(loaded) == set()


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize(
    ("module", "homes"),
    [
        ("mlflow", {"tracking"}),
        ("open_clip", {"clip"}),
        ("anomalib", {"detectors"}),
        ("lightning", set()),
        ("ray", {"cluster", "serving"}),
        ("fastapi", {"serving"}),
        ("finegrain.cluster", {"cluster"}),
        ("finegrain.serving", {"serving"}),
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


def test_nothing_imports_jobs():
    assert not [p for p in SOURCE.rglob("*.py") if any(n.startswith("jobs") for n in imports_of(p))]


def test_cluster_yaml_is_one_that_ray_accepts():
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    assert cluster["head_node_type"] in cluster["available_node_types"]
