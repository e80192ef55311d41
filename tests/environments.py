"""Programs that tests compare with and that may not share our environment: each in one of its own in the user's cache."""

import fcntl
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path


def cached(name: str, make: Callable[[Path], object]) -> Path:
    """A folder in the user's cache; made at first, by one test process while the others wait."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurocwl"
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            print(f"installing {name} into {place}", file=sys.stderr)
            make(place)
            (place / "complete").touch()
    return place


def python_with(*packages: str, alone: tuple[str, ...] = ()) -> Path:
    """The Python of an environment with these packages, and with others without what they depend on."""

    def make(place: Path) -> None:
        venv.create(place, with_pip=True, clear=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        if packages:
            subprocess.run([*pip, *packages], check=True)
        if alone:
            subprocess.run([*pip, "--no-deps", *alone], check=True)

    name = "-".join(packages[:1] or alone).replace("==", "-")
    return cached(name, make) / "bin" / "python"
