"""Every CWL file keeps the house's conventions, validates without a warning, and has a test job beside it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neurocwl import assets, cwlfile

CWL = assets.path("cwl")
TOOLS = sorted((CWL / "tools").glob("*.cwl"))
TRIED = sorted(file.with_name(file.name[: -len("test.yml")] + "cwl") for file in CWL.glob("*/*.test.yml"))
FILES = [*TOOLS, *sorted((CWL / "workflows").glob("*.cwl"))]
ORDER = [
    "cwlVersion",
    "class",
    "label",
    "doc",
    "requirements",
    "hints",
    "baseCommand",
    "arguments",
    "inputs",
    "stdout",
    "stderr",
    "steps",
    "outputs",
]
OURS = (
    "stage-in",
    "stage-out",
    "s3-sink",
    "report-index",
    "freesurfer-tables",
    "collate-tables",
)  # run on the worker, without a container


def cwltool(*words: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / "cwltool")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def name(file: Path) -> str:
    return file.name


@pytest.mark.parametrize("file", FILES, ids=name)
def test_it_validates_strictly_without_a_warning(file: Path) -> None:
    done = cwltool("--disable-color", "--validate", "--strict", str(file))
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("file", sorted({*TOOLS, *TRIED}), ids=name)
def test_its_test_job_fits_it(file: Path) -> None:
    done = cwltool("--disable-color", "--validate", "--strict", str(file), str(file.with_suffix(".test.yml")))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", FILES, ids=name)
def test_it_is_an_executable_cwl_runner_script(file: Path) -> None:
    assert file.read_text().startswith("#!/usr/bin/env cwl-runner\n")
    assert os.access(file, os.X_OK)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_its_keys_come_in_the_order_of_the_house(file: Path) -> None:
    keys = [key for key in cwlfile.load(file) if key in ORDER]
    assert keys == sorted(keys, key=ORDER.index)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_input_and_output_is_documented_in_snake_case(file: Path) -> None:
    document = cwlfile.load(file)
    for kind in ("inputs", "outputs"):
        for id_, spec in document[kind].items():
            assert id_ == id_.lower().replace("-", "_")
            assert isinstance(spec, dict), f"{id_} has no doc"
            assert spec.get("doc"), f"{id_} has no doc"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_worker_needs_javascript(file: Path) -> None:
    assert "InlineJavascriptRequirement" not in file.read_text()


@pytest.mark.parametrize("file", [f for f in TOOLS if f.stem not in OURS], ids=name)
def test_container_and_resources_are_hints_that_a_job_order_can_override(file: Path) -> None:
    tool = cwlfile.load(file)
    assert "DockerRequirement" not in tool.get("requirements", {})
    assert tool["hints"]["DockerRequirement"]["dockerPull"]
    assert tool["hints"]["ResourceRequirement"] == {
        "coresMin": "$(inputs.cpus)",
        "ramMin": "$(inputs.memory_mib)",
        "tmpdirMin": "$(inputs.tmp_mib)",
        "outdirMin": "$(inputs.out_mib)",
    }
    for id_, low, high in (
        ("cpus", 1, 16),
        ("memory_mib", 512, 65536),
        ("tmp_mib", 1, 1 << 20),
        ("out_mib", 1, 1 << 20),
    ):
        assert low <= tool["inputs"][id_]["default"] <= high, f"{id_}: MiB, not GiB or bytes"


@pytest.mark.parametrize("file", [f for f in TOOLS if f.stem not in OURS], ids=name)
def test_it_names_its_software_by_rrid_and_keeps_its_logs(file: Path) -> None:
    tool = cwlfile.load(file)
    packages: dict[str, Any] = tool["hints"]["SoftwareRequirement"]["packages"]
    specs = [spec for package in packages.values() for spec in package.get("specs", [])]
    assert specs, "the main package has an RRID; not every library has one"
    assert all("RRID:" in spec for spec in specs)
    assert tool["outputs"]["stdout_log"]["type"] == "stdout"
    assert tool["outputs"]["stderr_log"]["type"] == "stderr"


@pytest.mark.parametrize("file", [f for f in TOOLS if f.stem not in OURS], ids=name)
def test_the_pure_tool_knows_nothing_of_neurocwl_and_fails_honestly(file: Path) -> None:
    tool = cwlfile.load(file)
    assert "successCodes" not in tool
    outputs = [spec["type"] for id_, spec in tool["outputs"].items() if not id_.endswith("_log")]
    assert outputs == ["Directory"], "what must be there is not optional"
    told = {key: value for key, value in tool.items() if key not in ("hints", "doc")}
    assert "neurocwl" not in str(told).lower()


def test_stage_out_delivers_in_cwltool(tmp_path: Path) -> None:
    tool = CWL / "tools" / "stage-out.cwl"
    job = cwlfile.load(tool.with_suffix(".test.yml"))
    job["output"] = str(tmp_path / "out")
    job["outputs"][0]["location"] = (tool.parent / "test-data/T1w.nii.gz").as_uri()
    (tmp_path / "job.json").write_text(cwlfile.as_json(job))
    done = cwltool("--outdir", str(tmp_path / "receipts"), str(tool), str(tmp_path / "job.json"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/sub-01/anat/T1w.nii.gz").read_bytes() == (
        tool.parent / "test-data/T1w.nii.gz"
    ).read_bytes()
    assert cwlfile.load(tmp_path / "out/.neurocwl/units/sub-01/receipt.json")["status"] == "done"
