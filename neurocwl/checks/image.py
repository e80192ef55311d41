"""Checks of a container image: that it can be had, runs on the nodes, and fits on their disk."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from neurocwl import images
from neurocwl.checks import registry
from neurocwl.checks.finding import Finding, failed, ok, refused, unknown, warning
from neurocwl.errors import InfrastructureError, NeurocwlError

MIB = 1 << 20
UNPACKED = 3.0  # bytes on disk for each byte that is pulled; images of neuroimaging tools take 2 to 3
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "amd64": "amd64"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image, wherever it is: its architectures, and what it takes on a disk (MiB)."""

    architectures: frozenset[str]
    disk_mib: int
    local: bool
    text: str


def here() -> str:
    """The architecture of this machine, as images name it."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def of_node_type(name: str) -> str:
    """The architecture of an EC2 instance type: the families of Graviton have a g behind their generation."""
    family = name.partition(".")[0]
    behind = family.lstrip("abcdefghijklmnopqrstuvwxyz").lstrip("0123456789")
    return "arm64" if family == "a1" or "g" in behind else "amd64"


def local(reference: str) -> Image | None:
    """The image in the local engine; None: it is not there, or there is no engine."""
    if shutil.which("docker") is None:
        return None
    done = subprocess.run(
        ["docker", "image", "inspect", "--format", '{"a":{{json .Architecture}},"s":{{.Size}}}', reference],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    found = json.loads(done.stdout)
    size = int(found["s"]) // MIB
    return Image(frozenset({found["a"]}), size, True, f"{reference} is here ({size} MiB)")


def find(reference: str, environment: Mapping[str, str], *, nodes_elsewhere: bool) -> Image | Finding:
    """Where the nodes get an image from, or why they cannot."""
    if not nodes_elsewhere:
        found = local(reference)
        if found:
            return found
    if reference.startswith(images.PREFIX):
        if nodes_elsewhere:
            return _unserved(reference)
        try:
            images.reference(reference)
        except NeurocwlError as error:
            return refused("image", error, "give another --image")
        return Image(frozenset({here()}), 0, False, f"{reference} is built when it is first needed")
    try:
        packed = registry.look(reference, environment).packed
    except InfrastructureError as error:
        if nodes_elsewhere:  # they may reach what this machine does not
            return unknown("image", str(error), "see whether the nodes reach the registry")
        return refused("image", error, "give another --image")
    except registry.Closed as error:
        if nodes_elsewhere:  # they pull by a role or a login of their own: ECR shows nothing without one
            text = str(error).partition("; ")[0]
            return warning(
                "image", text, "see whether the nodes may pull it; after docker login it is looked at here"
            )
        return refused("image", error, "give another --image")
    except NeurocwlError as error:
        return refused("image", error, "give another --image")
    most = max(packed.values(), default=0)
    size = int(most * UNPACKED) // MIB
    text = f"{reference}: {most / (1 << 30):.1f} GiB to pull, some {size / 1024:.0f} GiB on a disk"
    return Image(frozenset(packed), size, False, text)


def _unserved(reference: str) -> Finding:
    """An image of ours for nodes that are elsewhere. Machines of one's own may have it all the same."""
    text = f"{reference}: no registry serves it"
    fix = "push it to a registry that the nodes reach (docker tag, docker push) and give --image, or bake it into them"
    if local(reference):
        return warning(
            "image", f"{text}; this machine has it, and only nodes that have it, too, can run it", fix
        )
    return failed("image", text, fix)


def runs_on(image: Image, reference: str, wanted: frozenset[str]) -> Finding:
    """Whether the image is there for every architecture of the nodes."""
    lacking = sorted(wanted - image.architectures)
    if "" in image.architectures:
        return unknown("architecture", f"{reference} does not say what it is for")
    if lacking:
        return failed(
            "architecture",
            f"{reference} is for {', '.join(sorted(image.architectures))}, the nodes are {', '.join(lacking)}",
            "choose node types of its architecture, or give another --image",
        )
    return ok("architecture", ", ".join(sorted(wanted)))


def engine_disk_mib() -> int | None:
    """What is free where the local engine keeps its images (MiB); None: nobody knows."""
    done = subprocess.run(
        ["docker", "info", "--format", "{{.DockerRootDir}}"], capture_output=True, text=True, check=False
    )
    root = Path(done.stdout.strip() or "/nonexistent")
    if done.returncode != 0 or not root.is_dir():
        return None
    return shutil.disk_usage(root).free // MIB


def fits_here(image: Image) -> Iterator[Finding]:
    """Whether an image that is still to come has room where the engine keeps images."""
    if image.local or not image.disk_mib:
        return
    free = engine_disk_mib()
    if free is not None and free < image.disk_mib:
        yield failed(
            "image-disk",
            f"the image takes some {image.disk_mib} MiB and {free} are free where docker keeps images",
            "free some (docker system df, docker image prune), or move docker's data-root to a larger disk",
            InfrastructureError,
        )
    else:
        yield ok("image-disk", f"{free} MiB are free where docker keeps images" if free else "not known")


def engine(kind: str) -> Finding:
    """Whether the container engine of the profile works here."""
    if kind == "docker":
        version = images.engine()
        if version:
            return ok("engine", f"docker {version}")
        return failed(
            "engine",
            "no docker engine answers" if shutil.which("docker") else "docker is not installed",
            "start it (systemctl start docker, or set DOCKER_HOST), or launch with --no-container",
            InfrastructureError,
        )
    found = shutil.which(kind) or (kind == "singularity" and shutil.which("apptainer"))
    if found:
        return ok("engine", str(found))
    return failed(
        "engine",
        f"{kind} is not on PATH ({os.environ.get('PATH', '')})",
        f"install {kind}, load its module, or set another container engine in the backend's profile",
        InfrastructureError,
    )
