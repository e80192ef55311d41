"""A step whose environment was emptied takes what reaches S3 from the worker above it, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

WRAPPERS = Path(__file__).parents[2] / "toolwrappers"
STEP = "import json, os, worker_environment; worker_environment.adopt(); print(json.dumps(dict(os.environ)))"


def adopted(*ancestors: dict[str, str]) -> dict[str, str]:
    """The environment of a step after adopt(); ancestors from the farthest, each a process of its own."""
    python = [sys.executable, "-c"]
    emptied = {"HOME": "/step", "PATH": os.environ["PATH"], "PYTHONPATH": str(WRAPPERS)}
    program = f"import subprocess; subprocess.run({[*python, STEP]!r}, env={emptied!r}, check=True)"
    for environment in reversed(ancestors[1:]):
        program = (
            f"import subprocess; subprocess.run({[*python, program]!r}, env={environment!r}, check=True)"
        )
    done = subprocess.run([*python, program], env=ancestors[0], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def said_by_a_step_below(program: Path, seconds: float) -> str:
    """What a step says of the time since its worker began, which first did something else for so long."""
    step = [
        sys.executable,
        "-c",
        "import worker_environment; print(worker_environment.seconds_since_start())",
    ]
    work = f"import subprocess, time\ntime.sleep({seconds})\nsubprocess.run({step!r}, check=True)\n"
    program.write_text(work)
    environment = {**os.environ, "PYTHONPATH": str(WRAPPERS)}
    command = [sys.executable, str(program)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_a_unit_took_as_long_as_the_toil_worker_above_its_step_has_run(tmp_path: Path) -> None:
    assert int(said_by_a_step_below(tmp_path / "_toil_worker", 2)) >= 2


def test_without_a_toil_worker_nobody_knows_how_long_a_unit_took(tmp_path: Path) -> None:
    assert said_by_a_step_below(tmp_path / "another_worker", 0) == "None"


def test_keys_region_proxies_and_home_come_from_the_worker() -> None:
    worker = {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_DEFAULT_REGION": "r",
        "HTTPS_PROXY": "p",
        "HOME": "/home/lab",
        "OTHER": "x",
    }
    found = adopted(worker)
    assert {name: found.get(name) for name in worker} == {**worker, "OTHER": None}


def test_what_a_launcher_took_away_does_not_come_back_from_farther_up() -> None:
    shell = {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL_S3": "http://elsewhere", "HOME": "/home/lab"}
    worker = {"AWS_ACCESS_KEY_ID": "k", "HOME": "/home/lab"}
    found = adopted(shell, worker)
    assert found["AWS_ACCESS_KEY_ID"] == "k"
    assert "AWS_PROFILE" not in found
    assert "AWS_ENDPOINT_URL_S3" not in found


def test_an_emptied_shell_between_the_worker_and_the_step_is_passed_over() -> None:
    worker = {"AWS_ACCESS_KEY_ID": "k", "HOME": "/home/lab"}
    found = adopted(worker, {"HOME": "/step", "PATH": os.environ["PATH"]})
    assert (found["AWS_ACCESS_KEY_ID"], found["HOME"]) == ("k", "/home/lab")
