"""`neurocwl pipelines export` makes folders that run from elsewhere, packed and unpacked."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from neurocwl import assets, images, template
from neurocwl.cli import main

HERE = Path(sys.executable).parent
PIPELINES = template.names()


def test_every_pipeline_is_there_in_both_forms_with_the_test_jobs_of_the_tools(exported: Path) -> None:
    tools = {file.name for file in (assets.path("cwl") / "tools").glob("*.cwl")}
    jobs = {file.name for file in (assets.path("cwl") / "tools").glob("*.test.yml")}
    workflows = {f"{name}-dataset.cwl" for name in PIPELINES}
    assert tools | jobs | workflows <= {file.name for file in (exported / "packed").iterdir()}
    assert tools | jobs <= {file.name for file in (exported / "unpacked/cwl/tools").iterdir()}
    assert workflows <= {file.name for file in (exported / "unpacked/cwl/workflows").iterdir()}
    assert (exported / "README.md").is_file()


def test_a_packed_file_refers_to_no_other(exported: Path) -> None:
    for file in (exported / "packed").glob("*.cwl"):
        document = file.read_text()
        assert "$include" not in document, file
        assert '.cwl"' not in document, file


@pytest.mark.parametrize("name", PIPELINES)
def test_a_packed_dataset_workflow_is_valid_without_a_warning(exported: Path, name: str) -> None:
    file = exported / "packed" / f"{name}-dataset.cwl"
    command = [str(HERE / "cwltool"), "--disable-color", "--validate", "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one participant."""
    place = tmp_path_factory.mktemp("data") / "ds"
    shutil.copytree(assets.path("cwl") / "tools/test-data/nifti-check", place)
    return place


@pytest.mark.docker
@pytest.mark.parametrize("form", ["packed", "unpacked/cwl/workflows"])
@pytest.mark.parametrize(
    "engine", [("cwltool",), ("toil-cwl-runner", "--no-prepull")], ids=["cwltool", "toil"]
)
def test_a_dataset_workflow_delivers_from_elsewhere(
    exported: Path,
    environment: Mapping[str, str],
    dataset: Path,
    engine: tuple[str, ...],
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images.ensure("nifti-check")
    monkeypatch.chdir(tmp_path)
    words = ["--pipeline", "nifti-check", "--output", str(tmp_path / "out"), "--ignore", "FEW_VOLUMES"]
    assert main(["job-order", "dataset", str(dataset), *words, "-o", "orders", "--local"]) == 0
    workflow, order = exported / form / "nifti-check-dataset.cwl", tmp_path / "orders/job-order-001.json"
    command = [str(HERE / engine[0]), *engine[1:], str(workflow), str(order)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=dict(environment)
    )
    assert done.returncode == 0, done.stderr[-4000:]
    receipt = json.loads((tmp_path / "out/.neurocwl/units/sub-01/receipt.json").read_text())
    assert receipt["status"] == "done", receipt["reason"]
    assert (tmp_path / "out/sub-01/sub-01_desc-check_report.json").is_file()


def test_a_tool_whose_script_lies_elsewhere_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    (own / "jobs").mkdir(parents=True)
    (own / "cwl/tools").mkdir(parents=True)
    (tmp_path / "stray.sh").write_text("true\n")
    (own / "cwl/tools/stray.cwl").write_text(STRAY)
    (own / "jobs/stray.yml").write_text(TEMPLATE)
    folder = str(tmp_path / "exported")
    assert main(["pipelines", "export", folder, "--pipeline-dir", str(own)]) == 2
    said = capsys.readouterr().err
    assert "stray.sh lies outside" in said
    assert "put it beside the tool" in said


STRAY = """\
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InitialWorkDirRequirement:
    listing:
      - {class: File, basename: stray.sh, contents: {$include: ../../../stray.sh}}
baseCommand: [sh, stray.sh]
inputs: {participant: {type: string, doc: The participant.}}
stdout: stray.log
outputs:
  out: {type: Directory, doc: What was written., outputBinding: {glob: out}}
  log: {type: stdout, doc: Standard output.}
"""
TEMPLATE = """\
class: JobTemplate
pipeline: stray
label: Stray
doc: A tool whose script lies elsewhere.
tool: ../cwl/tools/stray.cwl
unit: participant
bind: {participant: {label: participant}}
outputs: {out: "."}
logs: [log]
"""
