"""What this machine has, and what a unit may ask of it."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl.backend import Backend
from neurocwl.errors import BadInput
from neurocwl.parameters import RESOURCES, parameters_of
from neurocwl.template import Template

MIB = 1 << 20
# A rehearsal computes nothing: what its stand-in needs.
REHEARSAL = {"cpus": 1, "memory_mib": 1024, "tmp_mib": 1024, "out_mib": 1024}


@dataclass(frozen=True, slots=True)
class Machine:
    """CPUs, memory (MiB) and free disk (MiB, below the work folder); None where nobody knows."""

    cpus: int | None
    memory_mib: int | None
    disk_mib: int | None
    name: str = "this machine"


def here(work: Path) -> Machine:
    """This machine."""
    folder = work
    while not folder.exists():
        folder = folder.parent
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(len(os.sched_getaffinity(0)), memory // MIB, shutil.disk_usage(folder).free // MIB)


def of(backend: Backend, work: Path) -> Machine:
    """The machine that units run on: this one, or the largest node of a backend."""
    if backend.here:
        return here(work)
    node = backend.node
    return Machine(node.cpus, node.memory_mib, node.disk_mib, f"the largest node of {backend.name}")


def asked(template: Template, parameters: Mapping[str, Any]) -> dict[str, int]:
    """What each unit asks for, by the tool and the user.

    Raises BadInput for what nothing can be given of.
    """
    known = parameters_of(template)
    wanted: dict[str, int] = {
        name: parameters.get(name, known[name].default)
        for name in RESOURCES
        if name in known and parameters.get(name, known[name].default) is not None
    }
    for name, value in wanted.items():
        least = 0 if name == "time_limit" else 1  # 0: no limit
        if value < least:
            raise BadInput(f"--{name.replace('_', '-')} {value}: must be {least} or more")
    return wanted


def wanted_by(template: Template, parameters: Mapping[str, Any], rehearsal: bool) -> dict[str, int]:
    """What each unit asks for at first, wherever it runs; raises as asked does."""
    wanted = asked(template, parameters)
    if rehearsal:
        wanted |= {
            name: value for name, value in REHEARSAL.items() if name in wanted and name not in parameters
        }
    return wanted


def resources(
    template: Template, parameters: Mapping[str, Any], machine: Machine, rehearsal: bool
) -> tuple[dict[str, int], list[str]]:
    """What each unit asks for on this machine, and what to tell the user about it.

    More CPUs than there are become those that there are: the tool is slower, not wrong.
    Raises BadInput when memory or disk cannot be had: less of them would end in failed units.
    """
    wanted = wanted_by(template, parameters, rehearsal)
    told = []
    if machine.cpus and wanted.get("cpus", 1) > machine.cpus:
        told.append(
            f"{wanted['cpus']} CPUs per unit wanted, {machine.cpus} are on {machine.name}: units run on {machine.cpus}"
        )
        wanted["cpus"] = machine.cpus
    if machine.memory_mib and wanted.get("memory_mib", 0) > machine.memory_mib:
        raise BadInput(
            f"{template.pipeline} asks for {wanted['memory_mib']} MiB of memory per unit and {machine.name} has "
            f"{machine.memory_mib}; use a larger one, or --memory-mib {machine.memory_mib * 9 // 10} at your own risk"
        )
    disk = wanted.get("tmp_mib", 0) + wanted.get("out_mib", 0)
    if machine.disk_mib is not None and disk > machine.disk_mib:
        raise BadInput(
            f"{template.pipeline} asks for {disk} MiB of disk per unit and {machine.disk_mib} are free on {machine.name}; "
            "free some, choose another --work-dir, or set --tmp-mib and --out-mib"
        )
    return wanted, told
