"""The example of docs/nipype.md over a dataset of three, with keys from a file: one image is damaged."""

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy
import pytest
from scipy.ndimage import gaussian_filter

from neurocwl import assets, images
from tests.e2e.conftest import Lab, Result, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

EXAMPLE = assets.path("cwl") / "tools" / "test-data" / "nipype-example.py"
DOCS = Path(__file__).parents[2] / "docs" / "nipype.md"
KEY, SECRET = (
    "AKIAOFTHECREDSFILE",
    "s3cretOfTheCredentialsFile/+==",
)  # canaries: they must be found nowhere after a run
FILES = {
    f"{kind}fwhm-{fwhm}/{name}.nii.gz"
    for kind, name in (("", "smoothed"), ("mean/", "mean"))
    for fwhm in (4, 8)
}


@pytest.fixture(scope="module")
def launched(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, Result]:
    lab = Lab(s3_server, tmp_path_factory.mktemp("nipype-lab"))
    dataset = write_dataset(lab.folder / "ds", ["01", "02", "03"])
    damaged = dataset / "sub-03" / "func" / "sub-03_task-rest_bold.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-3000])
    lab.upload(dataset, "ds")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del lab.environment[name]
    (lab.folder / "keys.csv").write_text(
        f'\ufeffUser Name,Access Key Id,Secret Access Key\r\n"u",{KEY},{SECRET}\r\n'
    )
    words = ["--pipeline", "nipype", "--script", str(EXAMPLE), "--output", lab.url("out")]
    words += ["--credentials", "keys.csv", "--encrypt", "AES256"]
    small = ("--cpus", "1", "--memory-mib", "1024", "--tmp-mib", "200", "--out-mib", "200")
    return lab, lab.run("launch", "dataset", lab.url("ds"), *words, *small)


def receipt(lab: Lab, unit: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.read(f"out/.neurocwl/units/{unit}/receipt.json"))
    return found


def test_one_participant_fails_and_the_others_are_done(launched: tuple[Lab, Result]) -> None:
    lab, done = launched
    assert done.code == 1, done.err
    found = lab.run("status", lab.url("out"), "--json", "--credentials", "keys.csv")
    assert found.statuses() == {"sub-01": "done", "sub-02": "done", "sub-03": "failed"}
    assert lab.run("verify", lab.url("out"), "--deep", "--credentials", "keys.csv").code == 0


def test_the_receipts_name_what_the_sink_put_where_datasink_would(launched: tuple[Lab, Result]) -> None:
    lab, _ = launched
    for unit in ("sub-01", "sub-02"):
        paths = {entry["path"] for entry in receipt(lab, unit)["manifest"]}
        assert paths == {f"{unit}/func/{file}" for file in FILES}
        assert paths <= set(lab.keys("out"))


def test_the_derivatives_are_what_the_script_computes(launched: tuple[Lab, Result]) -> None:
    lab, _ = launched
    source: Any = nibabel.load(lab.folder / "ds/sub-01/func/sub-01_task-rest_bold.nii.gz")
    sigma = [4 / 2.355 / size for size in source.header.get_zooms()[:3]]
    (lab.folder / "mean.nii.gz").write_bytes(lab.read("out/sub-01/func/mean/fwhm-4/mean.nii.gz"))
    found: Any = nibabel.load(lab.folder / "mean.nii.gz")
    wanted = gaussian_filter(source.get_fdata(), [*sigma, 0]).mean(axis=3)
    numpy.testing.assert_allclose(found.get_fdata(), wanted, rtol=1e-4)


def test_the_same_script_runs_elsewhere_with_keys_and_writes_the_same_to_s3_itself(
    launched: tuple[Lab, Result],
) -> None:
    """As on a machine of one's own: dataset and outputs are s3:// URLs, and nobody stages anything."""
    lab, _ = launched
    work = lab.folder / "elsewhere"
    work.mkdir()
    told = {"BIDS_DIR": lab.url("ds"), "OUTPUT_DIR": lab.url("direct"), "PARTICIPANT_LABEL": "01"}
    told |= {"WORK_DIR": str(work), "HOME": str(work), "PLUGIN_ARGS": "{}", "PYTHONPATH": "/toolwrappers"}
    told |= {name: value for name, value in lab.environment.items() if name.startswith("AWS_")}
    told |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    command = [
        "docker",
        "run",
        "--rm",
        "--network=host",
        "--workdir",
        str(work),
        "--volume",
        f"{work}:{work}",
    ]
    command += [
        "--volume",
        f"{assets.path('toolwrappers')}:/toolwrappers:ro",
        "--volume",
        f"{EXAMPLE}:/script.py:ro",
    ]
    command += [word for name, value in told.items() for word in ("--env", f"{name}={value}")]
    done = subprocess.run(
        [*command, images.ensure("nipype"), "python3", "/script.py"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert lab.keys("direct").keys() == {f"sub-01/func/{file}" for file in FILES}
    for file in FILES:
        staged, direct = (lab.read(f"{place}/sub-01/func/{file}") for place in ("out", "direct"))
        assert gzip.decompress(staged) == gzip.decompress(direct)


def test_a_failure_names_node_and_error_and_leaves_its_crash_files(launched: tuple[Lab, Result]) -> None:
    lab, _ = launched
    reason = receipt(lab, "sub-03")["reason"]
    assert re.search(r"Node: example\.smoothing\S*: EOFError", reason), reason
    crashes = [
        key for key in lab.keys("out") if re.search(r"units/sub-03/attempts/.*/outputs/crash/.*\.txt$", key)
    ]
    assert crashes
    assert "EOFError" in lab.read(f"out/{crashes[0]}").decode()
    assert not [key for key in lab.keys("out") if key.startswith("sub-03")]


def test_the_keys_of_the_file_are_found_nowhere(launched: tuple[Lab, Result]) -> None:
    lab, done = launched
    written = {key: lab.read(f"out/{key}") for key in lab.keys("out")}
    written |= {str(file): file.read_bytes() for file in lab.work.rglob("*") if file.is_file()}
    run = next(content for key, content in written.items() if key.endswith("/run.json"))
    assert b"keys.csv" in run, "the command line is kept, with the file's name"
    for name, content in {**written, "stderr": done.err.encode(), "stdout": done.out.encode()}.items():
        assert SECRET.encode() not in content, name
        assert KEY.encode() not in content, name


def test_everything_at_the_output_is_encrypted_as_asked(launched: tuple[Lab, Result]) -> None:
    lab, _ = launched

    def encryption(key: str) -> str | None:
        return lab.s3.head_object(Bucket=lab.bucket, Key=key).get("ServerSideEncryption")

    assert encryption("ds/dataset_description.json") is None, "this server encrypts nothing unasked"
    assert [key for key in lab.keys("out") if encryption(f"out/{key}") != "AES256"] == []


def test_the_documentations_example_is_the_one_that_ran() -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert EXAMPLE.read_text() in blocks


def test_options_of_s3_that_cannot_be_kept_are_refused(launched: tuple[Lab, Result]) -> None:
    lab, _ = launched
    for words in (
        ("plan", "dataset", lab.url("ds"), "--pipeline", "nifti-check"),
        ("status", lab.url("out")),
    ):
        said = lab.run(*words, "--credentials", "none.csv")
        assert said.code == 2
        assert "none.csv: there is no such file" in said.err
    without = lab.run("plan", "dataset", lab.url("ds"), "--pipeline", "nipype", "--credentials", "keys.csv")
    assert without.code == 2
    assert "--script is missing" in without.err
    folder = ("--output", str(lab.folder / "out"), "--script", str(EXAMPLE), "--encrypt", "AES256")
    local = lab.run(
        "launch", "dataset", lab.url("ds"), "--pipeline", "nipype", "--credentials", "keys.csv", *folder
    )
    assert local.code == 2
    assert "--encrypt AES256" in local.err
    both = lab.run("status", lab.url("out"), "--credentials", "keys.csv", "--profile", "lab")
    assert both.code == 2
    assert "give one" in both.err
