"""What batch systems can take, before a launch and while it waits: refused, not hung."""

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from neurocwl.backend import Backend, Node

# What knows the limits of batch systems, by their name for Toil.
BATCH_SYSTEMS: Mapping[str, str] = {"slurm": "neurocwl.slurmbackend"}


class Knower(Protocol):
    """A module that knows a batch system's limits."""

    def fitted(self, backend: Backend, asked: Mapping[str, int]) -> Backend:
        """The backend with settings that suit what a unit asks for; raises BadInput when nothing does."""

    def largest(self, backend: Backend, asked: Mapping[str, int]) -> Node:
        """The largest node for a unit that asks for this much."""

    def watch(self, backend: Backend, digest: str, run: str) -> None:
        """Raise InfrastructureError when a job of the run waits for what never comes."""

    def clear(self, backend: Backend, digest: str, run: str) -> None:
        """End what jobs of the run a leader left when it was stopped."""


def fitted(backend: Backend, asked: Mapping[str, int]) -> Backend:
    """The backend with settings that suit what a unit asks for.

    Raises BadInput when its batch system would let such a unit wait for ever.
    """
    knower = _knower(backend)
    return knower.fitted(backend, asked) if knower else backend


def largest(backend: Backend, asked: Mapping[str, int]) -> Node:
    """The largest node for a unit that asks for this much, as far as its profile or its batch system says."""
    knower = _knower(backend)
    return knower.largest(backend, asked) if knower else backend.node


def watch(backend: Backend, digest: str, run: str) -> None:
    """Raise InfrastructureError when a job of the run waits for what never comes."""
    if knower := _knower(backend):
        knower.watch(backend, digest, run)


def clear(backend: Backend, digest: str, run: str) -> None:
    """End what jobs of the run a leader left when it was stopped: Toil cancels one after the other, for 20 s."""
    if knower := _knower(backend):
        knower.clear(backend, digest, run)


def _knower(backend: Backend) -> Knower | None:
    module = BATCH_SYSTEMS.get(backend.batch_system)
    return cast(Knower, importlib.import_module(module)) if module else None
