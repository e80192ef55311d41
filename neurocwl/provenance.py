"""What is known of a run, gathered at its output and written as a Workflow Run RO-Crate. No data are copied."""

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurocwl import runs
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.receipts import read_states
from neurocwl.rocrate import NAME, Record, RunFile, crate
from neurocwl.runs import RUNS, Run
from neurocwl.storage import Location

DESCRIPTION = "dataset_description.json"
SUFFIXES = (".cwl", ".json", ".log")
NOT_PAYLOAD = (NAME, "running.json")
ENGINES = ("toil", "cwltool")


def versions() -> dict[str, str]:
    """The versions of the engines that a launch from here runs by."""
    return {name: importlib.metadata.version(name) for name in ENGINES}


def latest(output: Location) -> Run:
    """The last run that ran something.

    Raises BadInput when there is none.
    """
    ids = {
        entry.path.removeprefix(RUNS).partition("/")[0]
        for entry in output.entries(RUNS)
        if entry.path.endswith(".cwl")
    }
    if not ids:
        raise BadInput(f"{output.url}: no run of neurocwl ran anything here; give the --output of a launch")
    return runs.read(output, max(ids))


def document(output: Location, run: Run, agent: str = "") -> dict[str, Any]:
    """The RO-Crate of a run.

    Raises BadInput for a run that ran no workflow, InfrastructureError for records that cannot be read.
    """
    return crate(_record(output, run, agent))


def text(found: dict[str, Any]) -> bytes:
    """The document as it is stored."""
    return (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()


def write(output: Location, run: Run, agent: str = "") -> None:
    """Write the RO-Crate of a run into the run's folder at the output."""
    output.write(f"{RUNS}{run.run}/{NAME}", text(document(output, run, agent)))


def copy(output: Location, run: Run, folder: Path, agent: str = "") -> Path:
    """Write the RO-Crate of a run into a local folder, with the files of the run that are its payload.

    Returns its metadata file.

    Raises BadInput when the folder cannot be written.
    """
    found = document(output, run, agent)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, _ in _files(output, run):
            (folder / name).write_bytes(output.read(f"{RUNS}{run.run}/{name}") or b"")
        (folder / NAME).write_bytes(text(found))
    except OSError as error:
        raise BadInput(f"-o {folder}: {error.strerror}; name a folder that can be written") from error
    return folder / NAME


def _files(output: Location, run: Run) -> Iterator[tuple[str, int]]:
    """Name and size of every file of a run that belongs into its crate."""
    for entry in sorted(output.entries(f"{RUNS}{run.run}/"), key=lambda entry: entry.path):
        name = entry.path.removeprefix(f"{RUNS}{run.run}/")
        if "/" not in name and name.endswith(SUFFIXES) and name not in NOT_PAYLOAD:
            yield name, entry.size


def _record(output: Location, run: Run, agent: str) -> Record:
    home = f"{RUNS}{run.run}/"
    files = [RunFile(name, size, _sha256(output, home + name)) for name, size in _files(output, run)]
    workflows = {
        file.name: _json(output, home + file.name)
        for file in sorted(files, key=lambda file: len(file.name))
        if file.name.endswith(".cwl")
    }
    if not workflows:
        raise BadInput(f"{output.url}: run {run.run} ran nothing; name another by --run (they lie in {RUNS})")
    inputs: dict[str, list[tuple[str, int, str]]] = {}
    lists: dict[str, str] = {}
    for file in files:
        if file.name.startswith("inputs-"):
            given = runs.read_inputs_of(output, run.run, file.name)
            lists |= dict.fromkeys(given, file.name)
            inputs |= given
    states = read_states(output)
    # The group stage is part of every plan, and runs only when it is due.
    units = [unit["unit"] for unit in run.units if unit["status"] == "ready" and unit["unit"] in lists]
    return Record(
        run=run,
        output=output.file_url(""),
        files=files,
        workflows=workflows,
        inputs=inputs,
        lists=lists,
        receipts={unit: state.receipt for unit, state in states.items() if state.receipt},
        licence=_licence(output),
        agent=agent,
        units=units,
    )


def _sha256(output: Location, path: str) -> str | None:
    found = output.stored(path)
    return found.sha256 if found else None


def _json(output: Location, path: str) -> dict[str, Any]:
    try:
        found = json.loads(output.read(path) or b"{}")
    except ValueError as error:
        raise InfrastructureError(f"{output.url}/{path} is damaged ({error})") from error
    if not isinstance(found, dict):
        raise InfrastructureError(f"{output.url}/{path} is damaged (it is no JSON object)")
    return found


def _licence(output: Location) -> str:
    try:
        return str(_json(output, DESCRIPTION).get("License") or "")
    except InfrastructureError:  # a tool's own file; it has nothing to do with the run's records
        return ""
