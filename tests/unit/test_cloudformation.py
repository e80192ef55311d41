"""The templates of a cluster on AWS Batch as they stand: what no emulator would notice."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent

from neurocwl import assets
from neurocwl.aws import batchstack

FOLDER = assets.path("provisioning/cloudformation")
TEMPLATES = [FOLDER / "batch.yml", FOLDER / "trigger.yml"]
MOST_BYTES = 51_200  # of a template that comes in the request itself


def load(file: Path) -> Any:
    return YAML().load(file.read_text())


def plain(node: Any) -> Any:
    """A part of a template with its tags (!Ref, !Sub) taken off."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(one) for one in node]
    return getattr(node, "value", node)


def batch() -> Any:
    return plain(load(FOLDER / "batch.yml"))["Resources"]


def statements() -> list[tuple[str, dict[str, Any]]]:
    """Every statement that gives a role something, with the name of its resource."""
    found = []
    for file in TEMPLATES:
        for name, body in plain(load(file))["Resources"].items():
            properties = body["Properties"]
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            if body["Type"] == "AWS::IAM::ManagedPolicy":
                documents.append(properties["PolicyDocument"])
            for document in documents:
                for statement in document["Statement"]:
                    # !If [condition, statement, nothing]
                    found.append((name, statement if isinstance(statement, dict) else statement[1]))
    return found


def actions(statement: dict[str, Any]) -> list[str]:
    given = statement["Action"]
    return [given] if isinstance(given, str) else list(given)


@pytest.fixture(scope="module")
def aws_actions() -> dict[str, dict[str, Any]]:
    """What AWS says of each action: "s3:getobject" -> its resource types. From cfn-lint's copy of AWS's list."""
    spec = importlib.util.find_spec("cfnlint")
    assert spec
    assert spec.origin
    table = json.loads((Path(spec.origin).parent / "data/AdditionalSpecs/Policies.json").read_text())
    return {
        f"{service}:{action}": known or {}
        for service, entry in table.items()
        for action, known in entry["Actions"].items()
    }


def test_cfn_lint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "cfn-lint"
    done = subprocess.run([program, *TEMPLATES], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_cfn_lint_would_find_a_property_that_does_not_exist(tmp_path: Path) -> None:
    text = (FOLDER / "batch.yml").read_text().replace("MaxvCpus:", "MaxVcpus:")
    (tmp_path / "wrong.yml").write_text(text)
    done = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", tmp_path / "wrong.yml"], capture_output=True, text=True
    )
    assert "MaxVcpus" in done.stdout


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_a_template_is_in_the_yaml_that_cloudformation_reads(file: Path) -> None:
    text = file.read_text()
    assert not [event for event in YAML().parse(text) if isinstance(event, AliasEvent)], "no aliases"
    assert len(text.encode()) <= MOST_BYTES


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_every_parameter_and_output_says_what_it_is(file: Path) -> None:
    document = load(file)
    silent = [
        name
        for part in ("Parameters", "Outputs")
        for name, body in document[part].items()
        if not body.get("Description")
    ]
    assert silent == []


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.stem)
def test_a_cluster_may_be_called_the_same_on_the_command_line_and_in_the_template(file: Path) -> None:
    assert load(file)["Parameters"]["ClusterName"]["AllowedPattern"] == batchstack.NAME.pattern


def test_the_bucket_is_encrypted_closed_to_the_public_and_outlives_the_stack() -> None:
    bucket = batch()["DataBucket"]
    rules = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules == [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    assert bucket["Properties"]["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    owner = bucket["Properties"]["OwnershipControls"]["Rules"]
    assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_unfinished_uploads_do_not_stay_in_the_bucket() -> None:
    rules = batch()["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules] == [7]


def test_the_bucket_answers_over_tls_alone() -> None:
    (statement,) = batch()["DataBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_only_actions_that_aws_knows_no_resource_for_are_given_on_everything(
    aws_actions: dict[str, dict[str, Any]],
) -> None:
    wide = [
        f"{name}: {action}"
        for name, statement in statements()
        if "*"
        in (statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]])
        for action in actions(statement)
        if aws_actions[action.lower()].get("Resources")
    ]
    assert wide == []


def test_no_statement_gives_actions_by_a_pattern() -> None:
    assert [action for _, statement in statements() for action in actions(statement) if "*" in action] == []


def test_every_action_exists(aws_actions: dict[str, dict[str, Any]]) -> None:
    given = {action for _, statement in statements() for action in actions(statement)}
    assert {action for action in given if action.lower() not in aws_actions} == set()


def test_compute_environments_are_updated_in_place() -> None:
    """Which takes the service-linked role: no ServiceRole of ours."""
    nodes = [batch()[name]["Properties"] for name in ("SpotNodes", "OnDemandNodes")]
    assert [(one["ReplaceComputeEnvironment"], "ServiceRole" in one) for one in nodes] == [(False, False)] * 2


@pytest.mark.parametrize("queue", ["SpotQueue", "OnDemandQueue"])
def test_a_job_that_no_node_can_take_is_ended(queue: str) -> None:
    limits = batch()[queue]["Properties"]["JobStateTimeLimitActions"]
    assert {(one["Reason"], one["Action"]) for one in limits} == {
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "CANCEL"),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", "CANCEL"),
    }


def test_a_budget_tells_before_and_at_its_edge() -> None:
    properties = batch()["Budget"]["Properties"]
    told = [one["Notification"]["Threshold"] for one in properties["NotificationsWithSubscribers"]]
    assert told == [80, 100]
    assert properties["Budget"]["CostFilters"] == {"TagKeyValue": ["user:neurocwl:cluster$${ClusterName}"]}


@pytest.mark.parametrize(
    ("template", "function"), [("batch", "Sweeper"), ("trigger", "Starter")], ids=lambda one: one
)
def test_code_in_a_template_is_as_clean_as_any_other(template: str, function: str, tmp_path: Path) -> None:
    code = load(FOLDER / f"{template}.yml")["Resources"][function]["Properties"]["Code"]["ZipFile"]
    ast.parse(code)
    (tmp_path / "index.py").write_text(code)
    program = Path(sys.executable).parent / "ruff"
    rules = ["--isolated", "--select=E,F,I,B,SIM,RUF,C4,PIE,RET,N", "--ignore=E501,N818", "--line-length=110"]
    done = subprocess.run([program, "check", *rules, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
