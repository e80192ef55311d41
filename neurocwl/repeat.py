"""Round after round of leaders, until no unit is to run again; what was decided is said and written at the output."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from neurocwl import backend, capacity, history, rounds, runs, toil
from neurocwl.errors import BadInput
from neurocwl.joborder import Order
from neurocwl.leaders import Ended, Group, Means, Names, run_group
from neurocwl.machine import Machine
from neurocwl.plan import Request
from neurocwl.progress import Display, display
from neurocwl.receipts import Receipt, read_states
from neurocwl.rounds import Bounds, History, Step
from neurocwl.runs import Run
from neurocwl.stop import Stop
from neurocwl.storage import Location

OVER_BUDGET = "not again: the run's budget is reached"


@dataclass(slots=True)
class Ledger:
    """What this launch knows of its units and no receipt tells."""

    seen: dict[str, str] = field(default_factory=dict)  # unit -> its attempt that was judged last
    lost: dict[str, int] = field(default_factory=dict)  # without a receipt, with their node
    unfinished: dict[str, int] = field(default_factory=dict)  # without a receipt, for another reason
    notes: dict[str, runs.Again] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)  # unit -> attempts that went with their node
    before: int = 0  # such attempts of an earlier stage of the run

    def of(self, unit: str, receipt: Receipt | None, run: str, ended: Ended) -> History:
        """A unit's history after a round; counts what the round adds to it."""
        ours = receipt if receipt and receipt.run == run else None
        committed = ours is not None and self.seen.get(unit) != ours.attempt
        if ours:
            self.seen[unit] = ours.attempt
        if not committed and ended.reason != toil.MEMLIMIT:
            counts = self.lost if ended.reason == toil.LOST else self.unfinished
            counts[unit] = counts.get(unit, 0) + 1
        found = History(
            attempts=[a for a in (ours.attempts if ours else ()) if a["run"] == run],
            committed=committed,
            lost=self.lost.get(unit, 0),
            unfinished=self.unfinished.get(unit, 0),
            out_of_memory=not committed and ended.reason == toil.MEMLIMIT,
        )
        self.losses[unit] = found.losses
        return found


def run_rounds(
    orders: Sequence[Order],
    request: Request,
    run: Run,
    output: Location,
    means: Means,
    nodes: Machine,
    folder: Path,
    stop: Stop,
    stage: str = "",
) -> None:
    """Run units, and again those that a receipt, or Toil, says more memory, more disk or another node would help.

    stage: what the files are called by when they are not the units' own. Raises InfrastructureError when Toil never
    got to any unit.
    """
    if not orders:
        return
    memory = (
        nodes.memory_mib if means.backend.here else capacity.largest(means.backend, run.resources).memory_mib
    )
    bounds = replace(request.bounds, node_memory_mib=memory, node_disk_mib=nodes.disk_mib)
    kind = backend.SPOT if means.spot else backend.ON_DEMAND
    pending = {one.unit.name: (fitting(one, run.resources, bounds), kind) for one in orders}
    known = runs.read_rounds(output, run.run)
    ledger, names, first = Ledger(notes=dict(known.units), before=known.lost), Names(stage), True
    with display(len(orders)) as shown:
        while pending and not stop.is_set():
            ended: dict[str, Ended] = {}
            left_out: dict[str, Step] = {}
            for group in groups(pending.values()):
                why = OVER_BUDGET if means.watch.closed and not first else ""
                if unfit := _unfit(group, run, means):
                    why = f"not {'started' if first else 'again'}: {unfit}"
                if why:
                    left_out |= dict.fromkeys((one.unit.name for one in group.orders), Step(False, why))
                    continue
                ended |= run_group(
                    group, request, run, output, means, folder, stop, shown, names, first=first
                )
            first = False
            if stop.is_set():
                return
            states = read_states(output, pending)
            receipts = {unit: state.receipt for unit, state in states.items() if state.receipt}
            steps = {
                unit: _step(unit, one, receipts.get(unit), run, ended[unit], ledger, bounds)
                for unit, (one, _) in pending.items()
                if unit in ended and not means.watch.kept_back(unit)
            }
            if means.watch.closed:
                steps = {unit: for_the_last_time(step) for unit, step in steps.items()}
            steps |= left_out
            _tell(steps, ledger, output, run, shown)
            pending = {
                unit: (
                    _next(pending[unit][0], step, receipts.get(unit), request, output),
                    backend.ON_DEMAND if step.stays else kind,
                )
                for unit, step in steps.items()
                if step.again
            }


def for_the_last_time(step: Step) -> Step:
    """The same when nothing runs again."""
    return replace(step, again=False, why=OVER_BUDGET) if step.again else step


def groups(pending: Iterable[tuple[Order, str]]) -> list[Group]:
    """Units together that ask for the same, on the same kind of capacity."""
    found: dict[tuple[str, str], list[Order]] = {}
    for one, kind in pending:
        found.setdefault((json.dumps(one.settings, sort_keys=True), kind), []).append(one)
    return [Group(orders, orders[0].settings, kind) for (_, kind), orders in found.items()]


def _unfit(group: Group, run: Run, means: Means) -> str:
    """Why the batch system would never start units that ask for other than all, e.g. more; empty when it would."""
    if not group.settings:
        return ""  # the launch has asked for these
    resources = {**run.resources, **{k: v for k, v in group.settings.items() if k in run.resources}}
    try:
        capacity.fitted(means.backend, resources)
    except BadInput as error:
        return str(error)
    return ""


def fitting(one: Order, first: Mapping[str, int], bounds: Bounds) -> Order:
    """A unit that asks for no more than the largest node has, whatever earlier attempts call for."""
    settings = dict(one.settings)
    memory, disk = bounds.node_memory_mib, bounds.node_disk_mib
    if memory is not None and settings.get("memory_mib", 0) > memory:
        settings["memory_mib"] = memory
    asked = {**first, **settings}
    if disk is not None and sum(asked.get(name, 0) for name in rounds.DISK) > disk:
        settings = {name: value for name, value in settings.items() if name not in rounds.DISK}
    return replace(one, settings=settings)


def _step(
    unit: str,
    one: Order,
    receipt: Receipt | None,
    run: Run,
    ended: Ended,
    ledger: Ledger,
    bounds: Bounds,
) -> Step:
    past = ledger.of(unit, receipt, run.run, ended)
    if not past.committed and ended.killed:
        return Step(False, f"Toil's leader was killed: {ended.words}")
    asked = {**run.resources, **{k: v for k, v in one.settings.items() if k in run.resources}}
    found = rounds.step(past, asked, run.resources, bounds)
    if not past.committed and found.why:
        found = replace(found, why=f"{found.why} ({ended.words})" if ended.words else found.why)
    return found


def _next(one: Order, step: Step, receipt: Receipt | None, request: Request, output: Location) -> Order:
    """The same work for the next round: with what it asks for now, and from where its last attempt got."""
    anew = one.anew or one
    anew = replace(anew, settings={**anew.settings, **step.asks})
    if receipt is None:
        return anew
    anew = anew.following(receipt.tag, one.rehearsal)
    return history.following(anew, receipt, request.template, request.parameters, output)[0]


def _tell(steps: Mapping[str, Step], ledger: Ledger, output: Location, run: Run, shown: Display) -> None:
    """Say what happens next, here and at the output."""
    for unit, step in steps.items():
        if step.why:
            ledger.notes[unit] = runs.Again(step.why, step.again, dict(step.asks), ledger.seen.get(unit))
            shown.again(f"{unit}: {step.why}", counted=unit in ledger.seen and step.again)
        elif unit in ledger.notes:
            del ledger.notes[unit]
    lost = ledger.before + sum(ledger.losses.values())
    if ledger.notes or lost:
        runs.write_rounds(output, run.run, runs.Rounds(lost, ledger.notes))
