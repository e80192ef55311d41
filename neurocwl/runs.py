"""Runs: what a launch writes beside the outputs, so that no laptop state is needed to watch or resume it."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.receipts import STATE, read_states
from neurocwl.storage import Location
from neurocwl.template import GROUP

RUNS = f"{STATE}/runs/"


@dataclass(frozen=True, slots=True)
class Run:
    """run.json."""

    run: str
    neurocwl: str
    status: str  # running, finished, interrupted, cancelled, over-budget, broken
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
    units: list[Mapping[str, Any]] = field(
        default_factory=list
    )  # the plan of each: unit, status, reason, ...
    message: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)  # of the engines
    images: Mapping[str, str | None] = field(default_factory=dict)  # every image that was used -> its digest
    backend: str = "local"  # where its units ran
    money: Mapping[str, Any] = field(default_factory=dict)  # max_cost, tariff, spent; nothing without a price


def new_id() -> str:
    """An id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(output: Location, run: Run) -> None:
    """Write run.json."""
    output.write(
        f"{RUNS}{run.run}/run.json", (json.dumps(asdict(run), indent=1, ensure_ascii=False) + "\n").encode()
    )


def write_running(output: Location, run: str, units: list[str]) -> None:
    """Say which units' containers run now, for whoever asks for the status elsewhere."""
    output.write(f"{RUNS}{run}/running.json", json.dumps(units).encode())


def read_running(output: Location, run: str) -> list[str]:
    """The units whose containers ran when the launch last looked."""
    try:
        return [str(unit) for unit in json.loads(output.read(f"{RUNS}{run}/running.json") or b"[]")]
    except ValueError:
        return []


@dataclass(frozen=True, slots=True)
class Again:
    """What was decided about a unit that did not get through."""

    why: str
    again: bool
    asks: Mapping[str, int] = field(default_factory=dict)  # what it asks for otherwise than before
    attempt: str | None = None  # the attempt that it was decided after; None: it left no receipt


@dataclass(frozen=True, slots=True)
class Rounds:
    """rounds.json: what a launch decided between its rounds."""

    lost: int = 0  # attempts that went with their node
    units: Mapping[str, Again] = field(default_factory=dict)


def write_rounds(output: Location, run: str, found: Rounds) -> None:
    """Say what runs again and why, for whoever asks for the status."""
    output.write(f"{RUNS}{run}/rounds.json", json.dumps(asdict(found), ensure_ascii=False).encode())


def read_rounds(output: Location, run: str) -> Rounds:
    """What a launch decided between its rounds; nothing when all went well, or when it cannot be read."""
    try:
        raw = json.loads(output.read(f"{RUNS}{run}/rounds.json") or b"{}")
        units = {unit: Again(**one) for unit, one in raw.get("units", {}).items()}
        return Rounds(int(raw.get("lost", 0)), units)
    except (ValueError, TypeError, AttributeError):
        return Rounds()


def write_inputs(
    output: Location, run: str, name: str, inputs: Mapping[str, list[tuple[str, int, str]]]
) -> None:
    """Record what each unit of a shard (or stage) was given: (URL, size in bytes, ETag) of every file."""
    lines = [f"{json.dumps(unit)}: {json.dumps(files, ensure_ascii=False)}" for unit, files in inputs.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    output.write(f"{RUNS}{run}/inputs-{name}.json", text.encode())


def read_inputs(output: Location, run: str) -> dict[str, list[tuple[str, int, str]]]:
    """What each unit of a run was given.

    Raises InfrastructureError for a record that cannot be read.
    """
    found: dict[str, list[tuple[str, int, str]]] = {}
    for entry in output.entries(f"{RUNS}{run}/"):
        name = entry.path.rpartition("/")[2]
        if name.startswith("inputs-"):
            found |= read_inputs_of(output, run, name)
    return found


def read_inputs_of(output: Location, run: str, name: str) -> dict[str, list[tuple[str, int, str]]]:
    """What each unit in one file of a run (inputs-*.json) was given; raises as read_inputs does."""
    path = f"{RUNS}{run}/{name}"
    try:
        raw = json.loads(output.read(path) or b"{}")
        return {
            unit: [(str(url), int(size), str(etag)) for url, size, etag in files]
            for unit, files in raw.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise InfrastructureError(f"{output.url}/{path} is damaged ({error!r})") from error


def latest(output: Location) -> Run:
    """The last run at an output; one without a run.json when job orders were run by hand alone.

    Raises BadInput when there is none, InfrastructureError for a run.json that cannot be read.
    """
    ids = {
        entry.path.removeprefix(RUNS).partition("/")[0]
        for entry in output.entries(RUNS)
        if entry.path.endswith("/run.json")
    }
    return read(output, max(ids)) if ids else _by_hand(output)


def read(output: Location, run: str) -> Run:
    """One run by its id.

    Raises BadInput when there is none, InfrastructureError for a run.json that cannot be read.
    """
    path = f"{RUNS}{run}/run.json"
    found = output.read(path)
    if found is None:
        raise BadInput(f"--run {run}: there is no such run at {output.url}; they lie in {RUNS}")
    try:
        return Run(**json.loads(found))
    except (ValueError, TypeError) as error:
        raise InfrastructureError(
            f"{output.url}/{path}: cannot be read ({error}); it is damaged or of another version of neurocwl"
        ) from error


def _by_hand(output: Location) -> Run:
    states = read_states(output)
    receipts = [state.receipt for unit, state in states.items() if state.receipt and unit != GROUP]
    if not receipts:
        raise BadInput(f"{output.url}: no run of neurocwl wrote here; give the --output of a launch")
    first, last = min(receipts, key=lambda r: r.committed), max(receipts, key=lambda r: r.committed)
    return Run(
        run=last.run,
        neurocwl="",
        status="finished",
        started=first.committed,
        ended=last.committed,
        host="",
        command=[],
        dataset="",
        output=output.url,
        pipeline=last.pipeline,
        image="",
        image_digest=None,
        rehearsal=any(receipt.rehearsal for receipt in receipts),
        parameters={},
        resources={},
    )
