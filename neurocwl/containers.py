"""The containers of a run on this machine: which units run in them, and their end."""

import os
import shutil
import subprocess
from pathlib import Path

from neurocwl import assets
from neurocwl.backend import output_digest


def labels(run: str, output: str) -> dict[str, str]:
    """The labels that every container of a run carries."""
    return {"neurocwl.run": run, "neurocwl.output": output_digest(output, os.environ)}


def environment(run: str, output: str) -> dict[str, str]:
    """What the docker wrapper (toolwrappers/bin/docker) needs to know."""
    words = " ".join(f"{key}={value}" for key, value in labels(run, output).items())
    return {"NEUROCWL_DOCKER": _client() or "docker", "NEUROCWL_LABELS": words}


def _client() -> str | None:
    """The real client: in the appliance the wrapper stands before it already."""
    own = wrapper_folder().resolve()
    folders = [one for one in os.environ.get("PATH", "").split(os.pathsep) if Path(one).resolve() != own]
    return shutil.which("docker", path=os.pathsep.join(folders))


def wrapper_folder() -> Path:
    """The folder that goes first on a worker's PATH."""
    return assets.path("toolwrappers") / "bin"


def running_units(run: str) -> list[str]:
    """The units whose containers run now."""
    if shutil.which("docker") is None:
        return []
    done = _docker("ps", "--filter", f"label=neurocwl.run={run}", "--format", '{{.Label "neurocwl.unit"}}')
    return sorted(set(done.stdout.split()))


def end(key: str, value: str) -> int:
    """Kill every container with this label; returns how many there were."""
    if shutil.which("docker") is None:
        return 0
    found = _docker("ps", "-q", "--filter", f"label={key}={value}").stdout.split()
    if found:
        _docker("kill", *found)
    return len(found)


def _docker(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
