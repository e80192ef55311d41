"""Units that ask for the same share a workflow; what Toil left without a receipt is counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurocwl import repeat, toil
from neurocwl.joborder import Order
from neurocwl.leaders import Ended
from neurocwl.rounds import Bounds
from tests.unit.test_history import Lab
from tests.unit.test_plan import receipt

FIRST = {"memory_mib": 8192, "tmp_mib": 2048, "out_mib": 4096}


@pytest.fixture
def one(tmp_path: Path) -> Order:
    return Lab(tmp_path).planned({}).order


def test_units_that_ask_for_the_same_share_a_workflow(one: Order) -> None:
    more, also = replace(one, settings={"memory_mib": 9}), replace(one, settings={"memory_mib": 9})
    found = repeat.groups([(one, "spot"), (more, "spot"), (one, "on_demand"), (also, "spot")])
    assert [(group.settings, group.capacity, len(group.orders)) for group in found] == [
        ({}, "spot", 1),
        ({"memory_mib": 9}, "spot", 2),
        ({}, "on_demand", 1),
    ]


@pytest.mark.parametrize(
    ("learned", "node", "settings"),
    [
        ({"memory_mib": 12288}, Bounds(), {"memory_mib": 12288}),
        ({"memory_mib": 12288}, Bounds(node_memory_mib=10000), {"memory_mib": 10000}),
        ({"tmp_mib": 9000}, Bounds(node_disk_mib=8000), {}),
        ({"stage": "autorecon3"}, Bounds(node_memory_mib=1), {"stage": "autorecon3"}),
    ],
)
def test_what_was_learned_elsewhere_ends_at_the_largest_node(
    one: Order, learned: dict[str, Any], node: Bounds, settings: dict[str, Any]
) -> None:
    assert repeat.fitting(replace(one, settings=learned), FIRST, node).settings == settings


def test_a_ledger_tells_a_new_receipt_from_the_one_of_the_round_before() -> None:
    ledger = repeat.Ledger()
    attempt = {"attempt": "a", "run": "r1", "status": "failed", "short_of": "memory"}
    made = receipt("sub-1", "k", status="failed", attempts=(attempt,))
    first = ledger.of("sub-1", made, "r1", Ended(0, "", ""))
    second = ledger.of("sub-1", made, "r1", Ended(1, toil.LOST, "gone"))
    third = ledger.of("sub-1", made, "r1", Ended(1, toil.KILLED, "gone"))
    assert [one.committed for one in (first, second, third)] == [True, False, False]
    assert [(one.lost, one.unfinished) for one in (first, second, third)] == [(0, 0), (1, 0), (1, 1)]


def test_a_receipt_of_an_earlier_run_is_none_of_this_one() -> None:
    found = repeat.Ledger().of("sub-1", receipt("sub-1", "k", run="r0"), "r1", Ended(1, toil.MEMLIMIT, ""))
    assert (found.committed, found.out_of_memory, found.unfinished) == (False, True, 0)
