"""dataset_description.json of the derivatives, and the receipt of the files that all units share."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from neurocwl import __version__
from neurocwl.receipts import SHARED, UnitState
from neurocwl.runs import Run
from neurocwl.storage import Location
from neurocwl.template import Template

PATH = "dataset_description.json"
BIDS_VERSION = "1.10.0"


def merged(own: Mapping[str, Any], template: Template, run: Run, source: Mapping[str, Any]) -> dict[str, Any]:
    """The tool's own description (or nothing) with who ran it, on what, added; BIDS Derivatives 1.10."""
    said = own.get("GeneratedBy")
    listed = said if isinstance(said, list) else []
    generated = [g for g in listed if isinstance(g, dict) and g.get("Name") != "neurocwl"]
    if not generated:
        version = run.image.rpartition(":")[2] if ":" in run.image.rpartition("/")[2] else "unknown"
        generated = [{"Name": template.pipeline, "Version": version}]
    generated[0] = {"Container": {"Type": "docker", "Tag": run.image}, **generated[0]}
    neurocwl = {"Name": "neurocwl", "Version": __version__, "Description": f"run {run.run}"}
    dataset: dict[str, Any] = {"URL": run.dataset if "://" in run.dataset else f"file://{run.dataset}"}
    for key in ("DatasetDOI",):
        if source.get(key):
            dataset["DOI"] = source[key]
    rehearsal = " (rehearsal: no results)" if run.rehearsal else ""
    return {
        "Name": own.get("Name") or f"{template.label}{rehearsal}",
        "BIDSVersion": own.get("BIDSVersion") or BIDS_VERSION,
        "DatasetType": "derivative",
        **{
            key: value
            for key, value in own.items()
            if key not in ("Name", "BIDSVersion", "DatasetType", "GeneratedBy", "SourceDatasets")
        },
        "GeneratedBy": [*generated, neurocwl],
        "SourceDatasets": [dataset],
    }


def write(output: Location, template: Template, run: Run, source: bytes | None) -> None:
    """Write the description of the derivatives."""
    own = output.read(PATH)
    document = merged(_parsed(own), template, run, _parsed(source))
    output.write(PATH, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def write_shared(output: Location, states: Mapping[str, UnitState]) -> None:
    """Record size and SHA-256 of what all units share, so that verify knows these files too."""
    paths = {PATH} | {path for state in states.values() if state.receipt for path in state.receipt.shared}
    entries = []
    for path in sorted(paths):
        found = output.stored(path)
        if found:
            digest = found.sha256 or _digest(output, path)
            entries.append({"path": path, "size": found.size, "sha256": digest, "etag": found.tag})
    output.write(SHARED, (json.dumps({"manifest": entries}, indent=1) + "\n").encode())


def _digest(output: Location, path: str) -> str:
    digest = hashlib.sha256()
    for block in output.chunks(path):
        digest.update(block)
    return digest.hexdigest()


def _parsed(data: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
