"""A cluster on AWS Batch: made, looked at, changed and deleted against an emulator, every resource read back by its own API."""

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from neurocwl import backend, clusters
from neurocwl.aws import batchstack, create
from neurocwl.aws.toilcluster import Spec
from neurocwl.errors import BadInput, Conflict
from neurocwl.s3 import Access
from tests import clouds
from tests.unit import policies

NAME, STACK = "lab", "lab-neurocwl-batch"
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/neurocwl:0.1.0-c0ffee"
RUN = "0123456789abcdef-20261121-101112-001"
Roles = dict[str, list[dict[str, Any]]]
OUTPUT = "arn:aws:s3:::lab-derivatives/fmriprep"


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Account:
    """An AWS account of its own, and the command line in it."""

    url: str
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        return {**clouds.variables(self.url), "HOME": str(self.folder)}

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=clouds.REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def run(self, *words: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "neurocwl", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.variables},
            timeout=120,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def cluster(self, verb: str, *words: str, name: str = NAME) -> Said:
        return self.run("cluster", verb, name, "--backend", "aws-batch", *words)

    def create(self, *words: str) -> Said:
        return self.cluster("create", *words)

    def there(self, logical: str) -> str:
        """The id of a resource of the stack."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId=logical
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def outputs(self) -> dict[str, str]:
        (found,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account with nothing in it."""
    home = tmp_path_factory.mktemp("home")
    with clouds.cloudformation_server() as url:
        yield Account(url, home)


@pytest.fixture(scope="module")
def first(empty: Account) -> Said:
    """The command that makes the cluster."""
    return empty.create(
        *("--yes", "--read", "s3://lab-bids/ds1", "--write", "s3://lab-derivatives/fmriprep"),
        *(
            "--set",
            f"ApplianceImage={IMAGE}",
            "DiskGib=320",
            "SpotInstanceTypes=r5a.large,r5.large",
            "LogDays=30",
        ),
        *("PrepullImages=nipreps/fmriprep:25.2.7,neurodata/m2g:v0.3.0", "NotificationEmail=lab@example.org"),
    )


@pytest.fixture(scope="module")
def made(empty: Account, first: Said) -> Account:
    assert first.code == 0, first.err
    return empty


def test_what_will_be_made_is_shown_before_it_is_made(first: Said) -> None:
    assert re.search(r"^  added +DataBucket +AWS::S3::Bucket$", first.out, re.MULTILINE)
    assert first.out.index("SpotQueue") < first.out.index("create complete")


def test_the_command_says_how_to_launch_there(first: Said) -> None:
    assert "neurocwl launch dataset ... --backend aws-batch --cluster lab" in first.out


def test_the_default_network_is_found(made: Account) -> None:
    ec2 = made.client("ec2")
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    (group,) = ec2.describe_security_groups(GroupIds=[made.there("NodeGroup")])["SecurityGroups"]
    assert group["VpcId"] == vpc["VpcId"]


def test_nothing_comes_in_to_nodes(made: Account) -> None:
    (group,) = made.client("ec2").describe_security_groups(GroupIds=[made.there("NodeGroup")])[
        "SecurityGroups"
    ]
    assert group["IpPermissions"] == []


def node_template(account: Account, version: str = "$Latest") -> Any:
    (found,) = account.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=account.there("NodeTemplate"), Versions=[version]
    )["LaunchTemplateVersions"]
    return found["LaunchTemplateData"]


def test_nodes_have_the_disk_that_was_asked_for_encrypted(made: Account) -> None:
    (disk,) = node_template(made, "1")["BlockDeviceMappings"]
    assert disk["DeviceName"] == "/dev/xvda"
    assert disk["Ebs"] == {
        "VolumeType": "gp3",
        "VolumeSize": 320,
        "Encrypted": True,
        "DeleteOnTermination": True,
    }


def test_nodes_give_metadata_for_a_token_alone_and_to_workers_as_well(made: Account) -> None:
    options = node_template(made)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)


def test_the_bucket_is_encrypted_and_tagged(made: Account) -> None:
    store, name = made.client("s3"), made.outputs()["DataBucket"]
    rules = store.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules] == ["AES256"]
    tags = store.get_bucket_tagging(Bucket=name)["TagSet"]
    assert {"Key": "neurocwl:cluster", "Value": NAME} in tags


@pytest.mark.parametrize("kind", ["instance", "volume"])
def test_nodes_and_their_disks_carry_the_clusters_tag(made: Account, kind: str) -> None:
    tags = {one["ResourceType"]: one["Tags"] for one in node_template(made)["TagSpecifications"]}
    assert {"Key": "neurocwl:cluster", "Value": NAME} in tags[kind]


@pytest.fixture(scope="module")
def start_script(made: Account) -> str:
    """What a node runs when it starts."""
    whole = base64.b64decode(node_template(made)["UserData"]).decode()
    return whole.partition("\n\n")[2].partition("\n\n")[2].partition("--neurocwl--")[0]


def test_a_nodes_start_script_is_a_shell_script(start_script: str) -> None:
    assert start_script.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n"], input=start_script, text=True, check=True)


def test_a_node_fetches_images_and_keeps_them(start_script: str) -> None:
    """The script itself, with a docker that writes down what it is told."""
    words = start_script.replace("/etc/ecs", "etc").replace("/var/lib", "lib")
    script = (
        f"set -e; cd $(mktemp -d); mkdir etc; docker() {{ echo docker $*; }}\n{words}\ncat etc/ecs.config"
    )
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "docker pull --quiet nipreps/fmriprep:25.2.7",
        "docker pull --quiet neurodata/m2g:v0.3.0",
        "ECS_IMAGE_PULL_BEHAVIOR=prefer-cached",
        "ECS_ENABLE_SPOT_INSTANCE_DRAINING=false",
        "ECS_CONTAINER_STOP_TIMEOUT=100s",
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=10m",
    ]


def nodes(account: Account, logical: str) -> Any:
    (found,) = account.client("batch").describe_compute_environments(
        computeEnvironments=[account.there(logical)]
    )["computeEnvironments"]
    return found


def test_spot_nodes_are_of_the_types_that_were_asked_for_and_go_to_none(made: Account) -> None:
    found = nodes(made, "SpotNodes")["computeResources"]
    assert (found["type"], found["allocationStrategy"]) == ("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED")
    assert found["instanceTypes"] == ["r5a.large", "r5.large"]
    assert (found["minvCpus"], found["maxvCpus"]) == (0, 256)
    assert found["launchTemplate"]["launchTemplateId"] == made.there("NodeTemplate")
    assert found["tags"] == {"neurocwl:cluster": NAME}


def test_nodes_on_demand_are_beside_them(made: Account) -> None:
    found = nodes(made, "OnDemandNodes")["computeResources"]
    assert (found["type"], found["allocationStrategy"]) == ("EC2", "BEST_FIT_PROGRESSIVE")


def test_leaders_run_without_nodes(made: Account) -> None:
    assert nodes(made, "LeaderNodes")["computeResources"]["type"] == "FARGATE"


@pytest.mark.parametrize(
    ("queue", "environment"),
    [("SpotQueue", "SpotNodes"), ("OnDemandQueue", "OnDemandNodes"), ("LeaderQueue", "LeaderNodes")],
)
def test_each_queue_has_nodes_of_its_own(made: Account, queue: str, environment: str) -> None:
    (found,) = made.client("batch").describe_job_queues(jobQueues=[made.there(queue)])["jobQueues"]
    assert (found["state"], found["status"]) == ("ENABLED", "VALID")
    assert [one["computeEnvironment"] for one in found["computeEnvironmentOrder"]] == [
        made.there(environment)
    ]


def leader(account: Account) -> Any:
    (found,) = account.client("batch").describe_job_definitions(
        jobDefinitions=[account.outputs()["LeaderDefinition"]]
    )["jobDefinitions"]
    return found["containerProperties"]


def test_a_leader_runs_in_the_appliance_by_its_own_role(made: Account) -> None:
    found = leader(made)
    roles = {one["RoleName"]: one["Arn"] for one in made.client("iam").list_roles()["Roles"]}
    assert found["image"] == made.outputs()["Image"] == IMAGE
    assert found["jobRoleArn"] == roles[made.there("LeaderRole")]


def test_a_leader_has_toil_tag_what_it_makes(made: Account) -> None:
    variables = {one["name"]: one["value"] for one in leader(made)["environment"]}
    assert variables["TOIL_OWNER_TAG"] == NAME
    assert json.loads(variables["TOIL_AWS_TAGS"]) == {"neurocwl:cluster": NAME}


def test_no_secret_is_in_a_leaders_definition(made: Account) -> None:
    assert not re.search(r"(?i)secret|password|AWS_ACCESS|licen", json.dumps(leader(made)["environment"]))


def test_leaders_logs_are_kept_as_long_as_was_asked_for(made: Account) -> None:
    groups = made.client("logs").describe_log_groups(logGroupNamePrefix="/neurocwl/lab/")["logGroups"]
    assert {one["logGroupName"]: one["retentionInDays"] for one in groups} == {
        "/neurocwl/lab/leaders": 30,
        "/neurocwl/lab/sweeper": 30,
    }


def test_the_topic_tells_of_leaders_that_failed(made: Account) -> None:
    events = made.client("events")
    rule = made.there("LeaderFailed")
    pattern = json.loads(events.describe_rule(Name=rule)["EventPattern"])
    assert pattern["detail"] == {"jobQueue": [made.there("LeaderQueue")], "status": ["FAILED"]}
    assert [one["Arn"] for one in events.list_targets_by_rule(Rule=rule)["Targets"]] == [
        made.outputs()["Topic"]
    ]


# ---- roles ----


@pytest.fixture(scope="module")
def given(made: Account) -> Roles:
    """What the roles of leaders and workers hold, read back."""
    iam = made.client("iam")
    return {name: policies.of_role(iam, made.there(name)) for name in ("LeaderRole", "JobRole")}


@pytest.fixture(scope="module")
def outputs(made: Account) -> dict[str, str]:
    return made.outputs()


def test_the_policy_stand_in_knows_stars_marks_and_conditions() -> None:
    one = [{"Action": "s3:Get*", "Resource": "a?c", "Condition": {"StringEquals": {"k": "v"}}}]
    assert policies.allows(one, "s3:GetObject", "abc", {"k": "v"})
    assert not policies.allows(one, "s3:GetObject", "abc", {"k": "w"})
    assert not policies.allows(one, "s3:GetObject", "abbc", {"k": "v"})
    assert not policies.allows(one, "s3:PutObject", "abc", {"k": "v"})


JOB_STORE = f"arn:aws:s3:::neurocwl-{RUN}"
BATCH = f"arn:aws:batch:{clouds.REGION}:123456789012"
DEFINITION = f"{BATCH}:job-definition/toil-1f0c4b1e"
OURS = {"aws:ResourceTag/Owner": NAME}

# What each call of Toil's takes. The leader makes them all; a worker those of STORE alone.
BATCH_CALLS: Mapping[str, list[tuple[str, str, dict[str, str]]]] = {
    "submit_job": [
        ("batch:SubmitJob", "{Queue}", {}),
        ("batch:SubmitJob", "{SpotQueue}", {}),
        ("batch:SubmitJob", DEFINITION, {}),
        ("batch:TagResource", f"{BATCH}:job/6a7b", {}),
    ],
    "register_job_definition": [
        ("batch:RegisterJobDefinition", DEFINITION, {}),
        ("batch:TagResource", DEFINITION, {}),
        ("iam:PassRole", "{JobRole}", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}),
    ],
    "deregister_job_definition": [("batch:DeregisterJobDefinition", f"{DEFINITION}:1", {})],
    "terminate_job": [("batch:TerminateJob", f"{BATCH}:job/6a7b", OURS)],
    "describe_jobs": [("batch:DescribeJobs", "*", {})],
}
STORE: Mapping[str, list[tuple[str, str]]] = {
    "head_bucket": [("s3:ListBucket", JOB_STORE)],
    "head_object": [("s3:GetObject", f"{JOB_STORE}/config.pickle")],
    "get_object": [("s3:GetObject", f"{JOB_STORE}/files-flat/1")],
    "generate_presigned_url": [("s3:GetObject", f"{JOB_STORE}/files-flat/1")],
    "list_objects_v2": [("s3:ListBucket", JOB_STORE)],
    "get_bucket_location": [("s3:GetBucketLocation", JOB_STORE)],
    "put_object": [("s3:PutObject", f"{JOB_STORE}/jobs/1")],
    "upload_file": [("s3:PutObject", f"{JOB_STORE}/files-flat/1")],
    "upload_fileobj": [("s3:PutObject", f"{JOB_STORE}/files-flat/1")],
    "download_file": [("s3:GetObject", f"{JOB_STORE}/files-flat/1")],
    "copy": [("s3:GetObject", f"{JOB_STORE}/files-flat/1"), ("s3:PutObject", f"{JOB_STORE}/files-flat/2")],
    "create_multipart_upload": [("s3:PutObject", f"{JOB_STORE}/files-flat/1")],
    "upload_part": [("s3:PutObject", f"{JOB_STORE}/files-flat/1")],
    "complete_multipart_upload": [("s3:PutObject", f"{JOB_STORE}/files-flat/1")],
    "abort_multipart_upload": [("s3:AbortMultipartUpload", f"{JOB_STORE}/files-flat/1")],
    "delete_object": [("s3:DeleteObject", f"{JOB_STORE}/jobs/1")],
}
# What making and removing a bucket takes: create_s3_bucket (with public objects and encryption allowed) and delete_s3_bucket.
BUCKET: Mapping[str, list[tuple[str, str]]] = {
    "create_bucket": [("s3:CreateBucket", JOB_STORE), ("s3:PutBucketTagging", JOB_STORE)],
    "delete_public_access_block": [("s3:PutBucketPublicAccessBlock", JOB_STORE)],
    "delete_bucket_ownership_controls": [("s3:PutBucketOwnershipControls", JOB_STORE)],
    "put_bucket_encryption": [("s3:PutEncryptionConfiguration", JOB_STORE)],
    "list_multipart_uploads": [("s3:ListBucketMultipartUploads", JOB_STORE)],
    "list_object_versions": [("s3:ListBucketVersions", JOB_STORE)],
    "delete": [
        ("s3:DeleteBucket", JOB_STORE),
        ("s3:DeleteObject", f"{JOB_STORE}/jobs/1"),
        ("s3:DeleteObjectVersion", f"{JOB_STORE}/jobs/1"),
    ],
}


def calls(module: str, client: str) -> set[str]:
    """The calls of a boto3 client that a module of Toil makes, by its source."""
    spec = importlib.util.find_spec("toil")
    assert spec
    assert spec.origin
    text = (Path(spec.origin).parent / module).read_text()
    found = set(re.findall(rf"{client}\.([a-z_0-9]+)\(", text))
    return found - {"get_paginator"} | set(re.findall(rf'{client}\.get_paginator\("(\w+)"\)', text))


def test_toils_batch_system_makes_the_calls_that_the_role_was_written_for() -> None:
    assert calls("batchSystems/awsBatch.py", r"self\.client") == set(BATCH_CALLS)


def test_toils_job_store_makes_the_calls_that_the_roles_were_written_for() -> None:
    made = calls("jobStores/aws/jobStore.py", r"s3_client") | calls("lib/aws/s3.py", r"(?:s3_client|client)")
    made |= calls("lib/aws/s3.py", "s3_resource") - {"Bucket", "BucketTagging", "ObjectSummary", "Object"}
    made |= {name for name in calls("lib/aws/utils.py", "s3_client") if name.startswith(("put", "delete"))}
    assert made <= {*STORE, *BUCKET}


@pytest.mark.parametrize("call", BATCH_CALLS)
def test_a_leader_may_make_toils_calls_of_batch(given: Roles, outputs: dict[str, str], call: str) -> None:
    lacking = [
        (action, on)
        for action, resource, context in BATCH_CALLS[call]
        if not policies.allows(given["LeaderRole"], action, on := resource.format(**outputs), context)
    ]
    assert lacking == []


def test_a_leader_may_ask_for_its_cluster_and_the_cost_of_its_nodes(given: Roles) -> None:
    # A stack that is asked for by its name is .../NAME/* to IAM, whatever its id is.
    own = f"arn:aws:cloudformation:{clouds.REGION}:123456789012:stack/{NAME}-neurocwl-batch/*"
    assert policies.allows(given["LeaderRole"], "cloudformation:DescribeStacks", own)
    assert not policies.allows(
        given["LeaderRole"], "cloudformation:DescribeStacks", own.replace(NAME, "other")
    )
    assert policies.allows(given["LeaderRole"], "ec2:DescribeInstances", "*")


@pytest.mark.parametrize("call", [*STORE, *BUCKET])
def test_a_leader_may_make_keep_and_remove_job_stores(given: Roles, call: str) -> None:
    wanted = {**STORE, **BUCKET}[call]
    assert [one for one in wanted if not policies.allows(given["LeaderRole"], *one)] == []


@pytest.mark.parametrize("call", STORE)
def test_a_worker_may_keep_a_job_store(given: Roles, call: str) -> None:
    assert [one for one in STORE[call] if not policies.allows(given["JobRole"], *one)] == []


@pytest.mark.parametrize("who", ["JobRole", "LeaderRole"])
def test_data_are_read_and_written_where_it_was_said(given: Roles, outputs: dict[str, str], who: str) -> None:
    data = f"arn:aws:s3:::{outputs['DataBucket']}"
    for action, resource in (
        ("s3:GetObject", "arn:aws:s3:::lab-bids/ds1/sub-01/anat/sub-01_T1w.nii.gz"),
        ("s3:ListBucket", "arn:aws:s3:::lab-bids"),
        ("s3:PutObject", f"{OUTPUT}/sub-01.html"),
        ("s3:DeleteObject", f"{OUTPUT}/sub-01.html"),
        ("s3:GetObject", f"{data}/inbox/ds/participants.tsv"),
        ("s3:PutObject", f"{data}/results/ds/sub-01.html"),
        ("s3:ListBucket", data),
    ):
        assert policies.allows(given[who], action, resource), (action, resource)


FORBIDDEN = [
    ("s3:PutObject", "arn:aws:s3:::lab-bids/ds1/sub-01/anat/sub-01_T1w.nii.gz", {}),
    ("s3:GetObject", "arn:aws:s3:::lab-bids/ds2/participants.tsv", {}),
    ("s3:GetObject", "arn:aws:s3:::lab-derivatives/other/sub-01.html", {}),
    ("s3:ListBucket", "arn:aws:s3:::somebody-elses", {}),
    ("s3:GetObject", "arn:aws:s3:::somebody-elses/key", {}),
    ("s3:DeleteBucket", "arn:aws:s3:::lab-derivatives", {}),
    ("s3:DeleteBucket", "arn:aws:s3:::{DataBucket}", {}),
    ("s3:DeleteBucket", "arn:aws:s3:::neurocwl-results", {}),
    ("s3:PutBucketPolicy", JOB_STORE, {}),
    ("s3:PutBucketAcl", JOB_STORE, {}),
    ("s3:PutObjectAcl", f"{JOB_STORE}/jobs/1", {}),
    ("s3:PutBucketPublicAccessBlock", "arn:aws:s3:::{DataBucket}", {}),
    ("batch:SubmitJob", "{LeaderQueue}", {}),
    ("batch:SubmitJob", "{LeaderDefinition}", {}),
    ("batch:TerminateJob", f"{BATCH}:job/6a7b", {}),
    ("batch:TerminateJob", f"{BATCH}:job/6a7b", {"aws:ResourceTag/Owner": "somebody"}),
    ("batch:RegisterJobDefinition", f"{BATCH}:job-definition/mine", {}),
    ("batch:DeregisterJobDefinition", "{LeaderDefinition}", {}),
    ("batch:DeleteJobQueue", "{Queue}", {}),
    ("iam:PassRole", "{JobRole}", {"iam:PassedToService": "ec2.amazonaws.com"}),
    (
        "iam:PassRole",
        "arn:aws:iam::123456789012:role/admin",
        {"iam:PassedToService": "ecs-tasks.amazonaws.com"},
    ),
    ("iam:CreateRole", "*", {}),
    ("ec2:RunInstances", "*", {}),
    ("sts:AssumeRole", "*", {}),
]


@pytest.mark.parametrize("who", ["JobRole", "LeaderRole"])
@pytest.mark.parametrize(("action", "resource", "context"), FORBIDDEN, ids=lambda one: str(one)[-40:])
def test_nobody_may_do_more(
    given: Roles, outputs: dict[str, str], who: str, action: str, resource: str, context: dict[str, str]
) -> None:
    assert not policies.allows(given[who], action, resource.format(**outputs), context)


@pytest.mark.parametrize(("action", "resource"), BUCKET["delete"])
def test_a_worker_removes_no_bucket(given: Roles, action: str, resource: str) -> None:
    allowed = policies.allows(given["JobRole"], action, resource)
    assert allowed == (action == "s3:DeleteObject")


def test_what_a_launch_is_told_comes_from_the_stack(made: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    told = batchstack.settings_of(NAME, Access())
    assert (told["cluster"], told["region"]) == (NAME, clouds.REGION)
    assert told["queue"] == made.there("OnDemandQueue")
    assert told["spot_queue"] == made.there("SpotQueue")
    assert told["image"] == IMAGE
    assert told["job_role"].endswith(f":role/{made.there('JobRole')}")
    where = clusters.with_node(backend.load("aws-batch", (), told))
    notice = "--setEnv=NEUROCWL_METADATA=http://169.254.169.254"
    assert notice in where.toil_options(backend.SPOT)
    assert notice not in where.toil_options(backend.ON_DEMAND)
    assert f"--awsBatchQueue={made.there('OnDemandQueue')}" in where.toil_options(backend.ON_DEMAND)
    assert f"--awsBatchQueue={made.there('SpotQueue')}" in where.toil_options(backend.SPOT)
    given_ = {one["name"]: one["value"] for one in leader(made)["environment"]}
    tags = {name: value for name, value in where.variables().items() if name.startswith("TOIL_")}
    assert tags == {name: value for name, value in given_.items() if name.startswith("TOIL_")}
    assert where.node == backend.Node(cpus=16, memory_mib=int(0.95 * 65536), disk_mib=320 * 1024)
    with pytest.raises(BadInput, match="has no such cluster on AWS Batch; neurocwl cluster create other"):
        batchstack.settings_of("other", Access())


# ---- job stores that nobody removed ----


def bucket(account: Account, name: str, tags: dict[str, str], keys: tuple[str, ...] = ()) -> str:
    store = account.client("s3")
    store.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": clouds.REGION})
    if tags:
        store.put_bucket_tagging(
            Bucket=name, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]}
        )
    for key in keys:
        store.put_object(Bucket=name, Key=key, Body=b"x")
    return name


def names(account: Account) -> set[str]:
    return {one["Name"] for one in account.client("s3").list_buckets()["Buckets"]}


def sweep(account: Account, folder: Path, days: int) -> Any:
    """The stack's own function, as the code that it is, with its variables."""
    function = account.client("lambda").get_function(FunctionName=account.there("Sweeper"))
    given = function["Configuration"]["Environment"]["Variables"]
    assert (given["CLUSTER"], str(given["DAYS"])) == (NAME, "30")
    (folder / "index.py").write_text(code("batch", "Sweeper"))
    script = "import index, json; print(json.dumps(index.handler({}, None)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **account.variables, **given, "DAYS": str(days)},
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def code(template: str, function: str) -> str:
    from ruamel.yaml import YAML

    document = YAML().load(batchstack.template(template))
    return str(document["Resources"][function]["Properties"]["Code"]["ZipFile"])


def test_forgotten_job_stores_get_a_lifecycle_and_go_when_they_are_empty(
    made: Account, tmp_path: Path
) -> None:
    ours = {"neurocwl:cluster": NAME}
    full = bucket(made, "neurocwl-00000000000000aa-run-001", ours, ("jobs/1",))
    bare = bucket(made, "neurocwl-00000000000000ab-run-001", ours)
    others = {
        bucket(made, "neurocwl-00000000000000ac-run-001", {"neurocwl:cluster": "other"}),
        bucket(made, "neurocwl-00000000000000ad-run-001", {}),
        bucket(made, "neurocwl-results", ours),
    }
    assert sweep(made, tmp_path, days=30)["bounded"] == [full, bare]  # none of them is that old
    assert sweep(made, tmp_path, days=0)["removed"] == [bare]
    rules = made.client("s3").get_bucket_lifecycle_configuration(Bucket=full)["Rules"]
    assert [rule["Expiration"]["Days"] for rule in rules] == [0]
    assert names(made) >= {full, *others}


# ---- changes ----


def test_the_same_settings_again_change_nothing(made: Account) -> None:
    said = made.create("--yes")
    assert (said.code, "lab-neurocwl-batch: nothing changes" in said.out) == (0, True)


def test_a_dry_run_shows_what_would_change_and_leaves_it(made: Account) -> None:
    said = made.create("--dry-run", "--set", "DiskGib=500")
    assert re.search(r"^  changed +NodeTemplate ", said.out, re.MULTILINE)
    assert node_template(made)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 320


def test_nothing_is_done_where_nobody_can_be_asked(made: Account) -> None:
    said = made.create("--set", "DiskGib=500")
    assert (said.code, "give --yes" in said.err) == (2, True)
    assert made.client("cloudformation").list_change_sets(StackName=STACK)["Summaries"][-1]["Status"]
    assert node_template(made)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 320


def test_a_new_cluster_needs_an_image(made: Account) -> None:
    said = made.cluster("create", "--yes", name="other")
    assert (said.code, "needs --image REGISTRY/IMAGE:TAG" in said.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("--zone", "us-west-2a"),
        ("--node-types", "r5.large,r5.large:spot"),
        ("--ssh-from", "10.0.0.0/8"),
        ("--tag", "project=memory"),
    ],
)
def test_an_option_of_other_clusters_is_refused(made: Account, words: tuple[str, ...]) -> None:
    said = made.create("--yes", *words)
    assert (said.code, "not for --backend aws-batch; use --set" in said.err) == (2, True)


def test_a_parameter_that_does_not_exist_is_refused(made: Account) -> None:
    said = made.create("--yes", "--set", "DiskGB=500")
    assert (said.code, "no parameter is called 'DiskGB'; there are ApplianceImage" in said.err) == (2, True)


def test_a_changed_setting_reaches_the_resource_and_the_others_stay(made: Account) -> None:
    said = made.create("--yes", "--set", "DiskGib=640")
    assert (said.code, "update complete" in said.out) == (0, True)
    assert node_template(made)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 640
    (found,) = made.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    kept = {one["ParameterKey"]: one["ParameterValue"] for one in found["Parameters"]}
    assert (kept["LogDays"], kept["NotificationEmail"]) == ("30", "lab@example.org")


def test_the_state_of_a_cluster_is_shown(made: Account) -> None:
    said = made.cluster("status")
    assert said.code == 0
    assert "on demand: no jobs; at most 128 vCPUs" in said.out


def test_a_cluster_that_does_not_exist_has_no_state(made: Account) -> None:
    said = made.cluster("status", "--json", name="other")
    assert (said.code, "has no such cluster on AWS Batch" in said.err) == (2, True)


# ---- the trigger ----


@pytest.fixture(scope="module")
def triggered(made: Account) -> Said:
    """The command that adds a trigger to the cluster."""
    return made.create(
        "--yes", "--trigger", "nifti-check", "fmriprep", "--set", "LicenceUrl=s3://lab-bids/ds1/licence.txt"
    )


def test_a_trigger_is_a_stack_of_its_own_and_where_to_upload_is_said(triggered: Said, made: Account) -> None:
    assert triggered.code == 0, triggered.err
    inbox = f"s3://{made.outputs()['DataBucket']}/inbox/"
    assert f"upload a dataset to {inbox}NAME/, then NAME.neurocwl.json to {inbox}" in triggered.out
    stacks = made.client("cloudformation").describe_stacks()["Stacks"]
    assert {one["StackName"] for one in stacks} == {STACK, "lab-neurocwl-trigger"}


def test_the_triggers_function_knows_queue_pipelines_and_licence(triggered: Said, made: Account) -> None:
    (found,) = [
        one
        for one in made.client("lambda").list_functions()["Functions"]
        if one["FunctionName"].startswith("lab-neurocwl-trigger-Starter")
    ]
    given_ = found["Environment"]["Variables"]
    assert given_["QUEUE"] == made.there("LeaderQueue")
    assert given_["DEFINITION"] == made.outputs()["LeaderDefinition"]
    assert (given_["PIPELINES"], given_["LICENCE"]) == (
        "nifti-check,fmriprep",
        "s3://lab-bids/ds1/licence.txt",
    )


INBOX = "arn:aws:s3:::{DataBucket}/inbox"


@pytest.mark.parametrize(
    ("action", "resource", "may"),
    [
        ("s3:GetObject", f"{INBOX}/ds1.neurocwl.json", True),
        ("s3:PutObject", f"{INBOX}/ds1.neurocwl.answer", True),
        ("batch:SubmitJob", "{LeaderQueue}", True),
        ("batch:SubmitJob", "{LeaderDefinition}", True),
        ("s3:PutObject", f"{INBOX}/ds1.neurocwl.json", False),
        ("s3:GetObject", f"{INBOX}/ds1/participants.tsv", False),
        ("s3:GetObject", "arn:aws:s3:::{DataBucket}/results/x.neurocwl.json", False),
        ("s3:PutObject", "arn:aws:s3:::lab-derivatives/fmriprep/x", False),
        ("batch:SubmitJob", "{Queue}", False),
        ("batch:SubmitJob", DEFINITION, False),
        ("batch:RegisterJobDefinition", DEFINITION, False),
        ("iam:PassRole", "{JobRole}", False),
    ],
)
def test_the_triggers_function_may_read_markers_answer_and_start_leaders(
    triggered: Said, made: Account, outputs: dict[str, str], action: str, resource: str, may: bool
) -> None:
    iam = made.client("iam")
    (name,) = [one["RoleName"] for one in iam.list_roles()["Roles"] if "StarterRole" in one["RoleName"]]
    assert policies.allows(policies.of_role(iam, name), action, resource.format(**outputs)) == may


@pytest.mark.parametrize(
    ("action", "resource", "may"),
    [
        ("s3:DeleteBucket", JOB_STORE, True),
        ("s3:PutLifecycleConfiguration", JOB_STORE, True),
        ("s3:GetBucketTagging", JOB_STORE, True),
        ("s3:DeleteObject", f"{JOB_STORE}/jobs/1", False),
        ("s3:GetObject", f"{JOB_STORE}/jobs/1", False),
        ("s3:DeleteBucket", "arn:aws:s3:::{DataBucket}", False),
        ("s3:PutLifecycleConfiguration", "arn:aws:s3:::{DataBucket}", False),
    ],
)
def test_the_sweeper_bounds_and_removes_job_stores_and_reads_nothing(
    made: Account, outputs: dict[str, str], action: str, resource: str, may: bool
) -> None:
    found = policies.of_role(made.client("iam"), made.there("SweeperRole"))
    assert policies.allows(found, action, resource.format(**outputs)) == may


# ---- the end ----


@pytest.fixture(scope="module")
def ended(made: Account, triggered: Said) -> Said:
    """The command that deletes the cluster, with data and job stores there. Everything above needs the cluster."""
    data = made.outputs()["DataBucket"]
    made.client("s3").put_object(Bucket=data, Key="results/sub-01.html", Body=b"x")
    return made.cluster("destroy", "--yes")


def test_what_is_deleted_is_shown_first(ended: Said) -> None:
    assert ended.code == 0, ended.err
    assert ended.out.index("SpotNodes  AWS::Batch::ComputeEnvironment") < ended.out.index("lab is gone")


def test_the_stack_and_its_resources_are_gone(ended: Said, made: Account) -> None:
    assert made.client("cloudformation").describe_stacks()["Stacks"] == []
    assert made.client("batch").describe_job_queues()["jobQueues"] == []
    assert made.client("batch").describe_compute_environments()["computeEnvironments"] == []
    left = {one["RoleName"] for one in made.client("iam").list_roles()["Roles"]}
    assert left == {"AWSServiceRoleForBatch"}


def test_its_job_stores_are_gone_and_nobody_elses(ended: Said, made: Account) -> None:
    left = names(made)
    assert "neurocwl-00000000000000aa-run-001" not in left
    assert left >= {
        "neurocwl-00000000000000ac-run-001",
        "neurocwl-00000000000000ad-run-001",
        "neurocwl-results",
    }


def data_buckets(account: Account) -> list[str]:
    return [name for name in names(account) if name.startswith("lab-neurocwl-batch-databucket")]


def test_data_stay_until_somebody_says_otherwise(ended: Said, made: Account) -> None:
    (data,) = data_buckets(made)
    assert f"s3://{data} (DATA): stays; --delete-data deletes it, too" in ended.out
    again = made.cluster("destroy", "--yes")
    assert (again.code, "nothing else is left" in again.out, data_buckets(made)) == (0, True, [data])
    last = made.cluster("destroy", "--yes", "--delete-data")
    assert (last.code, data_buckets(made)) == (0, [])
    none = made.cluster("destroy", "--yes")
    assert (none.code, none.out) == (0, "nothing of lab is left\n")


@pytest.fixture(scope="module")
def again(ended: Said, made: Account) -> Account:
    """The cluster made again, without any place to read or write but its own bucket."""
    said = made.create("--yes", "--image", IMAGE)
    assert said.code == 0, said.err
    return made


@pytest.mark.parametrize("who", ["JobRole", "LeaderRole"])
def test_without_other_places_the_clusters_own_bucket_is_all_there_is(again: Account, who: str) -> None:
    found = policies.of_role(again.client("iam"), again.there(who))
    data = f"arn:aws:s3:::{again.outputs()['DataBucket']}"
    assert policies.allows(found, "s3:PutObject", f"{data}/results/x")
    assert policies.allows(found, "s3:ListBucket", data)
    assert not policies.allows(found, "s3:GetObject", "arn:aws:s3:::lab-bids/ds1/participants.tsv")


def test_what_stands_in_the_way_of_the_end_is_told_and_the_next_try_goes_on(again: Account) -> None:
    iam, role = again.client("iam"), again.there("JobRole")
    arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    said = again.cluster("destroy", "--yes")
    assert (said.code, "DeleteConflict" in said.err) == (3, True)
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    said = again.cluster("destroy", "--yes")
    assert (said.code, said.out.splitlines()[-1]) == (0, "lab is gone")
    assert data_buckets(again) == []  # it was empty


def test_what_was_cut_off_before_anything_was_made_is_a_new_cluster(again: Account) -> None:
    text = batchstack.template(batchstack.BATCH)
    cf = again.client("cloudformation")
    network = batchstack.network(again.client("ec2"))
    given = {"ClusterName": NAME, "ApplianceImage": IMAGE, **network}
    values = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
    cf.create_change_set(
        StackName=STACK, ChangeSetName="cut-off", ChangeSetType="CREATE", TemplateBody=text, Parameters=values
    )
    (left,) = cf.describe_stacks(StackName=STACK)["Stacks"]
    assert left["StackStatus"] == "REVIEW_IN_PROGRESS"
    said = again.create("--yes")
    assert (said.code, "a new cluster needs --image" in said.err) == (2, True)


def test_a_name_that_one_of_toils_clusters_has_is_refused(again: Account) -> None:
    ec2 = again.client("ec2")
    tags = [{"Key": "neurocwl:cluster", "Value": "other"}, {"Key": "ToilNodeType", "Value": "leader"}]
    specification = [{"ResourceType": "instance", "Tags": tags}]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.run_instances(
        ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, TagSpecifications=specification
    )
    said = again.cluster("create", "--yes", "--image", IMAGE, name="other")
    assert (said.code, "one of Toil's has this name" in said.err) == (3, True)


def test_a_cluster_of_toils_may_not_have_the_name_of_a_stack(
    empty: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in empty.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(create, "PROGRAMS", ())  # what this machine has is asked first
    tags = [{"Key": "neurocwl:cluster", "Value": "brains"}]
    text = json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}})
    empty.client("cloudformation").create_stack(StackName="brains", TemplateBody=text, Tags=tags)
    spec = Spec("brains", "aws", "kubernetes", "us-west-2a", "key", "image", "m5.large", 80, (), 200, 1)
    with pytest.raises(Conflict, match="the stack brains has this name"):
        create.check(spec, empty.client, Access())
