"""A launch that starts itself: the function that judges markers, as the code that it is, and the whole way on ministack."""

import json
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.events.models import EventPattern
from ruamel.yaml import YAML

from neurocwl.aws import batchstack, stack
from neurocwl.cli import parser
from neurocwl.errors import BadInput, InfrastructureError
from tests import clouds

SETTINGS = {
    "CLUSTER": "lab",
    "BUCKET": "lab-data",
    "INBOX": "inbox",
    "RESULTS": "results",
    "QUEUE": "leaders",
    "DEFINITION": "leader:1",
    "PIPELINES": "nifti-check,fmriprep",
    "OPTIONS": "participant-label,exclude,limit,rerun,output-spaces",
    "LICENCE": "s3://lab-data/licence.txt",
}
KEY = "inbox/ds1.neurocwl.json"
FIXED = [
    *("neurocwl", "launch", "dataset", "s3://lab-data/inbox/ds1", "--pipeline", "fmriprep"),
    *("--output", "s3://lab-data/results/ds1/fmriprep", "--backend", "aws-batch", "--cluster", "lab"),
    *("--fs-license-file", "s3://lab-data/licence.txt"),
]


def function() -> dict[str, Any]:
    """The names of the function's code, with its variables set as the template sets them."""
    resources = YAML().load(batchstack.template("trigger"))["Resources"]
    found: dict[str, Any] = {}
    exec(compile(str(resources["Starter"]["Properties"]["Code"]["ZipFile"]), "Starter", "exec"), found)
    found["setting"] = SETTINGS.__getitem__
    return found


STARTER = function()


def words(marker: Any, key: str = KEY) -> list[str]:
    text = marker if isinstance(marker, (str, bytes)) else json.dumps(marker)
    found: list[str] = STARTER["command"](key, text)
    return found


def refused(marker: Any, key: str = KEY) -> str:
    with pytest.raises(STARTER["Refused"]) as caught:
        words(marker, key)
    return str(caught.value)


def test_a_marker_becomes_a_launch_of_the_folder_beside_it() -> None:
    assert words({"pipeline": "fmriprep"}) == FIXED


def test_options_become_options() -> None:
    options = {
        "participant-label": ["01", "02"],
        "exclude": "9*",
        "limit": 3,
        "rerun": True,
        "output-spaces": ["MNI152NLin2009cAsym:res-2"],
    }
    assert words({"pipeline": "fmriprep", "options": options}) == [
        *FIXED,
        *("--participant-label", "01", "02", "--exclude", "9*", "--limit", "3", "--rerun"),
        *("--output-spaces", "MNI152NLin2009cAsym:res-2"),
    ]


def test_an_option_that_is_off_or_empty_is_left_out() -> None:
    assert words({"pipeline": "fmriprep", "options": {"rerun": False, "participant-label": []}}) == FIXED


def test_the_launch_understands_the_words() -> None:
    found, rest = parser().parse_known_args(words({"pipeline": "fmriprep", "options": {"limit": 1}})[1:])
    assert (found.dataset, found.output) == ("s3://lab-data/inbox/ds1", "s3://lab-data/results/ds1/fmriprep")
    assert (found.pipeline, found.limit, found.backend) == ("fmriprep", 1, "aws-batch")
    assert (found.cluster, rest) == ("lab", [])


@pytest.mark.parametrize(
    ("marker", "why"),
    [
        ("", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        ([], "it must be a map"),
        ({}, "pipeline is None; it must be one of nifti-check, fmriprep"),
        ({"pipeline": "m2g"}, "pipeline is 'm2g'"),
        ({"pipeline": ["fmriprep"]}, "pipeline is"),
        ({"pipeline": "fmriprep", "output": "s3://other/x"}, "it must be a map with"),
        ({"pipeline": "fmriprep", "options": ["--rerun"]}, "options must be a map"),
        ({"pipeline": "fmriprep", "options": {"output": "s3://other/x"}}, "option 'output' is not allowed"),
        ({"pipeline": "fmriprep", "options": {"profile": "admin"}}, "option 'profile' is not allowed"),
        ({"pipeline": "fmriprep", "options": {"image": "evil"}}, "option 'image' is not allowed"),
        ({"pipeline": "fmriprep", "options": {"exclude": "--output"}}, "'--output' is not allowed"),
        ({"pipeline": "fmriprep", "options": {"exclude": "s3://x/y"}}, "is not allowed"),
        ({"pipeline": "fmriprep", "options": {"exclude": "$(reboot)"}}, "is not allowed"),
        ({"pipeline": "fmriprep", "options": {"exclude": "a b"}}, "is not allowed"),
        ({"pipeline": "fmriprep", "options": {"exclude": [["01"]]}}, "is not allowed"),
        ({"pipeline": "fmriprep", "options": {"exclude": {"a": 1}}}, "is not allowed"),
        ({"pipeline": "fmriprep", "options": {"exclude": "01\n"}}, "is not allowed"),
    ],
)
def test_a_marker_that_asks_for_anything_else_is_refused_with_the_reason(marker: Any, why: str) -> None:
    assert why in refused(marker)


@pytest.mark.parametrize(
    "key",
    [
        "inbox/.neurocwl.json",
        "inbox/a/b.neurocwl.json",
        "inbox/../x.neurocwl.json",
        "inbox/a b.neurocwl.json",
        "inbox/ds1.json",
        "other/ds1.neurocwl.json",
    ],
)
def test_a_marker_elsewhere_or_with_another_name_is_refused(key: str) -> None:
    assert "a marker is inbox/NAME.neurocwl.json" in refused({"pipeline": "fmriprep"}, key)


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)


@given(st.dictionaries(st.sampled_from(SETTINGS["OPTIONS"].split(",")) | st.text(), VALUES))
def test_whatever_the_options_no_other_option_and_no_place_gets_in(options: dict[str, Any]) -> None:
    try:
        found = words({"pipeline": "fmriprep", "options": options})
    except STARTER["Refused"]:
        return
    assert found[: len(FIXED)] == FIXED
    allowed = {f"--{one}" for one in SETTINGS["OPTIONS"].split(",")}
    given_ = found[len(FIXED) :]
    assert {word for word in given_ if word.startswith("-")} <= allowed
    assert not [word for word in given_ if "/" in word or "\n" in word or " " in word]


@given(st.text() | st.binary())
def test_whatever_the_marker_it_is_judged(text: str | bytes) -> None:
    with pytest.raises(STARTER["Refused"]):
        words(text)


# ---- which objects are markers: moto's reading of EventBridge's patterns, beside ministack's below ----


def uploaded(key: str, bucket: str = "lab-data", kind: str = "Object Created") -> dict[str, Any]:
    """S3's event for EventBridge, in the form of its documentation."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2026-11-21T12:00:00Z",
        "region": clouds.REGION,
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 34, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "reason": "PutObject",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "meant"),
    [
        (uploaded(KEY), True),
        (uploaded("inbox/ds1.neurocwl.answer"), False),
        (uploaded("inbox/ds1/sub-01/anat/sub-01_T1w.nii.gz"), False),
        (uploaded("results/ds1.neurocwl.json"), False),
        (uploaded(KEY, bucket="lab-data-2"), False),
        (uploaded(KEY, kind="Object Deleted"), False),
    ],
)
def test_markers_and_nothing_else_reach_the_function(event: dict[str, Any], meant: bool) -> None:
    rule = YAML().load(batchstack.template("trigger"))["Resources"]["Markers"]["Properties"]["EventPattern"]
    text = json.dumps(plain(rule)).replace("${Inbox}", "inbox")
    assert EventPattern.load(text.replace('"Bucket"', '"lab-data"')).matches_event(event) == meant


def plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(one) for one in node]
    return getattr(node, "value", node)


# ---- the whole way ----


@pytest.fixture(scope="module")
def cloud() -> Iterator[Callable[[str], Any]]:
    """Clients of ministack: CloudFormation, events of S3, EventBridge and Lambda that run; Batch that takes jobs."""
    with clouds.ministack_server() as url:

        def client(service: str) -> Any:
            return boto3.client(
                service,
                endpoint_url=url,
                region_name=clouds.REGION,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )

        yield client


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator needs no five seconds."""
    monkeypatch.setattr(stack, "POLL", 0.1)


def silent(line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def parts(cloud: Callable[[str], Any]) -> dict[str, str]:
    """What batch.yml makes and the trigger needs, made by hand: ministack's CloudFormation knows no Batch."""
    store, batch = cloud("s3"), cloud("batch")
    store.create_bucket(Bucket="lab-data", CreateBucketConfiguration={"LocationConstraint": clouds.REGION})
    store.put_bucket_notification_configuration(
        Bucket="lab-data", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    nodes = batch.create_compute_environment(computeEnvironmentName="leaders", type="UNMANAGED")
    order = [{"order": 1, "computeEnvironment": nodes["computeEnvironmentArn"]}]
    queue = batch.create_job_queue(jobQueueName="leaders", priority=1, computeEnvironmentOrder=order)
    definition = batch.register_job_definition(
        jobDefinitionName="leader", type="container", containerProperties={"image": "x", "command": ["x"]}
    )
    return {
        "Cluster": "lab",
        "DataBucket": "lab-data",
        "LeaderQueue": queue["jobQueueArn"],
        "LeaderDefinition": definition["jobDefinitionArn"],
    }


def propose(cloud: Callable[[str], Any], name: str, template: str, **given_: str) -> stack.ChangeSet | None:
    return stack.propose(cloud("cloudformation"), name, template, given_, {batchstack.TAG: "lab"}, silent)


@pytest.fixture(scope="module")
def trigger(cloud: Callable[[str], Any], parts: dict[str, str]) -> stack.Stack:
    batch = stack.Stack("lab-neurocwl-batch", "CREATE_COMPLETE", parts, {})
    values = batchstack.trigger_parameters(batch, ["nifti-check", "fmriprep"])
    proposed = propose(cloud, "lab-neurocwl-trigger", batchstack.template("trigger"), **values)
    assert proposed
    assert proposed.new
    assert {one.what for one in proposed.changes} == {"added"}
    return stack.execute(cloud("cloudformation"), proposed, silent)


def upload(cloud: Callable[[str], Any], name: str, marker: Any) -> dict[str, Any]:
    """Upload a marker and wait for the answer beside it."""
    store = cloud("s3")
    key = f"inbox/{name}.neurocwl.json"
    store.put_object(Bucket="lab-data", Key=key, Body=json.dumps(marker).encode())
    for _ in range(120):
        try:
            answer = store.get_object(Bucket="lab-data", Key=f"inbox/{name}.neurocwl.answer")
            found: dict[str, Any] = json.load(answer["Body"])
            return found
        except store.exceptions.NoSuchKey:
            time.sleep(0.25)
    raise AssertionError("no answer came")


def test_an_uploaded_marker_starts_a_leader(
    cloud: Callable[[str], Any], trigger: stack.Stack, parts: dict[str, str]
) -> None:
    answer = upload(cloud, "ds1", {"pipeline": "nifti-check", "options": {"participant-label": ["01"]}})
    assert answer["output"] == "s3://lab-data/results/ds1/nifti-check"
    (job,) = cloud("batch").describe_jobs(jobs=[answer["job"]])["jobs"]
    assert (job["jobQueue"], job["jobDefinition"]) == (parts["LeaderQueue"], parts["LeaderDefinition"])
    assert answer["command"] == [
        *("neurocwl", "launch", "dataset", "s3://lab-data/inbox/ds1", "--pipeline", "nifti-check"),
        *("--output", answer["output"], "--backend", "aws-batch", "--cluster", "lab"),
        *("--participant-label", "01"),
    ]


def test_a_marker_that_is_refused_starts_nothing_and_says_why(
    cloud: Callable[[str], Any], trigger: stack.Stack
) -> None:
    answer = upload(cloud, "ds2", {"pipeline": "nifti-check", "options": {"output": "s3://other/x"}})
    assert "job" not in answer
    assert answer["refused"].startswith("option 'output' is not allowed; there are participant-label")


def test_an_event_that_comes_twice_starts_one_leader(
    cloud: Callable[[str], Any], trigger: stack.Stack
) -> None:
    event = uploaded("inbox/ds3.neurocwl.json")
    first = upload(cloud, "ds3", {"pipeline": "nifti-check"})
    again = cloud("lambda").invoke(
        FunctionName=trigger.outputs["Starter"], Payload=json.dumps({**event, "id": first["event"]})
    )
    assert json.load(again["Payload"]) == first


def test_a_changed_parameter_is_shown_and_carried_out(
    cloud: Callable[[str], Any], trigger: stack.Stack
) -> None:
    text = batchstack.template("trigger")
    proposed = propose(cloud, trigger.name, text, Pipelines="m2g")
    assert proposed
    assert not proposed.new
    assert [one.name for one in proposed.changes] == ["Starter"]  # ministack's word for it is not AWS's
    found = stack.execute(cloud("cloudformation"), proposed, silent)
    assert (found.status, found.parameters["Pipelines"]) == ("UPDATE_COMPLETE", "m2g")
    assert found.parameters["Bucket"] == "lab-data"
    function_ = cloud("lambda").get_function_configuration(FunctionName=trigger.outputs["Starter"])
    assert function_["Environment"]["Variables"]["PIPELINES"] == "m2g"


def test_a_parameter_that_the_template_lacks_is_bad_input(cloud: Callable[[str], Any]) -> None:
    with pytest.raises(BadInput, match=r"stack lab-x: .*VpcId"):
        propose(cloud, "lab-x", batchstack.template("batch"), ClusterName="lab")


def test_what_fails_is_named_rolled_back_and_can_be_tried_again(cloud: Callable[[str], Any]) -> None:
    """ministack knows no AWS::Batch: here that is a resource that cannot be made."""
    values = {"ClusterName": "lab", "VpcId": "vpc-1", "SubnetIds": "subnet-1", "ApplianceImage": "x"}
    cf = cloud("cloudformation")
    for _ in range(2):
        proposed = propose(cloud, "lab-fails", batchstack.template("batch"), **values)
        assert proposed
        assert proposed.new
        with pytest.raises(InfrastructureError) as caught:
            stack.execute(cf, proposed, silent)
        assert "stack lab-fails failed (ROLLBACK_COMPLETE): " in str(caught.value)
        assert "Unsupported resource type: AWS::Batch::ComputeEnvironment" in str(caught.value)
    assert stack.delete(cf, "lab-fails", silent)


def test_the_bucket_keeps_its_policy_and_tells_eventbridge(cloud: Callable[[str], Any]) -> None:
    """The bucket of batch.yml alone, read back from S3."""
    yaml = YAML()
    document = yaml.load(batchstack.template("batch"))
    kept = ("DataBucket", "DataBucketPolicy")
    for name in [name for name in document["Resources"] if name not in kept]:
        del document["Resources"][name]
    for name in [name for name in document["Parameters"] if name not in ("ClusterName", "Events")]:
        del document["Parameters"][name]
    for name in [name for name in document["Conditions"] if name != "HasEvents"]:
        del document["Conditions"][name]
    for name in [name for name in document["Outputs"] if name != "DataBucket"]:
        del document["Outputs"][name]
    text = StringIO()
    yaml.dump(document, text)
    proposed = propose(cloud, "lab-bucket", text.getvalue(), ClusterName="lab", Events="true")
    assert proposed
    bucket = stack.execute(cloud("cloudformation"), proposed, silent).outputs["DataBucket"]
    store = cloud("s3")
    (statement,) = json.loads(store.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    assert "EventBridgeConfiguration" in store.get_bucket_notification_configuration(Bucket=bucket)


def test_a_deleted_stack_is_gone_and_deleting_it_again_is_no_error(
    cloud: Callable[[str], Any], trigger: stack.Stack
) -> None:
    cf = cloud("cloudformation")
    assert stack.delete(cf, trigger.name, silent)
    assert stack.read(cf, trigger.name) is None
    assert not stack.delete(cf, trigger.name, silent)
    assert cloud("events").list_rules()["Rules"] == []
