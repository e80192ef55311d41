"""Runs: what a launch writes beside the outputs, so that no laptop state is needed to watch or resume it."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from neurocwl.errors import BadInput
from neurocwl.receipts import STATE
from neurocwl.storage import Location

RUNS = f"{STATE}/runs/"


@dataclass(frozen=True, slots=True)
class Run:
    """run.json."""

    run: str
    neurocwl: str
    status: str  # running, finished, interrupted, cancelled, broken
    started: str  # ISO 8601
    ended: str | None
    host: str
    command: list[str]
    dataset: str
    output: str
    pipeline: str
    image: str
    image_digest: str | None  # None without a container
    rehearsal: bool
    parameters: Mapping[str, Any]
    resources: Mapping[str, int]
    units: list[Mapping[str, Any]] = field(default_factory=list)  # the plan of each: unit, status, reason, ...
    message: str = ""


def new_id() -> str:
    """An id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(output: Location, run: Run) -> None:
    """Write run.json."""
    output.write(f"{RUNS}{run.run}/run.json", (json.dumps(asdict(run), indent=1, ensure_ascii=False) + "\n").encode())


def latest(output: Location) -> Run:
    """The last run at an output.

    Raises BadInput when there is none.
    """
    ids = {entry.path.removeprefix(RUNS).partition("/")[0] for entry in output.entries(RUNS) if entry.path.endswith("/run.json")}
    data = output.read(f"{RUNS}{max(ids)}/run.json") if ids else None
    if data is None:
        raise BadInput(f"{output.url}: no run of neurocwl wrote here; give the --output of a launch")
    return Run(**json.loads(data))
