"""How one thing of each kind is ended. What has already gone is no error; what has to wait says for what."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from neurocwl.aws.listing import Cloud
from neurocwl.aws.things import Thing
from neurocwl.errors import InfrastructureError

NOT_YET = frozenset(  # AWS refuses as long as something else is still there, or on its way out
    (
        "DependencyViolation",
        "DeleteConflict",
        "ResourceInUse",
        "ResourceInUseFault",
        "ScalingActivityInProgress",
        "IncorrectState",
        "IncorrectInstanceState",
        "VolumeInUse",
        "BucketNotEmpty",
        "OperationAborted",
        "ClientException",
        "InvalidGroup.InUse",
        "InvalidIPAddress.InUse",
        "InvalidSnapshot.InUse",
        "Throttling",
        "RequestLimitExceeded",
        "InternalError",
        "ServiceUnavailable",
        "InternalFailure",
    )
)
GONE = ("NotFound", "NoSuch", "ResourceNotFound")


class NotYet(InfrastructureError):
    """It cannot be ended now; it says why."""


class Refused(InfrastructureError):
    """It cannot be ended by waiting; it says why."""


def remove(cloud: Cloud, thing: Thing) -> None:
    """End one thing. Raises NotYet or Refused."""
    with _judged():
        REMOVERS[thing.kind](cloud, thing)


@contextmanager
def _judged() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        words = f"{error.operation_name}: {code}: {error.response.get('Error', {}).get('Message', '')}"
        absent = code == "ValidationError" and "not found" in words
        if absent or any(word in code for word in GONE):
            return
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise (NotYet if code in NOT_YET or status >= 500 else Refused)(words) from error
    except (
        BotoCoreError,
        ResponseParserError,
    ) as error:  # no connection, no answer in time, or no sense in it
        raise NotYet(str(error)) from error


def _instance(cloud: Cloud, thing: Thing) -> None:
    cloud.client("ec2").terminate_instances(InstanceIds=[thing.id])


def _spot_request(cloud: Cloud, thing: Thing) -> None:
    cloud.client("ec2").cancel_spot_instance_requests(SpotInstanceRequestIds=[thing.id])


def _group(cloud: Cloud, thing: Thing) -> None:
    cloud.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=thing.id, ForceDelete=True)


def _launch_template(cloud: Cloud, thing: Thing) -> None:
    cloud.client("ec2").delete_launch_template(LaunchTemplateId=thing.id)


def _address(cloud: Cloud, thing: Thing) -> None:
    ec2 = cloud.client("ec2")
    for raw in ec2.describe_addresses(AllocationIds=[thing.id])["Addresses"]:
        if raw.get("AssociationId"):
            ec2.disassociate_address(AssociationId=raw["AssociationId"])
    ec2.release_address(AllocationId=thing.id)


def _volume(cloud: Cloud, thing: Thing) -> None:
    if thing.holder:
        raise NotYet(f"attached to {thing.holder}")
    cloud.client("ec2").delete_volume(VolumeId=thing.id)


def _snapshot(cloud: Cloud, thing: Thing) -> None:
    cloud.client("ec2").delete_snapshot(SnapshotId=thing.id)


def _security_group(cloud: Cloud, thing: Thing) -> None:
    cloud.client("ec2").delete_security_group(GroupId=thing.id)


def _key_pair(cloud: Cloud, thing: Thing) -> None:
    cloud.client("ec2").delete_key_pair(KeyName=thing.id)


def _profile(cloud: Cloud, thing: Thing) -> None:
    iam = cloud.client("iam")
    for role in iam.get_instance_profile(InstanceProfileName=thing.id)["InstanceProfile"]["Roles"]:
        iam.remove_role_from_instance_profile(InstanceProfileName=thing.id, RoleName=role["RoleName"])
    iam.delete_instance_profile(InstanceProfileName=thing.id)


def _role(cloud: Cloud, thing: Thing) -> None:
    iam = cloud.client("iam")
    for name in list(cloud.pages("iam", "list_role_policies", "PolicyNames", RoleName=thing.id)):
        iam.delete_role_policy(RoleName=thing.id, PolicyName=name)
    for raw in list(cloud.pages("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=thing.id)):
        iam.detach_role_policy(RoleName=thing.id, PolicyArn=raw["PolicyArn"])
    iam.delete_role(RoleName=thing.id)


def _bucket(cloud: Cloud, thing: Thing) -> None:
    s3 = cloud.client("s3")
    for raw in list(cloud.pages("s3", "list_multipart_uploads", "Uploads", Bucket=thing.id)):
        s3.abort_multipart_upload(Bucket=thing.id, Key=raw["Key"], UploadId=raw["UploadId"])
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=thing.id):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        keys = [{"Key": raw["Key"], "VersionId": raw["VersionId"]} for raw in found]
        if keys:
            answer = s3.delete_objects(Bucket=thing.id, Delete={"Objects": keys, "Quiet": True})
            for failed in answer.get("Errors", [])[:1]:
                raise Refused(f"{failed.get('Key')}: {failed.get('Code')}: {failed.get('Message')}")
    s3.delete_bucket(Bucket=thing.id)


def _queue(cloud: Cloud, thing: Thing) -> None:
    batch = cloud.client("batch")
    batch.update_job_queue(jobQueue=thing.id, state="DISABLED")
    batch.delete_job_queue(jobQueue=thing.id)


def _environment(cloud: Cloud, thing: Thing) -> None:
    batch = cloud.client("batch")
    batch.update_compute_environment(computeEnvironment=thing.id, state="DISABLED")
    batch.delete_compute_environment(computeEnvironment=thing.id)


def _topic(cloud: Cloud, thing: Thing) -> None:
    sns = cloud.client("sns")
    for raw in cloud.pages("sns", "list_topics", "Topics"):
        if raw["TopicArn"].rpartition(":")[2] == thing.id:
            sns.delete_topic(TopicArn=raw["TopicArn"])


def _log_group(cloud: Cloud, thing: Thing) -> None:
    cloud.client("logs").delete_log_group(logGroupName=thing.id)


REMOVERS: Mapping[str, Callable[[Cloud, Thing], None]] = {
    "job queue": _queue,
    "compute environment": _environment,
    "autoscaling group": _group,
    "spot request": _spot_request,
    "instance": _instance,
    "launch template": _launch_template,
    "address": _address,
    "volume": _volume,
    "snapshot": _snapshot,
    "security group": _security_group,
    "key pair": _key_pair,
    "topic": _topic,
    "log group": _log_group,
    "instance profile": _profile,
    "role": _role,
    "bucket": _bucket,
    "job store": _bucket,
}
