"""Every command in the README is run, as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.conftest import Lab, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

README = Path(__file__).parents[2] / "README.md"


def commands() -> list[list[str]]:
    """The neurocwl lines of the README's shell blocks, in order."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("neurocwl ")]


def stand_in(words: list[str]) -> list[str]:
    """What to add where a line launches an image of 10 GB, which cannot be had everywhere."""
    if words[0] != "launch" or "nifti-check" in words or "--rehearse" in words:
        return []
    # A line that builds on another is rehearsed; of one by itself, another line is the rehearsal.
    return ["--rehearse"] if {"--after", "--require-preflight"} & {*words} else ["--dry-run"]


def test_the_two_commands_of_the_readme_are_there_and_executable() -> None:
    for name in ("demo", "test"):
        assert f"provisioning/machine/{name}" in README.read_text()
        script = README.parent / "provisioning" / "machine" / name
        assert script.stat().st_mode & 0o111


def test_every_command_of_the_readme_does_what_it_says(lab: Lab) -> None:
    lab.bucket = "lab"
    lab.s3.create_bucket(Bucket="lab")
    lab.upload(write_dataset(lab.folder / "ds", ["01", "02"]), "ds")
    lab.licence.rename(lab.folder / "license.txt")
    found = commands()
    assert len(found) >= 8
    for words in found:
        ended = lab.run(*words, *stand_in(words))
        assert ended.code == 0, f"neurocwl {' '.join(words)}\n{ended.out}\n{ended.err}"


def test_validate_runs_the_official_validator_on_a_dataset_in_a_bucket(lab: Lab) -> None:
    dataset = write_dataset(lab.folder / "ds", ["01"])
    (dataset / "sub-01" / "func" / "sub-01_task-rest_run-01_bolt.nii.gz").write_bytes(b"x")
    lab.upload(dataset, "ds")
    found = lab.run("plan", "dataset", lab.url("ds"), "--pipeline", "nifti-check", "--validate", "--json")
    assert found.code == 0, found.err
    assert any("bolt" in issue["path"] for issue in found.json["validator"]["errors"])
    assert any("bolt" in problem["path"] for problem in found.json["problems"]), "names alone tell as much"
    refused = lab.run(
        "launch",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "nifti-check",
        "--output",
        lab.url("out"),
        "--validate",
    )
    assert refused.code == 2
    assert lab.keys("out") == {}
