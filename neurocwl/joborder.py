"""Job orders: plain CWL input objects, one per shard of units, written as JSON."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from neurocwl.bids import File
from neurocwl.parameters import RESOURCES
from neurocwl.template import DATASET_FOLDER, Binding, Template
from neurocwl.units import Queries, Unit, bound_files, inherited_files, is_set

SHARD_UNITS = 200  # a flat list much longer than this costs a Toil leader quadratic time
SHARD_FILES = 10_000  # some 100 MB of a Toil leader's memory
# What describes the dataset and not the images: a new participant in the table invalidates nobody's results.
NOT_IN_KEY = ("dataset_description.json", "participants.tsv", "participants.json")

Locate = Callable[[str], str]  # path below the dataset -> location of a CWL File


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
    previous: str | None = None  # tag of the receipt that this run replaces
    rehearsal: str | None = None  # None: no rehearsal; "": a rehearsal; else the fault it rehearses

    def inputs(self) -> dict[str, Any]:
        """Every bound CWL input with its value."""
        return {name: self._value(name, binding) for name, binding in self.template.bind.items()}

    def _value(self, name: str, binding: Binding) -> Any:
        if binding.kind == "label":
            unit = self.unit
            return {"unit": unit.name, "participant": unit.participant, "session": unit.session}[
                binding.label
            ]
        files = self.files_of[name]
        if binding.kind == "dataset":
            return directory(DATASET_FOLDER, files, self.locate)
        objects = [file_object(f, self.locate) for f in files]
        return objects if binding.kind == "files" else objects[0] if objects else None

    def context(self) -> dict[str, Any]:
        """What passes through the tool to stage-out."""
        return {
            "unit": self.unit.name,
            "participant": self.unit.participant,
            "session": self.unit.session,
            "task_key": self.task_key,
            "previous": self.previous,
            "rehearsal": self.rehearsal,
        }

    def record(self) -> dict[str, Any]:
        """The scatter element."""
        return {"context": self.context(), **self.inputs()}

    def record_for_stage_in(self, access: Mapping[str, bool]) -> dict[str, Any]:
        """The scatter element of a workflow that brings the files by a step of its own: one string for all.

        access: sign and requester_pays, as toolwrappers/stage_in.py takes them.
        """
        inputs = self.inputs()
        labels = {name: value for name, value in inputs.items() if name not in self.files_of}
        wanted = {
            name: {
                "folder": DATASET_FOLDER if self.template.bind[name].kind == "dataset" else "",
                "files": [(self.locate(f.path), self._place(name, f), f.size) for f in files],
            }
            for name, files in self.files_of.items()
        }
        request = json.dumps({"access": dict(access), "inputs": wanted}, ensure_ascii=False)
        return {"context": self.context(), **labels, "request": request}

    def _place(self, name: str, file: File) -> str:
        return file.path if self.template.bind[name].kind == "dataset" else file.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Common:
    """What all units of a run share."""

    output: str
    run: str
    parameters: Mapping[str, Any]
    licence: Mapping[str, Any] | None = None  # a CWL File
    namespaces: Mapping[str, str] = field(default_factory=lambda: {"s3": "s3:"})


def order(
    unit: Unit,
    template: Template,
    root_files: Sequence[File],
    locate: Locate,
    parameters: Mapping[str, Any],
    queries: Queries | None,
    fingerprint: str,
) -> Order:
    """The CWL inputs of one unit. fingerprint: what besides the files decides its results."""
    files_of: dict[str, tuple[File, ...]] = {}
    for name in template.file_inputs:
        binding = template.bind[name]
        if binding.when and not is_set(parameters.get(binding.when)):
            files_of[name] = ()
        elif binding.beside:
            described = template.bind[binding.beside]
            files_of[name] = inherited_files(unit, binding.where, described, queries) or ()
        else:
            own = bound_files(unit, binding, queries)
            files_of[name] = (*root_files, *own) if binding.kind == "dataset" else own
    distinct = {f.path: f for files in files_of.values() for f in files}.values()
    key = _digest(
        [fingerprint, unit.name, *((f.path, f.size, f.etag) for f in distinct if f.path not in NOT_IN_KEY)]
    )
    return Order(unit, template, locate, files_of, len(distinct), sum(f.size for f in distinct), key)


def file_object(file: File, locate: Locate) -> dict[str, Any]:
    """A CWL File with its size, so that no engine asks for it."""
    return {
        "class": "File",
        "location": locate(file.path),
        "basename": file.path.rpartition("/")[2],
        "size": file.size,
    }


def directory(name: str, files: Iterable[File], locate: Locate) -> dict[str, Any]:
    """A CWL Directory literal that holds files at their paths."""
    root: dict[str, Any] = {"class": "Directory", "basename": name, "listing": []}
    known = {"": root}

    def folder(path: str) -> dict[str, Any]:
        if path not in known:
            parent, _, last = path.rpartition("/")
            known[path] = {"class": "Directory", "basename": last, "listing": []}
            folder(parent)["listing"].append(known[path])
        return known[path]

    for file in files:
        folder(file.path.rpartition("/")[0])["listing"].append(file_object(file, locate))
    return root


def fingerprint(
    template: Template, image: str, parameters: Mapping[str, Any], queries: Queries | None
) -> str:
    """What besides the input files decides a unit's results: the tool, its image and the parameters."""
    meaning = {key: value for key, value in template.tool.items() if key not in ("label", "doc", "hints")}
    scripts = list(_scripts(template))
    chosen = {name: _content(value) for name, value in parameters.items() if name not in RESOURCES}
    bind = {
        name: [b.kind, dict(b.where), b.label, b.query, b.when, *([b.beside] if b.beside else [])]
        for name, b in template.bind.items()
    }
    return _digest(
        [template.pipeline, _undocumented(meaning), scripts, image, chosen, dict(queries or {}), bind]
    )


def _content(value: Any) -> Any:
    """A parameter as its content: a local file by its bytes, a local folder by its listing, wherever they lie."""
    if isinstance(value, list):
        return [_content(item) for item in value]
    if not isinstance(value, Mapping) or not str(value.get("location", "")).startswith("file://"):
        return value
    path = Path(unquote(urlparse(value["location"]).path))
    rest = {key: item for key, item in value.items() if key != "location"}
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
        stats = sorted(
            (f.relative_to(path).as_posix(), f.stat().st_size, f.stat().st_mtime_ns) for f in files
        )
        return {**rest, "files": stats}
    return {**rest, "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None}


def _scripts(template: Template) -> Iterator[str]:
    """The text of every script that the tool brings along."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            if set(value) == {"$include"}:
                yield (template.tool_file.parent / value["$include"]).read_text(encoding="utf-8")
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    yield from walk(template.tool)


def _undocumented(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _undocumented(item) for key, item in value.items() if key not in ("doc", "label")}
    return [_undocumented(item) for item in value] if isinstance(value, list) else value


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
    return {
        "$namespaces": dict(common.namespaces),
        "output": common.output,
        "run": common.run,
        **common.parameters,
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


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
