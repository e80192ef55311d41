"""m2g and ndmg, a scan per job, over a dataset as OpenNeuro's ds114 is laid out; the images are their rehearsals."""

import re
import shlex
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests.e2e.conftest import Lab, write_image
from tests.unit.real_neurodata import crawl

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

nibabel: Any = import_module("nibabel")
DOCUMENT = Path(__file__).parents[2] / "docs" / "ndmg.md"
SESSIONS = ("test", "retest")
SCANS = (*((p, s) for p in ("01", "02", "03") for s in SESSIONS), ("04", ""))
CONNECTOMES = {
    "m2g": "connectomes/{atlas}/{scan}_dwi_{atlas}_connectome.csv",
    "ndmg": "dwi/roi-connectomes/{atlas}/{scan}_dwi_{atlas}_measure-spatial-ds_adj.ssv",
}
ATLAS = "desikan_space-MNI152NLin6_res-2x2x2"


def write_scans(root: Path, scans: Sequence[tuple[str, str]] = SCANS) -> Path:
    """Unless told otherwise three participants of two sessions, the third without diffusion images, and one without sessions.

    The diffusion data are real (dipy's small sample); the tables of b-values lie at the root, and the
    participant without sessions has some of their own.
    """
    from dipy.data import get_fnames

    image, bval, bvec = (Path(name) for name in get_fnames(name="small_25"))
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text('{"Name": "scans", "BIDSVersion": "1.10.0"}')
    shutil.copy(bval, root / "dwi.bval")
    shutil.copy(bvec, root / "dwi.bvec")
    random = numpy.random.default_rng(11)
    for label, session in scans:
        stem = f"sub-{label}" + (f"_ses-{session}" if session else "")
        folder = root / f"sub-{label}" / (f"ses-{session}" if session else "")
        write_image(folder / "anat" / f"{stem}_T1w.nii.gz", random.normal(500, 90, (16, 18, 14)))
        (folder / "anat" / f"{stem}_T1w.json").write_text("{}")
        if label != "03":
            (folder / "dwi").mkdir()
            nibabel.save(nibabel.load(image), folder / "dwi" / f"{stem}_dwi.nii.gz")
            (folder / "dwi" / f"{stem}_dwi.json").write_text("{}")
        if not session:
            shutil.copy(bval, folder / "dwi" / f"{stem}_dwi.bval")
            shutil.copy(bvec, folder / "dwi" / f"{stem}_dwi.bvec")
    return root


@pytest.mark.parametrize("pipeline", ["m2g", "ndmg"])
def test_each_scan_is_a_job_that_succeeds_or_fails_by_itself(lab: Lab, pipeline: str) -> None:
    lab.upload(write_scans(lab.folder / "ds"), "ds")
    launched = lab.run(
        *("launch", "dataset", lab.url("ds"), "--pipeline", pipeline, "--output", lab.url("out")),
        *("--rehearse", "--rehearse-fault", "sub-02_ses-retest=crash-late"),
    )
    assert launched.code == 1, launched.err
    units = {u["unit"]: u for u in lab.run("status", lab.url("out"), "--json").json["units"]}
    assert {name: unit["status"] for name, unit in units.items()} == {
        "sub-01_ses-test": "done",
        "sub-01_ses-retest": "done",
        "sub-02_ses-test": "done",
        "sub-02_ses-retest": "failed",
        "sub-03_ses-test": "incomplete",
        "sub-03_ses-retest": "incomplete",
        "sub-04": "done",
    }
    assert "no graph could be made" in units["sub-02_ses-retest"]["reason"]
    assert units["sub-03_ses-test"]["reason"].startswith("lacks diffusion image (sub-03/ses-test/dwi/")
    keys = lab.keys("out")
    for folder in ("sub-01/ses-test", "sub-01/ses-retest", "sub-02/ses-test", "sub-04/ses-none"):
        made = CONNECTOMES[pipeline].format(atlas=ATLAS, scan=folder.replace("/", "_"))
        assert f"{folder}/{made}" in keys
        assert f"{folder}/dwi/fiber/streamlines.trk" in keys
    assert not [key for key in keys if key.startswith(("sub-02/ses-retest/", "sub-03/"))]
    assert not [key for key in keys if "/tmp/" in key], "as with ndmg_cloud, intermediate results stay behind"
    assert lab.run("verify", lab.url("out"), "--deep").code == 0


def test_sessions_that_the_originals_lose_are_units_here(lab: Lab) -> None:
    lab.upload(write_scans(lab.folder / "ds"), "named")
    for key in (f"numbered/sub-01/ses-{n}/dwi/sub-01_ses-{n}_dwi.nii.gz" for n in (1, 2)):
        lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=b"")
    for key in lab.keys("named"):
        if not key.startswith("sub-04"):
            place = f"{lab.bucket}/named/{key}"
            lab.s3.copy_object(Bucket=lab.bucket, Key=f"sessions/{key}", CopySource=place)

    for package in ("m2g", "ndmg"):
        theirs = {
            path: crawl(package, lab.bucket, path, lab.folder / "crawl", lab.environment)
            for path in ("numbered", "sessions", "named")
        }
        assert {k: sorted(v) for k, v in theirs["numbered"]["found"].items()} == {"01": ["1", "2"]}
        # ses-test and ses-retest: the digits of both names
        assert theirs["sessions"]["found"] == {"01": [""], "02": [""], "03": [""]}
        assert theirs["named"] == {"raised": "IndexError"}, "sub-04 has no folder of a session"

        ours = lab.run("plan", "dataset", lab.url("named"), "--pipeline", package, "--json").statuses()
        assert ours == {
            **{f"sub-{p}_ses-{s}": "ready" for p in ("01", "02") for s in SESSIONS},
            **{f"sub-03_ses-{s}": "incomplete" for s in SESSIONS},
            "sub-04": "ready",
        }


def test_the_documented_equivalents_of_ndmg_cloud_are_run_as_they_stand(lab: Lab) -> None:
    lab.bucket = "ndmg-data"
    lab.s3.create_bucket(Bucket=lab.bucket)
    scans = write_scans(lab.folder / "ds", [("0025427", "1"), ("0025427", "2")])
    lab.upload(scans, "HNU1")
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    commands = [line[1:] for line in lines if line[0] == "neurocwl"]
    assert len(commands) == 6
    for words in commands:
        # ndmg's own image cannot be had everywhere; its rehearsal runs in a later line
        real = words[0] == "launch" and "--rehearse" not in words
        ended = lab.run(*words, *(["--dry-run"] if real else []))
        assert ended.code == 0, f"neurocwl {' '.join(words)}\n{ended.out}\n{ended.err}"
    made = CONNECTOMES["ndmg"].format(atlas=ATLAS, scan="sub-0025427_ses-1")
    assert f"sub-0025427/ses-1/{made}" in lab.keys("rehearsal")
    helps = [
        lab.run(command, "dataset", "--help", *(["--pipeline", pipeline] if pipeline else [])).out
        for command, pipeline in (("launch", "ndmg"), ("launch", "m2g"))
    ]
    cells = [line.split("|")[-2] for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    named = {flag for cell in cells for flag in re.findall(r"--[a-z][a-z-]*", cell)}
    assert len(named) > 10
    assert not [flag for flag in sorted(named) if not any(re.search(rf"{flag}\b", text) for text in helps)]
