"""`neurocwl cluster create`: Toil's real launch-cluster against moto, and what is there afterwards, read from moto.

Stand-ins, and what they do not prove: docs/not-proved.md. No machine boots (tests/data/toil_without_ssh), and
moto checks no permission.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neurocwl import prices
from tests import clouds, toil_cloud
from tests.toil_cloud import APPLIANCE, HERE, Cloud, tags_of


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with toil_cloud.cloud(tmp_path_factory.mktemp("laptop")) as one:
        yield one


@pytest.fixture(scope="module")
def kubernetes(cloud: Cloud) -> dict[str, list[dict[str, Any]]]:
    """A cluster with one type on demand and one as spot."""
    words = ["--node-types", "m5.4xlarge,r5.2xlarge:spot", "--max-nodes", "7", "--node-disk", "321"]
    made = cloud.create("lab-k", *words, "--zone", "us-west-2b", "--tag", "project=memory")
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
    label = "k8s.io/cluster-autoscaler/node-template/label/eks.amazonaws.com/capacityType"
    assert [tags_of(groups[name]).get(label) for name in ("m5.4xlarge", "r5.2xlarge")] == [None, "SPOT"]
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
    named |= {key: things[0] for key, things in kubernetes.items()}
    assert {key: tags_of(thing)["project"] for key, thing in named.items()} == dict.fromkeys(named, "memory")
    assert {key: len(things) for key, things in kubernetes.items()} == {
        "instances": 1,
        "volumes": 1,
        "groups": 1,
        "templates": 2,
        "scaling": 2,
    }


@pytest.mark.usefixtures("kubernetes")
def test_the_dead_mans_switch_is_started_on_the_leader(cloud: Cloud) -> None:
    """What it does is tests/unit's to show; here, that ssh is told to start it, and where."""
    asked = [json.loads(line) for line in cloud.notes.read_text().splitlines()]
    (leader,) = cloud.tagged("lab-k")["instances"]
    mine = [one for one in asked if one["host"] == f"core@{leader['PublicIpAddress']}"]
    assert f"-oHostKeyAlias={leader['InstanceId']}" in mine[0]["options"]
    started = [one["words"] for one in mine if one["words"][2] == "-d"]
    assert len(started) == 1
    assert "exec neurocwl cluster watch lab-k --region us-west-2 --idle 2h --max-age 48h" in started[0][-1]


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


def test_a_dry_run_says_what_it_would_cost_and_makes_nothing(cloud: Cloud) -> None:
    shown = cloud.create("dry", "--node-types", "m5.4xlarge", "--dry-run")
    assert (shown.returncode, "at most $" in shown.stderr) == (0, True)
    assert cloud.tagged("dry")["groups"] == cloud.tagged("dry")["instances"] == []


@pytest.mark.parametrize(
    "words", [("--trigger", "fmriprep"), ("--read", "s3://lab/ds"), ("--backend-setting", "region=eu-west-1")]
)
def test_what_a_cluster_of_toils_would_not_heed_is_refused(cloud: Cloud, words: tuple[str, ...]) -> None:
    refused = cloud.create("heedless", "--node-types", "m5.4xlarge", *words)
    assert refused.returncode == 2
    assert cloud.tagged("heedless")["groups"] == []


def test_without_rsync_nothing_is_made(cloud: Cloud, tmp_path: Path) -> None:
    """Toil would find out when the leader has booted, and leave it running."""
    (tmp_path / "ssh").symlink_to("/bin/false")
    words = ["create", "bare", "--key-pair", "mine", "--image", APPLIANCE, "--ssh-from", HERE]
    refused = cloud.run("cluster", *words, PATH=str(tmp_path))
    assert refused.returncode == 2
    assert "Toil needs rsync" in refused.stderr
    assert cloud.tagged("bare")["groups"] == []


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
