"""The checklist of the first real run: what no test proves, ticked where a rehearsal has seen it."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from neurocwl import assets, cwlfile
from neurocwl.backend import JOB_STORE, Backend, output_digest
from neurocwl.checks.finding import OK, Finding
from neurocwl.errors import NeurocwlError
from neurocwl.receipts import UNITS
from neurocwl.s3 import Access
from neurocwl.status import DONE, FAILED, Status
from neurocwl.storage import Location
from neurocwl.verify import verify

FILE = "checklist.yml"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to have seen before real units run."""

    name: str
    what: str
    unproved: str  # what the tests leave open
    look: str
    where: tuple[str, ...] = ()
    seen_by: str | None = None

    def concerns(self, words: Collection[str]) -> bool:
        """Whether it is for a backend."""
        return not self.where or bool(set(self.where) & set(words))


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rehearsal leaves to look at."""

    final: Status
    output: Location
    access: Access
    findings: Sequence[Finding]
    environment: Mapping[str, str]


def items() -> list[Item]:
    """The whole list."""
    return [
        Item(
            one["item"],
            one["what"],
            one["unproved"],
            one["look"],
            tuple(one.get("where", ())),
            one.get("seen_by"),
        )
        for one in cwlfile.load(assets.path("provisioning") / FILE)["items"]
    ]


def words_of(backend: Backend, output: str) -> set[str]:
    """By what the list knows a backend."""
    on_s3 = output.startswith("s3://") or backend.job_store == "s3"
    words = {
        backend.batch_system,
        backend.cluster or "",
        "s3" if on_s3 else "",
        "" if backend.here else "elsewhere",
    }
    return words - {""}


def walk(backend: Backend, seen: Rehearsal) -> Iterator[str]:
    """The items of a backend as lines: ticked with what was seen, or with where to look."""
    yield "before real units run (docs/first-real-run.md says why):"
    for item in items():
        if item.concerns(words_of(backend, seen.output.url)):
            proof = _proof(item, seen)
            yield f"  [{'x' if proof else ' '}] {item.what} {f'Seen: {proof}' if proof else f'Look: {item.look}'}"


def page() -> str:
    """docs/first-real-run.md."""
    lines = [
        "# The first real run",
        "",
        "Clouds and clusters are emulated where this is tested. What that leaves open is below, from",
        "[checklist.yml](../provisioning/checklist.yml). `neurocwl launch ... --rehearse --backend B` walks through it: it ticks",
        "what the rehearsal itself has seen, and says of the rest where to look.",
        "",
        "| for | what must be so | what no test proved | where to look |",
        "|---|---|---|---|",
    ]
    for item in items():
        place = "seen by the rehearsal; else " if item.seen_by else ""
        look = item.look.replace("|", "\\|")
        lines.append(f"| {', '.join(item.where) or 'all'} | {item.what} | {item.unproved} | {place}{look} |")
    return "\n".join([*lines, ""])


def _proof(item: Item, seen: Rehearsal) -> str:
    """What a rehearsal has seen of an item; '' for nothing."""
    if item.seen_by is None:
        return ""
    try:
        return PROOFS[item.seen_by](seen)
    except NeurocwlError:
        return ""


def _found(*names: str) -> Callable[[Rehearsal], str]:
    def proof(seen: Rehearsal) -> str:
        told = [one for one in seen.findings if one.name in names]
        return "; ".join(one.text for one in told) if told and all(one.status == OK for one in told) else ""

    return proof


def _units_done(seen: Rehearsal) -> str:
    return f"{len(seen.final.units)} units are done" if seen.final.units and seen.final.complete else ""


def _hosts(seen: Rehearsal) -> str:
    """The machines that delivered, when they are others than the one that launched."""
    run = seen.final.run
    texts = [seen.output.read(f"{UNITS}{unit.unit}/receipt.json") or b"{}" for unit in seen.final.units]
    receipts = [json.loads(text) for text in texts]
    hosts = {str(one["host"]) for one in receipts if one.get("run") == run.run and one.get("host")}
    return ", ".join(sorted(hosts - {run.host}))


def _verified(seen: Rehearsal) -> str:
    found = verify(seen.output, seen.final.run, deep=False)
    return f"{found.count('equal')} files are equal" if not found.wrong and found.count("equal") else ""


def _failures(seen: Rehearsal) -> str:
    failed = [unit.unit for unit in seen.final.units if unit.status == FAILED]
    done = sum(unit.status == DONE for unit in seen.final.units)
    return f"{', '.join(failed[:3])} failed, {done} others are done" if failed and done else ""


def _job_stores(seen: Rehearsal) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    from neurocwl import s3

    sign = f"{JOB_STORE}{output_digest(seen.output.url, seen.environment)}"
    try:
        names = [one["Name"] for one in s3.client(seen.access).list_buckets()["Buckets"]]
    except (BotoCoreError, ClientError):
        return ""
    return "" if any(name.startswith(sign) for name in names) else "no bucket of this output is left"


PROOFS: Mapping[str, Callable[[Rehearsal], str]] = {
    "credentials": _found("credentials"),
    "conditional-writes": _found("conditional-writes"),
    "quotas": _found("quota of nodes", "quota of spot nodes"),
    "units-done": _units_done,
    "hosts": _hosts,
    "verified": _verified,
    "failures": _failures,
    "job-stores": _job_stores,
}
