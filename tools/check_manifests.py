#!/usr/bin/env python3
"""Hold what `kubectl apply -k` would apply against Kubernetes' own schemas, unknown keys refused.

python -m tools.check_manifests      in a venv with kubernetes-validate
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
ELSEWHERE = ("ray.io/", "monitoring.coreos.com/")  # tests/test_deploy.py has KubeRay's definitions


def built(folder: Path) -> list[dict]:
    """The documents of a folder as kustomize makes them, or each file where there is no kubectl."""
    if kubectl := shutil.which("kubectl"):
        done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return list(yaml.safe_load_all(done.stdout))
    print("no kubectl here: files are checked as they stand, without kustomize")
    files = [p for p in folder.glob("*.yaml") if p.name != "kustomization.yaml"]
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def main() -> int:
    """Tell what is wrong; 1 where anything is."""
    wrong = checked = 0
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(DEPLOY, Path(scratch) / "deploy")
        subprocess.run(["sh", copy / "secrets.sh"], check=True, capture_output=True)
        for folder in (copy, copy / "benchmark", copy / "monitoring"):
            for document in built(folder):
                if document["apiVersion"].startswith(ELSEWHERE):
                    continue
                checked += 1
                try:
                    kubernetes_validate.validate(document, "1.37", strict=True)
                except kubernetes_validate.ValidationError as error:
                    wrong += 1
                    name = f"{document['kind']} {document['metadata']['name']}"
                    print(f"{name}: {error.message} at {'.'.join(map(str, error.path))}")
    print(f"{checked} documents are checked, {wrong} are wrong")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
