"""Kubernetes: manifests that its API knows, no right too many, a leader without secrets."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import toil.batchSystems.kubernetes as toils
from ruamel.yaml import YAML

from neurocwl import assets, backend, cli, cwlfile, kubernetes, template
from neurocwl.errors import BadInput, InfrastructureError
from tests.kube_api import model_of, strictly

FOLDER = assets.path("provisioning") / "kubernetes"
SET = ["image=registry.example.org/neurocwl:1"]


def documents(name: str) -> list[Any]:
    return list(YAML(typ="safe").load_all(FOLDER / name))


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.glob("*.yml")))
def test_every_manifest_has_only_fields_that_kubernetes_knows(name: str) -> None:
    for document in documents(name):
        strictly(document, model_of(document), document["kind"])


def test_the_strict_reader_refuses_what_kubernetes_would() -> None:
    document = documents("prepull.yml")[0]
    document["spec"]["template"]["spec"]["initContainer"] = []
    with pytest.raises(ValueError, match="initContainer: V1PodSpec has no such field"):
        strictly(document, "V1DaemonSet", "DaemonSet")


def calls_of(file: str) -> set[tuple[str, str, str]]:
    """(API group, resource, verb) of the calls of the official client that a file makes."""
    verbs = {
        "create": "create",
        "read": "get",
        "list": "list",
        "delete": "delete",
        "delete_collection": "deletecollection",
    }
    found = set()
    for node in ast.walk(ast.parse(Path(file).read_text())):
        if not isinstance(node, ast.Attribute):
            continue
        if node.attr == "list_namespaced_custom_object":  # its one use: pods of metrics.k8s.io
            found.add(("metrics.k8s.io", "pods", "list"))
            continue
        match = re.fullmatch(
            r"(delete_collection|create|read|list|delete)_namespaced_(job|pod)(_log)?", node.attr
        )
        if match:
            group = "batch" if match[2] == "job" else ""
            found.add((group, f"{match[2]}s" + ("/log" if match[3] else ""), verbs[match[1]]))
    return found


def test_the_role_allows_what_toil_and_neurocwl_call_and_nothing_else() -> None:
    called = calls_of(str(toils.__file__)) | calls_of(str(kubernetes.__file__))
    called.add(("batch", "jobs", "watch"))  # Toil's with KUBE_WATCH_ENABLED
    role = next(one for one in documents("neurocwl.yml") if one["kind"] == "Role")
    allowed = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert allowed == called


def test_the_images_that_are_pulled_before_are_those_of_the_pipelines() -> None:
    images = {
        one["image"] for one in documents("prepull.yml")[0]["spec"]["template"]["spec"]["initContainers"]
    }
    named = {image for name in template.names() for image in [template.load(name).image]}
    assert images <= named
    assert len(images) == 2


def test_a_leader_runs_the_launch_under_the_service_account_without_keys() -> None:
    words = ["launch", "dataset", "s3://lab/ds", "--backend", "kubernetes", "--output", "s3://lab/out"]
    environ = {
        "NEUROCWL_EMAIL_FROM": "lab@example.org",
        "AWS_REGION": "eu-west-1",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "AWS_ACCESS_KEY_ID": "AKIA1",
    }
    where = backend.load("kubernetes", [*SET, "licence_secret=freesurfer"])
    job = kubernetes.leader(where, words, "d" * 16, "r1", environ)
    strictly(job, "V1Job", "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][-len(words) :] == words
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["AWS_REGION"] == "eu-west-1"
    assert variables["NEUROCWL_EMAIL_FROM"] == "lab@example.org"  # who sends is no secret
    assert variables["FS_LICENSE"] == "/etc/neurocwl/license.txt"
    assert "s3cret" not in json.dumps(job)
    assert "AKIA1" not in json.dumps(job)
    volumes = {one["name"]: one for one in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["licence"]["secret"]["secretName"] == "freesurfer"


def test_a_leader_that_ended_by_itself_is_not_begun_again() -> None:
    """Else failed units run four times, a budget is spent four times, and a launch that was cancelled goes on."""
    job = kubernetes.leader(backend.load("kubernetes", SET), ["launch"], "d" * 16, "r1", {})
    strictly(job, "V1Job", "Job")
    lost, ended = job["spec"]["podFailurePolicy"]["rules"]
    assert lost == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert ended["action"] == "FailJob"
    known = {int(code) for code in re.findall(r"(?:^|; ?)(\d+) ", cli.EPILOG.partition(":")[2].strip(), re.M)}
    again = {0, InfrastructureError.exit_code}
    assert set(ended["onExitCodes"]["values"]) == known - again == {1, 2, 4, 130}
    assert ended["onExitCodes"]["containerName"] == job["spec"]["template"]["spec"]["containers"][0]["name"]


def test_without_a_licence_secret_nothing_of_one_is_in_the_leader() -> None:
    job = kubernetes.leader(backend.load("kubernetes", SET), ["launch"], "d" * 16, "r1", {})
    assert not [one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "licence"]
    assert "FS_LICENSE" not in json.dumps(job["spec"]["template"]["spec"]["containers"][0]["env"])


def test_the_names_of_toils_jobs_begin_with_the_digest_and_are_short_enough() -> None:
    options = backend.load("kubernetes", SET).toil_options(digest="0123456789abcdef")
    owner = next(one.partition("=")[2] for one in options if one.startswith("--kubernetesOwner="))
    assert owner == "0123456789abcdef"
    uuid = "0" * 36
    assert len(f"{owner}-toil-{uuid}-9999") <= 63


def test_spot_pods_are_preemptible() -> None:
    options = backend.load("kubernetes", SET).toil_options(backend.SPOT)
    assert "--defaultPreemptible=True" in options
    assert "--defaultPreemptible=True" not in backend.load("kubernetes", SET).toil_options()


def test_without_a_cluster_one_message_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(BadInput, match="set KUBECONFIG"):
        kubernetes.end_strays(backend.load("kubernetes", SET), None, "d" * 16)  # type: ignore[arg-type]


def test_the_profile_names_only_options_that_toil_has() -> None:
    source = Path(str(toils.__file__)).read_text()
    profile = cwlfile.load(assets.path(backend.FOLDER) / "kubernetes.yml")
    for option in profile["options"]:
        name = option.partition("=")[0]
        assert not name.startswith("--kubernetes") or f'"{name}"' in source
