"""Singularity's wrapper: what the tool took, an end in time, the gate; the tool's processes are its own children.

Singularity itself is a script here that skips its own options and becomes the tool: no containers, no namespaces.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import singularity_run

from tests.metadata_service import running

WRAPPERS = Path(__file__).parents[2] / "toolwrappers"
STAND_IN = """#!/bin/sh
[ "$1" = --version ] && { echo "singularity-ce version 4.1.0"; exit 0; }
while [ "$1" != image.sif ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a tool by the wrapper, as cwltool starts Singularity."""
    programs, home = tmp_path / "bin", tmp_path / "out"
    programs.mkdir()
    home.mkdir()
    (programs / "singularity").write_text(STAND_IN)
    (programs / "singularity").chmod(0o755)

    def start(*tool: str, **variables: str) -> "subprocess.Popen[str]":
        path = os.pathsep.join([str(WRAPPERS / "bin"), str(programs), os.environ["PATH"]])
        options = ["--quiet", "run", "--contain", "--home", f"{home}:/out", "--pwd", "/out", "image.sif"]
        return subprocess.Popen(
            ["singularity", *(options if tool else ["--version"]), *tool],
            env={**os.environ, "PATH": path, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def used(folder: Path) -> Any:
    return json.loads((folder / "out" / singularity_run.NAME).read_text())


def test_the_tool_ends_as_it_ends(run: Callable[..., "subprocess.Popen[str]"]) -> None:
    tool = run("sh", "-c", "echo said; exit 7")
    out, _ = tool.communicate(timeout=60)
    assert (tool.returncode, out) == (7, "said\n")


def test_other_commands_go_to_singularity_itself(run: Callable[..., "subprocess.Popen[str]"]) -> None:
    assert "4.1.0" in run().communicate(timeout=60)[0]


def test_memory_is_that_of_the_tool_and_all_that_it_started(
    run: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    program = (
        "import time; block = bytearray(80 << 20); block[::4096] = b'1' * len(block[::4096]); time.sleep(4)"
    )
    run("sh", "-c", f'python3 -c "{program}"; true').communicate(timeout=60)
    assert 80 <= used(tmp_path)["memory_mib"] < 300
    assert used(tmp_path)["lost"] is None


def test_a_notice_ends_the_tool_and_is_noted(
    run: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    with running() as service:
        tool = run("sleep", "300", NEUROCWL_METADATA=service.url)
        while not any("sleep" in Path(f"/proc/{pid}/cmdline").read_text() for pid in below(tool.pid)):
            time.sleep(0.1)
        service.notice.set()
        tool.communicate(timeout=60)
    assert tool.returncode == 143
    assert used(tmp_path)["lost"]


def below(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_worker_without_singularity_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    done = subprocess.run(
        [str(WRAPPERS / "bin/singularity"), "--version"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 127
    assert done.stderr == "singularity is not installed on this worker\n"


def test_what_cwltool_binds_is_understood_in_both_its_forms(tmp_path: Path) -> None:
    home, temporary = tmp_path / "out", tmp_path / "tmp"
    common = ["--home", f"{home}:/out", "--pwd", "/out"]
    for form in (
        ["--bind", f"{temporary}:/tmp:rw", "--bind", "/data/a:/in:ro"],
        [
            "--mount=type=bind,source=/data/a,target=/in,readonly",
            f"--mount=type=bind,source={temporary},target=/tmp",
        ],
    ):
        assert singularity_run.folders([*common, *form]) == (home, [home, temporary])


@pytest.mark.parametrize(
    ("line", "file", "text"),
    [
        ("0::/slurm/job_1", "slurm/job_1/memory.events", "low 0\noom 3\noom_kill 2\n"),
        ("0::/kubepods/pod1", "memory.events", "oom_kill 2\n"),
        ("4:memory:/slurm/job_1", "memory/slurm/job_1/memory.oom_control", "under_oom 0\noom_kill 2\n"),
    ],
    ids=["v2", "v2 in a container", "v1"],
)
def test_the_kernel_counts_what_it_ended_in_the_jobs_own_group(
    line: str, file: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    group = singularity_run.own_group([line], tmp_path)
    assert group == (tmp_path / file).parent
    assert singularity_run.kills(group) == 2


def test_where_nobody_counts_nobody_says_what_a_kill_was_for(tmp_path: Path) -> None:
    assert singularity_run.own_group(["0::/"], tmp_path) is None
    assert singularity_run.kills(None) is None
