"""Batches that are no more: their images are in others now, so their results go when those of the others are there."""

import json
from collections.abc import Callable, Mapping

from neurocwl.errors import InfrastructureError
from neurocwl.plan import DONE, Plan, PlannedUnit
from neurocwl.receipts import UNITS, Receipt, UnitState, read_states
from neurocwl.runs import RUNS
from neurocwl.storage import Location
from neurocwl.template import BATCH, Template


def found(plan: Plan, template: Template, output: Location) -> Mapping[str, Receipt]:
    """The batches with results at the output that can go: no plan of everything has them, others have their images.

    Only those of the very dataset that was planned: results of another place are somebody's own business. And only
    those of participants (or of the project) all of whose planned batches are delivered as they are planned.
    """
    gone = {problem.path for problem in plan.problems if problem.code == "WITHDRAWN"}
    if template.unit != BATCH or not gone:
        return {}
    states = read_states(output)
    receipts = {name: s.receipt for name, s in states.items() if name in gone and s.receipt}
    datasets = {run: _dataset(output, run) for run in {r.run for r in receipts.values()}}
    waiting = {
        planned.unit.participant
        for planned in plan.units
        if any(planned.order.files_of.values())  # else it has no image, and never will have a receipt
        and not _delivered(planned, states.get(planned.unit.name), template)
    }
    return {
        name: receipt
        for name, receipt in receipts.items()
        if datasets[receipt.run] == plan.dataset and (receipt.participant or "") not in waiting
    }


def clear(plan: Plan, template: Template, output: Location, say: Callable[[str], None]) -> None:
    """Remove the files of such batches."""
    gone = found(plan, template, output)
    if not gone:
        return
    paths = [written.path for receipt in gone.values() for written in receipt.manifest]
    paths += [entry.path for name in gone for entry in output.entries(f"{UNITS}{name}/")]
    say(f"removing the results of {len(gone)} batches whose images are in others now, or are gone")
    # receipts last: until then they say what is left to remove
    output.delete([path for path in paths if not path.endswith("/receipt.json")])
    output.delete([path for path in paths if path.endswith("/receipt.json")])


def _delivered(planned: PlannedUnit, state: UnitState | None, template: Template) -> bool:
    """Whether the results of a unit, as it is planned, lie at the output."""
    receipt = state.receipt if state and state.staging is None and not state.damaged else None
    if receipt is None or receipt.task_key != planned.order.task_key:
        return False
    # of a batch that failed the results of its other images count, where they are delivered
    return receipt.status == DONE or (template.deliver == "always" and bool(receipt.delivered))


def _dataset(output: Location, run: str) -> str | None:
    try:
        return str(json.loads(output.read(f"{RUNS}{run}/run.json") or b"{}").get("dataset"))
    except (ValueError, AttributeError, InfrastructureError):
        return None
