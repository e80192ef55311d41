"""What IAM would answer, as far as our templates need it: Allow statements, * and ?, StringEquals. Deny is not known.

A stand-in of IAM's evaluation, since no emulator enforces policies; it does not prove IAM's own reading of them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote


def of_role(iam: Any, role: str) -> list[dict[str, Any]]:
    """The statements that a role has, read back from IAM; policies of AWS's own are left out."""
    documents = [
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = attached["PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        documents.append(
            iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        )
    parsed = [json.loads(unquote(one)) if isinstance(one, str) else one for one in documents]
    assert all(statement["Effect"] == "Allow" for document in parsed for statement in document["Statement"])
    return [statement for document in parsed for statement in document["Statement"]]


def allows(
    statements: list[dict[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether any statement allows an action on a resource, in a context of condition keys."""
    return any(
        any(_matches(one, action.lower()) for one in _list(statement["Action"], lower=True))
        and any(_matches(one, resource) for one in _list(statement["Resource"]))
        and _holds(statement.get("Condition", {}), context or {})
        for statement in statements
    )


def _list(value: Any, *, lower: bool = False) -> list[str]:
    found = [value] if isinstance(value, str) else list(value)
    return [one.lower() for one in found] if lower else found


def _matches(pattern: str, text: str) -> bool:
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch("".join(parts), text) is not None


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    assert set(conditions) <= {"StringEquals"}
    return all(
        context.get(key) in _list(wanted)
        for condition in conditions.values()
        for key, wanted in condition.items()
    )
