"""The image of workers elsewhere: what is in it, and what it does when several share a node or one is ended."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from toil.version import version

from neurocwl import __version__, images
from tests.e2e.conftest import engine_socket

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

# Toil's own worker clean-up, entered as a worker enters it: the first argument is Toil's --coordinationDir.
WORKER = """
import sys
from toil.batchSystems.abstractBatchSystem import WorkerCleanupInfo
from toil.batchSystems.cleanup_support import WorkerCleanupContext
from toil.common import Toil
info = WorkerCleanupInfo(work_dir="/work", coordination_dir=sys.argv[1] or None, workflow_id="one", clean_work_dir="always")
with WorkerCleanupContext(info):
    mine = f"{Toil.getLocalWorkflowDir('one', '/work')}/of-{sys.argv[2]}"
    open(mine, "w").close()
    print("running", flush=True)
    sys.stdin.readline()
    try:
        open(mine).close()
        print("its files are there", flush=True)
    except OSError:
        print("its files are gone", flush=True)
"""


@pytest.fixture(scope="module")
def appliance() -> str:
    return images.ensure("appliance")


def docker(*words: str) -> str:
    return subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()


def test_it_has_neurocwl_and_the_toil_of_this_machine(appliance: str) -> None:
    script = (
        "neurocwl --version && command -v docker && python3 -c 'import toil.version as v; print(v.version)'"
    )
    said = docker("run", "--rm", "--network=none", appliance, "sh", "-c", script).splitlines()
    assert said == [f"neurocwl {__version__}", "/opt/neurocwl/toolwrappers/bin/docker", version]


def test_the_steps_of_a_worker_find_boto3(appliance: str) -> None:
    assert (
        docker("run", "--rm", "--network=none", appliance, "python3", "-c", "import boto3; print('there')")
        == "there"
    )


def test_no_certificate_and_no_index_of_the_builder_is_in_it(appliance: str) -> None:
    assert "/tmp/ca-bundle" not in docker(
        "run", "--rm", "--network=none", appliance, "find", "/tmp", "/opt", "-maxdepth", "2"
    )
    assert "PIP_INDEX_URL=" not in docker("image", "inspect", "--format", "{{.Config.Env}}", appliance)


@pytest.mark.parametrize(
    ("coordination", "found"),
    [("", "its files are gone"), ("/work", "its files are there")],
    ids=["as Toil has it by itself", "as the profile has it"],
)
def test_two_workers_on_one_node_leave_each_others_files(
    appliance: str, tmp_path: Path, coordination: str, found: str
) -> None:
    """Each job has a container, all have the node's work folder: the first to end must not take itself for the last."""
    (tmp_path / "tmp").mkdir()

    def worker(name: str) -> "subprocess.Popen[str]":
        mounts = ["-v", f"{tmp_path}:/work", "-v", f"{tmp_path}/tmp:/tmp"]
        command = [
            "docker",
            "run",
            "--rm",
            "-i",
            "--network=none",
            *mounts,
            appliance,
            "python3",
            "-c",
            WORKER,
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen([*command, coordination, name], text=True, **pipes)  # type: ignore[call-overload,no-any-return]

    first, second = worker("first"), worker("second")
    for one in (first, second):
        assert one.stdout is not None
        assert one.stdout.readline() == "running\n"
    assert second.communicate("end\n", timeout=120)[0] == "its files are there\n"
    assert first.communicate("end\n", timeout=120)[0].strip() == found


@pytest.fixture
def worker(appliance: str) -> Iterator[str]:
    """A worker whose tool runs in a container beside it."""
    tool = f"docker run --rm --network=none --label neurocwl.test={os.getpid()} {images.ensure('nifti-check')} sleep 300"
    started = docker(
        "run",
        "-d",
        "--network=none",
        "-v",
        f"{engine_socket()}:/var/run/docker.sock",
        appliance,
        "sh",
        "-c",
        tool,
    )
    yield started
    docker("rm", "-f", started)


def test_a_worker_that_is_ended_takes_the_container_of_its_tool_along(worker: str) -> None:
    label = f"label=neurocwl.test={os.getpid()}"
    end = time.monotonic() + 120
    while not docker("ps", "-q", "--filter", label) and time.monotonic() < end:
        time.sleep(0.2)
    assert docker("ps", "-q", "--filter", label), "the worker started its tool beside itself"
    docker("stop", "--time", "30", worker)
    assert docker("ps", "-q", "--filter", label) == ""
