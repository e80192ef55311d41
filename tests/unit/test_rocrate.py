"""The RO-Crate of a run, from records alone: what is told singly, what by lists, and what is not told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import rocrate, software
from neurocwl.receipts import Receipt, Written
from neurocwl.rocrate import Record, RunFile, crate, uri
from neurocwl.runs import Run

TOOL = {
    "class": "CommandLineTool",
    "label": "A tool",
    "hints": {
        "DockerRequirement": {"dockerPull": "docker.io/lab/tool:1.2"},
        "SoftwareRequirement": {
            "packages": {"tool": {"version": ["1.2"], "specs": ["https://x/RRID:SCR_1"]}}
        },
    },
}
WORKFLOW = {
    "label": "The tool over a dataset",
    "steps": {"per_unit": {"run": {"steps": {"tool": {"run": TOOL}}}}},
}


def receipt(unit: str, run: str, files: int, status: str = "done") -> Receipt:
    attempts = ({"attempt": "a1", "run": "r1", "status": status, "reason": "no", "exit_code": 0, "logs": []},)
    written = tuple(Written(f"{unit}/{number}.nii", 1, "0" * 64, "e") for number in range(files))
    return Receipt(
        unit, unit, None, status, "", "key", run, "a1", "tool", False, "tag", 0, "2026-01-01T00:00:00+00:00",
        written, (), (), attempts,
    )  # fmt: skip


def record(units: int, each: int, /, **changes: Any) -> Record:
    names = [f"sub-{number:05}" for number in range(units)]
    run = Run(
        run="r1", neurocwl="1", status="finished", started="2026-01-01T00:00:00+00:00",
        ended="2026-01-01T01:00:00+00:00", host="h", command=["neurocwl"], dataset="s3://lab/ds", output="s3://lab/out",
        pipeline="tool", image="docker.io/lab/tool:1.2", image_digest="docker.io/lab/tool@sha256:" + "a" * 64,
        rehearsal=False, parameters=changes.pop("parameters", {}), resources={}, versions={"toil": "9"},
    )  # fmt: skip
    given_files = {name: [(f"s3://lab/ds/{name}/{i}.nii", 1, "e") for i in range(each)] for name in names}
    known: dict[str, Any] = {
        "run": run,
        "output": "s3://lab/out/",
        "files": [RunFile("workflow.cwl", 1, "b" * 64), RunFile("inputs-001.json", 1, "c" * 64)],
        "workflows": {"workflow.cwl": WORKFLOW},
        "inputs": given_files,
        "lists": dict.fromkeys(names, "inputs-001.json"),
        "receipts": {name: receipt(name, "r1", each) for name in names},
        "units": names,
    }
    return Record(**{**known, **changes})


def entities(found: dict[str, Any]) -> dict[str, Any]:
    listed = {entity["@id"]: entity for entity in found["@graph"]}
    assert len(listed) == len(found["@graph"]), "no id twice"
    return listed


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {value["@id"]} if set(value) == {"@id"} else {i for v in value.values() for i in references(v)}
    return {i for item in value for i in references(item)} if isinstance(value, list) else set()


@pytest.mark.parametrize("units", [2, 2000], ids=["singly", "by lists"])
def test_nothing_points_to_an_entity_that_is_not_there(units: int) -> None:
    known = entities(crate(record(units, 10)))
    loose = {i for e in known.values() for i in references(e)} - {*known}
    assert {i for i in loose if not i.startswith("https://")} == set()


def test_ten_thousand_units_of_forty_files_are_told_by_the_lists_that_name_them() -> None:
    found = crate(record(10_000, 40))
    known = entities(found)
    assert known["#sub-00007"]["object"] == [{"@id": "inputs-001.json"}]
    assert known["#sub-00007"]["result"] == [{"@id": "s3://lab/out/.neurocwl/units/sub-00007/receipt.json"}]
    assert not [id_ for id_ in known if id_.endswith(".nii")]
    assert len(json.dumps(found)) < 20_000_000


def test_a_receipt_that_a_later_run_replaced_tells_only_what_became_of_this_runs_attempt() -> None:
    known = entities(crate(record(1, 2, receipts={"sub-00000": receipt("sub-00000", "r2", 2)})))
    action = known["#sub-00000"]
    assert action["actionStatus"] == rocrate.STATUSES[True]
    assert action["result"] == []
    assert "s3://lab/out/sub-00000/0.nii" not in known


def test_a_unit_without_an_attempt_in_this_run_is_a_failed_action() -> None:
    action = entities(crate(record(1, 1, receipts={})))["#sub-00000"]
    assert (action["actionStatus"], action["error"]) == (
        rocrate.STATUSES[False],
        "it did not end in this run",
    )


def test_the_contents_of_a_file_given_as_a_parameter_are_not_told() -> None:
    file = {"class": "File", "location": "s3://lab/filter.json", "contents": "secret"}
    found = crate(record(1, 1, parameters={"filter": file, "words": ["a", "b"]}))
    assert entities(found)["#parameter-filter"]["value"] == "s3://lab/filter.json"
    assert "secret" not in json.dumps(found)


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("docker.io/lab/tool:1.2", ("docker.io", "lab/tool", "1.2")),
        ("lab/tool", ("docker.io", "lab/tool", "latest")),
        ("registry:5000/tool", ("registry:5000", "tool", "latest")),
        ("localhost/neurocwl/x:0.1.0", ("localhost", "neurocwl/x", "0.1.0")),
        ("lab/tool:1@sha256:00", ("docker.io", "lab/tool", "1")),
    ],
)
def test_an_image_reference_has_three_parts(image: str, parts: tuple[str, str, str]) -> None:
    assert software.image_parts(image) == parts


@given(st.text(min_size=1))
def test_every_key_is_a_uri_that_leads_back_to_it(key: str) -> None:
    from urllib.parse import unquote

    found = uri(f"s3://lab/{key}")
    assert not {*' "<>#?\\^`{|}'} & {*found}
    assert unquote(found) == f"s3://lab/{key}"


def test_a_group_stage_is_a_tool_of_its_own_that_read_results() -> None:
    group = {"label": "Tables", "steps": WORKFLOW["steps"]}
    both = {"workflow.cwl": WORKFLOW, "workflow-group.cwl": group}
    files = [
        RunFile("workflow.cwl", 1, "b"),
        RunFile("workflow-group.cwl", 1, "d"),
        RunFile("inputs-group.json", 1, "e"),
    ]
    given_files = {"group": [("s3://lab/out/sub-00000/0.nii", 1, "e")]}
    one = record(1, 1)
    known = entities(
        crate(
            record(
                1, 1, workflows=both, files=files, inputs={**one.inputs, **given_files},
                receipts={**one.receipts, "group": receipt("group", "r1", 1)}, units=["sub-00000", "group"],
            )
        )
    )  # fmt: skip
    assert known["#group"]["instrument"] == {"@id": "workflow-group.cwl#tool"}
    assert known["#sub-00000"]["instrument"] == {"@id": "workflow.cwl#tool"}
    assert known["#group"]["object"] == [{"@id": "s3://lab/out/sub-00000/0.nii"}]
    assert {"@id": "#control-workflow-group.cwl"} in known["#orchestration"]["object"]
    assert known["s3://lab/out/sub-00000/0.nii"]["etag"] == "e"
