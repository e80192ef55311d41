"""recon-all over time, from a dataset on S3 to group tables; the image is recon-all's rehearsal."""

import csv
import io

import pytest

from tests.e2e.conftest import Lab, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


def test_sessions_template_and_sessions_anew_with_reuse_and_a_failure_in_the_middle(lab: Lab) -> None:
    root = write_dataset(lab.folder / "ds", ["01", "02"], sessions=["1", "2"])
    (root / "sub-02" / "ses-2" / "anat" / "sub-02_ses-2_T1w.nii.gz").unlink()
    lab.upload(root, "ds")

    def launch(pipeline: str, *words: str) -> str:
        ended = lab.run(
            *("launch", "dataset", lab.url("ds"), "--pipeline", pipeline, "--output", lab.url(pipeline)),
            *("--rehearse", *words),
            FS_LICENSE=str(lab.licence),
        )
        assert ended.code == (1 if "--rehearse-fault" in words else 0), ended.err
        return ended.err

    launch("recon-all", "--participant-label", "01", "--session-label", "1")
    after = ("--after", lab.url("recon-all"))
    fault = "01=fail@sub-01_ses-2.long.sub-01"
    told = launch("recon-all-longitudinal", *after, "--rehearse-fault", fault)
    assert "finished earlier: sub-01_ses-1" in told
    assert "ses-2 is left out" in told
    assert "one time point only: sub-02_ses-1" in told
    out = lab.url("recon-all-longitudinal")
    assert lab.run("status", out, "--json").statuses() == {
        "sub-01": "failed",
        "sub-02": "done",
        "group": "done",
    }
    keys = lab.keys("recon-all-longitudinal")
    for subject in ("sub-02_ses-1", "sub-02", "sub-02_ses-1.long.sub-02"):
        assert f"{subject}/scripts/recon-all.done" in keys
    assert not any(key.startswith("sub-01") for key in keys), "nothing of a failed participant counts"
    logs = lab.run("logs", out, "sub-01").out
    assert "sub-01_ses-2" in logs
    assert "/logs/sub-01_ses-1_recon-all." not in logs, "what recon-all had finished was not run again"

    told = launch("recon-all-longitudinal", *after)
    assert "finished earlier: sub-01_ses-1, sub-01_ses-2" in told, "nor what the failed attempt had finished"
    subjects = {
        key.partition("/")[0] for key in lab.keys("recon-all-longitudinal") if key.startswith("sub-01")
    }
    assert subjects == {
        "sub-01",
        "sub-01_ses-1",
        "sub-01_ses-2",
        "sub-01_ses-1.long.sub-01",
        "sub-01_ses-2.long.sub-01",
    }
    assert lab.run("verify", out, "--deep").code == 0
    tables = [key for key in lab.keys("recon-all-longitudinal") if key.startswith("group/")]
    table = next(key for key in tables if key.endswith(".tsv") and "long_" in key and "aseg" in key)
    rows = list(
        csv.DictReader(io.StringIO(lab.read(f"recon-all-longitudinal/{table}").decode()), delimiter="\t")
    )
    found = [(row["participant_id"], row["session_id"]) for row in rows]
    assert found == [("sub-01", "ses-1"), ("sub-01", "ses-2"), ("sub-02", "ses-1")]
    assert table.replace(".tsv", ".json") in tables
