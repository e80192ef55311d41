"""What people who are elsewhere are told of a launch, and when."""

from neurocwl.channels import Tell
from neurocwl.receipts import Receipt
from neurocwl.runs import Run
from neurocwl.status import Status, summary
from neurocwl.stop import Stop
from neurocwl.storage import Location
from neurocwl.watch import Watch

FAILURES = 5  # named in a message


class FirstFailure(Watch):
    """Tells of the first unit that fails, while the others go on."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: set[bool] = set()

    def begin(self, run: Run, output: Location, stop: Stop) -> None:
        self._run = run

    def ended(self, unit: str, receipt: Receipt | None) -> None:
        if receipt is None or receipt.status != "failed":
            return
        last = receipt.attempts[-1] if receipt.attempts else {}
        more = bool(last.get("short_of"))  # may run again: what nothing helps is told all the same
        if not last.get("lost") and more not in self._told:
            self._told |= {more, True}
            self._tell(failed(self._run, unit, receipt.reason, more))


def begun(pipeline: str, units: int, output: str) -> str:
    """What is said when a launch begins."""
    return f"{pipeline}: {units} units begin, results go to {output}"


def failed(run: Run, unit: str, reason: str, more: bool = False) -> str:
    """What is said of the first unit that fails. more: it runs again where it may have more memory or disk."""
    again = ", and it runs again if it may have more" if more else ""
    return (
        f"{run.pipeline}: {unit} failed, the first one; the others go on{again}\n{reason}\n"
        f"neurocwl logs {run.output} {unit}"
    )


def spending(pipeline: str, output: str, text: str) -> str:
    """What is said of a budget."""
    return f"{pipeline}: {text} ({output})"


def ended(found: Status) -> str:
    """What is said when a launch has ended."""
    run = found.run
    failed = [unit for unit in found.units if unit.status == "failed"]
    lines = [f"{run.pipeline}: {run.status}: {summary(found.counts)}. {run.output} (run {run.run})"]
    lines += [run.message] if run.message else []
    lines += [found.cost] if found.cost else []
    lines += [f"{unit.unit}: {unit.reason}" for unit in failed[:FAILURES]]
    if len(failed) > FAILURES:
        lines.append(f"and {len(failed) - FAILURES} more")
    return "\n".join(lines)


def broken(pipeline: str, output: str, error: Exception) -> str:
    """What is said when a launch could not go on."""
    return f"{pipeline}: broken: {error} ({output})"
