"""Toil, as a subprocess: one toil-cwl-runner for one shard, followed by its message file."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurocwl.errors import InfrastructureError

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # nothing may be loaded between fork and exec
POLL = 0.5  # seconds
LOST, MEMLIMIT, KILLED = "LOST", "MEMLIMIT", "KILLED"  # why Toil's workers end before they are through
PATIENCE = 20.0  # seconds that Toil has to stop its workers

# The scatter index stands in the name of the job that ends a unit: "workflow.cwl.3._:<uuid>._resolve".
_GIVEN_UP = re.compile(r"Job failed with exit value (\S+): .* (\S+) v\d+\n(?:.*\n)??.*Exit reason: (\w+)")
_FAILED = re.compile(r"JobFailedMessage\t[^\t]*\t(\S+)")
_ENDED = re.compile(r"JobCompletedMessage\t[^\t]*\.(\d+)\.[^\t]*_resolve\t[^\t]*\t0")


@dataclass(frozen=True, slots=True)
class Leader:
    """One toil-cwl-runner to be."""

    workflow: Path
    job_order: Path
    folder: Path  # job store, temporary files and logs; the caller removes it
    environment: Mapping[str, str]
    options: Sequence[str] = ()  # replace those of the same name below
    without: Sequence[str] = ()  # variables of this process that it must not have
    job_store: str = ""  # Toil's locator; without one it lies in the folder

    @property
    def log(self) -> Path:
        """The leader's log."""
        return self.folder / "leader.log"

    @property
    def messages(self) -> Path:
        """Toil's message file: one line per thing that happens to a job."""
        return self.folder / "messages.tsv"

    def command(self) -> list[str]:
        """The command line."""
        return [
            str(executable()),
            "--reference-inputs",
            "--no-prepull",
            "--relax-path-checks",
            "--disableProgress",
            "--retryCount=1",
            "--clean=always",
            "--cleanWorkDir=always",
            f"--jobStore={self.job_store or self.folder / 'jobstore'}",
            f"--workDir={self.folder / 'work'}",
            f"--coordinationDir={self.folder / 'coordination'}",
            f"--tmpdir-prefix={self.folder / 'tmp'}/",
            f"--outdir={self.folder / 'out'}",
            f"--writeMessages={self.messages}",
            *self._batch_logs(),
            *self.options,
            str(self.workflow),
            str(self.job_order),
        ]

    def _batch_logs(self) -> list[str]:
        """Where nodes share the folder, what a batch system notes of each job goes with it, and is removed with it."""
        return [] if self.job_store.startswith("aws:") else [f"--batchLogsDir={self.folder / 'batch'}"]


def executable() -> Path:
    """toil-cwl-runner beside this Python.

    Raises InfrastructureError when it is not installed.
    """
    found = Path(sys.executable).parent / "toil-cwl-runner"
    if not found.exists():
        raise InfrastructureError(f"{found} is missing; reinstall: pip install 'neurocwl'")
    return found


def run(
    leader: Leader, stop: threading.Event, on_unit: Callable[[int], None], on_tick: Callable[[], None]
) -> int:
    """Run one shard; on_unit(i) is told when the i-th unit ended. Returns Toil's exit code.

    When `stop` is set, Toil and everything that it started are ended. Nothing outlives this process.
    """
    for name in ("work", "coordination", "tmp"):
        (leader.folder / name).mkdir(parents=True, exist_ok=True)
    with leader.log.open("ab") as log, (leader.folder / "outputs.json").open("wb") as outputs:
        process = subprocess.Popen(
            leader.command(),
            stdin=subprocess.DEVNULL,
            stdout=outputs,
            stderr=log,
            env={**{k: v for k, v in os.environ.items() if k not in leader.without}, **leader.environment},
            cwd=leader.folder,
            start_new_session=True,  # Ctrl-C reaches the launcher alone, which then ends Toil in order
            preexec_fn=_end_with_parent,
        )
    seen = 0
    try:
        while process.poll() is None and not stop.is_set():
            time.sleep(POLL)
            seen = _follow(leader.messages, seen, on_unit)
            on_tick()
        if stop.is_set():
            end_tree(process)
    except BaseException:
        end_tree(process)
        raise
    finally:
        end_strays(str(leader.folder))
    _follow(leader.messages, seen, on_unit)
    return process.wait()


def end_strays(sign: str) -> int:
    """Kill leaders and workers whose own leader or launcher was killed: they would go on, and commit.

    sign: what stands in their command line (the leader's folder) or in their labels (NEUROCWL_LABELS, as
    containers.environment writes them). Returns how many there were.
    """
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if not any("_toil_worker" in word or "toil-cwl-runner" in word for word in words[:3]):
            continue
        with contextlib.suppress(psutil.Error):
            if any(sign in word for word in words) or sign in process.environ().get("NEUROCWL_LABELS", ""):
                found += [process, *process.children(recursive=True)]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return len(found)


def end_tree(process: "subprocess.Popen[bytes]") -> None:
    """End Toil's leader and all its workers, gently first."""
    import psutil

    if process.poll() is not None:
        return
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
    for child in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.is_running():
                child.kill()
    process.wait()


def _follow(messages: Path, offset: int, on_unit: Callable[[int], None]) -> int:
    """Tell of the units that ended since an offset; returns the offset after the last whole line."""
    if not messages.exists():
        return offset
    with messages.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole = data.rfind(b"\n") + 1
    for index in ended_units(data[:whole].decode("utf-8", "replace")):
        on_unit(index)
    return offset + whole


def ended_units(text: str) -> list[int]:
    """The scatter indices of the units that ended, in Toil's messages."""
    return [int(match.group(1)) for match in _ENDED.finditer(text)]


def given_up(log: str, messages: str) -> str:
    """Why Toil gave up jobs of a shard: LOST (their nodes went away), MEMLIMIT, KILLED, FAILED; empty when it did not.

    log: the leader's; messages: Toil's message file. Neither says which unit a job works for: KILLED stands for several
    reasons at once, too. A worker that ends by itself, because something in the workflow went wrong, has exit value 1.
    """
    last = {m[2]: _reason(m[1], m[3]) for m in _GIVEN_UP.finditer(log)}
    found = {last[job] for job in _FAILED.findall(messages) if job in last}
    return KILLED if len(found) > 1 else next(iter(found), "")


def _reason(value: str, said: str) -> str:
    if said in (LOST, MEMLIMIT):
        return said
    return "FAILED" if value == "1" else KILLED


def _end_with_parent() -> None:
    """Have the kernel interrupt this process when the launcher dies (prctl PR_SET_PDEATHSIG)."""
    if _LIBC:
        _LIBC.prctl(1, signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
