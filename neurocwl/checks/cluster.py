"""Checks of a batch system from the machine that submits to it."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from neurocwl import capacity
from neurocwl.backend import Backend
from neurocwl.checks import kubernetes
from neurocwl.checks.finding import FAILED, Finding, failed, ok, refused, unknown, warning
from neurocwl.errors import InfrastructureError, NeurocwlError

# The commands that a batch system, or a cluster of Toil's own, is reached by.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "slurm": ("sbatch", "squeue", "scontrol", "scancel"),
    "toil": ("ssh",),
}
# File systems that other machines may have, too.
SHARED = {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "afs", "glusterfs", "panfs", "wekafs", "pvfs2", "cifs", "smb3", "9p", "virtiofs"}  # fmt: skip


def checks(where: Backend, work: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """What a backend needs on this machine; what rests on something that failed is left out."""
    wanted = (*COMMANDS.get(where.batch_system, ()), *COMMANDS.get(where.cluster or "", ()))
    if wanted:
        found = commands(where.name, wanted)
        yield found
        if found.status == FAILED:
            return
    if where.job_store == "folder" and not where.here:
        yield shared(work)
    if where.batch_system == "kubernetes" and where.cluster is None:  # else its leader alone reaches it
        yield from kubernetes.access(environment)


def commands(backend: str, wanted: tuple[str, ...]) -> Finding:
    """Whether commands are there."""
    lacking = [command for command in wanted if shutil.which(command) is None]
    if lacking:
        return failed(
            "commands",
            f"{', '.join(lacking)}: not on PATH ({os.environ.get('PATH', '')})",
            f"launch on a machine that submits to {backend}, or install them",
            InfrastructureError,
        )
    return ok("commands", ", ".join(wanted))


def takes(where: Backend, asked: Mapping[str, int]) -> Finding:
    """Whether a batch system that has limits of its own takes one unit."""
    try:
        fitting = capacity.fitted(where, asked)
    except NeurocwlError as error:
        return refused("limits", error, "ask for less, or ask the cluster's administrator")
    changed = {key: value for key, value in fitting.values.items() if where.values.get(key) != value}
    return ok("limits", ", ".join(f"{key} {value}" for key, value in changed.items()) or "a unit is taken")


def shared(folder: Path, mounts: str | None = None) -> Finding:
    """Whether other machines may have the folder of a job store, too. mounts: the text of /proc/mounts."""
    name = "job-store"
    try:
        text = Path("/proc/mounts").read_text() if mounts is None else mounts
    except OSError:
        return unknown(name, f"what {folder} lies on is not known")
    kind = file_system(folder, text)
    if kind in SHARED or kind.startswith("fuse."):
        return ok(name, f"{folder} lies on {kind}")
    return warning(
        name,
        f"{folder} lies on {kind or 'something'}, which other machines hardly have",
        "give a --work-dir that every node has under the same name, or a job store on S3",
    )


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that a folder lies on."""
    place, best, kind = os.path.realpath(folder), "", ""
    for line in mounts.splitlines():
        words = line.split()
        if len(words) < 3:
            continue
        point = words[1].replace("\\040", " ")
        if f"{place}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(best):
            best, kind = point, words[2]
    return kind
