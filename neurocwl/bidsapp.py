"""A first CWL tool, job template and test job out of a BIDS App's own command line; docs/adding-a-pipeline.md.

A BIDS App takes a dataset, an output folder and an analysis level (https://doi.org/10.1371/journal.pcbi.1005209);
some options mean the same in all of them, and their values come from the dataset or from CWL's runtime.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from neurocwl.cliparser import Option, Parser
from neurocwl.errors import BadInput
from neurocwl.parameters import RESOURCES
from neurocwl.template import RESERVED_INPUTS

CWL = dict[str, Any]
DATASET = ("bids_dir", "bids_directory", "bids_folder", "bids_root", "in_bids")
OUTPUT = ("output_dir", "out_dir", "output_directory", "output_folder", "outdir", "output")
LEVEL = ("analysis_level", "level")
PARTICIPANT = ("participant_label", "participant_labels", "participants_label", "participant")
RUNTIME = {
    **dict.fromkeys(("n_cpus", "nprocs", "n_procs", "nthreads", "n_threads", "ncpus"), "$(runtime.cores)"),
    **dict.fromkeys(("mem_mb", "memory_mb", "mem_mib"), "$(runtime.ram)"),
    **dict.fromkeys(("work_dir", "working_dir", "workdir"), "$(runtime.tmpdir)/work"),
}
LICENCE = ("fs_license_file", "fs_license")
FILTER = "bids_filter_file"
SELECTION = {"session_label": "session", "task_id": "task", FILTER: "filter"}
VALIDATED = ("skip_bids_validation", "skip_bids_validator")
NUMBERS = {"int": "int", "float": "double"}
SYMBOL = re.compile(r"[A-Za-z0-9_.+-]+")
LONGEST_DOC = 600
NO_DEFAULT = re.compile(r" ?\(default: (?:None|False|True|\[\])\)")
RESOURCE_INPUTS = {
    "cpus": (1, "CPUs."),
    "memory_mib": (4096, "Memory in MiB."),
    "tmp_mib": (10240, "Disk for temporary files, in MiB."),
    "out_mib": (10240, "Disk for the outputs, in MiB."),
    "time_limit": (86400, "Seconds after which the run is stopped; 0 is no limit."),
}


@dataclass(frozen=True, slots=True)
class Program:
    """A BIDS App: its command line, and where it is."""

    name: str
    parser: Parser
    command: tuple[str, ...]  # empty: the image's entry point is the program
    image: str
    package: str
    version: str | None = None
    rrid: str | None = None
    python: bool = True


@dataclass(frozen=True, slots=True)
class Imported:
    """The documents of a pipeline, and the options that were left out, with the reason."""

    tool: CWL
    template: CWL
    job: CWL
    left_out: dict[str, str]


@dataclass(slots=True)
class _Draft:
    own_options: Collection[str]
    arguments: list[Any] = field(default_factory=list)
    inputs: CWL = field(default_factory=dict)
    bind: CWL = field(default_factory=dict)
    choices: CWL = field(default_factory=dict)
    selection: CWL = field(default_factory=dict)
    licence: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    runtime: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)

    def name(self, option: Option, flag: str | None = None) -> str:
        """A name in snake_case that no other input and no option of neurocwl has."""
        said = flag or (option.name if len(option.name) > 2 else option.dest)
        own = re.sub(r"[^a-z0-9]+", "_", said.lower()).strip("_") or "option"
        own = own if own[0].isalpha() else f"option_{own}"
        taken = {*RESERVED_INPUTS, *RESOURCES, *self.inputs, "extra_args"}
        while own in taken or f"--{own.replace('_', '-')}" in self.own_options:
            own = f"app_{own}"
        return own


def convert(program: Program, own_options: Collection[str]) -> Imported:
    """The documents for a program. own_options: flags of neurocwl itself, which no input may be called by.

    Raises BadInput for what is no BIDS App.
    """
    draft = _Draft(own_options)
    options = program.parser.options
    positionals = [option for option in options if not option.flags]
    for number, option in enumerate(options):
        if program.python:  # positionals first: an option of several words would take them
            position = positionals.index(option) - len(positionals) if option in positionals else None
        else:
            position = number + 1
        _add(draft, option, position)
    lacking = {"dataset", "output", "level", "participant"} - draft.roles
    if lacking:
        named = {"dataset": DATASET, "output": OUTPUT, "level": LEVEL, "participant": PARTICIPANT}
        wanted = "; ".join(f"no {role} ({' or '.join(named[role][:2])})" for role in sorted(lacking))
        raise BadInput(
            f"{program.name} is no BIDS App that can be imported: {wanted}. Write its tool: docs/adding-a-pipeline.md"
        )
    last = len(options) + 1
    draft.inputs["extra_args"] = {
        "type": "string[]?",
        "doc": "Further arguments, word by word, as they stand.",
        "inputBinding": {"position": last},
    }
    for name, (default, doc) in RESOURCE_INPUTS.items():
        draft.inputs[name] = {"type": "int", "default": default, "doc": doc}
    return Imported(_tool(program, draft), _template(program, draft), _job(draft), draft.left_out)


def _tool(program: Program, draft: _Draft) -> CWL:
    first = " ".join(program.parser.description.split()).rstrip(".") or program.name
    version = {"version": [program.version]} if program.version else {}
    specs = {"specs": [f"https://identifiers.org/RRID:{program.rrid.removeprefix('RRID:')}"]} if program.rrid else {}  # fmt: skip
    packages: CWL = {program.package: {**version, **specs}}
    if program.python and not program.rrid:
        packages["python"] = {"specs": ["https://identifiers.org/RRID:SCR_008394"]}
    return {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "label": f"{program.name}, a BIDS App",
        "doc": f"{first}. Imported from its own command line.",
        "hints": {
            "DockerRequirement": {"dockerPull": program.image},
            "ResourceRequirement": {
                "coresMin": "$(inputs.cpus)",
                "ramMin": "$(inputs.memory_mib)",
                "tmpdirMin": "$(inputs.tmp_mib)",
                "outdirMin": "$(inputs.out_mib)",
            },
            "ToolTimeLimit": {"timelimit": "$(inputs.time_limit)"},
            "SoftwareRequirement": {"packages": packages},
        },
        **({"baseCommand": list(program.command)} if program.command else {}),
        "arguments": draft.arguments,
        "inputs": draft.inputs,
        "stdout": f"{program.name}.log",
        "stderr": f"{program.name}.err",
        "outputs": {
            "out_dir": {
                "type": "Directory",
                "doc": "The derivatives.",
                "outputBinding": {"glob": "derivatives"},
            },
            "stdout_log": {"type": "stdout", "doc": "What it says."},
            "stderr_log": {"type": "stderr", "doc": "What it complains about."},
        },
    }


def _template(program: Program, draft: _Draft) -> CWL:
    return {
        "class": "JobTemplate",
        "pipeline": program.name,
        "label": program.name,
        "doc": " ".join(program.parser.description.split()) or program.name,
        "tool": f"../cwl/tools/{program.name}.cwl",
        "unit": "participant",
        "bind": draft.bind,
        **({"licence": draft.licence} if draft.licence else {}),
        "requires": [{"name": "NIfTI image", "where": {"extension": [".nii", ".nii.gz"]}}],
        **({"selection": draft.selection} if draft.selection else {}),
        "outputs": {"out_dir": "."},
        "logs": ["stdout_log", "stderr_log"],
        "evidence": {"expect": ["sub-{participant}/** | **sub-{participant}[._]*"]},
        "shared": ["dataset_description.json"],
        **({"choices": draft.choices} if draft.choices else {}),
    }


def _job(draft: _Draft) -> CWL:
    """A test job: a dataset without images, for the command line alone."""
    description = '{"Name": "test", "BIDSVersion": "1.10.0"}'
    file = {"class": "File", "basename": "dataset_description.json", "contents": description}
    job: CWL = {}
    for name, spec in draft.inputs.items():
        if name in draft.bind and "dataset" in draft.bind[name]:
            job[name] = {"class": "Directory", "basename": "ds", "listing": [file]}
        elif name in draft.bind:
            job[name] = "01"
        elif "default" not in spec and not _may_be_left_out(spec["type"]):
            job[name] = _example(spec["type"])
    return job


def _may_be_left_out(type_: Any) -> bool:
    return "null" in type_ if isinstance(type_, list) else isinstance(type_, str) and type_.endswith("?")


def _example(type_: Any) -> Any:
    if isinstance(type_, dict):
        return type_["symbols"][0] if type_["type"] == "enum" else [_example(type_["items"])]
    if type_.endswith("[]"):
        return [_example(type_.removesuffix("[]"))]
    literal = {"class": type_, "basename": "file"}
    return {"int": 1, "double": 1.0, "boolean": True, "File": {**literal, "contents": "test\n"}, "Directory": {**literal, "listing": []}}.get(type_, "text")  # fmt: skip


def _add(draft: _Draft, option: Option, position: int | None) -> None:
    """Give an option its input or argument, or a reason why it has none."""
    if option.action in ("Help", "Version"):
        return
    if option.action == "SubParsers":
        raise BadInput(f"{option.name}: subcommands cannot be imported; write the tool of one of them")
    if option.deprecated and not option.required:
        draft.left_out[option.name] = "deprecated"
        return
    known = {re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_") for word in (option.dest, *option.flags)}
    at = {"position": position} if position is not None else {}
    if _role(draft, option, known, at):
        return
    if option.action == "Append" and option.nargs not in (None, 1):
        draft.left_out[option.name] = "a list of lists, which CWL cannot write"
    elif option.action == "BooleanOptional":
        for flag in (f for f in option.flags if f.startswith("--")):
            draft.inputs[draft.name(option, flag)] = {
                "type": "boolean?",
                "doc": _doc(option),
                "inputBinding": {**at, "prefix": flag},
            }
    else:
        _input(draft, option, known, at)


def _role(draft: _Draft, option: Option, known: set[str], at: CWL) -> bool:
    """Whether the option is one that means the same in every BIDS App, and has been dealt with as such."""

    def is_(names: Collection[str]) -> bool:
        return not known.isdisjoint(names)

    def first(role: str) -> bool:
        new = role not in draft.roles
        draft.roles.add(role)
        return new

    flag = {**at, **_prefix(option)}
    plain = not option.is_switch
    if plain and is_(DATASET) and first("dataset"):
        draft.inputs["bids_dir"] = {
            "type": "Directory",
            "doc": "The BIDS dataset, or the part of it that belongs to the participant.",
            "inputBinding": flag,
        }
        draft.bind["bids_dir"] = {"dataset": {}}
    elif plain and is_(OUTPUT) and first("output"):
        draft.arguments.append({**flag, "valueFrom": "$(runtime.outdir)/derivatives"})
    elif plain and (is_(LEVEL) or "participant" in option.choices) and _takes_participant(option) and first("level"):  # fmt: skip
        draft.arguments.append({**flag, "valueFrom": "participant"})
    elif plain and is_(PARTICIPANT) and first("participant"):
        draft.inputs["participant_label"] = {
            "type": "string",
            "doc": 'The participant to process, without "sub-".',
            "inputBinding": flag,
        }
        draft.bind["participant_label"] = {"label": "participant"}
    elif plain and option.flags and is_(RUNTIME):
        value = next(RUNTIME[name] for name in RUNTIME if name in known)
        if value in draft.runtime:
            return False
        draft.runtime.add(value)
        draft.arguments.append({**flag, "valueFrom": value})
    elif plain and is_(LICENCE) and first("licence"):
        draft.licence = "fs_license"
        draft.inputs["fs_license"] = {
            "type": "File",
            "doc": "The FreeSurfer licence file.",
            "inputBinding": flag,
        }
    elif option.is_switch and is_(VALIDATED) and first("validated"):
        draft.inputs["skip_bids_validation"] = {
            "type": "boolean",
            "default": True,
            "doc": "Take the dataset as valid BIDS: a part of a dataset would fail the validator.",
            "inputBinding": flag,
        }
    else:
        return False
    return True


def _takes_participant(option: Option) -> bool:
    return not option.choices or "participant" in option.choices


def _input(draft: _Draft, option: Option, known: set[str], at: CWL) -> None:
    """The input of an ordinary option."""
    role = next((role for role in SELECTION if role in known and role not in draft.inputs), None)
    name = role or draft.name(option)  # neurocwl's own option of that name fills it
    spec: CWL = {"type": "", "doc": _doc(option), "inputBinding": {**at, **_prefix(option)}}
    if option.action == "Count" and (short := _short(option)):
        # As often as the letter stands there.
        spec["type"] = ["null", {"type": "enum", "symbols": [short * times for times in (1, 2, 3)]}]
        spec["inputBinding"] = {**at, "prefix": "-", "separate": False}
    elif option.is_switch:
        spec["type"] = "boolean?"
        spec["inputBinding"] = {**at, "prefix": option.name}
    else:
        item, needed = _item(option), _needed(option)
        many = option.takes_many or option.action == "Append"
        if option.choices and (many or not all(SYMBOL.fullmatch(choice) for choice in option.choices)):
            draft.choices[name] = list(option.choices)
        elif option.choices:
            item = {"type": "enum", "symbols": list(option.choices)}
        if option.action == "Append":
            items = {"type": "array", "items": item, "inputBinding": _prefix(option)}
            spec["type"] = items if needed else ["null", items]
            spec["inputBinding"] = at or {"position": 0}
        elif isinstance(item, str):
            spec["type"] = f"{item}{'[]' if many else ''}{'' if needed else '?'}"
        else:
            spec["type"] = item if needed else ["null", item]
        if many and option.action != "Append" and option.flags and not option.item_separator:
            spec["inputBinding"] = {**at, "prefix": option.name}
    if role and not str(spec["type"]).startswith("File" if role == FILTER else "string"):
        role, name = None, draft.name(option)
    if role:
        draft.selection[SELECTION[role]] = name
    draft.inputs[name] = spec


def _prefix(option: Option) -> CWL:
    if not option.flags:
        return _items(option)
    if option.is_switch or option.separator == " ":
        return {"prefix": option.name, **_items(option)}
    return {"prefix": f"{option.name}{option.separator}", "separate": False, **_items(option)}


def _items(option: Option) -> CWL:
    return {"itemSeparator": option.item_separator} if option.item_separator else {}


def _needed(option: Option) -> bool:
    if option.flags or option.separator != "=":
        return option.required
    return option.nargs not in ("?", "*")


def _item(option: Option) -> Any:
    """The CWL type of one value, as well as the parser tells: a path is a guess by the option's name."""
    if option.type == "File" or option.type in NUMBERS:
        return NUMBERS.get(option.type, option.type)
    name, read_by = option.name.lower(), (option.type or "").lower()
    written = re.search(r"(^|[-_])(out|output|save|write|log|report)", name)
    if written or option.choices:
        return "string"
    if re.search(r"(dir|directory|folder)$", name) or "dir" in read_by:
        return "Directory"
    if re.search(r"[-_]file$", name) or re.search(r"file|path", read_by):
        return "File"
    return "string"


def _short(option: Option) -> str | None:
    return next((f[1] for f in option.flags if len(f) == 2 and f[0] == "-" and f[1].isalpha()), None)


def _doc(option: Option) -> str:
    return " ".join(_sentences(option))


def _sentences(option: Option) -> Iterator[str]:
    text = NO_DEFAULT.sub("", " ".join(option.help.split()))[:LONGEST_DOC].strip()
    default = option.default
    stated = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    if stated and "default" not in text.lower():
        text = f"{text.rstrip('.') or option.name} (default {default})."
    yield text or f"The program's {option.name}."
    if isinstance(option.nargs, int) and option.nargs > 1:
        yield f"{option.nargs} values."
