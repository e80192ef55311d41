"""Slurm as a backend: the partition and time that its jobs ask for, launches as jobs, and the end of strays."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from neurocwl import backend as backends
from neurocwl import slurm
from neurocwl.backend import Backend, Node
from neurocwl.errors import Busy, InfrastructureError
from neurocwl.s3 import Access

if TYPE_CHECKING:
    from neurocwl.detach import Job

STAGING = 3600  # seconds that a job has besides its tool's time limit, to bring inputs and deliver results


def fitted(backend: Backend, asked: Mapping[str, int]) -> Backend:
    """The backend with the partition and time for units that ask for this much.

    Raises BadInput when no partition would ever start them.
    """
    partitions, nodes = slurm.partitions(), slurm.nodes()
    own, size = _size(backend, asked)
    seconds = size.seconds
    chosen = slurm.choose(partitions, nodes, backend.values.get("partition", ""), size)
    # Without a partition for spot Slurm would take its default one, whatever is wanted or fits.
    spot = backend.values.get("spot_partition") or chosen
    found = {"partition": chosen, "spot_partition": spot}
    slurm.choose(partitions, nodes, spot, size)
    names = {*chosen.split(","), *spot.split(",")}
    limits = [one.seconds for one in partitions if one.name in names and one.seconds is not None]
    # Without a time of its own a job has the partition's default, which may be minutes.
    times = [own] if own else [*([seconds + STAGING] if seconds else []), *limits]
    if times:
        found["time"] = f"0:{min(times)}"
    return dataclasses.replace(backend, values={**backend.values, **found})


def largest(backend: Backend, asked: Mapping[str, int]) -> Node:
    """The most memory that a unit which otherwise asks for this much can have. Raises as fitted does."""
    partitions, nodes = slurm.partitions(), slurm.nodes()
    _, size = _size(backend, asked)
    wanted = dict.fromkeys(backend.values.get(name, "") for name in ("partition", "spot_partition"))
    found = [slurm.most_memory(partitions, nodes, names, size) for names in [*filter(None, wanted)] or [""]]
    known = [most for most in (*found, backend.node.memory_mib) if most is not None]
    return dataclasses.replace(backend.node, memory_mib=min(known, default=None))


def _size(backend: Backend, asked: Mapping[str, int]) -> tuple[int | None, slurm.Asked]:
    """The time that the user wants for all jobs, and what a unit's job asks for."""
    own = slurm.parse_time(backend.values.get("time", ""))
    seconds = own or asked.get("time_limit", 0)
    return own, slurm.Asked(asked.get("cpus", 1), asked.get("memory_mib", 0), seconds)


def watch(backend: Backend, digest: str, run: str) -> None:
    """Look at the jobs of a run. Raises InfrastructureError when one waits for what never comes."""
    jobs: list[slurm.Job] = []
    with contextlib.suppress(InfrastructureError):  # a controller that is busy or restarted answers later
        jobs = slurm.jobs(f"neurocwl.{digest}.{run}")
    for job in jobs:
        if job.waits_for_ever:
            raise InfrastructureError(
                f"Slurm will never start its job {job.id} (squeue: {job.reason}): ask for less (--cpus, --memory-mib, "
                "--time-limit), or give --backend-setting partition=, account= or qos= that allow it"
            )


def clear(backend: Backend, digest: str, run: str) -> None:
    """Cancel what jobs of the run are left; those that cannot be cancelled now, the next launch cancels."""
    with contextlib.suppress(InfrastructureError):
        slurm.end(f"neurocwl.{digest}.{run}")


def end_strays(backend: Backend, access: Access, digest: str) -> int:
    """Cancel the jobs that an earlier launch for an output left; returns how many there were."""
    return slurm.end(f"neurocwl.{digest}.")


def start(job: "Job") -> str:
    """Submit a launch as a job; returns what was submitted.

    Raises Busy when one for the same output waits or runs already.
    """
    sign = f"neurocwl-leader.{backends.output_digest(job.output.url, os.environ)}"
    for other in slurm.jobs(sign):
        raise Busy(
            f"{job.output.url}: Slurm's job {other.id} is a launch for it ({other.state}); scancel {other.id}"
        )
    job.work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = job.work_dir / "detached-%j.log"
    number = slurm.submit(
        [sys.executable, "-m", "neurocwl", *job.words],
        name="neurocwl",
        comment=sign,
        log=log,
        options=job.backend.filled(
            [
                "--cpus-per-task=1",
                "--mem={leader_memory}",
                "--partition={leader_partition}",
                "--time={leader_time}",
                "--account={account}",
            ]
        ),
    )
    said = str(log).replace("%j", number)
    return f"Slurm's job {number} is the launch (while it waits: scancel {number}); what it says: {said}"
