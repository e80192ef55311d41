"""How a user's script is called, and how its end is judged. The scripts here are Python alone: Nipype is not needed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neurocwl import assets

RUNNER = assets.path("toolwrappers") / "nipype_script.py"
WRITE = "import os; f = os.path.join(os.environ['OUTPUT_DIR'], '{}'); os.makedirs(os.path.dirname(f), exist_ok=True); open(f, 'w').write('x')\n"
DONE = WRITE.format("sub-01/x.txt")
CRASH = "crash-20261121-120000-me-step-0123.{}"
CRASH_TEXT = "Node: flow.step\nWorking directory: /w\n\nTraceback (most recent call last):\n  File 'x'\nValueError: too big\n\n"


def run(folder: Path, script: str, *words: str) -> "subprocess.CompletedProcess[str]":
    (folder / "bids").mkdir()
    (folder / "script.py").write_text(script)
    command = [
        sys.executable,
        str(RUNNER),
        "--script",
        str(folder / "script.py"),
        "--bids-dir",
        str(folder / "bids"),
    ]
    command += [
        "--participant-label",
        "01",
        "--work-dir",
        str(folder / "w"),
        "--cpus",
        "2",
        "--memory-mib",
        "3072",
    ]
    return subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=False)


def seen(folder: Path) -> Any:
    return json.loads((folder / "outputs" / "sub-01.json").read_text())


TELL = """\
import json, os, sys
here = {"argv": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd(), "cfg": open("nipype.cfg").read()}
json.dump(here, open(os.environ["OUTPUT_DIR"] + "/sub-01.json", "w"))
"""


def test_the_script_is_called_as_a_bids_app_and_finds_the_same_in_its_environment(tmp_path: Path) -> None:
    done = run(tmp_path, TELL, "--", "--fwhm", "6")
    assert done.returncode == 0, done.stderr
    told = seen(tmp_path)
    bids, outputs, work = (str(tmp_path / name) for name in ("bids", "outputs", "w"))
    assert told["argv"] == [bids, outputs, "participant", "--participant-label", "01", "--fwhm", "6"]
    environ = told["environ"]
    named = [environ[name] for name in ("BIDS_DIR", "OUTPUT_DIR", "PARTICIPANT_LABEL", "WORK_DIR")]
    assert named == [bids, outputs, "01", work]
    assert json.loads(environ["PLUGIN_ARGS"]) == {"n_procs": 2, "memory_gb": 3.0}
    assert told["cwd"] == work
    assert f"crashdump_dir = {outputs}/crash" in told["cfg"]


def test_modules_beside_it_and_nipype_s3_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "helper.py").write_text("")
    done = run(
        tmp_path, f"import helper, nipype_s3.destinations\n{DONE}", "--modules", str(tmp_path / "mine")
    )
    assert done.returncode == 0, done.stderr


def test_its_exit_code_and_last_words_stay_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, f"import sys\n{DONE}sys.exit('no such kernel')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "no such kernel"


@pytest.mark.parametrize(("ended", "code"), [("sys.exit(77)", 77), ("os.kill(os.getpid(), 9)", 137)])
def test_exit_codes_and_signals_are_kept(tmp_path: Path, ended: str, code: int) -> None:
    assert run(tmp_path, f"import os, sys\n{DONE}{ended}").returncode == code


@pytest.mark.parametrize(
    "place",
    ["os.environ['OUTPUT_DIR'] + '/crash'", "os.environ['WORK_DIR'] + '/deep'", "os.environ['OUTPUT_DIR']"],
)
def test_a_crash_file_is_a_failure_wherever_it_lies_and_whatever_the_exit_code(
    tmp_path: Path, place: str
) -> None:
    text = f"import os\n{DONE}os.makedirs({place}, exist_ok=True)\nopen({place} + '/{CRASH.format('txt')}', 'w').write({CRASH_TEXT!r})\n"
    done = run(tmp_path, text)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "nipype-script: Node: flow.step: ValueError: too big"
    assert (tmp_path / "outputs" / "crash" / CRASH.format("txt")).read_text() == CRASH_TEXT
    assert len(list(tmp_path.rglob("crash-*"))) == 1


def test_a_pickled_crash_file_counts_as_well(tmp_path: Path) -> None:
    done = run(tmp_path, f"{DONE}open('{CRASH.format('pklz')}', 'w').close()")
    assert done.returncode == 1
    assert CRASH.format("pklz") in done.stderr


def test_outputs_that_are_called_crash_are_no_crash_files(tmp_path: Path) -> None:
    assert run(tmp_path, WRITE.format("sub-01/crash-course.txt")).returncode == 0


def test_no_outputs_are_a_failure(tmp_path: Path) -> None:
    done = run(tmp_path, "print('done')")
    assert done.returncode == 1
    assert "wrote nothing to OUTPUT_DIR" in done.stderr


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("sub-01/anat/x.nii", 0),
        ("motion/_subject_id_01/par.txt", 0),
        ("sub-01.html", 0),
        ("dataset_description.json", 0),
        ("motion/par.txt", 1),
        ("sub-011/par.txt", 1),
    ],
)
def test_files_that_do_not_name_the_participant_would_be_replaced_by_the_next_one(
    tmp_path: Path, file: str, code: int
) -> None:
    done = run(tmp_path, DONE + WRITE.format(file))
    assert done.returncode == code
    assert ("container='sub-01'" in done.stderr) == bool(code)


def test_telemetry_is_off(tmp_path: Path) -> None:
    run(tmp_path, TELL)
    assert seen(tmp_path)["environ"]["NO_ET"] == "1"
    assert "check_version = false" in seen(tmp_path)["cfg"]
    assert os.environ.get("NO_ET") is None
