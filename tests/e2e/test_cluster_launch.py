"""A launch on a cluster's leader: the real launch with real containers, started over a stand-in for ssh.

The units run where the stand-in's leader is, on this machine, not in pods of a Kubernetes: docs/not-proved.md.
"""

import json
import os
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import toil_cloud
from tests.e2e.conftest import LICENCE_KEY, write_dataset
from tests.toil_cloud import LAPTOPS_SECRET, Cloud

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]
# The profile of a cluster, with this machine in place of Kubernetes.
PROFILE = """\
class: Backend
backend: aws
like: aws
label: A stand-in
doc: A leader without a cluster behind it.
batch_system: single_machine
job_store: folder
container: docker
options: []
on_demand: []
"""


@dataclass(frozen=True)
class Launched:
    """A launch that has ended, and all that was said on the way."""

    started: str
    status: dict[str, Any]
    record: dict[str, Any]
    made: list[dict[str, Any]]  # what ssh was asked when the cluster was made
    asked: list[dict[str, Any]]  # and by the launch
    keys: list[str]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with toil_cloud.cloud(tmp_path_factory.mktemp("laptop")) as one:
        made = one.create("lab", "--node-types", "r5.2xlarge:spot")
        assert made.returncode == 0, made.stderr
        s3, folder = one.client("s3"), one.folder
        s3.create_bucket(Bucket="lab", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        for file in sorted(write_dataset(folder / "ds", ["01"]).rglob("*")):
            if file.is_file():
                s3.upload_file(str(file), "lab", f"ds/{file.relative_to(folder / 'ds').as_posix()}")
        (folder / "profile.yml").write_text(PROFILE)
        (folder / "licence.txt").write_text(f"someone@example.org\n12345\n {LICENCE_KEY}\n FSanotherKey\n")
        (folder / "own.yml").write_text("cpus: 1\n")
        yield one


WORDS = ["--backend", "profile.yml", "--cluster", "lab", "--pipeline", "recon-all", "--rehearse"]


def launch(cloud: Cloud, out: str, *words: str, **variables: str) -> Any:
    where = ["--output", f"s3://lab/{out}"]
    return cloud.run("launch", "dataset", "s3://lab/ds", *WORDS, *where, *words, **variables)


def keys(cloud: Cloud, prefix: str) -> list[str]:
    pages = cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket="lab", Prefix=f"{prefix}/")
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


@pytest.fixture(scope="module")
def launched(cloud: Cloud) -> Launched:
    made = [json.loads(line) for line in cloud.notes.read_text().splitlines()]
    started = launch(
        cloud, "out", "--fs-license-file", "licence.txt", "--parameters", "own.yml", "--keep-cluster"
    )
    assert started.returncode == 0, started.stderr
    for _ in range(300):
        ended = keys(cloud, "out/.neurocwl/leaders")
        if ended:
            break
        time.sleep(1)
    record = json.loads(cloud.client("s3").get_object(Bucket="lab", Key=ended[0])["Body"].read())
    seen = cloud.run("status", "s3://lab/out", "--json")
    asked = [json.loads(line) for line in cloud.notes.read_text().splitlines()]
    return Launched(
        started.stdout, json.loads(seen.stdout), record, made, asked[len(made) :], keys(cloud, "out")
    )


def test_the_laptop_is_told_the_run_and_every_unit_is_done_without_it(launched: Launched) -> None:
    assert (
        f"the leader of cluster lab goes on with the launch, run {launched.status['run']}" in launched.started
    )
    assert {one["unit"]: one["status"] for one in launched.status["units"]} == {
        "sub-01": "done",
        "group": "done",
    }
    assert launched.record["exit_code"] == 0, launched.record["log"]


def test_the_leader_is_given_the_same_launch_with_its_files(launched: Launched) -> None:
    words = launched.record["words"]
    assert words[:3] == ["launch", "dataset", "s3://lab/ds"]
    given = {option: words[words.index(option) + 1] for option in ("--fs-license-file", "--parameters")}
    for option, name in (("--fs-license-file", "licence.txt"), ("--parameters", "parameters.json")):
        assert given[option].startswith("/dev/shm/neurocwl-")
        assert given[option].endswith(name)
    assert "--keep-cluster" not in words


def test_no_secret_is_on_a_command_line_in_a_record_or_left_behind(launched: Launched, cloud: Cloud) -> None:
    s3 = cloud.client("s3")
    said = json.dumps(launched.asked) + launched.started + json.dumps(launched.record)
    said += "".join(
        s3.get_object(Bucket="lab", Key=key)["Body"].read().decode("utf-8", "replace")
        for key in launched.keys
    )
    assert LICENCE_KEY not in said
    assert LAPTOPS_SECRET not in said
    folder = Path(launched.record["words"][launched.record["words"].index("--parameters") + 1]).parents[2]
    assert folder.parent == Path("/dev/shm")
    assert not folder.exists()


def test_the_launch_is_known_to_the_dead_mans_switch(launched: Launched) -> None:
    (started,) = [one["words"][-1] for one in launched.made if "cluster watch lab" in one["words"][-1]]
    words = shlex.split(started)
    assert "s3://lab/out" in Path(words[words.index("--outputs-file") + 1]).read_text().splitlines()


def test_a_launch_that_cannot_begin_says_why_on_the_laptop_and_leaves_the_cluster(cloud: Cloud) -> None:
    """Somebody else's launch writes there, which the leader finds out."""
    other = {"run": "theirs", "host": "elsewhere", "pid": 1, "cancelled": False, "kernel": "", "born": ""}
    other["expires"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = json.dumps(other).encode()
    cloud.client("s3").put_object(Bucket="lab", Key="busy/.neurocwl/lease.json", Body=body)
    refused = launch(cloud, "busy", "--fs-license-file", "licence.txt")
    assert refused.returncode == 3
    assert "the launch ended at once" in refused.stderr
    assert "run theirs on elsewhere" in refused.stderr
    (leader,) = cloud.tagged("lab")["instances"]
    assert leader["State"]["Name"] == "running"


def leader_with(cloud: Cloud, folder: Path, program: str, text: str) -> str:
    """The variables of a leader that has another program of a name."""
    file = folder / program
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    leader = json.loads(cloud.environment()["STAND_IN_LEADER"])
    return json.dumps({**leader, "PATH": f"{folder}{os.pathsep}{leader['PATH']}"})


def test_a_launch_that_does_not_get_to_the_leader_leaves_no_licence_there(
    cloud: Cloud, tmp_path: Path
) -> None:
    full = leader_with(cloud, tmp_path, "tar", "echo no space left >&2; exit 2")
    refused = launch(cloud, "full", "--fs-license-file", "licence.txt", STAND_IN_LEADER=full)
    assert refused.returncode == 3
    assert "no space left" in refused.stderr
    folders = set(re.findall(r"/dev/shm/neurocwl-\w+", cloud.notes.read_text()))
    assert folders
    assert not [folder for folder in folders if Path(folder).exists()]


def test_an_appliance_of_another_version_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    other = leader_with(cloud, tmp_path, "neurocwl", "echo neurocwl 0.0.1")
    refused = launch(cloud, "version", "--fs-license-file", "licence.txt", STAND_IN_LEADER=other)
    assert refused.returncode == 3
    assert "its appliance has neurocwl 0.0.1" in refused.stderr
    assert keys(cloud, "version") == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--output", "out"], "needs an s3:// URL"),
        (["--output", "s3://lab/x", "--cluster", "nobody"], "cluster nobody: there is none"),
    ],
)
def test_what_the_leader_cannot_reach_is_refused_on_the_laptop(
    cloud: Cloud, words: list[str], why: str
) -> None:
    before = cloud.notes.read_text()
    refused = cloud.run(
        "launch", "dataset", "s3://lab/ds", *WORDS, "--fs-license-file", "licence.txt", *words
    )
    assert refused.returncode == 2
    assert why in refused.stderr
    assert cloud.notes.read_text() == before


@pytest.mark.usefixtures("launched")
def test_a_group_stage_by_itself_is_refused_away_from_the_leader(cloud: Cloud) -> None:
    refused = cloud.run("group", "s3://lab/out", "--backend", "profile.yml", "--cluster", "lab")
    assert refused.returncode == 2
    assert "the same launch again" in refused.stderr


def alive(cloud: Cloud) -> dict[str, int]:
    """How many of what still exist of the cluster."""
    found = cloud.tagged("lab")
    found["instances"] = [one for one in found["instances"] if one["State"]["Name"] != "terminated"]
    return {key: len(things) for key, things in found.items()}


@pytest.mark.usefixtures("launched")
def test_a_launch_that_has_ended_takes_the_cluster_along(cloud: Cloud) -> None:
    """The last test here: the cluster is gone after it. Nothing is left to run, so the launch ends at once."""
    assert alive(cloud) == {"instances": 1, "volumes": 1, "groups": 1, "templates": 1, "scaling": 1}
    ended = launch(cloud, "out", "--fs-license-file", "licence.txt")
    assert ended.returncode == 0, ended.stderr
    for _ in range(120):
        if alive(cloud)["instances"] == 0:
            break
        time.sleep(1)
    # What the leader stands on costs nothing, and goes when somebody asks.
    assert alive(cloud) == {"instances": 0, "volumes": 0, "groups": 1, "templates": 0, "scaling": 0}
    rest = cloud.cluster("destroy", "lab", "--yes")
    assert rest.returncode == 0, rest.stderr
    audited = cloud.cluster("audit", "lab")
    assert audited.returncode == 0, audited.stdout
