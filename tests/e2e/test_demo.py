"""The demo, for real: it holds, says what it ran so that it runs again, and leaves nothing running."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

FINISHED = "3 done. Run "
VERIFIED = "25 equal, 0 missing, 0 differing, 0 extra (bytes read)"


@dataclass(frozen=True)
class Demo:
    """A demo that ended."""

    folder: Path
    code: int
    out: str
    err: str

    @property
    def typed(self) -> list[str]:
        """The lines that it says one can type."""
        return re.findall(r"^\$ (.*)$", self.out, re.MULTILINE)

    @property
    def port(self) -> int:
        """Where its S3 server answered."""
        found = re.search(r"AWS_ENDPOINT_URL=http://127\.0\.0\.1:(\d+)", self.out)
        assert found, self.out
        return int(found.group(1))


def environment(home: Path, **variables: str) -> dict[str, str]:
    """A user's, whose own AWS set-up leads elsewhere."""
    own = {"AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "HOME": str(home)}
    return {**os.environ, **own, **variables}


def run_demo(place: Path, *words: str, **variables: str) -> Demo:
    done = subprocess.run(
        [sys.executable, "-m", "neurocwl", "demo", *words],
        cwd=place,
        env=environment(place, **variables),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    return Demo(place / "neurocwl-demo", done.returncode, done.stdout, done.stderr)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def demo(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One run in containers, in the default folder."""
    ended = run_demo(tmp_path_factory.mktemp("demo"))
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    return ended


@pytest.mark.docker
@pytest.mark.slow
def test_every_participant_is_done_and_every_byte_of_the_derivatives_holds(demo: Demo) -> None:
    assert "runs in containers" in demo.out
    assert FINISHED in demo.out
    assert VERIFIED in demo.out
    assert "Everything held" in demo.out


@pytest.mark.docker
@pytest.mark.slow
def test_the_derivatives_and_a_mosaic_lie_in_the_folder(demo: Demo) -> None:
    named = re.search(r"^mosaic: (.*)$", demo.out, re.MULTILINE)
    assert named
    with Image.open(named.group(1)) as mosaic:
        assert mosaic.format == "PNG"
        assert min(mosaic.size) > 200
    reports = demo.folder.glob("derivatives/nifti-check/sub-*/sub-*_desc-check_report.json")
    assert len(list(reports)) == 3


@pytest.mark.docker
@pytest.mark.slow
def test_nothing_runs_on(demo: Demo, containers_left: Callable[[Path], list[str]]) -> None:
    assert not answers(demo.port)
    assert containers_left(demo.folder) == []


@pytest.mark.docker
@pytest.mark.slow
def test_what_it_printed_can_be_typed_again_line_by_line(demo: Demo) -> None:
    until_it_answers = f"until (exec 3<>/dev/tcp/127.0.0.1/{demo.port}) 2>/dev/null; do sleep 0.1; done"
    lines = ["set -e", "trap 'kill $(jobs -p); wait' EXIT"]
    for line in demo.typed:
        lines += [line, until_it_answers] if line.endswith("&") else [line]

    again = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=demo.folder,
        env=environment(demo.folder.parent),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert again.returncode == 0, f"{again.stdout}\n{again.stderr}"
    assert [line.split()[1] for line in demo.typed if line.startswith("neurocwl ")][-2:] == [
        "status",
        "verify",
    ]
    assert "nothing to run: every unit is done" in again.stderr
    assert FINISHED in again.stdout
    assert VERIFIED in again.stdout
    assert not answers(demo.port)


@pytest.mark.slow
def test_without_an_engine_it_says_so_in_one_line_and_runs_again_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "neurocwl-demo"
    folder.mkdir()
    (folder / ".neurocwl-demo").touch()
    (folder / "of-an-earlier-demo").touch()

    ended = run_demo(tmp_path, DOCKER_HOST="unix:///nonexistent")

    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    assert "no docker engine answers here: the pipeline runs without containers" in ended.out.splitlines()
    assert any(line.endswith("--no-container") for line in ended.typed)
    assert FINISHED in ended.out
    assert VERIFIED in ended.out
    assert not (folder / "of-an-earlier-demo").exists()


def test_a_folder_that_is_not_a_demos_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    ended = run_demo(tmp_path, "--folder", str(tmp_path))

    assert ended.code == 2
    assert str(tmp_path) in ended.err
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
