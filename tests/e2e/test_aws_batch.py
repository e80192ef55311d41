"""The same launch on AWS Batch, emulated by moto (tests/batch_emulator.py says how far): real jobs in real containers."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import psutil
import pytest

from neurocwl import images
from tests import batch_emulator
from tests.e2e.conftest import Lab, Result, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

SECRET = "demo-secret"  # of the embedded S3 server: the caller's
SECRETS = (SECRET, batch_emulator.ROLE["AWS_SECRET_ACCESS_KEY"])
PROFILE = """
class: Backend
like: aws-batch
set: {{queue: {queue}, region: {region}, image: "{image}", work_dir: "{work_dir}"}}
"""


class Cloud(Lab):
    """A lab with a queue of AWS Batch."""

    first: Result

    def client(self, service: str) -> Any:
        named = {"aws_access_key_id": "demo", "aws_secret_access_key": SECRET}
        url = self.environment["AWS_ENDPOINT_URL"]
        return boto3.client(service, endpoint_url=url, region_name=batch_emulator.REGION, **named)

    def words(self, out: str, *words: str) -> list[str]:
        where = ["--backend", str(self.folder / "cloud.yml"), "--work-dir", str(self.work)]
        what = ["--pipeline", "nifti-check", "--output", self.url(out)]
        return ["launch", "dataset", self.url("ds"), *what, *where, *words]

    def launch(self, out: str, *words: str) -> Result:
        return self.run(*self.words(out, *words))

    def state(self, out: str) -> str:
        found = self.run("status", self.url(out), "--json")
        return str(found.json["state"]) if found.code in (0, 1) else ""

    def until(self, happens: Callable[[], Any], patience: float = 240.0) -> Any:
        end = time.monotonic() + patience
        while not (found := happens()):
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(1)
        return found

    def running_unit(self) -> dict[str, Any]:
        """The job of a unit that runs now."""
        return self.until(
            lambda: next(
                (
                    job
                    for job in self.jobs()
                    if job["status"] == "RUNNING"
                    and job["container"]["command"][0] == "_toil_contained_executor"
                ),
                None,
            )
        )

    def describe(self, job: dict[str, Any]) -> dict[str, Any]:
        (found,) = self.client("batch").describe_jobs(jobs=[job["jobId"]])["jobs"]
        return dict(found)

    def terminate(self, job: dict[str, Any]) -> None:
        self.client("batch").terminate_job(jobId=job["jobId"], reason="by the test")

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, of any status, with what AWS tells about each."""
        batch = self.client("batch")
        every = [{"name": "JOB_NAME", "values": ["*"]}]
        listed = batch.list_jobs(jobQueue=batch_emulator.QUEUE, filters=every)["jobSummaryList"]
        found: list[dict[str, Any]] = batch.describe_jobs(jobs=[job["jobId"] for job in listed])["jobs"]
        return found

    def buckets(self) -> list[str]:
        return [
            one["Name"] for one in self.s3.list_buckets()["Buckets"] if one["Name"].startswith("neurocwl-")
        ]


@pytest.fixture(scope="module")
def cloud(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("batch")
    lab = Cloud(s3_server, folder)
    images.ensure("nifti-check")
    (folder / "cloud.yml").write_text(
        PROFILE.format(
            queue=batch_emulator.QUEUE,
            region=batch_emulator.REGION,
            image=images.ensure("appliance"),
            work_dir=folder / "n",  # on the node; the leader's is a path of its container's
        )
    )
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
    assert [file for file in (cloud.folder / "n").rglob("*") if file.is_file()] == []


def test_no_key_is_at_the_output_or_in_a_job(cloud: Cloud) -> None:
    texts = [cloud.read(f"out/{key}") for key in cloud.keys("out") if key.startswith(".neurocwl/")]
    assert texts
    for secret in SECRETS:
        assert not [text for text in texts if secret.encode() in text]
        assert secret not in json.dumps(cloud.jobs())


@pytest.fixture(scope="module")
def detached(cloud: Cloud) -> Result:
    """A launch whose leader is a job, one of whose units' jobs is terminated while it runs."""
    started = cloud.launch("away", "--participant-label", "01", "--detach")
    assert started.code == 0, started.err
    cloud.terminate(cloud.running_unit())
    cloud.until(lambda: cloud.state("away") not in ("", "running"))
    return started


def test_a_detached_launch_returns_with_the_id_of_its_run(cloud: Cloud, detached: Result) -> None:
    (run,) = (key.split("/")[2] for key in cloud.keys("away") if key.endswith("/run.json"))
    assert f"run {run} is led by job" in detached.out


def test_a_unit_whose_job_was_terminated_is_run_again(cloud: Cloud, detached: Result) -> None:
    found = cloud.run("status", cloud.url("away"), "--json")
    assert found.statuses() == {"sub-01": "done"}
    assert "FAILED" in {job["status"] for job in cloud.jobs()}


def test_a_detached_leader_ends_with_its_run(cloud: Cloud, detached: Result) -> None:
    leaders = [job for job in cloud.jobs() if job["jobName"].startswith("neurocwl-")]
    cloud.until(lambda: cloud.describe(leaders[0])["status"] == "SUCCEEDED")
    assert len(leaders) == 1
    assert cloud.buckets() == []


def test_what_a_killed_launch_left_is_ended_by_the_next(cloud: Cloud) -> None:
    words = cloud.words("again", "--participant-label", "01")
    launched = cloud.start(*words)
    left = cloud.running_unit()
    family = [psutil.Process(launched.pid), *psutil.Process(launched.pid).children(recursive=True)]
    for process in reversed(family):  # the launch last: its death would let Toil tidy up
        process.kill()
    launched.communicate()
    assert cloud.describe(left)["status"] == "RUNNING"
    (store,) = cloud.buckets()
    told = cloud.s3.get_object(Bucket=store, Key="environment.pickle")["Body"].read()
    assert b"AWS_ENDPOINT_URL" in told
    assert SECRET.encode() not in told

    second = cloud.run(*words)
    assert second.code == 0, second.err
    assert cloud.describe(left)["statusReason"] == "the launch that it worked for was killed"
    assert cloud.run("status", cloud.url("again"), "--json").statuses() == {"sub-01": "done"}


def test_a_local_file_is_refused_before_a_leader_elsewhere_misses_it(cloud: Cloud) -> None:
    refused = cloud.launch("never", "--pipeline-dir", str(cloud.folder), "--detach")
    assert refused.code == 2
    assert "a leader on AWS Batch cannot see it" in refused.err
