"""Prices of today: the AWS Price List API for on demand, EC2's spot price history for spot.

Needs credentials with pricing:GetProducts and ec2:DescribeSpotPriceHistory. Asked only where the user says so.
"""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.prices import Prices
from neurocwl.s3 import Access

PRICE_LIST_REGION = "us-east-1"  # the API answers in few regions, for all of them
CALLS_AT_ONCE = 8
# One product of many that an instance type has: plain Linux, shared hardware, no reservation.
PLAIN = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}


def live(prices: Prices, access: Access) -> Prices:
    """The same node types at today's prices; one without an answer has none.

    Raises BadInput without credentials, InfrastructureError when AWS does not answer.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

    now = datetime.now(UTC)
    try:
        session = boto3.Session(
            profile_name=access.profile,
            region_name=prices.region,
            aws_access_key_id=access.keys.key_id if access.keys else None,
            aws_secret_access_key=access.keys.secret if access.keys else None,
        )
        pricing: Any = session.client("pricing", region_name=PRICE_LIST_REGION)
        ec2: Any = session.client("ec2", region_name=prices.region)
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            found = list(pool.map(lambda name: _on_demand(pricing, prices.region, name), prices.nodes))
        pages = ec2.get_paginator("describe_spot_price_history").paginate(
            InstanceTypes=list(prices.nodes),
            ProductDescriptions=["Linux/UNIX"],
            StartTime=now - timedelta(hours=1),  # the price that holds now is in every window
        )
        spot = cheapest_zone(offer for page in pages for offer in page["SpotPriceHistory"])
    except (NoCredentialsError, ProfileNotFound) as error:
        raise BadInput(
            f"--live-prices: {error}; set AWS_PROFILE, or leave it out for the table of {prices.date}"
        ) from error
    except (BotoCoreError, ClientError) as error:
        raise InfrastructureError(
            f"--live-prices: AWS did not answer: {error}; without it the table of {prices.date} is used"
        ) from error
    return replace(
        prices,
        date=now.isoformat(timespec="minutes"),
        source=f"AWS Price List API, {prices.region}",
        spot_source="EC2 spot price history, the cheapest zone",
        on_demand={name: price for name, price in zip(prices.nodes, found, strict=True) if price is not None},
        spot=spot,
    )


def _on_demand(pricing: Any, region: str, name: str) -> float | None:
    wanted = {**PLAIN, "instanceType": name, "regionCode": region}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    answer = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)
    return hourly(json.loads(product) for product in answer["PriceList"])


def hourly(products: Iterable[Mapping[str, Any]]) -> float | None:
    """The dollars per hour on demand among products of the price list; None: there are none."""
    found = [
        float(dimension["pricePerUnit"]["USD"])
        for product in products
        for term in product["terms"].get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
        if dimension["unit"] == "Hrs" and "USD" in dimension["pricePerUnit"]
    ]
    return min((price for price in found if price > 0), default=None)


def cheapest_zone(offers: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Of each instance type the newest price of every zone, and the least of those."""
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for offer in offers:
        if not offer["ProductDescription"].startswith("Linux/UNIX"):
            continue
        key = offer["InstanceType"], offer["AvailabilityZone"]
        if key not in newest or newest[key]["Timestamp"] < offer["Timestamp"]:
            newest[key] = offer
    least: dict[str, float] = {}
    for (name, _), offer in newest.items():
        least[name] = min(float(offer["SpotPrice"]), least.get(name, float("inf")))
    return least
