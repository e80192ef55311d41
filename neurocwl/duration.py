"""How long one unit takes: by the receipts of earlier runs, else by the template's model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from neurocwl.receipts import Receipt
from neurocwl.template import Hours, Template
from neurocwl.units import is_set

SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Duration:
    """Hours per unit, and where the figure is from."""

    hours: float
    source: str


def modelled(template: Template, parameters: Mapping[str, Any], cpus: int) -> Duration | None:
    """Hours by the template; None: it says nothing."""
    parts = [h for h in template.hours if not (h.unless and is_set(parameters.get(h.unless)))]
    if not parts:
        return None
    return Duration(sum(_with(h, cpus) for h in parts), "; ".join(h.source for h in parts))


def _with(part: Hours, cpus: int) -> float:
    used = min(cpus, part.most) if part.most else cpus
    return part.value * (1 - part.parallel + part.parallel * part.cpus / used)


def measured(
    receipts: Iterable[Receipt],
    cpus_of: Mapping[str, int],
    template: Template,
    parameters: Mapping[str, Any],
    cpus: int,
) -> Duration | None:
    """The median of what units took that are done; None: no receipt tells.

    cpus_of names the CPUs of each run; other CPUs than those of now are made up for by the template's model.
    """
    now = modelled(template, parameters, cpus)
    found = []
    for receipt in receipts:
        seconds = receipt.attempts[-1].get("seconds") if receipt.attempts else None
        if receipt.status != "done" or receipt.rehearsal or not isinstance(seconds, int) or seconds <= 0:
            continue
        then = modelled(template, parameters, cpus_of.get(receipt.run, cpus))
        found.append(seconds / SECONDS * (now.hours / then.hours if now and then else 1.0))
    if not found:
        return None
    return Duration(median(found), f"median of {len(found)} receipts at the output")
