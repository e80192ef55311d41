"""recon-all over a dataset with sessions; the image is its rehearsal, which enforces recon-all's contract."""

import pytest

from tests.e2e.conftest import Lab, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


def test_each_session_becomes_a_subject_and_the_exit_code_is_not_believed(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01", "02"], sessions=["test", "retest"]), "ds")
    words = (
        "launch",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "recon-all",
        "--output",
        lab.url("out"),
        "--rehearse",
        "--qcache",
    )
    ended = lab.run(*words, "--rehearse-fault", "sub-02_ses-test=missing-report", FS_LICENSE=str(lab.licence))
    assert ended.code == 1, ended.err
    units = {u["unit"]: u for u in lab.run("status", lab.url("out"), "--json").json["units"]}
    assert {name: unit["status"] for name, unit in units.items()} == {
        "sub-01_ses-retest": "done",
        "sub-01_ses-test": "done",
        "sub-02_ses-retest": "done",
        "sub-02_ses-test": "failed",
        "group": "done",
    }
    assert "recon-all.done" in units["sub-02_ses-test"]["reason"]
    keys = lab.keys("out")
    for path in ("scripts/recon-all.done", "surf/lh.pial", "stats/aseg.stats", "mri/T1.mgz"):
        assert f"sub-01_ses-test/{path}" in keys
    assert not any(key.startswith(("sub-02_ses-test/", "fsaverage")) for key in keys)
    assert rows(lab, "aseg_volume") == [
        ("sub-01", "ses-retest"),
        ("sub-01", "ses-test"),
        ("sub-02", "ses-retest"),
    ]
    lab.s3.upload_file(str(lab.licence), lab.bucket, "secrets/license.txt")
    again = lab.run(*words, "--fs-license-file", lab.url("secrets/license.txt"))
    assert again.code == 0, f"a retry meets no subject directory of the first attempt\n{again.err}"
    assert lab.run("verify", lab.url("out"), "--deep").code == 0
    assert rows(lab, "lh_aparc_thickness") == [
        (f"sub-{n}", s) for n in ("01", "02") for s in ("ses-retest", "ses-test")
    ]
    assert lab.read("out/group/problems.tsv") == b"subject\tfile\tproblem\n"


def rows(lab: Lab, table: str) -> list[tuple[str, str]]:
    """Participant and session of each row of a group table."""
    lines = lab.read(f"out/group/{table}.tsv").decode().splitlines()
    return [(line.split("\t")[0], line.split("\t")[1]) for line in lines[1:]]
