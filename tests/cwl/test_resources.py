"""What engines make of the resource inputs: their units, and that a job order overrides them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cwltool.context import LoadingContext, RuntimeContext
from cwltool.load_tool import load_tool
from cwltool.workflow import default_make_tool

from neurocwl import assets, cwlfile, images
from tests.unit.cwl_command import CHECKOUT, job_order

HERE = Path(sys.executable).parent
TOOLS = assets.path("cwl") / "tools"
SIZED = [file.stem for file in sorted(TOOLS.glob("*.cwl")) if "cpus" in cwlfile.load(file)["inputs"]]
GIVEN = {"cpus": 3, "memory_mib": 700, "tmp_mib": 11, "out_mib": 13, "time_limit": 77}


def evaluated(name: str, changes: dict[str, int]) -> dict[str, Any]:
    """What cwltool computes from the hints of a tool: cores, MiB of memory and of disk, seconds."""
    tool = load_tool(str(TOOLS / f"{name}.cwl"), LoadingContext({"construct_tool_object": default_make_tool}))
    inputs = {key: value for key, value in job_order(TOOLS / f"{name}.test.yml").items() if key not in GIVEN}
    runtime = RuntimeContext({"use_container": False, "basedir": str(CHECKOUT)})
    job: Any = next(iter(tool.job({**inputs, **changes}, lambda outputs, status: None, runtime)))
    found = job.builder.resources
    return {
        "cpus": found["cores"],
        "memory_mib": found["ram"],
        "tmp_mib": found["tmpdirSize"],
        "out_mib": found["outdirSize"],
        "time_limit": job.timelimit,
    }


@pytest.mark.parametrize("name", SIZED)
def test_a_job_order_sets_cores_mebibytes_and_seconds(name: str) -> None:
    assert evaluated(name, GIVEN) == GIVEN


@pytest.mark.parametrize("name", SIZED)
def test_without_them_the_defaults_hold(name: str) -> None:
    inputs = cwlfile.load(TOOLS / f"{name}.cwl")["inputs"]
    defaults = {key: inputs[key]["default"] for key in GIVEN}
    assert evaluated(name, {}) == {**defaults, "time_limit": defaults["time_limit"] or None}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The test job of nifti-check with resources of its own."""
    images.ensure("nifti-check")
    file = tmp_path / "job.json"
    file.write_text(json.dumps({**job_order(TOOLS / "nifti-check.test.yml"), **GIVEN, "cpus": 1}))
    return file


def said(program: str, *words: str, cwd: Path) -> str:
    done = subprocess.run([str(HERE / program), *words], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.docker
def test_docker_enforces_them_where_cwltool_is_told_to(job: Path, tmp_path: Path) -> None:
    words = ("--disable-color", "--strict-memory-limit", "--strict-cpu-limit")
    log = said("cwltool", *words, str(TOOLS / "nifti-check.cwl"), str(job), cwd=tmp_path)
    assert "--memory=700m" in log
    assert re.search(r"--cpus=1(\.0)?\s", log)


@pytest.mark.docker
def test_toil_asks_its_batch_system_for_them(job: Path, tmp_path: Path) -> None:
    log = said(
        "toil-cwl-runner", "--no-prepull", "--logInfo", str(TOOLS / "nifti-check.cwl"), str(job), cwd=tmp_path
    )
    (asked,) = {line for line in log.splitlines() if "Issued job 'CWLJob' nifti-check.cwl" in line}
    assert "memory: 700.0 Mi, cores: 1," in asked
    assert "disk: 24.0 Mi" in asked, "temporary files and outputs together"
