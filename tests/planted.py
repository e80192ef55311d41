"""What a cluster may leave on AWS, one of each kind, made on an emulator; and neighbours that nobody may touch."""

import json
from typing import Any

from neurocwl.aws.listing import Cloud

IMAGE = "ami-03cf127a"
RUN = "20261121t120000-abcd"
DIGEST = "0123456789abcdef"


def tags(cluster: str, role: str = "worker") -> list[dict[str, str]]:
    """As Toil puts them, with our own."""
    own = {"Name": cluster, "clusterName": cluster, "ToilNodeType": role, "neurocwl:cluster": cluster}
    return [{"Key": key, "Value": value} for key, value in own.items()]


def specified(kind: str, cluster: str, role: str = "worker") -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags(cluster, role)}]


def instance(cloud: Cloud, group: str, **more: Any) -> str:
    made = cloud.client("ec2").run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="m5.4xlarge", SecurityGroupIds=[group], **more
    )
    return str(made["Instances"][0]["InstanceId"])


def role(cloud: Cloud, name: str, policies: tuple[str, ...]) -> None:
    iam = cloud.client("iam")
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    for policy in policies:
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)


def bucket(cloud: Cloud, name: str, keys: tuple[str, ...], **own: str) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    if own:
        found = [{"Key": f"neurocwl:{key}", "Value": value} for key, value in own.items()]
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": found})
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"x")


def cluster(cloud: Cloud, name: str) -> None:
    """One of each kind, two of some."""
    ec2, zone = cloud.client("ec2"), f"{cloud.region}a"
    network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(
        GroupName=name, Description="Toil appliance security group", VpcId=network
    )["GroupId"]
    instance(cloud, group, TagSpecifications=specified("instance", name, "leader"))
    instance(cloud, group)  # Toil puts tags on spot instances when they run: this one was cut off before
    stopped = instance(cloud, group, TagSpecifications=specified("instance", name))
    ec2.stop_instances(InstanceIds=[stopped])
    template = ec2.create_launch_template(
        LaunchTemplateName=f"{name}-lt-r5.2xlarge",
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": "r5.2xlarge",
            "TagSpecifications": specified("instance", name),
        },
        TagSpecifications=specified("launch-template", name),
    )["LaunchTemplate"]["LaunchTemplateId"]
    cloud.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=f"toil-{name}",
        LaunchTemplate={"LaunchTemplateId": template},
        MinSize=1,
        MaxSize=4,
        AvailabilityZones=[zone],
        Tags=[{**tag, "PropagateAtLaunch": False} for tag in tags(name)],
    )
    request = ec2.request_spot_instances(
        InstanceCount=1, LaunchSpecification={"ImageId": IMAGE, "InstanceType": "r5.2xlarge"}
    )["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
    ec2.create_tags(Resources=[request], Tags=tags(name))
    volume = ec2.create_volume(
        AvailabilityZone=zone, Size=100, VolumeType="gp3", TagSpecifications=specified("volume", name)
    )["VolumeId"]
    ec2.create_snapshot(VolumeId=volume, TagSpecifications=specified("snapshot", name))
    ec2.allocate_address(Domain="vpc", TagSpecifications=specified("elastic-ip", name))
    ec2.create_key_pair(KeyName=f"{name}-key", TagSpecifications=specified("key-pair", name))
    _identity(cloud, name)
    bucket(cloud, f"{name}--internal", ())
    s3 = cloud.client("s3")
    s3.put_bucket_versioning(Bucket=f"{name}--internal", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=f"{name}--internal", Key="configs/worker/config-1.ign", Body=body)
    s3.delete_object(Bucket=f"{name}--internal", Key="configs/worker/config-1.ign")
    store = f"neurocwl-{DIGEST}-{RUN}-{name}--toil"
    bucket(cloud, store, ("config.pickle", "jobs/1"), cluster=name, run=RUN, output="s3://lab/out")
    s3.create_multipart_upload(Bucket=store, Key="files-flat/1")
    _services(cloud, name)


def _identity(cloud: Cloud, name: str) -> None:
    iam, own = cloud.client("iam"), f"{name.replace('-', '_')}_toil"
    role(cloud, own, ("iam_full", "ec2_full", "s3_full", "sbd_full"))
    nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    managed = iam.create_policy(PolicyName=own, PolicyDocument=json.dumps(nothing))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=own, PolicyArn=managed)
    iam.create_instance_profile(InstanceProfileName=own)
    iam.add_role_to_instance_profile(InstanceProfileName=own, RoleName=own)


def _services(cloud: Cloud, name: str) -> None:
    """What a stack of Batch leaves when somebody deletes it by halves."""
    own = {"neurocwl:cluster": name}
    batch = cloud.client("batch")
    trusted = cloud.client("iam").get_role(RoleName=f"{name.replace('-', '_')}_toil")["Role"]["Arn"]
    environment = batch.create_compute_environment(
        computeEnvironmentName=f"{name}-environment", type="UNMANAGED", serviceRole=trusted, tags=own
    )["computeEnvironmentArn"]
    batch.create_job_queue(
        jobQueueName=f"{name}-queue",
        priority=1,
        state="ENABLED",
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
        tags=own,
    )
    cloud.client("sns").create_topic(
        Name=f"{name}-topic", Tags=[{"Key": key, "Value": value} for key, value in own.items()]
    )
    cloud.client("logs").create_log_group(logGroupName=f"/neurocwl/{name}", tags=own)


def lookalikes(cloud: Cloud, name: str) -> dict[str, str]:
    """What looks like a part of a cluster and is none, by the call that shows whether it is still there."""
    ec2 = cloud.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName=name, Description="a lab's own", VpcId=network)["GroupId"]
    default = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])
    contested = instance(cloud, default["SecurityGroups"][0]["GroupId"])
    ec2.create_tags(Resources=[contested], Tags=tags(name))
    ec2.create_tags(Resources=[contested], Tags=[{"Key": "neurocwl:cluster", "Value": f"{name}x"}])
    kubernetes = ec2.create_volume(AvailabilityZone=f"{cloud.region}a", Size=1)["VolumeId"]
    ec2.create_tags(Resources=[kubernetes], Tags=[{"Key": f"kubernetes.io/cluster/{name}", "Value": "owned"}])
    anybodys = ec2.create_volume(AvailabilityZone=f"{cloud.region}a", Size=1)["VolumeId"]
    ec2.create_tags(Resources=[anybodys], Tags=[{"Key": "clusterName", "Value": name}])
    role(cloud, f"{name}_writer", ("writer",))
    bucket(cloud, f"{name}-data", ("sub-01/anat/sub-01_T1w.nii.gz",), cluster=name)
    bucket(cloud, f"neurocwl-{'f' * 16}-{RUN}-001--toil", ("somebody's",))
    image = ec2.register_image(Name="baked")["ImageId"]
    ec2.create_tags(Resources=[image], Tags=tags(name))
    disk = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]
    snapshot = disk["Ebs"]["SnapshotId"]
    return {
        "security group": group,
        "instance": contested,
        "volume of kubernetes": kubernetes,
        "volume": anybodys,
        "role": f"{name}_writer",
        "data bucket": f"{name}-data",
        "machine image": image,
        "snapshot": snapshot,
        "bucket by name": f"neurocwl-{'f' * 16}-{RUN}-001--toil",
    }


def still_there(cloud: Cloud, found: dict[str, str]) -> dict[str, str]:
    """Those of the lookalikes that are."""
    ec2 = cloud.client("ec2")
    running = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    there = {raw["GroupId"] for raw in ec2.describe_security_groups()["SecurityGroups"]}
    there |= {one["InstanceId"] for raw in running["Reservations"] for one in raw["Instances"]}
    there |= {raw["ImageId"] for raw in ec2.describe_images(Owners=["self"])["Images"]}
    there |= {raw["SnapshotId"] for raw in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    there |= {raw["VolumeId"] for raw in ec2.describe_volumes()["Volumes"]}
    there |= {raw["RoleName"] for raw in cloud.client("iam").list_roles()["Roles"]}
    s3 = cloud.client("s3")
    full = [raw["Name"] for raw in s3.list_buckets()["Buckets"]]
    there |= {name for name in full if s3.list_objects_v2(Bucket=name)["KeyCount"]}
    return {kind: id for kind, id in found.items() if id in there}
