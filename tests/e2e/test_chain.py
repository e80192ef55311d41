"""Pipelines that build on each other: a preflight, recon-all after nothing, fMRIPrep after recon-all.

fMRIPrep and recon-all are their rehearsal images; nifti-check is the real one.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest

from tests.e2e.conftest import Lab, Result, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]


def launch(lab: Lab, pipeline: str, *words: str) -> Result:
    rehearse = () if pipeline == "nifti-check" else ("--rehearse",)
    return lab.run(
        *("launch", "dataset", lab.url("ds"), "--pipeline", pipeline, "--output", lab.url(pipeline)),
        *(*rehearse, *words),
        FS_LICENSE=str(lab.licence),
    )


def reasons(ended: Result) -> dict[str, str]:
    return {unit["unit"]: unit["reason"] for unit in ended.json["units"]}


class Links(HTMLParser):
    """Every relative link of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("href", "src", "data") and value and not re.match(r"[a-z]+:|#|//", value):
                self.found.append(unquote(value))


def dangling(lab: Lab, prefix: str) -> Iterator[str]:
    """Links of the reports at an output that lead nowhere."""
    keys = set(lab.keys(prefix))
    for page in sorted(key for key in keys if re.fullmatch(r"[^/]*\.html", key)):
        links = Links(lab.read(f"{prefix}/{page}").decode()).found
        assert links, f"{page} shows nothing"
        yield from (f"{page}: {link}" for link in links if str(PurePosixPath(link)) not in keys)


@pytest.fixture(scope="module")
def checked(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A dataset of four participants: 03's image is cut off, and the preflight has seen 01, 02 and 03."""
    lab = Lab(s3_server, tmp_path_factory.mktemp("chain"))
    root = write_dataset(lab.folder / "ds", ["01", "02", "03", "04"])
    damaged = root / "sub-03" / "anat" / "sub-03_T1w.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    lab.upload(root, "ds")
    ended = launch(lab, "nifti-check", "--exclude", "04")
    assert ended.code == 1, ended.err
    return lab


def test_each_pipeline_runs_on_what_the_one_before_it_finished(checked: Lab) -> None:
    lab = checked
    first = launch(
        lab,
        "recon-all",
        "--require-preflight",
        lab.url("nifti-check"),
        "--rehearse-fault",
        "02=missing-report",
    )
    assert first.code == 1, first.err
    after = ("--after", lab.url("recon-all"))
    words = ("plan", "dataset", lab.url("ds"), "--pipeline", "fmriprep", "--json")
    planned = lab.run(*words, *after, "--output", lab.url("fmriprep"))
    assert planned.code == 2, "results may not be built on a rehearsal"
    assert f"{lab.url('recon-all')} holds a rehearsal" in planned.err

    second = launch(lab, "fmriprep", *after, "--cifti-output", "91k", "--level", "minimal")
    assert second.code == 1, second.err
    status = lab.run("status", lab.url("fmriprep"), "--json")
    assert status.statuses() == {
        "sub-01": "done",
        "sub-02": "incomplete",
        "sub-03": "incomplete",
        "sub-04": "incomplete",
        "group": "done",
    }
    why = reasons(status)
    assert "sub-02 failed there" in why["sub-02"], "the earlier pipeline's own reason is told"
    assert "recon-all.done" in why["sub-02"]
    assert "--fs-subjects-dir" in why["sub-03"]

    log = lab.run("logs", lab.url("fmriprep"), "sub-01").out
    delivered = [key for key in lab.keys("recon-all") if key.startswith("sub-01/")]
    assert f"earlier FreeSurfer in subjects: sub-01, {len(delivered)} files" in log
    assert "sub-02" not in log, "a unit is given its own part of the earlier results"
    assert not list(dangling(lab, "fmriprep")), "links of the reports work from the output"
    assert 'href="sub-01.html"' in lab.read("fmriprep/reports.html").decode()
    assert lab.run("verify", lab.url("fmriprep"), "--deep").code == 0

    mended = launch(lab, "recon-all", "--participant-label", "02")
    assert mended.code == 0, mended.err
    again = launch(lab, "fmriprep", *after, "--cifti-output", "91k", "--level", "minimal")
    assert again.code == 1, "03 and 04 are still not there"
    states = lab.run("status", lab.url("fmriprep"), "--json")
    attempts = {unit["unit"]: unit["attempts"] for unit in states.json["units"]}
    assert (attempts["sub-01"], attempts["sub-02"], attempts["group"]) == (1, 1, 2)
    assert 'href="sub-02.html"' in lab.read("fmriprep/reports.html").decode()


def test_a_preflight_leaves_out_what_it_found_broken_what_it_has_not_seen_and_what_changed(
    checked: Lab,
) -> None:
    lab = checked
    key = "ds/sub-02/anat/sub-02_T1w.nii.gz"
    as_checked = lab.read(key)
    lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=lab.read("ds/sub-01/anat/sub-01_T1w.nii.gz"))
    words = ("plan", "dataset", lab.url("ds"), "--require-preflight", lab.url("nifti-check"), "--json")
    plan = lab.run(*words, "--pipeline", "recon-all")
    lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=as_checked)
    assert plan.statuses() == {
        "sub-01": "ready",
        "sub-02": "incomplete",
        "sub-03": "incomplete",
        "sub-04": "incomplete",
    }
    why = reasons(plan)
    assert "sub-02/anat/sub-02_T1w.nii.gz has changed since" in why["sub-02"]
    assert "sub-03/anat/sub-03_T1w.nii.gz: truncated gzip" in why["sub-03"]
    assert "sub-04/anat/sub-04_T1w.nii.gz was not looked at" in why["sub-04"]


def test_a_preflight_objects_only_to_files_that_the_pipeline_takes(lab: Lab) -> None:
    root = write_dataset(lab.folder / "ds", ["01"])
    bold = next((root / "sub-01" / "func").glob("*_bold.nii.gz"))
    bold.write_bytes(bold.read_bytes()[:-40])
    lab.upload(root, "ds")
    assert launch(lab, "nifti-check").code == 1
    words = ("plan", "dataset", lab.url("ds"), "--require-preflight", lab.url("nifti-check"), "--json")
    assert lab.run(*words, "--pipeline", "recon-all").statuses() == {"sub-01": "ready"}
    assert lab.run(*words, "--pipeline", "fmriprep").statuses() == {"sub-01": "incomplete"}


def test_after_something_that_a_pipeline_does_not_build_on_is_refused(checked: Lab) -> None:
    lab = checked
    words = ("plan", "dataset", lab.url("ds"), "--pipeline", "fmriprep", "--after", lab.url("nifti-check"))
    ended = lab.run(*words)
    assert ended.code == 2
    assert "nifti-check wrote there; fmriprep builds on fmriprep or recon-all" in ended.err


def test_a_parameter_on_s3_counts_by_its_content_and_must_be_there(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    words = ("plan", "dataset", lab.url("ds"), "--pipeline", "recon-all", "--json")
    expert = ("--expert", lab.url("conf/expert.opts"))
    missing = lab.run(*words, *expert)
    assert missing.code == 2
    assert f"--expert {lab.url('conf/expert.opts')}: nothing is there" in missing.err
    keys = set()
    for content in (b"mri_em_register -p .5\n", b"mri_em_register -p .7\n"):
        lab.s3.put_object(Bucket=lab.bucket, Key="conf/expert.opts", Body=content)
        keys.add(lab.run(*words, *expert).json["units"][0]["task_key"])
    assert len(keys) == 2


def test_one_input_is_named_once(checked: Lab) -> None:
    lab = checked
    words = ("plan", "dataset", lab.url("ds"), "--pipeline", "fmriprep")
    places = [f"prep={lab.url('nifti-check')}", f"prep={lab.url('ds')}"]
    ended = lab.run(*words, "--derivatives", *places)
    assert (ended.code, "two places are called 'prep'" in ended.err) == (2, True)
    ended = lab.run("group", lab.url("nifti-check"), "--pipeline", "reports", "--bogus", "1")
    assert (ended.code, "--bogus" in ended.err) == (2, True)
