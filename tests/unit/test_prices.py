"""Prices are those that AWS published, dated, and nothing is asked of AWS unless the user says so."""

import runpy
import socket
from typing import Any

import pytest

from neurocwl import assets, liveprices, prices
from neurocwl.credentials import Keys
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access
from tests.unit.price_api import answering

KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def aws_at(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Points the AWS chain at an address, with keys of no use."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("home") / "none"))

    def point(url: str, **more: str) -> None:
        for name, value in {**KEYS, **more, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)

    return point


@pytest.mark.parametrize(
    ("region", "name", "dollars"),
    [
        (
            "us-east-1",
            "r5.large",
            0.126,
        ),  # what ndmg ran on; the table's source has 0.134, of dedicated tenancy
        ("us-east-1", "r5.2xlarge", 0.504),
        ("us-east-1", "m5.4xlarge", 0.768),
        ("us-east-1", "m5.xlarge", 0.192),  # 0.0 in the source
        ("us-east-1", "r6a.2xlarge", 0.4536),
        ("eu-west-1", "r5a.16xlarge", 4.064),
        ("ca-central-1", "r5a.large", 0.124),
    ],
)
def test_the_table_has_the_prices_that_aws_published(region: str, name: str, dollars: float) -> None:
    assert prices.snapshot(region).on_demand[name] == pytest.approx(dollars)


def test_the_table_says_how_old_it_is_and_that_its_spot_prices_are_assumed() -> None:
    table = prices.snapshot("us-east-1")
    assert table.date == "2025-03-02"
    assert "apache-libcloud" in table.source
    assert "an assumption" in table.spot_source
    assert table.spot["r5.large"] == pytest.approx(0.126 * 0.35)


def test_no_node_type_has_a_price_of_nothing_or_is_too_small_to_be_true() -> None:
    table = prices.snapshot("us-east-1")
    assert len(table.nodes) > 150
    for name, node in table.nodes.items():
        assert 0.02 < table.on_demand[name] / node.vcpus < 0.2
        assert 1024 <= node.memory_mib / node.vcpus <= 16384


@pytest.mark.parametrize(
    ("found", "agreed"),
    [
        ([0.067, 0.063, 0.063, 0.067], 0.063),  # shared and dedicated tenancy
        ([0.06299, 0.063, 0.0693], 0.06299),  # rounded differently
        ([0.05, 0.063, 0.0631, 0.07], 0.063),  # one that nobody confirms
        ([0.063, 0.0693], None),
        ([], None),
    ],
)
def test_a_family_s_price_is_the_lowest_on_which_two_sizes_agree(
    found: list[float], agreed: float | None
) -> None:
    renew = runpy.run_path(str(assets.path("provisioning") / "prices" / "renew.py"))
    assert renew["agreed"](found) == agreed


def test_a_region_without_prices_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(BadInput, match=r"--region mars-1: no prices; there are .*us-east-1"):
        prices.snapshot("mars-1")


def test_a_node_type_without_a_price_is_refused_with_its_family() -> None:
    with pytest.raises(BadInput, match=r"--node-types r5.tiny: no price .* there are r5.large, r5.xlarge"):
        prices.only(prices.snapshot("us-east-1"), ["m5.xlarge", "r5.tiny"])


SPOT = [
    ("m5.xlarge", "us-west-2a", "0.0900", "2026-11-21T10:00:00Z"),
    ("m5.xlarge", "us-west-2a", "0.0500", "2026-11-21T08:00:00Z"),
    ("m5.xlarge", "us-west-2b", "0.0700", "2026-11-21T09:00:00Z"),
    ("r5.xlarge", "us-west-2b", "0.1100", "2026-11-21T09:00:00Z"),
]


def test_live_prices_are_on_demand_from_the_list_and_spot_from_the_cheapest_zone_now(aws_at: Any) -> None:
    wanted = prices.only(prices.snapshot("us-west-2"), ["m5.xlarge", "r5.xlarge", "c5.xlarge"])
    with answering({"m5.xlarge": "0.2000000000", "r5.xlarge": "0.3000000000"}, SPOT) as url:
        aws_at(url)
        found = liveprices.live(wanted, Access())
    assert found.on_demand == {"m5.xlarge": 0.2, "r5.xlarge": 0.3}, "c5.xlarge has no answer, so no price"
    assert found.spot == {"m5.xlarge": 0.07, "r5.xlarge": 0.11}, "an older price of a zone does not count"
    assert found.date > "2026"
    assert found.source == "AWS Price List API, us-west-2"


def test_live_prices_are_asked_for_with_the_keys_of_a_credentials_file(aws_at: Any) -> None:
    wanted = prices.only(prices.snapshot("us-west-2"), ["m5.xlarge"])
    with answering({"m5.xlarge": "0.2"}, SPOT, key="OFTHEFILE") as url:
        aws_at(url)
        found = liveprices.live(wanted, Access(keys=Keys("OFTHEFILE", "secret")))
    assert found.on_demand == {"m5.xlarge": 0.2}


def test_live_prices_without_an_answer_name_the_way_out(aws_at: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        aws_at(f"http://127.0.0.1:{closed.getsockname()[1]}", AWS_MAX_ATTEMPTS="1")
        wanted = prices.only(prices.snapshot("us-west-2"), ["m5.xlarge"])
        with pytest.raises(InfrastructureError, match="without it the table of 2025-03-02 is used"):
            liveprices.live(wanted, Access())


def test_live_prices_without_credentials_name_the_way_out(
    aws_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_at("http://127.0.0.1:9")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    wanted = prices.only(prices.snapshot("us-west-2"), ["m5.xlarge"])
    with pytest.raises(BadInput, match="--live-prices: Unable to locate credentials; set AWS_PROFILE"):
        liveprices.live(wanted, Access())
