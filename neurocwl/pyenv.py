"""Python environments of their own for programs that are looked at, never run: made by uv, else by venv and pip."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl.errors import BadInput, InfrastructureError


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python environment and what installs into it."""

    python: Path
    installer: tuple[str, ...]

    def install(self, *requirements: str, dependencies: bool = True) -> None:
        """Install from the package index. Raises InfrastructureError with the installer's last line."""
        if requirements:
            _run([*self.installer, *([] if dependencies else ["--no-deps"]), *requirements])

    def version(self, package: str) -> str:
        """The version of an installed package."""
        return version(self.python, package)

    def declared(self, package: str) -> dict[str, str]:
        """What an installed package says that it needs."""
        return declared(self.python, package)


def declared(python: Path, package: str) -> dict[str, str]:
    """What a package says that it needs: name -> requirement; extras are left out."""
    lines = _ask(python, f"importlib.metadata.requires({package!r}) or []")
    needed = [line for line in lines if not re.search(r";.*\bextra\s*==", line)]
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]): line for line in needed}


def owner(python: Path, target: str) -> tuple[str, str] | None:
    """Name and version of the package that has MODULE:FUNCTION or a console script, if one does."""
    module, colon, _ = target.partition(":")
    if colon:
        names = f"importlib.metadata.packages_distributions().get({module.partition('.')[0]!r}, [])"
    else:
        script = Path(target).name
        names = (
            "[d.metadata['Name'] for d in importlib.metadata.distributions() for e in d.entry_points"
            f" if e.group == 'console_scripts' and e.name == {script!r}]"
        )
    found = _ask(python, names)
    return (str(found[0]), version(python, found[0])) if found else None


def normal(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find(python: str) -> Path:
    """The Python of a path or of a name on PATH. Raises BadInput when there is none."""
    found = shutil.which(python)
    if found is None:
        raise BadInput(f"--python {python}: there is no such program")
    return Path(found).absolute()  # not resolved: an environment's python is a link


def version(python: Path, package: str) -> str:
    """The version of a package that a Python has. Raises InfrastructureError when it has none."""
    return str(_ask(python, f"importlib.metadata.version({package!r})"))


def create(folder: Path) -> Environment:
    """Make an environment of this Python's version; an older one there is replaced."""
    python = folder / "bin" / "python"
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        return Environment(python, (uv, "pip", "install", "--quiet", "--python", str(python)))
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-compile")
    return Environment(python, (str(python), "-m", "pip", "install", *quiet))


@contextmanager
def throwaway() -> Iterator[Environment]:
    """An environment that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="neurocwl-python-", dir=_roomy()) as folder:
        yield create(Path(folder))


def _roomy() -> str | None:
    return "/var/tmp" if Path("/var/tmp").is_dir() else None  # /tmp may be memory


def _ask(python: Path, expression: str) -> Any:
    code = f"import importlib.metadata, json; print(json.dumps({expression}))"
    return json.loads(_run([str(python), "-c", code]))


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InfrastructureError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        told = next((line for line in said if "ERROR" in line), said[-1] if said else "no reason given")
        raise InfrastructureError(
            f"{' '.join(command[:6])} ... failed: {told.strip()}\n"
            "It needs the Python package index: behind a proxy set HTTPS_PROXY, with a mirror PIP_INDEX_URL or UV_INDEX_URL."
        )
    return done.stdout
