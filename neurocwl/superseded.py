"""Batches that are no more: their images are in others now, so their results go when those of the others are there."""

import json
from collections.abc import Callable, Mapping

from neurocwl.errors import InfrastructureError
from neurocwl.plan import Plan
from neurocwl.receipts import UNITS, Receipt, read_states
from neurocwl.runs import RUNS
from neurocwl.storage import Location
from neurocwl.template import BATCH, Template


def found(plan: Plan, template: Template, output: Location) -> Mapping[str, Receipt]:
    """The batches with results at the output that the plan of everything does not have any more.

    Only those of the very dataset that was planned: results of another place are somebody's own business.
    """
    gone = {problem.path for problem in plan.problems if problem.code == "WITHDRAWN"}
    if template.unit != BATCH or not gone:
        return {}
    receipts = {name: s.receipt for name, s in read_states(output, gone).items() if s.receipt}
    datasets = {run: _dataset(output, run) for run in {r.run for r in receipts.values()}}
    return {name: r for name, r in receipts.items() if datasets[r.run] == plan.dataset}


def clear(plan: Plan, template: Template, output: Location, say: Callable[[str], None]) -> None:
    """Remove the files of such batches, unless a batch of the plan has no outcome yet."""
    gone = found(plan, template, output)
    if not gone:
        return
    states = read_states(output, [planned.unit.name for planned in plan.units])
    if any(p.unit.name not in states and not p.unit.missing for p in plan.units):
        return
    paths = [written.path for receipt in gone.values() for written in receipt.manifest]
    paths += [entry.path for name in gone for entry in output.entries(f"{UNITS}{name}/")]
    say(f"removing the results of {len(gone)} batches whose images are in others now, or are gone")
    # receipts last: until then they say what is left to remove
    output.delete([path for path in paths if not path.endswith("/receipt.json")])
    output.delete([path for path in paths if path.endswith("/receipt.json")])


def _dataset(output: Location, run: str) -> str | None:
    try:
        return str(json.loads(output.read(f"{RUNS}{run}/run.json") or b"{}").get("dataset"))
    except (ValueError, AttributeError, InfrastructureError):
        return None
