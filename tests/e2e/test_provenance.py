"""The RO-Crate of a real run: valid for the profile it claims, true to what ran, and without a copy of data."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import crate_validator
from tests.e2e.conftest import Lab, Result, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]
COMPLETED, FAILED = "http://schema.org/CompletedActionStatus", "http://schema.org/FailedActionStatus"


class Ran:
    """A launch with one unit that is done and one that failed, and the crate of it."""

    def __init__(self, lab: Lab, done: Result, crate: Path) -> None:
        self.lab, self.done, self.crate = lab, done, crate
        self.document = json.loads((crate / "ro-crate-metadata.json").read_text())
        self.entities: dict[str, Any] = {entity["@id"]: entity for entity in self.document["@graph"]}

    def of_type(self, type_: str) -> Iterator[Any]:
        return (e for e in self.entities.values() if type_ in (e["@type"], *e["@type"]))


@pytest.fixture(scope="module")
def ran(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory, engine: str) -> Ran:
    lab = Lab(s3_server, tmp_path_factory.mktemp("provenance"))
    dataset = write_dataset(lab.folder / "ds", ["01", "02"])
    broken = dataset / "sub-02/anat/sub-02_T1w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-40])
    lab.upload(dataset, "a study/ds")
    done = lab.run(
        "launch", "dataset", lab.url("a study/ds"), "--pipeline", "nifti-check", "--output", lab.url("out"),
        "--ignore", "FEW_VOLUMES", "VOXEL_SIZE_RANGE", NEUROCWL_AGENT="A Scientist",
    )  # fmt: skip
    assert done.code == 1, done.err
    crate = lab.folder / "crate"
    written = lab.run("provenance", lab.url("out"), "-o", str(crate), "--agent", "A Scientist")
    assert written.code == 0, written.err
    return Ran(lab, done, crate)


def test_the_validator_finds_nothing_that_the_profile_requires(ran: Ran, tmp_path: Path) -> None:
    assert crate_validator.issues(ran.crate, tmp_path) == []


def test_the_validator_sees_a_run_that_does_not_name_its_tool(ran: Ran, tmp_path: Path) -> None:
    lame = tmp_path / "crate"
    shutil.copytree(ran.crate, lame)
    graph = [
        {k: v for k, v in e.items() if (e["@id"], k) != ("#sub-01", "instrument")}
        for e in ran.document["@graph"]
    ]
    (lame / "ro-crate-metadata.json").write_text(json.dumps({**ran.document, "@graph": graph}))
    found = crate_validator.issues(lame, tmp_path)
    assert ["instrument" in issue["message"] for issue in found] == [True]


def test_the_launch_wrote_the_same_crate_beside_its_records(ran: Ran) -> None:
    run = ran.entities["./"]["identifier"]
    stored = json.loads(ran.lab.read(f"out/.neurocwl/runs/{run}/ro-crate-metadata.json"))
    assert stored == ran.document


def test_every_input_is_named_by_url_size_and_etag(ran: Ran) -> None:
    for key, etag in ran.lab.keys("a study/ds").items():
        if key.startswith("sub-"):
            entity = ran.entities[f"s3://{ran.lab.bucket}/a%20study/ds/{key}"]
            assert entity["etag"] == etag.strip('"')
            assert int(entity["contentSize"]) == len(ran.lab.read(f"a study/ds/{key}"))


def test_every_result_is_named_by_its_sha256(ran: Ran) -> None:
    results = [e for e in ran.of_type("File") if e["@id"].startswith(ran.lab.url("out/sub-01/"))]
    assert len(results) >= 3
    for entity in results:
        data = ran.lab.read(entity["@id"].removeprefix(f"s3://{ran.lab.bucket}/"))
        assert entity["sha256"] == hashlib.sha256(data).hexdigest()


def test_each_unit_is_an_action_with_its_outcome(ran: Ran) -> None:
    good, bad = ran.entities["#sub-01"], ran.entities["#sub-02"]
    assert (good["actionStatus"], good["exitCode"]) == (COMPLETED, 0)
    assert (bad["actionStatus"], bad["exitCode"]) == (FAILED, 1)
    assert "error" in bad
    assert {"@id": ran.lab.url("out/.neurocwl/units/sub-02/receipt.json")} in bad["result"]
    assert {"@id": f"s3://{ran.lab.bucket}/a%20study/ds/sub-02/anat/sub-02_T1w.nii.gz"} in bad["object"]


def test_tool_image_versions_and_parameters_are_told(ran: Ran) -> None:
    image = next(ran.of_type("ContainerImage"))
    assert image["name"] == "neurocwl/nifti-check"
    assert len(image["sha256"]) == 64
    assert ran.entities["#sub-01"]["containerImage"] == [{"@id": image["@id"]}]
    assert {"#neurocwl", "#toil", "#cwltool"} <= {*ran.entities}
    assert ran.entities["#parameter-ignore"]["value"] == ["FEW_VOLUMES", "VOXEL_SIZE_RANGE"]
    workflow = ran.entities["workflow.cwl"]
    assert workflow["sha256"] == hashlib.sha256((ran.crate / "workflow.cwl").read_bytes()).hexdigest()
    assert ran.entities["#run"]["agent"] == {"@id": "#agent"}


def test_no_image_of_the_dataset_or_the_results_was_copied(ran: Ran) -> None:
    assert {file.suffix for file in ran.crate.iterdir()} == {".json", ".cwl", ".log"}


def test_no_key_is_in_the_crate(ran: Ran) -> None:
    secret = ran.lab.environment["AWS_SECRET_ACCESS_KEY"]
    assert not [file for file in ran.crate.iterdir() if secret in file.read_text()]
