"""status and verify tell the truth about an output from what lies there."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stage_out

from neurocwl import backend, budget, description, launch, lease, runs, status, template
from neurocwl.budget import Tariff
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.leaders import Means
from neurocwl.receipts import read_states
from neurocwl.runs import Run
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from neurocwl.verify import Verification, verify
from tests.conftest import S3

DELIVERY = {
    "pipeline": "p",
    "deliver": "success",
    "outputs": ["."],
    "expect": ["{unit}.html"],
    "shared": ["shared.txt"],
}


def commit(output: Location, folder: Path, unit: str, run: str = "r1", exit_code: int = 0) -> None:
    """One unit's step of a run, by the real stage-out."""
    out = folder / unit
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{unit}.html").write_text(f"report of {unit}")
    (out / "shared.txt").write_text("shared")
    (out / unit).mkdir(exist_ok=True)
    (out / unit / "image").write_bytes(b"image of " + unit.encode())
    (folder / "log").write_text("it broke\n")
    previous = output.read_tagged(f".neurocwl/units/{unit}/receipt.json")
    label = unit.removeprefix("sub-")
    context = {
        "unit": unit,
        "participant": label,
        "session": None,
        "task_key": "k",
        "previous": previous and previous[1],
    }
    stage_out.stage_out(
        {
            "context": context,
            "output": output.url,
            "run": run,
            "exit_code": exit_code,
            "outputs": [{"class": "Directory", "path": str(out)}],
            "logs": [{"class": "File", "path": str(folder / "log")}],
            "delivery": DELIVERY,
        }
    )


def planned(unit: str, status_: str = "ready", reason: str = "") -> dict[str, Any]:
    return {
        "unit": unit,
        "participant": unit.removeprefix("sub-"),
        "session": None,
        "status": status_,
        "reason": reason,
    }


def a_run(output: Location, *units: dict[str, Any], run: str = "r1", status_: str = "finished") -> Run:
    return Run(
        run=run,
        neurocwl="0",
        status=status_,
        started="2026-01-01T00:00:00+00:00",
        ended=None,
        host="h",
        command=[],
        dataset="s3://d",
        output=output.url,
        pipeline="p",
        image="i",
        image_digest=None,
        rehearsal=False,
        parameters={},
        resources={},
        units=list(units),
    )


@pytest.fixture(params=["folder", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return open_location(str(tmp_path / "out"), Access())
    aws: S3 = request.getfixturevalue("aws")
    return open_location(f"s3://{aws.bucket()}/out", Access())


# status


def told(output: Location, run: Run) -> dict[str, tuple[str, str]]:
    return {unit.unit: (unit.status, unit.reason) for unit in status.read(output, run).units}


def test_each_unit_has_one_true_state_and_all_are_counted(output: Location, tmp_path: Path) -> None:
    run = a_run(
        output,
        planned("sub-01"),
        planned("sub-02"),
        planned("sub-03"),
        planned("sub-04", "incomplete", "lacks T1w image"),
        planned("sub-05", "done"),
        planned("sub-06"),
    )
    commit(output, tmp_path, "sub-05", run="r0")
    commit(output, tmp_path, "sub-06", run="r0")
    commit(output, tmp_path, "sub-01")
    commit(output, tmp_path, "sub-02", exit_code=1)
    commit(output, tmp_path, "sub-07", run="r0")  # of an earlier run over other units
    output.write(
        ".neurocwl/units/sub-03/staging.json",
        json.dumps({"attempt": "a", "run": "r1", "paths": ["sub-03.html"], "leftovers": []}).encode(),
    )
    assert told(output, run) == {
        "sub-01": ("done", ""),
        "sub-02": ("failed", "exit code 1: it broke"),
        "sub-03": ("cut-off", "cut off while its outputs were delivered; launch again"),
        "sub-04": ("incomplete", "lacks T1w image"),
        "sub-05": ("done", ""),
        "sub-06": ("not-started", "the run ended before it did (before: done); launch again"),
        "sub-07": ("done", ""),
    }
    found = status.read(output, run)
    assert found.counts == {"failed": 1, "cut-off": 1, "incomplete": 1, "not-started": 1, "done": 3}
    assert not found.complete
    with lease.held(output, "r1", lambda reason: None):
        now = told(output, run)
        assert found.as_dict()["state"] == "finished"
        assert status.read(output, run).as_dict()["state"] == "running"
    assert now["sub-03"] == ("running", "its outputs are being delivered")
    assert now["sub-06"][0] == "waiting"


def test_a_unit_that_an_earlier_run_left_cut_off_waits_until_its_turn_comes(output: Location) -> None:
    note = {"attempt": "a", "run": "r0", "paths": [], "leftovers": []}
    output.write(".neurocwl/units/sub-01/staging.json", json.dumps(note).encode())
    with lease.held(output, "r1", lambda reason: None):
        assert told(output, a_run(output, planned("sub-01")))["sub-01"][0] == "waiting"


def test_gathered_results_are_done_until_there_are_newer_ones(output: Location, tmp_path: Path) -> None:
    def committed(unit: str, when: str) -> None:
        path = f".neurocwl/units/{unit}/receipt.json"
        receipt = json.loads(output.read(path) or b"")
        output.write(path, json.dumps({**receipt, "committed": when}).encode())

    stage = {**planned("group"), "results": ["*.html"]}
    run = a_run(output, planned("sub-01", "done"), stage, run="r9")
    assert told(output, run)["group"] == ("not-started", "no unit has results")
    commit(output, tmp_path, "sub-01")
    commit(output, tmp_path, "group")
    committed("sub-01", "2026-01-01T10:00:00+00:00")
    committed("group", "2026-01-01T11:00:00+00:00")
    assert told(output, run)["group"] == ("done", "")
    committed("sub-01", "2026-01-01T12:00:00+00:00")
    report = read_states(output)["sub-01"].receipt
    assert report
    files = [(output.file_url(w.path), w.size, w.etag) for w in report.delivered if w.path.endswith(".html")]
    runs.write_inputs(output, "r1", "group", {"group": files})
    assert told(output, run)["group"] == ("done", ""), "it was run again, with the same results"
    changed = [(url, size, "another") for url, size, _ in files]
    runs.write_inputs(output, "r1", "group", {"group": changed})
    assert told(output, run)["group"] == (
        "not-started",
        "results have changed since it ran: neurocwl group OUT",
    )


def test_a_run_whose_launcher_died_is_broken(output: Location) -> None:
    run = a_run(output, planned("sub-01"), status_="running")
    assert status.read(output, run).as_dict()["state"] == "broken"


def test_the_json_form_has_the_promised_fields(output: Location, tmp_path: Path) -> None:
    commit(output, tmp_path, "sub-01")
    document = json.loads(json.dumps(status.read(output, a_run(output, planned("sub-01"))).as_dict()))
    (unit,) = document["units"]
    promised = {"unit": "sub-01", "participant": "01", "session": None, "status": "done", "reason": ""}
    assert promised.items() <= unit.items()
    assert (unit["files"], unit["attempts"]) == (2, 1)


def test_the_last_run_is_found_by_its_time(output: Location) -> None:
    with pytest.raises(BadInput, match="no run of neurocwl wrote here"):
        runs.latest(output)
    for name in ("20260101T000000Z-ffff", "20260102T000000Z-0000"):
        runs.write(output, a_run(output, run=name))
    assert runs.latest(output).run == "20260102T000000Z-0000"
    assert runs.latest(output) == a_run(output, run="20260102T000000Z-0000")
    output.write(".neurocwl/runs/20260103T000000Z-0000/run.json", b'{"run": 1}')
    with pytest.raises(InfrastructureError, match="another version"):
        runs.latest(output)


def test_an_output_of_job_orders_run_by_hand_has_a_status_too(output: Location, tmp_path: Path) -> None:
    commit(output, tmp_path, "sub-01", run="by-hand")
    assert told(output, runs.latest(output)) == {"sub-01": ("done", "")}


@pytest.mark.parametrize("file", ["receipt.json", "staging.json"])
def test_a_damaged_receipt_or_note_is_named(tmp_path: Path, file: str) -> None:
    output = open_location(str(tmp_path), Access())
    output.write(f".neurocwl/units/sub-01/{file}", b"{}")
    assert f"units/sub-01/{file} is damaged" in read_states(output)["sub-01"].damaged


# verify


@pytest.fixture
def delivered(output: Location, tmp_path: Path) -> tuple[Location, Run]:
    """Two units done, one failed, and what they share described."""
    run = a_run(output, planned("sub-01"), planned("sub-02"), planned("sub-03"))
    commit(output, tmp_path, "sub-01")
    commit(output, tmp_path, "sub-02")
    commit(output, tmp_path, "sub-03", exit_code=1)
    runs.write(output, run)
    output.write("dataset_description.json", b"{}")
    description.write_shared(output, read_states(output))
    return output, run


def wrong(found: Verification) -> dict[str, tuple[str, str | None]]:
    return {finding.path: (finding.verdict, finding.unit) for finding in found.wrong}


def test_an_output_that_nobody_touched_is_equal(delivered: tuple[Location, Run]) -> None:
    output, run = delivered
    for deep in (False, True):
        found = verify(output, run, deep=deep)
        assert wrong(found) == {}
        # 2 files and a log of each done unit; the failed one's 3 partial files and its log; 2 shared files
        assert found.count("equal") == 2 * 3 + 4 + 2
        assert found.as_dict()["verified"]


TOUCHED: dict[str, tuple[Callable[[Location], object], dict[str, tuple[str, str | None]]]] = {
    "a flipped byte": (
        lambda output: output.write("sub-01/image", b"image of sub-0!"),
        {"sub-01/image": ("differing", "sub-01")},
    ),
    "a missing file": (
        lambda output: output.delete(["sub-02.html"]),
        {"sub-02.html": ("missing", "sub-02")},
    ),
    "a truncated file": (
        lambda output: output.write("sub-02/image", b"image"),
        {"sub-02/image": ("differing", "sub-02")},
    ),
    "a file too many": (
        lambda output: output.write("sub-01/more", b""),
        {"sub-01/more": ("extra", None)},
    ),
    "a file too many among the attempts": (
        lambda output: output.write(".neurocwl/units/sub-01/attempts/x/outputs/y", b""),
        {".neurocwl/units/sub-01/attempts/x/outputs/y": ("extra", None)},
    ),
    "a changed shared file": (
        lambda output: output.write("shared.txt", b"sharing"),
        {"shared.txt": ("differing", None)},
    ),
}


@pytest.mark.parametrize("what", TOUCHED)
@pytest.mark.parametrize("deep", [False, True])
def test_verify_says_which_path_was_touched_and_whose_it_is(
    delivered: tuple[Location, Run], what: str, deep: bool
) -> None:
    output, run = delivered
    touch, expected = TOUCHED[what]
    touch(output)
    found = verify(output, run, deep=deep)
    assert wrong(found) == expected
    document = found.as_dict()
    assert not document["verified"]
    units = {unit["unit"]: unit["verified"] for unit in document["units"]}
    hurt = {unit for _, unit in expected.values()}
    done = {unit["unit"] for unit in document["units"] if unit["status"] == "done"}
    assert units == {name: name in done and name not in hurt for name in units}


def test_a_file_that_two_units_claim_is_wrong_for_one_of_them(delivered: tuple[Location, Run]) -> None:
    output, run = delivered
    path = ".neurocwl/units/sub-02/receipt.json"
    receipt = json.loads(output.read(path) or b"")
    (claimed,) = [entry for entry in receipt["manifest"] if entry["path"] == "sub-02/image"]
    receipt["manifest"].append({**claimed, "path": "sub-01/image"})
    output.write(path, json.dumps(receipt).encode())
    assert wrong(verify(output, run, deep=True)) == {"sub-01/image": ("differing", "sub-02")}


def test_what_a_cut_off_attempt_left_is_extra_and_says_so(delivered: tuple[Location, Run]) -> None:
    output, run = delivered
    note = {"attempt": "a", "run": "r2", "paths": ["sub-04.html"], "leftovers": []}
    output.write(".neurocwl/units/sub-04/staging.json", json.dumps(note).encode())
    output.write("sub-04.html", b"half")
    (finding,) = verify(output, run, deep=False).wrong
    assert (finding.path, finding.verdict) == ("sub-04.html", "extra")
    assert "cut off" in finding.detail


def test_markers_of_folders_are_nothing_extra(aws: S3, tmp_path: Path) -> None:
    output = open_location(f"s3://{aws.bucket()}/out", Access())
    commit(output, tmp_path, "sub-01")
    output.write("shared.txt", b"shared")
    description.write_shared(output, read_states(output))
    output.write("sub-01/", b"")
    assert wrong(verify(output, a_run(output, planned("sub-01")), deep=False)) == {}


def test_the_group_stage_run_again_is_not_said_to_have_cost_what_the_units_did(tmp_path: Path) -> None:
    output = open_location(str(tmp_path / "out"), Access())
    tariff = Tariff(1.0, "a node", "a test", 1, 1.0).as_dict()
    spent = budget.account(Tariff(**tariff), {"sub-1": 3600.0})
    money = {"max_cost": None, "tariff": tariff, "spent": spent}
    parent = replace(a_run(output, planned("sub-1")), backend="aws-batch", money=money)
    means = Means(Access(), Access(), {}, None, True, tmp_path, ["neurocwl"], backend.load("slurm"))
    run = launch.group_run(template.load("freesurfer-tables"), parent, means)
    assert status.read(output, parent).money == money
    assert status.read(output, run).money is None
    assert run.backend == "slurm"
