"""The rehearsals of m2g and ndmg refuse what their own code refuses, and fail as told."""

import os
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocwl import images

nibabel: Any = import_module("nibabel")
SESSION = Path("sub-01/ses-1")
STEM = "sub-01_ses-1"
ENDS = {"m2g": "*_connectome.csv", "ndmg": "*_adj.ssv"}

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(images.engine() is None, reason="no docker engine answers"),
]


class Scan:
    """A dataset of one scan, and a tool's rehearsal that is run on it."""

    def __init__(self, tool: str, folder: Path) -> None:
        self.tool, self.bids, self.out = tool, folder / "bids", folder / "out"
        self.image = images.ensure(f"rehearsal-{tool}")
        self.text = ""
        for kind in ("anat", "dwi"):
            (self.bids / SESSION / kind).mkdir(parents=True)
        self.out.mkdir()
        (self.bids / "dataset_description.json").write_text('{"Name": "small", "BIDSVersion": "1.9.0"}')
        self.t1w = self.bids / SESSION / "anat" / f"{STEM}_T1w.nii.gz"
        self.dwi = self.bids / SESSION / "dwi" / f"{STEM}_dwi.nii.gz"
        self.save(self.t1w, (9, 8, 7))
        self.save(self.dwi, (6, 5, 4, 3))
        self.table("bval", "0 1000 1000")
        self.table("bvec", "0 1 0\n0 0 1\n0 0 0")

    def save(self, path: Path, shape: tuple[int, ...]) -> None:
        voxels = np.random.default_rng(3).integers(0, 900, shape).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)

    def table(self, ending: str, text: str) -> None:
        (self.bids / SESSION / "dwi" / f"{STEM}_dwi.{ending}").write_text(text + "\n")

    def run(self, *words: str, fault: str = "", options: tuple[str, ...] = ()) -> int:
        labels = ("--participant_label", "01", "--session_label", "1")
        done = subprocess.run(
            [
                *("docker", "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp"),
                *(f"--user={os.getuid()}:{os.getgid()}", f"--env=NEUROCWL_REHEARSAL={fault}", *options),
                *(f"--volume={self.bids}:/bids:ro", f"--volume={self.out}:/out", self.image),
                *("/bids", "/out" if self.tool == "m2g" else "/out/sub-01/ses-1", *(words or labels)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.text = done.stdout + done.stderr
        return done.returncode

    def connectomes(self) -> list[Path]:
        return sorted(self.out.rglob(ENDS[self.tool]))


@pytest.fixture(params=["m2g", "ndmg"])
def scan(request: pytest.FixtureRequest, tmp_path: Path) -> Scan:
    return Scan(request.param, tmp_path)


def test_a_scan_gets_a_connectome_for_each_parcellation_and_images_that_open(scan: Scan) -> None:
    assert scan.run() == 0, scan.text
    assert [path.parent.name.partition("_")[0] for path in scan.connectomes()] == ["AAL", "desikan"]
    first = scan.connectomes()[0].read_text().splitlines()
    assert "REHEARSAL" in first[0]
    assert all(len(line.split()) == 3 for line in first[1:])
    written = sorted(scan.out.rglob("*.nii.gz"))
    assert len(written) == 7
    for path in written:
        assert np.asanyarray(nibabel.load(path).dataobj).size
    (streamlines,) = scan.out.rglob("streamlines.trk")
    assert len(nibabel.streamlines.load(streamlines).streamlines) == 1


def unharmed(scan: Scan) -> None:
    """The words are wrong."""


def truncated(scan: Scan) -> None:
    scan.dwi.write_bytes(scan.dwi.read_bytes()[:-40])


def without_sessions(scan: Scan) -> None:
    for file in (scan.bids / SESSION).glob("*/*"):
        place = scan.bids / "sub-01" / file.parent.name / file.name.replace("_ses-1", "")
        place.parent.mkdir(exist_ok=True)
        file.rename(place)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (unharmed, ("--participant_label", "02", "--session_label", "1")),
        (truncated, ()),
        (lambda scan: scan.table("bval", "0 1000"), ()),
        (lambda scan: scan.table("bvec", "0 0 0\n0 0 1\n0 0 0"), ()),
        (lambda scan: scan.table("bval", "0 many 1000"), ()),
        (without_sessions, ("--participant_label", "01")),
    ],
    ids=["no such participant", "truncated", "too few", "no direction", "no number", "no session"],
)
def test_what_both_cannot_process_ends_with_1(
    scan: Scan, damage: Callable[[Scan], None], words: tuple[str, ...]
) -> None:
    damage(scan)

    assert scan.run(*words) == 1, scan.text
    assert not scan.connectomes()


def test_unknown_options_are_refused_as_argparse_does(scan: Scan) -> None:
    assert scan.run("--tractor", "1") == 2
    assert "unrecognized arguments: --tractor 1" in scan.text


def test_m2g_stops_at_a_fifth_file_of_a_session(tmp_path: Path) -> None:
    scan = Scan("m2g", tmp_path)
    scan.table("json", "{}")

    assert scan.run() == 1
    assert "too many values to unpack" in scan.text


def test_m2g_succeeds_without_a_connectome_when_no_parcellation_has_the_name(tmp_path: Path) -> None:
    scan = Scan("m2g", tmp_path)

    assert scan.run("--parcellation", "nothing") == 0
    assert not scan.connectomes()


@pytest.mark.parametrize(
    ("fault", "status", "streamlines", "connectomes"),
    [
        ("fail", 1, 0, 0),
        ("crash-late@sub-01_ses-1", 1, 1, 0),
        ("missing-report", 0, 1, 0),
        ("fail@02", 0, 1, 2),
    ],
)
def test_a_scan_fails_as_told(
    scan: Scan, fault: str, status: int, streamlines: int, connectomes: int
) -> None:
    assert scan.run(fault=fault) == status, scan.text
    assert len(list(scan.out.rglob("streamlines.trk"))) == streamlines
    assert len(scan.connectomes()) == connectomes


def test_out_of_memory_is_killed_by_the_limit(scan: Scan) -> None:
    assert scan.run(fault="oom", options=("--memory=100m",)) == 137
