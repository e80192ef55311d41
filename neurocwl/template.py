"""Job templates: what a pipeline needs of a dataset, and what proves that it succeeded. Data, not code."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurocwl import assets, cwlfile
from neurocwl.errors import BadInput
from neurocwl.filters import QUERIES, parse_filters

UNIT_KINDS = ("participant", "session")
DATASET_FOLDER = "bids"  # what the dataset is called where a tool sees it
LABELS = ("participant", "session", "unit")
# Names of a dataset workflow's own inputs and of what passes through the tool.
RESERVED_INPUTS = frozenset({"output", "run", "units", "unit", "unit_context", "unit_output", "unit_run"})
RESERVED_OUTPUTS = frozenset({"exit_code", "passed_context", "passed_output", "passed_run"})
NOT_TEMPLATES = (".test", ".contract", ".schema")  # what else lies in jobs/
BINDING_KINDS = ("dataset", "files", "file", "label")

Where = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """What of the dataset fills one CWL input."""

    kind: str  # one of BINDING_KINDS
    where: Where = field(default_factory=dict)  # for label: empty
    label: str = ""  # participant, session or unit
    query: str | None = None
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """A file that a unit must have."""

    name: str
    where: Where
    query: str | None = None
    unless: str | None = None
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Parameters that exclude (exclusive) or need (option, needs) each other."""

    because: str
    exclusive: tuple[str, ...] = ()
    option: str | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A pipeline: its CWL tool and how a dataset fills it."""

    pipeline: str
    label: str
    doc: str
    file: Path
    tool_file: Path
    tool: dict[str, Any]
    unit: str
    bind: Mapping[str, Binding]
    outputs: Mapping[str, str]
    logs: tuple[str, ...]
    requires: tuple[Requirement, ...] = ()
    licence: str | None = None
    selection: Mapping[str, str] = field(default_factory=dict)
    deliver: str = "success"
    expect: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rehearsal: str | None = None

    @property
    def image(self) -> str:
        """The container image of the tool."""
        hints = {**self.tool.get("requirements", {}), **self.tool.get("hints", {})}
        return str(hints.get("DockerRequirement", {}).get("dockerPull", ""))

    @property
    def file_inputs(self) -> tuple[str, ...]:
        """The CWL inputs that files of the dataset fill."""
        return tuple(name for name, binding in self.bind.items() if binding.kind != "label")

    def delivery(self) -> dict[str, Any]:
        """What stage-out must know, as CWL data."""
        return {
            "pipeline": self.pipeline,
            "deliver": self.deliver,
            "outputs": list(self.outputs.values()),
            "expect": list(self.expect),
            "forbid": list(self.forbid),
            "shared": list(self.shared),
        }


def folders(extra: Path | None = None) -> list[Path]:
    """Where job templates are looked for: a folder of the user's own comes first.

    Raises BadInput when that folder does not exist.
    """
    if extra and not extra.is_dir():
        raise BadInput(f"--pipeline-dir {extra}: there is no such folder")
    return [*([extra / "jobs", extra] if extra else []), assets.path("jobs")]


def names(extra: Path | None = None) -> list[str]:
    """The pipelines that can be run."""
    found = {file.stem for folder in folders(extra) if folder.is_dir() for file in folder.glob("*.yml")}
    return sorted(name for name in found if name != "schema" and not name.endswith(NOT_TEMPLATES))


def load(name: str, extra: Path | None = None) -> Template:
    """Read the job template of a pipeline, or of a path to one.

    Raises BadInput for an unknown pipeline, a template that its schema refuses, or one that does not fit its tool.
    """
    if name.endswith((".yml", ".yaml")) and Path(name).is_file():
        return read(Path(name))
    for folder in folders(extra):
        file = folder / f"{name}.yml"
        if name != "schema" and file.is_file():
            return read(file)
    raise BadInput(
        f"no pipeline {name!r}; there are: {', '.join(names(extra))} (your own: --pipeline-dir DIR)"
    )


def read(file: Path) -> Template:
    """Read and check one job template file."""
    raw = validated(file, "schema.yml", "JobTemplate")
    for name in ("bind", "outputs", "selection", "choices"):
        if not isinstance(raw.get(name) or {}, dict):
            raise BadInput(f"{file}: {name} is {raw[name]!r}; it must be a map of names")
    tool_file = (file.parent / raw["tool"]).resolve()
    if not tool_file.is_file():
        raise BadInput(f"{file}: tool {raw['tool']!r} does not exist (looked at {tool_file})")
    tool = _tool(tool_file)
    evidence = raw.get("evidence", {})
    template = Template(
        pipeline=raw["pipeline"],
        label=raw["label"],
        doc=raw["doc"],
        file=file,
        tool_file=tool_file,
        tool=tool,
        unit=raw["unit"],
        bind={name: _binding(file, name, spec) for name, spec in raw["bind"].items()},
        outputs=raw["outputs"],
        logs=tuple(raw["logs"]),
        requires=tuple(Requirement(**requirement) for requirement in raw.get("requires", [])),
        licence=raw.get("licence"),
        selection=raw.get("selection", {}),
        deliver=raw.get("deliver", "success"),
        expect=tuple(evidence.get("expect", [])),
        forbid=tuple(evidence.get("forbid", [])),
        shared=tuple(raw.get("shared", [])),
        rules=tuple(_rule(rule) for rule in raw.get("rules", [])),
        choices=raw.get("choices", {}),
        rehearsal=raw.get("rehearsal"),
    )
    problems = list(_misfits(template))
    if problems:
        raise BadInput(f"{file}: " + "; ".join(problems))
    return template


def validated(file: Path, schema: str, kind: str) -> dict[str, Any]:
    """A YAML file of class `kind`, checked by a schema of jobs/.

    Raises BadInput with what the schema says.
    """
    from schema_salad.exceptions import SchemaSaladException
    from schema_salad.schema import load_and_validate, load_schema

    what = {"JobTemplate": "job template"}.get(kind, kind.lower())
    loader, names_, _, _ = load_schema(str(assets.path("jobs") / schema))
    if isinstance(names_, Exception):
        raise names_
    try:
        raw, _ = load_and_validate(loader, names_, str(file), True)
    except (SchemaSaladException, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not a valid {what}:\n{error}") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{file} is not a valid {what}: it must be one map that begins with class: {kind}")
    return raw


def _tool(file: Path) -> dict[str, Any]:
    """A CWL tool with its inputs, outputs, hints and requirements as maps, however they are written."""
    try:
        tool = cwlfile.load(file)
    except Exception as error:  # whatever the YAML parser makes of it
        raise BadInput(f"{file} is not a CWL file: {error}") from error
    if tool.get("class") != "CommandLineTool":
        raise BadInput(f"{file}: class is {tool.get('class')!r}; a pipeline's tool must be a CommandLineTool")
    for part, key in (("inputs", "id"), ("outputs", "id"), ("hints", "class"), ("requirements", "class")):
        entries = tool.get(part)
        if isinstance(entries, list):
            tool[part] = {
                entry[key].lstrip("#"): {k: v for k, v in entry.items() if k != key} for entry in entries
            }
        elif part in ("inputs", "outputs"):
            tool[part] = entries or {}
    return tool


def _binding(file: Path, name: str, spec: Any) -> Binding:
    if not isinstance(spec, Mapping):
        raise BadInput(
            f"{file}: bind.{name} is {spec!r}; write {{{BINDING_KINDS[1]}: {{suffix: T1w}}}} or another kind"
        )
    kinds = [kind for kind in BINDING_KINDS if kind in spec]
    if len(kinds) != 1:
        raise BadInput(f"{file}: bind.{name} must have exactly one of {', '.join(BINDING_KINDS)}")
    kind = kinds[0]
    value = spec[kind]
    unknown = set(spec) - {kind, "query", "when"}
    if unknown:
        raise BadInput(
            f"{file}: bind.{name} has {', '.join(sorted(unknown))}, which nobody knows; leave it out"
        )
    if kind == "label":
        if value not in LABELS:
            raise BadInput(f"{file}: bind.{name}.label is {value!r}; it must be one of {', '.join(LABELS)}")
        return Binding(kind, label=value)
    return Binding(kind, where=value or {}, query=spec.get("query"), when=spec.get("when"))


def _rule(raw: Mapping[str, Any]) -> Rule:
    return Rule(
        raw["because"], tuple(raw.get("exclusive", ())), raw.get("option"), tuple(raw.get("needs", ()))
    )


def _misfits(template: Template) -> Iterator[str]:
    """What in a template does not fit its tool."""
    inputs, outputs = template.tool["inputs"], template.tool["outputs"]
    if template.unit not in UNIT_KINDS:
        yield f"unit is {template.unit!r}; it must be one of {', '.join(UNIT_KINDS)}"
    if template.deliver not in ("success", "always"):
        yield f"deliver is {template.deliver!r}; it must be success or always"
    used = {
        *template.bind,
        *template.choices,
        *template.selection.values(),
        *([template.licence] if template.licence else []),
    }
    terms = [term for rule in template.rules for term in (*rule.exclusive, *rule.needs, rule.option) if term]
    used |= {term.partition("=")[0] for term in terms}  # a term is an input, or input=value
    used |= {name for r in template.requires for name in (r.unless, r.when) if name}
    for name in sorted(used - set(inputs)):
        yield f"{name!r} is not an input of {template.tool_file.name}"
    for name in sorted({*template.outputs, *template.logs} - set(outputs)):
        yield f"{name!r} is not an output of {template.tool_file.name}"
    for name in sorted(RESERVED_INPUTS & set(inputs) | RESERVED_OUTPUTS & set(outputs)):
        yield f"{template.tool_file.name} calls something {name!r}, as the dataset workflow does: rename it"
    filters = [(f"bind.{name}", b.where, b.query) for name, b in template.bind.items()]
    filters += [(f"requires {r.name!r}", r.where, r.query) for r in template.requires]
    for where, conditions, query in filters:
        if query is not None and query not in QUERIES:
            yield f"{where}: no query is named {query!r}: there are {', '.join(sorted(QUERIES))}"
        try:  # the same conditions as in a BIDS filter file, with the same mistakes
            parse_filters({"bold": conditions}, where)
        except BadInput as error:
            yield str(error).replace(f"{where}: bold", where)
    for pattern in (*template.outputs.values(), *template.expect, *template.forbid):
        for word in re.findall(r"\{([^}]*)\}", str(pattern)):
            if word not in LABELS:
                yield f"{pattern!r}: {{{word}}} stands for nothing; there are {', '.join(LABELS)}"
