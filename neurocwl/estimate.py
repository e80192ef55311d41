"""From a plan and what the user said about prices to an estimate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurocwl import cost, duration, liveprices, machine, runs
from neurocwl.cost import Estimate, Work
from neurocwl.duration import Duration
from neurocwl.errors import BadInput, NeurocwlError
from neurocwl.nodes import Shape
from neurocwl.plan import READY, Plan
from neurocwl.prices import Prices, only, snapshot
from neurocwl.receipts import Receipt, UnitState
from neurocwl.s3 import Access
from neurocwl.storage import Location
from neurocwl.template import Template

LIVE_TYPES = 30  # today's prices are asked for the cheapest of the table alone
# What Toil gives to a job that asks for nothing (--defaultCores, --defaultMemory, --defaultDisk).
UNASKED = {"cpus": 1, "memory_mib": 2048, "tmp_mib": 2048, "out_mib": 1}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user said about prices."""

    region: str
    node_types: Sequence[str] = ()  # none: all
    spot: bool = False
    most_nodes: int = cost.MOST_NODES
    hours: float | None = None  # per unit
    live: bool = False

    def __post_init__(self) -> None:
        if self.most_nodes < 1:
            raise BadInput(f"--max-nodes {self.most_nodes}: must be 1 or more")
        if self.hours is not None and not 0 < self.hours < float("inf"):
            raise BadInput(f"--hours-per-unit {self.hours}: must be more than 0")


def estimate(
    made: Plan,
    template: Template,
    parameters: Mapping[str, Any],
    states: Mapping[str, UnitState],
    output: Location | None,
    wish: Wish,
    access: Access,
) -> Estimate | None:
    """What the ready units of a plan would cost; None: there are none.

    Raises BadInput when nobody knows how long a unit takes, or no node type is large enough.
    """
    ready = made.of(READY)
    if not ready:
        return None
    asked = UNASKED | machine.asked(template, parameters)
    shape = Shape(asked["cpus"], asked["memory_mib"], asked["tmp_mib"] + asked["out_mib"])
    receipts = receipts_of(states)
    took = hours_of(template, parameters, shape.cpus, receipts, output, wish)
    if took is None:
        raise BadInput(
            f"--prices: nobody knows how long a unit of {template.pipeline} takes: run some with --limit 3 and plan "
            "with the same --output, or give --hours-per-unit"
        )
    work = Work(len(ready), shape, took, sum(unit.order.files for unit in ready))
    prices = _prices(work, wish, access)
    found = cost.options(work, prices, wish.most_nodes, wish.spot)
    if not found:
        raise BadInput(_nothing_fits(template, shape, wish))
    lines = cost.lines(work, cost.results_of(receipts, asked["out_mib"]), prices)
    return Estimate(work, prices, wish.spot, wish.most_nodes, found, lines)


def receipts_of(states: Mapping[str, UnitState]) -> list[Receipt]:
    """The receipts among the states of units."""
    return [state.receipt for state in states.values() if state.receipt]


def hours_of(
    template: Template,
    parameters: Mapping[str, Any],
    cpus: int,
    receipts: Sequence[Receipt],
    output: Location | None,
    wish: Wish,
) -> Duration | None:
    """How long a unit takes: by the user, else by receipts, else by the template; None: nobody knows."""
    if wish.hours is not None:
        return Duration(wish.hours, "--hours-per-unit")
    cpus_of = _cpus_of(output, {receipt.run for receipt in receipts}) if output else {}
    found = duration.measured(receipts, cpus_of, template, parameters, cpus)
    return found or duration.modelled(template, parameters, cpus)


def _cpus_of(output: Location, names: set[str]) -> dict[str, int]:
    """The CPUs per unit of each run; one whose run.json cannot be read has none."""
    found = {}
    for name in names:
        try:
            resources = runs.read(output, name).resources
        except NeurocwlError:
            continue
        if "cpus" in resources:
            found[name] = resources["cpus"]
    return found


def _prices(work: Work, wish: Wish, access: Access) -> Prices:
    prices = snapshot(wish.region)
    if wish.node_types:
        prices = only(prices, list(dict.fromkeys(wish.node_types)))
    if not wish.live:
        return prices
    near = cost.options(work, prices, wish.most_nodes, wish.spot)[:LIVE_TYPES]
    return liveprices.live(only(prices, [option.node for option in near]), access) if near else prices


def _nothing_fits(template: Template, shape: Shape, wish: Wish) -> str:
    among = f"of {', '.join(wish.node_types)}" if wish.node_types else f"in {wish.region}"
    return (
        f"--prices: no node type {among} has a price and room for one unit of {template.pipeline} ({shape.cpus} CPUs, "
        f"{shape.memory_mib} MiB of memory beside the system's, {shape.disk_mib} MiB of disk); ask for less, or name others"
    )
