"""Longitudinal runs start from finished subjects only, and say which one is not."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from neurocwl import assets

SCRIPT = assets.path("toolwrappers") / "from_finished.sh"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def subject(folder: Path) -> Path:
    """As much of a finished subject as tells that it is one."""
    (folder / "scripts").mkdir(parents=True)
    (folder / "mri").mkdir()
    (folder / "mri/aseg.mgz").write_text("voxels")
    (folder / "scripts/recon-all.done").write_text(f"-----\nSUBJECT {folder.name}\nSTART_TIME now\n")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the script before a recon-all that repeats its words."""
    program = tmp_path / "bin/recon-all"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "sd").mkdir()

    def start(folders: list[Path], *words: str) -> "subprocess.CompletedProcess[str]":
        line = ["sh", str(SCRIPT), *map(str, folders), "recon-all", "-sd", str(tmp_path / "sd"), *words]
        path = f"{program.parent}:/usr/bin:/bin"
        return subprocess.run(line, capture_output=True, text=True, check=False, env={"PATH": path})

    return start


def test_recon_all_gets_its_words_and_finds_the_subjects(run: Run, tmp_path: Path) -> None:
    folders = [subject(tmp_path / "in a" / "t1"), subject(tmp_path / "in b" / "t2")]
    done = run(folders, "-base", "mean", "-tp", "t1", "-tp", "t2", "-all", "-x", "a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:] == ["-base", "mean", "-tp", "t1", "-tp", "t2", "-all", "-x", "a b"]
    assert (tmp_path / "sd/t2/mri/aseg.mgz").read_text() == "voxels"


def test_a_longitudinal_run_looks_at_its_time_point_and_the_template(run: Run, tmp_path: Path) -> None:
    folders = [subject(tmp_path / "t1"), subject(tmp_path / "mean")]
    assert run(folders, "-long", "t1", "mean", "-all").returncode == 0
    (tmp_path / "mean/scripts/recon-all.error").touch()
    failed = run([], "-long", "t1", "mean", "-all")
    assert (failed.returncode, failed.stderr) == (
        1,
        "mean: its base run is not finished (scripts/recon-all.error is there)\n",
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: (t / "scripts/recon-all.error").touch(), "scripts/recon-all.error is there"),
        (lambda t: (t / "scripts/recon-all.done").unlink(), "no scripts/recon-all.done of a success"),
        (
            lambda t: (t / "scripts/recon-all.done").write_text("1\n"),
            "no scripts/recon-all.done of a success",
        ),
        (lambda t: (t / "scripts/IsRunning.lh+rh").touch(), "scripts/IsRunning is there: it was cut off"),
        (lambda t: (t / "mri/aseg.mgz").unlink(), "no mri/aseg.mgz: not all of its stages were run"),
    ],
)
def test_an_unfinished_time_point_is_named(
    run: Run, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folders = [subject(tmp_path / "t1"), subject(tmp_path / "t2")]
    spoil(folders[1])
    done = run(folders, "-base", "mean", "-tp", "t1", "-tp", "t2", "-all")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"t2: its cross-sectional run is not finished ({said})\n"


def test_a_time_point_that_left_nothing_is_named(run: Run, tmp_path: Path) -> None:
    done = run([subject(tmp_path / "t1")], "-base", "mean", "-tp", "t1", "-tp", "t2", "-all")
    assert done.returncode == 1
    assert done.stderr == "t2: its cross-sectional run is not finished (it left no folder)\n"


def test_a_template_with_the_name_of_a_time_point_is_refused(run: Run, tmp_path: Path) -> None:
    done = run([subject(tmp_path / "t1")], "-base", "t1", "-tp", "t1", "-all")
    assert done.returncode == 1
    assert done.stderr.startswith("t1: the template has the name of a time point")


def test_two_folders_of_one_name_are_refused(run: Run, tmp_path: Path) -> None:
    done = run([subject(tmp_path / "a/t1"), subject(tmp_path / "b/t1")], "-base", "m", "-tp", "t1", "-all")
    assert done.returncode == 1
    assert "two folders have this name" in done.stderr
