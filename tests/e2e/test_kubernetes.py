"""A launch on Kubernetes: Toil's real batch system against a stand-in of its API server (tests/kube_api.py)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from toil.version import currentCommit

from neurocwl import assets, backend
from tests import kube_api
from tests.e2e.conftest import Lab, write_dataset

# With Toil's commit in the tag, Toil does not ask a registry whether the image is there.
IMAGE = f"localhost/neurocwl/appliance:1-{currentCommit}"
RULES: list[Any] = next(
    one["rules"]
    for one in YAML(typ="safe").load_all(assets.path("provisioning") / "kubernetes/neurocwl.yml")
    if one["kind"] == "Role"
)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """The disk of the nodes, with a dataset on it."""
    folder = tmp_path / "pods"
    write_dataset(folder / "ds", ["01", "02"])
    return folder


@pytest.fixture
def cluster(lab: Lab, scratch: Path) -> Iterator[kube_api.Cluster]:
    """Pods have the programs and the S3 server of this machine, and the tool without its container."""
    pods = {**lab.environment, "KUBECONFIG": str(scratch / "kubeconfig")}
    with kube_api.cluster(scratch, RULES, pods) as found:
        yield found


@pytest.fixture
def own(scratch: Path) -> Path:
    file = scratch / "own.yml"
    (scratch / "work").mkdir()
    file.write_text(
        "like: kubernetes\nbackend: our-cluster\n"
        f"set: {{image: '{IMAGE}', work_dir: {scratch}/work, region: us-east-1}}\n"
    )
    return file


def words(lab: Lab, scratch: Path, own: Path, name: str, *more: str) -> list[str]:
    ds = scratch / "ds"
    return ["launch", "dataset", str(ds), "--pipeline", "nifti-check", "--output", lab.url(name), "--backend", str(own), "--no-container", *more]  # fmt: skip


def test_a_launch_runs_every_unit_in_a_job_of_the_cluster(
    lab: Lab, scratch: Path, own: Path, cluster: kube_api.Cluster
) -> None:
    digest = backend.output_digest(lab.url("kube"), lab.environment)
    kubeconfig = {"KUBECONFIG": str(scratch / "kubeconfig")}
    done = lab.run(*words(lab, scratch, own, "kube"), **kubeconfig)
    assert done.code == 0, done.err
    status = lab.run("status", lab.url("kube"), "--json")
    assert status.statuses() == {"sub-01": "done", "sub-02": "done"}
    assert lab.run("verify", lab.url("kube"), "--deep").code == 0
    assert cluster.refused == []

    names = [one["metadata"]["name"] for one in cluster.submitted]
    assert len(names) == 2
    assert all(name.startswith(f"{digest}-toil-") for name in names)
    spec = cluster.submitted[0]["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "neurocwl"
    assert spec["containers"][0]["image"] == IMAGE
    asked = spec["containers"][0]["resources"]["limits"]
    assert set(asked) == {"cpu", "memory", "ephemeral-storage"}
    assert cluster.jobs == {}
    buckets = [one["Name"] for one in lab.s3.list_buckets()["Buckets"]]
    assert not [one for one in buckets if one.startswith(backend.JOB_STORE)]


def test_jobs_that_a_killed_launch_left_are_deleted_by_the_next(
    lab: Lab, scratch: Path, own: Path, cluster: kube_api.Cluster
) -> None:
    digest = backend.output_digest(lab.url("strays"), lab.environment)
    for owner in (digest, "f" * 16):
        spec = {"containers": [{"name": "runner-container", "image": "x", "command": ["sleep", "300"]}]}
        job = {
            "metadata": {"name": f"{owner}-toil-0-1"},
            "spec": {"template": {"metadata": {}, "spec": {**spec, "restartPolicy": "Never"}}},
        }
        cluster.create(job, "neurocwl")
    done = lab.run(
        *words(lab, scratch, own, "strays", "--participant-label", "01"),
        KUBECONFIG=str(scratch / "kubeconfig"),
    )
    assert done.code == 0, done.err
    assert list(cluster.jobs) == [f"{'f' * 16}-toil-0-1"]


def test_a_detached_launch_is_a_job_that_runs_to_the_end_by_itself(
    lab: Lab, scratch: Path, own: Path, cluster: kube_api.Cluster
) -> None:
    """The profile is a file of this machine: the leader gets its text."""
    lab.upload(scratch / "ds", "ds")
    command = [
        "launch",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "nifti-check",
        "--output",
        lab.url("detached-kube"),
        "--no-container",
    ]
    environment = {"KUBECONFIG": str(scratch / "kubeconfig"), "NEUROCWL_BACKEND": str(own)}
    started = lab.run(*command, "--detach", **environment)
    assert started.code == 0, started.err
    assert "is led by Job neurocwl-leader-" in started.out
    for _ in range(120):
        found = lab.run("status", lab.url("detached-kube"), "--json")
        if found.code in (0, 1) and found.json["state"] == "finished":
            break
        time.sleep(1)
    assert found.statuses() == {"sub-01": "done", "sub-02": "done"}, found.out
    assert cluster.refused == []
