"""What a run spends, while it runs; at the edge of its budget the gate closes: no unit starts any more."""

import json
import time
from collections.abc import Callable, Collection
from typing import Any

from neurocwl import budget
from neurocwl.budget import Begin, Meter, Tariff, UnitTime, money
from neurocwl.errors import InfrastructureError, NeurocwlError
from neurocwl.receipts import Receipt
from neurocwl.runs import RUNS, Run, now
from neurocwl.stop import Stop
from neurocwl.storage import Location
from neurocwl.watch import Watch

LOOK = 10.0  # seconds between two looks at what has begun
SOON = 2.0  # seconds, when a unit has ended since
NODES = 60.0  # seconds between two looks at the nodes
LOST = "lost"  # instead of the tag of a receipt

Say = Callable[[str], None]


class Spending(Watch):
    """Counts dollars; with a cap it closes the gate (toolwrappers/gate.py), and ends the run when no unit runs.

    nodes: dollars that the nodes themselves have cost so far, where somebody knows. tell: people who are elsewhere.
    """

    def __init__(
        self,
        tariff: Tariff,
        cap: float | None,
        units: Collection[str],
        say: Say,
        tell: Say,
        nodes: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tariff, self.cap, self.units, self.say, self.tell = tariff, cap, set(units), say, tell
        self.gated = cap is not None
        self.closed = False
        self._clock = clock
        self._ask_nodes, self._nodes, self._asked, self._looked = nodes, 0.0, 0.0, 0.0
        self._run, self._began = "", clock()
        self._early = self._due = self._warned = False
        self._paid: dict[str, float] = {}
        self._receipts: dict[str, str | None] = {}  # tags, of units that ended
        self._lost: dict[str, float] = {}  # seconds of last attempts that will leave no receipt
        self._took: list[float] = []
        self._begins: dict[str, tuple[str, list[Begin]]] = {}  # unit -> tag of the note, what it says

    def begin(self, run: Run, output: Location, stop: Stop) -> None:
        self._run, self._output, self._stop, self._began = run.run, output, stop, self._clock()

    def ended(self, unit: str, receipt: Receipt | None) -> None:
        if unit not in self.units:
            return
        if receipt is None:
            self._give_up([unit])
        else:
            self._paid[unit] = budget.paid_by(receipt.attempts, receipt.run)
            self._receipts[unit] = receipt.tag
            if receipt.status == "done":
                self._took.append(budget.paid_by(receipt.attempts[-1:], receipt.run))
        self._due = True
        self.look()

    def kept_back(self, unit: str) -> bool:
        return self.closed and unit in self.units and unit not in self._begins

    def look(self) -> None:
        if self._clock() - self._looked >= (SOON if self._due else LOOK):
            self._check()

    def idle(self) -> None:
        self._give_up([unit for unit, time_ in self._times().items() if time_.running is not None])
        self._check()

    def record(self) -> dict[str, Any]:
        if not self._run:
            return {"money": self._plan()}
        paid = {unit: time_.paid + (time_.running or 0.0) for unit, time_ in self._times().items()}
        spent = budget.account(self.tariff, {u: s for u, s in paid.items() if s}, nodes=self._by_nodes())
        return {"money": self._plan() | {"spent": spent}}

    def _plan(self) -> dict[str, Any]:
        return {"max_cost": self.cap, "tariff": self.tariff.as_dict()}

    def _check(self) -> None:
        """Read the meter, and do what it demands."""
        if self.cap is None:
            return
        self._due, self._looked = False, self._clock()
        self._read_begins()
        meter, more = self._meter(), self._unit_dollars()
        if not self.closed and not budget.may_start(meter, self.cap, more):
            self._output.write(f"{RUNS}{self._run}/closed", json.dumps({"at": now()}).encode() + b"\n")
            self.closed = True
            self._read_begins()  # whoever passed before has left a note
            meter = self._meter()
            if self._waiting():
                self._both(f"{self._reached(meter, more)}; no unit starts any more, {self._counts(meter)}")
        if not self.closed and not self._early and budget.is_early(meter, self.cap):
            self._early = True
            spent = f"{money(meter.spent)} of --max-cost {money(self.cap)} are spent"
            self._both(f"{spent}, what runs may still cost {money(meter.coming)}; {self._counts(meter)}")
        if self.closed and self._waiting() and not meter.running:
            self._stop.over_budget(
                f"{self._reached(meter, more)}: {len(self._waiting())} units were not started; "
                "the same launch with more goes on"
            )

    def _reached(self, meter: Meter, more: float) -> str:
        spent = f"{money(meter.spent)} are spent, what runs may still cost {money(meter.coming)}"
        return f"--max-cost {money(self.cap)} is reached ({spent}, one more unit {money(more)})"

    def _unit_dollars(self) -> float:
        return self.tariff.price(budget.expected(self.tariff.hours, self._took))

    def _counts(self, meter: Meter) -> str:
        ended, waiting = len(self._receipts), len(self._waiting())
        return f"{ended} of {len(self.units)} units ended, {meter.running} run, {waiting} wait"

    def _both(self, text: str) -> None:
        self.say(text)
        self.tell(text)

    def _waiting(self) -> set[str]:
        return self.units - set(self._begins) - set(self._receipts)

    def _meter(self) -> Meter:
        unit_seconds = budget.expected(self.tariff.hours, self._took)
        return budget.read(self._times().values(), self.tariff, unit_seconds, self._by_nodes())

    def _times(self) -> dict[str, UnitTime]:
        at = self._clock()
        found = {}
        for unit in {*self._begins, *self._paid}:
            begins = self._begins.get(unit, ("", []))[1]
            receipt = self._receipts.get(unit, begins[-1].receipt if begins else None)
            paid = self._paid.get(unit, 0.0) + self._lost.get(unit, 0.0)
            found[unit] = budget.unit_time(paid, receipt, begins, at)
        return found

    def _give_up(self, units: Collection[str]) -> None:
        """Count what ran in vain as paid: no receipt will."""
        times = self._times()
        for unit in units:
            found = times.get(unit)
            if found and found.running is not None:
                self._lost[unit] = found.running
                self._receipts[unit] = LOST

    def _read_begins(self) -> None:
        """Read the notes that units left when they began, as far as they are new."""
        base = f"{RUNS}{self._run}/begun/"
        found = {entry.path.removeprefix(base): entry for entry in self._output.entries(base)}
        for unit in set(self._begins) - set(found):  # it was kept back: it takes its note away again
            del self._begins[unit]
        for unit in self.units & set(found):
            entry = found[unit]
            if self._begins.get(unit, ("", []))[0] == entry.etag:
                continue
            data = self._output.read(entry.path)
            if data is not None:
                self._begins[unit] = (entry.etag, read_begins(data, entry.path))
                if self._receipts.get(unit) == LOST:  # it begins again: its notes tell what was lost
                    del self._receipts[unit], self._lost[unit]

    def _by_nodes(self) -> float:
        hours = (self._clock() - self._began) / budget.HOUR
        if self.tariff.machine_hour is not None:
            return hours * self.tariff.machine_hour
        if self._ask_nodes and self._clock() - self._asked >= NODES:
            self._asked = self._clock()
            try:
                self._nodes = max(self._nodes, self._ask_nodes())
            except NeurocwlError as error:  # the units are counted all the same
                if not self._warned:
                    self.say(f"warning: what the nodes cost is not known: {error}")
                self._warned = True
        return self._nodes


def read_begins(data: bytes, where: str) -> list[Begin]:
    """The beginnings in a unit's note.

    Raises InfrastructureError for one that is damaged.
    """
    try:
        return [Begin(float(at), None if tag is None else str(tag)) for at, tag in json.loads(data)]
    except (ValueError, TypeError) as error:
        raise InfrastructureError(f"{where} is damaged ({error!r}); delete it") from error
