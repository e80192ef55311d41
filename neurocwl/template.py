"""Job templates: what a pipeline needs of a dataset, and what proves that it succeeded. Data, not code."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from neurocwl import assets, cwlfile
from neurocwl.binding import LABELS, OF_DATASET, OF_RESULTS, Binding, Requirement, Rule, binding_of, rule_of
from neurocwl.errors import BadInput
from neurocwl.filters import QUERIES, parse_filters

UNIT_KINDS = ("participant", "session", "batch", "group")
GROUP = "group"  # the unit of a pipeline that runs over the results of all others
BATCH = "batch"  # the unit of a pipeline that takes many small images at once
DATASET_FOLDER = "bids"  # what the dataset is called where a tool sees it
# Names of a dataset workflow's own inputs and of what passes through the tool.
RESERVED_INPUTS = frozenset({"output", "run", "units", "unit", "unit_context", "unit_output", "unit_run"})
RESERVED_OUTPUTS = frozenset({"exit_code", "used", "passed_context", "passed_output", "passed_run"})
NOT_TEMPLATES = (".test", ".contract", ".schema")  # what else lies in jobs/

# Bindings that become one folder, and what it is called.
FOLDER_OF: Mapping[str, str] = {"dataset": DATASET_FOLDER, "tree": "files"}


@dataclass(frozen=True, slots=True)
class Hours:
    """How long a part of the work takes one unit; parallel is the fraction that more CPUs make shorter."""

    value: float
    cpus: int
    source: str
    parallel: float = 0.0
    most: int | None = None  # CPUs past which nothing is gained
    unless: str | None = None


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
    leave_out: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs_session: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    batch_size: int = 0  # images, for unit batch
    macro: str | None = None  # the CWL input that a project's own macro fills
    findings: str | None = None  # path of a report on the images, for preflight
    hours: tuple[Hours, ...] = ()
    rehearsal: str | None = None

    @property
    def tools(self) -> tuple[dict[str, Any], ...]:
        """The command line tools: the tool itself, or those of a workflow's steps."""
        return tuple(tool for tool, _ in command_line_tools(self.tool, self.tool_file))

    @property
    def image(self) -> str:
        """The container image of the tool (of a workflow: of its first step that has one); empty: it needs none."""
        return next((image for image in map(image_of, self.tools) if image), "")

    @property
    def file_inputs(self) -> tuple[str, ...]:
        """The CWL inputs that files of the dataset fill."""
        return tuple(name for name, binding in self.bind.items() if binding.kind in OF_DATASET)

    @property
    def result_inputs(self) -> tuple[str, ...]:
        """The CWL inputs that files of earlier outputs fill."""
        return tuple(name for name, binding in self.bind.items() if binding.kind in OF_RESULTS)

    def takes_many(self, name: str) -> bool:
        """Whether an input takes a list."""
        spec = self.tool["inputs"][name]
        return is_array(spec["type"] if isinstance(spec, Mapping) else spec)

    def delivery(self) -> dict[str, Any]:
        """What stage-out must know, as CWL data."""
        places = [b.derivatives for b in self.bind.values() if b.derivatives and b.derivatives.resume]
        resume = [folder for place in places for folder in place.folders]
        return {
            "pipeline": self.pipeline,
            "deliver": self.deliver,
            "outputs": list(self.outputs.values()),
            "expect": list(self.expect),
            "forbid": list(self.forbid),
            "shared": list(self.shared),
            **({"leave_out": list(self.leave_out)} if self.leave_out else {}),
            **({"resume": resume} if resume else {}),
        }


def image_of(tool: Mapping[str, Any]) -> str:
    """The container image that a CommandLineTool names; empty without one."""
    hints = {**tool.get("requirements", {}), **tool.get("hints", {})}
    return str(hints.get("DockerRequirement", {}).get("dockerPull", ""))


def is_array(type_: Any) -> bool:
    """Whether a CWL type is an array, null or not."""
    if isinstance(type_, list):
        return any(is_array(one) for one in type_ if one != "null")
    if isinstance(type_, Mapping):
        return bool(type_["type"] == "array")
    return str(type_).removesuffix("?").endswith("[]")


def command_line_tools(process: dict[str, Any], file: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """A process's command line tools, each with the file that it lies in.

    Raises BadInput for a step whose tool is not there.
    """
    if process["class"] != "Workflow":
        yield process, file
        return
    for name, step in process["steps"].items():
        run = step["run"]
        if isinstance(run, str):
            inner = (file.parent / run).resolve()
            if not inner.is_file():
                raise BadInput(f"{file}: step {name} runs {run!r}, which does not exist")
            yield from command_line_tools(tool_of(inner), inner)
        else:
            yield from command_line_tools(run, file)


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


def beside(chosen: Template, name: str) -> Template:
    """The group pipeline that a template names.

    Raises BadInput when there is none, or when it is of another kind.
    """
    file = _neighbour(chosen.file, name)
    if file is None:
        raise BadInput(
            f"{chosen.file}: group {name!r}: there is no such job template, beside it or among ours"
        )
    found = read(file)
    if found.unit != GROUP:
        raise BadInput(f"{chosen.file}: group {name!r} has unit {found.unit}; it must be {GROUP}")
    return found


def read(file: Path) -> Template:
    """Read and check one job template file."""
    raw = _validated(file)
    for name in ("bind", "outputs", "selection", "choices", "fixed"):
        if not isinstance(raw.get(name) or {}, dict):
            raise BadInput(f"{file}: {name} is {raw[name]!r}; it must be a map of names")
    tool_file = (file.parent / raw["tool"]).resolve()
    if not tool_file.is_file():
        raise BadInput(f"{file}: tool {raw['tool']!r} does not exist (looked at {tool_file})")
    tool = tool_of(tool_file)
    evidence = raw.get("evidence", {})
    template = Template(
        pipeline=raw["pipeline"],
        label=raw["label"],
        doc=raw["doc"],
        file=file,
        tool_file=tool_file,
        tool=tool,
        unit=raw["unit"],
        bind={name: binding_of(file, name, spec) for name, spec in raw["bind"].items()},
        outputs=raw["outputs"],
        logs=tuple(raw["logs"]),
        requires=tuple(Requirement(**requirement) for requirement in raw.get("requires", [])),
        licence=raw.get("licence"),
        selection=raw.get("selection", {}),
        deliver=raw.get("deliver", "success"),
        expect=tuple(evidence.get("expect", [])),
        forbid=tuple(evidence.get("forbid", [])),
        shared=tuple(raw.get("shared", [])),
        leave_out=tuple(raw.get("leave_out", [])),
        rules=tuple(rule_of(rule) for rule in raw.get("rules", [])),
        choices=raw.get("choices", {}),
        needs_session=raw.get("needs_session", False),
        fixed=raw.get("fixed", {}),
        group=raw.get("group"),
        batch_size=raw.get("batch_size", 0),
        macro=raw.get("macro"),
        findings=raw.get("findings"),
        hours=tuple(Hours(**hours) for hours in raw.get("hours", [])),
        rehearsal=raw.get("rehearsal"),
    )
    problems = list(_misfits(template))
    if problems:
        raise BadInput(f"{file}: " + "; ".join(problems))
    return template


def _validated(file: Path) -> dict[str, Any]:
    from schema_salad.exceptions import SchemaSaladException
    from schema_salad.schema import load_and_validate, load_schema

    loader, names_, _, _ = load_schema(str(assets.path("jobs") / "schema.yml"))
    if isinstance(names_, Exception):
        raise names_
    like = _like(file)
    try:
        if like is None:
            raw, _ = load_and_validate(loader, names_, str(file), True)
        else:
            base = cwlfile.load(like)
            tool = str((like.parent / str(base.get("tool"))).resolve())
            merged = {**base, "tool": tool, **cwlfile.load(file)}
            del merged["like"]
            with NamedTemporaryFile("w", prefix=f"{file.stem}-", suffix=".yml") as whole:
                json.dump(merged, whole)
                whole.flush()
                raw, _ = load_and_validate(loader, names_, whole.name, True)
    except (SchemaSaladException, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not a valid job template:\n{error}") from error
    if not isinstance(raw, dict):
        raise BadInput(
            f"{file} is not a valid job template: it must be one map that begins with class: JobTemplate"
        )
    return raw


def _neighbour(file: Path, name: str) -> Path | None:
    """Another job template that a template names: beside it, or one of ours."""
    for folder in (file.parent, assets.path("jobs")):
        other = folder / f"{name}.yml"
        if other.is_file() and other.resolve() != file.resolve():
            return other
    return None


def _like(file: Path) -> Path | None:
    """The template that this one differs from in a few keys.

    Raises BadInput when there is no such file.
    """
    try:
        found = cwlfile.load(file).get("like")
    except Exception:  # no YAML, or no map: the validation says so
        return None
    if found is None:
        return None
    other = _neighbour(file, found)
    if other is None:
        raise BadInput(f"{file}: like {found!r}: there is no such job template, beside it or among ours")
    return other


def tool_of(file: Path) -> dict[str, Any]:
    """A CWL tool or workflow with its inputs, outputs, steps, hints and requirements as maps, however written.

    Raises BadInput for a file that holds neither.
    """
    try:
        tool = cwlfile.load(file)
    except Exception as error:  # whatever the YAML parser makes of it
        raise BadInput(f"{file} is not a CWL file: {error}") from error
    if tool.get("class") not in ("CommandLineTool", "Workflow"):
        raise BadInput(
            f"{file}: class is {tool.get('class')!r}; a pipeline's tool must be a CommandLineTool or a Workflow"
        )
    parts = (
        ("inputs", "id"),
        ("outputs", "id"),
        ("steps", "id"),
        ("hints", "class"),
        ("requirements", "class"),
    )
    for part, key in parts:
        entries = tool.get(part)
        if isinstance(entries, list):
            tool[part] = {
                entry[key].lstrip("#"): {k: v for k, v in entry.items() if k != key} for entry in entries
            }
        elif part in ("inputs", "outputs") or (part == "steps" and tool["class"] == "Workflow"):
            tool[part] = entries or {}
    return tool


def _misfits(template: Template) -> Iterator[str]:
    """What in a template does not fit its tool."""
    inputs, outputs = template.tool["inputs"], template.tool["outputs"]
    if template.unit not in UNIT_KINDS:
        yield f"unit is {template.unit!r}; it must be one of {', '.join(UNIT_KINDS)}"
    if (template.batch_size > 0) != (template.unit == BATCH):
        yield f"batch_size is {template.batch_size}; unit {BATCH} needs one of 1 or more, others have none"
    if template.deliver not in ("success", "always"):
        yield f"deliver is {template.deliver!r}; it must be success or always"
    used = {
        *template.bind,
        *template.choices,
        *template.fixed,
        *template.selection.values(),
        *(name for name in (template.licence, template.macro) if name),
    }
    terms = [term for rule in template.rules for term in (*rule.exclusive, *rule.needs, rule.option) if term]
    used |= {term.partition("=")[0] for term in terms}  # a term is an input, or input=value
    used |= {name for r in template.requires for name in (r.unless, r.when) if name}
    used |= {hours.unless for hours in template.hours if hours.unless}
    used |= {name for b in template.bind.values() for name in (b.unless, b.when, b.reuse) if name}
    for name in sorted(used - set(inputs)):
        yield f"{name!r} is not an input of {template.tool_file.name}"
    for name in sorted({*template.outputs, *template.logs} - set(outputs)):
        yield f"{name!r} is not an output of {template.tool_file.name}"
    for name in sorted(RESERVED_INPUTS & set(inputs) | RESERVED_OUTPUTS & set(outputs)):
        yield f"{template.tool_file.name} calls something {name!r}, as the dataset workflow does: rename it"
    for hours in template.hours:
        if hours.value <= 0 or hours.cpus < 1 or not 0 <= hours.parallel <= 1 or (hours.most or 1) < 1:
            yield f"hours {hours.value} with {hours.cpus} CPUs: value and CPUs are above 0, parallel is from 0 to 1"
    yield from _kind_misfits(template)
    yield from _beside_misfits(template)
    filters = [
        (f"bind.{name}{f'.{inner}' if inner else ''}", b.where, b.query)
        for name, binding in template.bind.items()
        for inner, b in (("", binding), *binding.fields.items())
    ]
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


def _beside_misfits(template: Template) -> Iterator[str]:
    besides = [(f"bind.{name}", binding.beside) for name, binding in template.bind.items()]
    besides += [(f"requires {r.name!r}", r.beside) for r in template.requires]
    for where, beside in besides:
        described = template.bind.get(beside) if beside else None
        if beside and (described is None or described.kind != "file" or described.beside):
            yield f"{where}: beside is {beside!r}; it must be a binding of the kind file"


def _kind_misfits(template: Template) -> Iterator[str]:
    """What in the bindings does not fit the unit or the type of the input."""
    for name, binding in template.bind.items():
        if name not in template.tool["inputs"]:
            continue
        if (binding.kind == "results") != (template.unit == GROUP):
            yield f"bind.{name}: {binding.kind} does not go with unit {template.unit} (results go with group)"
        if binding.kind in ("sessions", "timepoints") and template.unit != "participant":
            yield f"bind.{name}: {binding.kind} goes with unit participant, not {template.unit}"
        if binding.derivatives:
            wanted = ("folder", "place") if template.takes_many(name) else ("",)
            if binding.derivatives.each not in wanted:
                yield f"bind.{name}.derivatives.each must be {' or '.join(wanted) or 'left out'} for its type"
