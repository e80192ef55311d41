"""The configuration of AWS ParallelCluster, judged by ParallelCluster's own schema, which asks AWS nothing."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from neurocwl import assets, backend, cwlfile
from tests import environments

FOLDER = assets.path("provisioning/parallelcluster")
JUDGE = """\
import json, sys
from marshmallow import ValidationError
from pcluster.schemas.cluster_schema import ClusterSchema
try:
    ClusterSchema(cluster_name="brains").load(json.load(sys.stdin))
except ValidationError as error:
    sys.exit(json.dumps(error.messages))
"""

pytestmark = pytest.mark.slow  # it is installed at first


@pytest.fixture(scope="module")
def judge() -> Callable[[Mapping[str, Any]], str]:
    python = environments.python_with("aws-parallelcluster==3.16.1", "setuptools<81")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}

    def judged(raw: Mapping[str, Any]) -> str:
        """What is wrong with a configuration."""
        done = subprocess.run(
            [str(python), "-c", JUDGE],
            input=json.dumps(raw),
            env={**os.environ, **nowhere, **keys},
            capture_output=True,
            text=True,
        )
        return done.stderr.strip() if done.returncode else ""

    return judged


@pytest.fixture
def raw() -> dict[str, Any]:
    return json.loads(json.dumps(cwlfile.load(FOLDER / "cluster.yml")))


def queue(raw: Mapping[str, Any], name: str) -> Any:
    return next(one for one in raw["Scheduling"]["SlurmQueues"] if one["Name"] == name)


def test_parallelcluster_accepts_it(judge: Callable[[Mapping[str, Any]], str], raw: dict[str, Any]) -> None:
    assert judge(raw) == ""


def test_and_would_not_accept_a_misspelled_key_a_wrong_type_or_two_kinds_of_storage(
    judge: Callable[[Mapping[str, Any]], str], raw: dict[str, Any]
) -> None:
    resource = queue(raw, "spot")["ComputeResources"][0]
    resource["MaxCounts"] = resource.pop("MaxCount")
    assert "MaxCounts" in judge(raw)
    resource["MaxCount"] = "many"
    del resource["MaxCounts"]
    assert "MaxCount" in judge(raw)
    resource["MaxCount"] = 1
    raw["SharedStorage"][0]["EbsSettings"] = {"Size": 10}
    assert "Multiple *Settings" in judge(raw)


def test_nodes_come_from_nothing_and_only_one_address_gets_in(raw: dict[str, Any]) -> None:
    for name, capacity in (("ondemand", "ONDEMAND"), ("spot", "SPOT")):
        found = queue(raw, name)
        assert found["CapacityType"] == capacity
        assert [one["MinCount"] for one in found["ComputeResources"]] == [0]
    assert raw["HeadNode"]["Ssh"]["AllowedIps"].endswith("/32")
    assert raw["Imds"] == {"ImdsSupport": "v2.0"}


def test_every_disk_is_encrypted_and_no_bucket_is_all_buckets(raw: dict[str, Any]) -> None:
    queues = raw["Scheduling"]["SlurmQueues"]
    disks = [
        raw["HeadNode"]["LocalStorage"],
        *(one["ComputeSettings"]["LocalStorage"] for one in queues),
    ]
    assert all(disk["RootVolume"]["Encrypted"] for disk in disks)
    assert raw["SharedStorage"][0]["EfsSettings"]["Encrypted"]
    roles = [raw["HeadNode"]["Iam"], *(one["Iam"] for one in queues)]
    buckets = [one["BucketName"] for role in roles for one in role["S3Access"]]
    assert not any("*" in bucket for bucket in buckets)


def test_the_scripts_that_it_names_are_there_and_the_shell_can_read_them(raw: dict[str, Any]) -> None:
    named = {raw["HeadNode"]["CustomActions"]["OnNodeConfigured"]["Script"]}
    named |= {one["CustomActions"]["OnNodeConfigured"]["Script"] for one in raw["Scheduling"]["SlurmQueues"]}
    for script in named:
        file = FOLDER / script.rpartition("/")[2]
        assert os.access(file, os.X_OK)
        subprocess.run(["bash", "-n", str(file)], check=True)


def test_the_page_s_settings_are_those_of_the_profile_and_of_the_cluster(raw: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs/slurm.md").read_text()
    (line,) = [one for one in page.splitlines() if "spot_partition=spot" in one]
    given = [word for word in line.split() if "=" in word]
    where = backend.load("slurm", given)
    names = {one["Name"] for one in raw["Scheduling"]["SlurmQueues"]}
    assert {where.values["partition"], where.values["spot_partition"]} == names
    (scratch,) = {
        one["ComputeSettings"]["LocalStorage"]["EphemeralVolume"]["MountDir"]
        for one in raw["Scheduling"]["SlurmQueues"]
    }
    assert where.values["scratch"] == scratch
