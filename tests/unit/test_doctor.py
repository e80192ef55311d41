"""Doctor: where nothing is wrong it says so; each thing that is broken is one line, with its fix."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from neurocwl import assets, backend, cwlfile, doctor, template
from neurocwl.checks.finding import FAILED, WARNING, Finding
from neurocwl.cli import main
from neurocwl.doctor import Case
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access
from tests import clouds
from tests.unit import aws_gates, image_registry
from tests.unit.image_registry import GIB

PROFILE = """\
class: Backend
backend: cloud
label: A cloud
doc: Machines that somebody starts on AWS.
batch_system: mesos
job_store: s3
container: docker
leader: here
cluster: toil
options: ["--nodeTypes={node_types}", "--maxNodes={max_nodes}", "--awsBatchQueue={queue}"]
settings:
  region: {doc: The region of the nodes., default: us-west-2}
  node_types: {doc: Instance types, default: "m5.4xlarge"}
  max_nodes: {doc: How many at once, default: 2}
  queue: {doc: A queue of AWS Batch}
"""
STANDARD, STANDARD_SPOT = "L-1216C47A", "L-34B43A08"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with clouds.moto_server() as url:
        yield url


class World:
    """A cloud in which nothing is wrong, until a test breaks one thing."""

    def __init__(self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self.url, self.folder, self.monkeypatch, self.stack = url, folder, monkeypatch, stack
        for name in [name for name in os.environ if name.startswith(("AWS_", "FS_LICENSE", "FREESURFER"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(folder))
        for name, value in clouds.variables(url).items():
            monkeypatch.setenv(name, value)
        self.quotas = {STANDARD: 512, STANDARD_SPOT: 512}
        self.set("AWS_ENDPOINT_URL_SERVICE_QUOTAS", stack.enter_context(aws_gates.quotas(self.quotas)))
        self.s3 = boto3.client("s3", endpoint_url=url, region_name=clouds.REGION)
        self.bucket = f"lab-{folder.name.lower().replace('_', '-')}"[:60].strip("-")
        self.make_bucket(self.bucket, clouds.REGION)
        self.s3.put_object(Bucket=self.bucket, Key="ds/dataset_description.json", Body=b"{}")
        images = {"lab/tool:1": {"amd64": 6 * GIB}, "lab/huge:1": {"amd64": 60 * GIB}}
        self.registry = stack.enter_context(image_registry.running(images))
        licence = folder / "licence.txt"
        licence.write_text("someone@example.org\n12345\n *Ckey\n FSkey\n")
        tools = folder / "bin"
        tools.mkdir()
        for name in ("ssh",):
            (tools / name).write_text("#!/bin/sh\n")
            (tools / name).chmod(0o755)
        self.set("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        self.profile = folder / "cloud.yml"
        self.profile.write_text(PROFILE)
        self.case = Case(
            backend=backend.load(str(self.profile)),
            access=Access(),
            dataset_access=Access(),
            work_dir=folder / "work",
            environment=os.environ,
            dataset=f"s3://{self.bucket}/ds",
            output=f"s3://{self.bucket}/out",
            template=template.load("recon-all"),
            image=f"{self.registry}/lab/tool:1",
            licence=str(licence),
        )

    def make_bucket(self, name: str, region: str) -> None:
        client = boto3.client("s3", endpoint_url=self.url, region_name=region)
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})

    def set(self, name: str, value: str) -> None:
        self.monkeypatch.setenv(name, value)

    def unset(self, *names: str) -> None:
        for name in names:
            self.monkeypatch.delenv(name, raising=False)

    def change(self, **fields: Any) -> None:
        self.case = dataclasses.replace(self.case, **fields)

    def settings(self, *words: str) -> None:
        self.change(backend=backend.load(str(self.profile), words))

    def gate(self, service: str = "S3", **words: Any) -> None:
        self.set(f"AWS_ENDPOINT_URL_{service}", self.stack.enter_context(aws_gates.gate(self.url, **words)))

    def found(self) -> dict[str, Finding]:
        found = doctor.examine(self.case)
        assert len({one.name for one in found}) == len(found), "one line for each check"
        return {one.name: one for one in found}

    def named(self, status: str) -> dict[str, str]:
        return {name: f"{one.text}; {one.fix}" for name, one in self.found().items() if one.status == status}


@pytest.fixture
def world(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(moto, tmp_path, monkeypatch, stack)


def test_where_nothing_is_wrong_nothing_is_said(world: World) -> None:
    found = world.found()
    assert {name: one for name, one in found.items() if one.status in (FAILED, WARNING)} == {}
    assert set(found) >= {
        "programs", "work-dir", "s3", "credentials", "region", "dataset", "output", "conditional-writes",
        "lifecycle", "encryption", f"region of s3://{world.bucket}", "quota of nodes", "image", "architecture",
        "node", "licence", "commands",
    }  # fmt: skip
    assert ":user/moto" in found["credentials"].text or "arn:aws" in found["credentials"].text


def test_looking_leaves_nothing_behind(world: World) -> None:
    world.found()
    keys = [one["Key"] for one in world.s3.list_objects_v2(Bucket=world.bucket)["Contents"]]
    assert keys == ["ds/dataset_description.json"]
    assert not world.case.work_dir.exists()


def ended_session(world: World) -> None:
    world.set("AWS_SESSION_TOKEN", "token")
    world.set("AWS_CREDENTIAL_EXPIRATION", (datetime.now(UTC) - timedelta(minutes=1)).isoformat())


def refused_keys(world: World) -> None:
    world.gate("STS", refuse="POST", code="InvalidClientTokenId")


def used_up_quota(world: World) -> None:
    world.quotas[STANDARD] = 20
    ec2 = boto3.client("ec2", endpoint_url=world.url, region_name=clouds.REGION)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    launched = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="m5.2xlarge")
    ids = [one["InstanceId"] for one in launched["Instances"]]
    world.stack.callback(lambda: ec2.terminate_instances(InstanceIds=ids))


def silent_server(world: World) -> None:
    with aws_gates.gate(world.url) as url:
        world.set("AWS_ENDPOINT_URL_S3", url)


# What is broken, the one check that fails, and words of its line.
FAULTS: dict[str, tuple[Callable[[World], None], str, str]] = {
    "no credentials": (lambda w: w.unset("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "credentials", "aws configure"),
    "a session that has ended": (ended_session, "credentials", "the session ended"),
    "keys that AWS refuses": (refused_keys, "credentials", "InvalidClientTokenId"),
    "a profile that is not there": (lambda w: w.change(access=Access(profile="absent")), "s3", "--profile absent"),
    "two regions": (lambda w: w.set("AWS_REGION", "eu-west-1"), "region", "AWS_REGION is eu-west-1"),
    "no region": (lambda w: w.unset("AWS_REGION", "AWS_DEFAULT_REGION"), "region", "no region is set"),
    "a clock that is half an hour off": (lambda w: w.gate(seconds=1800), "s3", "behind: signatures are refused"),
    "a server that does not answer": (silent_server, "s3", "does not answer"),
    "a dataset that is not there": (lambda w: w.change(dataset=f"s3://{w.bucket}/dx"), "dataset", "nothing there"),
    "no bucket for the output": (lambda w: w.change(output="s3://no-such-bucket-at-all/x"), "output", "no such bucket"),
    "an output that may not be written": (lambda w: w.gate(refuse="PUT"), "output", "access denied"),
    "an output where nothing may be deleted": (lambda w: w.gate(refuse="DELETE"), "output", "access denied"),
    "a quota of nothing": (lambda w: w.quotas.update({STANDARD: 0}), "quota of nodes", "not one node of m5.4xlarge"),
    "a quota that others use": (used_up_quota, "quota of nodes", "20 vCPUs, 8 of them in use"),
    "a spot quota that is too small": (
        lambda w: (w.settings("node_types=m5.4xlarge:0.3"), w.quotas.update({STANDARD_SPOT: 5}))[0],
        "quota of spot nodes", "--quota-code L-34B43A08",
    ),
    "nodes with too little memory": (lambda w: w.change(parameters={"memory_mib": 64000}), "node", "64000 MiB"),
    "an image that fills the node's disk": (
        lambda w: (w.settings("node_types=m5d.large"), w.change(image=f"{w.registry}/lab/huge:1"))[0],
        "node", "no unit fits on m5d.large",
    ),
    "an image that is not there": (lambda w: w.change(image=f"{w.registry}/lab/tool:2"), "image", "push it"),
    "an image of this machine alone": (
        lambda w: w.change(image="localhost/neurocwl/not-built-yet:0.1.0"), "image", "no registry serves it",
    ),
    "no image for the workers": (
        lambda w: w.set("TOIL_APPLIANCE_SELF", f"{w.registry}/lab/none:1"), "appliance", "no such image",
    ),
    "an image for other processors": (
        lambda w: w.settings("node_types=m6g.4xlarge"), "architecture", "the nodes are arm64",
    ),
    "no licence": (lambda w: w.change(licence=None), "licence", "https://surfer.nmr.mgh.harvard.edu"),
    "something else for a licence": (lambda w: w.change(licence=str(w.profile)), "licence", "not a FreeSurfer licence"),
    "a work folder with a space": (lambda w: w.change(work_dir=w.folder / "my work"), "work-dir", "space"),
    "a work folder below a file": (lambda w: w.change(work_dir=w.profile / "x"), "work-dir", "cannot be written"),
    "no ssh": (lambda w: w.set("PATH", str(w.folder)), "commands", "ssh: not on PATH"),
    "a queue that is not there": (lambda w: w.settings("queue=none"), "queue none", "no Batch queue none"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_broken_is_one_line_with_its_fix(world: World, what: str) -> None:
    breaks, name, words = FAULTS[what]
    breaks(world)
    failed = world.named(FAILED)
    assert set(failed) == {name}
    assert words in failed[name]
    assert not failed[name].endswith("; ")


def versions(world: World) -> None:
    rule: Any = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "ou"}, "Expiration": {"Days": 30}}
    world.s3.put_bucket_lifecycle_configuration(Bucket=world.bucket, LifecycleConfiguration={"Rules": [rule]})


def a_key(world: World) -> None:
    default: Any = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:us-west-2:1:key/k"}
    rules: Any = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    world.s3.put_bucket_encryption(Bucket=world.bucket, ServerSideEncryptionConfiguration=rules)


def public(world: World) -> None:
    allow = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{world.bucket}/*",
    }
    world.s3.put_bucket_policy(
        Bucket=world.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    )


def far_away(world: World) -> None:
    name = f"far-{world.bucket}"[:60].strip("-")
    world.make_bucket(name, "eu-west-1")
    world.change(output=f"s3://{name}/out")


DOUBTS: dict[str, tuple[Callable[[World], None], str, str]] = {
    "a server that ignores conditions": (
        lambda w: w.gate(drop=aws_gates.CONDITIONS), "conditional-writes", "ignores If-None-Match and If-Match",
    ),
    "a rule that deletes results": (versions, "lifecycle", "(tidy) deletes them after 30 days"),
    "a key that nodes may not use": (a_key, "encryption", "kms:GenerateDataKey"),
    "a public bucket": (public, "public", "everybody can read"),
    "a bucket in another region": (far_away, "region of s3://far", "the bucket is in eu-west-1, the nodes in us-west-2"),
    "a clock that is two minutes off": (lambda w: w.gate(seconds=-120), "s3", "s ahead; set the clock"),
    "a session that nobody renews": (lambda w: w.set("AWS_SESSION_TOKEN", "t"), "credentials", "does not tell"),
    "a quota for fewer nodes": (lambda w: w.quotas.update({STANDARD: 16}), "quota of nodes", "room for 1 of 2 nodes"),
}  # fmt: skip


@pytest.mark.parametrize("what", DOUBTS)
def test_what_somebody_will_be_sorry_for_is_a_warning(world: World, what: str) -> None:
    happens, name, words = DOUBTS[what]
    happens(world)
    (said,) = [one for one in world.found().values() if one.status in (WARNING, FAILED)]
    assert said.status == WARNING
    assert said.name.startswith(name)
    assert words in f"{said.text}; {said.fix}"


def test_a_failed_finding_without_a_fix_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="without a fix"):
        Finding("output", FAILED, "broken")


def test_a_launch_elsewhere_is_refused_with_every_fix(world: World) -> None:
    world.change(output="s3://no-such-bucket-at-all/x", image=f"{world.registry}/lab/tool:2")
    with pytest.raises(BadInput) as refused:
        doctor.before_launch(world.case, lambda line: None)
    assert "no such bucket; check the name" in str(refused.value)
    assert "no such image; push it" in str(refused.value)


def test_a_launch_is_refused_as_the_infrastructures_fault_when_it_is(world: World) -> None:
    world.gate(seconds=1800)
    with pytest.raises(InfrastructureError, match="signatures are refused; set the clock"):
        doctor.before_launch(world.case, lambda line: None)


def test_a_launch_on_this_machine_is_warned_of_a_server_that_ignores_conditions(world: World) -> None:
    world.gate(drop=aws_gates.CONDITIONS)
    world.change(backend=backend.load("local"))
    said: list[str] = []
    doctor.before_launch(world.case, said.append)
    assert len(said) == 1
    assert said[0].startswith(f"warning: s3://{world.bucket}/out: the server ignores")


def test_the_command_prints_json_and_its_exit_code_tells(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["doctor", "--json", "--backend", str(world.profile), "--pipeline", "recon-all", "--image",
             world.case.image, "--output", str(world.case.output), "--work-dir", str(world.case.work_dir)]  # fmt: skip
    assert main([*words, "--fs-license-file", str(world.case.licence)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["backend"], document["pipeline"]) == ("cloud", "recon-all")
    assert {"check": "image", "status": "ok"}.items() <= {k: v for one in document["checks"] if one["check"] == "image" for k, v in one.items()}.items()  # fmt: skip
    assert main([*words, "--memory-mib", "900000", "--fs-license-file", str(world.case.licence)]) == 1
    failed = [one for one in json.loads(capsys.readouterr().out)["checks"] if one["status"] == "failed"]
    assert [one["check"] for one in failed] == ["node"]
    assert all(one["fix"] for one in failed)


def test_a_licence_is_never_shown(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--pipeline", "recon-all", "--fs-license-file", str(world.case.licence), "--json"])
    assert "Ckey" not in capsys.readouterr().out


@pytest.mark.parametrize("name", backend.names())
def test_every_profile_that_we_bring_can_be_examined(world: World, name: str) -> None:
    world.set("KUBECONFIG", str(world.folder / "absent"))
    raw = cwlfile.load(assets.path(backend.FOLDER) / f"{name}.yml")
    given = {"image": world.case.image, "region": clouds.REGION}  # the appliance, in the registry
    required = [key for key, value in (raw.get("settings") or {}).items() if value.get("required")]
    world.change(backend=backend.load(name, [f"{key}=x" for key in required if key not in given], given))  # fmt: skip
    found = world.found()
    assert found["programs"].status == "ok"
    assert all(one.fix for one in found.values() if one.status in (FAILED, WARNING))
