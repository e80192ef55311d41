"""Tables and summaries for people."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from neurocwl.bids import Problem
from neurocwl.budget import lasting, money
from neurocwl.parameters import parameters_of
from neurocwl.progress import human
from neurocwl.template import Template

if TYPE_CHECKING:
    from rich.console import Console

    from neurocwl.aws.audit import Audit
    from neurocwl.aws.cluster import Cluster
    from neurocwl.budget import Tariff
    from neurocwl.checks.finding import Finding
    from neurocwl.cost import Estimate
    from neurocwl.plan import Plan
    from neurocwl.status import Status
    from neurocwl.verify import Verification

ROWS = 200  # of one table; more are summed up
NODE_TYPES = 12  # of a price table
COLOURS = {"done": "green", "failed": "red", "incomplete": "yellow", "cut-off": "red", "ready": "cyan"}


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    # Off a terminal nothing is cut to 80 columns: somebody greps it.
    return Console(file=stream, width=None if stream.isatty() else 200, highlight=False, soft_wrap=True)


def _table(
    stream: TextIO, columns: Sequence[str], rows: Iterable[Sequence[str]], styles: Mapping[str, str] = COLOURS
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    _console(stream).print(table)


def findings(found: "Sequence[Finding]", out: TextIO) -> None:
    """A line for each check, with its fix; those that failed are counted."""
    colours = {"ok": "green", "failed": "red", "warning": "yellow", "unknown": "yellow"}
    rows = [(one.name, one.status, f"{one.text}; {one.fix}" if one.fix else one.text) for one in found]
    _table(out, ("check", "status", "what, and what mends it"), rows, colours)
    counts = {status: sum(one.status == status for one in found) for status in colours}
    print(", ".join(f"{count} {status}" for status, count in counts.items() if count), file=out)


def plan(made: "Plan", *, brief: bool = False, stream: TextIO | None = None) -> None:
    """The units of a plan with what would happen to each, and the problems of the dataset."""
    out = stream or sys.stdout
    shown = [u for u in made.units if not brief or u.status == "incomplete" or u.notes]
    if shown:
        rows = [
            (u.unit.name, u.status, str(u.order.files), human(u.order.size), u.reason) for u in shown[:ROWS]
        ]
        _table(out, ("unit", "status", "files", "size", "why"), rows)
        _more(out, len(shown))
    ready = made.of("ready")
    counts = made.as_dict()["counts"]
    words = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "none"
    size = human(sum(u.order.size for u in ready))
    print(f"{made.pipeline}: {len(made.units)} units ({words}); {size} to read", file=out)
    problems(made.problems, out, limit=2 if brief else 5)


def prices(found: "Estimate") -> None:
    """Node types with their dollars and hours, the cheapest first, and all that the figures rest on."""
    work, best, quick = found.work, found.cheapest, found.fastest
    shown = list(found.options[:NODE_TYPES])
    rows = [
        (
            option.node,
            str(option.packing.nodes),
            str(option.packing.at_once),
            f"{option.packing.hours:.1f}",
            money(option.on_demand),
            money(option.spot),
        )
        for option in (shown if quick in shown else [*shown, quick])
    ]
    _table(sys.stdout, ("node type", "nodes", "units on each", "hours", "on demand", "spot"), rows, {})
    market = "spot" if found.spot else "on demand"
    cheapest, fastest = best.dollars(found.spot), quick.dollars(found.spot)
    print(
        f"{work.units} units for {money(cheapest)} {market} on {best.node} ({money(cheapest / work.units)} per unit), "
        f"in {best.packing.hours:.1f} h; fastest: {quick.packing.hours:.1f} h for {money(fastest)} on {quick.node}"
    )
    for line in found.lines:
        print(f"  {line.what}: {money(line.dollars)} ({line.how})")
    shape = work.shape
    print(f"  hours per unit: {work.duration.hours:.2f} ({work.duration.source})")
    print(
        f"  a unit asks for {shape.cpus} CPUs, {shape.memory_mib} MiB of memory, {shape.disk_mib} MiB of disk; "
        f"at most {found.most_nodes} nodes at once (--max-nodes)"
    )
    print(f"  prices of {found.prices.date}, {found.prices.region}: {found.prices.source}")
    print(f"  spot: {found.prices.spot_source}")


def tariff(found: "Tariff", *, stream: TextIO) -> None:
    """What a launch is estimated at."""
    if found.dollars is not None:
        print(
            f"  estimated: {money(found.dollars)} for {found.units} units on {found.node} "
            f"({lasting(found.hours or 0.0)} each: {found.hours_source}); {found.source}",
            file=stream,
        )
    else:
        print(f"  no estimate: nobody knows how long a unit takes; {found.node}", file=stream)


def problems(found: Sequence[Problem], out: TextIO, limit: int) -> None:
    """What is wrong with the dataset, some of each kind."""
    by_code: dict[str, list[Problem]] = {}
    for problem in found:
        by_code.setdefault(problem.code, []).append(problem)
    for code, those in sorted(by_code.items()):
        print(f"  {code}: {len(those)} of them" if len(those) > 1 else f"  {code}:", file=out)
        for problem in those[:limit]:
            print(f"    {problem.path}: {problem.message}", file=out)
        if len(those) > limit:
            print(f"    ... and {len(those) - limit} more (--json has all)", file=out)


def status(found: "Status", *, stream: TextIO) -> None:
    """Every unit's state, those that need attention first."""
    from neurocwl.status import ORDER, summary

    units = sorted(found.units, key=lambda u: (ORDER.index(u.status), u.unit))
    rows = [
        (
            u.unit,
            u.status,
            str(u.files or ""),
            human(u.size) if u.files else "",
            str(u.attempts or ""),
            _short(u.reason),
        )
        for u in units[:ROWS]
    ]
    _table(stream, ("unit", "status", "files", "size", "attempts", "why"), rows)
    _more(stream, len(units))
    run = found.run
    state = found.as_dict()["state"]
    rehearsal = " REHEARSAL: these are no results." if run.rehearsal else ""
    if found.lost:
        print(f"lost nodes: {found.lost} attempt{'s' * (found.lost > 1)} ended with one", file=stream)
    print(
        f"{run.pipeline}: {summary(found.counts)}. Run {run.run}: {state}.{rehearsal} {run.message}".rstrip(),
        file=stream,
    )
    if found.cost:
        print(f"  {found.cost}", file=stream)


def next_steps(found: "Status") -> None:
    """What one would type next."""
    output = found.run.output
    failed = next((u.unit for u in found.units if u.status == "failed"), None)
    if failed:
        print(f"  why: neurocwl logs {output} {failed}")
    if not found.complete:
        print("  go on: the same launch again; what is done and unchanged is skipped")
    print(f"  check: neurocwl verify {output}")


def verification(found: "Verification") -> None:
    """The paths that do not hold, and the counts."""
    if found.wrong:
        rows = [(f.verdict, f.path, f.unit or "", f.detail) for f in found.wrong[:ROWS]]
        _table(
            sys.stdout,
            ("verdict", "path", "unit", "detail"),
            rows,
            {"missing": "red", "differing": "red", "extra": "yellow"},
        )
        _more(sys.stdout, len(found.wrong))
    counts = {v: found.count(v) for v in ("equal", "missing", "differing", "extra")}
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    print(f"{found.status.run.output}: {words} ({'bytes read' if found.deep else 'sizes and checksums'})")
    undone = sum(u.status != "done" for u in found.status.units)
    if undone:
        print(
            f"  {undone} of {len(found.status.units)} units are not done: neurocwl status {found.status.run.output}"
        )
    hurt = {f.unit for f in found.wrong if f.unit}
    labels = sorted({u.participant for u in found.status.units if u.unit in hurt and u.participant})
    if labels:
        print(f"  mend: the same launch with --rerun --participant-label {' '.join(labels)}")


def validator(report: Mapping[str, Any]) -> None:
    """What the official validator found."""
    for kind in ("errors", "warnings"):
        for issue in report[kind][:20]:
            print(
                f"  validator {kind[:-1]} {issue['code']}: {issue['path']} {issue.get('message', '')}".rstrip()
            )
    print(f"BIDS validator: {len(report['errors'])} errors, {len(report['warnings'])} warnings")


def pipelines(found: Sequence[Template]) -> None:
    """One line per pipeline."""
    _table(
        sys.stdout,
        ("pipeline", "unit", "image", "what"),
        [(t.pipeline, t.unit, t.image, t.label) for t in found],
        {},
    )


def pipeline(template: Template) -> None:
    """What a pipeline does, needs and takes."""
    print(f"{template.pipeline}: {template.label}\n\n{template.doc.strip()}\n")
    print(f"unit: {template.unit}\nimage: {template.image}\ntool: {template.tool_file}")
    for requirement in template.requires:
        condition = (
            f" (unless {requirement.unless})"
            if requirement.unless
            else f" (when {requirement.when})"
            if requirement.when
            else ""
        )
        print(f"needs: {requirement.name}{condition}")
    for parameter in parameters_of(template).values():
        kind = "|".join(parameter.choices) or parameter.type + ("..." if parameter.many else "")
        default = f" [{parameter.default}]" if parameter.default is not None else ""
        print(f"\n{parameter.option} {kind}{default}\n    {' '.join(parameter.doc.split())}")


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _more(out: TextIO, count: int) -> None:
    if count > ROWS:
        print(f"... and {count - ROWS} more (--json has all)", file=out)


def cluster(found: "Cluster") -> None:
    """The nodes of a cluster by type and zone, and what they cost."""
    if not found.nodes:
        print(f"cluster {found.name}: there is none in {found.region}")
        return
    rows = [
        (role, kind, zone, "spot" if spot else "on demand", str(count), f"{dollars:.3f}")
        for role, kind, zone, spot, count, dollars in found.groups()
    ]
    _table(sys.stdout, ("role", "type", "zone", "capacity", "nodes", "$/h"), rows)
    since = min(node.since for node in found.nodes)
    print(
        f"cluster {found.name}, {found.region}: since {since}, ${found.dollars:.2f} per hour"
        + (f" (prices of {found.prices_of}; volumes and requests are extra)" if found.prices_of else "")
    )
    if found.unpriced:
        print(f"  no price is known for {', '.join(found.unpriced)}")


def _use(kept: bool, used: bool, left: bool) -> str:
    return "kept" if kept else "in use" if used else "left" if left else "free"


def leftovers(found: "Audit") -> None:
    """What there is on AWS of clusters and runs, whose, since when, and what it costs."""
    left = {id(thing) for thing in found.left}
    rows = [
        (
            thing.kind,
            thing.id,
            thing.region,
            thing.cluster or thing.output or thing.run,
            f"{thing.since:%F %H:%M}" if thing.since else "",
            "?" if thing.hourly is None else f"{thing.hourly:.4f}",
            _use(thing.kept, used, id(thing) in left),
            thing.note,
        )
        for thing, used in found.things
    ]
    if rows:
        columns = ("what", "id", "region", "of", "since (UTC)", "$/h", "", "")
        _table(sys.stdout, columns, rows, {"left": "red"})
    of = f"cluster {found.named}: " if found.named else ""
    if rows:
        unknown = sum(thing.hourly is None for thing, _ in found.things)
        more = f", and {unknown} of unknown price" if unknown else ""
        print(f"{of}{len(rows)} things, ${found.hourly:.3f} per hour, ${found.monthly:.2f} per month{more}")
    elif not found.unseen:
        print(f"{of}nothing is left")
    if found.left and not found.named:
        print(f"{len(found.left)} of them should not be there")
    for one in found.unseen:
        print(f"not looked for: {one.kind}{f' in {one.region}' if one.region else ''} ({one.why})")
    if found.unseen:
        print("so this is not all that may be there; docs/audit.md lists the permissions it takes")
