"""Bad input ends with exit code 2 and one message that names the value and the fix; never with a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurocwl import template
from neurocwl.cli import main
from neurocwl.s3 import Access
from neurocwl.storage import open_location
from tests.conftest import S3


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small dataset in the current folder, and nothing of the caller's."""
    for name in ("FS_LICENSE", "FREESURFER_HOME", "NEUROCWL_TRACEBACK", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for path in (
        "dataset_description.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_task-x_bold.nii.gz",
        "sub-02/func/sub-02_task-x_bold.nii.gz",
    ):
        (tmp_path / "ds" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ds" / path).write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing.txt").write_text("nothing")
    (tmp_path / "bad.json").write_text('{"bold": {"sesion": "1"}}')
    (tmp_path / "bad.yml").write_text("lvl: 1\n")
    (tmp_path / "broken.yml").write_text("class: [\n")
    return tmp_path / "ds"


PLAN = "plan dataset ds --pipeline nifti-check "
FMRIPREP = "plan dataset ds --pipeline fmriprep "
LAUNCH = "launch dataset ds --pipeline "


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", ["COMMAND"]),
        ("lanch dataset ds", ["lanch"]),
        ("plan", ["WHAT"]),
        ("plan datasets ds", ["datasets"]),
        ("plan dataset ds", ["--pipeline is missing", ", ".join(template.names())]),
        ("plan dataset --pipeline nifti-check", ["DATASET is missing"]),
        ("plan dataset ds --pipeline fmripep", ["no pipeline 'fmripep'", "fmriprep"]),
        ("plan dataset ds --pipeline broken.yml", ["broken.yml", "not a valid job template"]),
        ("plan dataset absent --pipeline nifti-check", ["absent: nothing there"]),
        ("plan dataset empty --pipeline nifti-check", ["empty: nothing there"]),
        ("plan dataset nothing.txt --pipeline nifti-check", ["nothing.txt: is a file"]),
        ("plan dataset ds/sub-01 --pipeline nifti-check", ["no sub-* folders"]),
        ("plan dataset http://x/y --pipeline nifti-check", ["http://x/y", "s3://"]),
        ("plan dataset s3://X --pipeline nifti-check", ["s3://X", "s3://BUCKET"]),
        (PLAN + "--participant-label 01 99", ["--participant-label 99", "there are: 01, 02"]),
        (PLAN + "--session-label a", ["--session-label a", "none"]),
        (PLAN + "--task-id y", ["--task-id y", "there are: x"]),
        (PLAN + "--exclude 03", ["--exclude 03"]),
        (PLAN + "--limit 0", ["--limit 0", "1 or more"]),
        (PLAN + "--limit x", ["--limit", "'x'"]),
        (PLAN + "--nonsense", ["--nonsense"]),
        (PLAN + "--bids-filter-file bad.json", ["bad.json", "sesion", "did you mean session"]),
        (PLAN + "--bids-filter-file absent.json", ["absent.json"]),
        (PLAN + "--parameters bad.yml", ["bad.yml", "'lvl' is not a parameter"]),
        (PLAN + "--parameters broken.yml", ["broken.yml"]),
        (PLAN + "--cpus many", ["--cpus", "'many'"]),
        (PLAN + "--output ds/sub-03", ["ds/sub-03", "among the raw data", "derivatives/nifti-check"]),
        (PLAN + "--output gs://x", ["gs://x"]),
        (FMRIPREP + "--strict", ["--strict", "sub-02", "T1w image", "--exclude"]),
        (FMRIPREP + "--fs-no-reconall --cifti-output 91k", ["--fs-no-reconall", "--cifti-output", "exclude"]),
        (FMRIPREP + "--country-code CHE", ["--country-code needs --track-carbon"]),
        (FMRIPREP + "--fs-subjects-dir absent", ["--fs-subjects-dir absent", "no such folder"]),
        (FMRIPREP + "--ignore nonsense", ["--ignore", "nonsense", "slicetiming"]),
        (FMRIPREP + "--rerun=yes", ["--rerun"]),
        (LAUNCH + "nifti-check", ["--output is missing"]),
        (LAUNCH + "nifti-check --output out --rehearse", ["--rehearse: nifti-check has no rehearsal image"]),
        (
            LAUNCH + "fmriprep --output out --rehearse-fault sub-01=fail",
            ["--rehearse-fault needs --rehearse"],
        ),
        (LAUNCH + "fmriprep --output out --rehearse --rehearse-fault 01=explode", ["01=explode", "hang"]),
        (LAUNCH + "fmriprep --output out", ["FreeSurfer licence", "--fs-license-file"]),
        (
            LAUNCH + "fmriprep --output out --fs-license-file absent",
            ["--fs-license-file absent", "no such file"],
        ),
        (
            LAUNCH + "fmriprep --output out --fs-license-file nothing.txt",
            ["nothing.txt", "not a FreeSurfer licence"],
        ),
        ("job-order dataset ds --pipeline recon-all --participant-label 02", ["no unit is ready"]),
        ("status empty", ["empty", "no run of neurocwl"]),
        ("status absent --json", ["absent", "no run of neurocwl"]),
        ("verify nothing.txt", ["nothing.txt", "is a file"]),
        ("verify empty", ["no run of neurocwl"]),
        ("logs empty sub-01", ["no run of neurocwl"]),
        ("logs empty", ["UNIT"]),
        ("cancel gs://x", ["gs://x"]),
        ("pipelines show", ["NAME is missing"]),
        ("pipelines show fmripep", ["no pipeline 'fmripep'"]),
        ("pipelines export", ["DIR is missing"]),
        ("pipelines remove x", ["remove"]),
    ],
)
def test_bad_input_ends_with_2_and_one_message_that_names_it(
    line: str, said: list[str], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    messages = captured.err.partition("neurocwl: ")[2]  # what comes before is the plan
    assert messages
    assert "neurocwl: " not in messages.replace("(see: neurocwl: ", "")
    assert "Traceback" not in captured.err
    for words in said:
        assert words in messages
    assert captured.out == "" or "--strict" in line
    assert not (data.parent / "out").exists()


def test_a_bucket_that_is_not_there_is_bad_input(
    data: Path, aws: S3, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "dataset", "s3://no-such-bucket-here/ds", "--pipeline", "nifti-check"]) == 2
    assert "s3://no-such-bucket-here/ds: there is no such bucket" in capsys.readouterr().err


def test_a_damaged_receipt_makes_its_unit_run_again_and_says_so(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = open_location("out", Access())
    output.write(".neurocwl/units/sub-01/receipt.json", b"{")
    assert main([*["plan", "dataset", "ds", "--pipeline", "nifti-check", "--output", "out", "--json"]]) == 0
    units = {unit["unit"]: unit for unit in json.loads(capsys.readouterr().out)["units"]}
    assert units["sub-01"]["status"] == "ready"
    assert "receipt.json is damaged" in units["sub-01"]["reason"]


def test_an_unreadable_dataset_is_named(data: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (data / "sub-01").chmod(0)
    try:
        assert main((PLAN).split()) == 2
    finally:
        (data / "sub-01").chmod(0o755)


def test_the_plan_of_a_good_dataset_is_json_and_ends_with_0(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FMRIPREP.split(), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {unit["unit"]: unit["status"] for unit in document["units"]} == {
        "sub-01": "ready",
        "sub-02": "incomplete",
    }
    assert not (data.parent / "out").exists()


def test_a_reader_that_leaves_early_is_no_error(data: Path) -> None:
    command = f"{sys.executable} -m neurocwl pipelines show fmriprep | head -1"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_traceback_can_be_asked_for(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocwl.errors import BadInput

    monkeypatch.setenv("NEUROCWL_TRACEBACK", "1")
    with pytest.raises(BadInput):
        main(["plan", "dataset", "ds"])
