"""A pipeline of one's own, from a folder of one's own: no Python touched. Its tool tells what it sees."""

from pathlib import Path

import pytest

from neurocwl import images
from tests.e2e.conftest import Lab, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

TOOL = """\
#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Write down the environment
doc: Writes the environment of the container and the names of its inputs.
hints:
  DockerRequirement: {dockerPull: IMAGE}
  ResourceRequirement: {coresMin: $(inputs.cpus), ramMin: 256}
baseCommand: [sh, -c]
arguments: ['mkdir out && env > "out/sub-$0_env.txt" && find -L "$1" -type f | sort > "out/sub-$0_files.txt" && echo "$2" >> "out/sub-$0_files.txt"', $(inputs.participant), $(inputs.bids_dir.path), $(inputs.word)]
inputs:
  bids_dir: {type: Directory, doc: The dataset.}
  participant: {type: string, doc: The participant.}
  word: {type: string, default: nothing, doc: A word to write.}
  cpus: {type: int, default: 1, doc: CPUs.}
stdout: env.log
stderr: env.err
outputs:
  out: {type: Directory, doc: What was written., outputBinding: {glob: out}}
  stdout_log: {type: stdout, doc: Standard output.}
  stderr_log: {type: stderr, doc: Standard error.}
"""
TEMPLATE = """\
class: JobTemplate
pipeline: env
label: Environment
doc: Writes down what a container sees.
tool: ../cwl/tools/env.cwl
unit: participant
bind:
  bids_dir: {dataset: {datatype: anat}}
  participant: {label: participant}
outputs: {out: "."}
logs: [stdout_log, stderr_log]
evidence: {expect: ["sub-{participant}_env.txt"]}
"""


@pytest.fixture
def pipelines(tmp_path: Path) -> Path:
    folder = tmp_path / "pipelines"
    (folder / "jobs").mkdir(parents=True)
    (folder / "cwl" / "tools").mkdir(parents=True)
    (folder / "jobs" / "env.yml").write_text(TEMPLATE)
    (folder / "cwl" / "tools" / "env.cwl").write_text(TOOL.replace("IMAGE", images.ensure("nifti-check")))
    return folder


def test_a_pipeline_from_a_folder_runs_and_its_container_sees_no_key(lab: Lab, pipelines: Path) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    words = (
        "--pipeline",
        "env",
        "--pipeline-dir",
        str(pipelines),
        "--output",
        lab.url("out"),
        "--word",
        "hello world",
    )
    done = lab.run("launch", "dataset", lab.url("ds"), *words, NEUROCWL_CANARY="of-the-caller")
    assert done.code == 0, done.err
    seen = lab.read("out/sub-01_env.txt").decode()
    assert lab.environment["AWS_SECRET_ACCESS_KEY"] not in seen
    assert "AWS_" not in seen
    assert "of-the-caller" not in seen
    assert "NEUROCWL_UNIT=sub-01" in seen
    files = lab.read("out/sub-01_files.txt").decode()
    assert "/sub-01/anat/sub-01_T1w.nii.gz" in files
    assert "/func/" not in files
    assert files.endswith("hello world\n")


def test_its_parameters_are_in_its_help_and_its_mistakes_have_one_message(lab: Lab, pipelines: Path) -> None:
    shown = lab.run("plan", "dataset", "--pipeline", "env", "--pipeline-dir", str(pipelines), "--help")
    assert "--word" in shown.out
    template = pipelines / "jobs" / "env.yml"
    template.write_text(TEMPLATE.replace("outputs: {out:", "outputs: {outt:"))
    refused = lab.run("plan", "dataset", "ds", "--pipeline", "env", "--pipeline-dir", str(pipelines))
    assert refused.code == 2
    assert "env.yml" in refused.err
    assert "'outt' is not an output of env.cwl" in refused.err
