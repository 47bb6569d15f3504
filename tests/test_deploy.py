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
from ray._private.ray_constants import DEFAULT_OBJECT_STORE_MEMORY_PROPORTION
from ray.autoscaler.sdk import fillout_defaults

from finegrain.benchmark.methods import check_shots, checked_options
from finegrain.cluster import full
from finegrain.serving.config import ServingConfig
from finegrain.serving.local import LEAN

ROOT = Path(__file__).parents[1]
CRDS = os.environ.get("KUBERAY_CRDS")
JOB, SERVICE = "deploy/benchmark/rayjob.yaml", "deploy/rayservice.yaml"
DEFINITIONS = {JOB: "ray.io_rayjobs.yaml", SERVICE: "ray.io_rayservices.yaml"}
MANIFESTS = [p for p in sorted((ROOT / "deploy").rglob("*.yaml")) if p.name != "kustomization.yaml"]
OURS, THEIRS = {"finegrain"}, {"postgres", "redis"}  # images


def read(name):
    return next(yaml.safe_load_all((ROOT / name).read_text()))


def documents():
    return [d for path in MANIFESTS for d in yaml.safe_load_all(path.read_text())]


def ray_cluster(manifest):
    return manifest["spec"].get("rayClusterSpec") or manifest["spec"]["rayClusterConfig"]


def containers(manifest):
    cluster = ray_cluster(manifest)
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [c for group in groups for c in group["template"]["spec"]["containers"]]


@pytest.fixture(params=DEFINITIONS)
def manifest(request):
    return read(request.param)


def pod_specs():
    """Every pod of deploy/ as Kubernetes will see it: where it comes from, and its spec."""
    for document in documents():
        spec, name = document.get("spec", {}), f"{document['kind']} {document['metadata']['name']}"
        if "jobTemplate" in spec:
            spec = spec["jobTemplate"]["spec"]
        if "submitterPodTemplate" in spec:
            yield f"{name}: submitter", spec["submitterPodTemplate"]["spec"]
        if document["kind"] in ("RayJob", "RayService"):
            cluster = ray_cluster(document)
            for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
                yield f"{name}: {group.get('groupName', 'head')}", group["template"]["spec"]
        elif "template" in spec:
            yield name, spec["template"]["spec"]


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


def generated_keys():
    """The keys of the secret that kustomize makes, as deploy/secrets.sh names its files."""
    [made] = read("deploy/kustomization.yaml")["secretGenerator"]
    written = (ROOT / "deploy/secrets.sh").read_text()
    for file in made["files"]:
        name = Path(file).name
        assert name in written or name.rpartition("_")[0] + "_$account" in written
    return made["name"], {Path(file).name for file in made["files"]}


def test_every_container_has_the_token_and_the_settings(manifest):
    name, keys = generated_keys()
    settings, claim = yaml.safe_load_all((ROOT / "deploy" / "shared.yaml").read_text())
    assert ray_cluster(manifest)["authOptions"] == {"mode": "token", "secretName": name}
    assert "auth_token" in keys  # the key that KubeRay reads
    for container in containers(manifest):
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        assert env["RAY_AUTH_MODE"] == "token"
        assert ("FINEGRAIN_API_KEYS" in env) == (manifest["kind"] == "RayService")
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"name": "shared", "mountPath": "/shared"} in container["volumeMounts"]
    assert {"MLFLOW_TRACKING_URI", "FINEGRAIN_RUNS"} <= settings["data"].keys()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_every_pod_is_restricted_and_writes_only_where_it_must():
    found = dict(pod_specs())
    assert len(found) == 10, sorted(found)
    for name, pod in found.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        user = pod["securityContext"]
        assert user["runAsNonRoot"] is True, name
        assert user["seccompProfile"] == {"type": "RuntimeDefault"}, name
        allowed = {"emptyDir", "persistentVolumeClaim", "secret", "configMap", "projected", "name"}
        assert all(volume.keys() <= allowed for volume in pod.get("volumes", [])), name
        for container in pod["containers"]:
            confined = container["securityContext"]
            assert confined["allowPrivilegeEscalation"] is False, name
            assert confined["readOnlyRootFilesystem"] is True, name
            assert confined["capabilities"] == {"drop": ["ALL"]}, name
            assert container["image"] in OURS | THEIRS, name
            assert container["resources"]["limits"]["memory"], name
            volumes = {volume["name"] for volume in pod.get("volumes", [])} | {"data"}
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name


def test_the_service_account_is_the_autoscalers_alone(manifest):
    cluster = ray_cluster(manifest)
    sidecar = cluster["autoscalerOptions"]
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
    assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    [place] = [m for m in sidecar["volumeMounts"] if "serviceaccount" in m["mountPath"]]
    head = cluster["headGroupSpec"]["template"]["spec"]
    [volume] = [v for v in head["volumes"] if v["name"] == place["name"]]
    assert [*volume["projected"]["sources"][0]] == ["serviceAccountToken"]
    for container in containers(manifest):
        assert all(mount["name"] != place["name"] for mount in container["volumeMounts"])


def test_secrets_are_files_that_exist():
    _, keys = generated_keys()
    for name, pod in pod_specs():
        for volume in pod.get("volumes", []):
            for item in volume.get("secret", {}).get("items", []):
                assert item["key"] in keys, name
        for container in pod["containers"]:
            for variable in container.get("env", []):
                assert "valueFrom" not in variable, name  # KubeRay alone sets two of its own
    password = ray_cluster(read(SERVICE))["gcsFaultToleranceOptions"]["redisPassword"]
    assert password["valueFrom"]["secretKeyRef"]["key"] in keys


def quantity(text):
    """Bytes of Kubernetes' Mi and Gi."""
    return int(text[:-2]) * {"Mi": 2**20, "Gi": 2**30}[text[-2:]]


def test_the_object_store_has_its_memory(manifest):
    cluster = ray_cluster(manifest)
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        store = int(group["rayStartParams"]["object-store-memory"])
        pod = group["template"]["spec"]
        [memory] = [v["emptyDir"] for v in pod["volumes"] if v["name"] == "memory"]
        [container] = pod["containers"]
        assert {"name": "memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
        assert memory["medium"] == "Memory"
        limit = quantity(container["resources"]["limits"]["memory"])
        assert 1.2 * store <= quantity(memory["sizeLimit"]) <= limit / 3
        # what Ray would take unasked does not fit
        assert DEFAULT_OBJECT_STORE_MEMORY_PROPORTION * limit > quantity(memory["sizeLimit"])


def test_heads_stay_off_machines_that_are_taken_away(manifest):
    cluster = ray_cluster(manifest)
    affinity = cluster["headGroupSpec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {rule["operator"] for rule in term["matchExpressions"]} == {"NotIn"}
    for group in cluster["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        tolerated = {toleration["key"] for toleration in pod["tolerations"]}
        assert "nvidia.com/gpu" in tolerated
        assert ("spot" in tolerated) == (manifest["kind"] == "RayJob")


def test_pods_are_of_one_image_with_the_locked_ray(manifest):
    cluster = ray_cluster(manifest)
    assert f"\nray=={cluster['rayVersion']}\n" in (ROOT / "requirements.lock").read_text()
    assert len({container["image"] for container in containers(manifest)}) == 1
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        claims = {volume["name"]: volume.get("persistentVolumeClaim") for volume in pod["volumes"]}
        assert claims["shared"] == {"claimName": "finegrain"}
    workers = cluster["workerGroupSpecs"][0]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert cluster["enableInTreeAutoscaling"] is True


def test_the_image_has_what_its_commands_name_and_dependencies_first():
    containerfile = (ROOT / "deploy" / "Containerfile").read_text()
    assert containerfile.rstrip().endswith("USER 1000")
    copied = [
        name
        for names in re.findall(r"^COPY (.+) \S+$", containerfile, re.MULTILINE)
        for name in names.split()
    ]
    assert all((ROOT / name).exists() for name in copied)
    assert {"jobs", "serve_apps", "tune_spaces"} <= set(copied)
    assert containerfile.index("--constraint requirements.lock") < containerfile.index(
        "COPY platform"
    )


def test_the_network_closes_what_it_does_not_open():
    policies = {
        d["metadata"]["name"]: d["spec"] for d in documents() if d["kind"] == "NetworkPolicy"
    }
    closed = policies["nothing-by-default"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = {"mlflow", "postgres", "redis", "backup", "mlflow-accounts", "scoring", "benchmark"}
    named = {
        value
        for spec in policies.values()
        for value in [
            spec["podSelector"].get("matchLabels", {}).get("app"),
            *(
                v
                for rule in spec["podSelector"].get("matchExpressions", [])
                for v in rule["values"]
            ),
        ]
    }
    assert labels <= named


def test_the_jobs_entrypoint_is_understood(monkeypatch):
    command = shlex.split(read(JOB)["spec"]["entrypoint"])
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
    service = schema.model_validate(yaml.safe_load(read(SERVICE)["spec"]["serveConfigV2"]))
    local = schema.model_validate(read("serve_apps/scoring.yaml"))
    [application], [wanted] = service.applications, local.applications
    assert application.args.pop("encoder_gpus") == 1
    assert application.args.pop("cache").startswith("/shared/")  # a new pod finds what it had
    workers = ray_cluster(read(SERVICE))["workerGroupSpecs"]
    for deployment in application.deployments:  # where the head's fall does not reach
        [needed] = deployment.ray_actor_options.resources
        assert all(f'{needed}\\": 1' in group["rayStartParams"]["resources"] for group in workers)
    assert {d.name for d in application.deployments} == {"Ingress", "Captions", "Scorer"}
    application.deployments = []
    assert application.model_dump() == wanted.model_dump()
    module, _, name = application.import_path.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert ServingConfig.model_validate(application.args).max_in_flight == 32
    assert service.http_options.host == "0.0.0.0"
    assert service.http_options.model_copy(update={"host": "127.0.0.1"}) == local.http_options


def test_the_service_has_the_settings_that_were_measured():
    for container in containers(read(SERVICE)):
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        assert env | LEAN == env


def test_what_has_to_be_filled_in_is_explained():
    files = [ROOT / "cluster.yaml", *(ROOT / "deploy").rglob("*.yaml")]
    wanted = {name for file in files for name in re.findall(r"FILL_IN_\w+", file.read_text())}
    told = (ROOT / "deploy/README.md").read_text()
    in_its_commands = {"FILL_IN_SSH_RANGE"}
    assert wanted | in_its_commands == set(re.findall(r"FILL_IN_\w+", told))


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
    check(read(name), yaml.safe_load((Path(CRDS) / definition).read_text()))
