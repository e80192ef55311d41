"""The built images, run by the real engine as CWL runners run them: read-only, no network, any user."""

import os
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocwl import images

nibabel: Any = import_module("nibabel")  # carries too few types to be checked
LISTS = Path(__file__).parents[1] / "data" / "fmriprep_outputs"
LEFT_OUT = ("/log/", "/figures/", "sourcedata/")
"""What upstream's lists leave out: logs of single runs, figures, FreeSurfer's subjects."""

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(images.engine() is None, reason="no docker engine answers"),
]


@pytest.fixture(scope="session")
def fmriprep() -> str:
    return images.ensure("rehearsal-fmriprep")


@pytest.fixture(scope="session")
def recon_all() -> str:
    return images.ensure("rehearsal-recon-all")


def save(path: Path, shape: tuple[int, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(len(path.name)).integers(0, 1000, shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 3.0, 1.0])), path)


class Place:
    """Folders on the host that a container sees as /bids, /out and /licence.txt."""

    def __init__(self, folder: Path) -> None:
        self.bids, self.out, self.licence = folder / "bids", folder / "out", folder / "licence.txt"
        self.bids.mkdir()
        self.out.mkdir()
        self.licence.write_text("me@example.org\n12345\n *CexampleKey\n")
        (self.bids / "dataset_description.json").write_text('{"Name": "small", "BIDSVersion": "1.9.0"}')
        self.text = ""

    def run(self, image: str, *words: str, fault: str = "", options: tuple[str, ...] = ()) -> int:
        done = subprocess.run(
            [
                *("docker", "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--workdir=/tmp"),
                f"--user={os.getuid()}:{os.getgid()}",
                *(f"--volume={self.bids}:/bids:ro", f"--volume={self.out}:/out"),
                *(f"--volume={self.licence}:/licence.txt:ro", f"--env=NEUROCWL_REHEARSAL={fault}"),
                *options,
                image,
                *words,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.text = done.stdout + done.stderr
        return done.returncode

    def fmriprep(self, image: str, *words: str, fault: str = "", options: tuple[str, ...] = ()) -> int:
        line = ("/bids", "/out", "participant", "--fs-license-file", "/licence.txt", *words)
        return self.run(image, *line, fault=fault, options=options)

    def files(self) -> set[str]:
        return {str(p.relative_to(self.out)) for p in self.out.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def small(place: Place) -> Place:
    save(place.bids / "sub-01/anat/sub-01_T1w.nii.gz", (20, 22, 24))
    save(place.bids / "sub-01/func/sub-01_task-rest_bold.nii.gz", (10, 11, 12, 5))
    return place


def test_ds005_gives_upstreams_list_of_files(place: Place, fmriprep: str) -> None:
    save(place.bids / "sub-01/anat/sub-01_T1w.nii.gz", (20, 22, 24))
    for run in (1, 2):
        name = f"sub-01_task-mixedgamblestask_run-0{run}_bold.nii.gz"
        save(place.bids / "sub-01/func" / name, (10, 11, 12, 5))

    assert place.fmriprep(fmriprep, "--output-spaces", "fsnative", "fsaverage5", "-w", "/tmp/work") == 0, (
        place.text
    )
    listed = {path for path in place.files() if not any(part in path for part in LEFT_OUT)}
    assert listed == set((LISTS / "ds005.txt").read_text().split())


def test_ds210_gives_upstreams_list_of_files(place: Place, fmriprep: str) -> None:
    subject = place.bids / "sub-02"
    save(subject / "anat/sub-02_T1w.nii.gz", (20, 22, 24))
    echoes = [f"func/sub-02_task-cuedSGT_run-01_echo-{echo}_bold.nii.gz" for echo in (1, 2, 3)]
    for echo in echoes:
        save(subject / echo, (10, 11, 12, 5))
    for kind in ("phasediff", "magnitude1", "magnitude2"):
        save(subject / f"fmap/sub-02_run-01_{kind}.nii.gz", (10, 11, 12))
    intended = ", ".join(f'"{echo}"' for echo in echoes)
    (subject / "fmap/sub-02_run-01_phasediff.json").write_text(f'{{"IntendedFor": [{intended}]}}')

    assert place.fmriprep(fmriprep, "--fs-no-reconall", "--me-output-echos") == 0, place.text
    listed = {path for path in place.files() if not any(part in path for part in LEFT_OUT)}
    assert listed == set((LISTS / "ds210.txt").read_text().split())


def test_every_image_written_opens_in_nibabel(small: Place, fmriprep: str) -> None:
    small.fmriprep(fmriprep)

    written = [*small.out.rglob("*.nii.gz"), *small.out.rglob("*.gii")]
    assert len(written) > 30
    for path in written:
        image = nibabel.load(path)
        if path.name.endswith(".nii.gz"):
            assert np.asanyarray(image.dataobj).size


def test_two_runs_write_the_same_bytes_but_for_their_logs(small: Place, fmriprep: str) -> None:
    def content() -> dict[str, bytes]:
        return {name: (small.out / name).read_bytes() for name in small.files() if "/log/" not in name}

    small.fmriprep(fmriprep)
    first = content()
    small.fmriprep(fmriprep)

    assert content() == first


def test_the_legacy_layout_puts_derivatives_one_level_down(small: Place, fmriprep: str) -> None:
    assert small.fmriprep(fmriprep, "--output-layout", "legacy") == 0
    assert (small.out / "fmriprep/sub-01.html").is_file()
    assert (small.out / "freesurfer/sub-01/surf/lh.pial").is_file()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--mem", "16.5G"], 1, "KeyError"),
        (["--output-spaces", "nowhere"], 1, "nowhere"),
        (["--use-aroma"], 2, "unrecognized arguments: --use-aroma"),
        (["--level", "most"], 2, "invalid choice"),
        (["--participant-label", "07"], 1, "07"),
        (["-w", "/bids/work"], 2, "subdirectory of the input BIDS folder"),
        (["--force", "bbr", "no-bbr"], 1, "Cannot force and disable"),
    ],
)
def test_what_fmriprep_refuses_is_refused(
    small: Place, fmriprep: str, words: list[str], status: int, said: str
) -> None:
    assert small.fmriprep(fmriprep, *words) == status
    assert said in small.text
    assert not small.files()


def test_a_licence_that_is_not_there_ends_with_126(small: Place, fmriprep: str) -> None:
    line = ["/bids", "/out", "participant", "--fs-no-reconall"]

    assert small.run(fmriprep, *line) == 126
    assert small.run(fmriprep, *line, options=("--env=FS_LICENSE=/licence.txt",)) == 0


def test_the_licence_is_found_in_nothing_that_is_written(small: Place, fmriprep: str) -> None:
    small.fmriprep(fmriprep)

    assert "CexampleKey" not in small.text
    assert not [name for name in small.files() if b"CexampleKey" in (small.out / name).read_bytes()]


def test_a_truncated_image_crashes_the_run_and_names_the_file(small: Place, fmriprep: str) -> None:
    bold = small.bids / "sub-01/func/sub-01_task-rest_bold.nii.gz"
    bold.write_bytes(bold.read_bytes()[:-100])

    assert small.fmriprep(fmriprep) == 1
    (crash,) = small.out.glob("sub-01/log/*/crash-*.txt")
    assert bold.name in crash.read_text()


@pytest.mark.parametrize(
    ("fault", "status", "crashed", "report", "confounds"),
    [
        ("fail", 1, True, True, False),
        ("crash-late", 1, True, False, True),
        ("missing-report", 0, False, False, True),
        ("fail@02", 0, False, True, True),
    ],
)
def test_fmriprep_fails_as_told(
    small: Place, fmriprep: str, fault: str, status: int, crashed: bool, report: bool, confounds: bool
) -> None:
    assert small.fmriprep(fmriprep, fault=fault) == status
    assert bool(list(small.out.glob("sub-01/log/*/crash-*.txt"))) is crashed
    assert (small.out / "sub-01.html").exists() is report
    assert bool(list(small.out.glob("sub-01/func/*confounds*.tsv"))) is confounds


def test_out_of_memory_is_killed_by_the_limit(small: Place, fmriprep: str) -> None:
    assert small.fmriprep(fmriprep, "--mem", "200M", fault="oom", options=("--memory=100m",)) == 137


def test_out_of_memory_without_a_limit_gives_up_and_says_so(small: Place, fmriprep: str) -> None:
    assert small.fmriprep(fmriprep, "--mem", "100M", fault="oom") == 137
    assert "no memory limit is in force" in small.text


def test_a_hanging_run_ends_when_it_is_told_to(small: Place, fmriprep: str) -> None:
    name = f"neurocwl-test-hang-{os.getpid()}"
    running = subprocess.Popen(
        [
            *("docker", "run", "--rm", f"--name={name}", "--env=NEUROCWL_REHEARSAL=hang", "--network=none"),
            *(f"--volume={small.bids}:/bids:ro", f"--volume={small.licence}:/licence.txt:ro"),
            *(fmriprep, "/bids", "/tmp/out", "participant", "--fs-license-file", "/licence.txt"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    assert "sleeping until killed" in running.stderr.readline()
    subprocess.run(["docker", "stop", "--time=5", name], check=True, capture_output=True)

    assert running.wait(timeout=20) == 128 + 15
    running.stderr.close()


def test_recon_all_runs_read_only_as_any_user(small: Place, recon_all: str) -> None:
    line = ["recon-all", "-sd", "/out", "-s", "sub-01", "-i", "/bids/sub-01/anat/sub-01_T1w.nii.gz", "-all"]

    assert small.run(recon_all, *line, options=("--env=FS_LICENSE=/licence.txt", "--user=4321:4321")) == 1
    assert "could not make" in small.text
    assert small.run(recon_all, *line, options=("--env=FS_LICENSE=/licence.txt",)) == 0
    assert "SUBJECT sub-01" in (small.out / "sub-01/scripts/recon-all.done").read_text()
    assert os.readlink(small.out / "fsaverage") == "/usr/local/freesurfer/subjects/fsaverage"


def test_recon_all_out_of_memory_is_killed_by_the_limit(small: Place, recon_all: str) -> None:
    line = ["recon-all", "-sd", "/out", "-s", "sub-01", "-i", "/bids/sub-01/anat/sub-01_T1w.nii.gz", "-all"]
    limit = ("--env=FS_LICENSE=/licence.txt", "--memory=100m")

    assert small.run(recon_all, *line, fault="oom@01", options=limit) == 137
    assert list(small.out.glob("sub-01/scripts/IsRunning*"))


def docker_run(*words: str) -> str:
    line = ["docker", "run", "--rm", "--network=none", "--read-only", *words]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()


def test_nifti_check_has_what_it_opens_images_with() -> None:
    code = "import nibabel, numpy, PIL.Image; print(nibabel.__version__)"

    assert docker_run("--user=4321:4321", images.ensure("nifti-check"), "python3", "-c", code) == "5.4.2"


def test_an_image_that_is_there_is_not_built_again(fmriprep: str) -> None:
    said: list[str] = []

    assert images.ensure(fmriprep, say=said.append) == fmriprep
    assert said == []


@pytest.mark.parametrize("name", images.names())
def test_no_image_carries_the_certificates_of_the_build(name: str) -> None:
    image = images.ensure(name)

    assert docker_run("--entrypoint=find", image, "/", "-xdev", "-name", "ca-bundle.crt") == ""
    assert docker_run("--entrypoint=find", image, "/etc", "-name", "hostname") == "/etc/hostname"
