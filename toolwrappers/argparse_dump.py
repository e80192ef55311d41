#!/usr/bin/env python3
"""The options of a program's own argparse parser as JSON; run by the Python that has the program.

    argparse_dump.py TARGET [STUB ...]

TARGET is MODULE:FUNCTION (it returns the parser, or would parse the command line with it), MODULE:PARSER, or the
path of a console script. STUBs are modules, with all below them, that need not be there: heavy imports that
have no part in the command line.
"""

import argparse
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import runpy
import socket
import sys
import types
from collections.abc import Sequence
from typing import Any, NoReturn
from unittest.mock import MagicMock


class _Captured(BaseException):  # not an Exception: programs catch those around their main
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


class _Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in self.names):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        # What `from stub import *` brings: modules of the standard library that some programs get that way.
        star = {"os": os, "op": os.path, "sys": sys}
        module: Any = MagicMock(**star)
        module.__name__, module.__path__, module.__all__ = spec.name, [], list(star)
        return module  # type: ignore[no-any-return]

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _capture(self: argparse.ArgumentParser, *args: object, **kwargs: object) -> NoReturn:
    raise _Captured(self)


def _offline(*args: object, **kwargs: object) -> NoReturn:
    raise ConnectionError("a command line needs no network")  # some programs ask for newer versions


def find_parser(target: str) -> argparse.ArgumentParser:
    """The parser behind TARGET."""
    argparse.ArgumentParser.parse_args = _capture  # type: ignore[method-assign]
    argparse.ArgumentParser.parse_known_args = _capture  # type: ignore[method-assign]
    module, colon, name = target.partition(":")
    found: Any = None
    try:
        if colon:
            found = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            if not isinstance(found, argparse.ArgumentParser):
                found = found()
        else:
            sys.argv = [target]
            runpy.run_path(target, run_name="__main__")
    except _Captured as captured:
        found = captured.parser
    if not isinstance(found, argparse.ArgumentParser):
        raise SystemExit(f"{target}: no argparse parser came of it, but {type(found).__name__}")
    return found


def describe(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The parser as plain data."""
    actions = [_option(parser, action) for action in parser._actions]
    return {"prog": parser.prog, "description": parser.description or "", "options": actions}


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> dict[str, Any]:
    said = _help(parser, action)
    kind = type(action).__name__
    deprecated = bool(getattr(action, "deprecated", False)) or "deprecat" in f"{kind} {said}".lower()
    return {
        "dest": action.dest,
        "flags": list(action.option_strings),
        "action": kind.strip("_").removesuffix("Action"),
        "nargs": action.nargs,
        "type": _type(action.type),
        "choices": None if action.choices is None else [str(choice) for choice in action.choices],
        "default": _plain(action.default),
        "required": bool(action.required),
        "deprecated": deprecated,
        "help": said,
    }


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    if not action.help or action.help == argparse.SUPPRESS:
        return ""
    try:
        return " ".join(parser._get_formatter()._expand_help(action).split())
    except Exception:  # a stray % in a help text
        return " ".join(action.help.split())


def _type(type_: Any) -> str | None:
    if type_ is None:
        return None
    inner = getattr(type_, "func", type_)  # functools.partial
    return str(getattr(inner, "__name__", type(inner).__name__))


def _plain(value: Any) -> Any:
    if value is None or value == argparse.SUPPRESS:
        return None
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def main(words: Sequence[str]) -> int:
    """Print the JSON; what the program prints goes to standard error."""
    target, *stubs = words
    out, sys.stdout = sys.stdout, sys.stderr
    socket.socket.connect = _offline  # type: ignore[method-assign]
    sys.meta_path.insert(0, _Stubs(stubs))
    print(json.dumps(describe(find_parser(target))), file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
