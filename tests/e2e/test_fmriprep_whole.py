"""fMRIPrep by session, in the older layout, and on derivatives made before; the image is its rehearsal."""

import json

import pytest

from tests.e2e.conftest import Lab, write_dataset
from tests.e2e.test_chain import dangling, launch

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


def test_sessions_by_themselves_after_their_own_surfaces_in_the_legacy_layout(lab: Lab) -> None:
    root = write_dataset(lab.folder / "ds", ["01"], sessions=["1", "2"])
    write_dataset(root, ["09"])  # a participant without sessions
    (root / "participants.tsv").write_text("participant_id\nsub-01\nsub-09\n")
    lab.upload(root, "ds")
    assert launch(lab, "recon-all").code == 0
    after = ("--after", lab.url("recon-all"))
    ended = launch(lab, "fmriprep-sessions", *after, "--output-layout", "legacy")
    assert ended.code == 1, ended.err
    status = lab.run("status", lab.url("fmriprep-sessions"), "--json")
    assert status.statuses() == {
        "sub-01_ses-1": "done",
        "sub-01_ses-2": "done",
        "sub-09": "incomplete",
        "group": "done",
    }
    log = lab.run("logs", lab.url("fmriprep-sessions"), "sub-01_ses-2").out
    assert "earlier FreeSurfer in subjects: sub-01_ses-2" in log
    assert "sub-01_ses-1" not in log, "a session sees nothing of another"
    keys = lab.keys("fmriprep-sessions")
    for session in ("1", "2"):
        assert f"fmriprep/sub-01_ses-{session}.html" in keys
        assert any(key.startswith(f"fmriprep/sub-01/ses-{session}/func/") for key in keys)
    page = lab.read("fmriprep-sessions/reports.html").decode()
    assert 'href="fmriprep/sub-01_ses-1.html"' in page
    assert not list(dangling(lab, "fmriprep-sessions"))

    by_participant = launch(lab, "fmriprep", *after, "--dry-run")
    assert "there is sub-01_ses-1, sub-01_ses-2" in by_participant.err, "those are not a participant's"


def test_derivatives_made_before_and_a_filter_file(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    assert launch(lab, "fmriprep", "--anat-only", "--level", "resampling").code == 0
    filters = lab.folder / "filter.json"
    filters.write_text(json.dumps({"bold": {"datatype": "func", "task": "rest"}}))
    words = ("--derivatives", f"anatomy={lab.url('fmriprep')}", "--bids-filter-file", str(filters))
    ended = lab.run(
        *("launch", "dataset", lab.url("ds"), "--pipeline", "fmriprep", "--output", lab.url("full")),
        *("--rehearse", *words),
        FS_LICENSE=str(lab.licence),
    )
    assert ended.code == 0, ended.err
    own = [key for key in lab.keys("fmriprep") if key.startswith("sub-01/")]
    log = lab.run("logs", lab.url("full"), "sub-01").out
    assert f"earlier derivatives in anatomy: sub-01, {len(own)} files" in log
