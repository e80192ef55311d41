"""m2g's and ndmg's own code, in a process of its own, from a folder with the two packages.

Without words: answers JSON lines. A line {"tool": NAME} asks for the options of a parser, {"tool": NAME,
"argv": [...]} for what it reads in them. With words: `crawl PACKAGE BUCKET PATH JOBDIR` prints what that
package's crawl_bucket finds; boto3 is the real one, then.
"""

import argparse
import importlib
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parents[2] / "provisioning" / "images"
sys.path.insert(0, str(IMAGES / "shared"))

from rehearsal_neurodata import stand_ins  # noqa: E402

MODULES = {
    "m2g": "m2g.scripts.m2g_bids",
    "m2g_cloud": "m2g.scripts.m2g_cloud",
    "ndmg": "ndmg.scripts.ndmg_bids",
    "ndmg_cloud": "ndmg.scripts.ndmg_cloud",
}


class Reached(Exception):
    """The parser is complete: main() is about to use it."""


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser that a module's main() makes."""
    made: list[argparse.ArgumentParser] = []

    def reach(self: argparse.ArgumentParser, *words: object) -> Any:
        made.append(self)
        raise Reached

    original = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = reach  # type: ignore[method-assign, assignment]
    try:
        importlib.import_module(module).main()
    except Reached:
        pass
    finally:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]
    return made[0]


def answer(parser: argparse.ArgumentParser, request: dict[str, Any]) -> dict[str, Any]:
    """What was asked for."""
    if "argv" not in request:
        return {"values": {action.dest: action.option_strings for action in parser._actions}}
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return {"values": vars(parser.parse_args(request["argv"]))}
    except SystemExit:
        return {"refused": complaint.getvalue()}


def crawl(package: str, bucket: str, path: str, jobdir: str) -> dict[str, Any]:
    """The participants and sessions that a package finds below a prefix, or the name of its exception."""
    stand_ins.install(keep=frozenset({"boto3", "botocore", "dateutil"}))
    module = importlib.import_module(MODULES[f"{package}_cloud"])
    try:
        return {"found": module.crawl_bucket(bucket, path, jobdir)}
    except Exception as error:
        return {"raised": type(error).__name__}


def serve() -> None:
    """Answer until the input ends."""
    stand_ins.install()
    with redirect_stdout(sys.stderr):
        parsers = {name: parser_of(module) for name, module in MODULES.items()}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answer(parsers[request["tool"]], request)), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["crawl"]:
        with redirect_stdout(sys.stderr):
            result = crawl(*sys.argv[2:])
        print(json.dumps(result))
    else:
        serve()
