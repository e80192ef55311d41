"""Checks of the machine that leads a launch."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurocwl import installed, machine, toil
from neurocwl.checks.finding import Finding, failed, ok, refused, warning
from neurocwl.errors import InfrastructureError, NeurocwlError
from neurocwl.template import Template

LOCAL_MIB = 1024  # for a launch's own files: job store, logs


def programs() -> Finding:
    """Python, and Toil beside it."""
    try:
        toil.executable()
    except NeurocwlError as error:
        return refused("programs", error, "pip install neurocwl")
    version = ".".join(map(str, sys.version_info[:3]))
    return ok("programs", f"Python {version}, Toil beside it")


def commands_of(template: Template) -> Finding:
    """Whether a pipeline's own commands are installed, for runs without containers."""
    try:
        installed.check_installed(template)
    except NeurocwlError as error:
        return refused("commands", error, "install it, or leave out --no-container")
    return ok("commands", f"those of {template.pipeline} are installed")


def work_folder(folder: Path) -> Finding:
    """Whether Toil can work in a folder: no space in its name, writable, and not full."""
    name = "work-dir"
    if any(letter.isspace() for letter in str(folder)):
        return failed(name, f"{folder}: Toil cannot work below a space in a name", "give another --work-dir")
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return failed(
            name, f"{folder}: {place} cannot be written", "give another --work-dir", InfrastructureError
        )
    free = shutil.disk_usage(place).free // machine.MIB
    if free < LOCAL_MIB:
        return failed(
            name,
            f"{folder}: {free} MiB are free",
            "free some, or give another --work-dir",
            InfrastructureError,
        )
    return ok(name, f"{folder}: {free} MiB are free")


def unit(template: Template, parameters: Mapping[str, Any], work: Path, *, rehearsal: bool) -> Finding:
    """Whether one unit has room on this machine."""
    name = "unit"
    try:
        wanted, told = machine.resources(template, parameters, machine.here(work), rehearsal)
    except NeurocwlError as error:
        return refused(name, error, "ask for less")
    if told:
        return warning(name, "; ".join(told), "use a machine with more CPUs, or be patient")
    return ok(name, asked(wanted))


def asked(wanted: Mapping[str, int]) -> str:
    """What a unit asks for, in words."""
    disk = wanted.get("tmp_mib", 0) + wanted.get("out_mib", 0)
    return f"asks for {wanted.get('cpus', 1)} CPUs, {wanted.get('memory_mib', 0)} MiB of memory, {disk} MiB of disk"
