"""Job orders: the dataset as plain CWL, sharded, and a key that says when a result is still good."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocwl import assets, joborder, template
from neurocwl.bids import Dataset
from neurocwl.derivatives import Part
from neurocwl.joborder import Common, Order, as_json, fingerprint, job_order, order, shards
from neurocwl.parameters import parameters_of
from neurocwl.storage import Folder
from neurocwl.template import Template
from neurocwl.units import Selection, Unit, select
from tests.data.trees import TREES
from tests.unit.datasets import INPUTS, JOB, TOOL, dataset, entry, files_in, of_tree, pipeline, write

PATHS = [
    "dataset_description.json",
    "participants.tsv",
    "participants.json",
    "task-x_bold.json",
    *(
        f"sub-{n}/{rest}"
        for n in ("1", "2")
        for rest in (f"anat/sub-{n}_T1w.nii.gz", f"func/sub-{n}_task-x_bold.nii.gz")
    ),
    "sub-2/anat/sub-2_T2w.nii.gz",
]


def on_s3(path: str) -> str:
    return f"s3://bucket/ds/{path}"


def orders(data: Dataset, chosen: Template, image: str = "i:1", **parameters: Any) -> list[Order]:
    mark = fingerprint(chosen, image, parameters, None)
    units = select(data, chosen, Selection(), parameters)
    return [order(unit, chosen, data.root_files, on_s3, parameters, None, mark) for unit in units]


@pytest.fixture
def try_(tmp_path: Path) -> Template:
    return pipeline(tmp_path / "p")


def test_a_unit_gets_its_files_the_shared_ones_and_its_labels(try_: Template) -> None:
    one, two = orders(dataset(PATHS), try_, use_t2w=True)
    inputs = two.inputs()
    wanted = [path for path in PATHS if not path.startswith("sub-1/")]
    assert files_in(inputs["bids_dir"]) == {f"bids/{path}": on_s3(path) for path in wanted}
    assert files_in(inputs["t1w"]) == {"sub-2_T1w.nii.gz": on_s3("sub-2/anat/sub-2_T1w.nii.gz")}
    assert inputs["t2w"]["size"] == len("sub-2/anat/sub-2_T2w.nii.gz")
    assert one.inputs()["t2w"] is None
    assert (inputs["label"], inputs["session"]) == ("2", None)
    assert (two.files, two.size) == (len(wanted), sum(map(len, wanted)))


def test_an_input_that_depends_on_a_parameter_is_filled_only_with_it(try_: Template) -> None:
    assert orders(dataset(PATHS), try_)[1].inputs()["t2w"] is None


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_file_of_every_tree_keeps_its_path_its_place_and_its_size(tree: Any) -> None:
    for one in orders(of_tree(tree), template.load("fmriprep")):
        files = files_in(one.inputs()["bids_dir"])
        assert files == {f"bids/{path}": on_s3(path) for path in (f.path for f in one.files_of["bids_dir"])}
        assert set(tree.root) <= {path.removeprefix("bids/") for path in files}


def sizes(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [size for item in value for size in sizes(item)]
    if isinstance(value, dict):
        return (
            [value.get("size")]
            if value.get("class") == "File"
            else [s for item in value.values() for s in sizes(item)]
        )
    return []


def test_a_job_order_is_json_with_everything_that_a_run_needs(try_: Template) -> None:
    common = Common("s3://out", "r1", {"level": 3}, {"class": "File", "location": "file:///l"})
    document = job_order(orders(dataset(PATHS), try_), try_, common)
    assert json.loads(as_json(document)) == document
    assert {key: document[key] for key in ("output", "run", "level", "licence", "$namespaces")} == {
        "output": "s3://out",
        "run": "r1",
        "level": 3,
        "licence": {"class": "File", "location": "file:///l"},
        "$namespaces": {"s3": "s3:"},
    }
    found = sizes(document["units"])
    assert found
    assert all(isinstance(size, int) for size in found)
    assert as_json(document).count(b"\n") == len(document["units"]) + 3  # a line for each unit


def test_a_step_that_brings_the_files_gets_each_ones_place_and_size(try_: Template) -> None:
    record = orders(dataset(PATHS), try_)[0].record_for_stage_in({"sign": False, "requester_pays": True})
    request = json.loads(record["request"])
    assert request["access"] == {"sign": False, "requester_pays": True}
    assert set(record) == {"context", "label", "session", "request"}
    assert ["s3://bucket/ds/sub-1/anat/sub-1_T1w.nii.gz", "sub-1_T1w.nii.gz", 27] in request["inputs"]["t1w"][
        "files"
    ]
    (place,) = [
        row[1] for row in request["inputs"]["bids_dir"]["files"] if row[0].endswith("sub-1_T1w.nii.gz")
    ]
    assert (request["inputs"]["bids_dir"]["folder"], place) == ("bids", "sub-1/anat/sub-1_T1w.nii.gz")


# Shards


@settings(deadline=None)
@given(st.lists(st.integers(0, 6000), max_size=700))
def test_shards_keep_the_order_and_their_limits(counts: list[int]) -> None:
    (any_,) = orders(dataset(PATHS[4:6]), template.load("nifti-check"))
    made = [replace(any_, files=count, size=index) for index, count in enumerate(counts)]
    groups = list(shards(made))
    assert [one for group in groups for one in group] == made
    for group in groups:
        assert 0 < len(group) <= joborder.SHARD_UNITS
        assert sum(one.files for one in group) <= joborder.SHARD_FILES


def test_a_unit_with_more_files_than_a_shard_takes_has_one_of_its_own() -> None:
    (any_,) = orders(dataset(PATHS[4:6]), template.load("nifti-check"))
    made = [replace(any_, files=count) for count in (1, 20_000, 1)]
    assert [len(group) for group in shards(made)] == [1, 1, 1]


# The task key


def keys(found: list[Order]) -> list[str]:
    return [one.task_key for one in found]


def test_the_key_is_the_same_for_the_same_work_and_another_for_each_unit(try_: Template) -> None:
    first, again = orders(dataset(PATHS), try_), orders(dataset(list(reversed(PATHS))), try_)
    assert keys(first) == keys(again)
    assert len(set(keys(first))) == 2


@pytest.mark.parametrize(
    ("changed", "units"),
    [
        (["sub-1/anat/sub-1_T1w.nii.gz"], {0}),
        (["task-x_bold.json"], {0, 1}),  # a sidecar of all
        (["participants.tsv", "participants.json", "dataset_description.json"], set()),
    ],
)
def test_the_key_changes_with_the_inputs_and_not_with_what_describes_the_dataset(
    changed: list[str], units: set[int], try_: Template
) -> None:
    before, after = keys(orders(dataset(PATHS), try_)), keys(orders(dataset(PATHS, changed=changed), try_))
    assert {number for number in (0, 1) if before[number] != after[number]} == units


def test_a_new_participant_or_a_new_file_changes_nobody_elses_key(try_: Template) -> None:
    more = [*PATHS, "sub-3/anat/sub-3_T1w.nii.gz", "sub-2/anat/sub-2_run-2_T1w.nii.gz"]
    before, after = keys(orders(dataset(PATHS), try_)), keys(orders(dataset(more), try_))
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    ("parameters", "changes"),
    [
        ({"level": 4}, True),
        ({"kind": "b"}, True),
        ({"cpus": 16}, False),
        ({"memory_mib": 1, "tmp_mib": 1, "out_mib": 1, "time_limit": 1}, False),
    ],
)
def test_the_key_changes_with_parameters_and_not_with_resources(
    parameters: Mapping[str, Any], changes: bool, try_: Template
) -> None:
    before, after = keys(orders(dataset(PATHS), try_)), keys(orders(dataset(PATHS), try_, **parameters))
    assert (before != after) is changes


def test_the_key_changes_with_the_tool_and_its_image_and_not_with_its_documentation(tmp_path: Path) -> None:
    def made(tool: str = TOOL, image: str = "i:1") -> list[str]:
        return keys(orders(dataset(PATHS), pipeline(tmp_path / "p", tool=tool % INPUTS), image=image))

    before = made()
    assert made(image="i:2") != before
    assert made(TOOL.replace('baseCommand: "true"', "baseCommand: [run]")) != before
    assert made(TOOL.replace("class: CommandLineTool", "class: CommandLineTool\ndoc: more words")) == before
    assert made(TOOL.replace("hints: {", "hints: {ToolTimeLimit: {timelimit: 9}, ")) == before


def test_the_key_changes_with_a_script_that_the_tool_brings_along(tmp_path: Path) -> None:
    tool = (
        TOOL
        + "requirements:\n  InitialWorkDirRequirement:\n    listing:\n      - {class: File, basename: s.py, contents: {$include: s.py}}\n"
    )
    write(tmp_path, JOB, tool % INPUTS)
    found = []
    for text in ("a", "b", "a"):
        (tmp_path / "cwl/tools/s.py").write_text(text)
        found.append(keys(orders(dataset(PATHS), template.load("try", tmp_path))))
    assert found[0] == found[2] != found[1]


def test_the_key_follows_the_content_of_a_file_and_not_its_place(try_: Template, tmp_path: Path) -> None:
    def made(name: str, content: str) -> list[str]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
        file = {"class": "File", "location": (tmp_path / name).as_uri(), "basename": "c"}
        return keys(orders(dataset(PATHS), try_, config=file))

    assert made("a b", "1") == made("c/d", "1") != made("a b", "2")
    folder = {"class": "Directory", "location": (tmp_path / "c").as_uri(), "basename": "c"}
    before = keys(orders(dataset(PATHS), try_, config=folder))
    (tmp_path / "c/new").write_text("")
    assert keys(orders(dataset(PATHS), try_, config=folder)) != before


# Other engines


# Group pipelines have no units of a dataset; tests/e2e runs them.


@pytest.mark.parametrize("name", template.names())
def test_cwltool_takes_a_generated_order_with_the_committed_workflow(name: str, tmp_path: Path) -> None:
    chosen = template.load(name)
    paths = [*PATHS, *(f"sub-1/dwi/sub-1_dwi.{ending}" for ending in ("nii.gz", "bval", "bvec"))]
    for kind in ("anat", "func"):
        stem = f"sub-3/ses-1/{kind}/sub-3_ses-1"
        paths.append(f"{stem}_T1w.nii.gz" if kind == "anat" else f"{stem}_task-x_bold.nii.gz")
    paths.append("sub-4/micr/sub-4_sample-a_TEM.png")
    data = dataset(paths)
    for path in paths:
        (tmp_path / "d s" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d s" / path).write_text(path)
    (tmp_path / "license.txt").write_text("")
    licence = {"class": "File", "location": (tmp_path / "license.txt").as_uri()}
    mark = fingerprint(chosen, "i", {}, None)
    if chosen.unit == "group":
        results = Part("results", Folder(tmp_path / "d s"), ((paths[0], entry(paths[0])),))
        made = [order(Unit("group", "", None, ()), chosen, (), str, {}, None, mark, {"results": (results,)})]
    else:
        made = [
            order(
                unit, chosen, data.root_files, lambda path: (tmp_path / "d s" / path).as_uri(), {}, None, mark
            )
            for unit in select(data, chosen, Selection(), {})
            if not unit.missing
        ]
    needed = {n: licence for n in parameters_of(chosen) if chosen.tool["inputs"][n]["type"] == "File"}
    document = job_order(made, chosen, Common(str(tmp_path / "out"), "r1", needed, licence))
    (tmp_path / "order.json").write_bytes(as_json(document))
    assert all(
        Path(unquote(place.removeprefix("file://"))).is_file()
        for place in files_in(document["units"][0].get("bids_dir", [])).values()
    )
    workflow = assets.path("cwl") / "workflows" / f"{name}-dataset.cwl"
    done = subprocess.run(
        [
            Path(sys.executable).parent / "cwltool",
            "--validate",
            "--strict",
            workflow,
            tmp_path / "order.json",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
