"""--node-types: which instance types the workers of a cluster may have, and why not any mixture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl.backend import Node
from neurocwl.errors import BadInput
from neurocwl.nodes import NodeType, disk_for_jobs, memory_for_jobs
from neurocwl.prices import Prices

LEAST_DISK_GIB = 50  # of a worker: system, appliance and images; Toil's own default
SPOT = "spot"  # in place of a bid: at most what the type costs on demand
MIXTURE = (
    "Toil fills the first type in its own order in which a job fits, even when that one is at its maximum and "
    "another stands idle; give one type on demand, one as spot, or one of each"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """Interchangeable instance types, and the most that one may cost per hour as spot; None: on demand."""

    types: tuple[str, ...]
    bid: float | None

    def __str__(self) -> str:
        """As Toil's --nodeTypes writes it."""
        return "/".join(self.types) + ("" if self.bid is None else f":{self.bid:g}")


def parse(text: str, prices: Prices) -> tuple[Kind, ...]:
    """The kinds of `A,B:BID` or `A,B/C:spot`, on demand before spot.

    Raises BadInput for what Toil cannot read, has no price, or would be misjudged by Toil's bin packing.
    """
    kinds = tuple(sorted((_kind(word, prices) for word in text.split(",")), key=lambda kind: bool(kind.bid)))
    for spot in (False, True):
        same = [str(kind) for kind in kinds if (kind.bid is not None) == spot]
        if len(same) > 1:
            what = "as spot" if spot else "on demand"
            raise BadInput(f"--node-types {text}: {' and '.join(same)} are both {what}; {MIXTURE}")
    return kinds


def _kind(word: str, prices: Prices) -> Kind:
    names, _, given = word.strip().partition(":")
    types = tuple(name.strip() for name in names.split("/"))
    unknown = [name for name in types if name not in prices.on_demand]
    if unknown:
        raise BadInput(
            f"--node-types {word.strip()}: no price is known for {unknown[0] or 'an empty name'} in {prices.region}, "
            "so nothing could be planned with it; neurocwl plan dataset ... --prices lists types that fit"
        )
    _same_shape(word.strip(), types, prices.nodes)
    if not given:
        return Kind(types, None)
    dearest = max(prices.on_demand[name] for name in types)
    if given.strip() == SPOT:
        return Kind(types, dearest)
    try:
        bid = float(given)
    except ValueError:
        bid = 0.0
    if not 0 < bid < float("inf"):
        raise BadInput(f"--node-types {word.strip()}: after the colon comes {SPOT}, or dollars per hour")
    return Kind(types, bid)


def _same_shape(word: str, types: Sequence[str], nodes: Mapping[str, NodeType]) -> None:
    """Refuse types that are called interchangeable and are not: a scaler counts with one of them."""
    shapes = {(nodes[name].vcpus, nodes[name].memory_mib, nodes[name].disk_gib) for name in types}
    if len(shapes) > 1:
        shown = ", ".join(
            f"{name} {nodes[name].vcpus} vCPUs, {nodes[name].memory_mib} MiB, {nodes[name].disk_gib or 'no'} GiB"
            for name in types
        )
        raise BadInput(
            f"--node-types {word}: types joined by / must be of one shape, for the scaler counts with one of them: {shown}"
        )


def from_plan(file: Path) -> dict[str, str]:
    """The settings of a cluster for what `neurocwl plan --prices --json` printed: its cheapest type, disk and count.

    Raises BadInput for a file without prices.
    """
    try:
        prices: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))["prices"]
        best = prices["node_types"][0]
        found = {
            "node_types": best["node_type"] + (f":{SPOT}" if prices["market"] == "spot" else ""),
            "max_nodes": str(best["nodes"]),
        }
        disk = int(best["volume_gib"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BadInput(
            f"--from-plan {file}: holds no prices; write it with: neurocwl plan ... --prices --json"
        ) from error
    return found | ({"node_disk": str(max(disk, LEAST_DISK_GIB))} if disk else {})


def dollars(kind: Kind, prices: Prices) -> float:
    """The most that a node of a kind costs per hour."""
    return kind.bid if kind.bid is not None else max(prices.on_demand[name] for name in kind.types)


def largest(kinds: Sequence[Kind], prices: Prices, disk_gib: int) -> Node:
    """What a unit can have at most on a node of any kind. A type with disks of its own has those instead."""
    found = [prices.nodes[kind.types[0]] for kind in kinds]
    return Node(
        cpus=max(node.vcpus for node in found),
        memory_mib=int(max(memory_for_jobs(node.memory_mib) for node in found)),
        disk_mib=int(max(disk_for_jobs(node.disk_gib or disk_gib) for node in found)),
    )
