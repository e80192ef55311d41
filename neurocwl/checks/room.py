"""Checks that a unit fits on a node: what fits on none would wait for ever."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from neurocwl import nodes
from neurocwl.checks.finding import Finding, failed, ok, unknown
from neurocwl.nodes import NodeType, Shape

NAME = "node"


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest node of a kind; None: nobody said."""

    name: str
    cpus: int | None = None
    memory_mib: int | None = None
    disk_mib: int | None = None
    seconds: int | None = None

    def exceeded(self, shape: Shape, image_mib: int, seconds: int) -> list[str]:
        """What one unit wants more of than there is, as words with the option that asks for less."""
        wanted = (
            (self.cpus, shape.cpus, "CPUs", "--cpus"),
            (self.memory_mib, shape.memory_mib, "MiB of memory", "--memory-mib"),
            (self.disk_mib, shape.disk_mib + image_mib, "MiB of disk", "--tmp-mib or --out-mib"),
            (self.seconds, seconds, "s of time", "--time-limit"),
        )
        return [
            f"{want} {what} of {have} ({option})"
            for have, want, what, option in wanted
            if have is not None and want > have
        ]


def fits(shape: Shape, image_mib: int, seconds: int, places: Sequence[Limits]) -> Finding:
    """Whether one unit fits on any of several kinds of nodes."""
    problems = {place.name: place.exceeded(shape, image_mib, seconds) for place in places}
    good = [name for name, found in problems.items() if not found]
    if not places:
        return unknown(NAME, "how large the nodes are is not known", "say it in the backend's profile (node)")
    if good:
        return ok(NAME, f"a unit fits on {', '.join(good)}")
    said = "; ".join(f"{name}: {', '.join(found)}" for name, found in problems.items())
    return failed(
        NAME, f"a unit fits on no node, and would wait for ever: {said}", "ask for less, or name larger nodes"
    )


def fits_types(
    shape: Shape,
    image_mib: int,
    types: Mapping[str, NodeType],
    chosen: Sequence[str],
    volume_gib: int = 0,
) -> Finding:
    """Whether one unit fits on a node type that was chosen; Toil holds back some of each.

    volume_gib: of nodes without disks of their own; 0: as large as it must be.
    """
    unknown_ones = [name for name in chosen if name not in types]
    known = {
        name: replace(types[name], disk_gib=types[name].disk_gib or volume_gib)
        for name in chosen
        if name in types
    }
    image_gib = -(-image_mib // nodes.GIB)
    small = [name for name, node in known.items() if not nodes.units_on(node, shape, image_gib)]
    if known and len(small) == len(known) and not unknown_ones:
        wanted = f"{shape.cpus} CPUs, {shape.memory_mib} MiB of memory and {shape.disk_mib + image_mib} MiB of disk"
        return failed(
            NAME,
            f"no unit fits on {', '.join(small)}: it takes {wanted} beside what the system keeps",
            "choose larger node types (neurocwl plan --prices ranks them), or ask for less",
        )
    if unknown_ones:
        return unknown(NAME, f"{', '.join(unknown_ones)}: their size is not known here")
    return ok(NAME, f"a unit fits on {', '.join(name for name in known if name not in small)}")
