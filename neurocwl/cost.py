"""The price of a plan: its ready units on each node type, by dollars and by hours, and what comes on top."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from neurocwl.duration import Duration
from neurocwl.nodes import Shape, units_on, volume_gib
from neurocwl.packing import Packing, pack
from neurocwl.prices import Prices
from neurocwl.receipts import Receipt

MOST_NODES = 10  # Toil's own default of --maxNodes
START_HOURS = 0.1  # a node boots and pulls its images before its first unit: an assumption
IMAGE_GIB = 25  # the container images of fMRIPrep and FreeSurfer, unpacked
HOURS_PER_MONTH = 730
REQUESTS_PER_INPUT = 4  # what Toil sends to S3 to read one file
OUTPUT_FILES = 500  # of a unit, until receipts tell
STATE_WRITES = 10  # receipts, notes and logs of a unit
GB = 1000**3
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be run: equal units."""

    units: int
    shape: Shape
    duration: Duration
    input_files: int  # of all units together


@dataclass(frozen=True, slots=True)
class Results:
    """What one unit leaves on S3."""

    size: float  # bytes
    files: float
    source: str


@dataclass(frozen=True, slots=True)
class Option:
    """All units on one node type. Dollars hold nodes and volumes; None: no such price is known."""

    node: str
    packing: Packing
    volume_gib: int  # of each node; 0: its local disk does
    on_demand: float | None
    spot: float | None

    def dollars(self, spot: bool) -> float:
        """What it costs in one of the two markets."""
        price = self.spot if spot else self.on_demand
        return float("inf") if price is None else price


@dataclass(frozen=True, slots=True)
class Line:
    """A cost that does not depend on the node type."""

    what: str
    dollars: float
    how: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """The price of a plan; options are ranked by dollars, then hours."""

    work: Work
    prices: Prices
    spot: bool
    most_nodes: int
    options: tuple[Option, ...]
    lines: tuple[Line, ...]

    @property
    def cheapest(self) -> Option:
        """The option of the least dollars."""
        return self.options[0]

    @property
    def fastest(self) -> Option:
        """The option of the least hours; of several, the cheapest."""
        return min(self.options, key=lambda o: (o.packing.hours, o.dollars(self.spot)))

    def as_dict(self) -> dict[str, Any]:
        """The stable form of --json."""
        best = self.cheapest.dollars(self.spot)
        return {
            "region": self.prices.region,
            "prices_date": self.prices.date,
            "prices_source": self.prices.source,
            "spot_source": self.prices.spot_source,
            "market": "spot" if self.spot else "on-demand",
            "units": self.work.units,
            "hours_per_unit": self.work.duration.hours,
            "hours_source": self.work.duration.source,
            "max_nodes": self.most_nodes,
            "dollars": best,
            "dollars_per_unit": best / self.work.units,
            "hours": self.cheapest.packing.hours,
            "node_types": [
                {
                    "node_type": option.node,
                    "nodes": option.packing.nodes,
                    "units_per_node": option.packing.at_once,
                    "hours": option.packing.hours,
                    "node_hours": option.packing.node_hours,
                    "volume_gib": option.volume_gib,
                    "on_demand": option.on_demand,
                    "spot": option.spot,
                }
                for option in self.options
            ],
            "other": [asdict(line) for line in self.lines],
        }


def options(work: Work, prices: Prices, most_nodes: int, spot: bool) -> tuple[Option, ...]:
    """Every node type on which a unit fits and that has a price, the cheapest first.

    A smaller node wins over a larger one at the same price and time: less is lost with it.
    """
    found = []
    for name, node in prices.nodes.items():
        at_once = units_on(node, work.shape, IMAGE_GIB)
        if at_once and name in (prices.spot if spot else prices.on_demand):
            at_once = min(at_once, work.units)
            packing = pack(work.units, at_once, work.duration.hours, most_nodes, START_HOURS)
            volume = 0 if node.disk_gib else volume_gib(at_once, work.shape, IMAGE_GIB)
            per_hour = volume * prices.storage.volume_gb_month / HOURS_PER_MONTH
            dollars = [
                None if price is None else round(packing.node_hours * (price + per_hour), 6)
                for price in (prices.on_demand.get(name), prices.spot.get(name))
            ]
            found.append(Option(name, packing, volume, *dollars))
    sizes = {name: node.vcpus for name, node in prices.nodes.items()}
    return tuple(sorted(found, key=lambda o: (o.dollars(spot), o.packing.hours, sizes[o.node], o.node)))


def results_of(receipts: Sequence[Receipt], out_mib: int) -> Results:
    """What a unit leaves, by receipts; without any, the most that the tool reserves."""
    done = [r.delivered for r in receipts if r.status == "done" and not r.rehearsal]
    if not done:
        return Results(out_mib * MIB, OUTPUT_FILES, "at most, what the tool reserves")
    return Results(
        median(sum(written.size for written in files) for files in done),
        median(len(files) for files in done),
        f"median of {len(done)} receipts at the output",
    )


def lines(work: Work, results: Results, prices: Prices) -> tuple[Line, ...]:
    """Storage, requests and transfer."""
    storage = prices.storage
    stored = work.units * results.size / GB
    reads = work.input_files * REQUESTS_PER_INPUT
    writes = work.units * (results.files + STATE_WRITES)
    asked = reads * storage.get_per_1000 / 1000 + writes * storage.put_per_1000 / 1000
    return (
        Line(
            "storage per month",
            stored * storage.s3_gb_month,
            f"{stored:,.0f} GB of results ({results.source}); {storage.source}",
        ),
        Line("requests", asked, f"{reads:,.0f} reads, {writes:,.0f} writes"),
        Line("transfer", 0.0, "nodes and buckets in one region; downloads and other regions are not counted"),
    )
