"""What became of every unit: from the plan of the last run and the receipts, nothing else."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurocwl import budget, globs, lease
from neurocwl.budget import Tariff
from neurocwl.receipts import UnitState, read_states
from neurocwl.runs import Again, Run, read_inputs, read_rounds, read_running
from neurocwl.stop import OVER_BUDGET
from neurocwl.storage import Location
from neurocwl.template import GROUP

DONE, FAILED, INCOMPLETE = "done", "failed", "incomplete"
WAITING, RUNNING, NOT_STARTED, CUT_OFF = "waiting", "running", "not-started", "cut-off"
ORDER = (FAILED, CUT_OFF, INCOMPLETE, NOT_STARTED, RUNNING, WAITING, DONE)


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """One unit's true state."""

    unit: str
    participant: str | None
    session: str | None
    status: str
    reason: str
    files: int
    size: int  # bytes
    attempts: int
    task_key: str
    dollars: float | None = None  # of its attempts in this run; None: nobody knows prices

    def as_dict(self) -> dict[str, Any]:
        """The stable form of --json."""
        return {
            "unit": self.unit,
            "participant": self.participant,
            "session": self.session,
            "status": self.status,
            "reason": self.reason,
            "files": self.files,
            "bytes": self.size,
            "attempts": self.attempts,
            "task_key": self.task_key,
            "dollars": self.dollars,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a run and of all units at its output."""

    run: Run
    alive: bool
    units: tuple[UnitStatus, ...]
    lost: int = 0  # attempts of the run that went with their node
    money: Mapping[str, Any] | None = None  # as in run.json, with what is spent

    @property
    def cost(self) -> str:
        """What it cost, beside the estimate; empty when nobody knows prices."""
        return budget.told(self.money) if self.money else ""

    @property
    def counts(self) -> dict[str, int]:
        """Units by status, those that need attention first."""
        counted = Counter(unit.status for unit in self.units)
        return {status: counted[status] for status in ORDER if counted[status]}

    @property
    def complete(self) -> bool:
        """Whether every unit is done."""
        return all(unit.status == DONE for unit in self.units)

    def as_dict(self) -> dict[str, Any]:
        """The stable form of --json."""
        return {
            "run": self.run.run,
            "pipeline": self.run.pipeline,
            "dataset": self.run.dataset,
            "output": self.run.output,
            "rehearsal": self.run.rehearsal,
            "state": "running"
            if self.alive
            else self.run.status
            if self.run.status != "running"
            else "broken",
            "started": self.run.started,
            "ended": self.run.ended,
            "counts": self.counts,
            "money": self.money,
            "lost": self.lost,
            "units": [unit.as_dict() for unit in self.units],
        }


def read(output: Location, run: Run) -> Status:
    """The status of an output: the units of its last run, and those that earlier runs left there."""
    held = lease.read(output)
    alive = bool(held and held.alive)
    states = read_states(output)
    running = read_running(output, run.run) if alive else []
    decided = read_rounds(output, run.run)
    planned = {unit["unit"]: unit for unit in run.units}
    gathered = _gathered(output, states, planned.get(GROUP, {}).get("results", ["**"]))
    units = [
        _status(plan, states.get(name, UnitState(None)), run, alive, running, gathered, decided.units)
        for name, plan in planned.items()
    ]
    units += [
        _status({"unit": name}, states[name], run, alive, running, gathered, {})
        for name in sorted(set(states) - set(planned))
    ]
    return Status(run, alive, tuple(units), decided.lost, _money(run, states))


def _money(run: Run, states: Mapping[str, UnitState]) -> dict[str, Any] | None:
    """What a run was estimated at and what it cost, as it recorded it, else by receipts; None: nobody knows prices."""
    if not run.money or "spent" in run.money:
        return dict(run.money) or None
    paid = {unit: _seconds(run, state) for unit, state in states.items() if unit != GROUP}
    spent = budget.account(Tariff(**run.money["tariff"]), {unit: took for unit, took in paid.items() if took})
    return {**run.money, "spent": spent}


def _dollars(run: Run, state: UnitState) -> float | None:
    if not run.money:
        return None
    return round(Tariff(**run.money["tariff"]).price(_seconds(run, state)), 6)


def _seconds(run: Run, state: UnitState) -> float:
    return budget.paid_by(state.receipt.attempts, run.run) if state.receipt else 0.0


def _gathered(output: Location, states: Mapping[str, UnitState], results: Sequence[str]) -> str | None:
    """Why what the group stage gathered is not what lies there now; empty when it is, None without anything to gather.

    results: globs of the files that it gathers.
    """
    patterns = [globs.regex(glob) for glob in results]
    receipts = {unit: s.receipt for unit, s in states.items() if unit != GROUP and s.receipt}
    files = {
        unit: {w.path: w.etag for w in r.delivered if any(p.fullmatch(w.path) for p in patterns)}
        for unit, r in receipts.items()
    }
    if not any(files.values()):
        return None if any(r.status == DONE for r in receipts.values()) else "no unit has results"
    group = states.get(GROUP, UnitState(None)).receipt
    newer = [unit for unit, r in receipts.items() if files[unit] and group and r.committed > group.committed]
    if not group or not newer:
        return ""
    was = {url: etag for url, _, etag in read_inputs(output, group.run).get(GROUP, [])}
    if any(was.get(output.file_url(path)) != etag for unit in newer for path, etag in files[unit].items()):
        return "results have changed since it ran: neurocwl group OUT"
    return ""


def _status(
    plan: Mapping[str, Any],
    state: UnitState,
    run: Run,
    alive: bool,
    running: Collection[str],
    gathered: str | None,
    decided: Mapping[str, Again],
) -> UnitStatus:
    receipt = state.receipt
    status, reason = _judged(plan, state, run, alive, running, gathered)
    note = decided.get(plan["unit"])
    if note and note.attempt == (receipt.attempt if receipt and receipt.run == run.run else None):
        status, reason = _after_a_round(status, reason, note, alive, plan["unit"] in running)
    return UnitStatus(
        unit=plan["unit"],
        participant=plan.get("participant") or (receipt.participant if receipt else None),
        session=plan.get("session") or (receipt.session if receipt else None),
        status=status,
        reason=reason,
        files=len(receipt.delivered) if receipt else 0,
        size=sum(written.size for written in receipt.delivered) if receipt else 0,
        attempts=len(receipt.attempts) if receipt else 0,
        task_key=receipt.task_key if receipt else plan.get("task_key", ""),
        dollars=_dollars(run, state),
    )


def _after_a_round(status: str, reason: str, note: Again, alive: bool, running: bool) -> tuple[str, str]:
    """What became of a unit whose last attempt has been judged."""
    if note.again and alive and status in (FAILED, WAITING, RUNNING):
        return (RUNNING if running else WAITING), note.why
    if not note.again and status in (FAILED, NOT_STARTED):
        return status, f"{reason}; {note.why}"
    return status, reason


def _judged(
    plan: Mapping[str, Any],
    state: UnitState,
    run: Run,
    alive: bool,
    running: Collection[str],
    gathered: str | None,
) -> tuple[str, str]:
    receipt, planned = state.receipt, plan.get("status")
    if planned == INCOMPLETE:
        return INCOMPLETE, str(plan["reason"])
    if state.damaged:
        return CUT_OFF, state.damaged
    if state.staging is not None and alive and state.staging_run == run.run:
        return RUNNING, "its outputs are being delivered"
    if state.staging is not None and not alive:
        return CUT_OFF, "cut off while its outputs were delivered; launch again"
    if (
        plan["unit"] == GROUP and not alive and run.status == "finished"
    ):  # it runs only when something changed
        if gathered is None:
            return DONE, "there was nothing to gather"
        if receipt is None or gathered:
            return NOT_STARTED, gathered or "it never ran: neurocwl group OUT"
        return receipt.status, receipt.reason
    fresh = (
        receipt is not None and state.staging is None and (planned in (None, DONE) or receipt.run == run.run)
    )
    if receipt is not None and fresh:
        return receipt.status, receipt.reason
    if alive and plan["unit"] in running:
        return RUNNING, ""
    if alive:
        return WAITING, str(plan.get("reason", ""))
    before = f" (before: {receipt.status})" if receipt else ""
    if run.status == OVER_BUDGET:
        return NOT_STARTED, f"budget: the run reached its --max-cost{before}; launch again with more"
    return NOT_STARTED, f"the run ended before it did{before}; launch again"


def summary(counts: Mapping[str, int] | Iterable[tuple[str, int]]) -> str:
    """'3 failed, 8 done' from counts by status."""
    return ", ".join(f"{count} {status}" for status, count in dict(counts).items()) or "no units"
