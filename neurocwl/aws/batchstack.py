"""A cluster on AWS Batch: two CloudFormation stacks (provisioning/cloudformation), their parameters and what they leave."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl import assets, prices, s3
from neurocwl.aws import stack
from neurocwl.aws.session import client, explained, region_of
from neurocwl.backend import Node
from neurocwl.errors import BadInput
from neurocwl.nodes import GIB
from neurocwl.s3 import Access

BATCH, TRIGGER = "batch", "trigger"
TAG = "neurocwl:cluster"
# As in the templates. Buckets that begin with neurocwl are job stores, which the roles may delete.
NAME = re.compile(r"(?!neurocwl)[a-z][a-z0-9-]{0,27}")
JOB_STORE = re.compile(r"neurocwl-[0-9a-f]{16}-[a-z0-9-]+")
SIMILAR = 1.3  # types up to this many times the cheapest plan are taken; several keep spot available
MOST_TYPES = 8
MEMORY = 0.95  # what the kernel and ECS's agent leave; ndmg's guide puts 15200 MiB on 16384


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that a cluster leaves."""

    name: str
    job_store: bool
    empty: bool


def stack_name(cluster: str, part: str) -> str:
    """The stack of a cluster. Its buckets are called after it, and must not look like job stores.

    Raises BadInput for a name that AWS does not take.
    """
    if not NAME.fullmatch(cluster):
        raise BadInput(
            f"{cluster!r}: a cluster on AWS Batch is called by 1 to 28 of a-z, 0-9 and -, begins with a letter, and not with neurocwl"
        )
    return f"{cluster}-neurocwl-{part}"


def template(part: str) -> str:
    """The text of a template."""
    return assets.path(f"provisioning/cloudformation/{part}.yml").read_text(encoding="utf-8")


def given(words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE words as parameters of the templates.

    Raises BadInput for a parameter that neither template has.
    """
    known = [name for part in (BATCH, TRIGGER) for name in stack.parameter_names(template(part))]
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise BadInput(f"--set {word}: must be NAME=VALUE")
        if key not in known or key == "ClusterName":
            there = ", ".join(sorted(set(known) - {"ClusterName"}))
            raise BadInput(f"--set {word}: no parameter is called {key!r}; there are {there}")
        found[key] = value
    return found


def network(ec2: Any) -> dict[str, str]:
    """The default network of the region, as parameters.

    Raises BadInput when there is none.
    """
    with explained("network"):
        found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not found:
            raise BadInput(
                "this region has no default network; give yours: --set VpcId=vpc-... SubnetIds=subnet-...,subnet-..."
            )
        vpc = found[0]["VpcId"]
        subnets = ec2.describe_subnets(
            Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default-for-az", "Values": ["true"]}]
        )["Subnets"]
    return {"VpcId": vpc, "SubnetIds": ",".join(sorted(one["SubnetId"] for one in subnets))}


def data_access(read: Iterable[str], write: Iterable[str], partition: str = "aws") -> dict[str, str]:
    """What launches may read and write, as parameters. Nothing given: nothing said, so that a change keeps what was."""
    reads, writes = [s3.split(url) for url in read], [s3.split(url) for url in write]
    arn = f"arn:{partition}:s3:::"
    buckets = sorted({bucket for bucket, _ in [*reads, *writes]})
    if not buckets:
        return {}
    return {
        "ReadObjects": ",".join(f"{arn}{bucket}/{prefix}*" for bucket, prefix in reads),
        "WriteObjects": ",".join(f"{arn}{bucket}/{prefix}*" for bucket, prefix in writes),
        "ListBuckets": ",".join(f"{arn}{bucket}" for bucket in buckets),
    }


def from_plan(file: Path) -> dict[str, str]:
    """Node types and disk from what `neurocwl plan --prices --json` printed, as parameters.

    The cheapest type, and those that are nearly as cheap. Raises BadInput for a file without prices.
    """
    try:
        found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))["prices"]
        options = found["node_types"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"--from-plan {file}: holds no prices; write it with: neurocwl plan ... --prices --json"
        ) from error
    types = {}
    for key, kind in (("SpotInstanceTypes", "spot"), ("OnDemandInstanceTypes", "on_demand")):
        priced = sorted((one[kind], one["node_type"]) for one in options if one[kind] is not None)
        near = [name for dollars, name in priced if dollars <= priced[0][0] * SIMILAR]
        if near:
            types[key] = ",".join(near[:MOST_TYPES])
    if not types:
        raise BadInput(f"--from-plan {file}: it has no node type with a price")
    chosen = {name for names in types.values() for name in names.split(",")}
    disk = max(one["volume_gib"] for one in options if one["node_type"] in chosen)
    return {**types, "DiskGib": str(max(40, disk))}


def trigger_parameters(batch: stack.Stack, pipelines: Sequence[str]) -> dict[str, str]:
    """What the trigger needs of the stack that it starts leaders of."""
    found = {
        "ClusterName": batch.outputs["Cluster"],
        "Bucket": batch.outputs["DataBucket"],
        "LeaderQueue": batch.outputs["LeaderQueue"],
        "LeaderDefinition": batch.outputs["LeaderDefinition"],
    }
    return {**found, "Pipelines": ",".join(pipelines)} if pipelines else found


def settings_of(cluster: str, access: Access) -> dict[str, str]:
    """What a launch on a cluster is told, from its stack: the outputs' names in small letters (spot_queue, job_role).

    Raises BadInput when there is no such cluster in the region.
    """
    found = stack.read(client(access, "cloudformation"), stack_name(cluster, BATCH))
    if found is None or not found.outputs:
        raise BadInput(
            f"{cluster}: {region_of(access)} has no such cluster on AWS Batch; neurocwl cluster create {cluster} --backend aws-batch makes it"
        )
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): value for key, value in found.outputs.items()}


def node_of(settings: Mapping[str, str]) -> Node:
    """The largest node of a cluster with these settings; nothing where a type is not in the table."""
    known = prices.snapshot(settings["region"]).nodes
    names = [name for name in settings.get("node_types", "").split(",") if name]
    if not names or not all(name in known for name in names):
        return Node()
    return Node(
        cpus=max(known[name].vcpus for name in names),
        memory_mib=int(MEMORY * max(known[name].memory_mib for name in names)),
        disk_mib=int(settings["node_disk"]) * GIB if settings.get("node_disk") else None,
    )


def buckets(cluster: str, store: Any) -> list[Bucket]:
    """The buckets of a cluster, by name and tag: its data, and the job stores of its runs."""
    from botocore.exceptions import ClientError

    ours = f"{stack_name(cluster, BATCH)}-"
    found = []
    with explained("buckets"):
        names = [
            one["Name"]
            for page in store.get_paginator("list_buckets").paginate()
            for one in page.get("Buckets", [])
        ]
        for name in names:
            job_store = JOB_STORE.fullmatch(name) is not None
            if not job_store and not name.startswith(ours):
                continue
            try:
                tags = store.get_bucket_tagging(Bucket=name)["TagSet"]
                if {"Key": TAG, "Value": cluster} not in tags:
                    continue
                # Of any object, or one that was deleted and still has versions.
                held = store.list_object_versions(Bucket=name, MaxKeys=1)
            except ClientError as error:
                if error.response["Error"]["Code"] in ("NoSuchTagSet", "NoSuchBucket"):
                    continue
                raise
            found.append(Bucket(name, job_store, not held.get("Versions") and not held.get("DeleteMarkers")))
    return found


def remove_bucket(store: Any, name: str, *, whole: bool) -> None:
    """Delete a bucket; one that has gone is fine. whole: with all that it holds, else only when it holds nothing."""
    from botocore.exceptions import ClientError

    with explained(f"s3://{name}"):
        try:
            pages = store.get_paginator("list_object_versions").paginate(Bucket=name) if whole else ()
            for page in pages:
                held = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                keys = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in held]
                if keys:
                    store.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
            store.delete_bucket(Bucket=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code != "NoSuchBucket" and (whole or code != "BucketNotEmpty"):
                raise
