"""Which units of a dataset a pipeline processes, with which files, and what each of them lacks."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from neurocwl.batches import batches
from neurocwl.bids import Dataset, File, Participant
from neurocwl.bidsnames import NOT_FETCHED
from neurocwl.binding import OF_DATASET, Binding, Requirement, Where
from neurocwl.errors import BadInput
from neurocwl.filters import matches, sidecars
from neurocwl.template import BATCH, Template

Queries = Mapping[str, Where]  # a BIDS filter file: query name -> filter

DEEPEST = 64  # folders above a file
_LABEL = re.compile(r"[0-9A-Za-z+]+")


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user wants processed; empty tuples mean everything."""

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limit: int | None = None
    queries: Queries | None = None
    batch_size: int | None = None  # instead of the template's


@dataclass(frozen=True, slots=True)
class Unit:
    """What one scatter element processes: a participant, one session of one, or a batch of images."""

    name: str  # "sub-01", "sub-01_ses-1", "sub-01_batch-0", or "batch-0" of a project
    participant: str  # bare label; empty for a project
    session: str | None  # bare label
    files: tuple[File, ...]  # everything of the unit that was selected
    missing: tuple[str, ...] = ()  # what the pipeline needs and the unit lacks, for people
    above: tuple[File, ...] = ()  # the dataset's own files, of which a unit may inherit


def select(
    dataset: Dataset, template: Template, selection: Selection, parameters: Mapping[str, Any]
) -> tuple[Unit, ...]:
    """The selected units of a dataset, in order, those that lack something among them.

    Raises BadInput when a label in the selection is not in the dataset.
    """
    participants = _chosen(dataset, selection)
    _known("--session-label", selection.sessions, {s for p in dataset.participants for s in p.sessions})
    _known("--task-id", selection.tasks, _tasks(dataset))
    units = []
    for participant in participants:
        for unit in _units_of(participant, template, selection):
            unit = replace(unit, above=dataset.root_files)
            missing = tuple(_lacks(unit, participant, template, selection, parameters))
            units.append(replace(unit, missing=missing))
            if selection.limit is not None and len(units) >= selection.limit:
                return tuple(units)
    return tuple(units)


def bound_files(unit: Unit, binding: Binding, queries: Queries | None) -> tuple[File, ...]:
    """The unit's files that fill one CWL input."""
    if binding.kind == "dataset":  # everything without a datatype (scans.tsv, sidecars) applies to the rest
        return tuple(f for f in unit.files if not f.datatype or matches(f, binding.where))
    if not unit.participant:  # a project's files have no names that say more
        return unit.files
    where = narrowed(binding.where, binding.query, queries)
    found = tuple(f for f in unit.files if matches(f, where))
    return found[:1] if binding.kind == "file" else found


def inherited_files(
    unit: Unit, where: Where, described: Binding, queries: Queries | None
) -> tuple[File, ...] | None:
    """The file that tells most about the one of another binding: the nearest, by the inheritance principle.

    None when that other file is not there.
    """
    home = bound_files(unit, described, queries)
    if not home:
        return None
    found = [f for f in sidecars(home[0], (*unit.files, *unit.above)) if matches(f, where)]
    # in one folder the one that shares more of the name
    found.sort(key=lambda f: (f.path.count("/"), len(f.entities)))
    return tuple(found[-1:])


def narrowed(where: Where, query: str | None, queries: Queries | None) -> Where:
    """A filter of the template with the user's own query of that name put over it."""
    return {**where, **(queries or {}).get(query or "", {})}


def is_set(value: Any) -> bool:
    """Whether a parameter is given and not switched off."""
    return value is not None and value is not False and value not in ([], "")  # 0 is set, although 0 == False


def _chosen(dataset: Dataset, selection: Selection) -> list[Participant]:
    wanted = [label.removeprefix("sub-") for label in selection.participants]
    labels = {p.label for p in dataset.participants}
    _known("--participant-label", wanted, labels)
    unwanted = [label.removeprefix("sub-") for label in selection.exclude]
    useless = [pattern for pattern in unwanted if not fnmatch.filter(labels, pattern)]
    _known("--exclude", useless, labels)
    return [
        p
        for p in dataset.participants
        if (not wanted or p.label in wanted) and not any(fnmatch.fnmatchcase(p.label, x) for x in unwanted)
    ]


def _known(option: str, wanted: Iterable[str], labels: Iterable[str]) -> None:
    have = sorted(labels)
    unknown = [label for label in wanted if label.removeprefix("ses-").removeprefix("task-") not in have]
    if unknown:
        shown = ", ".join(have[:20]) + (f" and {len(have) - 20} more" if len(have) > 20 else "")
        raise BadInput(f"{option} {' '.join(unknown)}: not in the dataset; there are: {shown or 'none'}")


def _tasks(dataset: Dataset) -> set[str]:
    return {f.entities["task"] for p in dataset.participants for f in p.files if "task" in f.entities}


def _units_of(participant: Participant, template: Template, selection: Selection) -> list[Unit]:
    sessions = [s.removeprefix("ses-") for s in selection.sessions]
    tasks = [t.removeprefix("task-") for t in selection.tasks]
    files = [
        f
        for f in _carriable(participant.files)
        if (not sessions or f.session is None or f.session in sessions)
        and (not tasks or f.entities.get("task", tasks[0]) in tasks)
    ]
    name = f"sub-{participant.label}"
    if template.unit == BATCH:
        return _batches_of(participant, files, template, selection)
    if template.unit == "participant" or not (participant.sessions or sessions):
        return [Unit(name, participant.label, None, tuple(files))]
    units = [
        Unit(
            f"{name}_ses-{session}",
            participant.label,
            session,
            tuple(f for f in files if f.session == session or (f.session is None and not f.datatype)),
        )
        for session in (sorted(set(sessions)) if sessions else participant.sessions)
    ]
    outside = tuple(f for f in files if f.session is None)
    if not sessions and any(f.datatype for f in outside):  # data beside the sessions is nobody else's
        units.insert(0, Unit(name, participant.label, None, outside))
    return units


def _batches_of(
    participant: Participant, files: Sequence[File], template: Template, selection: Selection
) -> list[Unit]:
    """The files of one participant, or of a project, that the pipeline takes, in batches."""
    label = participant.label
    everything = Unit(f"sub-{label}", label, None, tuple(files))
    bound = [b for b in template.bind.values() if b.kind in OF_DATASET]
    taken = {f.path: f for b in bound for f in bound_files(everything, b, selection.queries)}
    most = selection.batch_size or template.batch_size
    head = f"sub-{label}_" if label else ""
    found = batches(tuple(taken.values()), lambda file: file.path, most)
    return [Unit(head + name, label, None, members) for name, members in found] or [everything]


def _carriable(files: Sequence[File]) -> list[File]:
    """The files that can lie in one folder tree: on S3 a key may be called as a folder, or lie absurdly deep.

    Neither is BIDS: the dataset's problems name them.
    """
    folders = {f.path[: f.path.rfind("/")] for f in files}
    folders |= {str(parent) for folder in folders for parent in PurePosixPath(folder).parents}
    return [f for f in files if f.path not in folders and f.path.count("/") <= DEEPEST]


def _lacks(
    unit: Unit,
    participant: Participant,
    template: Template,
    selection: Selection,
    parameters: Mapping[str, Any],
) -> Iterable[str]:
    if not participant.present:
        yield f"folder sub-{participant.label}/ (it is only in participants.tsv)"
        return
    for what, label in (("participant", unit.participant), ("session", unit.session)):
        if label and not _LABEL.fullmatch(label):
            yield f"a BIDS {what} label ({label!r} may hold letters, digits and + only: rename the folder)"
            return
    if template.needs_session and unit.session is None:
        yield f"a session (its files lie in no sub-{unit.participant}/ses-*/)"
        return
    wanted = (
        [s.removeprefix("ses-") for s in selection.sessions]
        if template.unit == "participant"
        else [unit.session]
    )
    absent = [session for session in wanted if session is not None and session not in participant.sessions]
    yield from (f"session ses-{session}" for session in absent)
    if absent and template.unit == "session":
        return
    if any(b.kind == "sessions" for b in template.bind.values()) and not _has_sessions(unit):
        yield f"sessions (sub-{unit.participant}/ses-*/: its files lie in no session)"
        return
    for requirement in template.requires if unit.participant else ():
        if requirement.unless and is_set(parameters.get(requirement.unless)):
            continue
        if requirement.when and not is_set(parameters.get(requirement.when)):
            continue
        where = narrowed(requirement.where, requirement.query, selection.queries)
        path = expected_path(unit, requirement, where)
        if requirement.beside:
            described = template.bind[requirement.beside]
            if inherited_files(unit, where, described, selection.queries) == ():
                yield f"{requirement.name} ({path}, or above it)"
            continue
        found = [f for f in unit.files if matches(f, where)]
        if not found:
            narrow = " and the BIDS filter file" if where != requirement.where else ""
            yield f"{requirement.name} ({path}{narrow})"
        elif requirement.single and len(found) > 1:
            query = f" (query {requirement.query})" if requirement.query else ""
            yield f"a choice of one {requirement.name}: {len(found)} match {path}; --bids-filter-file{query} can tell"
    unfetched = [f.path for f in unit.files if f.etag == NOT_FETCHED]
    if unfetched:
        yield f"the content of {unfetched[0]} and {len(unfetched) - 1} more (datalad get sub-{unit.participant})"


def expected_path(unit: Unit, requirement: Requirement, where: Where) -> str:
    """What a file that satisfies a requirement would be called, as a glob."""
    folder = f"sub-{unit.participant}/" + (
        f"ses-{unit.session}/" if unit.session else "[ses-*/]" if _has_sessions(unit) else ""
    )
    suffix, extension = _words(where.get("suffix")) or "*", _words(where.get("extension")) or ""
    task = f"_task-{_words(where['task'])}" if where.get("task") else ""
    return f"{folder}{_words(where.get('datatype')) or '*'}/*{task}_{suffix}{extension}"


def _has_sessions(unit: Unit) -> bool:
    return any(f.session for f in unit.files)


def _words(value: Any) -> str:
    values = (
        [str(v) for v in value]
        if isinstance(value, Sequence) and not isinstance(value, str)
        else [str(value)]
        if value
        else []
    )
    return values[0] if len(values) == 1 else "{" + ",".join(values) + "}" if values else ""
