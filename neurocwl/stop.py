"""The wish that a run ends early: by a signal, by cancel, or because the lease is lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OVER_BUDGET = "over-budget"  # a run's status


class Stop(threading.Event):
    """Set when the run must end early; knows why."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self.say, self.reason, self.status = say, "", "finished"

    def __call__(self, reason: str) -> None:
        """End the run, and say why."""
        self.reason, self.status = reason, "cancelled" if reason == "cancelled" else "interrupted"
        self.set()

    def over_budget(self, reason: str) -> None:
        """End the run because it may spend no more; nothing runs that would be lost."""
        if not self.is_set():
            self.reason, self.status = reason, OVER_BUDGET
            self.set()

    def broken(self, error: BaseException) -> None:
        """Remember that the run ended by an error, unless it was being stopped."""
        if not self.is_set():
            self.reason, self.status = str(error), "broken"

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run in order."""

        def handle(number: int, frame: object) -> None:
            if not self.is_set():
                self.say("stopping; units that are done stay done (once more to stop hard) ...")
                self(f"stopped by {signal.Signals(number).name}")
            else:
                raise KeyboardInterrupt

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if (
            signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        ):  # under nohup a closed terminal ends nothing
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
