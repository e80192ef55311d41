"""m2g's and ndmg's own code, from their packages in the user's cache; see tests/data/neurodata_real.py."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.environments import python_with
from tests.unit.cwl_command import CHECKOUT

PACKAGES = ("m2g==0.3.0", "ndmg==0.2.1")
SCRIPT = CHECKOUT / "tests/data/neurodata_real.py"


class NeurodataParsers:
    """The command line parsers of m2g, ndmg, m2g_cloud and ndmg_cloud, in a process of their own."""

    def __init__(self, folder: Path) -> None:
        """Start it; `folder` is for the stand-ins of FSL and AFNI, which ndmg looks for when it is imported."""
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [str(packages() / "bin/python"), str(SCRIPT)],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(folder),
        )

    def parse(self, tool: str, argv: list[str]) -> dict[str, Any]:
        """{"values": {dest: value}} or {"refused": message}."""
        return self._ask({"tool": tool, "argv": argv})

    def options(self, tool: str) -> dict[str, list[str]]:
        """The flags of every option, by its name in the parser."""
        return {name: flags for name, flags in self._ask({"tool": tool})["values"].items() if name != "help"}

    def close(self) -> None:
        """End the process."""
        self.process.communicate(timeout=30)

    def _ask(self, request: object) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, "m2g's or ndmg's parser ended unexpectedly"
        return dict(json.loads(line))


def crawl(
    package: str, bucket: str, path: str, folder: Path, variables: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """What m2g_cloud's or ndmg_cloud's own search of a bucket finds, or {"raised": exception}."""
    (site,) = packages().glob("lib/python*/site-packages")
    jobs = folder / f"{package} {path.replace('/', ' ')}"
    jobs.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "crawl", package, bucket, path, str(jobs)],
        capture_output=True,
        text=True,
        check=False,
        env={**environment(folder, variables), "PYTHONPATH": str(site)},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def environment(folder: Path, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables under which both packages believe in FSL and AFNI."""
    folder.mkdir(exist_ok=True)
    afni = folder / "afni"
    afni.write_text("#!/bin/sh\n")
    afni.chmod(0o755)
    return {**variables, "FSLDIR": str(folder), "PATH": f"{folder}{os.pathsep}{variables['PATH']}"}


def packages() -> Path:
    """The environment that has both packages and nothing else; made at first, some MB in the user's cache."""
    return python_with(alone=PACKAGES).parent.parent
