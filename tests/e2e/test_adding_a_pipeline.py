"""docs/adding-a-pipeline.md, followed to the letter: its files are written, its commands are run, no Python is touched."""

import gzip
import json
import re
import shlex
import subprocess
from importlib import resources
from pathlib import Path

import nibabel
import numpy
import pytest

from neurocwl import realdata
from tests.e2e.conftest import Lab

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

PAGE = (Path(__file__).parents[2] / "docs/adding-a-pipeline.md").read_text()
OUTPUT = "derivatives/median-otsu"


def files() -> dict[str, str]:
    """Path -> text of every file that the page shows."""
    return dict(re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


def commands() -> list[str]:
    """The lines of the page's shell blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture
def followed(lab: Lab) -> dict[str, subprocess.CompletedProcess[str]]:
    """What every command of the page said."""
    lab.bucket = "mylab"  # the page's
    lab.s3.create_bucket(Bucket=lab.bucket)
    dataset = lab.folder / "dataset"
    head = nibabel.load(str(resources.files(realdata.T1W[0]) / realdata.T1W[1]))
    (dataset / "sub-01" / "anat").mkdir(parents=True)
    (dataset / "sub-02" / "anat").mkdir(parents=True)
    (dataset / "dataset_description.json").write_text('{"Name": "ds", "BIDSVersion": "1.10.0"}')
    for label in ("01", "02"):
        image = head.slicer[::3, ::3, ::3]
        nibabel.save(image, dataset / f"sub-{label}/anat/sub-{label}_T1w.nii.gz")
    lab.upload(dataset, "ds")
    for name, text in files().items():
        file = lab.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    results = {}
    for line in commands():
        results[line] = subprocess.run(
            shlex.split(line),
            capture_output=True,
            text=True,
            env=lab.environment,
            cwd=lab.folder,
            timeout=600,
        )
    return results


def test_the_page_leads_to_a_verified_brain_mask_of_every_participant(
    lab: Lab, followed: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    assert len(files()) == 4
    assert len(followed) == 7
    for line, done in followed.items():
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    said = {line.split()[1]: done.stdout for line, done in followed.items()}
    assert "--median-radius" in followed[commands()[1]].stdout
    assert "2 ready" in said["plan"]
    assert "no drift" in followed[commands()[-1]].stdout
    for label in ("01", "02"):
        packed = lab.read(f"{OUTPUT}/sub-{label}/anat/sub-{label}_desc-brain_mask.nii.gz")
        mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(packed))
        millilitres = numpy.count_nonzero(mask.get_fdata()) * numpy.prod(mask.header.get_zooms()) / 1000
        assert 1000 < millilitres < 3000, "what is left of a head is about a brain"
    receipt = json.loads(lab.read(f"{OUTPUT}/.neurocwl/units/sub-01/receipt.json"))
    assert receipt["status"] == "done"

    again = lab.run(
        *(
            "launch",
            "dataset",
            "s3://mylab/ds",
            "--pipeline",
            "median-otsu",
            "--pipeline-dir",
            "my-pipelines",
        ),
        *("--output", f"s3://mylab/{OUTPUT}", "--median-radius", "0", "--numpass", "3"),
    )
    assert again.code == 2
    assert "changes nothing" in again.err
