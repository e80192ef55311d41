"""Every command of ours that a page shows can be typed: its options exist, and its pipeline takes them."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocwl import cli, parameters, template

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PLANNED = ("plan", "launch", "job-order", "doctor")
OF_A_READERS = "--pipeline-dir"  # a template that the page has the reader write


def shown() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            indented = line.startswith("    ") or page.name == "README.md"  # the README has a block of them
            if indented and line.strip().startswith("neurocwl ") and "|" not in line:
                yield page.name, line.strip()


@pytest.mark.parametrize(("page", "line"), list(shown()))
def test_a_command_that_a_page_shows_is_understood(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    if "..." in words:  # what stands for the dataset and its pipeline
        words[words.index("...")] = "dataset"
        words = [word for word in words if word != "..."]
    arguments, rest = cli.parser().parse_known_args(words)
    if arguments.action in PLANNED and arguments.pipeline and OF_A_READERS not in words:
        parameters.add_options(arguments.parser, template.load(arguments.pipeline))
        arguments.parser.parse_args(words[1 if arguments.action == "doctor" else 2 :])
    else:  # of a project's pipeline, or the reader's own, nothing is known here
        assert rest == [] or OF_A_READERS in words or arguments.noun == "project"


def test_pages_show_commands() -> None:
    assert len(list(shown())) > 30
