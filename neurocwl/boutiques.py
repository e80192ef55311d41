"""Boutiques descriptors (https://boutiques.github.io, schema 0.5): what one says of a command line."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl.cliparser import Option, Parser
from neurocwl.errors import BadInput

NEEDED = ("name", "description", "command-line", "inputs")
TYPES = {"File": "File", "Number": "float", "String": None, "Flag": None}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A command line in the order in which a descriptor writes it, and the image that has it."""

    parser: Parser
    command: tuple[str, ...]
    version: str | None
    image: str | None
    entrypoint: bool


def read(file: Path) -> Descriptor:
    """Read a descriptor.

    Raises BadInput for what is no descriptor, and for a command line that is more than one command with its words.
    """
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} is no Boutiques descriptor: {error}") from error
    lacking = [key for key in NEEDED if not (isinstance(raw, dict) and raw.get(key))]
    if lacking:
        raise BadInput(f"{file} is no Boutiques descriptor: {', '.join(lacking)} is missing")
    by_key = {str(i.get("value-key", "")): i for i in raw["inputs"]}
    command, order = _command_line(file, raw["command-line"], by_key)
    options = tuple(_option(file, by_key[key]) for key in order)
    container = raw.get("container-image") or {}
    return Descriptor(
        Parser(str(raw["name"]), str(raw["description"]), options),
        command,
        raw.get("tool-version"),
        _image(container),
        bool(container.get("entrypoint")),
    )


def _command_line(
    file: Path, line: str, by_key: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The command itself, and the value keys in their order; a key of an output file is left out."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadInput(f"{file}: command-line {line!r}: {error}") from error
    command: list[str] = []
    order: list[str] = []
    for word in words:
        keys = [key for key in by_key if key and key in word]
        if keys and word == keys[0]:
            order.append(word)
        elif keys or order or re.search(r"[;|&<>$`\[\]]", word):
            raise BadInput(
                f"{file}: command-line has {word!r}; one command, then value keys, each a word of its own, can be imported"
            )
        else:
            command.append(word)
    return tuple(command), tuple(order)


def _option(file: Path, raw: Mapping[str, Any]) -> Option:
    kind = raw.get("type")
    if kind not in TYPES:
        raise BadInput(f"{file}: input {raw.get('id')!r} has type {kind!r}; there are {', '.join(TYPES)}")
    flag, many = raw.get("command-line-flag"), bool(raw.get("list"))
    between = raw.get("list-separator", " ")
    return Option(
        dest=str(raw["id"]),
        flags=(str(flag),) if flag else (),
        action="StoreTrue" if kind == "Flag" else "Store",
        nargs=0 if kind == "Flag" else "+" if many else None,
        type="int" if kind == "Number" and raw.get("integer") else TYPES[str(kind)],
        choices=tuple(str(choice) for choice in raw.get("value-choices", ())),
        default=raw.get("default-value"),
        required=not raw.get("optional", False),
        help=" ".join(str(raw.get("description") or raw.get("name") or "").split()),
        separator=str(raw.get("command-line-flag-separator", " ")),
        item_separator=between if many and between != " " else None,
    )


def _image(container: Mapping[str, Any]) -> str | None:
    name, index = container.get("image"), str(container.get("index", "")).rstrip("/")
    if not name or container.get("type") not in ("docker", "singularity"):
        return None
    bare = str(name).removeprefix("docker://")
    host = re.sub(r"^\w+://", "", index)
    registry = "" if host in ("", "index.docker.io", "docker.io") else f"{host}/"
    return f"{registry or 'docker.io/'}{bare}"
