"""What an earlier attempt of a unit means for its next: where it goes on, and what it asks for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from neurocwl import rounds
from neurocwl.binding import Binding
from neurocwl.derivatives import DONE, resumed
from neurocwl.joborder import Order, with_parts
from neurocwl.receipts import Receipt
from neurocwl.rounds import Bounds
from neurocwl.storage import Location
from neurocwl.template import Template
from neurocwl.units import is_set


def following(
    one: Order, receipt: Receipt, template: Template, given: Mapping[str, Any], output: Location
) -> tuple[Order, tuple[str, ...]]:
    """The work as the successor of a failed attempt, and what people should know; as it is where nothing can be reused.

    given: the parameters that the user set.
    """
    last = receipt.attempts[-1] if receipt.attempts else {}
    if receipt.status == DONE or receipt.task_key != one.task_key or last.get("resumes") is False:
        return one, ()
    told, anew = list[str](), one
    for name, binding in template.bind.items():
        if not (binding.derivatives and binding.derivatives.resume) or _is_given(
            template, name, binding, given
        ):
            continue
        found = resumed(binding.derivatives, output, receipt, one.unit)
        taken = [(part, how) for part, how in found if not any(is_set(given.get(key)) for key in how.set)]
        if taken:
            one = with_parts(one, name, [part for part, _ in taken])
        for part, how in taken:
            if how.set:
                one = replace(one, settings={**one.settings, **how.set})
                told.append(f"{part.name} goes on with {_words(how.set)}")
            elif not template.takes_many(name):
                folders = dict.fromkeys(path.partition("/")[0] for path, _ in part.files)
                told.append(f"goes on with {', '.join(folders)} of its last attempt ({name})")
    return (one if one is anew else replace(one, anew=anew)), tuple(told)


def _is_given(template: Template, name: str, binding: Binding, given: Mapping[str, Any]) -> bool:
    """Whether the user has named something else to go on from, where only one of both can be."""
    assert binding.derivatives is not None
    alone = any(how.set for how in binding.derivatives.resume) or not template.takes_many(name)
    return alone and is_set(given.get(name))


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(name if value is True else f"{name} {value}" for name, value in settings.items())


def asking(
    one: Order, receipt: Receipt, first: Mapping[str, int], bounds: Bounds
) -> tuple[Order, tuple[str, ...]]:
    """The work with as much memory and disk as its earlier attempts call for, and what people should know."""
    more, why = rounds.learned(receipt.attempts, first, bounds)
    return (replace(one, settings={**one.settings, **more}), (why,)) if more else (one, ())
