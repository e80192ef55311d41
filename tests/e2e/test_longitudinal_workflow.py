"""Longitudinal recon-all, in cwltool by itself and over a dataset; the image is recon-all's rehearsal.

The rehearsal keeps recon-all's contract (what it refuses, what it leaves); its numbers are made up.
"""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from neurocwl import assets, cwlfile, images
from tests.e2e.conftest import Lab, write_dataset, write_image

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

LICENCE = {"class": "File", "basename": "license.txt", "contents": "stand-in for a FreeSurfer licence\n"}


class Engine:
    """cwltool with the tools as they are, but for the image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        image = images.ensure("rehearsal-recon-all")
        for name in ("cwl", "toolwrappers"):
            shutil.copytree(assets.path(name), folder / name)
        for file in (folder / "cwl/tools").glob("recon-all*.cwl"):
            file.write_text(file.read_text().replace("docker.io/freesurfer/freesurfer:7.4.1", image))
        self.seed = 0

    def run(self, file: str, name: str, inputs: dict[str, Any]) -> Path:
        """Run a CWL file; returns the folder with its outputs."""
        job = self.folder / f"{name}.json"
        job.write_text(json.dumps({"cpus": 1, "memory_mib": 1024, "tmp_mib": 64, "out_mib": 64, **inputs}))
        program = Path(sys.executable).parent / "cwltool"
        words = [
            str(program),
            "--disable-pull",
            "--outdir",
            str(self.folder / name),
            f"cwl/{file}.cwl",
            str(job),
        ]
        done = subprocess.run(words, capture_output=True, text=True, cwd=self.folder, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return self.folder / name

    def image(self, name: str) -> dict[str, str]:
        """A new image as a CWL File."""
        self.seed += 1
        file = self.folder / f"{name}_T1w.nii.gz"
        write_image(file, numpy.random.default_rng(self.seed).normal(500, 90, (12, 14, 10)))
        return {"class": "File", "location": file.as_uri()}

    def session(self, name: str) -> dict[str, Any]:
        return {"subject": name, "t1w": [self.image(name)]}


@pytest.fixture(scope="module")
def cwl(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("cwl"))


@pytest.fixture(scope="module")
def over_time(cwl: Engine) -> Path:
    """A participant with two sessions, and one that recon-all finished earlier."""
    earlier = cwl.run("tools/recon-all", "earlier", {"fs_license": LICENCE, **cwl.session("sub-01_ses-0")})
    names = [f"sub-01_ses-{n}" for n in range(3)]
    inputs = {
        "fs_license": LICENCE,
        "subject": "sub-01",
        "timepoints": names,
        "sessions": [cwl.session(name) for name in names[1:]],
        "finished": [{"class": "Directory", "location": (earlier / names[0]).as_uri()}],
    }
    return cwl.run("workflows/recon-all-longitudinal", "over-time", inputs)


def folders(place: Path) -> set[str]:
    return {path.name for path in place.iterdir() if path.is_dir()}


def test_finished_sessions_are_reused_and_every_time_point_gets_a_longitudinal_run(over_time: Path) -> None:
    names = {f"sub-01_ses-{n}" for n in range(3)}
    assert folders(over_time) - names == {"sub-01", *(f"{name}.long.sub-01" for name in names)}
    assert (over_time / "sub-01/base-tps").read_text().split() == sorted(names)
    for name in folders(over_time):
        assert "SUBJECT" in (over_time / name / "scripts/recon-all.done").read_text()
        assert not (over_time / name / "scripts/recon-all.error").exists()


def test_each_run_has_logs_that_tell_the_step_and_the_subject(over_time: Path) -> None:
    logs = {path.name for path in over_time.iterdir() if path.suffix in (".log", ".err")}
    steps = {"sub-01_recon-all-base", "sub-01_ses-1_recon-all", "sub-01_ses-2_recon-all"}
    steps |= {f"sub-01_ses-{n}.long.sub-01_recon-all-long" for n in range(3)}
    assert logs == {f"{step}.{kind}" for step in steps for kind in ("log", "err")}


def test_a_participant_with_one_session_gets_a_template_and_a_longitudinal_run(cwl: Engine) -> None:
    name = "sub-02_ses-1"
    inputs = {
        "fs_license": LICENCE,
        "subject": "sub-02",
        "timepoints": [name],
        "sessions": [cwl.session(name)],
    }
    out = cwl.run("workflows/recon-all-longitudinal", "one-session", inputs)
    assert folders(out) == {name, "sub-02", f"{name}.long.sub-02"}


def test_an_edited_subject_goes_on_without_its_images(cwl: Engine, over_time: Path) -> None:
    edited = cwl.folder / "edited/sub-01_ses-1"
    shutil.copytree(over_time / "sub-01_ses-1", edited)
    (edited / "tmp/control.dat").write_text("edited by hand\n")
    inputs = {
        "fs_license": LICENCE,
        "subject": "sub-01_ses-1",
        "continue_from": [{"class": "Directory", "location": edited.as_uri()}],
        "stage": "autorecon2-cp",
        "autorecon3": True,
    }
    out = cwl.run("tools/recon-all", "gone-on", inputs)
    assert (out / "sub-01_ses-1/tmp/control.dat").read_text() == "edited by hand\n"
    logs = [(place / "scripts/recon-all.log").read_text() for place in (edited, out / "sub-01_ses-1")]
    assert [log.count("finished without error") for log in logs] == [1, 2], "the log goes on, in a copy"


def test_the_tables_tell_the_time_points_apart(cwl: Engine, over_time: Path) -> None:
    results = {"class": "Directory", "location": over_time.as_uri()}
    group = cwl.run("tools/freesurfer-tables", "tables", {"results": results}) / "group"
    for table, rows in (("aseg_volume", 3), ("long_aseg_volume", 3), ("long_rh_aparc.a2009s_thickness", 3)):
        with (group / f"{table}.tsv").open() as file:
            found = list(csv.DictReader(file, delimiter="\t"))
        assert len(found) == rows, table
        assert {row["participant_id"] for row in found} == {"sub-01"}
        assert [row["session_id"] for row in found] == ["ses-0", "ses-1", "ses-2"]
        assert len({tuple(row.values())[3:] for row in found}) == rows, "each has numbers of its own"
    assert (group / "problems.tsv").read_text().splitlines() == ["subject\tfile\tproblem"]
    assert cwlfile.load(group / "long_aseg_volume.json")["rehearsal"] is True


def test_a_session_that_fails_over_a_dataset_is_named_by_what_would_start_from_it(lab: Lab) -> None:
    dataset = write_dataset(lab.folder / "ds", ["02"], sessions=["1", "2"])
    image = dataset / "sub-02/ses-2/anat/sub-02_ses-2_T1w.nii.gz"
    image.write_bytes(image.read_bytes()[:-200])
    lab.upload(dataset, "ds")
    words = ("launch", "dataset", lab.url("ds"), "--pipeline", "recon-all-longitudinal", "--rehearse")
    words = (*words, "--output", lab.url("out"), "--fs-license-file", str(lab.licence))
    assert lab.run(*words).code == 1
    keys = lab.keys("out")
    (said,) = [key for key in keys if key.endswith("sub-02_recon-all-base.err")]
    assert lab.read(f"out/{said}").decode() == (
        "sub-02_ses-2: its cross-sectional run is not finished (scripts/recon-all.error is there)\n"
    )
    assert any(key.endswith("/sub-02_ses-1/mri/aseg.mgz") for key in keys), "what was finished is kept"
    assert not any(key.startswith("sub-02") for key in keys), "and counts for nothing"


def test_stages_go_on_over_a_dataset_from_an_earlier_output(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    words = ("launch", "dataset", lab.url("ds"), "--pipeline", "recon-all", "--rehearse")
    words = (*words, "--fs-license-file", str(lab.licence))
    first = lab.run(*words, "--output", lab.url("first"), "--stage", "autorecon1")
    assert first.code == 0, first.err
    assert not any(key.startswith("sub-01/surf/") for key in lab.keys("first"))
    second = (
        "--output",
        lab.url("second"),
        "--after",
        lab.url("first"),
        "--stage",
        "autorecon2",
        "--autorecon3",
    )
    gone_on = lab.run(*words, *second)
    logs = lab.run("logs", lab.url("second"), "sub-01").out
    assert gone_on.code == 0, gone_on.err + logs
    keys = lab.keys("second")
    for path in ("mri/orig/001.mgz", "mri/brainmask.mgz", "surf/lh.white", "stats/aseg.stats"):
        assert f"sub-01/{path}" in keys
    assert "group/aseg_volume.tsv" in keys
    log = lab.read("second/sub-01/scripts/recon-all.log").decode()
    assert log.count("finished without error") == 2
    assert log.count(" -i ") == 1, "the images were read once"
