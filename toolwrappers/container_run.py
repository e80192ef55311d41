"""`docker run` on a Toil worker: an init and labels, an account of what the container took, an end in time.

--init   cwltool ends a container that outlives its time limit by SIGTERM, which a process with id 1
         ignores; under an init the tool is no process 1;
--label  so that a launch that is cut off finds the containers it left and ends them. On Slurm, the job's id as
         well, for its epilog (provisioning/slurm/epilog).

NEUROCWL_DOCKER is the real client; NEUROCWL_LABELS holds key=value words; NEUROCWL_WORKER names the appliance's
container, where there is one (worker_init.sh). What the container took goes to
used.json in its working folder (NAME below), for stage-out. With NEUROCWL_METADATA (http://169.254.169.254 on EC2)
the notice that a spot instance will be taken away ends the container in time for that.
Source: Amazon EC2 user guide, "Spot Instance interruption notices": two minutes, to be looked for every 5 seconds.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

NAME = ".neurocwl-used.json"
MIB = 1 << 20
FIRST, LONGEST = 0.25, 5.0  # seconds between two looks
TRIES = 6
GRACE = 20  # seconds that a tool has to end once it is told to
LEAVING = 150.0  # seconds in which an instance that was given notice is gone
PATIENCE = 2.0  # seconds that the metadata service has
UTC = datetime.timezone.utc  # noqa: UP017 - a worker may have Python 3.10


@dataclasses.dataclass
class Account:
    """What a container took, as far as anybody saw it."""

    memory: int = 0  # bytes, the most at any look, without the cache of files
    limit: int = 0  # bytes of memory that it may take; 0: no limit
    folder: Path | None = None  # its memory control group
    tries: int = TRIES  # to find it; where docker runs elsewhere it is not to be found

    def look(self, docker: str, cidfile: Path | None) -> None:
        """See what it takes now."""
        if self.folder is None and self.tries:
            self.tries -= 1
            self.folder = _group(docker, cidfile)
        if self.folder is None:
            return
        found = taken(self.folder)
        if found:
            self.memory = max(self.memory, found[0])
            self.limit = found[1]


def taken(group: Path) -> tuple[int, int] | None:
    """(memory in use without the cache of files, limit or 0) in bytes of a control group, version 1 or 2."""
    names = (
        ("memory.current", "memory.max", "inactive_file"),
        ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
    )
    for usage, limit, cache in names:
        try:
            now = int((group / usage).read_text())
            rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            bound = (group / limit).read_text().strip()
        except (OSError, ValueError):
            continue
        most = int(bound) if bound.isdigit() and int(bound) < 1 << 60 else 0
        return max(0, now - int(rows.get(cache, 0))), most
    return None


def _group(docker: str, cidfile: Path | None) -> Path | None:
    """The memory control group of a container that runs on this very machine. Source: cgroups(7)."""
    container = container_of(cidfile)
    if not container:
        return None
    done = subprocess.run(
        [docker, "inspect", "--format", "{{.State.Pid}}", container],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        lines = Path(f"/proc/{int(done.stdout)}/cgroup").read_text().splitlines()
    except (OSError, ValueError):
        return None
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if container not in path:
            continue
        if "memory" in kinds.split(","):
            return Path("/sys/fs/cgroup/memory", path.lstrip("/"))
        if not kinds and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return Path("/sys/fs/cgroup", path.lstrip("/"))
    return None


def container_of(cidfile: Path | None) -> str:
    """The id of the container, once docker has written it."""
    try:
        return cidfile.read_text().strip() if cidfile else ""
    except OSError:
        return ""


def command(words: list[str], labels: list[str]) -> list[str]:
    """The words of `docker run` with an init, the labels, and that of the unit."""
    units = [
        word.partition("=")[2].partition("=")[2] for word in words if word.startswith("--env=NEUROCWL_UNIT=")
    ]
    more = [word for unit in units for word in ("--label", f"neurocwl.unit={unit}")]
    return ["run", "--init", *more, *(word for label in labels for word in ("--label", label)), *words]


def option(words: list[str], name: str) -> str:
    """The value of the first --name=value, as cwltool writes all of docker's options; empty without one."""
    return next((word.partition("=")[2] for word in words if word.startswith(f"--{name}=")), "")


def mounted(words: list[str]) -> dict[str, Path]:
    """Folder in the container -> folder here, of all that it may write to."""
    found = {}
    for word in words:
        fields = word.removeprefix("--mount=").split(",")
        if not word.startswith("--mount=") or "readonly" in fields:
            continue
        known = dict(field.partition("=")[::2] for field in fields)
        if known.get("type") == "bind" and known.get("source") and known.get("target"):
            found[known["target"]] = Path(known["source"])
    return found


def disk_mib(folders: list[Path]) -> int:
    """What lies in folders, in MiB."""
    total = 0
    for folder in folders:
        for base, _, names in os.walk(folder):
            for name in names:
                try:
                    total += os.lstat(os.path.join(base, name)).st_blocks * 512
                except OSError:
                    continue
    return -(-total // MIB)


def notice(service: str) -> str | None:
    """When this spot instance will be taken away (ISO 8601); None when nobody says so.

    Source: Amazon EC2 user guide, "Use IMDSv2" and "Spot Instance interruption notices".
    """
    try:
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        wanted = urllib.request.Request(f"{service}/latest/api/token", method="PUT", headers=ttl)
        with _direct().open(wanted, timeout=PATIENCE) as answer:
            token = answer.read().decode()
        ask = urllib.request.Request(
            f"{service}/latest/meta-data/spot/instance-action", headers={"X-aws-ec2-metadata-token": token}
        )
        with _direct().open(ask, timeout=PATIENCE) as answer:
            said = json.loads(answer.read())
        return str(said["time"]) if said.get("action") in ("terminate", "stop", "hibernate") else None
    except (OSError, ValueError, KeyError, AttributeError):  # 404: no notice
        return None


def _direct() -> urllib.request.OpenerDirector:
    """No proxy knows which machine asks."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def out_of_memory(docker: str, container: str, since: float) -> bool:
    """Whether the kernel ended a process of the container for want of memory; docker remembers its last events."""
    words = ["events", f"--since={since:.3f}", f"--until={time.time() + 0.1:.3f}", "--format={{.Status}}"]
    if not container:
        return False
    wanted = [f"--filter=container={container}", "--filter=event=oom"]
    done = subprocess.run([docker, *words, *wanted], capture_output=True, text=True, timeout=60, check=False)
    return "oom" in done.stdout.split()


class Run:
    """One container, from its start to its end."""

    def __init__(self, docker: str, words: list[str], labels: list[str], service: str) -> None:
        self.docker, self.words, self.service = docker, words, service
        self.begun = time.time()
        self.account = Account()
        self.lost = ""
        cidfile = option(words, "cidfile")
        self.cidfile = Path(cidfile) if cidfile else None
        self.ended = threading.Event()
        self.client = subprocess.Popen([docker, *command(words, labels)])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self.client.send_signal(number))

    def follow(self) -> int:
        """Look at the container until it ends, or until this machine is to go; returns docker's exit status."""

        def wait() -> None:
            self.client.wait()
            self.ended.set()

        threading.Thread(target=wait, daemon=True).start()
        pause = FIRST
        while not self.ended.wait(pause):
            self.account.look(self.docker, self.cidfile)
            pause = min(2 * pause, LONGEST)
            when = notice(self.service) if self.service and not self.lost else None
            if when:
                self.lost = when
                self.stop()
        return self.client.wait()

    def stop(self) -> None:
        """Have docker end the container, while it is still being followed."""
        container = container_of(self.cidfile)
        print(f"neurocwl: spot notice: this instance goes at {self.lost}; the tool is ended", file=sys.stderr)
        if container:
            subprocess.Popen([self.docker, "stop", f"--time={GRACE}", container], stdout=subprocess.DEVNULL)
        else:
            self.client.terminate()

    def report(self) -> None:
        """Write what the container took into its working folder here."""
        folders = mounted(self.words)
        home = folders.get(option(self.words, "workdir"))
        if home is None or not home.is_dir():
            return
        killed = out_of_memory(self.docker, container_of(self.cidfile), self.begun)
        memory = max(self.account.memory, self.account.limit) if killed else self.account.memory
        found: dict[str, Any] = {
            "memory_mib": -(-memory // MIB) or None,
            "disk_mib": disk_mib([*{home, *(f for t, f in folders.items() if t == "/tmp")}]),
            "free_disk_mib": shutil.disk_usage(home).free // MIB,
            "out_of_memory": killed,
            "lost": self.lost or None,
        }
        (home / NAME).write_text(json.dumps(found))


def hold(service: str) -> None:
    """Start nothing on an instance that was given notice: it would take one unit after the other with it."""
    end = time.monotonic() + LEAVING
    while notice(service) and time.monotonic() < end:
        time.sleep(LONGEST)


def main(words: list[str]) -> int:
    """Run one container as told; returns the exit status."""
    service = os.environ.get("NEUROCWL_METADATA", "").rstrip("/")
    if service:
        hold(service)
    docker = os.environ.get("NEUROCWL_DOCKER", "/usr/bin/docker")
    own = {
        "neurocwl.worker": os.environ.get("NEUROCWL_WORKER"),
        "neurocwl.slurm": os.environ.get("SLURM_JOB_ID"),
    }
    labels = [f"{key}={value}" for key, value in own.items() if value]
    run = Run(docker, words, [*os.environ.get("NEUROCWL_LABELS", "").split(), *labels], service)
    status = run.follow()
    try:
        run.report()
    except (OSError, subprocess.SubprocessError) as error:  # the tool's results are worth more than this
        print(f"neurocwl: no account of what the container took: {error}", file=sys.stderr)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
