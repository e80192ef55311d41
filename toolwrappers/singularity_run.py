"""`singularity run` on a Toil worker: an account of what the tool took, an end in time. Beside container_run.py.

Usage: singularity_run.py SINGULARITY WORDS... The tool's processes are children of this one, in the control group of
the batch system's job: there the kernel counts what it ended for want of memory. What the tool took goes to used.json
(NAME) in its working folder, for stage-out; a spot notice ends it, both as container_run.py has it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import container_run
from container_run import FIRST, GRACE, LONGEST, MIB, NAME

CGROUPS = Path("/sys/fs/cgroup")


def resident(root: int) -> int:
    """Bytes of memory of a process and all below it; what several share counts for each. Source: proc(5)."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)], pages[int(entry.name)] = int(fields[1]), int(fields[21])
    family, before = {root}, 0
    while len(family) > before:
        before = len(family)
        family |= {one for one, parent in parents.items() if parent in family}
    return sum(pages.get(one, 0) for one in family) * os.sysconf("SC_PAGE_SIZE")


def own_group(lines: list[str], root: Path = CGROUPS) -> Path | None:
    """The memory control group of this process, from the lines of /proc/self/cgroup. Source: cgroups(7)."""
    for line in lines:
        _, kinds, path = line.split(":", 2)
        base = root / "memory" if "memory" in kinds.split(",") else root if not kinds else None
        if base is None:
            continue
        for folder in (base / path.lstrip("/"), base):  # in a container of its own the group is the root
            if kills(folder) is not None:
                return folder
    return None


def kills(group: Path | None) -> int | None:
    """How many processes of a group the kernel ended for want of memory; None where nobody counts."""
    for name in ("memory.events", "memory.oom_control"):
        try:
            rows = dict(line.split() for line in (group / name).read_text().splitlines()) if group else {}
            return int(rows["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return None


def folders(words: list[str]) -> tuple[Path | None, list[Path]]:
    """The tool's working folder here, and all folders that hold what it writes, from cwltool's options."""
    home, pairs, rest = "", dict[str, Path](), iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if option not in ("--home", "--bind", "--pwd", "--mount"):
            continue
        value = value if equals else next(rest, "")
        if option == "--pwd":
            home = value
        elif option == "--mount":
            pairs |= container_run.mounted([f"--mount={value}"])
        elif not value.endswith(":ro"):
            source, _, target = value.partition(":")
            pairs[target.partition(":")[0]] = Path(source)
    return pairs.get(home), [folder for target, folder in pairs.items() if target in (home, "/tmp")]


class Run:
    """One tool under Singularity, from its start to its end."""

    def __init__(self, words: list[str], service: str) -> None:
        self.words, self.service, self.lost, self.memory = words, service, "", 0
        self.group = own_group(Path("/proc/self/cgroup").read_text().splitlines())
        self.killed = kills(self.group)
        self.ended = threading.Event()
        self.tool = subprocess.Popen(words)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self.tool.send_signal(number))

    def follow(self) -> int:
        """Look at the tool until it ends, or until this machine is to go; returns its exit status."""

        def wait() -> None:
            self.tool.wait()
            self.ended.set()

        threading.Thread(target=wait, daemon=True).start()
        pause = FIRST
        while not self.ended.wait(pause):
            self.memory = max(self.memory, resident(self.tool.pid))
            pause = min(2 * pause, LONGEST)
            when = container_run.notice(self.service) if self.service and not self.lost else None
            if when:
                self.lost = when
                print(
                    f"neurocwl: spot notice: this instance goes at {when}; the tool is ended", file=sys.stderr
                )
                self.tool.terminate()
                if not self.ended.wait(GRACE):
                    self.tool.kill()
        return self.tool.wait()

    def report(self) -> None:
        """Write what the tool took into its working folder here."""
        home, written = folders(self.words)
        if home is None or not home.is_dir():
            return
        now = kills(self.group)
        known = self.killed is not None and now is not None
        found = {
            "memory_mib": -(-self.memory // MIB) or None,
            "disk_mib": container_run.disk_mib(written),
            "free_disk_mib": shutil.disk_usage(home).free // MIB,
            "out_of_memory": (now or 0) > (self.killed or 0) if known else None,
            "lost": self.lost or None,
        }
        (home / NAME).write_text(json.dumps(found))


def main(words: list[str]) -> int:
    """Run one tool as told; returns the exit status."""
    service = os.environ.get("NEUROCWL_METADATA", "").rstrip("/")
    if service:
        container_run.hold(service)
    run = Run(words, service)
    status = run.follow()
    try:
        run.report()
    except OSError as error:  # the tool's results are worth more than this
        print(f"neurocwl: no account of what the tool took: {error}", file=sys.stderr)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
