"""Receipts: what the output prefix says about each unit. toolwrappers/stage_out.py writes them."""

import concurrent.futures
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurocwl.errors import InfrastructureError
from neurocwl.storage import Location

STATE = ".neurocwl"
UNITS = f"{STATE}/units/"
SHARED = f"{STATE}/shared.json"  # size and SHA-256 of files that no unit owns
READERS = 32  # receipts read at once


@dataclass(frozen=True, slots=True)
class Written:
    """One file of a manifest."""

    path: str  # below the output
    size: int  # bytes
    sha256: str  # hex
    etag: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The committed state of a unit."""

    unit: str
    participant: str | None
    session: str | None
    status: str  # done or failed
    reason: str
    task_key: str
    run: str
    attempt: str
    pipeline: str
    rehearsal: bool
    tag: str  # of receipt.json itself
    exit_code: int | None
    committed: str  # ISO 8601
    manifest: tuple[Written, ...]
    shared: tuple[str, ...]  # paths below the output that this unit wrote with others
    earlier: tuple[Written, ...]  # derivatives of an earlier success that still lie there
    attempts: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)

    @property
    def delivered(self) -> tuple[Written, ...]:
        """What counts as derivatives: not the partial outputs of a failed attempt, which lie apart."""
        return tuple(written for written in self.manifest if not written.path.startswith(f"{STATE}/"))


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit's receipt, and the paths that an attempt in progress, or cut off, may have written."""

    receipt: Receipt | None
    staging: frozenset[str] | None = None
    staging_run: str | None = None  # the run of that attempt
    damaged: str = ""  # why the receipt, or the note of an attempt, cannot be read


def parse(data: bytes, tag: str, where: str) -> Receipt:
    """Read a receipt.

    Raises InfrastructureError for one that was damaged or written by a newer neurocwl.
    """
    try:
        raw = json.loads(data)
        if raw["receipt"] != 1:
            raise InfrastructureError(f"{where}: receipt format {raw['receipt']}; upgrade neurocwl")
        if raw["status"] not in ("done", "failed"):
            raise ValueError(f"status {raw['status']!r}")
        for attempt in raw["attempts"]:
            _written(attempt["logs"])
            attempt["status"], attempt["reason"]
        return Receipt(
            unit=raw["unit"],
            participant=raw["participant"],
            session=raw["session"],
            status=raw["status"],
            reason=raw["reason"],
            task_key=raw["task_key"],
            run=raw["run"],
            attempt=raw["attempt"],
            pipeline=raw["pipeline"],
            rehearsal=raw["rehearsal"],
            tag=tag,
            exit_code=raw["exit_code"],
            committed=raw["committed"],
            manifest=_written(raw["manifest"]),
            shared=tuple(_inside(entry["path"]) for entry in raw["shared"]),
            earlier=_written((raw["earlier"] or {}).get("manifest", [])),
            attempts=tuple(raw["attempts"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(f"{where} is damaged ({error!r}); delete it and launch again") from error


def _written(entries: Iterable[Mapping[str, Any]]) -> tuple[Written, ...]:
    found = tuple(Written(**entry) for entry in entries)
    for written in found:
        _inside(written.path)
        if not isinstance(written.size, int) or not isinstance(written.sha256, str):
            raise ValueError(f"{written.path}: size {written.size!r}, sha256 {written.sha256!r}")
    return found


def _inside(path: str) -> str:
    """The path, if it stays below the output: what a receipt names may be deleted by its successor."""
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"path {path!r} leads out of the output")
    return path


def read_states(output: Location, units: Iterable[str] | None = None) -> dict[str, UnitState]:
    """The state of every unit at an output (or of the named ones), by unit."""
    wanted = None if units is None else set(units)
    names: dict[str, set[str]] = {}
    for entry in output.entries(UNITS):
        unit, _, rest = entry.path.removeprefix(UNITS).partition("/")
        if rest in ("receipt.json", "staging.json") and (wanted is None or unit in wanted):
            names.setdefault(unit, set()).add(rest)
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        states = list(pool.map(lambda unit: _read_state(output, unit, names[unit]), names))
    return dict(zip(names, states, strict=True))


def read_receipt(output: Location, unit: str) -> Receipt | None:
    """The receipt of one unit."""
    path = f"{UNITS}{unit}/receipt.json"
    found = output.read_tagged(path)
    return parse(*found, f"{output.url}/{path}") if found else None


def _read_state(output: Location, unit: str, names: set[str]) -> UnitState:
    # The note first: when it has gone since the listing, the receipt has come.
    path = f"{UNITS}{unit}/staging.json"
    note = output.read(path) if "staging.json" in names else None
    try:
        receipt = read_receipt(output, unit)
    except InfrastructureError as error:
        return UnitState(None, damaged=str(error))
    if note is None:
        return UnitState(receipt)
    try:
        staging = json.loads(note)
        if receipt and receipt.attempt == staging["attempt"]:  # killed between its commit and its end
            return UnitState(receipt)
        return UnitState(receipt, frozenset([*staging["paths"], *staging["leftovers"]]), staging["run"])
    except (ValueError, KeyError, TypeError) as error:
        why = f"{output.url}/{path} is damaged ({error!r}); delete it and launch again"
        return UnitState(receipt, damaged=why)
