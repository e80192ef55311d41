"""launch --detach: the terminal may be closed, the launch goes on."""

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Lab, write_dataset

pytestmark = pytest.mark.docker


def test_a_detached_launch_returns_at_once_and_goes_on_by_itself(lab: Lab, tmp_path: Path) -> None:
    write_dataset(tmp_path / "ds", ["01", "02"])
    out = lab.url("detached")
    started = lab.run(
        "launch", "dataset", str(tmp_path / "ds"), "--pipeline", "nifti-check", "--output", out, "--detach"
    )
    assert started.code == 0, started.err
    assert f"neurocwl status {out}" in started.out
    early = lab.run("status", out, "--json")
    for _ in range(120):
        found = lab.run("status", out, "--json")
        if found.code in (0, 1) and found.json["state"] != "running":
            break
        time.sleep(1)
    assert found.statuses() == {"sub-01": "done", "sub-02": "done"}
    assert early.code != 0 or early.json["run"] == found.json["run"]


def test_a_detached_launch_that_cannot_begin_says_why(lab: Lab, tmp_path: Path) -> None:
    write_dataset(tmp_path / "ds", ["01"])
    work = tmp_path / "with a space"
    words = ["--pipeline", "nifti-check", "--output", lab.url("never"), "--work-dir", str(work), "--detach"]
    refused = lab.run("launch", "dataset", str(tmp_path / "ds"), *words)
    assert refused.code == 3
    assert "a space in its name" in refused.err
