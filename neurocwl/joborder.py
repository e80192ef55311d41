"""Job orders: plain CWL input objects, one per shard of units, written as JSON."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from neurocwl.bids import File
from neurocwl.binding import OF_RESULTS, Binding
from neurocwl.derivatives import Part
from neurocwl.taskkey import NOT_IN_KEY, digest
from neurocwl.template import FOLDER_OF, Template
from neurocwl.units import Queries, Unit, bound_files, inherited_files, is_set

SHARD_UNITS = 200  # a flat list much longer than this costs a Toil leader quadratic time
SHARD_FILES = 10_000  # some 100 MB of a Toil leader's memory

Locate = Callable[[str], str]  # path below the dataset -> location of a CWL File


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a participant as a unit of its own, and its files for each field of a record."""

    unit: Unit
    files_of: Mapping[str, tuple[File, ...]]


@dataclass(frozen=True, slots=True)
class Order:
    """A unit, the files of each CWL input that the dataset fills, and its task key.

    The CWL objects are made when a job order is written: a plan of 10,000 units needs none of them.
    """

    unit: Unit
    template: Template
    locate: Locate
    files_of: Mapping[str, tuple[File, ...]]  # CWL input -> files
    files: int
    size: int  # bytes
    task_key: str
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)  # CWL input -> earlier derivatives
    sessions: Mapping[str, tuple["Session", ...]] = field(default_factory=dict)  # CWL input -> its records
    previous: str | None = None  # tag of the receipt that this run replaces
    rehearsal: str | None = None  # None: no rehearsal; "": a rehearsal; else the fault it rehearses
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # parameters that it has otherwise than all units
    anew: "Order | None" = None  # the same work where this one goes on from an earlier attempt

    def following(self, previous: str | None, rehearsal: str | None) -> "Order":
        """The same work as the successor of what a receipt (by its tag) says."""
        return replace(self, previous=previous, rehearsal=rehearsal)

    def inputs(self) -> dict[str, Any]:
        """Every bound CWL input with its value."""
        return {name: self._value(name, binding) for name, binding in self.template.bind.items()}

    def _value(self, name: str, binding: Binding) -> Any:
        if binding.kind in OF_RESULTS:
            found = [part_directory(part) for part in self.parts[name]]
            return found if self.template.takes_many(name) else found[0] if found else None
        if binding.kind == "sessions":
            fields = binding.fields.items()
            return [
                {field: _bound(b, s.unit, s.files_of.get(field, ()), self.locate) for field, b in fields}
                for s in self.sessions[name]
            ]
        if binding.kind == "timepoints":
            return timepoints(self)[name]
        value = _bound(binding, self.unit, self.files_of.get(name, ()), self.locate)
        if binding.kind == "label" and self.template.takes_many(name):
            return [] if value is None else [value]
        return value

    def context(self) -> dict[str, Any]:
        """What passes through the tool to stage-out."""
        return {
            "unit": self.unit.name,
            "participant": self.unit.participant or None,
            "session": self.unit.session,
            "task_key": self.task_key,
            "previous": self.previous,
            "rehearsal": self.rehearsal,
        }

    def given(self) -> list[tuple[str, int, str]]:
        """(URL, size in bytes, ETag) of every file that the unit is given."""
        files = {f.path: f for group in self.files_of.values() for f in group}.values()
        earlier = [
            (part.location.file_url(entry.path), entry.size, entry.etag)
            for parts in self.parts.values()
            for part in parts
            for _, entry in part.files
        ]
        return [(self.locate(f.path), f.size, f.etag) for f in files] + earlier

    def record(self) -> dict[str, Any]:
        """The scatter element."""
        return {"context": self.context(), **self.inputs()}

    def record_for_stage_in(self, access: Mapping[str, bool]) -> dict[str, Any]:
        """The scatter element of a workflow that brings the files by a step of its own: one string for all.

        access: sign and requester_pays, as toolwrappers/stage_in.py takes them.
        """
        brought = {*self.files_of, *self.parts}
        labels = {name: value for name, value in self.inputs().items() if name not in brought}
        wanted: dict[str, Any] = {
            name: {
                "folder": FOLDER_OF.get(self.template.bind[name].kind, ""),
                "files": [(self.locate(f.path), self._place(name, f), f.size) for f in files],
            }
            for name, files in self.files_of.items()
        }
        for name, parts in self.parts.items():  # earlier derivatives are our own: read signed
            files = [
                (part.location.file_url(entry.path), f"{part.name}/{path}", entry.size)
                for part in parts
                for path, entry in part.files
            ]
            own = {"sign": True, "requester_pays": False}
            wanted[name] = {"folder": "", "files": files, "access": own}
        request = json.dumps({"access": dict(access), "inputs": wanted}, ensure_ascii=False)
        return {"context": self.context(), **labels, "request": request}

    def _place(self, name: str, file: File) -> str:
        return file.path if self.template.bind[name].kind in FOLDER_OF else file.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Common:
    """What all units of a run share."""

    output: str
    run: str
    parameters: Mapping[str, Any]
    licence: Mapping[str, Any] | None = None  # a CWL File
    namespaces: Mapping[str, str] = field(default_factory=lambda: {"s3": "s3:"})


def _bound(binding: Binding, unit: Unit, files: Sequence[File], locate: Locate) -> Any:
    """The CWL value of a label, or of files of the dataset."""
    if binding.kind == "label":
        return {"unit": unit.name, "participant": unit.participant, "session": unit.session}[binding.label]
    if binding.kind in FOLDER_OF:
        return directory(FOLDER_OF[binding.kind], [(f.path, locate(f.path), f.size) for f in files])
    objects = [file_object(locate(f.path), f.path, f.size) for f in files]
    return objects if binding.kind == "files" else objects[0] if objects else None


def order(
    unit: Unit,
    template: Template,
    root_files: Sequence[File],
    locate: Locate,
    parameters: Mapping[str, Any],
    queries: Queries | None,
    fingerprint: str,
    parts: Mapping[str, tuple[Part, ...]] | None = None,
) -> Order:
    """The CWL inputs of one unit. fingerprint: what besides the files decides its results."""
    files_of: dict[str, tuple[File, ...]] = {}
    sessions: dict[str, tuple[Session, ...]] = {}
    parts = _of_sessions(template, unit, parts or {})
    for name in template.file_inputs:
        binding = template.bind[name]
        if not applies(binding, parameters):
            files_of[name] = ()
        elif binding.beside:
            described = template.bind[binding.beside]
            files_of[name] = inherited_files(unit, binding.where, described, queries) or ()
        elif binding.kind == "sessions":
            there = {part.name for part in parts.get(binding.reuse or "", ())}
            found = _sessions(unit, binding, queries, parameters)
            sessions[name] = tuple(s for s in found if s.unit.name not in there)
            files_of[name] = tuple(f for s in sessions[name] for files in s.files_of.values() for f in files)
        else:
            own = bound_files(unit, binding, queries)
            files_of[name] = (*root_files, *own) if binding.kind == "dataset" else own
    chosen = {
        name: tuple(parts.get(name, ())) if applies(template.bind[name], parameters) else ()
        for name in template.result_inputs
    }
    distinct = {f.path: f for files in files_of.values() for f in files}.values()
    earlier = [
        (name, part.name if seen(template, name) else "", path, entry.size, entry.etag)
        for name, group in chosen.items()
        for part in group
        for path, entry in part.files
        if path not in NOT_IN_KEY
    ]
    content = [(f.path, f.size, f.etag) for f in distinct if f.path not in NOT_IN_KEY]
    key = digest([fingerprint, unit.name, *content, *earlier])
    count = len(distinct) + sum(len(part.files) for group in chosen.values() for part in group)
    size = sum(f.size for f in distinct) + sum(entry[3] for entry in earlier)
    return Order(unit, template, locate, files_of, count, size, key, chosen, sessions)


def _of_sessions(
    template: Template, unit: Unit, parts: Mapping[str, tuple[Part, ...]]
) -> dict[str, tuple[Part, ...]]:
    """The parts, and of those that stand for sessions only the ones of the unit's sessions."""
    reused = {binding.reuse for binding in template.bind.values()}
    known = {f"{unit.name}_ses-{label}" for label in _labels(unit)}
    return {
        name: tuple(p for p in group if name not in reused or p.name in known)
        for name, group in parts.items()
    }


def seen(template: Template, name: str) -> bool:
    """Whether a tool sees what a folder of earlier derivatives is called."""
    wanted = template.bind[name].derivatives
    return wanted is not None and bool(wanted.each)


def timepoints(one: Order) -> dict[str, list[str]]:
    """The names of a participant's sessions as units, for each input that takes them; ses-2 before ses-10."""
    ran = {s.unit.name for group in one.sessions.values() for s in group}
    return {
        name: sorted(ran | {part.name for part in one.parts.get(binding.reuse or "", ())}, key=natural)
        for name, binding in one.template.bind.items()
        if binding.kind == "timepoints"
    }


def natural(name: str) -> list[tuple[int, str]]:
    """A key by which numbers in names sort as numbers."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"(\d+)", name)]


def notes(one: Order) -> list[str]:
    """What people should know of a unit over sessions before it runs."""
    found = []
    for name, group in one.sessions.items():
        there = {part.name for part in one.parts.get(one.template.bind[name].reuse or "", ())}
        used = there | {s.unit.name for s in group}
        left_out = [label for label in _labels(one.unit) if f"{one.unit.name}_ses-{label}" not in used]
        found += [f"ses-{label} is left out: it lacks what a session needs" for label in left_out]
        if len(used) == 1:
            found.append(f"one time point only: {min(used)}")
        if there:
            found.append(f"finished earlier: {', '.join(sorted(there))}")
        if any(f.session is None and f.datatype for f in one.unit.files):
            found.append("files that lie in no session are left out")
    return found


def with_parts(one: Order, name: str, parts: Sequence[Part]) -> Order:
    """The same work with more of it there already: its task key stays."""
    there = {part.name for part in one.parts[name]}
    usable = _of_sessions(one.template, one.unit, {name: tuple(parts)})[name]
    more = tuple(part for part in usable if part.name not in there)
    there |= {part.name for part in more}
    sessions = {
        key: tuple(s for s in group if s.unit.name not in there)
        if one.template.bind[key].reuse == name
        else group
        for key, group in one.sessions.items()
    }
    files_of = dict(one.files_of)
    for key, group in sessions.items():
        files_of[key] = tuple(f for s in group for files in s.files_of.values() for f in files)
    if more:  # what stands in their place is not brought as well
        files_of |= {key: () for key, b in one.template.bind.items() if b.unless == name and key in files_of}
    parts_of = {**one.parts, name: (*one.parts[name], *more)}
    return replace(one, parts=parts_of, sessions=sessions, files_of=files_of)


def applies(binding: Binding, parameters: Mapping[str, Any]) -> bool:
    """Whether a binding is in force with these parameters."""
    if binding.unless and is_set(parameters.get(binding.unless)):
        return False
    return not binding.when or is_set(parameters.get(binding.when))


def _sessions(
    unit: Unit, binding: Binding, queries: Queries | None, parameters: Mapping[str, Any]
) -> list[Session]:
    """The sessions of a participant that have files for the record; the others are left out."""
    found = []
    for label in _labels(unit):
        files = tuple(f for f in unit.files if f.session == label)
        session = Unit(f"{unit.name}_ses-{label}", unit.participant, label, files)
        bound = {
            name: bound_files(session, field, queries)
            for name, field in binding.fields.items()
            if field.kind != "label" and applies(field, parameters)
        }
        if all(bound.values()):
            found.append(Session(session, bound))
    return found


def _labels(unit: Unit) -> list[str]:
    return sorted({f.session for f in unit.files if f.session is not None})


def part_directory(part: Part) -> dict[str, Any]:
    """Earlier derivatives as a CWL Directory."""
    files = [(path, part.location.file_url(entry.path), entry.size) for path, entry in part.files]
    return directory(part.name, files)


def file_object(location: str, path: str, size: int) -> dict[str, Any]:
    """A CWL File with its size, so that no engine asks for it."""
    return {"class": "File", "location": location, "basename": path.rpartition("/")[2], "size": size}


def directory(name: str, files: Iterable[tuple[str, str, int]]) -> dict[str, Any]:
    """A CWL Directory literal that holds files - (path in it, location, size in bytes) - at their paths."""
    root: dict[str, Any] = {"class": "Directory", "basename": name, "listing": []}
    known = {"": root}

    def folder(path: str) -> dict[str, Any]:
        if path not in known:
            parent, _, last = path.rpartition("/")
            known[path] = {"class": "Directory", "basename": last, "listing": []}
            folder(parent)["listing"].append(known[path])
        return known[path]

    for path, location, size in files:
        folder(path.rpartition("/")[0])["listing"].append(file_object(location, path, size))
    return root


def shards(orders: Sequence[Order]) -> Iterator[tuple[Order, ...]]:
    """Orders in groups that one Toil leader handles well."""
    shard: list[Order] = []
    files = 0
    for one in orders:
        if shard and (len(shard) >= SHARD_UNITS or files + one.files > SHARD_FILES):
            yield tuple(shard)
            shard, files = [], 0
        shard.append(one)
        files += one.files
    if shard:
        yield tuple(shard)


def job_order(
    orders: Sequence[Order], template: Template, common: Common, stage_in: Mapping[str, bool] | None = None
) -> dict[str, Any]:
    """The CWL input object of one shard. stage_in: how a step of the workflow's own reaches the files."""
    licence = {template.licence: dict(common.licence)} if template.licence and common.licence else {}
    given = {*template.bind, *template.fixed}  # unit by unit, or by the workflow
    return {
        "$namespaces": dict(common.namespaces),
        "output": common.output,
        "run": common.run,
        **{name: value for name, value in common.parameters.items() if name not in given},
        **licence,
        "units": [one.record_for_stage_in(stage_in) if stage_in else one.record() for one in orders],
    }


def as_json(document: Mapping[str, Any]) -> bytes:
    """The job order as JSON, one line per unit."""
    head = {key: value for key, value in document.items() if key != "units"}
    opening = json.dumps(head, ensure_ascii=False, separators=(",", ":"))[:-1]
    units = ",\n".join(
        json.dumps(unit, ensure_ascii=False, separators=(",", ":")) for unit in document["units"]
    )
    return f'{opening},\n"units":[\n{units}\n]}}\n'.encode()
