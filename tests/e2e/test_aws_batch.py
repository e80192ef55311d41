"""The same launch on AWS Batch, emulated by moto (tests/batch_emulator.py says how far): real jobs in real containers."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from neurocwl import images
from tests import batch_emulator
from tests.e2e.conftest import Lab, Result, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

SECRET = "demo-secret"  # of the embedded S3 server
# Without roles, which the emulator has not, workers get the keys as any other variable.
PROFILE = """
class: Backend
like: aws-batch
set: {{queue: {queue}, region: {region}, image: "{image}"}}
pass_on: [AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
          AWS_EC2_METADATA_DISABLED]
"""


class Cloud(Lab):
    """A lab with a queue of AWS Batch."""

    first: Result

    def client(self, service: str) -> Any:
        named = {"aws_access_key_id": "demo", "aws_secret_access_key": SECRET}
        url = self.environment["AWS_ENDPOINT_URL"]
        return boto3.client(service, endpoint_url=url, region_name=batch_emulator.REGION, **named)

    def launch(self, out: str, *words: str) -> Result:
        where = ["--backend", str(self.folder / "cloud.yml"), "--work-dir", str(self.work)]
        return self.run(
            "launch", "dataset", self.url("ds"), "--pipeline", "nifti-check", "--output", self.url(out), *where, *words
        )

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, of any status, with what AWS tells about each."""
        batch = self.client("batch")
        every = [{"name": "JOB_NAME", "values": ["*"]}]
        listed = batch.list_jobs(jobQueue=batch_emulator.QUEUE, filters=every)["jobSummaryList"]
        found: list[dict[str, Any]] = batch.describe_jobs(jobs=[job["jobId"] for job in listed])["jobs"]
        return found

    def buckets(self) -> list[str]:
        return [one["Name"] for one in self.s3.list_buckets()["Buckets"] if one["Name"].startswith("neurocwl-")]


@pytest.fixture(scope="module")
def cloud(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("batch")
    lab = Cloud(s3_server, folder)
    images.ensure("nifti-check")
    names = {"queue": batch_emulator.QUEUE, "region": batch_emulator.REGION, "image": images.ensure("appliance")}
    (folder / "cloud.yml").write_text(PROFILE.format(**names))
    dataset = write_dataset(folder / "ds", ["01", "02"])
    (dataset / "sub-02" / "anat" / "sub-02_T1w.nii.gz").write_bytes(b"no image")
    lab.upload(dataset, "ds")
    with batch_emulator.running(folder) as url:
        lab.environment |= {"AWS_ENDPOINT_URL_S3": s3_server["AWS_ENDPOINT_URL"], "AWS_ENDPOINT_URL": url}
        batch_emulator.make_queue(lab.client)
        lab.first = lab.launch("out")
        yield lab


def test_every_unit_has_its_true_status(cloud: Cloud) -> None:
    assert cloud.first.code == 1, cloud.first.err
    found = cloud.run("status", cloud.url("out"), "--json")
    assert found.statuses() == {"sub-01": "done", "sub-02": "failed"}


def test_every_unit_ran_as_a_job_in_the_appliance(cloud: Cloud) -> None:
    jobs = cloud.jobs()
    assert len(jobs) >= 2
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}
    assert {job["container"]["command"][0] for job in jobs} == {"_toil_contained_executor"}


def test_what_was_delivered_is_what_the_receipts_say(cloud: Cloud) -> None:
    found = cloud.run("verify", cloud.url("out"), "--deep")
    assert found.code == 0, found.out


def test_the_run_says_where_it_ran(cloud: Cloud) -> None:
    runs = [key for key in cloud.keys("out") if key.endswith("/run.json")]
    assert [json.loads(cloud.read(f"out/{key}"))["backend"] for key in runs] == ["aws-batch"]


def test_the_job_store_is_gone(cloud: Cloud) -> None:
    assert cloud.buckets() == []


def test_the_job_definition_is_gone(cloud: Cloud) -> None:
    found = cloud.client("batch").describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert [one for one in found if one["jobDefinitionName"].startswith("toil-")] == []


def test_nothing_is_left_in_the_work_folder_of_the_node(cloud: Cloud) -> None:
    assert [file for file in cloud.work.rglob("*") if file.is_file()] == []


def test_no_key_is_at_the_output(cloud: Cloud) -> None:
    texts = [cloud.read(f"out/{key}") for key in cloud.keys("out") if key.startswith(".neurocwl/")]
    assert texts
    assert not [text for text in texts if SECRET.encode() in text]
