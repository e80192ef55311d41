"""docs/imagej.md promises commands and the tests that run them: both are there."""

import re
import shlex
from pathlib import Path

import pytest

from neurocwl.cli import parser

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "imagej.md").read_text()
COMMANDS = re.findall(r"`neurocwl ([^`]+)`", TEXT)
TESTS = re.findall(r"tests/\S+::\w+", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documentation_is_understood(command: str) -> None:
    arguments, rest = parser().parse_known_args(shlex.split(command))
    assert arguments.action == command.split()[0] or arguments.action == "-".join(command.split()[:2])
    assert not {word for word in rest if word.startswith("--")} - {"--macro-parameters", "--macro"}


@pytest.mark.parametrize("test", sorted(set(TESTS)))
def test_a_test_of_the_documentation_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_every_command_of_the_old_system_has_one_here_or_a_reason() -> None:
    table = TEXT.split("## Coming from fiji-on-cfncluster")[1]
    rows = [
        line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ") and "---" not in line
    ][1:]
    assert len(rows) == 11
    assert all(run_by.strip() or here.strip().startswith("nothing:") for _, here, run_by in rows)
