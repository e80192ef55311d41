"""AWS Batch: the leader of a detached launch as a job, and the end of the jobs that a killed launch left."""

import base64
import binascii
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neurocwl import backend as backends
from neurocwl import carry, runs
from neurocwl.aws import session
from neurocwl.backend import JOB_STORE, Backend, output_digest
from neurocwl.channels import SENDER
from neurocwl.detach import RUN, Job
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.s3 import Access

PATIENCE = (
    180.0  # seconds until terminated jobs must have ended; ECS gives them 30 between SIGTERM and SIGKILL
)
LOOK = 2.0  # seconds between two looks whether they have
CPUS, MEMORY_MIB = "1", "4096"  # of a leader, where nothing says otherwise
LONGEST = 8192  # characters of what a job says over its definition
AT_ONCE = 100  # jobs in one DescribeJobs
# A job that moves on while they are listed is listed in its next status.
UNFINISHED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


def start(job: Job) -> str:
    """Start a launch as a job of AWS Batch; returns what was started, with the id of its run.

    Raises BadInput for what it could not see from there, InfrastructureError when AWS refuses.
    """
    where, run = job.backend, runs.new_id()
    words = carry.without_files(job.words, job.output.url, "a leader on AWS Batch", job.licence, job.paths)
    variables = {
        **{name: os.environ[name] for name in (*where.pass_on, SENDER) if os.environ.get(name)},
        RUN: run,
        carry.PROFILE: backends.as_text(where),
    }
    asked = {"VCPU": where.values.get("leader_cpus"), "MEMORY": where.values.get("leader_memory_mib")}
    batch = session.client(job.access, "batch", where.values["region"])
    queue = where.values.get("leader_queue") or where.values["queue"]
    overrides = {
        "command": [*carry.COMMAND, *words],
        "environment": [{"name": name, "value": value} for name, value in sorted(variables.items())],
        "resourceRequirements": [{"type": kind, "value": value} for kind, value in asked.items() if value],
    }
    _check_length(overrides)
    with session.explained("starting the leader on AWS Batch"):
        made = batch.submit_job(
            jobName=f"{JOB_STORE}{output_digest(job.output.url, os.environ)}-{run}",
            jobQueue=queue,
            jobDefinition=where.values.get("leader_definition") or _definition(batch, where),
            containerOverrides=overrides,
            tags={"neurocwl:run": run},
        )
    return f"run {run} is led by job {made['jobId']} of AWS Batch, in queue {queue}"


def _check_length(overrides: Mapping[str, Any]) -> None:
    """Refuse what AWS takes, and fails when it is to start. Source: ECS, RunTask, overrides."""
    length = len(json.dumps(overrides))
    if length > LONGEST:
        raise BadInput(
            f"this launch has {length} characters, and a job of AWS Batch takes {LONGEST}; leave units out by a "
            "pattern (--exclude '1*') where many are named, or leave out --detach"
        )


def _definition(batch: Any, where: Backend) -> str:
    """A job definition of leaders: one name, a new revision only when something has changed."""
    role = where.values.get("job_role")
    properties = {
        "image": where.values["image"],
        "command": ["neurocwl", "--version"],
        "resourceRequirements": [{"type": "VCPU", "value": CPUS}, {"type": "MEMORY", "value": MEMORY_MIB}],
        **({"jobRoleArn": role} if role else {}),
    }
    for known in batch.describe_job_definitions(jobDefinitionName="neurocwl-leader", status="ACTIVE")[
        "jobDefinitions"
    ]:
        if properties.items() <= known["containerProperties"].items():
            return str(known["jobDefinitionArn"])
    made = batch.register_job_definition(
        jobDefinitionName="neurocwl-leader",
        type="container",
        containerProperties=properties,
        # A launch again goes on where this one stopped, and that is a person's decision.
        retryStrategy={"attempts": 1},
    )
    return str(made["jobDefinitionArn"])


def end_strays(backend: Backend, access: Access, digest: str) -> int:
    """Terminate the jobs that a killed launch left for an output, and wait for their end; returns how many there were.

    Raises InfrastructureError when they do not end.
    """
    batch = session.client(access, "batch", backend.values["region"])
    queues = {backend.values[name] for name in ("queue", "spot_queue") if backend.values.get(name)}
    with session.explained("jobs of an earlier launch on AWS Batch"):
        left = [
            job for queue in sorted(queues) for job in _unfinished(batch, queue) if digest in outputs_of(job)
        ]
        for job in left:
            batch.terminate_job(jobId=job["jobId"], reason="the launch that it worked for was killed")
        _wait_for_end(batch, [job["jobId"] for job in left])
        # Toil makes one for each of its leaders: arn:...:job-definition/toil-UUID:1
        for definition in sorted({job["jobDefinition"] for job in left if "/toil-" in job["jobDefinition"]}):
            batch.deregister_job_definition(jobDefinition=definition)
    return len(left)


def outputs_of(job: Mapping[str, Any]) -> set[str]:
    """The digests of the outputs whose job stores a job's command names.

    Toil packs a worker's command into a pickle, in base64. It is searched and never unpickled: whoever may submit
    jobs could have written it.
    """
    found: set[str] = set()
    for word in job.get("container", {}).get("command", []):
        try:
            packed = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            continue
        found |= {
            match.decode()
            for match in re.findall(rb"aws:[a-z0-9-]+:" + JOB_STORE.encode() + rb"([0-9a-f]{16})-", packed)
        }
    return found


def _unfinished(batch: Any, queue: str) -> Iterator[Mapping[str, Any]]:
    """The jobs of a queue that wait or run, as DescribeJobs tells them."""
    ids = {
        one["jobId"]
        for status in UNFINISHED
        for page in batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status)
        for one in page["jobSummaryList"]
    }
    yield from _described(batch, sorted(ids))


def _described(batch: Any, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for start in range(0, len(ids), AT_ONCE):
        yield from batch.describe_jobs(jobs=list(ids[start : start + AT_ONCE]))["jobs"]


def _wait_for_end(batch: Any, ids: Sequence[str]) -> None:
    end = time.monotonic() + PATIENCE
    while left := [job["jobId"] for job in _described(batch, ids) if job["status"] in UNFINISHED]:
        if time.monotonic() > end:
            raise InfrastructureError(
                f"{len(left)} jobs of a killed launch were terminated and do not end, such as {left[0]}; "
                "launch again in a few minutes"
            )
        time.sleep(LOOK)
