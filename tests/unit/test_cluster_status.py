"""`neurocwl cluster status`: what is there by its tags, and what it costs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from neurocwl import prices
from neurocwl.aws import session
from neurocwl.cli import main
from neurocwl.s3 import Access
from tests import clouds

CLUSTER = "lab-1"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with clouds.moto_server() as url:
        yield url


@pytest.fixture
def ec2(moto: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for name, value in clouds.variables(moto).items():
        monkeypatch.setenv(name, value)
    return session.client(Access(), "ec2")


def start(ec2: Any, cluster: str, role: str, kind: str, count: int = 1, spot: bool = False) -> list[str]:
    tags = [{"Key": "neurocwl:cluster", "Value": cluster}, {"Key": "ToilNodeType", "Value": role}]
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}
    made = ec2.run_instances(
        ImageId="ami-03cf127a",
        MinCount=count,
        MaxCount=count,
        InstanceType=kind,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        **market,
    )
    return [one["InstanceId"] for one in made["Instances"]]


@pytest.fixture
def lab(ec2: Any) -> Iterator[Any]:
    """A cluster with a leader, three workers of two kinds, one that was terminated, and a neighbour's."""
    made = start(ec2, CLUSTER, "leader", "m5.large")
    made += start(ec2, CLUSTER, "worker", "r5.2xlarge", 2, spot=True)
    made += start(ec2, CLUSTER, "worker", "t3.nano")
    gone = start(ec2, CLUSTER, "worker", "r5.2xlarge")
    neighbour = start(ec2, "lab-10", "leader", "m5.large")
    ec2.terminate_instances(InstanceIds=gone)
    yield ec2
    ec2.terminate_instances(InstanceIds=[*made, *neighbour])


@pytest.mark.usefixtures("lab")
def test_the_nodes_of_a_cluster_are_found_by_its_tag_and_priced(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "status", CLUSTER, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(n["role"], n["type"], n["spot"]) for n in found["nodes"]] == [
        ("leader", "m5.large", False),
        ("worker", "r5.2xlarge", True),
        ("worker", "r5.2xlarge", True),
        ("worker", "t3.nano", False),
    ]
    known = prices.snapshot(clouds.REGION)
    assert found["usd_per_hour"] == pytest.approx(known.on_demand["m5.large"] + 2 * known.spot["r5.2xlarge"])
    assert found["unpriced"] == ["t3.nano"]
    assert {n["zone"][:-1] for n in found["nodes"]} == {clouds.REGION}


@pytest.mark.usefixtures("lab")
def test_the_table_has_a_line_for_each_kind_of_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "status", CLUSTER]) == 0
    out = capsys.readouterr().out
    spot = next(line for line in out.splitlines() if "r5.2xlarge" in line)
    assert "spot" in spot
    assert " 2 " in spot
    assert "no price is known for t3.nano" in out


@pytest.mark.usefixtures("ec2")
def test_a_cluster_that_is_not_there_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "status", "nobody"]) == 1
    assert "there is none in us-west-2" in capsys.readouterr().out


@pytest.mark.usefixtures("ec2")
def test_without_a_region_nothing_is_guessed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["cluster", "status", CLUSTER]) == 2
    assert "--region" in capsys.readouterr().err
