"""`neurocwl cluster create`: Toil's real launch-cluster against moto, and what is there afterwards, read from moto.

Stand-ins, and what they do not prove: docs/not-proved.md. No machine boots (tests/data/toil_without_ssh), and
moto checks no permission.
"""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from toil.version import currentCommit

from neurocwl import prices
from tests import clouds

WITHOUT_SSH = Path(__file__).parents[1] / "data" / "toil_without_ssh"
HERE = "198.51.100.7"  # what the address service says: an address of documentation, nobody's
# Toil asks the registry for an image, unless its tag names Toil's commit.
APPLIANCE = f"registry.example/neurocwl/appliance:0.1-{currentCommit}"


@dataclass(frozen=True)
class Cloud:
    """An account of moto's, and the command."""

    variables: dict[str, str]
    address_service: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name=clouds.REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def cluster(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TOIL_"))}
        path = os.pathsep.join(filter(None, (str(WITHOUT_SSH), os.environ.get("PYTHONPATH"))))
        environment = {**kept, **self.variables, "PYTHONPATH": path, "TOIL_AWS_AMI": "ami-03cf127a", **more}
        return subprocess.run(
            [sys.executable, "-m", "neurocwl", "cluster", *words],
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
        )

    def create(self, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        service = f"address_service={self.address_service}"
        own = ["--key-pair", "mine", "--appliance", APPLIANCE, "--backend-setting", service]
        return self.cluster("create", name, *own, *words)

    def tagged(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """Instances, volumes, groups, templates and autoscaling groups with the tag of a cluster."""
        ec2, by_tag = self.client("ec2"), [{"Name": "tag:neurocwl:cluster", "Values": [name]}]
        reservations = ec2.describe_instances(Filters=by_tag)["Reservations"]
        scaling = self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return {
            "instances": [one for r in reservations for one in r["Instances"]],
            "volumes": ec2.describe_volumes(Filters=by_tag)["Volumes"],
            "groups": ec2.describe_security_groups(Filters=by_tag)["SecurityGroups"],
            "templates": ec2.describe_launch_templates(Filters=by_tag)["LaunchTemplates"],
            "scaling": [g for g in scaling if tags_of(g).get("neurocwl:cluster") == name],
        }


def tags_of(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}


class AddressService(http.server.BaseHTTPRequestHandler):
    """Answers as checkip does: the caller's address, here a made-up one."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{HERE}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), AddressService)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with clouds.moto_server() as url:
            one = Cloud(clouds.variables(url), f"http://127.0.0.1:{server.server_port}/")
            one.client("ec2").create_key_pair(KeyName="mine")
            yield one
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def kubernetes(cloud: Cloud) -> dict[str, list[dict[str, Any]]]:
    """A cluster with one type on demand and one as spot."""
    words = ["--node-types", "m5.4xlarge,r5.2xlarge:spot", "--max-nodes", "7", "--node-disk", "321"]
    made = cloud.create("lab-k", *words, "--zone", "us-west-2b")
    assert made.returncode == 0, made.stderr
    assert "stand-in: does not wait for toil_leader" in made.stderr  # no machine was waited for
    return cloud.tagged("lab-k")


def template_data(cloud: Cloud, template: dict[str, Any]) -> dict[str, Any]:
    found = cloud.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Default"]
    )
    data: dict[str, Any] = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def test_there_is_one_leader_in_the_zone_and_no_worker_yet(kubernetes: dict[str, Any]) -> None:
    (leader,) = kubernetes["instances"]
    assert leader["InstanceType"] == "m5.large"
    assert leader["Placement"]["AvailabilityZone"] == "us-west-2b"
    assert leader["KeyName"] == "mine"
    assert tags_of(leader)["ToilNodeType"] == "leader"
    (volume,) = kubernetes["volumes"]
    assert volume["Size"] == 80


def test_each_kind_of_worker_has_a_group_that_scales_from_none(
    cloud: Cloud, kubernetes: dict[str, Any]
) -> None:
    def kind(group: dict[str, Any]) -> str:
        return str(group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"][0]["InstanceType"])

    groups = {kind(group): group for group in kubernetes["scaling"]}
    assert set(groups) == {"m5.4xlarge", "r5.2xlarge"}
    for group in groups.values():
        assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (0, 7, 0)
        assert "k8s.io/cluster-autoscaler/lab-k" in tags_of(group)
    on_demand, spot = (
        groups[name]["MixedInstancesPolicy"].get("InstancesDistribution", {})
        for name in ("m5.4xlarge", "r5.2xlarge")
    )
    assert "SpotMaxPrice" not in on_demand
    assert spot["OnDemandPercentageAboveBaseCapacity"] == 0
    assert float(spot["SpotMaxPrice"]) == prices.snapshot(clouds.REGION).on_demand["r5.2xlarge"]


def test_workers_have_the_disk_that_was_asked_for_and_it_is_encrypted(
    cloud: Cloud, kubernetes: dict[str, Any]
) -> None:
    assert len(kubernetes["templates"]) == 2
    for template in kubernetes["templates"]:
        (disk,) = template_data(cloud, template)["BlockDeviceMappings"]
        assert disk["Ebs"] == {
            "DeleteOnTermination": True,
            "VolumeSize": 321,
            "VolumeType": "gp3",
            "Encrypted": True,
        }


def test_no_node_gives_its_credentials_without_a_token(cloud: Cloud, kubernetes: dict[str, Any]) -> None:
    (leader,) = kubernetes["instances"]
    nodes = [leader["MetadataOptions"]]
    nodes += [template_data(cloud, template)["MetadataOptions"] for template in kubernetes["templates"]]
    assert {(one["HttpTokens"], one["HttpPutResponseHopLimit"]) for one in nodes} == {("required", 3)}


def test_ssh_is_let_in_from_the_users_address_alone(cloud: Cloud, kubernetes: dict[str, Any]) -> None:
    (group,) = kubernetes["groups"]
    rules = [
        (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], source)
        for rule in group["IpPermissions"]
        for source in (
            *(one["CidrIp"] for one in rule["IpRanges"]),
            *(one["CidrIpv6"] for one in rule["Ipv6Ranges"]),
            *(one["GroupId"] for one in rule["UserIdGroupPairs"]),
        )
    ]
    own = group["GroupId"]
    assert sorted(rules) == [
        ("tcp", 0, 65535, own),
        ("tcp", 22, 22, f"{HERE}/32"),
        ("udp", 0, 65535, own),
    ]
    (leader,) = kubernetes["instances"]
    assert [one["GroupId"] for one in leader["SecurityGroups"]] == [own]
    for template in kubernetes["templates"]:
        assert template_data(cloud, template)["SecurityGroupIds"] == [own]


def test_everything_is_tagged_with_the_clusters_name(cloud: Cloud, kubernetes: dict[str, Any]) -> None:
    iam, s3 = cloud.client("iam"), cloud.client("s3")
    named = {
        "role": iam.list_role_tags(RoleName="lab_k_toil"),
        "profile": iam.get_instance_profile(InstanceProfileName="lab_k_toil")["InstanceProfile"],
        "bucket": {"Tags": s3.get_bucket_tagging(Bucket="lab-k--internal")["TagSet"]},
    }
    assert {key: tags_of(thing)["neurocwl:cluster"] for key, thing in named.items()} == dict.fromkeys(
        named, "lab-k"
    )
    assert {key: len(things) for key, things in kubernetes.items()} == {
        "instances": 1,
        "volumes": 1,
        "groups": 1,
        "templates": 2,
        "scaling": 2,
    }


def test_what_a_launch_needs_to_know_is_on_the_leader(kubernetes: dict[str, Any]) -> None:
    (leader,) = kubernetes["instances"]
    own = {key: value for key, value in tags_of(leader).items() if key.startswith("neurocwl:")}
    assert own == {
        "neurocwl:cluster": "lab-k",
        "neurocwl:backend": "aws",
        "neurocwl:appliance": APPLIANCE,
        "neurocwl:node-types": "m5.4xlarge r5.2xlarge:0.504",
        "neurocwl:max-nodes": "7",
        "neurocwl:node-disk-gib": "321",
    }


def test_a_second_cluster_of_the_name_is_refused_and_the_first_is_left_alone(
    cloud: Cloud, kubernetes: dict[str, Any]
) -> None:
    again = cloud.create("lab-k", "--zone", "us-west-2b")
    assert again.returncode == 3
    assert "cluster lab-k is there since" in again.stderr
    assert cloud.tagged("lab-k") == kubernetes


@pytest.mark.usefixtures("kubernetes")
@pytest.mark.parametrize("name", ["lab", "lab-k-2"])
def test_a_name_that_toil_could_not_tell_from_another_clusters_is_refused(cloud: Cloud, name: str) -> None:
    refused = cloud.create(name)
    assert refused.returncode == 2
    assert "lab_k_toil" in refused.stderr
    assert cloud.tagged(name)["groups"] == []


@pytest.mark.usefixtures("kubernetes")
def test_the_address_that_ssh_comes_from_can_be_changed(cloud: Cloud) -> None:
    (before,) = cloud.tagged("lab-k")["groups"]
    moved = cloud.cluster("allow", "lab-k", "--ssh-from", "203.0.113.9", "2001:db8::/64")
    assert moved.returncode == 0, moved.stderr
    (after,) = cloud.tagged("lab-k")["groups"]
    ssh = [rule for rule in after["IpPermissions"] if rule["FromPort"] == 22]
    assert [one["CidrIp"] for rule in ssh for one in rule["IpRanges"]] == ["203.0.113.9/32"]
    assert [one["CidrIpv6"] for rule in ssh for one in rule["Ipv6Ranges"]] == ["2001:db8::/64"]
    back = cloud.cluster("allow", "lab-k", "--ssh-from", HERE)
    assert back.returncode == 0, back.stderr
    (again,) = cloud.tagged("lab-k")["groups"]
    key = str
    assert sorted(again["IpPermissions"], key=key) == sorted(before["IpPermissions"], key=key)


def test_a_mesos_cluster_has_a_leader_alone_until_a_launch_asks_for_workers(cloud: Cloud) -> None:
    made = cloud.create(
        "m", "--backend", "aws-mesos", "--node-types", "r5.2xlarge", "--ssh-from", "192.0.2.4"
    )
    assert made.returncode == 0, made.stderr
    found = cloud.tagged("m")
    assert {key: len(things) for key, things in found.items()} == {
        "instances": 1,
        "volumes": 1,
        "groups": 1,
        "templates": 0,
        "scaling": 0,
    }
    assert found["instances"][0]["MetadataOptions"]["HttpTokens"] == "required"
    ssh = [rule for rule in found["groups"][0]["IpPermissions"] if rule["FromPort"] == 22]
    assert [one["CidrIp"] for rule in ssh for one in rule["IpRanges"]] == ["192.0.2.4/32"]


def test_a_private_subnet_is_taken_only_when_it_is_meant(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-west-2c")["Subnet"]
    where = ["--subnet", subnet["SubnetId"]]
    refused = cloud.create("inside", *where)
    assert refused.returncode == 2
    assert "--private" in refused.stderr
    made = cloud.create("inside", *where, "--private", "--ssh-from", "10.0.0.0/8")
    assert made.returncode == 0, made.stderr
    found = cloud.tagged("inside")
    (leader,) = found["instances"]
    assert leader["SubnetId"] == subnet["SubnetId"]
    assert "PublicIpAddress" not in leader
    assert [group["VpcId"] for group in found["groups"]] == [vpc]
    assert {one["VPCZoneIdentifier"] for one in found["scaling"]} == {subnet["SubnetId"]}


def test_when_toil_fails_what_it_made_is_said_and_closed_all_the_same(cloud: Cloud) -> None:
    failed = cloud.create("half", "--leader-type", "t2.small", "--ssh-from", "192.0.2.4")
    assert failed.returncode == 3
    assert "2 or more cores" in failed.stderr  # Toil's own words
    assert "neurocwl cluster destroy half" in failed.stderr
    found = cloud.tagged("half")
    assert found["instances"] == []
    sources = [one["CidrIp"] for rule in found["groups"][0]["IpPermissions"] for one in rule["IpRanges"]]
    assert sources == ["192.0.2.4/32"]
