"""How each kind of thing on AWS that a cluster or a run may leave is found in one region of an account."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from neurocwl import prices
from neurocwl.aws import session
from neurocwl.aws.things import (
    ADDRESS_HOUR,
    GB_MONTH,
    HOURS,
    INTERNAL,
    JOB_STORE,
    LOGS_GB_MONTH,
    LONGEST_BUCKET,
    OBJECTS_GB_MONTH,
    OUR_POLICY,
    OUTPUT,
    OWNER,
    RUN,
    SNAPSHOT_GB_MONTH,
    TOIL_GROUP,
    TOIL_POLICIES,
    TOIL_ROLE,
    Thing,
    claims,
    cluster_of_toil_name,
    owner,
    tags_of,
    toil_name,
)
from neurocwl.errors import BadInput
from neurocwl.s3 import Access

COUNTED = 5000  # objects of a bucket that are looked at
GIB = 1 << 30


class Cloud:
    """One region of an account: its clients, and what several kinds of things ask for."""

    def __init__(self, access: Access, region: str, beside: "Cloud | None" = None) -> None:
        """beside: of another region of the same account."""
        self.access, self.region = access, region
        self._clients: dict[str, Any] = {}
        self._session: Any = beside._session if beside else session.opened(access)
        self._lock: threading.Lock = (
            beside._lock if beside else threading.Lock()
        )  # sessions are for one thread

    def client(self, service: str) -> Any:
        """The client of a service, made once: that costs more than a call."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = session.client(
                    self.access, service, self.region, within=self._session
                )
            return self._clients[service]

    def pages(self, service: str, call: str, key: str, **words: Any) -> Iterator[Any]:
        """The items below a key in all pages of an answer."""
        client = self.client(service)
        if not client.can_paginate(call):
            yield from getattr(client, call)(**words).get(key, [])
            return
        for page in client.get_paginator(call).paginate(**words):
            yield from page.get(key, [])

    @cached_property
    def dollars(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Dollars per hour of instance types, on demand and spot."""
        try:
            table = prices.snapshot(self.region)
        except BadInput:  # a region that the table does not have
            return {}, {}
        return table.on_demand, table.spot


Lister = Callable[[Cloud], Iterator[Thing]]


def instances(cloud: Cloud) -> Iterator[Thing]:
    """Instances; one without any tag belongs to the cluster whose security group it is in.

    Toil puts the tags on spot instances only when they run.
    """
    groups = {group.id: group.cluster for group in security_groups(cloud)}
    for reservation in cloud.pages("ec2", "describe_instances", "Reservations"):
        for raw in reservation["Instances"]:
            tags, state = tags_of(raw.get("Tags")), raw["State"]["Name"]
            if state == "terminated":
                continue
            cluster = owner(tags)
            if not cluster and not claims(tags):
                within = {group["GroupId"] for group in raw.get("SecurityGroups", [])}
                cluster = " | ".join(sorted({groups[one] for one in within & groups.keys()}))
            spot = raw.get("InstanceLifecycle") == "spot"
            kind, zone = raw["InstanceType"], raw["Placement"]["AvailabilityZone"]
            yield Thing(
                "instance",
                raw["InstanceId"],
                cloud.region,
                cluster,
                tags.get(RUN, ""),
                since=raw["LaunchTime"],
                hourly=cloud.dollars[spot].get(kind) if state in ("pending", "running") else 0.0,
                note=f"{kind}{', spot' if spot else ''}, {state}, {zone}",
                role="" if state == "shutting-down" else tags.get(TOIL_ROLE, "worker"),
                zone=zone,
                network=raw.get("VpcId", ""),
            )


def spot_requests(cloud: Cloud) -> Iterator[Thing]:
    """Spot requests that may still bring an instance."""
    for raw in cloud.pages("ec2", "describe_spot_instance_requests", "SpotInstanceRequests"):
        if raw["State"] in ("open", "active"):
            yield _tagged(
                "spot request", raw["SpotInstanceRequestId"], cloud, raw, since=raw.get("CreateTime")
            )


def groups(cloud: Cloud) -> Iterator[Thing]:
    """Auto Scaling groups: by themselves free, but they bring instances."""
    for raw in cloud.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups"):
        note = f"{raw['MinSize']} to {raw['MaxSize']} instances" + (
            f", {raw['Status']}" if raw.get("Status") else ""
        )
        yield _tagged(
            "autoscaling group", raw["AutoScalingGroupName"], cloud, raw, since=raw["CreatedTime"], note=note
        )


def launch_templates(cloud: Cloud) -> Iterator[Thing]:
    """Launch templates."""
    for raw in cloud.pages("ec2", "describe_launch_templates", "LaunchTemplates"):
        note = raw["LaunchTemplateName"]
        yield _tagged(
            "launch template", raw["LaunchTemplateId"], cloud, raw, since=raw["CreateTime"], note=note
        )


def volumes(cloud: Cloud) -> Iterator[Thing]:
    """Volumes, attached or not."""
    for raw in cloud.pages("ec2", "describe_volumes", "Volumes"):
        kind = raw.get("VolumeType", "gp2")
        holder = next((one["InstanceId"] for one in raw.get("Attachments", []) if one.get("InstanceId")), "")
        yield _tagged(
            "volume",
            raw["VolumeId"],
            cloud,
            raw,
            since=raw["CreateTime"],
            hourly=raw["Size"] * GB_MONTH.get(kind, max(GB_MONTH.values())) / HOURS,
            note=f"{raw['Size']} GiB, {kind}, {raw['State']}",
            holder=holder,
        )


def images(cloud: Cloud) -> Iterator[Thing]:
    """Machine images, which somebody made for many clusters; what they cost is their snapshots."""
    for raw in cloud.pages("ec2", "describe_images", "Images", Owners=["self"]):
        yield _tagged("machine image", raw["ImageId"], cloud, raw, note=raw.get("Name", ""), kept=True)


def snapshots(cloud: Cloud) -> Iterator[Thing]:
    """Snapshots of volumes, at the price of a full one; that of a machine image is whose the image is."""
    of_images = {
        disk["Ebs"]["SnapshotId"]: raw
        for raw in cloud.pages("ec2", "describe_images", "Images", Owners=["self"])
        for disk in raw.get("BlockDeviceMappings", [])
        if disk.get("Ebs", {}).get("SnapshotId")
    }
    for raw in cloud.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"]):
        hourly = raw["VolumeSize"] * SNAPSHOT_GB_MONTH / HOURS
        note = f"{raw['VolumeSize']} GiB"
        image = of_images.get(raw["SnapshotId"], {})
        holder = image.get("ImageId", "")
        yield _tagged(
            "snapshot",
            raw["SnapshotId"],
            cloud,
            {"Tags": raw.get("Tags") or image.get("Tags")},
            since=raw["StartTime"],
            hourly=hourly,
            note=note,
            holder=holder,
            kept=bool(holder),
        )


def addresses(cloud: Cloud) -> Iterator[Thing]:
    """Elastic addresses."""
    for raw in cloud.client("ec2").describe_addresses()["Addresses"]:
        yield _tagged(
            "address",
            raw.get("AllocationId", raw["PublicIp"]),
            cloud,
            raw,
            hourly=ADDRESS_HOUR,
            note=raw["PublicIp"],
            holder=raw.get("InstanceId", ""),
        )


def security_groups(cloud: Cloud) -> Iterator[Thing]:
    """Security groups; Toil's are known by their description, since they have no tag."""
    for raw in cloud.pages("ec2", "describe_security_groups", "SecurityGroups"):
        tags = tags_of(raw.get("Tags"))
        by_name = raw["GroupName"] if raw.get("Description") == TOIL_GROUP and not claims(tags) else ""
        yield Thing(
            "security group",
            raw["GroupId"],
            cloud.region,
            owner(tags) or by_name,
            tags.get(RUN, ""),
            note=raw["GroupName"],
            network=raw.get("VpcId", ""),
        )


def key_pairs(cloud: Cloud) -> Iterator[Thing]:
    """Key pairs that were made for a cluster."""
    for raw in cloud.client("ec2").describe_key_pairs()["KeyPairs"]:
        yield _tagged("key pair", raw["KeyName"], cloud, raw, since=raw.get("CreateTime"))


def profiles(cloud: Cloud) -> Iterator[Thing]:
    """Instance profiles with Toil's name and nothing but the role of the same name."""
    for raw in cloud.pages("iam", "list_instance_profiles", "InstanceProfiles"):
        name = raw["InstanceProfileName"]
        cluster = cluster_of_toil_name(name)
        if cluster and {role["RoleName"] for role in raw.get("Roles", [])} <= {toil_name(cluster)}:
            yield Thing("instance profile", name, "", cluster, since=raw["CreateDate"])


def roles(cloud: Cloud) -> Iterator[Thing]:
    """Roles with Toil's name and, as far as they are there, Toil's policies, or our tag."""
    for raw in cloud.pages("iam", "list_roles", "Roles"):
        cluster = cluster_of_toil_name(raw["RoleName"])
        if not cluster:
            continue
        tags = tags_of(cloud.pages("iam", "list_role_tags", "Tags", RoleName=raw["RoleName"]))
        policies = set(cloud.pages("iam", "list_role_policies", "PolicyNames", RoleName=raw["RoleName"]))
        if claims(tags):
            cluster = owner(tags)
        elif not policies <= TOIL_POLICIES | {OUR_POLICY}:
            continue
        yield Thing("role", raw["RoleName"], "", cluster, tags.get(RUN, ""), since=raw["CreateDate"])


def buckets(cloud: Cloud) -> Iterator[Thing]:
    """Toil's internal bucket of a cluster, job stores, and what has our tag: that is data."""
    for raw in cloud.pages("s3", "list_buckets", "Buckets"):
        name = raw["Name"]
        store, internal = bool(JOB_STORE.fullmatch(name)), name.endswith(INTERNAL)
        tags = bucket_tags(cloud, name, foreign=not (store or internal))
        if not (store or internal or OWNER in tags):
            continue
        size, keys, whole = _content(cloud, name)
        cluster = owner(tags)
        if internal and not claims(tags) and len(name) < LONGEST_BUCKET:
            # Toil tags it only where it was told to; a name of full length may be one that was cut.
            cluster = name.removesuffix(INTERNAL) if all(key.startswith("configs/") for key in keys) else ""
        yield Thing(
            "job store" if store else "bucket" if internal else "data bucket",
            name,
            "",
            cluster,
            tags.get(RUN, ""),
            tags.get(OUTPUT, ""),
            since=raw["CreationDate"],
            hourly=size / GIB * OBJECTS_GB_MONTH / HOURS,
            note=f"{'' if whole else 'more than '}{len(keys)} objects, {size / 1e6:.1f} MB",
            kept=not (store or internal),
        )


def bucket_tags(cloud: Cloud, name: str, *, foreign: bool = False) -> dict[str, str]:
    """The tags of a bucket; none when it has gone. foreign: it need not let us look."""
    from botocore.exceptions import ClientError

    try:
        return tags_of(cloud.client("s3").get_bucket_tagging(Bucket=name)["TagSet"])
    except ClientError as error:
        if foreign or error.response["Error"]["Code"] in ("NoSuchTagSet", "NoSuchBucket"):
            return {}
        raise


def _content(cloud: Cloud, name: str) -> tuple[int, list[str], bool]:
    """Bytes and keys of a bucket's first objects, all versions, and whether that is all."""
    from botocore.exceptions import ClientError

    size, keys = 0, list[str]()
    try:
        for raw in cloud.pages("s3", "list_object_versions", "Versions", Bucket=name):
            if len(keys) == COUNTED:
                return size, keys, False
            size += raw["Size"]
            keys.append(raw["Key"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
    return size, keys, True


def stacks(cloud: Cloud) -> Iterator[Thing]:
    """CloudFormation stacks; what is in them goes with them."""
    for raw in cloud.pages("cloudformation", "describe_stacks", "Stacks"):
        if raw["StackStatus"] != "DELETE_COMPLETE":
            yield _tagged(
                "stack", raw["StackName"], cloud, raw, since=raw["CreationTime"], note=raw["StackStatus"]
            )


def batch_environments(cloud: Cloud) -> Iterator[Thing]:
    """Batch compute environments."""
    for raw in cloud.pages("batch", "describe_compute_environments", "computeEnvironments"):
        if raw.get("status") != "DELETED":
            note = f"{raw.get('state', '')} {raw.get('status', '')}".strip()
            yield _tagged("compute environment", raw["computeEnvironmentName"], cloud, raw, note=note)


def batch_queues(cloud: Cloud) -> Iterator[Thing]:
    """Batch job queues."""
    for raw in cloud.pages("batch", "describe_job_queues", "jobQueues"):
        if raw.get("status") != "DELETED":
            note = f"{raw.get('state', '')} {raw.get('status', '')}".strip()
            yield _tagged("job queue", raw["jobQueueName"], cloud, raw, note=note)


def topics(cloud: Cloud) -> Iterator[Thing]:
    """SNS topics; one call for each in the account, which the tags take."""
    sns = cloud.client("sns")
    for raw in cloud.pages("sns", "list_topics", "Topics"):
        found = sns.list_tags_for_resource(ResourceArn=raw["TopicArn"])
        yield _tagged("topic", raw["TopicArn"].rpartition(":")[2], cloud, found)


def log_groups(cloud: Cloud) -> Iterator[Thing]:
    """Log groups by their tag, or with our name in theirs."""
    logs = cloud.client("logs")
    for raw in cloud.pages("logs", "describe_log_groups", "logGroups"):
        if "neurocwl" in raw["logGroupName"]:
            found = logs.list_tags_log_group(logGroupName=raw["logGroupName"])
            size = raw.get("storedBytes", 0)
            yield _tagged(
                "log group",
                raw["logGroupName"],
                cloud,
                {"Tags": found.get("tags", {})},
                since=datetime.fromtimestamp(raw["creationTime"] / 1000, UTC),
                hourly=size / GIB * LOGS_GB_MONTH / HOURS,
                note=f"{size / 1e6:.1f} MB",
            )


def _tagged(kind: str, id: str, cloud: Cloud, raw: Mapping[str, Any], **more: Any) -> Thing:
    tags = tags_of(raw.get("Tags", raw.get("tags")))
    return Thing(kind, id, cloud.region, owner(tags), tags.get(RUN, ""), tags.get(OUTPUT, ""), **more)


# In the order in which they are ended: nothing may bring back what ended before it, or hold what ends after it.
REGIONAL: Mapping[str, Lister] = {
    "stack": stacks,
    "job queue": batch_queues,
    "compute environment": batch_environments,
    "autoscaling group": groups,
    "spot request": spot_requests,
    "instance": instances,
    "launch template": launch_templates,
    "address": addresses,
    "volume": volumes,
    "machine image": images,
    "snapshot": snapshots,
    "security group": security_groups,
    "key pair": key_pairs,
    "topic": topics,
    "log group": log_groups,
}
GLOBAL: Mapping[str, Lister] = {"instance profile": profiles, "role": roles, "bucket": buckets}
