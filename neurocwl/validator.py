"""The official validator on a dataset: on a local folder, or on a skeleton of a remote one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from neurocwl.bidsnames import Entry, Problem, printable, refusal
from neurocwl.errors import BadInput, InfrastructureError

# What the validator reads, rather than takes note of: these get their real bytes.
_TEXT_ENDS: Final = (".json", ".tsv", ".tsv.gz", ".bval", ".bvec", ".md", ".rst", ".txt", ".cff", ".vhdr")
_TEXT_NAMES: Final = frozenset({".bidsignore", "README", "CHANGES", "LICENSE", "CITATION"})
# Left out: it neither looks into these nor minds whether they are there (its src/files/ignore.ts).
_NOT_LOOKED_AT: Final = frozenset({"code", "derivatives", "sourcedata"})


class Issue(NamedTuple):
    """One finding of the official validator; `path` relative to the dataset, "" for the whole of it."""

    severity: Literal["error", "warning"]
    code: str
    path: str
    message: str


class Report(NamedTuple):
    """What the official validator said, and with which schema."""

    schema_version: str
    issues: tuple[Issue, ...]

    @property
    def valid(self) -> bool:
        """Whether it found no error; warnings do not count."""
        return all(issue.severity != "error" for issue in self.issues)


def run_validator(root: Path, *, headers: bool = False, timeout: float | None = 3600) -> Report:
    """The official validator's report on a local dataset, by the same BIDS schema as `invalid_names`.

    `headers`: look into NIfTI headers as well (not on a skeleton). `timeout` in seconds.
    """
    if not (root / "dataset_description.json").is_file():
        raise BadInput(f"{root}: has no dataset_description.json: name the root folder of a BIDS dataset")
    with as_file(files("bidsschematools").joinpath("data/schema.json")) as schema:
        command = [_program(), "--json", "--schema", schema.resolve().as_uri()]
        command += [] if headers else ["--ignoreNiftiHeaders"]
        command += [str(root.resolve())]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise InfrastructureError(
                f"the BIDS validator did not finish {root} in {timeout} s: allow it more time"
            ) from None
    try:
        found = json.loads(done.stdout)
        return _report(found)
    except (ValueError, KeyError, TypeError):
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise InfrastructureError(
            f"the BIDS validator gave no report on {root} (exit code {done.returncode}): {printable(said)}"
        ) from None


def _program() -> str:
    """The validator beside this Python, else on PATH."""
    from shutil import which

    name = "bids-validator-deno"
    found = which(name, path=str(Path(sys.executable).parent)) or which(name)
    if found is None:
        raise InfrastructureError(f"{name} is not installed: pip install {name}")
    return found


def _report(found: dict[str, Any]) -> Report:
    listing = found["issues"]
    messages = listing.get("codeMessages", {})
    if isinstance(messages, list):
        messages = dict(messages)
    issues = [
        Issue(
            "error" if issue.get("severity") == "error" else "warning",
            str(issue["code"]) + (f" {issue['subCode']}" if issue.get("subCode") else ""),
            printable(str(issue.get("location") or "").removeprefix("/")),
            str(issue.get("issueMessage") or messages.get(issue["code"]) or "").strip(),
        )
        for issue in listing["issues"]
        if issue.get("severity") != "ignore"
    ]
    return Report(str(found["summary"]["schemaVersion"]), tuple(sorted(issues)))


def materialise(entries: Iterable[Entry], read: Callable[[Entry], bytes], dest: Path) -> tuple[Problem, ...]:
    """Write a skeleton of a listed dataset into the new folder `dest`, for `run_validator`.

    Text that the validator reads has its real bytes (from `read`), all else is sparse, of its true size.
    Keys that are unsafe, or that are a file and a folder at once, are left out and returned as problems;
    nothing is written outside `dest`, and no link is followed.
    """
    try:
        dest.mkdir(parents=True)
    except OSError as error:
        raise BadInput(
            f"{dest}: cannot be made ({error.strerror}): name a folder that is not there yet"
        ) from None
    problems = []
    for entry in entries:
        segments = entry.path.split("/")
        if segments[0] in _NOT_LOOKED_AT and len(segments) > 1:
            continue
        if any(name.startswith(".") and name not in (".", "..") for name in segments[:-1]):
            continue
        why = refusal(entry.path)
        if why is None and not entry.path.endswith("/"):
            # Every folder and file below dest is made here, and never opened twice: no link can lie there.
            why = _write(dest / entry.path, entry, read)
        if why:
            problems.append(Problem(printable(entry.path), "UNSAFE_KEY", f"not validated: the key {why}"))
    return tuple(problems)


def _write(path: Path, entry: Entry, read: Callable[[Entry], bytes]) -> str | None:
    """Write one file; the reason if the local file system cannot hold it beside the others."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return "is a file and a folder at once, or there twice"
    with os.fdopen(handle, "wb") as file:
        if _is_text(path.name):
            file.write(read(entry))
        else:
            with suppress(OSError):  # larger than this file system's files: still there, and not empty
                file.truncate(entry.size)
                return None
            file.write(b"\0")
    return None


def _is_text(name: str) -> bool:
    return name.endswith(_TEXT_ENDS) or name in _TEXT_NAMES
