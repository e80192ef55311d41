"""Checks of an AWS account: who one is there, for how long, in which region, and how much one may run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from neurocwl.aws import session
from neurocwl.checks.finding import Finding, failed, ok, refused, unknown, warning
from neurocwl.errors import BadInput, NeurocwlError
from neurocwl.nodes import NodeType
from neurocwl.s3 import Access

REFUSED = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "AccessDenied",
    "AuthFailure",
}
RENEW = "renew them (aws sso login, aws configure), or choose another --profile"
# vCPUs that may run at once: (on demand, spot), by the letters that instance types begin with.
# Source: Service Quotas, service code ec2.
STANDARD = ("L-1216C47A", "L-34B43A08")
QUOTAS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), STANDARD),
    "f": ("L-74FC7D96", "L-88CF9481"),
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "vt": ("L-DB2E81BA", "L-3819A6DF"),
    "p": ("L-417A185B", "L-7212CCBC"),
    "x": ("L-7295265B", "L-E3A00192"),
}


def credentials(access: Access, environment: Mapping[str, str], endpoint: str = "") -> Finding:
    """Who one is, and for how long. endpoint: of S3; without one AWS is not asked, only what lies here."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    name = "credentials"
    try:
        kept = _session(access).get_credentials()
    except NeurocwlError as error:
        return refused(name, error, RENEW)
    except BotoCoreError as error:
        return failed(name, f"no credentials: {error}", RENEW)
    if kept is None:
        return failed(name, "there are none", "run aws configure, or set AWS_PROFILE or the AWS_* variables")
    ends = _ends(kept, environment)
    if ends and ends <= datetime.now(UTC):
        return failed(name, f"the session ended at {ends:%Y-%m-%d %H:%M} UTC", RENEW)
    if not endpoint:
        return _lasting(unknown(name, "AWS was not asked"), kept, ends, environment)
    own = not _is_amazon(endpoint)
    alone = unknown(name, "an S3 server without STS: writing shows whether it takes them")
    sts = session.client(access, "sts", region_of(access))
    if own and _is_amazon(sts.meta.endpoint_url):
        return alone
    try:
        who = sts.get_caller_identity()["Arn"]
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        return alone if own and code not in REFUSED else failed(name, f"AWS refuses them ({code})", RENEW)
    # ResponseParserError: a server that knows S3 alone answers something else than STS
    except (BotoCoreError, ResponseParserError) as error:
        return alone if own else failed(name, f"cannot be used: {error}", RENEW)
    return _lasting(ok(name, str(who)), kept, ends, environment)


def region_of(access: Access) -> str:
    """The region that is set, else one that every account has."""
    try:
        return session.region_of(access)
    except BadInput:
        return "us-east-1"


def _session(access: Access) -> Any:
    """boto3's session. Raises BadInput for a profile that does not exist."""
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        return boto3.Session(
            profile_name=access.profile,
            region_name=access.region,
            aws_access_key_id=access.keys.key_id if access.keys else None,
            aws_secret_access_key=access.keys.secret if access.keys else None,
        )
    except ProfileNotFound as error:
        raise BadInput(f"--profile {access.profile}: {error}; see ~/.aws/config") from error


def _lasting(found: Finding, kept: Any, ends: datetime | None, environment: Mapping[str, str]) -> Finding:
    """The same, unless a session will end: nobody renews a token that lies in the environment or in a file."""
    # botocore calls keys of the environment renewable, too, when their end is there; kept.token would try it.
    from_environment = kept.method == "env"
    token = environment.get("AWS_SESSION_TOKEN") if from_environment else kept.token
    if not token or (hasattr(kept, "_expiry_time") and not from_environment):
        return found
    until = f"at {ends:%Y-%m-%d %H:%M} UTC" if ends else "at a time that it does not tell"
    return warning(
        found.name,
        f"{found.text}: the session ends {until}, and a launch with it",
        "log in right before a long launch, or use a profile that renews itself (SSO, a role)",
    )


def _ends(kept: Any, environment: Mapping[str, str]) -> datetime | None:
    """When a session token in the environment ends, where somebody says so (aws configure export-credentials does)."""
    text = environment.get("AWS_CREDENTIAL_EXPIRATION") or environment.get("AWS_SESSION_EXPIRATION")
    if kept.method != "env" or not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def region(access: Access, environment: Mapping[str, str], *, needed: bool) -> Finding:
    """Whether there is one region. needed: something is started there."""
    chosen = access.region or _session(access).region_name
    named = {
        word: environment[word] for word in ("AWS_REGION", "AWS_DEFAULT_REGION") if environment.get(word)
    }
    if access.region:
        named["--region"] = access.region
    if len(set(named.values())) > 1:
        said = ", ".join(f"{word} is {value}" for word, value in named.items())
        text, fix = (
            f"{said}: some programs take the one, some the other",
            "set all of them to the same region",
        )
        return failed("region", text, fix) if needed else warning("region", text, fix)
    if not chosen and not named:
        fix = "give --region, set AWS_REGION, or name one in ~/.aws/config"
        if needed:
            return failed("region", "no region is set", fix)
        return unknown("region", "none is set; S3 finds its buckets without", fix)
    return ok("region", str(chosen or next(iter(named.values()))))


def quotas(
    access: Access, types: Sequence[str], sizes: Mapping[str, NodeType], *, most_nodes: int, spot: bool
) -> Iterator[Finding]:
    """Whether the account may run as many vCPUs as nodes of these types are wanted. sizes: of all types.

    Nodes beyond a quota never start: Toil asks for them without end.
    """
    wanted: dict[str, dict[str, int]] = {}
    for name in types:
        code = quota_of(name, spot=spot)
        if code and name in sizes:
            wanted.setdefault(code, {})[name] = sizes[name].vcpus
        else:
            yield unknown(f"quota of {name}", "its size, or its quota, is not known here", CONSOLE)
    for code, those in sorted(wanted.items()):
        yield _quota(access, code, those, sizes, most_nodes, spot=spot)


CONSOLE = "look at the console: Service Quotas, Amazon EC2"


def quota_of(node_type: str, *, spot: bool) -> str | None:
    """The quota that an instance type counts against."""
    letters = re.match(r"[a-z]+", node_type)
    codes = QUOTAS.get(letters.group()) if letters else None
    return codes[spot] if codes else None


def _quota(
    access: Access,
    code: str,
    types: Mapping[str, int],
    sizes: Mapping[str, NodeType],
    most_nodes: int,
    *,
    spot: bool,
) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    name = "quota of spot nodes" if spot else "quota of nodes"
    try:
        region = region_of(access)
        asked = session.client(access, "service-quotas", region).get_service_quota(
            ServiceCode="ec2", QuotaCode=code
        )
        allowed = int(asked["Quota"]["Value"])
        used = _used(session.client(access, "ec2", region), code, sizes, spot=spot)
    except NeurocwlError as error:
        return refused(name, error, RENEW)
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        return unknown(
            name, f"cannot be asked: {error}", "allow servicequotas:GetServiceQuota, or look at the console"
        )
    least, most = min(types.values()), max(types.values())
    left, listed = allowed - used, ", ".join(types)
    text = f"{allowed} vCPUs, {used} of them in use"
    fix = f"ask for more: aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} --desired-value {used + most * most_nodes}"
    if left < least:
        return failed(name, f"{text}: not one node of {listed} would start", fix)
    if left < most * most_nodes:
        nodes = left // most
        return warning(name, f"{text}: room for {nodes} of {most_nodes} nodes of {listed}", fix)
    return ok(name, f"{text}: room for {most_nodes} nodes of {listed}")


def _used(ec2: Any, code: str, sizes: Mapping[str, NodeType], *, spot: bool) -> int:
    """vCPUs that run and count against a quota."""
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )
    used = 0
    for page in pages:
        for reservation in page["Reservations"]:
            for instance in reservation["Instances"]:
                is_spot = instance.get("InstanceLifecycle") == "spot"
                if is_spot == spot and quota_of(instance["InstanceType"], spot=spot) == code:
                    options = instance.get("CpuOptions", {})
                    threads = options.get("CoreCount", 0) * options.get("ThreadsPerCore", 1)
                    node = sizes.get(instance["InstanceType"])
                    used += threads or (node.vcpus if node else 1)
    return used


def batch_queue(access: Access, queue: str, cpus: int) -> Finding:
    """Whether a Batch queue takes jobs, and may grow enough for one unit."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    name = f"queue {queue}"
    try:
        batch = session.client(access, "batch", region_of(access))
        found = batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
        if not found:
            return failed(name, f"there is no Batch queue {queue}", CREATE)
        environments = [order["computeEnvironment"] for order in found[0].get("computeEnvironmentOrder", [])]
        described = batch.describe_compute_environments(computeEnvironments=environments)
    except NeurocwlError as error:
        return refused(name, error, RENEW)
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        return unknown(name, f"Batch cannot be asked: {error}", "allow batch:DescribeJobQueues")
    return judged_queue(queue, found[0], described.get("computeEnvironments", []), cpus)


CREATE = "neurocwl cluster create --backend aws-batch makes one; name it with --backend-setting queue=NAME"


def judged_queue(
    queue: str, found: Mapping[str, Any], environments: Sequence[Mapping[str, Any]], cpus: int
) -> Finding:
    """What is to be said of a queue and its compute environments, as Batch describes them."""
    name = f"queue {queue}"
    fix = "look at it in the console of AWS Batch; neurocwl cluster create mends its own"
    if (found.get("state"), found.get("status")) != ("ENABLED", "VALID"):
        return failed(name, f"{queue} is {found.get('state')} and {found.get('status')}", fix)
    fit = [one for one in environments if (one.get("state"), one.get("status")) == ("ENABLED", "VALID")]
    if not fit:
        return failed(name, f"{queue} has no compute environment that is enabled and valid", fix)
    most = max(int(one.get("computeResources", {}).get("maxvCpus", 0)) for one in fit)
    if most < cpus:
        return failed(
            name,
            f"{queue} may grow to {most} vCPUs, a unit asks for {cpus}",
            "raise the maximum of its compute environment, or give --cpus",
        )
    return ok(name, f"{queue} takes jobs, up to {most} vCPUs")


def _is_amazon(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
