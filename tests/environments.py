"""Programs that tests compare with and that may not share our environment: each in one of its own in the user's cache."""

import os
import subprocess
import sys
import venv
from pathlib import Path


def python_with(*packages: str, alone: tuple[str, ...] = ()) -> Path:
    """The Python of an environment with these packages, and with others without what they depend on; made at first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "neurocwl" / packages[0].replace("==", "-")
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        print(f"installing {packages[0]} into {place}", file=sys.stderr)
        venv.create(place, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, *packages], check=True)
        if alone:
            subprocess.run([*pip, "--no-deps", *alone], check=True)
        (place / "complete").touch()
    return python
