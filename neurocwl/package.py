"""This package as it goes into the image of Toil's workers: its files, and the versions that it runs with here."""

import importlib.metadata
import re
from pathlib import Path

from neurocwl import assets
from neurocwl.errors import InfrastructureError

WORKER_NEEDS = ("toil[aws,cwl,kubernetes]", "cwltool", "boto3", "ruamel.yaml", "schema-salad", "bidsschematools",
                "pathspec", "psutil", "rich")  # fmt: skip
"""The package's own dependencies (a test compares them), with what Toil needs on any cluster."""


def files() -> list[tuple[Path, Path]]:
    """(place below the package, file) of all that an installed wheel has."""
    package = Path(__file__).resolve().parent
    found = [(Path(), package), *((Path("share") / name, assets.path(name)) for name in assets.FOLDERS)]
    return sorted(
        {
            inside / file.relative_to(root): file
            for inside, root in found
            for file in root.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
        }.items()
    )


def requirements() -> str:
    """A requirements file: the versions installed here.

    Toil sends its jobs as pickled objects, so that a worker of another version cannot read them.
    """
    return "".join(f"{need}=={_version(need.partition('[')[0])}\n" for need in WORKER_NEEDS)


def constraints() -> str:
    """A constraints file: the versions of everything installed here, so that pip need not search for them."""
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return "".join(
        f"{name}=={version}\n"
        for name, version in sorted(found.items())
        if name != "neurocwl" and "+" not in version
    )


def toil_commit() -> str:
    """The commit that the installed Toil was made of: Toil believes in an image whose name holds it.

    Without it Toil asks the registry, which it cannot where a registry wants credentials. Source: toil.version,
    and checkDockerImageExists in toil/__init__.py of 9.6.0.
    """
    file = Path(str(importlib.metadata.distribution("toil").locate_file("toil/version.py")))
    match = re.search(r"^currentCommit = '(\w+)'", file.read_text(), re.MULTILINE)
    if not match:
        raise InfrastructureError(f"{file} names no commit; reinstall: pip install --force-reinstall toil")
    return match.group(1)


def _version(distribution: str) -> str:
    return importlib.metadata.version(distribution)
