"""The lease on an output: two launches into one prefix never both run, and a launch can be cancelled."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from neurocwl.errors import Busy, Conflict
from neurocwl.receipts import STATE
from neurocwl.storage import Location

PATH = f"{STATE}/lease.json"
LASTS = 120.0  # seconds without a sign of life after which a lease is free
BEAT = 20.0  # seconds between two signs of life
LOOK = 3.0  # seconds between two looks whether somebody cancelled


@dataclass(frozen=True, slots=True)
class Lease:
    """Who writes to an output now."""

    run: str
    host: str
    pid: int
    expires: datetime
    cancelled: bool
    tag: str

    @property
    def alive(self) -> bool:
        """Whether its holder still runs, as far as can be told from here."""
        if self.host == socket.gethostname():
            return _running(self.pid)
        return datetime.now(UTC) < self.expires

    @property
    def holder(self) -> str:
        """Who holds it, for people."""
        return f"run {self.run} on {self.host} (process {self.pid})"


def read(output: Location) -> Lease | None:
    """The lease on an output, dead or alive."""
    found = output.read_tagged(PATH)
    if found is None:
        return None
    raw = json.loads(found[0])
    return Lease(
        raw["run"],
        raw["host"],
        raw["pid"],
        datetime.fromisoformat(raw["expires"]),
        raw["cancelled"],
        found[1],
    )


def cancel(output: Location) -> Lease | None:
    """Ask the holder to stop; a dead lease is removed. Returns the lease that was found."""
    while True:
        lease = read(output)
        if lease is None:
            return None
        if not lease.alive:
            output.delete([PATH])
            return lease
        with contextlib.suppress(Conflict):  # its holder gave a sign of life just now: once more
            output.write_if(PATH, _content(lease.run, lease.pid, lease.host, cancelled=True), lease.tag)
            return lease


@contextlib.contextmanager
def held(output: Location, run: str, on_stop: Callable[[str], None]) -> Iterator[None]:
    """Hold the lease while the body runs; on_stop(reason) is called when it is cancelled or lost.

    Raises Busy when somebody else holds it.
    """
    tag = _acquire(output, run)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(output, run, tag, ended, on_stop), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join(timeout=30)
        lease = read(output)
        if lease and lease.run == run:
            output.delete([PATH])


def _acquire(output: Location, run: str) -> str:
    lease = read(output)
    if lease and lease.alive:
        raise Busy(
            f"{output.url} is being written by {lease.holder}; wait for it, or stop it: neurocwl cancel {output.url}"
            f" (without a sign of life it is free at {lease.expires:%H:%M:%S} UTC)"
        )
    try:
        return output.write_if(PATH, _content(run, os.getpid()), lease.tag if lease else None)
    except Conflict as error:
        raise Busy(
            f"{output.url}: another launch started at the same moment; it goes on, this one ends"
        ) from error


def _keep(
    output: Location, run: str, tag: str, ended: threading.Event, on_stop: Callable[[str], None]
) -> None:
    last = time.monotonic()
    while not ended.wait(LOOK):
        try:
            lease = read(output)
            if lease is None or lease.run != run:
                on_stop("another launch took over the output")
                return
            if lease.cancelled:
                on_stop("cancelled")
                return
            if time.monotonic() - last > BEAT:
                output.write_if(PATH, _content(run, os.getpid()), lease.tag)
                last = time.monotonic()
        except Conflict:
            continue
        except Exception as error:  # the storage is away: the run may go on until the lease would be free
            if time.monotonic() - last > LASTS / 2:
                on_stop(f"no contact with the output: {error}")
                return


def _content(run: str, pid: int, host: str = "", *, cancelled: bool = False) -> bytes:
    expires = (datetime.now(UTC) + timedelta(seconds=LASTS)).isoformat(timespec="seconds")
    raw: dict[str, Any] = {
        "run": run,
        "host": host or socket.gethostname(),
        "pid": pid,
        "expires": expires,
        "cancelled": cancelled,
    }
    return json.dumps(raw).encode()


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
