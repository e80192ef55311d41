"""The small real dataset: what is in it, and that nothing is wrong with it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from neurocwl import assets, realdata
from neurocwl.validator import run_validator

nib: Any = nibabel  # it annotates only part of what is used here
PARTICIPANTS = ("01", "02", "03")
IMAGES = ("anat/sub-{0}_T1w", "func/sub-{0}_task-rest_bold", "dwi/sub-{0}_dwi")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return realdata.make(tmp_path_factory.mktemp("real") / "dataset")


def image(dataset: Path, participant: str, stem: str) -> Any:
    return nib.load(dataset / f"sub-{participant}" / f"{stem.format(participant)}.nii.gz")


def test_the_official_validator_finds_no_error_in_names_sidecars_and_headers(dataset: Path) -> None:
    report = run_validator(dataset, headers=True)

    assert [issue for issue in report.issues if issue.severity == "error"] == []


@pytest.mark.parametrize("participant", PARTICIPANTS)
def test_nifti_check_finds_nothing_but_that_the_runs_are_short(
    dataset: Path, tmp_path: Path, participant: str
) -> None:
    place = ["--bids-dir", str(dataset), "--participant-label", participant, "--out-dir", str(tmp_path)]

    done = subprocess.run(
        [sys.executable, "-m", "nifti_check", *place],
        cwd=assets.path("toolwrappers"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    report = json.loads(
        (tmp_path / f"sub-{participant}/sub-{participant}_desc-check_report.json").read_text()
    )
    assert {finding["code"] for finding in report["findings"]} == {"FEW_VOLUMES"}


def test_the_images_are_those_of_the_packages(dataset: Path) -> None:
    assert [image(dataset, "01", stem).shape for stem in IMAGES] == [
        (197, 233, 189),
        (128, 96, 24, 2),
        (10, 10, 10, 65),
    ]


@pytest.mark.parametrize("stem", IMAGES)
def test_no_two_participants_have_the_same_voxels(dataset: Path, stem: str) -> None:
    voxels = {np.asarray(image(dataset, participant, stem).dataobj).tobytes() for participant in PARTICIPANTS}

    assert len(voxels) == len(PARTICIPANTS)


def test_the_mirrored_participant_has_left_and_right_exchanged_in_voxels_and_directions(
    dataset: Path,
) -> None:
    kept, mirrored = (image(dataset, participant, IMAGES[2]) for participant in ("01", "03"))
    axis = int(abs(kept.affine[0, :3]).argmax())
    expected = np.flip(np.asarray(kept.dataobj, float), axis) * 0.9
    sides = [np.loadtxt(dataset / f"sub-{p}/dwi/sub-{p}_dwi.bvec") for p in ("01", "03")]

    assert abs(np.asarray(mirrored.dataobj) - expected).max() <= 0.5 + 1e-3
    assert (sides[1][axis] == -sides[0][axis]).all()
    assert (np.delete(sides[1], axis, 0) == np.delete(sides[0], axis, 0)).all()


def test_the_header_of_the_bold_run_says_seconds_and_means_them(dataset: Path) -> None:
    header = image(dataset, "01", IMAGES[1]).header

    assert header.get_zooms()[3] == realdata.REPETITION_TIME == 2.0
    assert header.get_xyzt_units() == ("mm", "sec")


def test_the_same_packages_give_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    again = realdata.make(tmp_path / "again")

    def content(folder: Path) -> dict[str, bytes]:
        return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}

    assert content(again) == content(dataset)


def test_the_dataset_is_small(dataset: Path) -> None:
    assert sum(file.stat().st_size for file in dataset.rglob("*") if file.is_file()) < 15e6
