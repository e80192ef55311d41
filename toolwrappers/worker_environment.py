"""What a step without a container needs of the worker that started it. Beside stage_in.py and stage_out.py."""

from __future__ import annotations

import os
import re
from pathlib import Path

REACHES_S3 = re.compile(r"AWS_\w+|\w+_PROXY|\w+_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE")
WORKER = re.compile(rb"_toil_(worker|contained_executor)\b")
GENERATIONS = 8


def seconds_since_start() -> int | None:
    """How long the Toil worker above this step has run; None where there is none.

    Tool and stage-out are one chain in one worker, so that this is what the unit took, its downloads included.
    Source: proc(5); /proc/PID/stat counts a process's start in ticks since the machine's.
    """
    parent, begun = os.getppid(), None
    for _ in range(GENERATIONS):
        try:
            words = Path(f"/proc/{parent}/cmdline").read_bytes()
            stat = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
            now = float(Path("/proc/uptime").read_text().split()[0])
        except (OSError, ValueError):
            break
        if WORKER.search(words):
            begun = now - int(stat[19]) / os.sysconf("SC_CLK_TCK")
        parent = int(stat[1])
    return None if begun is None else round(begun)


def adopt() -> None:
    """Take what reaches S3 (AWS_*, proxies, certificates, HOME) from the nearest process above that has it.

    CWL runners empty a step's environment. The alternative, telling them not to, hands the keys to the
    tool's container as well. Source: proc(5), /proc/PID/environ and /proc/PID/stat.
    """
    parent, step_home = os.getppid(), os.environ.get("HOME")
    for _ in range(GENERATIONS):
        try:
            words = Path(f"/proc/{parent}/environ").read_bytes().split(b"\0")
            above = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            return
        above_it = {name: value for name, _, value in (os.fsdecode(word).partition("=") for word in words)}
        reaching = {name: value for name, value in above_it.items() if REACHES_S3.fullmatch(name)}
        if reaching or above_it.get("HOME") not in (None, step_home):
            # The runner did not empty this one. What a process farther up has and this one lacks was taken away.
            for name, value in reaching.items():
                os.environ.setdefault(name, value)
            os.environ["HOME"] = above_it.get("HOME", os.environ.get("HOME", "/"))
            return
        parent = above
