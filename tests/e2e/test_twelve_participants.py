"""Twelve participants: one fails, one crashes late, one runs out of memory, one has no T1w; eight succeed.

fMRIPrep is its rehearsal image here: what is proved is the launcher, Toil, the containers, S3 and the
receipts, not fMRIPrep.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import LICENCE_KEY, Lab, Result, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

LABELS = [f"{n:02}" for n in range(1, 13)]
FAULTS = {"01": "fail", "02": "crash-late", "03": "oom"}
GOOD = [f"sub-{label}" for label in LABELS[4:]]


class Launched(Lab):
    """A lab after its first launch."""

    first: Result


@pytest.fixture(scope="module")
def launched(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Launched:
    lab = Launched(s3_server, tmp_path_factory.mktemp("twelve"))
    lab.upload(write_dataset(lab.folder / "ds", LABELS, without_t1w=["04"]), "ds")
    faults = [f"{label}={fault}" for label, fault in FAULTS.items()]
    lab.first = launch(lab, "--max-memory-mib", "1024", "--rehearse-fault", *faults)
    return lab


def launch(lab: Lab, *words: str) -> Result:
    licence = ["--fs-license-file", str(lab.licence)]
    return lab.run(
        "launch",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "fmriprep",
        "--output",
        lab.url("out"),
        "--rehearse",
        *licence,
        *words,
    )


def test_the_launch_says_that_some_units_failed(launched: Launched) -> None:
    assert launched.first.code == 1, launched.first.err


def test_every_unit_has_its_true_status(launched: Launched) -> None:
    found = launched.run("status", launched.url("out"), "--json")
    assert found.statuses() == {
        "sub-01": "failed",
        "sub-02": "failed",
        "sub-03": "failed",
        "sub-04": "incomplete",
        **dict.fromkeys(GOOD, "done"),
        "group": "done",
    }


def test_every_status_has_its_reason(launched: Launched) -> None:
    units = {u["unit"]: u for u in launched.run("status", launched.url("out"), "--json").json["units"]}
    assert "exit code 1" in units["sub-01"]["reason"]
    assert "crash" in units["sub-02"]["reason"]
    assert "137" in units["sub-03"]["reason"]
    assert "out of memory" in units["sub-03"]["reason"]
    assert "sub-04/anat/*_T1w" in units["sub-04"]["reason"]


def test_derivatives_are_those_of_the_units_that_succeeded_alone(launched: Launched) -> None:
    below = {key.partition("/")[0] for key in launched.keys("out") if key.startswith("sub-")}
    assert below == {*GOOD, *(f"{unit}.html" for unit in GOOD)}


def test_logs_and_crash_files_of_failed_units_are_kept_apart(launched: Launched) -> None:
    keys = [key for key in launched.keys("out") if key.startswith(".neurocwl/units/sub-02/attempts/")]
    assert any("/logs/fmriprep.err" in key for key in keys)
    assert any("crash-" in key for key in keys)
    assert any(key.endswith("_desc-preproc_bold.nii.gz") for key in keys)


def test_logs_shows_what_the_tool_said(launched: Launched) -> None:
    said = launched.run("logs", launched.url("out"), "sub-01")
    assert said.code == 0
    assert "crashed" in said.out


def test_the_derivatives_say_who_made_them_of_what(launched: Launched) -> None:
    description = json.loads(launched.read("out/dataset_description.json"))
    assert description["DatasetType"] == "derivative"
    assert [g["Name"] for g in description["GeneratedBy"]][-1] == "neurocwl"
    assert description["SourceDatasets"] == [{"URL": launched.url("ds")}]


def test_the_receipts_hold(launched: Launched) -> None:
    found = launched.run("verify", launched.url("out"), "--deep", "--json")
    assert found.code == 0, found.out
    assert found.json["counts"]["equal"] > 100 * len(GOOD)


def test_the_licence_is_found_nowhere_afterwards(launched: Launched) -> None:
    key = LICENCE_KEY.encode()
    assert all(key not in launched.read(f"out/{path}") for path in launched.keys("out"))
    assert launched.licence.read_bytes().count(key) == 1
    left = [file for file in launched.folder.rglob("*") if file.is_file() and file != launched.licence]
    assert [file for file in left if key in file.read_bytes()] == []


def test_aws_keys_are_found_nowhere_afterwards(launched: Launched) -> None:
    secret = launched.environment["AWS_SECRET_ACCESS_KEY"].encode()
    assert all(secret not in launched.read(f"out/{path}") for path in launched.keys("out"))


def test_toil_ran_each_units_delivery_in_the_worker_of_its_tool(launched: Launched) -> None:
    logs = [key for key in launched.keys("out") if key.endswith("/leader-001.log")]
    text = launched.read(f"out/{logs[0]}").decode()
    assert text.count("Issued job 'CWLJob'") == 11, "one job per unit: the tool, with stage-out chained to it"


def test_nothing_runs_on(launched: Launched, containers_left: Callable[[Path], list[str]]) -> None:
    assert containers_left(launched.folder) == []
    assert not list(launched.work.iterdir())


def test_a_second_launch_runs_only_what_is_not_done(launched: Launched) -> None:
    before = {key: tag for key, tag in launched.keys("out").items() if key.startswith(tuple(GOOD))}
    plan = launched.run(
        "launch",
        "dataset",
        launched.url("ds"),
        "--pipeline",
        "fmriprep",
        "--output",
        launched.url("out"),
        "--rehearse",
        "--dry-run",
    )
    assert "8 done" in plan.err
    again = launch(launched)
    assert again.code == 1, "sub-04 still lacks its T1w"
    assert "11/11" not in again.err
    statuses = launched.run("status", launched.url("out"), "--json").statuses()
    assert statuses == {
        "sub-04": "incomplete",
        **{f"sub-{label}": "done" for label in LABELS if label != "04"},
        "group": "done",
    }
    after = launched.keys("out")
    assert {key: after[key] for key in before} == before
    assert not [key for key in after if "/attempts/" in key and "/outputs/" in key], (
        "no orphan of the failed attempts"
    )
    assert launched.run("verify", launched.url("out")).code == 0


def test_verify_names_the_file_of_which_one_byte_was_flipped(launched: Launched) -> None:
    key = "sub-07/anat/sub-07_desc-preproc_T1w.nii.gz"
    data = bytearray(launched.read(f"out/{key}"))
    data[len(data) // 2] ^= 1
    launched.s3.put_object(Bucket=launched.bucket, Key=f"out/{key}", Body=bytes(data))
    found = launched.run("verify", launched.url("out"), "--json")
    assert found.code == 1
    assert [(p["path"], p["verdict"], p["unit"]) for p in found.json["paths"]] == [
        (key, "differing", "sub-07")
    ]
    assert [u["unit"] for u in found.json["units"] if not u["verified"] and u["status"] == "done"] == [
        "sub-07"
    ]


def test_a_unit_whose_file_was_damaged_is_mended_by_running_it_again(launched: Launched) -> None:
    found = launched.run("verify", launched.url("out"))
    assert "--rerun --participant-label 07" in found.out
    again = launch(launched, "--rerun", "--participant-label", "07")
    assert again.code == 0, again.err
    assert launched.run("verify", launched.url("out"), "--deep").code == 0


def test_a_plain_toil_cwl_runner_runs_a_generated_job_order(lab: Lab) -> None:
    """Without the launcher: the command of the README on the workflow of the repository."""
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    written = lab.run(
        "job-order",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "nifti-check",
        "--output",
        lab.url("out"),
        "-o",
        str(lab.folder / "orders"),
    )
    assert written.code == 0, written.err
    words = written.out.split()
    assert words[:3] == ["toil-cwl-runner", "--reference-inputs", "--no-prepull"], "no registry has the image"
    (Path(lab.folder) / "tmp").mkdir()
    done = subprocess.run(
        [*words[:3], "--workDir", "tmp", *words[3:]],
        capture_output=True,
        text=True,
        env=lab.environment,
        cwd=lab.folder,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    receipt = json.loads(lab.read("out/.neurocwl/units/sub-01/receipt.json"))
    assert receipt["status"] == "done"
    assert {entry["path"] for entry in receipt["manifest"]} <= set(lab.keys("out"))
