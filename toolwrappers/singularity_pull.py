"""`singularity pull --name TARGET URL` on a Toil worker: whoever comes first pulls, the others wait for the file.

Usage: singularity_pull.py SINGULARITY pull ... Toil means to do so itself, but its lock is never taken (9.6.0: it asks
whether a class is an instance of itself). A target that is there is whole: it is pulled beside it, and renamed.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path


def target_of(words: list[str]) -> Path | None:
    """Where the image goes; None when the words do not say so in cwltool's way."""
    for index, word in enumerate(words[:-1]):
        if word == "--name":
            return Path(words[index + 1])
    return None


def pull(program: str, words: list[str], target: Path) -> int:
    """Pull, unless somebody else has meanwhile; returns the exit status."""
    lock = target.with_name(f".{target.name}.lock")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with lock.open("a") as held:  # it stays: who removes a lock's file lets two hold it
        fcntl.flock(held, fcntl.LOCK_EX)
        if target.exists() and "--force" not in words:
            return 0
        try:
            command = [str(part) if word == str(target) else word for word in words]
            status = subprocess.call([program, *command])
            if status == 0:
                part.replace(target)
            return status
        finally:
            part.unlink(missing_ok=True)


def main(program: str, words: list[str]) -> int:
    """Run singularity with these words; returns its exit status."""
    target = target_of(words)
    return subprocess.call([program, *words]) if target is None else pull(program, words, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
