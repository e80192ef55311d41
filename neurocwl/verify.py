"""Verify: what lies at an output, held against the manifests in its receipts."""

import concurrent.futures
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurocwl.bids import Entry
from neurocwl.description import SHARED
from neurocwl.receipts import READERS, STATE, UnitState, Written, read_states
from neurocwl.runs import Run
from neurocwl.status import Status
from neurocwl.status import read as read_status
from neurocwl.storage import Location

EQUAL, MISSING, DIFFERING, EXTRA = "equal", "missing", "differing", "extra"


@dataclass(frozen=True, slots=True)
class Finding:
    """One path and how it compares."""

    path: str  # below the output
    verdict: str  # equal, missing, differing or extra
    unit: str | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that verify found."""

    status: Status
    findings: tuple[Finding, ...]
    deep: bool

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The paths that do not hold."""
        return tuple(f for f in self.findings if f.verdict != EQUAL)

    def count(self, verdict: str) -> int:
        """How many paths have one verdict."""
        return sum(f.verdict == verdict for f in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The stable form of --json: units as status gives them, plus what verify says of each."""
        by_unit: dict[str | None, list[Finding]] = {}
        for finding in self.findings:
            by_unit.setdefault(finding.unit, []).append(finding)
        units = []
        for unit in self.status.units:
            found = by_unit.get(unit.unit, [])
            counts = {v: sum(f.verdict == v for f in found) for v in (EQUAL, MISSING, DIFFERING)}
            verified = all(f.verdict == EQUAL for f in found)
            units.append({**unit.as_dict(), "verified": verified, **counts})
        return {
            "output": self.status.run.output,
            "run": self.status.run.run,
            "deep": self.deep,
            "verified": not self.wrong,
            "counts": {v: self.count(v) for v in (EQUAL, MISSING, DIFFERING, EXTRA)},
            "units": units,
            "paths": [
                {"path": f.path, "verdict": f.verdict, "unit": f.unit, "detail": f.detail} for f in self.wrong
            ],
        }


def verify(output: Location, run: Run, *, deep: bool) -> Verification:
    """Compare every path at an output with the receipts.

    On S3 the ETag, or the checksum that S3 keeps, is compared and no bytes are read unless `deep`;
    in a folder the bytes are always read.
    """
    status = read_status(output, run)
    states = read_states(output)
    found = {entry.path: entry for entry in output.entries()}
    promised = dict(_promised(output, states))
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        findings = list(pool.map(lambda item: _compare(output, found.get(item[0]), item[1][0], item[1][1], deep), promised.items()))
    unfinished = {path for state in states.values() for path in state.staging or ()}
    for path in sorted(set(found) - set(promised)):
        if path.endswith("/") or path.startswith(f"{STATE}/") or path.rpartition("/")[2] == ".lock":
            continue
        detail = "written by an attempt that was cut off; launch again" if path in unfinished else "no receipt names it"
        findings.append(Finding(path, EXTRA, None, detail))
    return Verification(status, tuple(findings), deep)


def _promised(output: Location, states: Mapping[str, UnitState]) -> Iterator[tuple[str, tuple[Written, str | None]]]:
    shared = json.loads(output.read(SHARED) or b'{"manifest": []}')
    for entry in shared["manifest"]:
        yield entry["path"], (Written(**entry), None)
    for unit, state in states.items():
        if state.receipt:
            for written in (*state.receipt.earlier, *state.receipt.manifest):
                yield written.path, (written, unit)
            for attempt in state.receipt.attempts:
                for entry in attempt["logs"]:
                    yield entry["path"], (Written(**entry), unit)


def _compare(output: Location, entry: Entry | None, written: Written, unit: str | None, deep: bool) -> Finding:
    path = written.path
    if entry is None:
        return Finding(path, MISSING, unit)
    if entry.size != written.size:
        return Finding(path, DIFFERING, unit, f"{entry.size} bytes, {written.size} were delivered")
    if deep:
        digest = hashlib.sha256()
        for block in output.chunks(path):
            digest.update(block)
        same, how = digest.hexdigest() == written.sha256, "other bytes than were delivered (SHA-256)"
    elif entry.etag == written.etag:
        return Finding(path, EQUAL, unit)
    else:
        stored = output.stored(path)
        if stored is None:
            return Finding(path, MISSING, unit)
        same = stored.sha256 == written.sha256 if stored.sha256 else stored.tag == written.etag
        how = "other bytes than were delivered (checksum)"
    return Finding(path, EQUAL if same else DIFFERING, unit, "" if same else how)
