"""Let a unit start, or keep it back because its run may spend no more. Beside output_store.py, on the worker.

Usage: gate.py [COMMAND...]; NEUROCWL_GATE is OUTPUT#RUN#ENCRYPTION (the last may be empty), NEUROCWL_UNIT the unit.
An open gate notes that the unit begins (runs/RUN/begun/UNIT at the output) and becomes the command, if there is one. A closed one (runs/RUN/closed is
there) exits with KEPT_BACK; stage_out.py then writes no receipt. Attempts that have begun pass for ever, so that those of
several steps, and those whose worker was lost, can finish; one after an attempt that left its receipt is a new one.
Asked where a tool starts: toolwrappers/bin/docker.

The note comes before the look. So whoever writes `closed` and then lists the notes knows every unit that passes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import worker_environment
from output_store import LostRace, Store, open_store

STATE = ".neurocwl"
KEPT_BACK = 199  # exit code
TRIES = 10


def is_closed(store: Store, run: str) -> bool:
    """Whether a run starts no more units."""
    return store.tag(f"{STATE}/runs/{run}/closed") is not None


def has_begun(store: Store, run: str, unit: str) -> bool:
    """Whether an attempt of a unit has passed the gate of a run, and left no receipt yet."""
    note = store.get(_note(run, unit))
    return note is not None and _goes_on(json.loads(note[0]), store.tag(_receipt(unit)))


def passes(store: Store, run: str, unit: str) -> bool:
    """Whether a unit may start; if it may, the output says that it begins.

    The note holds every beginning: [seconds since 1970, tag of the unit's receipt then].
    Raises LostRace when others write the same note again and again.
    """
    path = _note(run, unit)
    receipt = store.tag(_receipt(unit))
    begin = [round(time.time(), 3), receipt]
    for _ in range(TRIES):
        before = store.get(path)
        begins: list[Any] = json.loads(before[0]) if before else []
        try:
            noted = store.put(path, json.dumps([*begins, begin]).encode(), before[1] if before else None)
        except LostRace:  # another step of the same unit
            continue
        if _goes_on(begins, receipt) or not is_closed(store, run):
            return True
        return not _withdrawn(store, path, before, noted)
    raise LostRace(f"{path}: cannot be written")


def _goes_on(begins: list[Any], receipt: str | None) -> bool:
    """Whether the last attempt that began has left no receipt: the unit's is the one that it found."""
    return bool(begins) and begins[-1][1] == receipt


def _withdrawn(store: Store, path: str, before: tuple[bytes, str] | None, noted: str) -> bool:
    """Take a beginning back; False when another step of the same attempt has passed because of it."""
    if before is None:
        store.delete([path])
        return True
    try:
        store.put(path, before[0], noted)
    except LostRace:
        return False
    return True


def _receipt(unit: str) -> str:
    return f"{STATE}/units/{unit}/receipt.json"


def _note(run: str, unit: str) -> str:
    return f"{STATE}/runs/{run}/begun/{unit}"


def main() -> int:
    """Ask, and become the command that is given."""
    environment = dict(os.environ)  # the command's: it gets no keys
    worker_environment.adopt()
    output, run, encrypt = os.environ["NEUROCWL_GATE"].rsplit("#", 2)
    unit = os.environ["NEUROCWL_UNIT"]
    if not passes(open_store(output, f"{STATE}/units/{unit}", encrypt or None), run, unit):
        print(f"{unit} was not started: the run's budget is reached", file=sys.stderr)
        return KEPT_BACK
    if sys.argv[1:]:
        sys.stdout.flush()
        os.execvpe(sys.argv[1], sys.argv[1:], environment)
    return 0


if __name__ == "__main__":
    sys.exit(main())
