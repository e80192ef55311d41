"""The group stage: what runs once over the results of all units that are done."""

from collections.abc import Mapping

from neurocwl import template
from neurocwl.derivatives import results
from neurocwl.errors import BadInput
from neurocwl.joborder import Order, order
from neurocwl.receipts import UnitState
from neurocwl.storage import Location
from neurocwl.taskkey import fingerprint
from neurocwl.template import GROUP, Template
from neurocwl.units import Unit


def template_of(chosen: Template) -> Template | None:
    """The group pipeline that belongs to a pipeline: it lies beside it.

    Raises BadInput when the file that its template names is not there, or is no group pipeline.
    """
    return template.beside(chosen, chosen.group) if chosen.group else None


def due(
    chosen: Template, output: Location, states: Mapping[str, UnitState], *, rehearsal: bool
) -> Order | None:
    """The work of the group stage; None when there are no results, or they are gathered already.

    Raises BadInput when another group pipeline gathered what is there: this one would delete it.
    """
    receipts = [s.receipt for name, s in sorted(states.items()) if s.receipt and name != GROUP]
    parts = {
        name: (results(binding.results, output, [r for r in receipts if r.rehearsal == rehearsal]),)
        for name, binding in chosen.bind.items()
        if binding.kind == "results"
    }
    if not any(part.files for group in parts.values() for part in group):
        return None
    mark = fingerprint(chosen, chosen.image, chosen.fixed, None)
    unit = Unit(GROUP, "", None, ())
    one = order(unit, chosen, (), output.file_url, chosen.fixed, None, mark, parts)
    state = states.get(GROUP, UnitState(None))
    before = state.receipt
    if before and before.pipeline != chosen.pipeline:
        raise BadInput(
            f"{output.url}: the results there were gathered by {before.pipeline}; {chosen.pipeline} would replace them"
        )
    if before and before.status == "done" and before.task_key == one.task_key and state.staging is None:
        return None
    return one.following(before.tag if before else None, "" if rehearsal else None)
