"""Faults on demand, told through NEUROCWL_REHEARSAL.

MODE applies to every participant, MODE@LABEL to one; several are separated by commas:
`fail@03,oom@07`. Modes: fail, crash-late, missing-report, oom, oom-below=MIB, disk-full, hang, linger.
"""

import signal
import sys
import time
from pathlib import Path
from types import FrameType

MODES = ("fail", "crash-late", "missing-report", "oom", "oom-below", "disk-full", "hang", "linger")
STEP = 32 << 20
KILLED = 137


def mode(text: str, *labels: str) -> str:
    """The fault for a unit known by any of these labels (oom-below with its `=MIB`), or the empty string.

    ValueError for an unknown mode: a misspelt fault must not pass for a success.
    """
    known_as = {label.removeprefix("sub-") for label in labels}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        wanted, _, label = entry.partition("@")
        name, _, value = wanted.partition("=")
        if name not in MODES or (name == "oom-below") != value.isdigit():
            raise ValueError(f"NEUROCWL_REHEARSAL: unknown fault {wanted!r}; known: {', '.join(MODES)}")
        if not label or label.removeprefix("sub-") in known_as:
            return wanted
    return ""


def ending(fault: str, asked: int) -> int | None:
    """The exit status of a fault that ends the work before it begins; None for any other.

    asked: bytes of memory to take where no limit is in force.
    """
    name, _, value = fault.partition("=")
    if name == "hang":
        return hang()
    if name == "disk-full":
        return fill_disk()
    if name == "oom" or (name == "oom-below" and _limit() < int(value) << 20):
        return exhaust_memory(asked)
    return None


def fill_disk() -> int:
    """Write to a device that is always full; returns the exit status of a tool that gives up."""
    try:
        with Path("/dev/full").open("wb") as full:
            full.write(b"rehearsal")
    except OSError as error:
        print(f"rehearsal disk-full: {error}", file=sys.stderr)
    return 1


def exhaust_memory(asked: int) -> int:
    """Take and touch memory until killed; returns the exit status to end with if that does not happen.

    Goes a little beyond the container's limit, or to twice `asked` bytes where no limit is in force, and
    never beyond four fifths of what the machine has free: a rehearsal must not take the machine down.
    """
    limit = _limit()
    bound = min(limit + limit // 8 if limit else 2 * asked, _available() * 4 // 5)
    taken: list[bytearray] = []
    while len(taken) * STEP < bound:
        block = bytearray(STEP)
        block[::4096] = b"\1" * len(block[::4096])
        taken.append(block)
    print(
        f"rehearsal oom: took {len(taken) * STEP >> 20} MiB and was not killed: "
        + (f"the limit of {limit >> 20} MiB does not hold" if limit else "no memory limit is in force")
        + f". Ending with {KILLED}, as a killed process would.",
        file=sys.stderr,
    )
    return KILLED


def hang() -> int:
    """Sleep until told to end."""
    print("rehearsal hang: sleeping until killed", file=sys.stderr, flush=True)

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    # The first process of a container gets no default action for signals.
    signal.signal(signal.SIGTERM, end)
    while True:
        time.sleep(3600)


def _limit() -> int:
    """The memory limit of this container in bytes (cgroup v2, v1), or 0."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text().strip() if Path(path).is_file() else ""
        if text.isdigit() and int(text) < 1 << 50:
            return int(text)
    return 0


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 4 << 30
