"""What cwltool makes of a CWL tool and its inputs: the command line, with the inputs staged, nothing run."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cwltool.context import LoadingContext, RuntimeContext
from cwltool.load_tool import load_tool
from cwltool.process import Process, stage_files
from cwltool.workflow import default_make_tool
from hypothesis import strategies as st
from ruamel.yaml import YAML

CHECKOUT = Path(__file__).resolve().parents[2]
Inputs = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, the environment that its tool asks for, and where its outputs would lie."""

    argv: list[str]
    environment: Mapping[str, str]
    outdir: Path
    laid_out: Mapping[str, str]  # path below outdir of what the tool wants there -> location


@dataclass(slots=True)
class Tool:
    """A CWL tool as plain data and as cwltool sees it; commands are made below `room`."""

    name: str
    room: Path
    document: Inputs = field(init=False)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        """Load cwl/tools/NAME.cwl."""
        file = CHECKOUT / "cwl/tools" / f"{self.name}.cwl"
        self.document = read_yaml(file)
        self.process = load_tool(str(file), LoadingContext({"construct_tool_object": default_make_tool}))

    def command(self, inputs: Inputs) -> Command:
        """The command line for these inputs, as cwltool builds it without a container; inputs are staged."""
        shutil.rmtree(self.room, ignore_errors=True)
        places = {name: str(self.room / name) for name in ("outdir", "tmpdir", "stagedir")}
        runtime = RuntimeContext({**places, "use_container": False, "basedir": str(CHECKOUT)})
        job: Any = next(iter(self.process.job(inputs, lambda outputs, status: None, runtime)))
        stage_files(job.pathmapper, ignore_writable=True)
        outdir = Path(job.outdir)
        listing = job.generatefiles["listing"]
        laid_out = {
            str(Path(one.get("dirname") or outdir, one["basename"]).relative_to(outdir)): one["location"]
            for one in listing
        }
        return Command([str(word) for word in job.command_line], dict(job.environment), outdir, laid_out)

    def parameters(self, values: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Inputs]:
        """Inputs over the whole space that the CWL file spans.

        values: for inputs whose type alone (a string, a number, a file) says too little.
        """
        required: dict[str, st.SearchStrategy[Any]] = {}
        optional: dict[str, st.SearchStrategy[Any]] = {}
        for name, spec in self.document["inputs"].items():
            known = values[name] if name in values else _of_type(name, spec["type"])
            chosen = optional if "default" in spec or is_optional(spec["type"]) else required
            chosen[name] = known
        return st.fixed_dictionaries(required, optional=optional)


def read_yaml(file: Path) -> Any:
    """A YAML file as plain data."""
    return YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))


def job_order(file: Path) -> Inputs:
    """The inputs of a job order, its locations resolved."""

    def resolved(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: _uri(item) if key == "location" else resolved(item) for key, item in value.items()}
        return [resolved(item) for item in value] if isinstance(value, list) else value

    def _uri(location: str) -> str:
        return (file.parent / location).as_uri()

    return dict(resolved(read_yaml(file)))


def is_optional(type_: Any) -> bool:
    """Whether an input of this CWL type may be left out."""
    return type_.endswith("?") if isinstance(type_, str) else isinstance(type_, list) and "null" in type_


def symbols(type_: Any) -> list[str]:
    """The symbols of a CWL enum, optional or not; [] for other types."""
    parts = type_ if isinstance(type_, list) else [type_]
    return [symbol for part in parts if isinstance(part, dict) for symbol in part.get("symbols", [])]


def _of_type(name: str, type_: Any) -> st.SearchStrategy[Any]:
    if symbols(type_):
        return st.sampled_from(symbols(type_))
    if type_ in ("boolean", "boolean?"):
        return st.booleans()
    raise AssertionError(f"input {name}: the type {type_} does not say which values to try; give some")


def file_object(path: Path) -> Inputs:
    """A CWL File."""
    return {"class": "File", "location": path.as_uri()}


def directory_object(path: Path) -> Inputs:
    """A CWL Directory."""
    return {"class": "Directory", "location": path.as_uri()}


def rule_terms(template: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """(input, value or None) of everything that the rules of a job template name."""
    named = [
        term
        for rule in template["rules"]
        for term in (*rule.get("exclusive", []), *rule.get("needs", []), rule.get("option"))
        if term
    ]
    return [(name, value or None) for name, _, value in (term.partition("=") for term in named)]


def table(name: str) -> list[dict[str, str]]:
    """The rows of a table in tests/data."""
    head, *rows = (CHECKOUT / "tests/data" / name).read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), row.split("\t"), strict=True)) for row in rows]
