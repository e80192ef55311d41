"""What an attempt was given, what it took, and whether it ended for want of that. Beside stage_out.py.

A container's account is what container_run.py wrote; where nobody kept one, only the logs speak.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NAME = ".neurocwl-used.json"
FULL_MIB = 16  # a disk with less room is full
TAIL = 1 << 16  # bytes of a log
MARGIN = 15.0  # seconds that the receipt has before the machine goes
DISK_FULL = (b"no space left on device", b"disk quota exceeded", b"errno 28", b"enospc")


@dataclasses.dataclass(frozen=True)
class Account:
    """What the containers of one attempt took: of several, the most of each."""

    known: bool = False  # whether the kernel was asked what it ended for want of memory
    memory_mib: int | None = None
    disk_mib: int | None = None
    free_disk_mib: int | None = None
    out_of_memory: bool = False
    lost: str | None = None  # when the machine goes, ISO 8601

    @property
    def used(self) -> dict[str, int]:
        """As a receipt has it."""
        both = {"memory_mib": self.memory_mib, "disk_mib": self.disk_mib}
        return {name: value for name, value in both.items() if value is not None}

    @property
    def deadline(self) -> float | None:
        """Until when something can still be delivered, in seconds since the epoch; None: there is no hurry."""
        if self.lost is None:
            return None
        return datetime.datetime.fromisoformat(self.lost.replace("Z", "+00:00")).timestamp() - MARGIN


UNKNOWN = Account()  # nobody kept one


def account(files: Iterable[Path]) -> Account:
    """What the accounts of an attempt's containers say; one that cannot be read says nothing."""
    found: list[dict[str, Any]] = []
    for file in files:
        try:
            one = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found += [one] if isinstance(one, dict) else []
    if not found:
        return UNKNOWN

    def all_of(name: str) -> list[int]:
        return [one[name] for one in found if one.get(name) is not None]

    return Account(
        known=all(one.get("out_of_memory") is not None for one in found),
        memory_mib=max(all_of("memory_mib"), default=None),
        disk_mib=max(all_of("disk_mib"), default=None),
        free_disk_mib=min(all_of("free_disk_mib"), default=None),
        out_of_memory=any(one.get("out_of_memory") for one in found),
        lost=next((one["lost"] for one in found if one.get("lost")), None),
    )


def short_of(account: Account, logs: Iterable[Path]) -> str | None:
    """What a failed attempt ran out of: memory, disk, or nothing that anybody knows."""
    if account.out_of_memory:
        return "memory"
    full = account.free_disk_mib is not None and account.free_disk_mib < FULL_MIB
    return "disk" if full or any(_says_full(log) for log in logs) else None


def _says_full(log: Path) -> bool:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        tail = file.read().lower()
    return any(words in tail for words in DISK_FULL)


def words(account: Account, short: str | None, asked: dict[str, Any]) -> str:
    """Why a failed attempt ended, as far as the machine knows; empty when it does not."""
    if account.lost:
        return f"preempted: the instance was to go at {account.lost}"
    if short == "memory":
        with_ = f" with {asked['memory_mib']} MiB" if "memory_mib" in asked else ""
        return f"out of memory{with_}"
    if short == "disk":
        given = asked.get("tmp_mib", 0) + asked.get("out_mib", 0)
        return f"out of disk (asked for {given} MiB)" if given else "out of disk"
    return ""


def killed(account: Account) -> str:
    """What exit code 137 means."""
    if account.lost or account.out_of_memory:
        return " (killed)"
    return " (killed, within its memory limit)" if account.known else " (killed: most likely out of memory)"
