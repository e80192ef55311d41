"""The registry's RO-Crate validator, from an install in the user's cache; it asks no network.

Offline it wants the JSON-LD context of RO-Crate 1.1 in its HTTP cache: it gets the copy that the package rocrate carries.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

VALIDATOR = "roc-validator==0.13.0"
WITH_CONTEXT = "rocrate==0.13.0"  # the last release that carries the context of RO-Crate 1.1
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "provenance-run-crate-0.5"
FILL_CACHE = f"""\
import importlib.util, io, pathlib, sys
import requests, requests_cache
answer = requests.Response()
answer.status_code, answer.url = 200, {CONTEXT!r}
answer.headers["Content-Type"] = "application/ld+json"
home = pathlib.Path(importlib.util.find_spec("rocrate").submodule_search_locations[0])
answer._content = (home / "data/ro-crate.jsonld").read_bytes()
answer.raw = requests.packages.urllib3.HTTPResponse(io.BytesIO(answer.content), status=200, headers=answer.headers)
answer.request = requests.Request("GET", answer.url).prepare()
requests_cache.CachedSession(sys.argv[1], backend="sqlite").cache.save_response(answer)
"""


def installed() -> Path:
    """The folder of the validator's own environment: its rich is older than ours."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "neurocwl" / VALIDATOR.replace("==", "-")
    if not (place / "complete").exists():
        print(f"installing {VALIDATOR} into {place}", file=sys.stderr)
        venv.create(place, with_pip=True, clear=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, VALIDATOR], check=True)
        subprocess.run([*pip, "--no-deps", WITH_CONTEXT], check=True)
        subprocess.run([str(place / "bin" / "python"), "-c", FILL_CACHE, str(place / "http")], check=True)
        (place / "complete").touch()
    return place


def issues(crate: Path, scratch: Path, severity: str = "required") -> list[dict[str, Any]]:
    """What the validator objects to in a crate, for the profile that runs claim."""
    place, report = installed(), scratch / f"validation-{severity}.json"
    command = [
        *(
            str(place / "bin" / "rocrate-validator"),
            "--no-interactive",
            "validate",
            "--offline",
            "--no-paging",
        ),
        *("--cache-path", str(place / "http"), "--skip-availability-check", "--profile-identifier", PROFILE),
        *("--requirement-severity", severity, "-f", "json", "-o", str(report), str(crate)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert report.is_file(), done.stdout + done.stderr
    return list(json.loads(report.read_text())["issues"])
