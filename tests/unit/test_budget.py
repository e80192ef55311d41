"""What a run has spent, and when no unit may start any more: arithmetic that never lets money appear or vanish."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import budget
from neurocwl.budget import Begin, Meter, Tariff, UnitTime

seconds = st.floats(0, 1e6)
dollars = st.floats(0, 1e6)
tags = st.sampled_from([None, "a", "b"])
begins = st.lists(st.builds(Begin, seconds, tags), max_size=5)
times = st.lists(st.builds(UnitTime, seconds, st.none() | seconds), max_size=20)


def tariff(**changes: Any) -> Tariff:
    known: dict[str, Any] = {
        "per_unit_hour": 3600.0,
        "node": "m5.large",
        "source": "a test",
        "units": 4,
        "hours": 0.5,
        "dollars": 7200.0,
    }
    return Tariff(**{**known, **changes})


# The time of a unit


@given(seconds, tags, begins, seconds, seconds)
def test_the_time_of_a_unit_is_never_negative_and_never_runs_backwards(
    paid: float, receipt: str | None, began: list[Begin], now: float, later: float
) -> None:
    first, second = (budget.unit_time(paid, receipt, began, at) for at in (min(now, later), max(now, later)))
    assert first.paid == second.paid >= paid
    assert (first.running is None) == (second.running is None)
    assert 0 <= (first.running or 0) <= (second.running or 0)


def test_a_unit_runs_until_it_has_another_receipt_than_when_it_began() -> None:
    began = [Begin(100, "before")]
    assert budget.unit_time(0, "before", began, 160) == UnitTime(0, 60)
    assert budget.unit_time(55, "after", began, 160) == UnitTime(55, None)


def test_what_was_lost_with_a_worker_is_paid_and_a_retry_runs() -> None:
    lost_once = [Begin(100, None), Begin(400, None)]
    assert budget.unit_time(0, None, lost_once, 500) == UnitTime(300, 100)
    assert budget.unit_time(90, "done", lost_once, 500) == UnitTime(390, None)


def test_a_retry_of_a_failed_unit_counts_both_attempts() -> None:
    again = [Begin(100, None), Begin(400, "failed")]
    assert budget.unit_time(200, "failed", again, 450) == UnitTime(200, 50)


def test_attempts_of_other_runs_and_nonsense_in_a_receipt_are_not_paid() -> None:
    attempts = [
        {"run": "r1", "seconds": 10},
        {"run": "r0", "seconds": 1000},
        {"run": "r1", "seconds": 5, "status": "failed"},
        {"run": "r1"},
        {"run": "r1", "seconds": "7"},
        {"run": "r1", "seconds": -7},
    ]
    assert budget.paid_by(attempts, "r1") == 15


# The meter


@given(times, dollars, seconds, dollars)
def test_nothing_is_ever_negative(found: list[UnitTime], rate: float, unit: float, nodes: float) -> None:
    meter = budget.read(found, tariff(per_unit_hour=rate), unit, nodes)
    assert min(meter.spent, meter.coming, meter.running) >= 0
    assert meter.spent >= nodes
    assert meter.committed == meter.spent + meter.coming


@given(times, st.builds(UnitTime, seconds, st.none() | seconds), dollars, seconds, dollars)
def test_one_more_unit_never_makes_a_run_cheaper(
    found: list[UnitTime], more: UnitTime, rate: float, unit: float, start: float
) -> None:
    before, after = (
        budget.read(some, tariff(per_unit_hour=rate, start=start), unit) for some in (found, [*found, more])
    )
    assert after.spent >= before.spent - 1e-6
    assert after.coming >= before.coming - 1e-6


@given(st.floats(0, 1e5), st.floats(1, 1e5))
def test_a_unit_that_takes_as_long_as_expected_costs_what_was_expected_of_it_at_every_moment(
    elapsed: float, unit: float
) -> None:
    meter = budget.read([UnitTime(0, min(elapsed, unit))], tariff(start=2.0), unit)
    assert meter.committed == pytest.approx(2 + unit)


def test_the_hours_of_the_nodes_count_where_they_are_more_than_those_of_the_units() -> None:
    assert budget.read([UnitTime(10)], tariff(), 0, nodes=12.5).spent == 12.5
    assert budget.read([UnitTime(10)], tariff(), 0, nodes=2.5).spent == 10


# The edge


@given(st.builds(Meter, dollars, dollars, st.integers(0, 10)), st.floats(0.01, 1e6), dollars)
def test_no_unit_starts_at_or_after_the_edge(meter: Meter, cap: float, one: float) -> None:
    may = budget.may_start(meter, cap, one)
    assert not (may and meter.committed >= cap)
    assert not (may and meter.committed + one > cap * (1 + 2 * budget.DUST))


@given(st.builds(Meter, dollars, dollars, st.integers(0, 10)), st.floats(0.01, 1e6), dollars, dollars)
def test_who_may_not_start_may_not_after_more_is_spent(
    meter: Meter, cap: float, one: float, more: float
) -> None:
    richer = Meter(meter.spent + more, meter.coming, meter.running)
    assert budget.may_start(meter, cap, one) or not budget.may_start(richer, cap, one)


@given(st.integers(1, 200), st.floats(1e-4, 1e3), st.floats(0, 10))
def test_a_plan_of_exactly_the_budget_runs_to_its_end(units: int, rate: float, start: float) -> None:
    """One unit after the other, each as expensive as estimated."""
    price = tariff(per_unit_hour=rate, start=start)
    cap = units * price.price(3600)
    for ended in range(units):
        meter = budget.read([UnitTime(3600.0)] * ended, price, 3600)
        assert budget.may_start(meter, cap, price.price(3600))


@given(st.floats(0.1, 1e4), st.integers(1, 3000), st.floats(0.01, 10), st.floats(0, 5))
def test_as_many_units_fit_as_can_be_paid_and_not_one_more(
    cap: float, units: int, one: float, start: float
) -> None:
    def price(count: int) -> float:
        return start + one * count

    fits = budget.fitting(cap, units, price)
    assert 0 <= fits <= units
    assert fits == 0 or price(fits) <= cap * (1 + budget.DUST)
    assert fits == units or price(fits + 1) > cap * (1 - budget.DUST)


def test_people_are_told_at_four_fifths() -> None:
    assert not budget.is_early(Meter(7.9, 100, 3), 10)
    assert budget.is_early(Meter(8, 0, 0), 10)


@pytest.mark.parametrize(("took", "hours"), [([], 0.5), ([10.0, 20.0, 3000.0], 20 / 3600)])
def test_a_unit_is_expected_to_take_what_others_of_the_run_took_else_the_estimate(
    took: list[float], hours: float
) -> None:
    assert budget.expected(0.5, took) == pytest.approx(hours * 3600)


# What is said


def test_what_a_run_cost_stands_beside_its_estimate() -> None:
    recorded = {
        "max_cost": None,
        "tariff": tariff().as_dict(),
        "spent": budget.account(tariff(), {"sub-1": 1800.0, "sub-2": 2520.0}),
    }
    assert recorded["spent"] == {
        "dollars": 4320,
        "by": "receipts",
        "units": 2,
        "dollars_per_unit": 2160,
        "hours_per_unit": 0.6,
    }
    assert budget.told(recorded) == (
        "cost: $4,320.00 by receipts ($2,160.00 per unit, 0.60 h each); estimated: $7,200.00 for 4 units "
        "($1,800.00 per unit, 0.50 h each); m5.large, a test"
    )


def test_a_run_of_which_nothing_ended_cost_nothing_and_says_so() -> None:
    found = budget.account(tariff(), {})
    assert (found["dollars"], found["dollars_per_unit"], found["hours_per_unit"]) == (0, None, None)
    assert budget.told({"tariff": tariff(dollars=None, hours=None).as_dict(), "spent": found}).startswith(
        "cost: $0.00 by receipts; m5.large"
    )


@pytest.mark.parametrize(
    ("hours", "words"), [(8.0, "8.00 h"), (0.05, "3.0 min"), (0.001, "3.6 s"), (0.0, "0.0 s")]
)
def test_times_are_said_in_the_unit_that_fits(hours: float, words: str) -> None:
    assert budget.lasting(hours) == words
