"""What decides a unit's results besides its files: the tool, its scripts, its image, the parameters."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from neurocwl.binding import Binding
from neurocwl.parameters import RESOURCES
from neurocwl.template import Template, command_line_tools
from neurocwl.units import Queries

# What describes the dataset and not the images: a new participant in the table invalidates nobody's results.
NOT_IN_KEY = ("dataset_description.json", "participants.tsv", "participants.json")


def fingerprint(
    template: Template, image: str, parameters: Mapping[str, Any], queries: Queries | None
) -> str:
    """What besides the input files decides a unit's results: the tool, its image and the parameters."""
    processes = [(template.tool, template.tool_file)]
    if template.tool["class"] == "Workflow":
        processes += command_line_tools(template.tool, template.tool_file)
    meanings = [
        {key: value for key, value in process.items() if key not in ("label", "doc", "hints")}
        for process, _ in processes
    ]
    scripts = [text for process, file in processes for text in _scripts(process, file)]
    # What an input of earlier derivatives holds goes into the key file by file, wherever it lies.
    left_out = {*RESOURCES, *template.bind}
    chosen = {name: _content(value) for name, value in parameters.items() if name not in left_out}
    bind = {name: _meaning(binding) for name, binding in template.bind.items()}
    return digest(
        [template.pipeline, _undocumented(meanings), scripts, image, chosen, dict(queries or {}), bind]
    )


def _meaning(binding: Binding) -> list[Any]:
    known = [binding.kind, dict(binding.where), binding.label, binding.query, binding.when]
    fields = {name: _meaning(field) for name, field in binding.fields.items()}
    return [
        *known,
        *([binding.unless] if binding.unless else []),
        *([fields] if fields else []),
        *([binding.beside] if binding.beside else []),
    ]


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


def _scripts(process: Mapping[str, Any], file: Path) -> Iterator[str]:
    """The text of every script that a tool brings along."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            if set(value) == {"$include"}:
                yield (file.parent / value["$include"]).read_text(encoding="utf-8")
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    yield from walk(process)


def _undocumented(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _undocumented(item) for key, item in value.items() if key not in ("doc", "label")}
    return [_undocumented(item) for item in value] if isinstance(value, list) else value


def digest(value: Any) -> str:
    """A short digest of plain data."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
