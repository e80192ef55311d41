"""Equal units on nodes of one type: how many nodes, how long, how many node-hours.

One type at a time, since with several Toil takes the first in its own order in which a job fits, even when that
one is at its maximum and another stands idle.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Packing:
    """So many nodes run all units in so many hours."""

    nodes: int
    at_once: int  # units on one node
    hours: float
    node_hours: float


def pack(units: int, at_once: int, hours: float, most_nodes: int, start_hours: float) -> Packing:
    """Pack units of so many hours; a node that finds no more work ends, as under Toil's scaler.

    start_hours pass on every node before its first unit, and are paid.
    """
    fills = ceil_div(units, at_once)  # how often a whole node is filled
    rounds = ceil_div(fills, most_nodes)
    nodes = ceil_div(fills, rounds)
    return Packing(nodes, at_once, start_hours + rounds * hours, fills * hours + nodes * start_hours)


def ceil_div(number: int, by: int) -> int:
    """Division, rounded up."""
    return -(-number // by)
