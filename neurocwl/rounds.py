"""Rounds: what runs again after a leader has ended, and with what. Decided from what receipts say, nothing else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MORE = 1.5  # times what a unit asked for and that was too little ...
SPARE = 1.25  # ... or times what it was seen to take
TIMES = 4  # the most, in what a unit asks for at first, unless the user says so
SPOT_LOSSES = 3
UNFINISHED = 2  # times that a unit without a receipt is run again
MEMORY, DISK = ("memory_mib",), ("tmp_mib", "out_mib")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far units are taken. None: TIMES what they ask for at first; of a node: nobody knows."""

    memory_mib: int | None = None
    disk_mib: int | None = None
    spot_losses: int = SPOT_LOSSES  # after so many a unit runs on capacity that stays
    node_memory_mib: int | None = None
    node_disk_mib: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What became of a unit in this run."""

    attempts: Sequence[Mapping[str, Any]]  # of its receipt, those of this run, oldest first
    committed: bool  # whether the last round left a receipt
    lost: int = 0  # attempts without a receipt whose node went away
    unfinished: int = 0  # attempts without a receipt for any other reason
    out_of_memory: bool = False  # what the batch system says of the last one without a receipt

    @property
    def losses(self) -> int:
        """Attempts that went with their node."""
        return self.lost + sum(1 for attempt in self.attempts if attempt.get("lost"))


@dataclass(frozen=True, slots=True)
class Step:
    """What happens with a unit next."""

    again: bool
    why: str  # for people; empty: nothing to be said
    asks: Mapping[str, int] = field(default_factory=dict)  # other than before
    stays: bool = False  # it runs on capacity that nobody takes away


def step(history: History, asked: Mapping[str, int], first: Mapping[str, int], bounds: Bounds) -> Step:
    """What happens with a unit after a round. asked: what it was given; first: what units ask for at first."""
    last = history.attempts[-1] if history.committed and history.attempts else {}
    if last.get("status") == "done":
        return Step(False, "")
    stays = history.losses >= bounds.spot_losses
    where = " on capacity that stays" if stays else ""
    if last.get("lost") or (not history.committed and history.lost and not history.unfinished):
        return Step(True, f"lost with its node ({history.losses} so far), again{where}", stays=stays)
    if not history.committed and not history.out_of_memory:
        if history.unfinished > UNFINISHED:
            return Step(False, f"Toil could not finish it {history.unfinished} times, not again")
        return Step(True, f"Toil could not finish it, again{where}", stays=stays)
    short = "memory" if history.out_of_memory and not history.committed else last.get("short_of")
    if short is None:
        return Step(False, "")
    found = more(short, {**asked, **last.get("asked", {})}, last.get("used", {}), first, bounds)
    return Step(found.again, found.why, found.asks, stays)


def more(
    short: str,
    asked: Mapping[str, int],
    used: Mapping[str, int],
    first: Mapping[str, int],
    bounds: Bounds,
) -> Step:
    """What a unit that ran out of memory or disk asks for next, up to the bound and the largest node."""
    names = [name for name in (MEMORY if short == "memory" else DISK) if asked.get(name)]
    had = sum(asked[name] for name in names)
    if not had:
        return Step(False, f"not again: it asked for no {short} that could be raised")
    took = used.get("memory_mib" if short == "memory" else "disk_mib", 0)
    most, bound = _most(short, sum(first.get(name, asked[name]) for name in names), bounds)
    if had >= most:
        return Step(False, f"not again: {bound}")
    wanted = min(most, math.ceil(max(MORE * had, SPARE * took)))
    asks = {name: asked[name] * wanted // had for name in names}
    asks[names[0]] += wanted - sum(asks.values())
    return Step(True, f"out of {short} with {had} MiB, again with {wanted}", asks)


def _most(short: str, first: int, bounds: Bounds) -> tuple[int, str]:
    """The bound in MiB, and what it is."""
    given, node = (
        (bounds.memory_mib, bounds.node_memory_mib)
        if short == "memory"
        else (bounds.disk_mib, bounds.node_disk_mib)
    )
    option = f"--max-{short}-mib"
    most = TIMES * first if given is None else given
    if node is not None and node < most:
        return node, f"no node has more than {node} MiB"
    return most, f"{option} {most} is the bound"


def learned(
    attempts: Sequence[Mapping[str, Any]], first: Mapping[str, int], bounds: Bounds
) -> tuple[dict[str, int], str]:
    """What a unit asks for in a new launch because of earlier attempts (oldest first), and why; nothing: as all."""
    short = [attempt for attempt in attempts if attempt.get("short_of") and attempt.get("asked")]
    if not short:
        return {}, ""
    last, asks = attempts[-1], dict[str, int]()
    if last.get("short_of") and last.get("asked"):
        asks = {
            **last["asked"],
            **more(last["short_of"], last["asked"], last.get("used", {}), first, bounds).asks,
        }
    elif last.get("asked"):  # it got through with this, or failed for another reason
        asks = last["asked"]
    raised = {
        name: value
        for name, value in asks.items()
        if name in (*MEMORY, *DISK) and value > first.get(name, value)
    }
    if not raised:
        return {}, ""
    past, what = short[-1]["asked"], short[-1]["short_of"]
    names = MEMORY if what == "memory" else DISK
    had = sum(past.get(name, 0) for name in names)
    now = sum({**first, **raised}.get(name, 0) for name in names)
    return raised, f"asks for {now} MiB of {what}: it ran out of it with {had}"
