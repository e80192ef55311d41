"""The options of a program's own argparse parser, as data; toolwrappers/argparse_dump.py reads them."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl import assets
from neurocwl.errors import BadInput


@dataclass(frozen=True, slots=True)
class Option:
    """An option, or a positional argument (no flags), of a command line."""

    dest: str
    flags: tuple[str, ...] = ()
    action: str = "Store"  # the name of argparse's action, without Action
    nargs: int | str | None = None
    type: str | None = None  # the name of the function that reads a value
    choices: tuple[str, ...] = ()
    default: Any = None
    required: bool = False
    deprecated: bool = False
    help: str = ""
    separator: str = "="  # between flag and value; argparse takes = for every kind of flag
    item_separator: str | None = None  # between the values of a list that is one word

    @property
    def takes_many(self) -> bool:
        """Whether it takes several words at once."""
        return self.nargs in ("+", "*", "...", "A...") or (isinstance(self.nargs, int) and self.nargs > 1)

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value at all."""
        return bool(self.flags) and self.nargs == 0

    @property
    def name(self) -> str:
        """What a person calls it: the longest flag, or the name of a positional."""
        return max(self.flags, key=len) if self.flags else self.dest


@dataclass(frozen=True, slots=True)
class Parser:
    """A program's command line."""

    prog: str
    description: str
    options: tuple[Option, ...]

    @property
    def positionals(self) -> tuple[Option, ...]:
        """The positional arguments, in their order."""
        return tuple(option for option in self.options if not option.flags)

    def by_flag(self) -> dict[str, Option]:
        """Every flag with its option."""
        return {flag: option for option in self.options for flag in option.flags}


def read(
    python: Path, target: str, *, stubs: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Parser:
    """The parser behind MODULE:FUNCTION or a console script (a path, or a name beside the Python).

    The Python that has the program reads it, with an empty home and without network.
    Raises BadInput with the last line of what went wrong.
    """
    if ":" not in target and "/" not in target:
        target = str(python.parent / target)
    script = assets.path("toolwrappers") / "argparse_dump.py"
    with tempfile.TemporaryDirectory(prefix="neurocwl-parser-") as home:
        done = subprocess.run(
            [str(python), str(script), target, *stubs],
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            env={**os.environ, "HOME": home, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BadInput(f"the parser of {target} could not be read: {why}")
    return as_parser(json.loads(done.stdout))


def as_parser(raw: Mapping[str, Any]) -> Parser:
    """What argparse_dump.py prints, as a Parser."""
    options = tuple(
        Option(
            **{**option, "flags": tuple(option["flags"]), "choices": tuple(option["choices"] or ())},
        )
        for option in raw["options"]
    )
    return Parser(raw["prog"], raw["description"], options)
