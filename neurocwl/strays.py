"""What a killed launch left running for an output: ended before the next one begins, on whatever backend."""

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from neurocwl import containers, toil
from neurocwl.aws import jobstores
from neurocwl.backend import Backend
from neurocwl.s3 import Access

# What ends the jobs of other batch systems, by their name for Toil; each has a function end_strays.
BATCH_SYSTEMS: Mapping[str, str] = {
    "aws_batch": "neurocwl.aws.batchjobs",
    "kubernetes": "neurocwl.kubernetes",
    "slurm": "neurocwl.slurmbackend",
}


class Ender(Protocol):
    """A module that knows the jobs of a batch system."""

    def end_strays(self, backend: Backend, access: Access, digest: str) -> int:
        """End the jobs of an output; returns how many there were."""


def end(backend: Backend, access: Access, run: str, output: str) -> int:
    """End leaders, workers, containers and jobs that still work for this output; returns how many there were."""
    digest = containers.labels(run, output)["neurocwl.output"]
    found = toil.end_strays(f"neurocwl.output={digest}") + containers.end("neurocwl.output", digest)
    module = BATCH_SYSTEMS.get(backend.batch_system)
    if module:
        found += cast(Ender, importlib.import_module(module)).end_strays(backend, access, digest)
    if backend.job_store == "s3":
        found += jobstores.remove_left(access, backend.values["region"], digest)
    return found
