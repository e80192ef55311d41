"""The registry's RO-Crate validator, from an install in the user's cache; it asks no network.

Offline it wants the JSON-LD context of RO-Crate 1.1 in its HTTP cache: it gets the copy that the package rocrate carries.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests import environments

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


def issues(crate: Path, scratch: Path, severity: str = "required") -> list[dict[str, Any]]:
    """What the validator objects to in a crate, for the profile that runs claim."""
    python = environments.python_with(VALIDATOR, alone=(WITH_CONTEXT,))
    program, cache, report = (
        python.parent / "rocrate-validator",
        scratch / "http",
        scratch / "validation.json",
    )
    subprocess.run([str(python), "-c", FILL_CACHE, str(cache)], check=True)
    command = [
        *(
            str(program),
            "--no-interactive",
            "validate",
            "--offline",
            "--no-paging",
        ),
        *("--cache-path", str(cache), "--skip-availability-check", "--profile-identifier", PROFILE),
        *("--requirement-severity", severity, "-f", "json", "-o", str(report), str(crate)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert report.is_file(), done.stdout + done.stderr
    return list(json.loads(report.read_text())["issues"])
