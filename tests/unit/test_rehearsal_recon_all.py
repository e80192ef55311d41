"""The rehearsal of recon-all keeps recon-all's contract: flags, files, exit status."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocwl import assets

IMAGES = assets.path("provisioning") / "images"
PATHS = [str(IMAGES / "shared"), str(IMAGES / "rehearsal-recon-all")]
sys.path[:0] = PATHS

from rehearsal_recon_all import line  # noqa: E402

nibabel: Any = import_module("nibabel")  # carries too few types to be checked
PROGRAM = "import sys; from rehearsal_recon_all.course import main; sys.exit(main(sys.argv[1:]))"


class Machine:
    """A place to run the rehearsed recon-all in: a subjects' directory, an image, a licence."""

    def __init__(self, folder: Path) -> None:
        self.subjects = folder / "subjects"
        self.subjects.mkdir()
        self.home = folder / "freesurfer"
        self.licence = folder / "licence.txt"
        self.licence.write_text("me@example.org\n12345\n *CexampleKey\n")
        self.t1w = folder / "T1w.nii.gz"
        voxels = np.random.default_rng(0).integers(0, 1000, (20, 22, 24)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), self.t1w)
        self.output = ""

    def run(self, *words: str, **env: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(PATHS),
                "PYTHONDONTWRITEBYTECODE": "1",
                "SUBJECTS_DIR": str(self.subjects),
                "FREESURFER_HOME": str(self.home),
                "FS_LICENSE": str(self.licence),
                **env,
            },
        )
        self.output = done.stdout + done.stderr
        return done.returncode

    def has(self, path: str) -> bool:
        return (self.subjects / path).exists()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_all_makes_a_whole_subject_and_says_that_it_is_done(machine: Machine) -> None:
    assert machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all") == 0
    done = (machine.subjects / "sub-01/scripts/recon-all.done").read_text()
    assert all(key in done for key in ("SUBJECT sub-01", "START_TIME", "VERSION"))
    assert not machine.has("sub-01/scripts/recon-all.error")
    assert not list(machine.subjects.glob("sub-01/scripts/IsRunning*"))
    for path in (
        "mri/orig/001.mgz",
        "mri/aseg.mgz",
        "surf/lh.pial",
        "stats/aseg.stats",
        "label/rh.aparc.annot",
    ):
        assert machine.has(f"sub-01/{path}"), path


def test_fsaverage_is_an_absolute_link_into_freesurfers_own_folder(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all")

    assert os.readlink(machine.subjects / "fsaverage") == str(machine.home / "subjects/fsaverage")


def test_volumes_and_surfaces_open_in_nibabel(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all")

    home = machine.subjects / "sub-01"
    assert nibabel.load(home / "mri/aseg.mgz").shape == (20, 22, 24)
    vertices, faces = nibabel.freesurfer.read_geometry(home / "surf/lh.pial")
    assert (len(vertices), len(faces)) == (6, 8)
    assert len(nibabel.freesurfer.read_morph_data(home / "surf/lh.thickness")) == 6
    assert len(nibabel.freesurfer.read_annot(home / "label/lh.aparc.annot")[0]) == 6


def test_statistics_have_freesurfers_columns(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all")

    text = (machine.subjects / "sub-01/stats/aseg.stats").read_text()
    header = next(row for row in text.splitlines() if row.startswith("# ColHeaders")).split()[2:]
    rows = [row.split() for row in text.splitlines() if not row.startswith("#")]
    assert header[:5] == ["Index", "SegId", "NVoxels", "Volume_mm3", "StructName"]
    assert {len(row) for row in rows} == {len(header)}
    assert "# Measure EstimatedTotalIntraCranialVol, eTIV, " in text


def test_every_flag_of_the_contract_is_known() -> None:
    known = line.table()

    assert len(known) == 480
    assert all(
        spelling in known for spelling in ("-all", "-autorecon-all", "-qcache", "-no-isrunning", "-3T")
    )


@pytest.mark.parametrize(
    "words",
    [
        ["-s", "x", "-i", "T1W", "-all", "-bogus"],
        ["-s", "x", "-i", "T1W", "-all", "-openmp"],
        ["-s", "x", "-i", "T1W", "-T2", "T1W", "-FLAIR", "T1W"],
        ["-s", "x", "-i", "T1W", "-all", "-parallel", "-hemi", "lh"],
        ["-s", "x", "-i", "/nowhere.nii.gz", "-all"],
        ["-i", "T1W", "-all"],
        ["-s", "x", "-all"],
        ["-base", "x", "-all"],
        ["-long", "x", "y", "-all"],
        ["-s", "x", "-i", "T1W", "-all", "-sd", "/nowhere"],
        ["-s", "x", "-i", "T1W", "-all", "-gpu"],
        [],
    ],
)
def test_lines_that_recon_all_refuses_end_with_1_and_leave_nothing(
    machine: Machine, words: list[str]
) -> None:
    assert machine.run(*[word.replace("T1W", str(machine.t1w)) for word in words]) == 1
    assert not machine.has("x")


def test_an_existing_subject_with_an_input_is_refused(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w))

    assert machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all") == 1
    assert "delete the subject folder" in machine.output
    assert machine.run("-s", "sub-01", "-all") == 0


def test_an_input_without_a_stage_is_only_converted(machine: Machine) -> None:
    assert machine.run("-s", "sub-01", "-i", str(machine.t1w)) == 0
    assert [p.name for p in (machine.subjects / "sub-01/mri").rglob("*.mgz")] == ["001.mgz"]


def test_of_a_name_with_a_blank_only_the_first_word_is_used(machine: Machine) -> None:
    assert machine.run("-s", "a b", "-i", str(machine.t1w)) == 0
    assert machine.has("a")
    assert not machine.has("a b")


def test_stages_run_one_after_another_make_what_all_makes(machine: Machine) -> None:
    machine.run("-s", "one", "-i", str(machine.t1w), "-all")
    for words in (["-i", str(machine.t1w), "-autorecon1"], ["-autorecon2"], ["-autorecon3"]):
        assert machine.run("-s", "two", *words) == 0

    one, two = (
        {p.relative_to(h) for p in h.rglob("*")} for h in (machine.subjects / s for s in ("one", "two"))
    )
    assert one == two


def test_a_stage_without_the_one_before_fails_and_leaves_both_marks(machine: Machine) -> None:
    assert machine.run("-s", "sub-01", "-i", str(machine.t1w), "-autorecon2") == 1
    assert machine.has("sub-01/scripts/recon-all.error")
    assert "SUBJECT" not in (machine.subjects / "sub-01/scripts/recon-all.done").read_text()


def test_a_stale_running_mark_is_refused_unless_told_otherwise(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w))
    (machine.subjects / "sub-01/scripts/IsRunning.lh+rh").touch()

    assert machine.run("-s", "sub-01", "-all") == 1
    assert machine.run("-s", "sub-01", "-all", "-no-isrunning") == 0


def test_qcache_adds_the_smoothed_overlays(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all", "-qcache")

    assert machine.has("sub-01/surf/rh.thickness.fwhm10.fsaverage.mgh")


def test_a_longitudinal_run_makes_its_own_subject(machine: Machine) -> None:
    machine.run("-s", "t1", "-i", str(machine.t1w), "-all")

    assert machine.run("-base", "mean", "-tp", "t1", "-all") == 0
    assert (machine.subjects / "mean/base-tps").read_text() == "t1\n"
    assert machine.run("-long", "t1", "mean", "-all") == 0
    assert machine.has("t1.long.mean/stats/aseg.stats")


def test_a_time_point_that_the_template_does_not_know_is_refused(machine: Machine) -> None:
    for name in ("t1", "t2"):
        machine.run("-s", name, "-i", str(machine.t1w), "-all")
    machine.run("-base", "mean", "-tp", "t1", "-all")

    assert machine.run("-long", "t2", "mean", "-all") == 1
    assert "t2 is not in " in machine.output


@pytest.mark.parametrize(
    "words",
    [
        ["-base", "t1", "-tp", "t1"],
        ["-s", "mean", "-all"],
        ["-s", "t1.long.mean", "-all"],
        ["-long", "t1", "t2", "-all"],
        ["-long", "t1.long.mean", "mean", "-all"],
    ],
)
def test_a_run_under_the_name_of_another_kind_is_refused(machine: Machine, words: list[str]) -> None:
    for name in ("t1", "t2"):
        machine.run("-s", name, "-i", str(machine.t1w), "-autorecon1")
    machine.run("-base", "mean", "-tp", "t1", "-autorecon1")

    assert machine.run(*words) == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 1),
        (["-xopts-use"], 0),
        (["-xopts-clean"], 0),
        (["-expert", "EXPERT"], 1),
        (["-xopts-overwrite", "-expert", "EXPERT"], 0),
    ],
)
def test_a_subject_with_expert_options_goes_on_when_told_what_becomes_of_them(
    machine: Machine, words: list[str], status: int
) -> None:
    expert = machine.t1w.with_name("expert.opts")
    expert.write_text("mri_em_register -p .5\n")
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-autorecon1", "-expert", str(expert))

    words = [word.replace("EXPERT", str(expert)) for word in words]
    assert machine.run("-s", "sub-01", "-autorecon2", *words) == status
    assert machine.has("sub-01/scripts/expert-options") is ("-xopts-clean" not in words)


def test_the_numbers_of_a_template_come_from_the_images_of_its_time_points(machine: Machine) -> None:
    other = machine.t1w.with_name("other.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 8), np.int16), np.eye(4)), other)
    found = []
    for image in (machine.t1w, machine.t1w, other):
        machine.run("-s", "t1", "-i", str(image), "-all")
        machine.run("-base", "mean", "-tp", "t1", "-all")
        found.append((machine.subjects / "mean/stats/aseg.stats").read_text())
        for name in ("t1", "mean"):
            shutil.rmtree(machine.subjects / name)

    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("file", "regions"),
    [
        ("aseg.stats", 45),
        ("wmparc.stats", 70),
        ("lh.aparc.stats", 34),
        ("rh.aparc.a2009s.stats", 74),
        ("lh.aparc.DKTatlas.stats", 31),
        ("lh.BA_exvivo.thresh.stats", 14),
    ],
)
def test_each_table_of_statistics_has_the_regions_of_its_atlas(
    machine: Machine, file: str, regions: int
) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all")

    text = (machine.subjects / "sub-01/stats" / file).read_text()
    assert len([row for row in text.splitlines() if not row.startswith("#")]) == regions


def test_without_a_licence_the_first_command_fails(machine: Machine) -> None:
    assert machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all", FS_LICENSE="/nowhere") == 1
    assert machine.has("sub-01/scripts/recon-all.error")


def test_the_licence_is_found_in_nothing_that_is_written(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all")

    written = b"".join(p.read_bytes() for p in (machine.subjects / "sub-01").rglob("*") if p.is_file())
    assert b"CexampleKey" not in written + machine.output.encode()


def test_a_truncated_input_fails_with_an_error_file(machine: Machine) -> None:
    machine.t1w.write_bytes(machine.t1w.read_bytes()[:-50])

    assert machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all") == 1
    assert "T1w.nii.gz" in (machine.subjects / "sub-01/scripts/recon-all.error").read_text()


@pytest.mark.parametrize(
    ("fault", "status", "error", "done"),
    [("fail", 1, True, True), ("crash-late", 1, True, True), ("missing-report", 0, False, False)],
)
def test_faults_leave_the_marks_they_should(
    machine: Machine, fault: str, status: int, error: bool, done: bool
) -> None:
    words = ["-s", "sub-01", "-i", str(machine.t1w), "-all"]

    assert machine.run(*words, NEUROCWL_REHEARSAL=fault) == status
    assert machine.has("sub-01/scripts/recon-all.error") is error
    assert machine.has("sub-01/scripts/recon-all.done") is done


def test_exit_0_with_a_missing_report_lacks_surfaces_as_well(machine: Machine) -> None:
    machine.run("-s", "sub-01", "-i", str(machine.t1w), "-all", NEUROCWL_REHEARSAL="missing-report@01")

    assert machine.has("sub-01/surf/lh.white")
    assert not machine.has("sub-01/surf/rh.white")
