"""What Toil leaves open on AWS is closed: ssh from anywhere, metadata without a token, plain volumes, parts without tags."""

import ipaddress
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neurocwl.aws.cluster import TAG
from neurocwl.errors import BadInput, Conflict, InfrastructureError

SSH = 22
WIDEST = {4: 8, 6: 32}  # the shortest prefix that is somebody's, by version of IP
# Containers are one hop further from the metadata service than their node, and pods two.
METADATA = {"HttpTokens": "required", "HttpPutResponseHopLimit": 3, "HttpEndpoint": "enabled"}

SPOT_LABEL = "k8s.io/cluster-autoscaler/node-template/label/eks.amazonaws.com/capacityType"


def network(text: str) -> str:
    """An address or CIDR block as a CIDR block; raises BadInput for what would let in half the world."""
    try:
        found = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise BadInput(
            f"--ssh-from {text}: {error}; write an address or a block, such as 192.0.2.7/32"
        ) from error
    if found.prefixlen < WIDEST[found.version]:
        raise BadInput(
            f"--ssh-from {text}: that is nearly everybody; give the address of the machine that you work at"
        )
    return str(found)


def own_address(service: str) -> str:
    """The address under which an address service sees this machine, as a CIDR block.

    Raises InfrastructureError when it does not tell.
    """
    fix = "give --ssh-from ADDRESS"
    try:
        with urllib.request.urlopen(service, timeout=10) as answer:
            text = answer.read(100).decode("ascii", "replace").strip()
        address = ipaddress.ip_address(text)
    except (OSError, ValueError) as error:
        raise InfrastructureError(
            f"{service} does not tell this machine's address: {error}; {fix}"
        ) from error
    return str(ipaddress.ip_network(address))


def group(ec2: Any, name: str, vpc: str, sources: Sequence[str], tags: Mapping[str, str]) -> str:
    """The id of the security group of a cluster, made before Toil would make its own.

    Toil takes a group of the cluster's name as it finds it, so that at no time ssh is open to everybody.
    Source: Toil 9.6, AWSProvisioner._createSecurityGroups.
    """
    filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc]}]
    there = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    if there and not any(tag == {"Key": TAG, "Value": name} for tag in there[0].get("Tags", [])):
        raise Conflict(f"a security group {name} is in {vpc} already, and no cluster's; choose another name")
    own = _listed({**tags, "clusterName": name})
    made = (
        there[0]["GroupId"]
        if there
        else ec2.create_security_group(
            GroupName=name,
            Description=f"neurocwl cluster {name}",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": own}],
        )["GroupId"]
    )
    admit(ec2, made, sources)
    return str(made)


def admit(ec2: Any, group_id: str, sources: Sequence[str]) -> None:
    """Let ssh in from these CIDR blocks and from nowhere else, and the nodes of the group reach each other."""
    has = ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]["IpPermissions"]
    wanted = [_from_network(source) for source in sources]
    wanted += [_from_group(protocol, group_id) for protocol in ("tcp", "udp")]
    rules = [rule for permission in has for rule in _rules(permission)]
    surplus = [rule for rule in rules if rule not in wanted]
    if surplus:
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=surplus)
    missing = [rule for rule in wanted if rule not in rules]
    if missing:
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=missing)


def _from_network(source: str) -> dict[str, Any]:
    v6 = ":" in source
    ranges = {"Ipv6Ranges": [{"CidrIpv6": source}]} if v6 else {"IpRanges": [{"CidrIp": source}]}
    return {"IpProtocol": "tcp", "FromPort": SSH, "ToPort": SSH, **ranges}


def _from_group(protocol: str, group_id: str) -> dict[str, Any]:
    pairs = [{"GroupId": group_id}]
    return {"IpProtocol": protocol, "FromPort": 0, "ToPort": 65535, "UserIdGroupPairs": pairs}


def _rules(permission: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A permission as AWS lists it, one rule for each source, without what only describes it."""
    ports = {key: permission[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in permission}
    kinds = {
        "IpRanges": "CidrIp",
        "Ipv6Ranges": "CidrIpv6",
        "UserIdGroupPairs": "GroupId",
        "PrefixListIds": "PrefixListId",
    }
    for kind, key in kinds.items():
        for source in permission.get(kind, []):
            yield {**ports, kind: [{key: source[key]}]}


def instances(ec2: Any, name: str, done: Iterable[str] = ()) -> list[str]:
    """Have every instance of a cluster give its credentials to holders of a session token alone (IMDSv2).

    done: those that are left as they are. Returns the ids of those that were changed.
    """
    filters = [
        {"Name": f"tag:{TAG}", "Values": [name]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    found = [one["InstanceId"] for page in pages for r in page["Reservations"] for one in r["Instances"]]
    changed = [one for one in found if one not in set(done)]
    for one in changed:
        ec2.modify_instance_metadata_options(InstanceId=one, **METADATA)
    return changed


def templates(ec2: Any, name: str) -> list[str]:
    """Have the workers of a cluster start with IMDSv2 and an encrypted gp3 volume; returns the templates' ids.

    Autoscaling groups take the default version of their templates, and this makes a new one. Their nodes start
    later, since no group of ours begins with one.
    """
    pages = ec2.get_paginator("describe_launch_templates").paginate(
        Filters=[{"Name": f"tag:{TAG}", "Values": [name]}]
    )
    found = [one["LaunchTemplateId"] for page in pages for one in page["LaunchTemplates"]]
    for one in found:
        versions = ec2.describe_launch_template_versions(LaunchTemplateId=one, Versions=["$Default"])
        data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        closed = _closed(data)
        if closed != data:
            made = ec2.create_launch_template_version(LaunchTemplateId=one, LaunchTemplateData=closed)
            number = str(made["LaunchTemplateVersion"]["VersionNumber"])
            ec2.modify_launch_template(LaunchTemplateId=one, DefaultVersion=number)
    return found


def _closed(data: Mapping[str, Any]) -> dict[str, Any]:
    disks = [
        {**disk, "Ebs": {**disk["Ebs"], "Encrypted": True, "VolumeType": "gp3"}} if "Ebs" in disk else disk
        for disk in data.get("BlockDeviceMappings", [])
    ]
    return {**data, "BlockDeviceMappings": disks, "MetadataOptions": METADATA}


def scaling_groups(autoscaling: Any, name: str) -> None:
    """Tell the autoscaler what workers of spot groups will be called before there is one.

    Kubernetes keeps other jobs off them by that label. From zero nodes the autoscaler sees no label, and would
    start one spot node after the other for a job that may run on none.
    """
    pages = autoscaling.get_paginator("describe_auto_scaling_groups").paginate()
    for one in (group for page in pages for group in page["AutoScalingGroups"]):
        own = {"Key": TAG, "Value": name} in [{k: t[k] for k in ("Key", "Value")} for t in one["Tags"]]
        distribution = one.get("MixedInstancesPolicy", {}).get("InstancesDistribution", {})
        if own and "SpotMaxPrice" in distribution:
            tag = {"Key": SPOT_LABEL, "Value": "SPOT", "PropagateAtLaunch": False}
            group = {"ResourceId": one["AutoScalingGroupName"], "ResourceType": "auto-scaling-group"}
            autoscaling.create_or_update_tags(Tags=[{**group, **tag}])


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def roles(iam: Any, name: str, tags: Mapping[str, str]) -> None:
    """Tag the role and instance profile that Toil made for a cluster; it tags neither."""
    own = f"{name.replace('-', '_')}_toil"
    iam.tag_role(RoleName=own, Tags=_listed(tags))
    iam.tag_instance_profile(InstanceProfileName=own, Tags=_listed(tags))
