"""fMRIPrep's own command line parser as a service, to be run by a Python that has fMRIPrep's minimal install.

Says {"ready": version}, then answers each line of JSON by a line of JSON:

- a list of arguments: {"values": {dest: value}} or {"refused": message};
- {"argv": arguments, "check": true}: the same, with the checks that fMRIPrep makes after parsing (options
  that contradict each other, the dataset, its participants), in a process of their own, since they fill
  fMRIPrep's global configuration, and without the values;
- "options": {"values": {dest: flags}}.

Nothing reaches the network.
"""

import contextlib
import io
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn


def _offline(*args: object, **kwargs: object) -> NoReturn:
    raise ConnectionError("tests have no network")


def _remembered(look_up: Any) -> Any:
    """Remember answers about the templates: they do not change, and each output space asks several times."""
    answers: dict[str, Any] = {}

    def answer(*args: object, **kwargs: object) -> Any:
        asked = repr((args, sorted(kwargs.items())))
        if asked not in answers:
            answers[asked] = look_up(*args, **kwargs)
        return answers[asked]

    return answer


def _plain(value: Any) -> Any:
    """A parsed value as JSON: containers stay, anything unknown becomes its text."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _parsed(arguments: list[str]) -> dict[str, Any]:
    from fmriprep.cli.parser import _build_parser  # type: ignore[import-not-found]

    return {name: _plain(value) for name, value in vars(_build_parser().parse_args(arguments)).items()}


def _options(arguments: list[str]) -> dict[str, Any]:
    from fmriprep.cli.parser import _build_parser

    actions = _build_parser()._actions
    return {a.dest: list(a.option_strings) for a in actions if a.dest not in ("help", "version")}


def _checked(arguments: list[str]) -> dict[str, Any]:
    from fmriprep.cli.parser import parse_args

    parse_args(arguments)
    return {}


def _answer(act: Any, arguments: list[str]) -> dict[str, Any]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return {"values": act(arguments)}
    except SystemExit:
        return {"refused": said.getvalue().strip().rpartition("\n")[2]}
    except Exception as error:  # the parser lets plain exceptions through for bad values
        return {"refused": f"{type(error).__name__}: {error}"}


def _in_a_fork(arguments: list[str]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer = _answer(_checked, arguments)
        os.write(writing, json.dumps(answer)[:60_000].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read() or b'{"refused": "no answer"}')
    os.waitpid(child, 0)
    return dict(answer)


def main() -> None:
    """Answer requests until the input ends."""
    out, sys.stdout = sys.stdout, sys.stderr
    home = Path(sys.prefix) / "home"
    home.mkdir(exist_ok=True)
    os.environ.update(HOME=str(home), NO_ET="1", NIPYPE_NO_ET="1")
    os.environ.update(TEMPLATEFLOW_HOME=str(home / "templateflow"), TEMPLATEFLOW_AUTOUPDATE="off")
    import requests

    requests.sessions.Session.request = _offline  # type: ignore[method-assign]
    socket.socket.connect = _offline  # type: ignore[method-assign]
    from fmriprep import __version__  # type: ignore[import-not-found]
    from templateflow import api  # type: ignore[import-not-found]

    api.TF_LAYOUT.get = _remembered(api.TF_LAYOUT.get)
    print(json.dumps({"ready": __version__}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request == "options":
            answer = _answer(_options, [])
        elif isinstance(request, dict) and request.get("check"):
            answer = _in_a_fork(request["argv"])
        else:
            answer = _answer(_parsed, request)
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
