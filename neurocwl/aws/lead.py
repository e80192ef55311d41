"""`neurocwl cluster lead`: what runs on a cluster's leader for one launch, and ends the cluster when it is the last."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurocwl.receipts import STATE
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location

MEMORY = "/dev/shm"  # a tmpfs: licences and webhooks that lie here never get onto a disk
PREFIX = "neurocwl-"
TASK = "task.json"
PID = "pid"
ROOM = Path("/var/tmp/neurocwl")  # Toil mounts /var/tmp of the leader into its appliance
NOTHING_RAN = (2, 4)  # bad input, and another launch: whoever started it will mend it and try again
STARTING = 600.0  # seconds in which a launch that was brought here should have begun


@dataclass(frozen=True, slots=True)
class Task:
    """One launch to be carried out here."""

    id: str
    words: list[str]
    environment: Mapping[str, str]
    output: str
    cluster: str
    leader: str  # the id of this instance
    keep_cluster: bool

    def as_dict(self) -> dict[str, Any]:
        """As its file has it."""
        return asdict(self)


def folder_of(leader: str, one: str) -> str:
    """Where the files of a launch go, in memory."""
    return f"{MEMORY}/{PREFIX}{leader}-{one}"


def room(leader: str) -> Path:
    """The folder of a leader for what is no secret."""
    return ROOM / leader


def outputs(leader: str) -> Path:
    """The file of where launches on a cluster write, a line for each: the dead man's switch reads it."""
    return room(leader) / "outputs"


def carry_out(file: Path) -> int:
    """Run a launch from its file, record how it ended at its output, and end the cluster unless others need it."""
    task = Task(**json.loads(file.read_text()))
    file.unlink()
    folder = file.parent
    (folder / PID).write_text(str(os.getpid()))
    environment = {**os.environ, **task.environment}
    place = room(task.leader)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with outputs(task.leader).open("a") as known:
        known.write(f"{task.output}\n")
    log = place / f"{task.id}.log"
    try:
        with log.open("wb") as out:
            code = subprocess.run(
                [sys.executable, "-m", "neurocwl", *task.words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={"NEUROCWL_WORK_DIR": str(place / "work"), **environment},
                check=False,
            ).returncode
    finally:
        last = leave(folder, task.leader)
    os.environ.update(task.environment)
    _record(task, code, log.read_text(errors="replace"))
    if last and not task.keep_cluster and code not in NOTHING_RAN:
        words = ["cluster", "destroy", task.cluster, "--yes", "--on-leader"]
        with log.open("ab") as out:
            subprocess.run(
                [sys.executable, "-m", "neurocwl", *words],
                stdout=out,
                stderr=out,
                env=environment,
                check=False,
            )
    return code


def leave(folder: Path, leader: str) -> bool:
    """Remove the folder of a launch; returns whether no other launch is here or about to begin.

    Of several that end at once exactly one is the last.
    """
    with _alone(folder.parent / f"{PREFIX}{leader}.lock"):
        shutil.rmtree(folder, ignore_errors=True)
        return not any(_busy(other) for other in folder.parent.glob(f"{PREFIX}{leader}-*/"))


def _busy(folder: Path) -> bool:
    try:
        pid = int((folder / PID).read_text())
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            return time.time() - folder.stat().st_mtime < STARTING
        return False
    return Path(f"/proc/{pid}").exists()


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _record(task: Task, code: int, log: str) -> None:
    """Leave at the output how it ended: the leader, and its disk, may be gone in a minute."""
    found = {"cluster": task.cluster, "words": task.words, "exit_code": code, "log": log}
    _place(task.output).write(_path(task.id), json.dumps(found, indent=1, ensure_ascii=False).encode())


def ended(output: Location, one: str) -> dict[str, Any] | None:
    """How a launch on a leader ended; None while it has not."""
    data = output.read(_path(one))
    return None if data is None else json.loads(data)


def _place(output: str) -> Location:
    return open_location(output, Access())


def _path(one: str) -> str:
    return f"{STATE}/leaders/{one}.json"
