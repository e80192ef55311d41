"""A command line for another machine: which words and files it gets, and which never leave this one."""

import io
import json
import re
import stat
import tarfile
from pathlib import Path

import pytest

from neurocwl import carry
from neurocwl.errors import BadInput

FOLDER = "/dev/shm/there"
PATHS = {  # as the parser of a launch calls them
    "--parameters": False,
    "--pipeline-dir": False,
    "--bids-filter-file": False,
    "--fs-license-file": False,
    "--work-dir": False,
    "--credentials": False,
    "--mask": False,
    "--atlases": True,
}
START = ["launch", "dataset", "s3://lab/ds"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, and names in it that words of a launch have as well."""
    for name in ("mask.nii", "a.nii", "b.nii", "filter.json", "licence.txt", "rest", "aws", "own.yml"):
        (tmp_path / name).write_text(name)
    (tmp_path / "mine/cwl/tools").mkdir(parents=True)
    (tmp_path / "mine/cwl/tools/x.cwl").write_text("x")
    (tmp_path / "mine/run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "mine/run.sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(*more: str, licence: dict[str, str] | None = None) -> carry.Carried:
    return carry.carried([*START, *more], PATHS, FOLDER, licence)


def test_what_lies_on_s3_stays_as_it_is(lab: Path) -> None:
    given = ["--output", "s3://lab/out", "--mask", "s3://lab/mask.nii", "--after=s3://lab/earlier"]
    found = words(*given)
    assert list(found.words) == [*START, *given]
    assert found.files == {}


@pytest.mark.parametrize("given", [["--mask", "mask.nii"], ["--mask=mask.nii"]])
def test_a_local_file_goes_along_and_is_named_by_its_new_place(lab: Path, given: list[str]) -> None:
    found = words(*given)
    ((there, here),) = found.files.items()
    assert here == lab / "mask.nii"
    assert f"{FOLDER}/{there}" in found.words[-1]
    assert found.words[-1].endswith("/mask.nii")


def test_several_values_and_named_ones_go_along_each(lab: Path) -> None:
    found = words("--atlases", "a.nii", "own=b.nii", "s3://lab/c.nii", "--limit", "3")
    places = list(found.files)
    assert list(found.words[3:]) == [
        "--atlases",
        f"{FOLDER}/{places[0]}",
        f"own={FOLDER}/{places[1]}",
        "s3://lab/c.nii",
        "--limit",
        "3",
    ]


def test_words_that_only_look_like_files_here_are_left_alone(lab: Path) -> None:
    given = ["--task-id", "rest", "--backend", "aws"]
    found = words(*given)
    assert list(found.words) == [*START, *given]
    assert found.files == {}


def test_credentials_and_folders_of_this_machine_stay_here(lab: Path) -> None:
    given = ["--profile", "me", "--credentials", "licence.txt", "--work-dir", "mine", "--plot=x.svg"]
    found = words(*given, "--keep-work-dir", "--keep-cluster", "--rerun")
    assert list(found.words) == [*START, "--rerun"]
    assert found.files == {}


def test_a_licence_that_the_environment_named_goes_along(lab: Path) -> None:
    found = words(licence={"class": "File", "location": f"file://{lab}/licence.txt"})
    assert found.words[3] == "--fs-license-file"
    assert list(found.files.values()) == [lab / "licence.txt"]


def test_a_licence_that_was_given_goes_along_once(lab: Path) -> None:
    found = words(
        "--fs-license-file", "licence.txt", licence={"class": "File", "location": f"file://{lab}/licence.txt"}
    )
    assert found.words.count("--fs-license-file") == 1
    assert len(found.files) == 1


def test_files_that_a_file_of_parameters_names_go_along(lab: Path) -> None:
    own = lab / "sub"
    own.mkdir()
    (own / "near.nii").write_text("near")
    text = {
        "mask": "near.nii",
        "atlases": [{"class": "File", "path": "near.nii"}, {"class": "File", "location": "s3://lab/x.nii"}],
        "word": "near.nii",
        "cpus": 2,
    }
    (own / "parameters.json").write_text(json.dumps(text))
    found = words("--parameters", "sub/parameters.json")
    there = found.words[-1].removeprefix(f"{FOLDER}/")
    content = found.files[there]
    assert isinstance(content, bytes)
    read = json.loads(content)
    places = [f"{FOLDER}/{place}" for place, here in found.files.items() if here == own / "near.nii"]
    assert read["mask"] == places[0]
    assert read["atlases"] == [
        {"class": "File", "location": places[1]},
        {"class": "File", "location": "s3://lab/x.nii"},
    ]
    assert (read["word"], read["cpus"]) == ("near.nii", 2)


def test_the_archive_is_for_its_owner_alone_and_scripts_stay_executable(lab: Path) -> None:
    found = words("--pipeline-dir", "mine", "--mask", "mask.nii")
    with tarfile.open(fileobj=io.BytesIO(found.archive())) as tar:
        modes = {entry.name.partition("/")[2]: stat.S_IMODE(entry.mode) for entry in tar}
    assert modes == {
        "000/mine": 0o700,
        "000/mine/cwl": 0o700,
        "000/mine/cwl/tools": 0o700,
        "000/mine/cwl/tools/x.cwl": 0o600,
        "000/mine/run.sh": 0o700,
        "001/mask.nii": 0o600,
    }


def test_what_is_too_large_for_a_leaders_memory_is_refused(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "LARGEST", 4)
    with pytest.raises(BadInput, match="put it on S3"):
        words("--mask", "mask.nii").archive()


@pytest.mark.parametrize(
    "given",
    [
        ["--output", "out"],
        ["--output=out"],
        ["--after", "s3://lab/earlier", "earlier"],
        ["--require-preflight", "checked"],
        ["--pipeline", "mine/jobs/x.yml"],
    ],
)
def test_places_that_another_machine_cannot_reach_are_refused(lab: Path, given: list[str]) -> None:
    with pytest.raises(BadInput, match=given[0].partition("=")[0]):
        words(*given)


def test_options_may_stand_before_the_dataset() -> None:
    words = ["launch", "dataset", "--pipeline", "fmriprep", "s3://lab/ds", "--output", "s3://lab/out"]
    assert carry.carried(words, {}, "/there", None).words == tuple(words)


def test_a_local_dataset_is_refused(lab: Path) -> None:
    with pytest.raises(BadInput, match="upload it first"):
        carry.carried(["launch", "dataset", "mine"], PATHS, FOLDER, None)


@pytest.mark.parametrize(
    ("words", "output", "licence", "said"),
    [
        (["--parameters=mine.yml"], "s3://lab/out", None, "--parameters mine.yml: a pod cannot see it"),
        (["--pipeline-dir", "/lab/own"], "s3://lab/out", None, "--pipeline-dir /lab/own"),
        (["--credentials", "keys.csv"], "s3://lab/out", None, "--credentials keys.csv"),
        (["--after", "derivatives"], "s3://lab/out", None, "--after derivatives: a pod cannot see it"),
        (["--pipeline", "own.yml"], "s3://lab/out", None, "--pipeline own.yml: a pod cannot see it"),
        (["--script", __file__], "s3://lab/out", None, f"--script {__file__}: a pod cannot see it"),
        ([f"--script=own={__file__}"], "s3://lab/out", None, "a pod cannot see it"),
        (["--notify-slack"], "s3://lab/out", None, "--notify-slack: the webhook is a secret"),
        ([], "/lab/out", None, "/lab/out: a pod cannot see it"),
        ([], "s3://lab/out", "file:///home/me/license.txt", "give --fs-license-file s3://"),
    ],
)
def test_a_leader_that_gets_no_files_refuses_those_of_this_machine(
    words: list[str], output: str, licence: str | None, said: str
) -> None:
    file = {"class": "File", "location": licence} if licence else None
    with pytest.raises(BadInput, match=re.escape(said)):
        carry.without_files(
            ["launch", "dataset", "s3://lab/ds", *words], output, "a pod", file, {"--script": False}
        )


def test_a_leader_that_gets_no_files_has_the_profile_and_the_licence_by_url() -> None:
    words = [
        "launch",
        "dataset",
        "s3://lab/ds",
        "--backend",
        "own.yml",
        "--work-dir",
        "/tmp/x",
        "--profile=me",
    ]
    licence = {"class": "File", "location": "s3://lab/license.txt"}
    words += ["--after", "s3://lab/fs", "--script", "s3://lab/script.py"]
    found = carry.without_files(
        [*words, "--fs-license-file", "here.txt"], "s3://lab/out", "a pod", licence, {"--script": False}
    )
    kept = ["launch", "dataset", "s3://lab/ds", "--after", "s3://lab/fs", "--script", "s3://lab/script.py"]
    assert found == [
        *kept,
        *("--fs-license-file", "s3://lab/license.txt"),
        *("--backend", "/tmp/backend.yml"),
    ]
