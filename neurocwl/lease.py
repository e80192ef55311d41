"""The lease on an output: two launches into one prefix never both run, and a launch can be cancelled."""

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from neurocwl.errors import Busy, Conflict, InfrastructureError
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
    kernel: str  # of the holder: one boot of one machine, and one space of process numbers on it
    born: str  # when its process began, as that kernel counts

    @property
    def alive(self) -> bool:
        """Whether its holder still runs, as far as can be told from here."""
        if self.kernel == kernel():
            return self.born == born(self.pid)
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
    try:
        raw = json.loads(found[0])
        return Lease(
            run=raw["run"],
            host=raw["host"],
            pid=raw["pid"],
            expires=datetime.fromisoformat(raw["expires"]),
            cancelled=raw["cancelled"],
            tag=found[1],
            kernel=raw["kernel"],
            born=raw["born"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(
            f"{output.url}/{PATH} is damaged ({error!r}); when no launch writes there, delete it"
        ) from error


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
            output.write_if(PATH, _content(lease, cancelled=True), lease.tag)
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


def _unless_own(output: Location, run: str) -> Lease | None:
    """The lease on an output; one of the same run is waited for while its holder gives no sign of life.

    Kubernetes starts a leader that was lost again in seconds, as the same run, and gives up after three.
    """
    first = lease = read(output)
    while first and lease and lease.alive and lease.run == run and lease.expires == first.expires:
        time.sleep(LOOK)
        lease = read(output)
    return lease


def _acquire(output: Location, run: str) -> str:
    lease = _unless_own(output, run)
    if lease and lease.alive:
        raise Busy(
            f"{output.url} is being written by {lease.holder}; wait for it, or stop it: neurocwl cancel {output.url}"
            f" (without a sign of life it is free at {lease.expires:%H:%M:%S} UTC)"
        )
    try:
        return output.write_if(PATH, _content(_own(run)), lease.tag if lease else None)
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
                output.write_if(PATH, _content(_own(run)), lease.tag)
                last = time.monotonic()
        except Conflict:
            continue
        except Exception as error:  # the storage is away: the run may go on until the lease would be free
            if time.monotonic() - last > LASTS / 2:
                on_stop(f"no contact with the output: {error}")
                return


def _own(run: str) -> Lease:
    pid = os.getpid()
    return Lease(run, socket.gethostname(), pid, datetime.now(UTC), False, "", kernel(), born(pid))


def _content(lease: Lease, *, cancelled: bool = False) -> bytes:
    raw: dict[str, Any] = {
        "run": lease.run,
        "host": lease.host,
        "pid": lease.pid,
        "kernel": lease.kernel,
        "born": lease.born,
        "expires": (datetime.now(UTC) + timedelta(seconds=LASTS)).isoformat(timespec="seconds"),
        "cancelled": cancelled,
    }
    return json.dumps(raw).encode()


def kernel() -> str:
    """What tells this machine, this boot of it and this space of process numbers from all others.

    A host name does not: clones of a virtual machine share it, and so do containers. Without Linux's
    /proc, something that is never met again: then a lease runs out by its time alone.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"unknown {secrets.token_hex(16)}"


def born(pid: int) -> str:
    """When a process began, in the kernel's own count; "" when it does not run (proc(5), stat, field 22)."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]
