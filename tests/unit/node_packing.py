"""A peer for the choice of a node type: the cheapest of all pairs of types in all proportions, found by trying them."""

from collections.abc import Iterator

from neurocwl.cost import HOURS_PER_MONTH, IMAGE_GIB, START_HOURS, Work
from neurocwl.nodes import units_on, volume_gib
from neurocwl.prices import Prices


def nodes_filled_once(work: Work, prices: Prices) -> dict[int, float]:
    """Units on a node -> the least dollars of such a node for one round; units are alike, so no other matters."""
    found: dict[int, float] = {}
    for name, node in prices.nodes.items():
        most = units_on(node, work.shape, IMAGE_GIB)
        if not most or name not in prices.on_demand:
            continue
        for units in {most, min(most, work.units)}:
            volume = 0 if node.disk_gib else volume_gib(units, work.shape, IMAGE_GIB)
            per_hour = prices.on_demand[name] + volume * prices.storage.volume_gb_month / HOURS_PER_MONTH
            dollars = per_hour * (work.duration.hours + START_HOURS)
            found[units] = min(dollars, found.get(units, dollars))
    return found


def pairs(work: Work, prices: Prices) -> Iterator[float]:
    """Dollars of every mixture of two kinds of nodes that holds all units at once."""
    kinds = nodes_filled_once(work, prices)
    for first, first_dollars in kinds.items():
        for second, second_dollars in kinds.items():
            for number in range(-(-work.units // first) + 1):
                rest = max(0, work.units - number * first)
                yield number * first_dollars + -(-rest // second) * second_dollars
