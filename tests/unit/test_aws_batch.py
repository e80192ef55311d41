"""AWS Batch without AWS: the profile, the words of a leader elsewhere, and whose a job is."""

import base64
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import backend, package, toil
from neurocwl.aws import batchjobs
from neurocwl.detach import Job
from neurocwl.errors import BadInput
from neurocwl.s3 import Access
from neurocwl.storage import S3Location

GIVEN = ["queue=units", "image=registry/appliance:1", "region=us-east-1"]
DIGEST = "0123456789abcdef"


def test_workers_keep_their_locks_in_the_work_folder_of_the_node() -> None:
    """Toil mounts the work folder in all of them (tests/e2e/test_appliance.py: what happens elsewhere)."""
    options = backend.load("aws-batch", GIVEN).toil_options(folder="/w/001")
    command = toil.Leader(Path("w.cwl"), Path("o.json"), Path("/w/001"), {}, options).command()
    last = {word.partition("=")[0]: word.partition("=")[2] for word in command if "=" in word}
    assert last["--coordinationDir"] == last["--workDir"] == "/w/001/work"


def test_a_work_folder_of_the_nodes_is_for_both() -> None:
    found = backend.load("aws-batch", [*GIVEN, "work_dir=/mnt/fast"]).toil_options(folder="/w/001")
    assert [word for word in found if word.startswith(("--workDir", "--coordinationDir"))][-2:] == [
        "--workDir=/mnt/fast",
        "--coordinationDir=/mnt/fast",
    ]


def test_no_key_is_passed_on() -> None:
    passed = backend.load("aws-batch", GIVEN).pass_on
    assert not [name for name in passed if "KEY" in name or "TOKEN" in name or "PROFILE" in name]


def test_spot_is_another_queue() -> None:
    found = backend.load("aws-batch", [*GIVEN, "spot_queue=cheap"])
    assert "--awsBatchQueue=units" in found.toil_options()
    assert "--awsBatchQueue=cheap" in found.toil_options(backend.SPOT)


def test_a_profile_means_the_same_as_a_text(tmp_path: Path) -> None:
    own = tmp_path / "own.yml"
    own.write_text("{class: Backend, like: aws-batch, set: {queue: q, image: i}}")
    here = backend.load(str(own), ["work_dir=/n"], {"region": "eu-west-1"})
    copy = tmp_path / "copy.yml"
    copy.write_text(backend.as_text(here))
    there = backend.load(str(copy))
    assert there.toil_options(folder="f") == here.toil_options(folder="f")
    assert there.variables() == here.variables()


def packed(locator: str) -> dict[str, object]:
    """A job as AWS describes it, with Toil's own packing of a worker's command."""
    from toil.batchSystems.contained_executor import pack_job

    return {"container": {"command": pack_job(f"_toil_worker CWLJob {locator} 5f0c --context gASV")}}


def test_a_job_of_toils_is_known_by_the_job_store_in_its_command() -> None:
    name = backend.job_store_name(DIGEST, "20261121T150000Z-ab12", "001")
    assert batchjobs.outputs_of(packed(f"aws:eu-west-1:{name}")) == {DIGEST}


@pytest.mark.parametrize(
    "locator", ["aws:eu-west-1:somebody-elses", "/folder/neurocwl-0123456789abcdef-1/jobstore"]
)
def test_jobs_of_others_are_none_of_ours(locator: str) -> None:
    assert batchjobs.outputs_of(packed(locator)) == set()


@given(st.lists(st.one_of(st.text(), st.binary().map(lambda raw: base64.b64encode(raw).decode()))))
def test_any_command_is_read_without_running_it(words: list[str]) -> None:
    assert batchjobs.outputs_of({"container": {"command": words}}) == set()


def test_a_job_without_a_container_is_none_of_ours() -> None:
    assert batchjobs.outputs_of({"jobId": "1"}) == set()


def test_the_appliance_has_what_the_package_depends_on() -> None:
    root = Path(__file__).parents[2]
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {line.partition(">")[0].partition("[")[0] for line in declared}
    assert {need.partition("[")[0] for need in package.WORKER_NEEDS} == names


def test_the_appliance_is_called_after_the_toil_that_it_holds() -> None:
    """Toil asks a registry for images whose name lacks its commit."""
    from toil.version import currentCommit

    from neurocwl import images

    assert images.reference("appliance").endswith(f"-{currentCommit}")


def test_the_package_goes_into_an_image_as_a_wheel_would_carry_it() -> None:
    inside = {place.as_posix() for place, _ in package.files()}
    assert {"cli.py", "share/cwl/tools/stage-out.cwl", "share/toolwrappers/bin/docker"} <= inside
    assert not [place for place in inside if "__pycache__" in place]


def test_a_launch_that_is_too_long_for_a_job_is_refused() -> None:
    """AWS takes the job, and fails it when a node should start it."""
    where = backend.load("aws-batch", ["queue=q", "region=us-west-2", "image=i", "job_role=r"])
    labels = [f"participant{number:04}" for number in range(600)]
    words = ["launch", "dataset", "s3://lab/ds", "--participant-label", *labels]
    output = S3Location("s3://lab/out", Access(region="us-west-2"))
    with pytest.raises(BadInput, match="a job of AWS Batch takes 8192"):
        batchjobs.start(Job(where, words, output, Access(region="us-west-2"), Path("/nowhere")))
