"""A pipeline's dataset workflow, derived from its CWL tool and its job template.

For every unit, one after the other on one worker: the tool, then stage-out. The tool's failure is recorded
here, not thrown (every exit code is a success code, every output is optional), because one failed element of
a scatter hides all others in Toil; the tool by itself still fails. stage-out takes everything from the tool
step alone, so that Toil runs it at once in the same worker: hence the values that pass through the tool.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl import assets, cwlfile
from neurocwl.template import FOLDER_OF, Template, image_of, tool_of

CWL = dict[str, Any]

# What the launcher knows of a unit and the tool must not: it passes through to stage-out.
CONTEXT_FIELDS: dict[str, str] = {
    "unit": "string",
    "participant": "string?",
    "session": "string?",
    "task_key": "string",
    "previous": "string?",
    "rehearsal": "string?",
}
PASSED = {"context": "Any", "output": "string", "run": "string"}
USED = ".neurocwl-used.json"  # toolwrappers/container_run.py
USED_BY_STEPS: CWL = {
    "type": "array",
    "items": ["null", "File", {"type": "array", "items": ["null", "File"]}],
}
HOISTED = ("cwlVersion", "$namespaces", "$schemas")
GATE = "neurocwl-gate"  # in toolwrappers/bin, which is on the PATH of workers


def dataset_workflow(
    template: Template,
    *,
    inline: bool = False,
    image: str | None = None,
    resources: Mapping[str, int] | None = None,
    stage_in: bool = False,
    rehearsal: bool = False,
    encrypt: str | None = None,
    gated: bool = False,
    container: bool = True,
) -> CWL:
    """The CWL of the scatter over units.

    inline: scripts and stage-out are written into the document, so that it stands alone;
    otherwise it refers to them relative to cwl/workflows/. image: another container image for the tool.
    resources: values of resource inputs and of the time limit, written into their hints as numbers: Toil
    runs stage-out in the tool's own worker only when it knows what the tool asks for beforehand.
    rehearsal: tell the stand-in of each unit what to rehearse.
    encrypt: how S3 encrypts what stage-out writes.
    gated: each unit asks at the output before its tool starts (toolwrappers/gate.py). The docker client does it;
    with container=False the tool's command.
    stage_in: a step before the tool brings its files, instead of the engine; see toolwrappers/stage_in.py.
    """
    tool = template.tool
    bound = {*template.bind, *template.fixed}
    parameters = {name: spec for name, spec in tool["inputs"].items() if name not in bound}
    stage_out: Any = _step_tool("stage-out") if inline else "../tools/stage-out.cwl"
    brought = (*template.file_inputs, *template.result_inputs) if stage_in else ()
    gate = f"$(inputs.unit_output)#$(inputs.unit_run)#{encrypt or ''}" if gated else ""
    changes = _Changes(
        template.image, image or template.image, resources or {}, rehearsal, inline, gate, container
    )
    recorded = _recorded(tool, template.tool_file, changes, PASSED)
    passed = {"unit_output": "output", "unit_run": "run"}
    per_unit: CWL = {
        "class": "Workflow",
        "requirements": {"StepInputExpressionRequirement": {}, "MultipleInputFeatureRequirement": {}},
        "inputs": {
            "unit": {"type": _unit_type(template, "one_unit", brought, documented=False)},
            "output": "string",
            "run": "string",
            **{
                name: {"type": _named_apart(spec_without_binding(spec)["type"])}
                for name, spec in parameters.items()
            },
        },
        "steps": {
            **({"stage_in": _stage_in(template)} if stage_in else {}),
            "tool": {
                "run": recorded,
                "in": {
                    "unit_context": {"source": "unit", "valueFrom": "$(self.context)"},
                    **passed,
                    **{
                        name: f"stage_in/{name}"
                        if name in brought
                        else {"source": "unit", "valueFrom": f"$(self.{name})"}
                        for name in template.bind
                    },
                    **{name: {"default": value} for name, value in template.fixed.items()},
                    **{name: name for name in parameters},
                },
                "out": [
                    *template.outputs,
                    *template.logs,
                    "exit_code",
                    "used",
                    *(f"passed_{name}" for name in PASSED),
                ],
            },
            "stage_out": {
                "run": stage_out,
                "in": {
                    "context": "tool/passed_context",
                    "output": "tool/passed_output",
                    "run": "tool/passed_run",
                    "exit_code": "tool/exit_code",
                    "used": "tool/used",
                    "outputs": _merged(f"tool/{name}" for name in template.outputs),
                    "logs": _merged(f"tool/{name}" for name in template.logs),
                    "delivery": {
                        "default": {
                            **template.delivery(),
                            **({"encrypt": encrypt} if encrypt else {}),
                            **({"asked": dict(resources)} if resources else {}),
                        }
                    },
                },
                "out": ["receipt"],
            },
        },
        "outputs": {"receipt": {"type": "File", "outputSource": "stage_out/receipt"}},
    }
    return {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "label": f"{template.label}: every unit of a dataset",
        "doc": (
            f"{tool.get('doc', '').strip()}\n\n"
            "Scatters over units; the outputs of each go to `output` as soon as it ends, and its receipt is "
            "written last. A unit that fails leaves the others alone: its receipt says why.\n"
        ),
        "requirements": {
            "ScatterFeatureRequirement": {},
            "SubworkflowFeatureRequirement": {},
            "StepInputExpressionRequirement": {},
            "MultipleInputFeatureRequirement": {},
        },
        "inputs": {
            "units": {
                "type": {"type": "array", "items": _unit_type(template, "unit", brought, documented=True)},
                "doc": "The units to process.",
            },
            "output": {"type": "string", "doc": "Where the derivatives go, an s3:// URL or a folder."},
            "run": {"type": "string", "doc": "The id of the run; receipts carry it.", "default": "by-hand"},
            **{name: dict(spec_without_binding(spec)) for name, spec in parameters.items()},
        },
        "steps": {
            "per_unit": {
                "scatter": "unit",
                "in": {"unit": "units", "output": "output", "run": "run", **{n: n for n in parameters}},
                "out": ["receipt"],
                "run": per_unit,
            }
        },
        "outputs": {
            "receipts": {
                "type": {"type": "array", "items": "File"},
                "doc": "The receipt of each unit.",
                "outputSource": "per_unit/receipt",
            }
        },
        **{key: tool[key] for key in ("$namespaces", "$schemas") if key in tool},
    }


def standalone(file: Path) -> CWL:
    """A tool, or a workflow with its tools, as one document: scripts are written into it."""
    found: CWL = _included(tool_of(file), file.parent)
    for step in found.get("steps", {}).values():
        if isinstance(step["run"], str):
            inner = standalone((file.parent / step["run"]).resolve())
            step["run"] = {key: value for key, value in inner.items() if key not in HOISTED}
    return found


def spec_without_binding(spec: Any) -> CWL:
    """A CWL input as a workflow takes it: no command line binding, at any depth."""
    if not isinstance(spec, Mapping):
        return {"type": spec}
    return {key: _unbound(value) for key, value in spec.items() if key not in ("inputBinding",)}


def _unbound(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unbound(item) for key, item in value.items() if key != "inputBinding"}
    return [_unbound(item) for item in value] if isinstance(value, list) else value


def _type(spec: Any) -> Any:
    """The type of a tool's input; one with a default need not be given."""
    type_ = spec_without_binding(spec)["type"]
    if isinstance(spec, Mapping) and "default" in spec:
        return _optional(type_)
    return _named_apart(type_)


def _optional(type_: Any) -> Any:
    if isinstance(type_, str):
        return type_ if type_.endswith("?") else f"{type_}?"
    if isinstance(type_, list):
        return [_named_apart(t) for t in (type_ if "null" in type_ else ["null", *type_])]
    return ["null", _named_apart(type_)]


def _named_apart(type_: Any) -> Any:
    """The same type without its name: two processes may not define one name twice."""
    if isinstance(type_, Mapping) and type_.get("type") in ("enum", "array"):
        return {key: _named_apart(value) for key, value in type_.items() if key != "name"}
    if isinstance(type_, list):
        return [_named_apart(t) for t in type_]
    return type_


def _stage_in(template: Template) -> CWL:
    """The step that brings the unit's files: one output for each input of the tool."""
    outputs: CWL = {}
    for name in (*template.file_inputs, *template.result_inputs):
        pattern = FOLDER_OF.get(template.bind[name].kind, "*")
        outputs[name] = {
            "type": _type(template.tool["inputs"][name]),
            "outputBinding": {"glob": f"staged/{name}/{pattern}"},
        }
    return {
        "run": {**_step_tool("stage-in"), "outputs": outputs},
        "in": {"request": {"source": "unit", "valueFrom": "$(self.request)"}},
        "out": list(outputs),
    }


def _step_tool(name: str) -> CWL:
    """One of our own tools, with its scripts written into it, as part of another document."""
    folder = assets.path("cwl/tools")
    document = _included(cwlfile.load(folder / f"{name}.cwl"), folder)
    return {key: value for key, value in document.items() if key not in HOISTED}


def _unit_type(template: Template, name: str, brought: Sequence[str], *, documented: bool) -> CWL:
    context = {"type": "record", "name": f"{name}_context", "fields": dict(CONTEXT_FIELDS)}
    fields: CWL = {"context": {"type": context}}
    if brought:
        fields["request"] = {"type": "string"}
    for bound in template.bind:
        if bound in brought:
            continue
        spec = template.tool["inputs"][bound]
        fields[bound] = {"type": _type(spec)}
        if documented and isinstance(spec, Mapping) and "doc" in spec:
            fields[bound]["doc"] = spec["doc"]
    return {"type": "record", "name": name, "fields": fields}


def _merged(sources: Any) -> CWL:
    return {"source": list(sources), "linkMerge": "merge_nested"}


@dataclass(frozen=True, slots=True)
class _Changes:
    """What differs from the tool as its file has it, for one run."""

    image: str  # the tool's own
    instead: str  # the one to use
    resources: Mapping[str, int]
    rehearsal: bool
    inline: bool
    gate: str  # what tells a tool where to ask before it starts; empty: nothing
    container: bool


def _recorded(process: CWL, file: Path, changes: _Changes, passed: Mapping[str, str]) -> CWL:
    """The tool or workflow with its failures recorded instead of thrown, and with what passes through it."""
    recorded = {key: value for key, value in process.items() if key not in HOISTED}
    recorded["inputs"] = {
        **process["inputs"],
        **{f"unit_{name}": type_ for name, type_ in passed.items()},
    }
    outputs: CWL = {name: _recorded_output(spec) for name, spec in process["outputs"].items()}
    if process["class"] == "Workflow":
        recorded |= _recorded_steps(process, file, changes)
        codes = [f"{step}/exit_code" for step in process["steps"]]
        outputs["exit_code"] = {"type": "Any", "outputSource": codes, "linkMerge": "merge_nested"}
        accounts = [f"{step}/used" for step in process["steps"]]
        outputs["used"] = {"type": USED_BY_STEPS, "outputSource": accounts, "linkMerge": "merge_nested"}
        for name, type_ in passed.items():
            outputs[f"passed_{name}"] = {"type": type_, "outputSource": f"unit_{name}"}
        return {**recorded, "outputs": outputs}
    outputs["exit_code"] = {"type": "int", "outputBinding": {"outputEval": "$(runtime.exitCode)"}}
    outputs["used"] = {"type": "File?", "outputBinding": {"glob": USED}}
    for name, type_ in passed.items():
        value = f"$(inputs.unit_{name})"
        outputs[f"passed_{name}"] = {"type": type_, "outputBinding": {"outputEval": value}}
    recorded["outputs"] = outputs
    recorded["successCodes"] = list(range(256))
    hints = dict(recorded.get("hints", {}))
    if image_of(process) == changes.image != changes.instead:
        hints["DockerRequirement"] = {"dockerPull": changes.instead}
    known = {f"$(inputs.{name})": value for name, value in changes.resources.items()}
    for name in {"ResourceRequirement", "ToolTimeLimit"} & set(hints):
        hints[name] = {key: known.get(str(value), value) for key, value in hints[name].items()}
    requirements = dict(recorded.get("requirements", {}))
    variables = dict(requirements.get("EnvVarRequirement", {}).get("envDef", {}))
    variables["NEUROCWL_UNIT"] = "$(inputs.unit_context.unit)"
    if changes.rehearsal:
        variables["NEUROCWL_REHEARSAL"] = "$(inputs.unit_context.rehearsal)"
    if changes.gate:
        variables["NEUROCWL_GATE"] = changes.gate
        if not changes.container:
            words = recorded.get("baseCommand", [])
            recorded["baseCommand"] = [GATE, *([words] if isinstance(words, str) else words)]
    requirements["EnvVarRequirement"] = {"envDef": variables}
    recorded["hints"], recorded["requirements"] = hints, requirements
    return _included(recorded, file.parent) if changes.inline else recorded


def _recorded_output(spec: Any) -> Any:
    if not isinstance(spec, Mapping):
        return spec if spec in ("stdout", "stderr") else {"type": _maybe_missing(spec)}
    if spec["type"] in ("stdout", "stderr"):
        return spec
    return {**spec, "type": _maybe_missing(spec["type"])}


def _recorded_steps(process: CWL, file: Path, changes: _Changes) -> CWL:
    """The steps of a workflow with recorded tools, each told which unit it works for."""
    steps: CWL = {}
    for name, step in process["steps"].items():
        inner, where = step["run"], file
        if isinstance(inner, str):
            where = (file.parent / inner).resolve()
            inner = tool_of(where)
        passed = PASSED if changes.gate else {"context": "Any"}
        tool = _recorded(inner, where, changes, passed)
        for fed in _fed_by_steps(step["in"]):  # a step that failed may have made nothing
            spec = tool["inputs"].get(fed)
            if spec is not None:
                known = spec if isinstance(spec, Mapping) else {"type": spec}
                tool["inputs"][fed] = {**known, "type": _maybe_missing(known["type"])}
        steps[name] = {
            **step,
            "in": {**step["in"], **{f"unit_{name}": f"unit_{name}" for name in passed}},
            "out": [*step["out"], "exit_code", "used"],
            "run": tool,
        }
    return {"steps": steps}


def _fed_by_steps(step_inputs: CWL) -> Iterator[str]:
    """The inputs of a step that outputs of other steps fill."""
    for name, spec in step_inputs.items():
        source = spec.get("source", []) if isinstance(spec, Mapping) else spec
        sources = source if isinstance(source, list) else [source]
        if any("/" in one for one in sources):
            yield name


def _maybe_missing(type_: Any) -> Any:
    """A type whose value, or any item of it, may be null."""
    if isinstance(type_, str) and type_.removesuffix("?").endswith("[]"):
        item = type_.removesuffix("?").removesuffix("[]")
        return ["null", {"type": "array", "items": ["null", item]}]
    if isinstance(type_, Mapping) and type_.get("type") == "array":
        items = type_["items"]
        nullable = items if isinstance(items, list) and "null" in items else ["null", items]
        return ["null", {**_named_apart(type_), "items": nullable}]
    return _optional(type_)


def _included(value: Any, folder: Path) -> Any:
    """The document with every $include replaced by the text that it names."""
    if isinstance(value, Mapping):
        if set(value) == {"$include"}:
            return (folder / value["$include"]).read_text(encoding="utf-8")
        return {key: _included(item, folder) for key, item in value.items()}
    return [_included(item, folder) for item in value] if isinstance(value, list) else value
