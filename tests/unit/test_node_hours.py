"""What a cluster's nodes cost since a launch began, by AWS's own list of them (moto on loopback)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from neurocwl import prices
from neurocwl.aws import nodehours
from neurocwl.s3 import Access
from tests import clouds
from tests.unit.test_cluster_status import ec2, start  # noqa: F401 - a fixture

CLUSTER = "lab-money"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with clouds.moto_server() as url:
        yield url


def hours_ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def test_nodes_are_paid_from_their_start_and_not_from_before_the_launch(ec2: Any) -> None:  # noqa: F811
    start(ec2, CLUSTER, "leader", "m5.large")
    gone = start(ec2, CLUSTER, "worker", "r5.2xlarge", spot=True)
    start(ec2, "lab-other", "worker", "r5.2xlarge")
    table = prices.snapshot(clouds.REGION)
    each_second = (table.on_demand["m5.large"] + table.spot["r5.2xlarge"]) / 3600

    early = nodehours.meter(CLUSTER, Access(), hours_ago(5))
    late = nodehours.meter(CLUSTER, Access(), datetime.now(UTC) + timedelta(hours=1))
    found = early()
    assert 0 < found < 3600 * each_second, "nodes that began a moment ago, not five hours"
    assert late() == 0

    ec2.terminate_instances(InstanceIds=gone)
    assert early() >= found, "a node that is gone was paid"
    assert nodehours.meter(CLUSTER, Access(), hours_ago(5))() < early(), "who asks later has not seen it"


def test_a_cluster_without_nodes_costs_nothing(ec2: Any) -> None:  # noqa: F811
    assert nodehours.meter("nobody", Access(), hours_ago(1))() == 0
