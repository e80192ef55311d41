"""Toil as a subprocess: what it says about units is heard, and none of its processes outlives a launch."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from neurocwl import toil


def test_a_unit_has_ended_when_its_scatter_element_is_resolved() -> None:
    text = (  # name, id in the job store, exit code
        "JobIssuedMessage\tworkflow.cwl.per_unit.3._:5f._resolve\tid\n"
        "JobCompletedMessage\tworkflow.cwl.per_unit.3._:5f._resolve\tid\t0\n"
        "JobCompletedMessage\tworkflow.cwl.per_unit.4.tool\tid\t0\n"
        "JobCompletedMessage\tworkflow.cwl.per_unit.5._:5f._resolve\tid\t1\n"
        "JobCompletedMessage\tworkflow.cwl.per_unit.12._:5f._resolve\tid\t0\n"
    )
    assert toil.ended_units(text) == [3, 12]


def test_messages_are_read_line_by_line_as_they_come(tmp_path: Path) -> None:
    file, told = tmp_path / "messages", list[int]()
    assert toil._follow(file, 0, told.append) == 0
    line = "JobCompletedMessage\tw.7._:5f._resolve\tid\t0\n"
    file.write_text(line + line[:20])
    offset = toil._follow(file, 0, told.append)
    assert told == [7]
    file.write_text(line + line.replace(".7.", ".8."))
    toil._follow(file, offset, told.append)
    assert told == [7, 8]


def stand_in(folder: Path, name: str, *words: str, **variables: str) -> "subprocess.Popen[bytes]":
    """A process that is called as one of Toil's, with a child of its own."""
    script = folder / name
    script.write_text(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    )
    process = subprocess.Popen([sys.executable, script, *words], env={**os.environ, **variables})
    end = time.monotonic() + 20
    while not psutil.Process(process.pid).children() and time.monotonic() < end:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("name", ["_toil_worker", "toil-cwl-runner"])
def test_workers_whose_leader_was_killed_are_ended_with_all_that_they_started(
    name: str, tmp_path: Path
) -> None:
    mine = stand_in(tmp_path, name, f"file:{tmp_path}/jobstore")
    labelled = stand_in(tmp_path, name, NEUROCWL_LABELS="neurocwl.run=r neurocwl.output=0123")
    (tmp_path / "elsewhere").mkdir()
    other = stand_in(tmp_path / "elsewhere", name.replace("toil", "tool"), str(tmp_path))
    children = [*psutil.Process(mine.pid).children(), *psutil.Process(labelled.pid).children()]
    try:
        assert toil.end_strays(f"{tmp_path}/jobstore") == 2
        assert toil.end_strays("neurocwl.output=0123") == 2
        assert mine.wait(20) == labelled.wait(20) == -9
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []
        assert other.poll() is None
    finally:
        for process in (mine, labelled, other):
            for child in psutil.Process(process.pid).children() if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()


def test_a_leader_that_cannot_read_its_workflow_ends_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "workflow.cwl").write_text("nonsense")
    (tmp_path / "order.json").write_text("{}")
    leader = toil.Leader(tmp_path / "workflow.cwl", tmp_path / "order.json", tmp_path, {})
    told: list[int] = []
    assert toil.run(leader, threading.Event(), told.append, lambda: None) != 0
    assert told == []
    assert "nonsense" in leader.log.read_text() or "workflow.cwl" in leader.log.read_text()
