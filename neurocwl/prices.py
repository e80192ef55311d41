"""What AWS charges: a dated table in the package, or live prices over it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from neurocwl import assets
from neurocwl.errors import BadInput
from neurocwl.nodes import NodeType

TABLE = "prices/aws.json"


@dataclass(frozen=True, slots=True)
class Storage:
    """Dollars for what is not a node."""

    s3_gb_month: float
    put_per_1000: float
    get_per_1000: float
    volume_gb_month: float
    source: str


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars per hour of each node type in one region, and how old they are."""

    region: str
    date: str  # ISO 8601
    source: str
    spot_source: str
    nodes: Mapping[str, NodeType]
    on_demand: Mapping[str, float]
    spot: Mapping[str, float]
    storage: Storage


def snapshot(region: str) -> Prices:
    """The table of the package; its spot prices are a stated fraction of those on demand.

    Raises BadInput for a region that is not in it.
    """
    table = _table()
    nodes, on_demand = {}, {}
    for family, found in table["families"].items():
        per_vcpu = found["usd_per_vcpu_hour"].get(region)
        for size, (vcpus, memory, disk) in found["sizes"].items():
            if per_vcpu:
                name = f"{family}.{size}"
                nodes[name] = NodeType(name, vcpus, memory, disk)
                on_demand[name] = per_vcpu * vcpus
    if not nodes:
        known = {r for found in table["families"].values() for r in found["usd_per_vcpu_hour"]}
        raise BadInput(f"--region {region}: no prices; there are {', '.join(sorted(known))}")
    fraction = table["spot"]["fraction"]
    spot = {name: price * fraction for name, price in on_demand.items()}
    return Prices(
        region,
        table["date"],
        table["source"],
        f"{fraction:.0%} of on demand, {table['spot']['source']}",
        nodes,
        on_demand,
        spot,
        Storage(**table["storage"]),
    )


def only(prices: Prices, names: Collection[str]) -> Prices:
    """The same prices for some node types alone.

    Raises BadInput for one that has none.
    """
    unknown = [name for name in names if name not in prices.nodes]
    if unknown:
        near = [name for name in prices.nodes if name.partition(".")[0] == unknown[0].partition(".")[0]]
        hint = f"; of its family there are {', '.join(near)}" if near else ""
        raise BadInput(f"--node-types {unknown[0]}: no price for it in {prices.region}{hint}")
    return Prices(
        prices.region,
        prices.date,
        prices.source,
        prices.spot_source,
        {name: prices.nodes[name] for name in names},
        {name: prices.on_demand[name] for name in names if name in prices.on_demand},
        {name: prices.spot[name] for name in names if name in prices.spot},
        prices.storage,
    )


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((assets.path("provisioning") / TABLE).read_text())
    return table
