"""What is asked of CloudFormation, and what its answers mean, without a server."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import backend, leaders, runs, stackcommands
from neurocwl.aws import batchstack, batchstatus, stack
from neurocwl.errors import BadInput
from neurocwl.s3 import Access

NAMES = st.from_regex(batchstack.NAME, fullmatch=True)


def raw(action: str, name: str = "SpotNodes", **more: Any) -> Mapping[str, Any]:
    """A change as DescribeChangeSet answers it."""
    return {
        "Type": "Resource",
        "ResourceChange": {
            "Action": action,
            "LogicalResourceId": name,
            "ResourceType": "AWS::Batch::ComputeEnvironment",
            **more,
        },
    }


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (raw("Add"), "added"),
        (raw("Remove"), "removed"),
        (raw("Modify", Replacement="False"), "changed"),
        (raw("Modify", Replacement="Conditional"), "perhaps replaced"),
        (raw("Modify", Replacement="True"), "replaced"),
        (raw("Import"), "import"),
    ],
)
def test_what_happens_to_a_resource_is_said_in_a_word(answer: Mapping[str, Any], what: str) -> None:
    assert stack.change(answer).what == what


def test_a_change_names_its_property_and_the_parameter_behind_it() -> None:
    answer = raw(
        "Modify",
        Replacement="True",
        Details=[
            {"Target": {"Attribute": "Properties", "Name": "ComputeResources"}, "ChangeSource": "DirectModification"},
            {
                "Target": {"Attribute": "Properties", "Name": "ComputeResources"},
                "ChangeSource": "ParameterReference",
                "CausingEntity": "SubnetIds",
            },
            {"Target": {"Attribute": "Tags"}, "ChangeSource": "DirectModification"},
        ],
    )  # fmt: skip
    assert stack.change(answer).because == ("ComputeResources", "SubnetIds", "Tags")


def test_what_is_lost_stands_out() -> None:
    changes = (
        stack.Change("added", "Topic", "AWS::SNS::Topic"),
        stack.Change("replaced", "SpotQueue", "AWS::Batch::JobQueue", ("Priority",)),
        stack.Change("removed", "Budget", "AWS::Budgets::Budget"),
    )
    assert stackcommands.shown(stack.ChangeSet("lab", "arn", False, changes)) == [
        "  added            Topic      AWS::SNS::Topic",
        "  REPLACED         SpotQueue  AWS::Batch::JobQueue (Priority)",
        "  REMOVED          Budget     AWS::Budgets::Budget",
    ]


def event(name: str, status: str, reason: str = "", kind: str = "AWS::IAM::Role") -> dict[str, str]:
    return {
        "LogicalResourceId": name,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_the_reason_is_that_of_the_first_resource_that_failed_by_itself() -> None:
    happened = [
        event("Topic", "CREATE_IN_PROGRESS"),
        event("Topic", "CREATE_FAILED", "Resource creation cancelled"),
        event("JobRole", "CREATE_FAILED", "no permission"),
        event("Nodes", "CREATE_FAILED", "later"),
        event("lab", "ROLLBACK_FAILED", "it all failed", "AWS::CloudFormation::Stack"),
    ]
    assert stack.reason(happened) == "JobRole (AWS::IAM::Role): no permission"


def test_a_stack_that_fails_by_itself_says_so() -> None:
    happened = [event("lab", "UPDATE_FAILED", "role is not assumable", "AWS::CloudFormation::Stack")]
    assert stack.reason(happened) == "lab (AWS::CloudFormation::Stack): role is not assumable"
    assert stack.reason([]) == "CloudFormation gives no reason"


@given(NAMES)
def test_no_bucket_of_a_stack_looks_like_a_job_store(name: str) -> None:
    """The roles may delete those."""
    for part in (batchstack.BATCH, batchstack.TRIGGER):
        assert not batchstack.stack_name(name, part).startswith("neurocwl")


@pytest.mark.parametrize("name", ["neurocwl", "neurocwl-lab", "Lab", "1lab", "a" * 29, "lab_1", "", "lab\n"])
def test_a_name_that_aws_or_the_roles_do_not_take_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="a cluster on AWS Batch is called by"):
        batchstack.stack_name(name, batchstack.BATCH)


def test_what_may_be_read_and_written_becomes_arns() -> None:
    assert batchstack.data_access(["s3://bids/ds1", "s3://open"], ["s3://out/a/b/"], "aws-cn") == {
        "ReadObjects": "arn:aws-cn:s3:::bids/ds1/*,arn:aws-cn:s3:::open/*",
        "WriteObjects": "arn:aws-cn:s3:::out/a/b/*",
        "ListBuckets": "arn:aws-cn:s3:::bids,arn:aws-cn:s3:::open,arn:aws-cn:s3:::out",
    }


def test_without_places_what_may_be_read_stays_as_it_was() -> None:
    assert batchstack.data_access([], []) == {}


def test_a_place_that_is_no_bucket_is_refused() -> None:
    with pytest.raises(BadInput, match="is not an S3 URL"):
        batchstack.data_access(["/data/ds1"], [])


def test_parameters_of_both_templates_may_be_set() -> None:
    words = ["DiskGib=400", "Inbox=in", "SpotInstanceTypes=r5.large,r5a.large"]
    assert batchstack.given(words) == {
        "DiskGib": "400",
        "Inbox": "in",
        "SpotInstanceTypes": "r5.large,r5a.large",
    }


@pytest.mark.parametrize("word", ["DiskGib", "Disk=1", "ClusterName=other", "=1"])
def test_what_no_template_knows_is_refused(word: str) -> None:
    with pytest.raises(BadInput, match=f"--set {word}"):
        batchstack.given([word])


def option(name: str, on_demand: float | None, spot: float | None, volume: int) -> dict[str, Any]:
    return {"node_type": name, "on_demand": on_demand, "spot": spot, "volume_gib": volume}


def plan(folder: Path, *options: Mapping[str, Any]) -> Path:
    file = folder / "plan.json"
    file.write_text(json.dumps({"prices": {"market": "spot", "node_types": options}}))
    return file


def test_node_types_and_disk_come_from_the_plan(tmp_path: Path) -> None:
    file = plan(
        tmp_path,
        option("r5a.large", 10.0, 3.5, 60),
        option("r5.large", 12.0, 3.4, 60),
        option("m5.4xlarge", 14.0, 4.0, 410),
        option("x1.32xlarge", 90.0, 30.0, 1800),
    )
    assert batchstack.from_plan(file) == {
        "SpotInstanceTypes": "r5.large,r5a.large,m5.4xlarge",
        "OnDemandInstanceTypes": "r5a.large,r5.large",
        "DiskGib": "410",
    }


def test_a_type_without_a_spot_price_is_no_spot_node(tmp_path: Path) -> None:
    file = plan(tmp_path, option("r5a.large", 10.0, None, 60))
    assert batchstack.from_plan(file) == {"OnDemandInstanceTypes": "r5a.large", "DiskGib": "60"}


@pytest.mark.parametrize(
    "text", ["", "{}", '{"prices": null}', '{"prices": {"market": "spot", "node_types": []}}']
)
def test_a_plan_without_prices_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(BadInput, match="--from-plan"):
        batchstack.from_plan(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("told", "nodes", "cpus", "most", "words"),
    [
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "VALID", 2, 8, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
        ("", "INVALID", 2, 8, "its nodes are INVALID"),
        ("", "VALID", 16, 8, "it asks for 16 vCPUs, and the cluster has at most 8"),
        ("", "VALID", 2, 8, "may fit no instance type"),
    ],
)  # fmt: skip
def test_why_a_job_waits(told: str, nodes: str, cpus: float, most: int, words: str) -> None:
    assert words in batchstatus.why(told, nodes, cpus, 4096, most)


class Batch:
    """Answers of AWS Batch in its documented form, from memory: no emulator lets a job wait or a node be INVALID."""

    def __init__(self, *, node: str, jobs: list[dict[str, Any]]) -> None:
        self.node, self.jobs = node, jobs

    def describe_job_queues(self, jobQueues: list[str]) -> Any:  # noqa: N803
        order = [{"order": 1, "computeEnvironment": "ce"}]
        return {"jobQueues": [{"state": "ENABLED", "status": "VALID", "computeEnvironmentOrder": order}]}

    def describe_compute_environments(self, computeEnvironments: list[str]) -> Any:  # noqa: N803
        reason = "CLIENT_ERROR - Not authorized" if self.node == "INVALID" else ""
        found = {"state": "ENABLED", "status": self.node, "statusReason": reason}
        return {"computeEnvironments": [{**found, "computeResources": {"maxvCpus": 8, "desiredvCpus": 4}}]}

    def get_paginator(self, name: str) -> Any:
        assert name == "list_jobs"
        return self

    def paginate(self, jobQueue: str, jobStatus: str) -> Any:  # noqa: N803
        half = [job for job in self.jobs if job["status"] == jobStatus]
        return [{"jobSummaryList": half[:1]}, {"jobSummaryList": half[1:]}]

    def describe_jobs(self, jobs: list[str]) -> Any:
        return {"jobs": [job for job in self.jobs if job["jobId"] in jobs]}


def job(id_: str, status: str, minutes_ago: float, cpus: int = 2) -> dict[str, Any]:
    asked = [{"type": "VCPU", "value": str(cpus)}, {"type": "MEMORY", "value": "4096"}]
    return {
        "jobId": id_,
        "jobName": f"name-{id_}",
        "status": status,
        "createdAt": 1e12 - minutes_ago * 60_000,
        "container": {"resourceRequirements": asked},
    }


def state(node: str, *jobs: dict[str, Any]) -> batchstatus.BatchStatus:
    return batchstatus.read("lab", "CREATE_COMPLETE", {"Queue": "q"}, Batch(node=node, jobs=list(jobs)), 1e9)


def test_jobs_are_counted_and_those_that_wait_for_too_long_are_named() -> None:
    found = state("VALID", job("a", "RUNNING", 90), job("b", "RUNNABLE", 90, 16), job("c", "RUNNABLE", 2))
    assert not found.healthy
    assert found.lines() == [
        "lab: stack CREATE_COMPLETE",
        "on demand: 2 runnable, 1 running; 4 of at most 8 vCPUs",
        "  name-b (b) has waited for 90 min: it asks for 16 vCPUs, and the cluster has at most 8; raise MaxSpotVcpus or MaxOnDemandVcpus",
    ]


def test_jobs_that_have_just_come_are_no_reason_to_worry() -> None:
    assert state("VALID", job("c", "RUNNABLE", 2)).healthy


def test_nodes_that_cannot_be_used_are_named_with_awss_reason() -> None:
    found = state("INVALID")
    assert not found.healthy
    assert found.lines()[-1] == "  its nodes are INVALID: CLIENT_ERROR - Not authorized"


def test_a_job_store_carries_the_clusters_tag_beside_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOIL_AWS_TAGS", raising=False)
    where = backend.load("aws-batch", ["cluster=lab", "queue=q", "region=us-west-2", "image=x"])
    means = leaders.Means(Access(), Access(), {}, None, True, tmp_path, [], where)
    run = runs.Run(
        *(
            "run-1",
            "0.1.0",
            "running",
            "2026-11-21T12:00:00Z",
            None,
            "here",
            [],
            "s3://lab/ds",
            "s3://lab/out",
        ),
        *("p", "i", None, False, {}, {}),
    )
    found, _ = leaders._environment(run, means, tmp_path)
    tags = json.loads(found["TOIL_AWS_TAGS"])
    assert (tags["neurocwl:cluster"], "run-1" in tags.values()) == ("lab", True)
