"""What the files for clusters say, against Ray's own schemas, the jobs and the app they name.

`make check-deploy CRDS=FOLDER` holds the manifests against KubeRay's definitions as well.
"""

import importlib
import json
import os
import re
import runpy
import shlex
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler.sdk import fillout_defaults

from finegrain.benchmark.methods import check_shots, checked_options
from finegrain.cluster import full
from finegrain.serving.config import API_KEY, ServingConfig

ROOT = Path(__file__).parents[1]
CRDS = os.environ.get("KUBERAY_CRDS")
DEFINITIONS = {"rayjob.yaml": "ray.io_rayjobs.yaml", "rayservice.yaml": "ray.io_rayservices.yaml"}


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


def ray_cluster(manifest):
    return manifest["spec"].get("rayClusterSpec") or manifest["spec"]["rayClusterConfig"]


def containers(manifest):
    cluster = ray_cluster(manifest)
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [c for group in groups for c in group["template"]["spec"]["containers"]]


@pytest.fixture(params=DEFINITIONS)
def manifest(request):
    return read(f"deploy/{request.param}")


def test_the_cluster_launcher_takes_its_file():
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    config = read("cluster.yaml")
    jsonschema.validate(config, schema)
    jsonschema.validate(fillout_defaults(config), schema)
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        jsonschema.validate({**config, "max_worker": 1}, schema)
    types = config["available_node_types"]
    assert config["head_node_type"] in types
    assert types["gpu_worker"]["min_workers"] == 0
    assert types["gpu_worker"]["max_workers"] <= config["max_workers"]


def test_the_launched_cluster_is_closed_and_records():
    config = read("cluster.yaml")
    assert "/home/ubuntu/.ray/auth_token" in config["file_mounts"]
    head, worker = (config[f"{kind}_start_ray_commands"][-1] for kind in ("head", "worker"))
    for command in (head, worker):
        assert "RAY_AUTH_MODE=token" in command
        assert re.search(r"MLFLOW_TRACKING_URI=http://\$\w+:5000", command)
        assert "FINEGRAIN_RUNS=/shared/runs" in command
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in (ROOT / "cluster.yaml").read_text()
    assert "mount -t nfs4" in " ".join(config["initialization_commands"])


def test_every_container_has_the_token_and_the_settings(manifest):
    secret, settings, claim = yaml.safe_load_all((ROOT / "deploy" / "shared.yaml").read_text())
    assert ray_cluster(manifest)["authOptions"] == {
        "mode": "token", "secretName": secret["metadata"]["name"],
    }  # fmt: skip
    for container in containers(manifest):
        env = {variable["name"]: variable for variable in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        for variable in env.values():
            if source := variable.get("valueFrom"):
                assert source["secretKeyRef"]["name"] == secret["metadata"]["name"]
                assert source["secretKeyRef"]["key"] in secret["data"]
        assert "RAY_AUTH_TOKEN" in env
        assert (API_KEY in env) == (manifest["kind"] == "RayService")
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"name": "shared", "mountPath": "/shared"} in container["volumeMounts"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert {"MLFLOW_TRACKING_URI", "FINEGRAIN_RUNS"} <= settings["data"].keys()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_pods_are_of_one_image_with_the_locked_ray_and_no_root(manifest):
    cluster = ray_cluster(manifest)
    assert f"\nray=={cluster['rayVersion']}\n" in (ROOT / "requirements.lock").read_text()
    assert len({container["image"] for container in containers(manifest)}) == 1
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsUser"] == 1000
        claims = {volume["name"]: volume.get("persistentVolumeClaim") for volume in pod["volumes"]}
        assert claims["shared"] == {"claimName": "finegrain"}
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounted == set(claims)
    workers = cluster["workerGroupSpecs"][0]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert cluster["enableInTreeAutoscaling"] is True
    containerfile = (ROOT / "deploy" / "Containerfile").read_text()
    assert containerfile.rstrip().endswith("USER 1000")
    copied = re.findall(r"^COPY (.+) \S+$", containerfile, re.MULTILINE)
    assert all((ROOT / name).exists() for names in copied for name in names.split())


def test_the_jobs_entrypoint_is_understood(monkeypatch):
    command = shlex.split(read("deploy/rayjob.yaml")["spec"]["entrypoint"])
    assert command[0] == "python"
    given = SimpleNamespace()

    def full_benchmark(grid, **options):
        given.grid, given.options = grid, options
        return True

    monkeypatch.setattr(full, "full_benchmark", full_benchmark)
    monkeypatch.setattr(sys, "argv", command[1:])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / command[1]), run_name="__main__")
    assert ended.value.code == 0
    checked_options(given.grid.methods, [])
    check_shots(given.grid.methods, given.grid.shots)
    assert given.options["output"].is_relative_to("/shared")
    assert 0 < given.options["share"].gpus <= 1


def serve_schema():
    with warnings.catch_warnings():  # Ray's own classes are of an older pydantic
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("ray.serve.schema").ServeDeploySchema


def test_the_service_serves_what_scoring_yaml_does():
    schema = serve_schema()
    service = schema.model_validate(
        yaml.safe_load(read("deploy/rayservice.yaml")["spec"]["serveConfigV2"])
    )
    local = schema.model_validate(read("serve_apps/scoring.yaml"))
    [application], [wanted] = service.applications, local.applications
    assert application.args.pop("encoder_gpus") == 1
    assert application.model_dump() == wanted.model_dump()
    module, _, name = application.import_path.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert ServingConfig.model_validate(application.args).max_in_flight == 32
    assert service.http_options.host == "0.0.0.0"
    assert service.http_options.model_copy(update={"host": "127.0.0.1"}) == local.http_options


def test_what_has_to_be_filled_in_is_marked():
    assert "FILL_IN_AMI" in (ROOT / "cluster.yaml").read_text()
    assert "FILL_IN_NFS" in (ROOT / "cluster.yaml").read_text()
    for value in next(yaml.safe_load_all((ROOT / "deploy/shared.yaml").read_text()))[
        "data"
    ].values():
        assert "_" in value  # no base64: a cluster refuses the secret until it is filled in


def closed(schema):
    """The schema with unknown keys refused, as `kubectl apply --validate=strict` refuses them."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        kept = schema.get("x-kubernetes-preserve-unknown-fields", False)
        found.setdefault("additionalProperties", kept)
    return found


def check(manifest, definition):
    """jsonschema.ValidationError where the manifest is not as the custom resource's definition."""
    group, _, version = manifest["apiVersion"].partition("/")
    assert definition["spec"]["group"] == group
    assert definition["spec"]["names"]["kind"] == manifest["kind"]
    [schema] = [
        v["schema"]["openAPIV3Schema"]
        for v in definition["spec"]["versions"]
        if v["name"] == version
    ]
    open_metadata = {**schema["properties"], "metadata": {"type": "object"}}
    jsonschema.Draft202012Validator(closed({**schema, "properties": open_metadata})).validate(
        manifest
    )


def test_a_definition_is_held_against_a_manifest():
    spec = {"type": "object", "properties": {"entrypoint": {"type": "string"}}}
    schema = {"type": "object", "properties": {"apiVersion": {}, "kind": {}, "spec": spec}}
    definition = {
        "spec": {
            "group": "ray.io",
            "names": {"kind": "RayJob"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
        }
    }
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "x"}}
    check({**job, "spec": {"entrypoint": "python"}}, definition)
    for wrong in ({"entrypoint": 1}, {"entrypont": "python"}):
        with pytest.raises(jsonschema.ValidationError):
            check({**job, "spec": wrong}, definition)


@pytest.mark.skipif(not CRDS, reason="make check-deploy CRDS=FOLDER, of KubeRay's config/crd/bases")
@pytest.mark.parametrize(("name", "definition"), DEFINITIONS.items())
def test_manifests_are_as_kuberay_defines_them(name, definition):
    check(read(f"deploy/{name}"), yaml.safe_load((Path(CRDS) / definition).read_text()))
