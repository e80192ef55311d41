"""fMRIPrep's own command line parser, from a minimal install of fMRIPrep in the user's cache."""

import json
import subprocess
from pathlib import Path
from typing import Any

from neurocwl import contract, pyenv, template
from tests.environments import cached
from tests.unit.cwl_command import CHECKOUT

TEMPLATE = template.load("fmriprep")
CONTRACT = contract.load(TEMPLATE)
FMRIPREP = contract.made_for(TEMPLATE, CONTRACT)


class FmriprepParser:
    """fMRIPrep's own command line parser, in a process of its own."""

    def __init__(self, python: Path) -> None:
        """Start it and wait until it is ready."""
        command = [str(python), str(CHECKOUT / "tests/data/fmriprep_parser.py")]
        pipe = subprocess.PIPE
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, text=True)
        self.version: str = self._read()["ready"]

    def parse(self, argv: list[str]) -> dict[str, Any]:
        """{"values": {dest: value}} or {"refused": message}."""
        return self._ask(argv)

    def check(self, argv: list[str]) -> dict[str, Any]:
        """{"values": {}} or {"refused": message}, with the checks that fMRIPrep makes after parsing."""
        return self._ask({"argv": argv, "check": True})

    def options(self) -> dict[str, list[str]]:
        """The flags of every option, by its name in the parser."""
        return dict(self._ask("options")["values"])

    def close(self) -> None:
        """End the process."""
        self.process.communicate(timeout=30)

    def _ask(self, request: object) -> dict[str, Any]:
        assert self.process.stdin
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "fMRIPrep's parser ended unexpectedly"
        return dict(json.loads(line))


def parser_python() -> Path:
    """The Python that has fMRIPrep's minimal install; made at first, some 500 MB in the user's cache."""
    place = cached(
        f"fmriprep-parser-{FMRIPREP}",
        lambda place: contract.install(CONTRACT, FMRIPREP, pyenv.create(place)),
    )
    return place / "bin" / "python"
