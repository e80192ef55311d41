"""What a launch shows while it runs: a live display on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from neurocwl.receipts import Receipt

if TYPE_CHECKING:
    from rich.console import Group


class Display(Protocol):
    """Shows units as they end and as they run."""

    def ended(self, unit: str, receipt: Receipt | None) -> None: ...
    def running(self, units: list[str]) -> None: ...
    def say(self, line: str) -> None: ...
    def again(self, line: str, *, counted: bool) -> None: ...


@dataclass(slots=True)
class Tally:
    """Counts of a run, as far as it got."""

    total: int
    done: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)

    def count(self, receipt: Receipt | None) -> None:
        """Count a unit that ended."""
        if receipt and receipt.status == "done":
            self.done += 1
        else:
            self.failed += 1

    def again(self) -> None:
        """A unit that had failed runs again."""
        self.failed = max(0, self.failed - 1)

    @property
    def line(self) -> str:
        """'5/12 (4 done, 1 failed), 0:03:10'."""
        seconds = int(time.monotonic() - self.started)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{self.done + self.failed}/{self.total} ({self.done} done, {self.failed} failed), {clock}"


def outcome(unit: str, receipt: Receipt | None) -> str:
    """One line on a unit that ended."""
    if receipt is None:
        return f"{unit}: ended without a receipt"
    size = sum(written.size for written in receipt.delivered)
    if receipt.status == "done":
        return f"{unit}: done, {len(receipt.delivered)} files, {human(size)}"
    return f"{unit}: {receipt.status}, {receipt.reason}"


def human(size: float) -> str:
    """A size in bytes for people: '3.2 MB'."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


class Lines:
    """Plain lines, one for each thing that happens."""

    def __init__(self, tally: Tally, stream: TextIO) -> None:
        self.tally, self.stream, self._running = tally, stream, [""]

    def ended(self, unit: str, receipt: Receipt | None) -> None:
        self.tally.count(receipt)
        self.say(f"[{self.tally.line}] {outcome(unit, receipt)}")

    def running(self, units: list[str]) -> None:
        new = [unit for unit in units if unit not in self._running]
        if new:
            self.say(f"[{self.tally.line}] running: {', '.join(units)}")
        self._running = units

    def say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)

    def again(self, line: str, *, counted: bool) -> None:
        if counted:
            self.tally.again()
        self.say(line)


class Live:
    """A progress bar, the units that run, and above them the lines of those that ended."""

    def __init__(self, tally: Tally, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self.tally, self.units = tally, list[str]()
        self.console = Console(file=stream)
        self.live = RichLive(console=self.console, refresh_per_second=2, get_renderable=self._render)

    def _render(self) -> "Group":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        shown = ", ".join(self.units[:8]) + (
            f" and {len(self.units) - 8} more" if len(self.units) > 8 else ""
        )
        bar = ProgressBar(
            total=max(self.tally.total, 1), completed=self.tally.done + self.tally.failed, width=60
        )
        return Group(bar, Text(self.tally.line), Text(f"running: {shown or 'nothing yet'}", style="dim"))

    def ended(self, unit: str, receipt: Receipt | None) -> None:
        self.tally.count(receipt)
        style = "green" if receipt and receipt.status == "done" else "red"
        self.console.print(outcome(unit, receipt), style=style, markup=False, highlight=False)

    def running(self, units: list[str]) -> None:
        self.units = units

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False)

    def again(self, line: str, *, counted: bool) -> None:
        if counted:
            self.tally.again()
        self.say(line)


@contextmanager
def display(total: int, stream: TextIO | None = None) -> Iterator[Display]:
    """The display that fits the stream (standard error by default)."""
    out = stream or sys.stderr
    tally = Tally(total)
    if not out.isatty():
        yield Lines(tally, out)
        return
    live = Live(tally, out)
    with live.live:
        yield live


def throttled(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    """An action that happens at most once in so many seconds."""
    last = [0.0]

    def run() -> None:
        if time.monotonic() - last[0] >= seconds:
            last[0] = time.monotonic()
            action()

    return run
