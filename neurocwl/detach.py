"""--detach: start a launch where it goes on without this terminal."""

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from neurocwl import lease
from neurocwl.backend import Backend
from neurocwl.errors import Busy, InfrastructureError
from neurocwl.s3 import Access
from neurocwl.storage import Location

PATHS = ("FILE", "DIR", "DIRECTORY")  # how --help calls them
PATIENCE = 60.0  # seconds for a launch to take its lease
# What starts a launch elsewhere, by `leader` of the backend's profile; each has a function start(job) -> str.
STARTERS: Mapping[str, str] = {
    "here": "neurocwl.detach",
    "aws": "neurocwl.aws.leader",
    "aws-batch": "neurocwl.aws.batchjobs",
    "kubernetes": "neurocwl.kubernetes",
    "slurm": "neurocwl.slurmbackend",
}
RUN = "NEUROCWL_RUN"  # the variable that tells a launch its run's id
LEADER = "NEUROCWL_ON_LEADER"  # the variable by which a launch knows that it has been started elsewhere


@dataclass(frozen=True, slots=True)
class Job:
    """A launch to be started elsewhere; it was planned and checked here."""

    backend: Backend
    words: Sequence[str]  # after neurocwl, without --detach
    output: Location
    access: Access
    work_dir: Path
    paths: Mapping[str, bool] = field(default_factory=dict)  # from path_options
    licence: Mapping[str, Any] | None = None  # a CWL File
    keep_cluster: bool = False


class Starter(Protocol):
    """A module that starts launches."""

    def start(self, job: Job) -> str:
        """Start it; returns a line that says what was started."""


def begin(job: Job) -> str:
    """Start a launch where its backend's profile says; returns what was started.

    Raises InfrastructureError when it did not start.
    """
    return cast(Starter, importlib.import_module(STARTERS[job.backend.leader])).start(job)


def without(words: Sequence[str], option: str) -> list[str]:
    """Words without an option that takes no value."""
    return [word for word in words if word != option]


def path_options(parser: argparse.ArgumentParser) -> dict[str, bool]:
    """The options whose values are paths of this machine; whether each takes several."""
    return {
        option: action.nargs == "+"
        for option, action in parser._option_string_actions.items()
        if action.metavar in PATHS or action.type is Path
    }


def start(job: Job) -> str:
    """Start it as a process of this machine that outlives the terminal.

    Raises InfrastructureError when it ends before it writes to the output, Busy when that is because another launch does.
    """
    job.work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = job.work_dir / f"detached-{time.time_ns()}.log"
    with log.open("xb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "neurocwl", *job.words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, "NEUROCWL_DETACHED": "1"},
        )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = lease.read(job.output)
        if found is not None and found.alive and found.pid == process.pid:  # not another launch's
            break
        if process.poll() is not None:
            if process.returncode == 0:
                break
            words = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            kind = Busy if process.returncode == Busy.exit_code else InfrastructureError
            raise kind(f"the launch ended at once: {words[-1]} (all of it: {log})")
        time.sleep(0.2)
    return f"process {process.pid} goes on with the launch; what it says: {log}"
