"""Who is told how a run goes, while it goes."""

from collections.abc import Sequence
from typing import Any

from neurocwl.receipts import Receipt
from neurocwl.runs import Run
from neurocwl.stop import Stop
from neurocwl.storage import Location


class Watch:
    """Is told how a run goes; this one does nothing with it."""

    closed = False  # whether nothing that has ended begins again
    gated = False  # whether units ask at the output before they start (toolwrappers/gate.py)

    def begin(self, run: Run, output: Location, stop: Stop) -> None:
        """A run has begun."""

    def ended(self, unit: str, receipt: Receipt | None) -> None:
        """A unit has ended; the receipt is of this run, None: it left none."""

    def kept_back(self, unit: str) -> bool:
        """Whether a unit that left no receipt was kept from starting."""
        return False

    def look(self) -> None:
        """Time has passed."""

    def idle(self) -> None:
        """No Toil leader runs: a shard is over."""

    def record(self) -> dict[str, Any]:
        """What run.json shall say of it."""
        return {}


class Watches(Watch):
    """Several, told one after the other."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self.watches = watches
        self.gated = any(watch.gated for watch in watches)

    @property
    def closed(self) -> bool:  # type: ignore[override]
        return any(watch.closed for watch in self.watches)

    def begin(self, run: Run, output: Location, stop: Stop) -> None:
        for watch in self.watches:
            watch.begin(run, output, stop)

    def ended(self, unit: str, receipt: Receipt | None) -> None:
        for watch in self.watches:
            watch.ended(unit, receipt)

    def kept_back(self, unit: str) -> bool:
        return any(watch.kept_back(unit) for watch in self.watches)

    def look(self) -> None:
        for watch in self.watches:
            watch.look()

    def idle(self) -> None:
        for watch in self.watches:
            watch.idle()

    def record(self) -> dict[str, Any]:
        return {key: value for watch in self.watches for key, value in watch.record().items()}
