"""CloudFormation stacks: a change set is made, shown, and executed; what fails says its first reason."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from neurocwl.aws.session import explained
from neurocwl.errors import BadInput, InfrastructureError

POLL = 5.0  # seconds
UNFINISHED = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")  # never came to be
# What a change set without changes says; the second when only outputs or metadata would change.
SAME = ("didn't contain changes", "No updates are to be performed")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Change:
    """What would happen to one resource."""

    what: str  # added, changed, replaced, perhaps replaced, removed
    name: str  # in the template
    kind: str  # AWS::...
    because: tuple[str, ...] = ()  # its properties, and parameters


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What would happen to a stack."""

    stack: str
    arn: str
    new: bool  # whether there is no stack yet
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as it is."""

    name: str
    status: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def busy(self) -> bool:
        """Whether something is being done to it."""
        return self.status.endswith("_IN_PROGRESS") and self.status not in UNFINISHED


def read(cf: Any, name: str) -> Stack | None:
    """A stack; None when there is none."""
    from botocore.exceptions import ClientError

    with explained(f"stack {name}"):
        try:
            found = cf.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
    if not found or found[0]["StackStatus"] == "DELETE_COMPLETE":
        return None
    raw = found[0]
    return Stack(
        name,
        raw["StackStatus"],
        {one["OutputKey"]: one["OutputValue"] for one in raw.get("Outputs", [])},
        {one["ParameterKey"]: one.get("ParameterValue", "") for one in raw.get("Parameters", [])},
    )


def resources(cf: Any, name: str) -> list[tuple[str, str, str]]:
    """(name in the template, type, id) of each resource of a stack."""
    with explained(f"stack {name}"):
        pages = cf.get_paginator("list_stack_resources").paginate(StackName=name)
        return [
            (one["LogicalResourceId"], one["ResourceType"], one.get("PhysicalResourceId", ""))
            for page in pages
            for one in page["StackResourceSummaries"]
            if one.get("ResourceStatus") != "DELETE_COMPLETE"
        ]


def propose(
    cf: Any, name: str, template: str, given: Mapping[str, str], tags: Mapping[str, str], say: Say
) -> ChangeSet | None:
    """A change set that brings a stack to a template; None when nothing would change.

    Parameters that are not given keep their value, or get the template's default.
    Raises BadInput for what CloudFormation refuses.
    """
    old = read(cf, name)
    if old and old.busy:
        raise InfrastructureError(f"stack {name} is {old.status}: somebody is changing it; try again later")
    if old and old.status in UNFINISHED[1:]:
        say(f"{name}: an earlier attempt had failed; its remains are removed")
        delete(cf, name, say)
        old = None
    new = old is None or old.status in UNFINISHED
    known = set(parameter_names(template))
    kept = known & set(old.parameters) - set(given) if old and not new else set()
    values = [
        *({"ParameterKey": key, "ParameterValue": given[key]} for key in sorted(given)),
        *({"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept)),
    ]
    with explained(f"stack {name}"), _refused(name):
        arn: str = cf.create_change_set(
            StackName=name,
            ChangeSetName=f"neurocwl-{secrets.token_hex(6)}",
            ChangeSetType="CREATE" if new else "UPDATE",
            TemplateBody=template,
            Parameters=values,
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )["Id"]
    return _ready(cf, name, arn, new)


def _ready(cf: Any, name: str, arn: str, new: bool) -> ChangeSet | None:
    """A change set when CloudFormation has computed it."""
    while True:
        with explained(f"stack {name}"):
            found = cf.describe_change_set(StackName=name, ChangeSetName=arn)
        if found["Status"] == "FAILED":
            drop(cf, ChangeSet(name, arn, new, ()))
            reason = found.get("StatusReason", "")
            if any(words in reason for words in SAME):
                return None
            raise BadInput(f"stack {name}: {reason}")
        if found["Status"] == "CREATE_COMPLETE":
            break
        time.sleep(POLL)
    pages = [found]
    while token := pages[-1].get("NextToken"):
        with explained(f"stack {name}"):
            pages.append(cf.describe_change_set(StackName=name, ChangeSetName=arn, NextToken=token))
    return ChangeSet(name, arn, new, tuple(change(one) for page in pages for one in page["Changes"]))


def change(raw: Mapping[str, Any]) -> Change:
    """One change, as DescribeChangeSet tells it."""
    one = raw["ResourceChange"]
    replacing = {"True": "replaced", "Conditional": "perhaps replaced"}.get(one.get("Replacement", ""))
    what = {"Add": "added", "Remove": "removed", "Modify": replacing or "changed"}.get(
        one["Action"], one["Action"].lower()
    )
    details = one.get("Details", []) if one["Action"] == "Modify" else []
    causes = {
        detail.get("Target", {}).get("Name") or detail.get("Target", {}).get("Attribute", "")
        for detail in details
    } | {detail["CausingEntity"] for detail in details if detail.get("ChangeSource") == "ParameterReference"}
    return Change(what, one["LogicalResourceId"], one["ResourceType"], tuple(sorted(causes - {""})))


def execute(cf: Any, proposed: ChangeSet, say: Say) -> Stack:
    """Carry a change set out, and wait.

    Raises InfrastructureError with the first resource's reason when it fails; CloudFormation has rolled back then.
    """
    seen = {event["EventId"] for event in events(cf, proposed.stack)}
    with explained(f"stack {proposed.stack}"):
        cf.execute_change_set(StackName=proposed.stack, ChangeSetName=proposed.arn)
    found = _wait(cf, proposed.stack, seen, say)
    if found is None or found.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise InfrastructureError(_why(cf, proposed.stack, seen, found))
    return found


def drop(cf: Any, proposed: ChangeSet) -> None:
    """Forget a change set, and the empty stack that a first one leaves."""
    with explained(f"stack {proposed.stack}"):
        cf.delete_change_set(StackName=proposed.stack, ChangeSetName=proposed.arn)
        if proposed.new:
            cf.delete_stack(StackName=proposed.stack)


def delete(cf: Any, name: str, say: Say) -> bool:
    """Delete a stack and wait; False when there was none.

    Raises InfrastructureError with the first resource's reason when it cannot be deleted; another try goes on.
    """
    if read(cf, name) is None:
        return False
    seen = {event["EventId"] for event in events(cf, name)}
    with explained(f"stack {name}"):
        cf.delete_stack(StackName=name)
    found = _wait(cf, name, seen, say)
    if found is not None:
        raise InfrastructureError(_why(cf, name, seen, found))
    return True


def events(cf: Any, name: str) -> list[dict[str, Any]]:
    """What happened to a stack, the oldest first; nothing when there is none."""
    from botocore.exceptions import ClientError

    try:
        pages = cf.get_paginator("describe_stack_events").paginate(StackName=name)
        return list(reversed([event for page in pages for event in page["StackEvents"]]))
    except ClientError:  # it has gone
        return []


def reason(happened: list[dict[str, Any]]) -> str:
    """The first failure among events; those that it made fail come later, and say only that they were cancelled."""
    failed = [
        event
        for event in happened
        if event["ResourceStatus"].endswith("_FAILED")
        and event["ResourceType"] != "AWS::CloudFormation::Stack"
    ]
    told = [event for event in failed if "cancelled" not in event.get("ResourceStatusReason", "")] or failed
    if not told:
        told = [event for event in happened if event["ResourceStatus"].endswith("_FAILED")]
    if not told:
        return "CloudFormation gives no reason"
    first = told[0]
    return f"{first['LogicalResourceId']} ({first['ResourceType']}): {first.get('ResourceStatusReason', 'no reason given')}"


def parameter_names(template: str) -> list[str]:
    """The parameters of a template, in its order."""
    from ruamel.yaml import YAML

    return list(YAML().load(template).get("Parameters") or {})


def _wait(cf: Any, name: str, seen: set[str], say: Say) -> Stack | None:
    told = set(seen)
    while True:
        found = read(cf, name)
        for line in _news(cf, name, told):
            say(line)
        if found is None or not found.status.endswith("_IN_PROGRESS"):
            return found
        time.sleep(POLL)


def _news(cf: Any, name: str, told: set[str]) -> Iterator[str]:
    """Lines about resources that are ready, gone or failed."""
    for event in events(cf, name):
        if event["EventId"] in told:
            continue
        told.add(event["EventId"])
        status = event["ResourceStatus"]
        if (
            status.endswith(("_COMPLETE", "_FAILED"))
            and event["ResourceType"] != "AWS::CloudFormation::Stack"
        ):
            yield f"  {status.lower().replace('_', ' ')}: {event['LogicalResourceId']}"


def _why(cf: Any, name: str, seen: set[str], found: Stack | None) -> str:
    happened = [event for event in events(cf, name) if event["EventId"] not in seen]
    status = found.status if found else "gone"
    return f"stack {name} failed ({status}): {reason(happened)}"


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """CloudFormation's validation errors are the caller's bad input."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":
            raise BadInput(f"stack {name}: {error.response['Error'].get('Message', error)}") from error
        raise
