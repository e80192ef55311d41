"""launch --detach: what was started is told apart from what runs at the output already."""

from pathlib import Path

import pytest

from neurocwl import backend, detach, lease
from neurocwl.errors import Busy, InfrastructureError
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location


@pytest.fixture
def output(tmp_path: Path) -> Location:
    return open_location(str(tmp_path / "out"), Access())


def job(tmp_path: Path, output: Location, *words: str) -> detach.Job:
    return detach.Job(backend.load("local"), words, output, Access(), tmp_path / "work")


def test_a_second_launch_into_an_output_is_not_said_to_go_on(tmp_path: Path, output: Location) -> None:
    """With a participant that lacks its images: such a launch only records that, for which it needs the lease."""
    (tmp_path / "ds" / "sub-01").mkdir(parents=True)
    (tmp_path / "ds" / "sub-01" / "sub-01_scans.tsv").write_text("filename\n")
    words = ("launch", "dataset", str(tmp_path / "ds"), "--pipeline", "fmriprep", "--output", output.url)
    with lease.held(output, "the-first", print), pytest.raises(Busy, match="run the-first"):
        detach.start(job(tmp_path, output, *words))


def test_what_ended_at_once_did_not_start_whoever_else_runs(tmp_path: Path, output: Location) -> None:
    with (
        lease.held(output, "the-first", print),
        pytest.raises(InfrastructureError, match="no run of neurocwl"),
    ):
        detach.start(job(tmp_path, output, "verify", output.url))
