"""nipype_s3's sink as a step of a workflow, without a container, on the worker and with the worker's AWS settings.

Usage: s3_sink.py REQUEST.json; the request holds the inputs of cwl/tools/s3-sink.cwl. Prints the destinations as JSON.
"""

from __future__ import annotations

import json
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import worker_environment
from nipype_s3 import delivery
from nipype_s3.destinations import Layout, Refused


def sink(request: dict[str, Any]) -> list[str]:
    """Deliver what the request names.

    Raises Refused, and ValueError for a credentials file that cannot be used.
    """
    attributes: dict[str, list[str]] = {}
    for attribute in request["attributes"]:
        attributes.setdefault(attribute["name"], []).extend(map(_path, attribute["files"]))
    layout = Layout(
        request["base_directory"],
        request.get("container") or "",
        parameterization=False,  # where CWL puts a file says nothing about it
        substitutions=_pairs(request, "substitutions"),
        regexp_substitutions=_pairs(request, "regexp_substitutions"),
    )
    return delivery.sink(
        layout,
        attributes,
        local_copy=request.get("local_copy"),
        creds_path=request.get("creds_path"),
        encrypt=bool(request.get("encrypt")),
    )


def _path(value: dict[str, Any]) -> str:
    """The local path of a CWL File or Directory object."""
    return str(value.get("path") or urllib.parse.unquote(urllib.parse.urlparse(value["location"]).path))


def _pairs(request: dict[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    for pair in request.get(name) or []:
        if len(pair) != 2:
            raise Refused(f"{name}: {pair} is no pair; write [what is replaced, what replaces it]")
    return tuple((old, new) for old, new in request.get(name) or [])


def main() -> int:
    """Deliver; the exit code is 2 for what was refused."""
    worker_environment.adopt()
    try:
        out = sink(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except ValueError as error:
        print(f"s3-sink: {error}", file=sys.stderr)
        return 2
    print(json.dumps(out, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
