"""What a job template says of one CWL input: which files of a dataset, or of an earlier output, fill it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurocwl.errors import BadInput

LABELS = ("participant", "session", "unit")

BINDING_KINDS = (
    "dataset",
    "tree",
    "files",
    "file",
    "label",
    "sessions",
    "timepoints",
    "derivatives",
    "results",
)

FIELD_KINDS = ("files", "file", "label")  # what a field of a session's record may be bound to

OF_DATASET = ("dataset", "tree", "files", "file", "sessions")  # bindings that files of the dataset fill

OF_RESULTS = ("derivatives", "results")  # bindings that files of an earlier output fill

Where = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resume:
    """When, and how, the next attempt takes over a folder that a failed one left; globs in the folder."""

    expect: tuple[str, ...]  # each is there and not empty
    forbid: tuple[str, ...] = ()  # none is there
    leave_out: tuple[str, ...] = ()  # not taken over
    set: Mapping[str, Any] = field(default_factory=dict)  # parameters of the attempt that goes on from there


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Which part of earlier derivatives belongs to a unit, as globs."""

    folders: tuple[str, ...]
    files: tuple[str, ...] = ()
    each: str = ""  # folder or place: one Directory for each
    edited: bool = False  # people work on the files by hand: they count as they lie
    resume: tuple[
        Resume, ...
    ] = ()  # the first that fits a folder of a failed attempt; none: nothing is taken over


@dataclass(frozen=True, slots=True)
class Binding:
    """What fills one CWL input."""

    kind: str  # one of BINDING_KINDS
    where: Where = field(default_factory=dict)  # for dataset, tree, files and file
    label: str = ""  # participant, session or unit
    query: str | None = None
    when: str | None = None
    unless: str | None = None
    fields: Mapping[str, "Binding"] = field(default_factory=dict)  # for sessions
    derivatives: Derivatives | None = None
    results: tuple[str, ...] = ()  # globs
    after: tuple[str, ...] = ()  # pipelines
    reuse: str | None = None  # for sessions and timepoints: the input that has some of them already
    beside: str | None = None  # the binding whose file this one describes, by BIDS inheritance


@dataclass(frozen=True, slots=True)
class Requirement:
    """A file that a unit must have."""

    name: str
    where: Where
    query: str | None = None
    unless: str | None = None
    when: str | None = None
    beside: str | None = None  # as in a Binding
    single: bool = False  # more than one is a choice that a user must make


@dataclass(frozen=True, slots=True)
class Rule:
    """Parameters that exclude (exclusive) or need (option, needs) each other."""

    because: str
    exclusive: tuple[str, ...] = ()
    option: str | None = None
    needs: tuple[str, ...] = ()


def binding_of(file: Path, name: str, spec: Any, kinds: tuple[str, ...] = BINDING_KINDS) -> Binding:
    """Read what a template says of one input. Raises BadInput that names the file and the input."""
    if not isinstance(spec, Mapping):
        raise BadInput(f"{file}: bind.{name} is {spec!r}; write {{files: {{suffix: T1w}}}} or another kind")
    found = [kind for kind in kinds if kind in spec]
    if len(found) != 1:
        raise BadInput(f"{file}: bind.{name} must have exactly one of {', '.join(kinds)}")
    kind = found[0]
    value = spec[kind]
    special = {"file": {"beside"}, "derivatives": {"after"}, "sessions": {"reuse"}, "timepoints": {"reuse"}}
    unknown = set(spec) - {kind, "query", "when", "unless"} - special.get(kind, set())
    if unknown:
        raise BadInput(
            f"{file}: bind.{name} has {', '.join(sorted(unknown))}, which nobody knows; leave it out"
        )
    query, when, unless = spec.get("query"), spec.get("when"), spec.get("unless")
    if kind == "label":
        if value not in LABELS:
            raise BadInput(f"{file}: bind.{name}.label is {value!r}; it must be one of {', '.join(LABELS)}")
        return Binding(kind, label=value)
    if kind == "sessions":
        fields = {field: binding_of(file, f"{name}.{field}", s, FIELD_KINDS) for field, s in value.items()}
        return Binding(kind, fields=fields, reuse=spec.get("reuse"))
    if kind == "timepoints":
        return Binding(kind, reuse=spec.get("reuse"))
    if kind == "derivatives":
        resume = value.get("resume", [])
        derivatives = Derivatives(
            tuple(value["folders"]),
            tuple(value.get("files", ())),
            value.get("each", ""),
            value.get("edited", False),
            tuple(_resume_of(one) for one in (resume if isinstance(resume, list) else [resume])),
        )
        after = tuple(spec.get("after", ()))
        return Binding(kind, derivatives=derivatives, after=after, when=when, unless=unless)
    if kind == "results":
        return Binding(kind, results=tuple(value))
    where = value if isinstance(value, Mapping) else {}
    return Binding(kind, where=where, query=query, when=when, unless=unless, beside=spec.get("beside"))


def _resume_of(raw: Mapping[str, Any]) -> Resume:
    return Resume(
        tuple(raw["expect"]),
        tuple(raw.get("forbid", ())),
        tuple(raw.get("leave_out", ())),
        raw.get("set", {}),
    )


def rule_of(raw: Mapping[str, Any]) -> Rule:
    """Read one rule."""
    return Rule(
        raw["because"], tuple(raw.get("exclusive", ())), raw.get("option"), tuple(raw.get("needs", ()))
    )
