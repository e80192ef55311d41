"""The plan decides for every unit whether it runs, and says why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurocwl import plan
from neurocwl.bids import Dataset, Problem
from neurocwl.errors import BadInput
from neurocwl.plan import Plan, Request
from neurocwl.receipts import Receipt, UnitState
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from neurocwl.units import Selection
from tests.unit.datasets import dataset, entry, pipeline

PATHS = [
    f"sub-{n}/{d}/sub-{n}_{rest}.nii.gz"
    for n in "123"
    for d, rest in (("anat", "T1w"), ("func", "task-x_bold"))
]


def receipt(unit: str, task_key: str, **changes: Any) -> Receipt:
    made = Receipt(
        unit=unit,
        participant=unit.removeprefix("sub-"),
        session=None,
        status="done",
        reason="",
        task_key=task_key,
        run="r1",
        attempt="a",
        pipeline="try",
        rehearsal=False,
        tag="tag",
        exit_code=0,
        committed="2026-01-01T00:00:00+00:00",
        manifest=(),
        shared=(),
        earlier=(),
    )
    return replace(made, **changes)


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return Request(pipeline(tmp_path), Selection(), {}, "some/image:1")


@pytest.fixture
def output(tmp_path: Path) -> Location:
    return open_location(str(tmp_path / "out"), Access())


def made(
    request: Request, output: Location | None, states: dict[str, UnitState], data: Dataset | None = None
) -> Plan:
    return plan.make(data or dataset(PATHS), open_location("/data", Access()), output, request, states)


def keys(request: Request) -> dict[str, str]:
    return {unit.unit.name: unit.order.task_key for unit in made(request, None, {}).units}


def decided(found: Plan) -> dict[str, tuple[str, str]]:
    return {unit.unit.name: (unit.status, unit.reason) for unit in found.units}


def test_at_an_empty_output_every_whole_unit_is_ready(request_: Request, output: Location) -> None:
    found = made(request_, output, {}, dataset(PATHS[1:]))
    assert decided(found) == {
        "sub-1": ("incomplete", "lacks T1w image (sub-1/anat/*_T1w{.nii,.nii.gz})"),
        "sub-2": ("ready", ""),
        "sub-3": ("ready", ""),
    }
    assert [unit.order.previous for unit in found.units] == [None, None, None]


def test_what_is_done_and_unchanged_is_skipped_and_the_rest_runs(request_: Request, output: Location) -> None:
    key = keys(request_)
    states = {
        "sub-1": UnitState(receipt("sub-1", key["sub-1"])),
        "sub-2": UnitState(receipt("sub-2", "another key")),
        "sub-3": UnitState(receipt("sub-3", key["sub-3"], status="failed", reason="exit code 1")),
    }
    found = made(request_, output, states)
    assert decided(found) == {
        "sub-1": ("done", "done 2026-01-01T00:00:00+00:00"),
        "sub-2": ("ready", "inputs, tool or parameters changed since it was done"),
        "sub-3": ("ready", "failed before: exit code 1"),
    }
    assert {unit.order.previous for unit in found.units} == {"tag"}
    again = made(replace(request_, rerun=True), output, states)
    assert {status for status, _ in decided(again).values()} == {"ready"}


def test_a_unit_whose_delivery_was_cut_off_runs_again(request_: Request, output: Location) -> None:
    state = UnitState(receipt("sub-1", keys(request_)["sub-1"]), frozenset({"sub-1.html"}), "r2")
    assert decided(made(request_, output, {"sub-1": state}))["sub-1"] == (
        "ready",
        "an earlier attempt was cut off",
    )


def test_a_rehearsal_is_no_result(request_: Request, output: Location) -> None:
    rehearsed = {"sub-1": UnitState(receipt("sub-1", keys(request_)["sub-1"], rehearsal=True))}
    assert decided(made(request_, output, rehearsed))["sub-1"] == ("ready", "rehearsed")
    real = {"sub-1": UnitState(receipt("sub-1", "k"))}
    with pytest.raises(BadInput, match="real results"):
        made(replace(request_, rehearsal=True), output, real)


def test_a_rehearsal_hands_each_unit_its_fault_and_a_real_run_none(request_: Request) -> None:
    rehearsing = replace(request_, rehearsal=True, faults={"sub-2": "oom"})
    faults = {unit.unit.name: unit.order.rehearsal for unit in made(rehearsing, None, {}).units}
    assert faults == {"sub-1": "", "sub-2": "oom", "sub-3": ""}
    assert {unit.order.rehearsal for unit in made(request_, None, {}).units} == {None}


def test_an_output_of_another_pipeline_is_refused(request_: Request, output: Location) -> None:
    states = {"sub-1": UnitState(receipt("sub-1", "k", pipeline="other"))}
    with pytest.raises(BadInput, match="holds results of other, not try; choose another prefix"):
        made(request_, output, states)


def codes(found: Plan) -> set[tuple[str, str]]:
    return {(problem.path, problem.code) for problem in found.problems}


def test_results_of_who_left_the_dataset_are_named_unless_only_some_were_asked_for(
    request_: Request, output: Location
) -> None:
    states = {"sub-9": UnitState(receipt("sub-9", "k"))}
    assert ("sub-9", "WITHDRAWN") in codes(made(request_, output, states))
    some = replace(request_, selection=Selection(participants=("1",)))
    assert codes(made(some, output, states)) == set()


def test_two_participants_with_one_image_are_reported(request_: Request) -> None:
    same = "f" * 32
    from neurocwl import bids

    entries = [
        entry(path)._replace(etag=same, size=5) if "T1w" in path else entry(path) for path in PATHS[:4]
    ]
    found = plan.make(bids.index(entries), open_location("/data", Access()), None, request_, {})
    assert codes(found) == {("sub-2/anat/sub-2_T1w.nii.gz", "SAME_IMAGE")}


def test_a_problem_is_reported_once(request_: Request) -> None:
    problem = Problem("x", "CODE", "is wrong")
    found = plan.make(dataset(PATHS), open_location("/d", Access()), None, request_, {}, [problem, problem])
    assert found.problems == (problem,)


def test_the_json_form_counts_every_unit_once(request_: Request, output: Location) -> None:
    document = made(request_, output, {}, dataset(PATHS[1:])).as_dict()
    assert document["counts"] == {"ready": 2, "done": 0, "incomplete": 1}
    unit = document["units"][0]
    assert {
        "unit",
        "participant",
        "session",
        "status",
        "reason",
        "missing",
        "files",
        "bytes",
        "task_key",
        "asks",
    } == set(unit)
    assert unit["missing"] == ["T1w image (sub-1/anat/*_T1w{.nii,.nii.gz})"]


@pytest.mark.parametrize(
    ("output", "inside"),
    [
        ("s3://b/ds", True),
        ("s3://b/ds/", True),
        ("s3://b/ds/out", True),
        ("s3://b/ds/sub-01", True),
        ("s3://b/ds/derivatives", True),
        ("s3://b/ds/derivatives/p", False),
        ("s3://b/ds2", False),
        ("s3://b/ds-derivatives/p", False),
        ("s3://other/ds/x", False),
    ],
)
def test_an_output_among_the_raw_data_is_known(output: str, inside: bool) -> None:
    assert plan.is_inside_dataset(output, "s3://b/ds") is inside


def test_a_dataset_of_which_nothing_is_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"{tmp_path}: nothing there"):
        plan.entries_of(open_location(str(tmp_path), Access()))
