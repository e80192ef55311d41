"""The plan: every selected unit of a dataset, what would happen to it, and why. Nothing is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from neurocwl import history, machine
from neurocwl.bids import Dataset, Entry, Problem
from neurocwl.derivatives import Earlier, Part, failures, lacking, parts_of
from neurocwl.errors import BadInput
from neurocwl.joborder import Order, applies, notes, order, timepoints
from neurocwl.parameters import RESOURCES
from neurocwl.preflight import Preflight
from neurocwl.receipts import UnitState
from neurocwl.rounds import Bounds
from neurocwl.storage import Location
from neurocwl.taskkey import digest, fingerprint
from neurocwl.template import GROUP, Template
from neurocwl.units import Selection, Unit, select

READY, DONE, INCOMPLETE = "ready", "done", "incomplete"


@dataclass(frozen=True, slots=True)
class PlannedUnit:
    """One unit of the plan: ready to run, done already, or incomplete."""

    order: Order
    status: str
    reason: str
    notes: tuple[str, ...] = ()  # what of the reason people should know before it runs

    @property
    def unit(self) -> Unit:
        """The unit itself."""
        return self.order.unit

    def as_dict(self) -> dict[str, Any]:
        """The stable form of --json."""
        return {
            "unit": self.unit.name,
            "participant": self.unit.participant or None,
            "session": self.unit.session,
            "status": self.status,
            "reason": self.reason,
            "missing": list(self.unit.missing),
            "files": self.order.files,
            "bytes": self.order.size,
            "task_key": self.order.task_key,
            "asks": {name: value for name, value in self.order.settings.items() if name in RESOURCES},
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a launch would do."""

    dataset: str
    output: str | None
    pipeline: str
    units: tuple[PlannedUnit, ...]
    problems: tuple[Problem, ...]

    def of(self, status: str) -> tuple[PlannedUnit, ...]:
        """The units with one status."""
        return tuple(u for u in self.units if u.status == status)

    def as_dict(self) -> dict[str, Any]:
        """The stable form of --json."""
        return {
            "dataset": self.dataset,
            "output": self.output,
            "pipeline": self.pipeline,
            "counts": {status: len(self.of(status)) for status in (READY, DONE, INCOMPLETE)},
            "units": [unit.as_dict() for unit in self.units],
            "problems": [problem._asdict() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, apart from where it runs."""

    template: Template
    selection: Selection
    parameters: Mapping[str, Any]
    image: str
    rehearsal: bool = False
    faults: Mapping[str, str] | None = None  # unit -> fault, in a rehearsal
    rerun: bool = False  # run what is done as well
    earlier: Mapping[str, tuple[Earlier, ...]] = field(
        default_factory=dict
    )  # CWL input -> what units build on
    preflight: Preflight | None = None
    tags: Mapping[str, str] = field(default_factory=dict)  # of parameters on S3: URL -> ETag
    bounds: Bounds = field(default_factory=Bounds)  # how much more a unit may get than it asks for


def make(
    dataset: Dataset,
    location: Location,
    output: Location | None,
    request: Request,
    states: Mapping[str, UnitState],
    problems: Sequence[Problem] = (),
) -> Plan:
    """Decide for every selected unit whether it runs.

    Raises BadInput when the output belongs to another pipeline or mixes a rehearsal with real results.
    """
    template = request.template
    if template.unit == GROUP:
        raise BadInput(f"{template.pipeline} runs over the results at an output: neurocwl group OUT")
    units = select(dataset, template, request.selection, request.parameters)
    _check_output(output, request, states)
    mark = fingerprint(template, request.image, request.parameters, request.selection.queries)
    if request.tags:
        mark = digest([mark, sorted(request.tags.items())])
    planned = []
    for found in units:
        unit = _looked_at(found, request)
        state = states.get(unit.name, UnitState(None))
        one = order(
            unit,
            template,
            dataset.root_files,
            location.file_url,
            request.parameters,
            request.selection.queries,
            mark,
            _parts(unit, request),
        )
        one, known = _with_history(one, state, request, output)
        if not unit.missing and any(not times for times in timepoints(one).values()):
            lack = f"a session with all that one needs ({template.requires[0].name}, in sub-{unit.participant}/ses-*/)"
            one = replace(one, unit=replace(unit, missing=(lack,)))
        if request.preflight and not unit.missing:
            files = {f.path: f for files in one.files_of.values() for f in files}.values()
            why = request.preflight.objection(unit, [(f, location.file_url(f.path)) for f in files])
            one = replace(one, unit=replace(unit, missing=(why,) if why else ()))
        status, reason = _decide(one, state, request)
        noted = (*notes(one), *_failed_before(one, request), *known) if status == READY else ()
        planned.append(PlannedUnit(one, status, "; ".join([*([reason] if reason else []), *noted]), noted))
    gone = sorted(set(states) - {u.name for u in units} - {GROUP}) if _everything(request.selection) else []
    withdrawn = [
        Problem(name, "WITHDRAWN", "has results at the output but is not in the dataset") for name in gone
    ]
    told = {(p.path, p.code): p for p in (*dataset.problems, *problems, *_twins(dataset), *withdrawn)}
    return Plan(
        location.url, output.url if output else None, template.pipeline, tuple(planned), tuple(told.values())
    )


def _failed_before(one: Order, request: Request) -> list[str]:
    """What of the sessions that are run here failed where they might have been reused from."""
    here = {s.unit.name for group in one.sessions.values() for s in group}
    return [
        f"{why} ({earlier.location.url}); it is run here"
        for name, places in request.earlier.items()
        if any(binding.reuse == name for binding in request.template.bind.values())
        for earlier in places
        for why in failures(earlier, one.unit)
        if why.partition(" ")[0] in here
    ]


def _looked_at(unit: Unit, request: Request) -> Unit:
    """The unit with what it lacks of earlier derivatives."""
    if unit.missing:
        return unit
    bind = request.template.bind
    optional = {binding.reuse for binding in bind.values()}
    missing = [
        lacking(name, bind[name], earlier, unit)
        for name, earlier in request.earlier.items()
        if name not in optional and applies(bind[name], request.parameters)
    ]
    return replace(unit, missing=tuple(reason for reason in missing if reason))


def _parts(unit: Unit, request: Request) -> dict[str, tuple[Part, ...]]:
    bind = request.template.bind
    return {name: parts_of(bind[name], earlier, unit) for name, earlier in request.earlier.items()}


def _with_history(
    one: Order, state: UnitState, request: Request, output: Location | None
) -> tuple[Order, tuple[str, ...]]:
    fault = (request.faults or {}).get(one.unit.name, "")
    previous = state.receipt.tag if state.receipt else None
    rehearsal = fault if request.rehearsal else None
    one = one.following(previous, rehearsal)
    receipt = state.receipt
    if output is None or receipt is None or receipt.rehearsal != request.rehearsal:
        return one, ()
    first = machine.wanted_by(request.template, request.parameters, request.rehearsal)
    one, asks = history.asking(one, receipt, first, request.bounds)
    one, goes_on = history.following(one, receipt, request.template, request.parameters, output)
    return one, (*goes_on, *asks)


def _decide(one: Order, state: UnitState, request: Request) -> tuple[str, str]:
    if one.unit.missing:
        return INCOMPLETE, "lacks " + "; ".join(one.unit.missing)
    receipt = state.receipt
    if state.damaged:
        return READY, state.damaged
    if state.staging is not None:
        return READY, "an earlier attempt was cut off"
    if receipt is None:
        return READY, ""
    if receipt.rehearsal and not request.rehearsal:
        return READY, "rehearsed"
    if receipt.status != DONE:
        return READY, f"failed before: {receipt.reason}"
    if request.rerun:
        return READY, "done, but to be run again (--rerun)"
    if receipt.task_key != one.task_key:
        return READY, "inputs, tool or parameters changed since it was done"
    return DONE, f"done {receipt.committed}"


def _check_output(output: Location | None, request: Request, states: Mapping[str, UnitState]) -> None:
    for unit, state in states.items():
        receipt = state.receipt
        if output is None or receipt is None or unit == GROUP:
            continue
        if receipt.pipeline != request.template.pipeline:
            raise BadInput(
                f"--output {output.url} holds results of {receipt.pipeline}, not {request.template.pipeline}; choose another prefix"
            )
        if request.rehearsal and not receipt.rehearsal:
            raise BadInput(
                f"--output {output.url} holds real results; rehearse into another prefix, e.g. {output.url}-rehearsal"
            )


def _everything(selection: Selection) -> bool:
    return not (
        selection.participants
        or selection.sessions
        or selection.tasks
        or selection.exclude
        or selection.limit is not None
    )


def _twins(dataset: Dataset) -> tuple[Problem, ...]:
    """Images of different participants with the same bytes, as far as ETags tell."""
    images = [
        (file.path, file.size, file.etag, participant.label)
        for participant in dataset.participants
        for file in participant.files
        if file.size > 0 and file.extension in (".nii", ".nii.gz") and len(file.etag) >= 32
    ]
    seen = Counter((etag, size) for _, size, etag, _ in images)
    first: dict[tuple[str, int], tuple[str, str]] = {}
    found = []
    for path, size, etag, label in images:
        if seen[etag, size] < 2:
            continue
        other, owner = first.setdefault((etag, size), (path, label))
        if owner != label:
            found.append(
                Problem(path, "SAME_IMAGE", f"has the very bytes of {other}: two participants, one image")
            )
    return tuple(found)


def is_inside_dataset(output: str, dataset: str) -> bool:
    """Whether an output would be written among the raw data (below derivatives/ is where BIDS wants it)."""
    if output.rstrip("/") == dataset.rstrip("/"):
        return True
    below = (
        output.removeprefix(dataset.rstrip("/") + "/") if output.startswith(dataset.rstrip("/") + "/") else ""
    )
    return bool(below) and not below.startswith("derivatives/")


def entries_of(location: Location) -> list[Entry]:
    """The listing of a dataset.

    Raises BadInput when nothing is there.
    """
    found = list(location.entries())
    if not found:
        raise BadInput(
            f"{location.url}: nothing there; give the prefix or folder that holds dataset_description.json and sub-*/"
        )
    return found
