"""What on AWS is left of clusters and runs: which of it lives, what it costs, and what nobody will ever end."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from neurocwl import lease
from neurocwl.aws import session
from neurocwl.aws.inventory import Inventory, Unseen
from neurocwl.aws.things import HOURS, Thing
from neurocwl.errors import NeurocwlError
from neurocwl.s3 import Access
from neurocwl.storage import open_location


@dataclass(frozen=True, slots=True)
class Audit:
    """Things beside whether they are in use, and what could not be looked for."""

    things: tuple[tuple[Thing, bool], ...]
    unseen: tuple[Unseen, ...]
    named: str  # the cluster that it is about; "": all

    @property
    def left(self) -> tuple[Thing, ...]:
        """What should not be there: of a named cluster anything, else what costs and is of no living one.

        Data and machine images are kept on purpose.
        """
        found = [(thing, used) for thing, used in self.things if not thing.kept]
        return tuple(thing for thing, used in found if self.named or (thing.costs and not used))

    @property
    def hourly(self) -> float:
        """Dollars per hour of all things whose price is known."""
        return sum(thing.hourly or 0.0 for thing, _ in self.things)

    @property
    def monthly(self) -> float:
        """The same for a month, as things are now."""
        return self.hourly * HOURS

    @property
    def exit_code(self) -> int:
        """0 clean, 1 something is left, 3 not all could be looked for."""
        return 3 if self.unseen else 1 if self.left else 0

    def as_dict(self) -> dict[str, Any]:
        """JSON's form: docs/formats.md."""
        left = {id(thing) for thing in self.left}
        return {
            "cluster": self.named or None,
            "things": [
                {**thing.as_dict(), "in_use": used, "kept": thing.kept, "left": id(thing) in left}
                for thing, used in self.things
            ],
            "unseen": [{"kind": one.kind, "region": one.region, "why": one.why} for one in self.unseen],
            "usd_per_hour": round(self.hourly, 6),
            "usd_per_month": round(self.monthly, 2),
        }


def judged(
    found: Inventory, named: str, alive: Callable[[str], bool], elsewhere: Collection[str] = ()
) -> Audit:
    """An inventory with what is in use.

    alive(output): whether a launch writes there now; elsewhere: clusters that live in regions not looked at.
    """
    living = found.living | set(elsewhere)
    outputs = {url: alive(url) for url in {thing.output for thing in found.things if thing.output}}
    return Audit(
        tuple((thing, thing.cluster in living or outputs.get(thing.output, False)) for thing in found.things),
        found.unseen,
        named,
    )


def writes(output: str, access: Access) -> bool:
    """Whether a launch writes to an output; one that cannot be read is not known to be in use."""
    try:
        with session.explained(output):
            found = lease.read(open_location(output, access))
    except NeurocwlError:
        return False
    return bool(found and found.alive)
