"""What runs again after a round, and with what, from what receipts say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import toil
from neurocwl.rounds import Bounds, History, learned, more, step

FIRST = {"cpus": 4, "memory_mib": 8192, "tmp_mib": 2048, "out_mib": 4096}


def attempt(status: str = "failed", **more: Any) -> dict[str, Any]:
    return {"run": "r", "status": status, "asked": FIRST, **more}


def after(*attempts: dict[str, Any], **known: Any) -> History:
    return History(attempts, committed=bool(attempts), **known)


def test_a_unit_that_is_done_is_done() -> None:
    assert not step(after(attempt("done")), FIRST, FIRST, Bounds()).again


def test_a_unit_that_failed_by_itself_fails_again_so_it_is_not_run_again() -> None:
    found = step(after(attempt()), FIRST, FIRST, Bounds())
    assert (found.again, found.why) == (False, "")


def test_out_of_memory_asks_for_half_as_much_again() -> None:
    found = step(after(attempt(short_of="memory", used={"memory_mib": 8192})), FIRST, FIRST, Bounds())
    assert found.again
    assert found.asks == {"memory_mib": 12288}
    assert found.why == "out of memory with 8192 MiB, again with 12288"


def test_what_it_was_seen_to_take_counts_when_it_is_more() -> None:
    found = more("memory", FIRST, {"memory_mib": 20000}, FIRST, Bounds())
    assert found.asks == {"memory_mib": 25000}


def test_out_of_disk_raises_scratch_and_outputs_in_their_proportion() -> None:
    found = more("disk", FIRST, {"disk_mib": 100}, FIRST, Bounds())
    assert found.asks == {"tmp_mib": 3072, "out_mib": 6144}


def test_four_times_what_it_asked_for_at_first_is_the_bound() -> None:
    asked = {**FIRST, "memory_mib": 4 * 8192}
    found = more("memory", asked, {}, FIRST, Bounds())
    assert not found.again
    assert found.why == "not again: --max-memory-mib 32768 is the bound"


def test_the_last_step_goes_to_the_bound_and_not_beyond() -> None:
    assert more("memory", FIRST, {}, FIRST, Bounds(memory_mib=9000)).asks == {"memory_mib": 9000}


def test_no_unit_asks_for_more_than_the_largest_node_has() -> None:
    node = Bounds(node_memory_mib=10000)
    assert more("memory", FIRST, {}, FIRST, node).asks == {"memory_mib": 10000}
    found = more("memory", {**FIRST, "memory_mib": 10000}, {}, FIRST, node)
    assert found.why == "not again: no node has more than 10000 MiB"


@given(
    st.integers(1, 10**6), st.integers(0, 10**7), st.integers(1, 10**7), st.sampled_from(["memory", "disk"])
)
def test_more_is_always_more_and_ends(asked: int, used: int, most: int, short: str) -> None:
    """Round after round a unit gets more, never above the bound, and at last it is not run again."""
    first = {"memory_mib": asked, "tmp_mib": asked, "out_mib": 1}
    bounds, now = Bounds(memory_mib=most, disk_mib=most), first
    names = ("memory_mib",) if short == "memory" else ("tmp_mib", "out_mib")
    for _ in range(50):
        found = more(short, now, {"memory_mib": used, "disk_mib": used}, first, bounds)
        if not found.again:
            return
        after_ = {**now, **found.asks}
        assert sum(now[n] for n in names) < sum(after_[n] for n in names) <= most
        now = after_
    pytest.fail("it never ended")


def test_a_unit_that_lost_its_node_runs_again_without_end_on_capacity_that_stays_at_last() -> None:
    lost = attempt(lost=True)
    steps = [step(after(*[lost] * n), FIRST, FIRST, Bounds(spot_losses=3)) for n in (1, 2, 3, 30)]
    assert [found.again for found in steps] == [True] * 4
    assert [found.stays for found in steps] == [False, False, True, True]
    assert steps[1].why == "lost with its node (2 so far), again"
    assert steps[2].why == "lost with its node (3 so far), again on capacity that stays"


def test_a_node_that_went_without_notice_counts_as_lost_too() -> None:
    found = step(History([], committed=False, lost=3), FIRST, FIRST, Bounds())
    assert (found.again, found.stays) == (True, True)


def test_what_toil_could_not_finish_runs_again_twice() -> None:
    again = [
        step(History([], committed=False, unfinished=n), FIRST, FIRST, Bounds()).again for n in (1, 2, 3)
    ]
    assert again == [True, True, False]


def test_a_batch_system_that_ends_a_worker_for_its_memory_is_believed_without_a_receipt() -> None:
    found = step(History([], committed=False, out_of_memory=True), FIRST, FIRST, Bounds())
    assert found.asks == {"memory_mib": 12288}


def test_a_launch_learns_from_a_unit_that_ran_out_of_memory() -> None:
    asks, why = learned([attempt(short_of="memory")], FIRST, Bounds())
    assert asks == {"memory_mib": 12288}
    assert why == "asks for 12288 MiB of memory: it ran out of it with 8192"


def test_a_unit_that_got_through_with_more_starts_with_that() -> None:
    enough = {**FIRST, "memory_mib": 12288}
    asks, _ = learned([attempt(short_of="memory"), attempt("done", asked=enough)], FIRST, Bounds())
    assert asks == {"memory_mib": 12288}


def test_a_user_who_gives_more_than_was_learned_gets_it() -> None:
    assert learned([attempt(short_of="memory")], {**FIRST, "memory_mib": 64000}, Bounds()) == ({}, "")


def test_units_that_never_ran_short_ask_for_what_all_do() -> None:
    assert learned([attempt(), attempt("done")], FIRST, Bounds()) == ({}, "")


# As Toil 9.6 writes them; the ids stand for units, which neither file names.
FAILED = """\
[2026-11-21T16:00:00+0000] [MainThread] [W] [toil.leader] Job failed with exit value {value}: 'CWLJob' w.cwl kind-CWLJob/instance-{job} v{try_}
Exit reason: {reason}
[2026-11-21T16:00:01+0000] [MainThread] [I] [toil.leader] something else
"""
GIVEN_UP = "toil.bus.JobFailedMessage\tw.cwl\tkind-CWLJob/instance-{job}\n"


def logged(*failures: tuple[str, str, str]) -> str:
    return "".join(
        FAILED.format(job=job, value=value, reason=reason, try_=n)
        for n, (job, value, reason) in enumerate(failures)
    )


@pytest.mark.parametrize(
    ("value", "reason", "meaning"),
    [
        ("1", "FAILED", "FAILED"),
        ("<UNAVAILABLE>", "LOST", "LOST"),
        ("9", "MEMLIMIT", "MEMLIMIT"),
        ("137", "None", "KILLED"),
    ],
)
def test_toils_log_says_why_a_worker_ended(value: str, reason: str, meaning: str) -> None:
    assert toil.given_up(logged(("a", value, reason)), GIVEN_UP.format(job="a")) == meaning


def test_a_job_that_toil_tried_again_with_success_was_not_given_up() -> None:
    log = logged(("a", "137", "None"), ("b", "<UNAVAILABLE>", "LOST"))
    assert toil.given_up(log, GIVEN_UP.format(job="b")) == "LOST"
    assert toil.given_up(log, "") == ""


def test_only_the_last_try_of_a_job_counts() -> None:
    log = logged(("a", "137", "None"), ("a", "1", "FAILED"))
    assert toil.given_up(log, GIVEN_UP.format(job="a")) == "FAILED"


def test_several_reasons_at_once_are_none_that_says_what_to_do() -> None:
    log = logged(("a", "9", "MEMLIMIT"), ("b", "<UNAVAILABLE>", "LOST"))
    assert toil.given_up(log, GIVEN_UP.format(job="a") + GIVEN_UP.format(job="b")) == "KILLED"
