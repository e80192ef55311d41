"""Verify: what lies at an output, held against the manifests in its receipts."""

import concurrent.futures
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurocwl.bids import Entry
from neurocwl.errors import InfrastructureError
from neurocwl.receipts import READERS, SHARED, STATE, UNITS, UnitState, Written, read_states
from neurocwl.runs import Run
from neurocwl.status import DONE, Status
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
            verified = unit.status == DONE and all(f.verdict == EQUAL for f in found)
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
    promised = list(_promised(output, states))
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        findings = list(
            pool.map(lambda item: _compare(output, found.get(item[0].path), item[0], item[1], deep), promised)
        )
    findings += [
        Finding(f"{UNITS}{unit}/receipt.json", DIFFERING, unit, state.damaged)
        for unit, state in states.items()
        if state.damaged
    ]
    unfinished = {path for state in states.values() for path in state.staging or ()}
    for path in sorted(set(found) - {written.path for written, _ in promised}):
        if path.endswith("/") or _is_ours(path):
            continue
        detail = (
            "written by an attempt that was cut off; launch again"
            if path in unfinished
            else "no receipt names it"
        )
        findings.append(Finding(path, EXTRA, None, detail))
    return Verification(status, tuple(findings), deep)


def _is_ours(path: str) -> bool:
    """Whether a path is neurocwl's own state, which no receipt names."""
    if path.startswith(UNITS):
        return path.removeprefix(UNITS).partition("/")[2] in ("receipt.json", "staging.json", ".lock")
    return path.startswith(f"{STATE}/")


def _promised(output: Location, states: Mapping[str, UnitState]) -> Iterator[tuple[Written, str | None]]:
    """Every file that a receipt promises; what two units promise comes twice, for one of them is wrong."""
    try:
        shared = json.loads(output.read(SHARED) or b'{"manifest": []}')
        yield from ((Written(**entry), None) for entry in shared["manifest"])
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(
            f"{output.url}/{SHARED} is damaged ({error!r}); launch again: it is written anew"
        ) from error
    for unit, state in states.items():
        if state.receipt:
            logs = [Written(**entry) for attempt in state.receipt.attempts for entry in attempt["logs"]]
            mine = {w.path: w for w in (*state.receipt.earlier, *state.receipt.manifest, *logs)}
            yield from ((written, unit) for written in mine.values())


def _compare(
    output: Location, entry: Entry | None, written: Written, unit: str | None, deep: bool
) -> Finding:
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
        how = f"other {'bytes (SHA-256)' if stored.sha256 else 'ETag'} than when it was delivered; --deep reads the bytes"
    return Finding(path, EQUAL if same else DIFFERING, unit, "" if same else how)
