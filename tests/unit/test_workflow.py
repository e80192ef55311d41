"""Dataset workflows follow from the tool and the job template, and from nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neurocwl import assets, cwlfile, export, template, workflow
from tests.unit.datasets import pipeline

NAMES = template.names()


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_workflow_is_what_build_writes(name: str) -> None:
    committed = assets.path("cwl") / "workflows" / f"{name}-dataset.cwl"
    assert committed.read_text() == export.built(template.load(name)), f"run: neurocwl pipelines build {name}"
    assert committed.stat().st_mode & 0o111


def steps(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["steps"]["per_unit"]["run"]["steps"]
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stage_in", [False, True])
def test_stage_out_takes_everything_from_the_tool_alone_so_that_toil_chains_the_two(
    name: str, stage_in: bool
) -> None:
    step = steps(workflow.dataset_workflow(template.load(name), stage_in=stage_in))["stage_out"]
    sources = [v["source"] if isinstance(v, dict) and "source" in v else v for v in step["in"].values()]
    flat = [
        s
        for source in sources
        for s in (source if isinstance(source, list) else [source])
        if isinstance(s, str)
    ]
    assert flat
    assert all(source.startswith("tool/") for source in flat)


@pytest.mark.parametrize("name", NAMES)
def test_every_failure_of_the_tool_is_recorded_and_the_tool_by_itself_still_fails(name: str) -> None:
    chosen = template.load(name)
    tool = steps(workflow.dataset_workflow(chosen))["tool"]["run"]
    inner = [step["run"] for step in tool["steps"].values()] if tool["class"] == "Workflow" else [tool]
    assert all(one["successCodes"] == list(range(256)) for one in inner)
    assert not any("successCodes" in one for one in chosen.tools)
    for output in chosen.outputs:
        type_ = tool["outputs"][output]["type"]
        assert type_.endswith("?") if isinstance(type_, str) else "null" in type_, output


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_the_tool_can_be_given_to_the_workflow(name: str) -> None:
    chosen = template.load(name)
    document = workflow.dataset_workflow(chosen)
    assert set(document["inputs"]) == {"units", "output", "run"} | (
        set(chosen.tool["inputs"]) - set(chosen.bind) - set(chosen.fixed)
    )
    assert set(document["steps"]["per_unit"]["in"]) == {"unit", "output", "run"} | (
        set(chosen.tool["inputs"]) - set(chosen.bind) - set(chosen.fixed)
    )
    assert "inputBinding" not in json.dumps(document["inputs"])


TOOLS = [
    pytest.param(tool, id=f"{name}-{number}")
    for name in NAMES
    for number, tool in enumerate(template.load(name).tools)
]


@pytest.mark.parametrize("tool", TOOLS)
def test_resources_have_the_units_that_cwl_says(tool: dict[str, Any]) -> None:
    """coresMin counts CPUs, ramMin, tmpdirMin and outdirMin are MiB, timelimit is seconds (CWL v1.2)."""
    assert tool["hints"]["ResourceRequirement"] == {
        "coresMin": "$(inputs.cpus)",
        "ramMin": "$(inputs.memory_mib)",
        "tmpdirMin": "$(inputs.tmp_mib)",
        "outdirMin": "$(inputs.out_mib)",
    }
    assert tool["hints"]["ToolTimeLimit"] == {"timelimit": "$(inputs.time_limit)"}
    for parameter, unit in (
        ("memory_mib", "MiB"),
        ("tmp_mib", "MiB"),
        ("out_mib", "MiB"),
        ("time_limit", "seconds"),
    ):
        assert unit.lower() in tool["inputs"][parameter]["doc"].lower()
    defaults = {
        parameter: tool["inputs"][parameter]["default"] for parameter in ("cpus", "memory_mib", "time_limit")
    }
    assert 1 <= defaults["cpus"] <= 16
    assert 512 <= defaults["memory_mib"] <= 64 * 1024
    assert 600 <= defaults["time_limit"] <= 14 * 24 * 3600


@pytest.mark.parametrize("name", NAMES)
def test_stage_out_asks_for_no_more_than_the_tool(name: str) -> None:
    asked = cwlfile.load(assets.path("cwl") / "tools/stage-out.cwl")["hints"]["ResourceRequirement"]
    inputs = template.load(name).tool["inputs"]
    assert asked["coresMin"] <= inputs["cpus"]["default"]
    assert asked["ramMin"] <= inputs["memory_mib"]["default"]
    assert (
        asked["tmpdirMin"] + asked["outdirMin"] <= inputs["tmp_mib"]["default"] + inputs["out_mib"]["default"]
    )


def test_resources_of_a_run_stand_in_the_workflow_as_numbers() -> None:
    wanted = {"cpus": 2, "memory_mib": 3000, "tmp_mib": 5, "out_mib": 6, "time_limit": 7}
    hints = steps(workflow.dataset_workflow(template.load("fmriprep"), resources=wanted))["tool"]["run"][
        "hints"
    ]
    assert hints["ResourceRequirement"] == {"coresMin": 2, "ramMin": 3000, "tmpdirMin": 5, "outdirMin": 6}
    assert hints["ToolTimeLimit"] == {"timelimit": 7}


@pytest.mark.parametrize(("image", "told"), [("my/fmriprep:1", False), ("localhost/stand-in:1", True)])
def test_another_image_replaces_the_tools_and_only_a_rehearsal_is_told_its_fault(
    image: str, told: bool
) -> None:
    chosen = template.load("fmriprep")
    tool = steps(workflow.dataset_workflow(chosen, image=image, rehearsal=told))["tool"]["run"]
    assert tool["hints"]["DockerRequirement"] == {"dockerPull": image}
    assert ("NEUROCWL_REHEARSAL" in tool["requirements"]["EnvVarRequirement"]["envDef"]) is told
    assert chosen.image != "my/fmriprep:1"


@pytest.mark.parametrize("name", NAMES)
def test_an_inline_workflow_stands_alone(name: str, tmp_path: Path) -> None:
    text = cwlfile.as_json(workflow.dataset_workflow(template.load(name), inline=True))
    (tmp_path / f"{name}-dataset.cwl").write_text(text)
    assert "$include" not in text
    assert "../tools" not in text
    assert "$mixin" not in text
    from cwl_utils.parser import load_document_by_uri  # the parser of Toil's prepull and of other engines

    load_document_by_uri((tmp_path / f"{name}-dataset.cwl").as_uri())


def test_a_pipeline_of_ones_own_becomes_a_valid_workflow(tmp_path: Path) -> None:
    file = tmp_path / "try.cwl"
    file.write_text(
        cwlfile.as_json(workflow.dataset_workflow(pipeline(tmp_path / "p"), inline=True, stage_in=True))
    )
    done = subprocess.run(
        [Path(sys.executable).parent / "cwltool", "--validate", "--strict", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
