"""Singularity: the same launch, and an image that is pulled once for a node, however many units start at once."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from neurocwl import images
from tests.e2e.conftest import Lab, write_dataset

pytestmark = pytest.mark.docker
STAND_IN = Path(__file__).parents[1] / "singularity_by_docker.py"


def test_units_that_start_at_once_pull_their_image_once_where_a_folder_is_shared(
    lab: Lab, tmp_path: Path, engine: str
) -> None:
    images.ensure("nifti-check")
    write_dataset(tmp_path / "ds", ["01", "02", "03"])
    programs, kept, pulls = tmp_path / "bin", tmp_path / "kept", tmp_path / "pulls"
    programs.mkdir()
    kept.mkdir()
    shutil.copy(STAND_IN, programs / "singularity")
    text = (programs / "singularity").read_text()
    (programs / "singularity").write_text(text.replace("/usr/bin/env python3", sys.executable))
    (tmp_path / "own.yml").write_text(
        "like: local\nbackend: ours\ncontainer: singularity\n"
        f"environment: {{CWL_SINGULARITY_CACHE: {kept}, SINGULARITY_CACHEDIR: {kept}, PULLS: {pulls}}}\n"
    )
    out = lab.url("out")
    done = lab.run(
        "launch", "dataset", str(tmp_path / "ds"), "--pipeline", "nifti-check", "--output", out,
        "--backend", str(tmp_path / "own.yml"), "--memory-mib", "512",
        PATH=f"{programs}{os.pathsep}{lab.environment['PATH']}",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert set(lab.run("status", out, "--json").statuses().values()) == {"done"}
    assert len(pulls.read_text().splitlines()) == 1
