"""Clusters that Toil's own provisioner made on an emulator of AWS: looked at, ended, watched, by the command."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from neurocwl import lease, s3server
from neurocwl.aws import deadman, jobstores, session, teardown
from neurocwl.aws.listing import Cloud
from neurocwl.credentials import Keys
from neurocwl.s3 import Access
from neurocwl.storage import open_location
from tests import clouds, planted
from tests.e2e.conftest import Result

TOIL = Path(__file__).parents[1] / "toil_cluster.py"
FREE = {"security group", "instance profile", "role"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with clouds.moto_server(clouds.BARE) as url:
        yield url


@pytest.fixture(scope="module")
def environment(moto: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, **clouds.variables(moto)}


@pytest.fixture(scope="module")
def cloud(moto: str) -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in clouds.variables(moto).items():
            patch.setenv(name, value)
        yield Cloud(Access(), clouds.REGION)


def made(environment: Mapping[str, str], name: str, kind: str) -> None:
    """A cluster by Toil itself."""
    subprocess.run(
        [sys.executable, str(TOIL), name, kind, f"{clouds.REGION}a"],
        env=environment,
        check=True,
        capture_output=True,
    )


def neurocwl(environment: Mapping[str, str], *words: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "neurocwl", "cluster", *words],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def kinds(audit: Result) -> set[str]:
    return {thing["kind"] for thing in audit.json["things"]}


def test_a_cluster_of_toils_is_in_use_then_ends_and_leaves_nothing(environment: Mapping[str, str]) -> None:
    made(environment, "lab-1", "kubernetes")
    everything = neurocwl(environment, "audit", "--json")
    assert everything.code == 0, everything.err
    assert all(thing["in_use"] for thing in everything.json["things"])
    assert kinds(everything) == {
        "autoscaling group",
        "launch template",
        "instance",
        "volume",
        "bucket",
        *FREE,
    }

    unasked = neurocwl(environment, "destroy", "lab-1")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)

    ended = neurocwl(environment, "destroy", "lab-1", "--yes")
    assert (ended.code, ended.err) == (0, "")
    assert "toil destroy-cluster lab-1" in ended.out
    assert "it failed" not in ended.out
    again = neurocwl(environment, "destroy", "lab-1", "--yes")
    assert (again.code, again.out) == (0, f"cluster lab-1, {clouds.REGION}: nothing is left\n")
    assert neurocwl(environment, "audit", "lab-1").code == 0


def test_what_toils_own_destroy_leaves_of_a_cluster_whose_instances_are_gone_is_found_and_ended(
    environment: Mapping[str, str], cloud: Cloud
) -> None:
    made(environment, "lost", "mesos")
    ec2 = cloud.client("ec2")
    ec2.allocate_address(Domain="vpc", TagSpecifications=planted.specified("elastic-ip", "lost"))
    ec2.create_volume(
        AvailabilityZone=f"{clouds.REGION}a", Size=9, TagSpecifications=planted.specified("volume", "lost")
    )
    for thing in teardown.look(cloud, "lost").things:
        if thing.kind == "instance":
            ec2.terminate_instances(InstanceIds=[thing.id])
    program = Path(sys.executable).parent / "toil"
    words = ["destroy-cluster", "--provisioner=aws", f"--zone={clouds.REGION}a", "lost"]
    subprocess.run([str(program), *words], env=environment, check=True, capture_output=True)

    left = neurocwl(environment, "audit", "lost", "--json")
    assert kinds(left) == {"address", "volume", "security group"}
    assert neurocwl(environment, "audit").code == 1
    ended = neurocwl(environment, "destroy", "lost", "--yes")
    assert ended.code == 0, ended.err
    assert "left behind by it: 1 address, 1 volume, 1 security group" in ended.out
    assert neurocwl(environment, "audit").code == 0


def checked(moto: str, *, rights: bool) -> None:
    """Whether the emulator checks rights from now on; it lets everybody do everything by default."""
    plain = {"Content-Type": "text/plain"}
    calls = b"0" if rights else b"inf"
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset-auth", calls, plain)).close()


def user(cloud: Cloud, name: str, *statements: Mapping[str, Any]) -> Keys:
    """Keys of a user who may do everything but what statements deny."""
    iam = cloud.client("iam")
    iam.create_user(UserName=name)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything, *statements]})
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Keys(key["AccessKeyId"], key["SecretAccessKey"])


def test_a_watched_cluster_ends_by_itself_when_its_launch_has_ended(
    environment: Mapping[str, str], moto: str, cloud: Cloud, tmp_path: Path
) -> None:
    """The leader's own command with the rights of the leader's role, which the emulator checks; not on a leader."""
    made(environment, "watched", "kubernetes")
    deadman.allow(cloud.client("iam"), "watched")
    admin = Cloud(Access(keys=user(cloud, "admin")), clouds.REGION)
    sts = session.client(cloud.access, "sts")
    found = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/watched_toil", RoleSessionName="leader")
    role = {
        "AWS_ACCESS_KEY_ID": found["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["Credentials"]["SessionToken"],
    }
    output = str(tmp_path / "out")
    (tmp_path / "outputs").write_text(f"{output}\n")
    words = (
        "watch",
        "watched",
        "--idle",
        "4s",
        "--max-age",
        "1h",
        "--outputs-file",
        str(tmp_path / "outputs"),
    )
    log = tmp_path / "log"
    checked(moto, rights=True)
    with log.open("wb") as out:
        watch = subprocess.Popen(
            [sys.executable, "-m", "neurocwl", "cluster", *words],
            env={**environment, **role},
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
    try:
        with lease.held(open_location(output, Access()), "run", lambda _: None):
            end = time.monotonic() + 90
            while not (planned := scheduled(admin)) and time.monotonic() < end and watch.poll() is None:
                time.sleep(1)
            time.sleep(6)  # longer than --idle
            assert watch.poll() is None, log.read_text()
            things = teardown.look(admin, "watched").things
        assert watch.wait(120) == 0, log.read_text()
    finally:
        watch.kill()
        watch.wait()
        checked(moto, rights=False)
    assert "cluster watched ends: no launch has been alive" in log.read_text()
    assert planned == {(0, 0, 0)}
    assert len([thing for thing in things if thing.kind == "instance"]) == 2
    leader = next(thing for thing in things if thing.role == "leader")
    asked = {"InstanceId": leader.id, "Attribute": "instanceInitiatedShutdownBehavior"}
    behaviour = cloud.client("ec2").describe_instance_attribute(**asked)
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"

    left = neurocwl(environment, "audit", "watched", "--json")
    assert kinds(left) == FREE
    assert neurocwl(environment, "audit").code == 0
    assert neurocwl(environment, "destroy", "watched", "--yes").code == 0


def scheduled(cloud: Cloud) -> set[tuple[int, int, int]]:
    """The sizes that AWS itself will bring groups of workers to."""
    found = cloud.client("autoscaling").describe_scheduled_actions()["ScheduledUpdateGroupActions"]
    return {(one["MinSize"], one["MaxSize"], one["DesiredCapacity"]) for one in found}


def test_a_service_that_may_not_be_looked_at_is_never_a_clean_audit(
    environment: Mapping[str, str], moto: str, cloud: Cloud
) -> None:
    denied = {"Effect": "Deny", "Action": ["sns:*", "ec2:DescribeAddresses"], "Resource": "*"}
    keys = user(cloud, "auditor", denied)
    own = {"AWS_ACCESS_KEY_ID": keys.key_id, "AWS_SECRET_ACCESS_KEY": keys.secret}
    checked(moto, rights=True)
    try:
        found = neurocwl({**environment, **own}, "audit", "--json")
    finally:
        checked(moto, rights=False)
    assert found.code == 3
    assert {one["kind"] for one in found.json["unseen"]} == {"topic", "address"}


def test_toil_marks_a_job_store_and_the_next_launch_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """Toil itself on an S3 server, killed in the middle; another output's job store, and data, stay."""
    tool = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": ["sleep", "60"],
        "inputs": [],
        "outputs": [],
    }
    (tmp_path / "tool.cwl").write_text(json.dumps(tool))
    store = f"neurocwl-{planted.DIGEST}-20261121t120000-001"
    with s3server.running(tmp_path / "server.log") as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        own = jobstores.tags("20261121t120000", "s3://lab/out", os.environ)
        program = Path(sys.executable).parent / "toil-cwl-runner"
        with (tmp_path / "toil.log").open("wb") as log:
            toil = subprocess.Popen(
                [str(program), f"--jobStore=aws:us-east-1:{store}", str(tmp_path / "tool.cwl")],
                env={**os.environ, **own},
                cwd=tmp_path,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        cloud = Cloud(Access(), s3server.REGION)
        s3 = cloud.client("s3")
        try:
            while toil.poll() is None and not _holds(cloud, f"{store}--toil"):
                time.sleep(0.5)
        finally:
            os.killpg(toil.pid, signal.SIGKILL)
            toil.wait()
        assert _holds(cloud, f"{store}--toil"), (tmp_path / "toil.log").read_text()
        others = f"neurocwl-{'f' * 16}-20261121t120000-001--toil"
        unmarked = f"neurocwl-{planted.DIGEST}-20261121t120000-002--toil"
        for name in (others, unmarked, "lab"):
            s3.create_bucket(Bucket=name)
            s3.put_object(Bucket=name, Key="config.pickle", Body=b"x")
        s3.create_bucket(
            Bucket=f"neurocwl-{planted.DIGEST}-20261121t120000-003--toil"
        )  # before its mark, and empty
        assert jobstores.remove_left(Access(), s3server.REGION, planted.DIGEST) == 2
        assert {raw["Name"] for raw in s3.list_buckets()["Buckets"]} == {others, unmarked, "lab"}
        assert jobstores.remove_left(Access(), s3server.REGION, planted.DIGEST) == 0


def _holds(cloud: Cloud, bucket: str) -> bool:
    """Whether Toil has begun to keep jobs there."""
    s3 = cloud.client("s3")
    there = any(raw["Name"] == bucket for raw in s3.list_buckets()["Buckets"])
    return there and s3.list_objects_v2(Bucket=bucket, Prefix="jobs/")["KeyCount"] > 0
