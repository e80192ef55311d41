"""A run at the edge of its budget: real notes of the gate, real receipts of stage-out, in a folder."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gate
import output_store
import pytest

from neurocwl import budget, repeat, status
from neurocwl.budget import Tariff
from neurocwl.errors import BadInput
from neurocwl.receipts import Receipt, read_receipt
from neurocwl.rounds import Step
from neurocwl.s3 import Access
from neurocwl.spending import Spending
from neurocwl.stop import OVER_BUDGET, Stop
from neurocwl.storage import Location, open_location
from neurocwl.watch import Watch, Watches
from tests.unit.test_status_verify import a_run, commit, planned

UNITS = ("sub-1", "sub-2", "sub-3")
HOUR = 3600


class Watched:
    """A run of three units at a dollar an hour each, one hour long by the estimate, that may cost so much."""

    def __init__(self, folder: Path, cap: float | None, **changes: Any) -> None:
        self.folder = folder
        self.now = time.time()
        self.output: Location = open_location(str(folder / "out"), Access())
        tariff = Tariff(1.0, "a node", "a test", len(UNITS), 1.0, "a guess", 3.0)
        self.said: list[str] = []
        self.told: list[str] = []
        nodes = changes.pop("nodes", None)
        self.watch = Spending(
            replace(tariff, **changes),
            cap,
            UNITS,
            self.said.append,
            self.told.append,
            nodes,
            clock=lambda: self.now,
        )
        self.stop = Stop(print)
        self.run = a_run(self.output, *(planned(unit) for unit in UNITS), status_="running")
        self.watch.begin(self.run, self.output, self.stop)

    def starts(self, unit: str) -> bool:
        """A worker asks the gate."""
        store = output_store.open_store(self.output.url, f".neurocwl/units/{unit}")
        return gate.passes(store, self.run.run, unit)

    def note(self, unit: str) -> str:
        return f".neurocwl/runs/{self.run.run}/begun/{unit}"

    def ends(self, unit: str, hours: float, exit_code: int = 0) -> None:
        """stage-out commits a unit that took so long, and Toil tells of it."""
        commit(self.output, self.folder / "unit", unit, self.run.run, exit_code)
        self.now += 10  # a launch looks every two seconds when a unit has ended
        self.watch.ended(unit, took(read_receipt(self.output, unit), hours))

    def look(self, hours: float = 0.0) -> None:
        """The launch looks; so many hours have passed since the last time."""
        self.now += hours * HOUR + 10
        self.watch.look()


def took(receipt: Receipt | None, hours: float) -> Receipt:
    assert receipt
    *before, last = receipt.attempts
    return replace(receipt, attempts=(*before, {**last, "seconds": hours * HOUR}))


def test_units_that_take_as_long_as_estimated_all_run(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    for unit in UNITS:
        assert run.starts(unit)
        run.ends(unit, 1.0)
    assert not run.stop.is_set()
    assert run.watch.record()["money"]["spent"] == {
        "dollars": 3.0,
        "by": "receipts",
        "units": 3,
        "dollars_per_unit": 1.0,
        "hours_per_unit": 1.0,
    }


def test_after_the_edge_no_unit_starts_and_the_run_ends_over_budget(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    assert run.starts("sub-1")
    run.ends("sub-1", 2.5)
    assert not run.starts("sub-2"), "it would cost 2.5 as well"
    assert (run.stop.is_set(), run.stop.status) == (True, OVER_BUDGET)
    assert run.stop.reason == (
        "--max-cost $3.0000 is reached ($2.5000 are spent, what runs may still cost $0.00, one more unit $2.5000): "
        "2 units were not started; the same launch with more goes on"
    )
    assert len(run.told) == len(run.said) == 1
    assert "no unit starts any more, 1 of 3 units ended, 0 run, 2 wait" in run.told[0]


def test_units_that_run_at_the_edge_may_finish(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    assert run.starts("sub-1")
    assert run.starts("sub-2")
    run.ends("sub-1", 2.5)
    assert not run.starts("sub-3")
    assert not run.stop.is_set(), "sub-2 still runs"
    run.ends("sub-2", 2.5)
    assert run.stop.status == OVER_BUDGET
    assert run.watch.record()["money"]["spent"]["dollars"] == 5.0


def test_the_time_of_a_failed_attempt_is_paid(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    run.starts("sub-1")
    run.ends("sub-1", 2.5, exit_code=1)
    assert not run.starts("sub-2")
    assert run.watch.record()["money"]["spent"]["dollars"] == 2.5


def test_a_unit_that_runs_too_long_closes_the_gate_while_it_runs(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    run.starts("sub-1")
    run.look(1.9)
    assert run.starts("sub-2"), "1.9 and 1 are less than 3"
    run.look(0.2)
    assert not run.starts("sub-3")
    assert not run.stop.is_set()


def test_people_are_told_once_when_four_fifths_are_spent(tmp_path: Path) -> None:
    run = Watched(tmp_path, 10.0)
    run.starts("sub-1")
    run.look(7.5)
    assert not run.told
    run.look(1.0)
    run.look(0.1)
    (text,) = run.told
    assert re.match(
        r"\$8\.5\d+ of --max-cost \$10\.00 are spent, what runs may still cost \$0\.00; 0 of 3", text
    )


def test_a_budget_that_is_reached_when_nothing_waits_is_no_end(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    for unit in UNITS:
        run.starts(unit)
    for unit in UNITS:
        run.ends(unit, 5.0)
    assert not run.stop.is_set()
    assert not run.told


def test_what_ran_on_a_worker_that_was_lost_is_paid(tmp_path: Path) -> None:
    run = Watched(tmp_path, 30.0)
    run.starts("sub-1")
    run.look(2.0)
    run.watch.idle()  # Toil has given it up
    spent = run.watch.record()["money"]["spent"]
    assert spent["dollars"] == pytest.approx(2.0, abs=0.01)


def test_a_unit_that_was_given_up_and_begins_again_is_not_paid_twice(tmp_path: Path) -> None:
    run = Watched(tmp_path, 30.0)
    run.starts("sub-1")
    run.look(2.0)
    run.watch.idle()
    begins = json.loads(run.output.read(run.note("sub-1")) or b"")
    again = [*begins, [run.now, None]]  # in the next round
    run.output.write(run.note("sub-1"), json.dumps(again).encode())
    run.look(1.0)
    spent = run.watch.record()["money"]["spent"]
    assert spent["dollars"] == pytest.approx(3.0, abs=0.02)
    run.ends("sub-1", 1.5)
    assert run.watch.record()["money"]["spent"]["dollars"] == pytest.approx(3.5, abs=0.02)


def test_behind_a_closed_gate_nothing_that_ended_runs_again(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    assert not Watches([run.watch, Watch()]).closed
    for unit in UNITS:
        run.starts(unit)
        run.ends(unit, 1.0, exit_code=1)
    assert Watches([Watch(), run.watch]).closed
    again = repeat.for_the_last_time(Step(True, "out of memory", {"memory_mib": 9}))
    assert (again.again, again.why) == (False, "not again: the run's budget is reached")
    assert repeat.for_the_last_time(Step(False, "as it is")) == Step(False, "as it is")


def test_only_units_of_the_budget_are_kept_back(tmp_path: Path) -> None:
    run = Watched(tmp_path, 1.0)
    run.starts("sub-1")
    run.ends("sub-1", 1.0)
    assert run.watch.closed
    assert run.watch.kept_back("sub-2")
    assert not run.watch.kept_back("group"), "it runs without a gate: what left no receipt failed"


def test_a_lost_unit_that_nobody_waits_for_holds_up_no_end(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    run.starts("sub-1")
    run.look(4.0)
    assert not run.stop.is_set()
    run.watch.idle()
    assert run.stop.status == OVER_BUDGET


def test_a_note_that_a_unit_took_back_is_no_running_unit(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    run.starts("sub-1")
    note = run.note("sub-2")
    run.output.write(note, b"[[1.0, null]]")  # it asks, and has not looked yet
    run.ends("sub-1", 2.9)
    assert not run.stop.is_set()
    run.output.delete([note])
    run.look()
    assert run.stop.status == OVER_BUDGET


def test_nodes_that_cost_more_than_their_units_count(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0, nodes=lambda: 2.5)
    run.starts("sub-1")
    run.ends("sub-1", 1.0)
    assert not run.starts("sub-2")
    assert run.watch.record()["money"]["spent"]["by"] == "the hours of nodes"


def test_nodes_that_cannot_be_asked_are_said_once_and_units_count(tmp_path: Path) -> None:
    def denied() -> float:
        raise BadInput("AWS denies DescribeInstances")

    run = Watched(tmp_path, 3.0, nodes=denied)
    run.starts("sub-1")
    run.look(0.1)
    run.ends("sub-1", 1.0)
    run.look(0.1)
    assert run.said == ["warning: what the nodes cost is not known: AWS denies DescribeInstances"]
    assert run.watch.record()["money"]["spent"]["dollars"] == 1.0


def test_a_machine_is_paid_from_beginning_to_end(tmp_path: Path) -> None:
    run = Watched(tmp_path, 30.0, machine_hour=2.0)
    run.look(3.0)
    assert run.watch.record()["money"]["spent"]["dollars"] == pytest.approx(6.0, abs=0.01)


def test_without_a_cap_nothing_is_closed_and_all_is_counted(tmp_path: Path) -> None:
    run = Watched(tmp_path, None)
    assert not run.watch.gated
    run.ends("sub-1", 100.0)
    assert not run.stop.is_set()
    assert run.watch.record()["money"]["spent"]["dollars"] == 100.0


# What status says of it


def test_status_tells_what_a_run_cost_that_recorded_it(tmp_path: Path) -> None:
    run = Watched(tmp_path, 3.0)
    run.starts("sub-1")
    run.ends("sub-1", 2.5)
    ended = replace(run.run, status=OVER_BUDGET, **run.watch.record())
    found = status.read(run.output, ended)
    assert found.as_dict()["state"] == OVER_BUDGET
    assert found.cost.startswith(
        "cost: $2.5000 by receipts ($2.5000 per unit, 2.50 h each); estimated: $3.0000"
    )
    units = {unit.unit: unit for unit in found.units}
    assert (units["sub-2"].status, units["sub-2"].reason) == (
        "not-started",
        "budget: the run reached its --max-cost; launch again with more",
    )


def test_status_counts_receipts_while_a_run_goes_on_or_when_it_was_killed(tmp_path: Path) -> None:
    run = Watched(tmp_path, None)
    tariff = Tariff(1.0, "a node", "a test", len(UNITS), 1.0, "a guess", 3.0)
    recorded = replace(run.run, money={"max_cost": None, "tariff": tariff.as_dict()})
    commit(run.output, tmp_path / "unit", "sub-1", run.run.run)
    path = ".neurocwl/units/sub-1/receipt.json"
    text = (run.output.read(path) or b"").decode()
    run.output.write(path, text.replace('"logs": [', '"seconds": 1800,\n"logs": [', 1).encode())
    found = status.read(run.output, recorded)
    assert found.money
    assert found.money["spent"]["dollars"] == 0.5
    assert {unit.unit: unit.dollars for unit in found.units} == {"sub-1": 0.5, "sub-2": 0.0, "sub-3": 0.0}
    assert "0.50 h each" in budget.told(found.money)


def test_a_run_without_prices_has_no_cost(tmp_path: Path) -> None:
    run = Watched(tmp_path, None)
    found = status.read(run.output, run.run)
    assert (found.money, found.cost) == (None, "")
    assert {unit.dollars for unit in found.units} == {None}
