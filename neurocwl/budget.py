"""What a run has cost and may still cost: arithmetic alone. Dollars are US dollars, times are seconds."""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

HOUR = 3600
EARLY = 0.8  # of the budget: people are told
DUST = 1e-9  # of the budget: what additions of floats leave


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a unit costs by the hour, and what the plan said that all of them would."""

    per_unit_hour: float  # dollars of a node's hour that fall to one unit, places that stay empty included
    node: str  # what runs the units, in words
    source: str  # of the price
    units: int
    hours: float | None  # per unit, as estimated; None: nobody knew
    hours_source: str = ""
    dollars: float | None = None  # of all units, as estimated
    start: float = 0.0  # dollars of the starts of nodes that fall to one unit
    machine_hour: float | None = None  # dollars of a machine that is paid from the run's beginning to its end

    def price(self, seconds: float) -> float:
        """Dollars of one unit that takes so long; of one that has not begun, nothing."""
        return seconds / HOUR * self.per_unit_hour + (self.start if seconds else 0.0)

    def as_dict(self) -> dict[str, Any]:
        """As run.json and --json have it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Begin:
    """A unit's tool was about to start: when, and the tag of the unit's receipt then (None: it had none)."""

    at: float  # seconds since 1970
    receipt: str | None


@dataclass(frozen=True, slots=True)
class UnitTime:
    """The time of one unit in a run."""

    paid: float = 0.0  # by receipts, and that of attempts which were lost
    running: float | None = None  # since its last attempt began; None: none runs


@dataclass(frozen=True, slots=True)
class Meter:
    """How a run stands."""

    spent: float  # dollars
    coming: float  # dollars that the units which run will still cost
    running: int

    @property
    def committed(self) -> float:
        """Dollars that are spent when nothing more is started."""
        return self.spent + self.coming


def paid_by(attempts: Iterable[Mapping[str, Any]], run: str) -> float:
    """The seconds that the attempts of one run took, by a unit's receipt; failed ones are paid as well."""
    took = (attempt.get("seconds") for attempt in attempts if attempt.get("run") == run)
    return float(sum(seconds for seconds in took if isinstance(seconds, int | float) and seconds > 0))


def unit_time(paid: float, receipt: str | None, begins: Sequence[Begin], now: float) -> UnitTime:
    """The time of a unit. receipt: its tag now.

    An attempt writes a receipt when it ends. So the last one runs while the receipt is that which it found, and
    one after which another began with the same receipt was lost with its worker.
    """
    lost = sum(
        max(0.0, after.at - before.at)
        for before, after in itertools.pairwise(begins)
        if before.receipt == after.receipt
    )
    runs = bool(begins) and begins[-1].receipt == receipt
    return UnitTime(paid + lost, max(0.0, now - begins[-1].at) if runs else None)


def expected(estimated: float | None, took: Collection[float]) -> float:
    """Seconds that a unit takes: the median of what took so long in this run, else the estimate."""
    if took:
        return median(took)
    return (estimated or 0.0) * HOUR


def read(times: Iterable[UnitTime], tariff: Tariff, unit_seconds: float, nodes: float = 0.0) -> Meter:
    """How a run stands. times: of the units that have begun.

    nodes: dollars by the hours of the nodes themselves; the greater of both counts.
    """
    spent = left = 0.0
    running = 0
    for time in times:
        spent += tariff.start + (time.paid + (time.running or 0.0)) / HOUR * tariff.per_unit_hour
        if time.running is not None:
            running += 1
            left += max(0.0, unit_seconds - time.running)
    return Meter(max(spent, nodes), left / HOUR * tariff.per_unit_hour, running)


def may_start(meter: Meter, cap: float, unit_dollars: float) -> bool:
    """Whether the budget holds one more unit beside what is spent and what runs."""
    return meter.committed < cap and meter.committed + unit_dollars <= cap * (1 + DUST)


def is_early(meter: Meter, cap: float) -> bool:
    """Whether so much is spent that people should know."""
    return meter.spent >= EARLY * cap


def account(tariff: Tariff, times: Mapping[str, float], *, nodes: float = 0.0) -> dict[str, Any]:
    """What a run cost, in all and per unit. times: the seconds of each unit that has any."""
    by_units = sum(map(tariff.price, times.values()))
    dollars = max(by_units, nodes)
    return {
        "dollars": round(dollars, 6),
        "by": "the hours of nodes" if nodes > by_units else "receipts",
        "units": len(times),
        "dollars_per_unit": round(dollars / len(times), 6) if times else None,
        "hours_per_unit": round(median(times.values()) / HOUR, 6) if times else None,
    }


def told(recorded: Mapping[str, Any]) -> str:
    """What a run cost beside what it was estimated at, in one line. recorded: `money` of run.json, with `spent`."""
    spent, plan = recorded["spent"], recorded["tariff"]
    words = f"cost: {money(spent['dollars'])} by {spent['by']}"
    if spent["units"]:
        words += f" ({money(spent['dollars_per_unit'])} per unit, {lasting(spent['hours_per_unit'])} each)"
    if plan["dollars"] is not None:
        each = plan["dollars"] / plan["units"]
        words += f"; estimated: {money(plan['dollars'])} for {plan['units']} units ({money(each)} per unit, {lasting(plan['hours'])} each)"
    return f"{words}; {plan['node']}, {plan['source']}"


def fitting(cap: float, units: int, price: Callable[[int], float]) -> int:
    """The most of some units that an amount pays for. price: dollars of so many; more are never cheaper."""
    least, most = 0, units
    while least < most:
        middle = (least + most + 1) // 2
        if price(middle) <= cap * (1 + DUST):
            least = middle
        else:
            most = middle - 1
    return least


def lasting(hours: float) -> str:
    """A time for people."""
    if hours >= 0.1:
        return f"{hours:.2f} h"
    return f"{hours * 60:.1f} min" if hours >= 1 / 60 else f"{hours * HOUR:.1f} s"


def money(amount: float | None) -> str:
    """Dollars for people: more digits for small amounts."""
    if amount is None:
        return "-"
    return f"${amount:,.2f}" if amount >= 10 or amount == 0 else f"${amount:.4f}"
