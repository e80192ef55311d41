"""What a check found: one line, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from neurocwl.errors import BadInput, NeurocwlError

OK, WARNING, FAILED, UNKNOWN = "ok", "warning", "failed", "unknown"
STATUSES = (OK, WARNING, FAILED, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, why, and what mends it."""

    name: str
    status: str
    text: str
    fix: str = ""
    blame: type[NeurocwlError] = BadInput  # the error that a launch ends with

    def __post_init__(self) -> None:
        if self.status not in STATUSES or (self.status in (WARNING, FAILED) and not self.fix):
            raise ValueError(f"{self.name}: {self.status} without a fix: {self.text}")

    def as_dict(self) -> dict[str, str]:
        """As docs/formats.md has it."""
        return {"check": self.name, "status": self.status, "text": self.text, "fix": self.fix}


Check = Callable[[], Iterable[Finding]]


def ok(name: str, text: str) -> Finding:
    """It is as it must be."""
    return Finding(name, OK, text)


def warning(name: str, text: str, fix: str) -> Finding:
    """It works, and somebody will be sorry."""
    return Finding(name, WARNING, text, fix)


def failed(name: str, text: str, fix: str, blame: type[NeurocwlError] = BadInput) -> Finding:
    """A launch would fail, or hang."""
    return Finding(name, FAILED, text, fix, blame)


def unknown(name: str, text: str, fix: str = "") -> Finding:
    """It could not be looked at; that is no reason against a launch."""
    return Finding(name, UNKNOWN, text, fix)


def refused(name: str, error: NeurocwlError, fix: str) -> Finding:
    """An error as a finding. Its message may hold a fix behind a semicolon; `fix` is for those that have none."""
    text, _, own = str(error).partition("; ")
    return failed(name, text, own or fix, type(error))


def until_failed(*checks: Check) -> Iterator[Finding]:
    """Make checks one after the other; what comes behind one that failed rests on it and is left out."""
    for check in checks:
        found = list(check())
        yield from found
        if any(one.status == FAILED for one in found):
            return


def gather(checks: Sequence[Check]) -> list[Finding]:
    """Make checks at the same time; their findings in the order of the checks."""
    if not checks:
        return []
    with ThreadPoolExecutor(len(checks)) as pool:
        return [found for findings in pool.map(lambda check: list(check()), checks) for found in findings]
