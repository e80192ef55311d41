"""The gate: a unit notes that it begins, or is kept back; nobody slips through between the look and the note."""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gate
import pytest
import stage_out
from output_store import FolderStore, Store, open_store

from neurocwl import assets, template, workflow
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from tests.conftest import S3

CLOSED = ".neurocwl/runs/r1/closed"
NOTE = ".neurocwl/runs/r1/begun/sub-01"
WRAPPERS = assets.path("toolwrappers")


@pytest.fixture(params=["folder", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return open_location(str(tmp_path / "a folder"), Access())
    aws: S3 = request.getfixturevalue("aws")
    return open_location(f"s3://{aws.bucket()}/out", Access())


def store(output: Location) -> Store:
    return open_store(output.url, ".neurocwl/units/sub-01")


def close(output: Location) -> None:
    output.write(CLOSED, b"{}")


def test_an_open_gate_notes_when_the_unit_began_and_which_receipt_it_had(output: Location) -> None:
    tag = output.write(".neurocwl/units/sub-01/receipt.json", b"earlier")
    assert gate.passes(store(output), "r1", "sub-01")
    ((at, receipt),) = json.loads(output.read(NOTE) or b"")
    assert at > 1_700_000_000
    assert receipt == tag


def test_a_closed_gate_keeps_a_unit_back_and_leaves_nothing_of_it(output: Location) -> None:
    close(output)
    assert not gate.passes(store(output), "r1", "sub-01")
    assert [entry.path for entry in output.entries()] == [CLOSED]


def test_a_unit_that_has_begun_passes_a_gate_that_was_closed_since(output: Location) -> None:
    """So that the later steps of a unit run, and that one whose worker was lost is tried again."""
    gate.passes(store(output), "r1", "sub-01")
    close(output)
    assert gate.passes(store(output), "r1", "sub-01")
    assert len(json.loads(output.read(NOTE) or b"")) == 2
    assert not gate.passes(store(output), "r1", "sub-02")


def test_what_ended_and_would_run_again_is_kept_back_by_a_gate_that_was_closed_since(
    output: Location,
) -> None:
    gate.passes(store(output), "r1", "sub-01")
    before = output.read(NOTE)
    output.write(".neurocwl/units/sub-01/receipt.json", b"failed")
    close(output)
    assert not gate.passes(store(output), "r1", "sub-01")
    assert output.read(NOTE) == before, "it did not begin"
    assert not gate.has_begun(store(output), "r1", "sub-01")


def test_an_attempt_that_began_after_a_receipt_passes_with_all_its_steps(output: Location) -> None:
    gate.passes(store(output), "r1", "sub-01")
    output.write(".neurocwl/units/sub-01/receipt.json", b"failed")
    assert gate.passes(store(output), "r1", "sub-01")
    close(output)
    assert gate.has_begun(store(output), "r1", "sub-01")
    assert gate.passes(store(output), "r1", "sub-01")


def test_a_gate_is_of_one_run(output: Location) -> None:
    close(output)
    assert gate.passes(store(output), "r2", "sub-01")


class AtTheLook(FolderStore):
    """A folder in which somebody does something at the moment when the gate looks whether it is closed."""

    def __init__(self, folder: str, then: Callable[[], None]) -> None:
        super().__init__(folder, "parts")
        self.then = then

    def tag(self, path: str) -> str | None:
        if path == CLOSED:
            self.then()
        return super().tag(path)


def test_who_closes_the_gate_sees_everybody_who_still_passes(tmp_path: Path) -> None:
    here = open_location(str(tmp_path), Access())
    listed: list[str] = []

    def close_and_list() -> None:
        listed.extend(entry.path for entry in here.entries(".neurocwl/runs/r1/begun/"))

    assert gate.passes(AtTheLook(str(tmp_path), close_and_list), "r1", "sub-01")
    assert listed == [NOTE], "the note is there before the look"


def test_steps_of_one_unit_that_begin_at_once_are_all_noted(output: Location) -> None:
    threads = [threading.Thread(target=lambda: gate.passes(store(output), "r1", "sub-01")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(output.read(NOTE) or b"")) == 4


# Where it is asked


def docker(output: Location, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """The wrapper, with echo as the docker client."""
    given = [f"--env=NEUROCWL_GATE={output.url}#r1#", "--env=NEUROCWL_UNIT=sub-01"]
    return subprocess.run(
        [str(WRAPPERS / "bin/docker"), "run", *(words or given), "image", "tool"],
        env={**os.environ, "NEUROCWL_DOCKER": "/bin/echo", "NEUROCWL_LABELS": "run=r1", **variables},
        capture_output=True,
        text=True,
    )


def test_the_docker_client_asks_before_it_starts_a_container(output: Location) -> None:
    done = docker(output)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("run --init --label neurocwl.unit=sub-01 --label run=r1 --env=")
    assert output.read(NOTE)


def test_the_docker_client_starts_nothing_behind_a_closed_gate(output: Location) -> None:
    close(output)
    done = docker(output)
    assert (done.returncode, done.stdout) == (gate.KEPT_BACK, "")
    assert done.stderr == "sub-01 was not started: the run's budget is reached\n"


def test_without_a_gate_nobody_is_asked(output: Location) -> None:
    close(output)
    assert docker(output, "--env=NEUROCWL_UNIT=sub-01").returncode == 0
    assert output.read(NOTE) is None


def other(tmp_path: Path, name: str, output: Location) -> "subprocess.CompletedProcess[str]":
    """Another container program's wrapper, before a program of that name which says what it was given."""
    real = tmp_path / "bin" / name
    real.parent.mkdir()
    real.write_text('#!/bin/sh\necho "$@"\n')
    real.chmod(0o755)
    gate_words = {"NEUROCWL_GATE": f"{output.url}#r1#", "NEUROCWL_UNIT": "sub-01"}
    podman = ["run", *(f"--env={key}={value}" for key, value in gate_words.items()), "image"]
    singularity = ["--quiet", "run", "--contain", "image"]
    ours = WRAPPERS / "bin"
    return subprocess.run(
        [str(ours / name), *(podman if name == "podman" else singularity)],
        env={
            **os.environ,
            **{f"SINGULARITYENV_{key}": value for key, value in gate_words.items() if name != "podman"},
            "PATH": os.pathsep.join((str(ours), str(real.parent), os.environ["PATH"])),
        },
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["singularity", "podman"])
def test_other_container_programs_ask_as_well(output: Location, tmp_path: Path, name: str) -> None:
    done = other(tmp_path, name, output)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("image\n")
    assert output.read(NOTE)


def test_apptainer_does_without_its_older_name(tmp_path: Path) -> None:
    real = tmp_path / "apptainer"
    real.write_text("#!/bin/sh\necho apptainer $1\n")
    real.chmod(0o755)
    path = os.pathsep.join((str(WRAPPERS / "bin"), str(tmp_path), "/bin"))
    words = [str(WRAPPERS / "bin/singularity"), "--version"]
    done = subprocess.run(words, env={"PATH": path}, capture_output=True, text=True)
    assert done.stdout == "apptainer --version\n", done.stderr


@pytest.mark.parametrize("name", ["singularity", "podman"])
def test_other_container_programs_start_nothing_behind_a_closed_gate(
    output: Location, tmp_path: Path, name: str
) -> None:
    close(output)
    done = other(tmp_path, name, output)
    assert (done.returncode, done.stdout) == (gate.KEPT_BACK, "")


def test_a_container_program_that_is_not_there_is_said() -> None:
    done = subprocess.run(
        [str(WRAPPERS / "bin/podman"), "ps"], env={"PATH": "/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (127, "podman is not installed on this worker\n")


def test_a_gate_that_cannot_be_reached_starts_nothing_and_is_no_budget(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = docker(open_location(str(tmp_path / "file" / "out"), Access()))
    assert (done.returncode, done.stdout) == (125, "")
    assert "NotADirectoryError" in done.stderr


def test_a_tool_without_a_container_is_started_by_the_gate_and_gets_no_keys(output: Location) -> None:
    """An emptied environment, as CWL runners leave it: the keys are those of the process above."""
    program = (
        "import os, subprocess; subprocess.run(['neurocwl-gate', 'env'], check=True, env="
        f"{{'PATH': os.environ['PATH'], 'HOME': '/step', 'NEUROCWL_GATE': {output.url + '#r1#'!r}, 'NEUROCWL_UNIT': 'sub-01'}})"
    )
    path = f"{WRAPPERS / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["python3", "-c", program],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "NEUROCWL_UNIT=sub-01" in done.stdout
    assert "HOME=/step" in done.stdout
    assert "AWS_" not in done.stdout
    assert output.read(NOTE)


# What becomes of a unit that was kept back


def request(output: Location, folder: Path, exit_code: Any) -> dict[str, Any]:
    log = folder / "tool.err"
    log.write_text("said something\n")
    return {
        "context": {"unit": "sub-01", "task_key": "k"},
        "output": output.url,
        "run": "r1",
        "exit_code": exit_code,
        "outputs": [None],
        "logs": [{"class": "File", "path": str(log)}],
        "delivery": {"pipeline": "p", "outputs": ["."]},
    }


def test_a_unit_that_was_kept_back_leaves_no_receipt(output: Location, tmp_path: Path) -> None:
    close(output)
    told = stage_out.stage_out(request(output, tmp_path, gate.KEPT_BACK))
    assert told["status"] == "not-started"
    assert [entry.path for entry in output.entries()] == [CLOSED]


def test_all_steps_of_a_unit_may_be_kept_back(output: Location, tmp_path: Path) -> None:
    close(output)
    codes = [[gate.KEPT_BACK, gate.KEPT_BACK], 1, None]
    assert stage_out.stage_out(request(output, tmp_path, codes))["status"] == "not-started"


@pytest.mark.parametrize(
    ("closed", "begun", "exit_code"),
    [
        (False, False, gate.KEPT_BACK),
        (True, True, gate.KEPT_BACK),
        (True, False, 1),
        (True, False, [0, gate.KEPT_BACK]),
    ],
    ids=["the gate is open", "the tool itself exits so", "it failed otherwise", "one of its steps ran"],
)
def test_what_was_not_kept_back_has_its_receipt(
    output: Location, tmp_path: Path, closed: bool, begun: bool, exit_code: Any
) -> None:
    if begun:
        gate.passes(store(output), "r1", "sub-01")
    if closed:
        close(output)
    assert stage_out.stage_out(request(output, tmp_path, exit_code))["status"] == "failed"
    assert output.read(".neurocwl/units/sub-01/receipt.json")


# Where the gate is in a workflow


def tools(document: dict[str, Any]) -> list[dict[str, Any]]:
    tool = document["steps"]["per_unit"]["run"]["steps"]["tool"]["run"]
    return [step["run"] for step in tool["steps"].values()] if tool["class"] == "Workflow" else [tool]


@pytest.mark.parametrize("name", template.names())
@pytest.mark.parametrize("container", [True, False])
def test_every_step_of_a_gated_workflow_asks(name: str, container: bool) -> None:
    chosen = template.load(name)
    gated = workflow.dataset_workflow(chosen, gated=True, container=container, encrypt="AES256")
    for tool, own in zip(tools(gated), tools(workflow.dataset_workflow(chosen)), strict=True):
        variables = tool["requirements"]["EnvVarRequirement"]["envDef"]
        assert variables["NEUROCWL_GATE"] == "$(inputs.unit_output)#$(inputs.unit_run)#AES256"
        assert {"unit_output", "unit_run", "unit_context"} <= set(tool["inputs"])
        assert "NEUROCWL_GATE" not in own["requirements"]["EnvVarRequirement"]["envDef"]
        words, gated_words = (
            [found] if isinstance(found := one.get("baseCommand", []), str) else found for one in (own, tool)
        )
        assert gated_words == (words if container else ["neurocwl-gate", *words])
