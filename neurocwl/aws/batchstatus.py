"""How a cluster on AWS Batch is: its queues, where their nodes come from, and jobs that wait for none that comes."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from neurocwl.aws.session import explained

QUEUES = {
    "Queue": "on demand",
    "SpotQueue": "spot",
    "LeaderQueue": "leaders",
}  # output of the stack -> for people
WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
LIVING = (*WAITING, "STARTING", "RUNNING")
LONG = 600.0  # seconds; a node that comes at all comes within ten minutes
MOST = 100  # jobs that one DescribeJobs takes


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that waits in RUNNABLE."""

    job: str
    name: str
    seconds: float
    cpus: float | None
    memory_mib: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with the compute environment that it fills."""

    name: str
    state: str
    status: str
    reason: str
    nodes: str  # spot, on demand or Fargate, and whether it can be used
    nodes_reason: str
    max_vcpus: int
    desired_vcpus: int | None  # None on Fargate
    jobs: Mapping[str, int]  # by status
    stuck: tuple[Waiting, ...]

    @property
    def healthy(self) -> bool:
        """Whether jobs can start."""
        return (self.state, self.status, self.nodes) == ("ENABLED", "VALID", "VALID") and not self.stuck


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A cluster on AWS Batch."""

    cluster: str
    stack: str
    queues: tuple[Queue, ...]

    @property
    def healthy(self) -> bool:
        """Whether every queue can start jobs."""
        return all(queue.healthy for queue in self.queues)

    def as_dict(self) -> dict[str, Any]:
        """The stable form of --json."""
        return {**asdict(self), "healthy": self.healthy}

    def lines(self) -> list[str]:
        """For people."""
        found = [f"{self.cluster}: stack {self.stack}"]
        for queue in self.queues:
            jobs = ", ".join(f"{n} {status.lower()}" for status, n in queue.jobs.items() if n) or "no jobs"
            now = "" if queue.desired_vcpus is None else f"{queue.desired_vcpus} of "
            found.append(f"{queue.name}: {jobs}; {now}at most {queue.max_vcpus} vCPUs")
            if (queue.state, queue.status) != ("ENABLED", "VALID"):
                found.append(f"  the queue is {queue.state}, {queue.status}: {queue.reason}")
            if queue.nodes != "VALID":
                found.append(f"  its nodes are {queue.nodes}: {queue.nodes_reason}")
            found += [
                f"  {one.name} ({one.job}) has waited for {one.seconds / 60:.0f} min: {one.why}"
                for one in queue.stuck
            ]
        return found


def read(
    cluster: str, stack_status: str, outputs: Mapping[str, str], batch: Any, now: float | None = None
) -> BatchStatus:
    """The state of a cluster. outputs: of its stack; now: seconds since 1970."""
    clock = time.time() if now is None else now
    with explained(f"cluster {cluster}"):
        queues = tuple(
            _queue(batch, outputs[key], label, clock) for key, label in QUEUES.items() if key in outputs
        )
    return BatchStatus(cluster, stack_status, queues)


def living(batch: Any, outputs: Mapping[str, str]) -> int:
    """How many jobs wait or run in a cluster's queues."""
    with explained("jobs"):
        return sum(
            len(_jobs(batch, outputs[key], status)) for key in QUEUES if key in outputs for status in LIVING
        )


def _queue(batch: Any, arn: str, label: str, now: float) -> Queue:
    found = batch.describe_job_queues(jobQueues=[arn])["jobQueues"]
    if not found:
        return Queue(label, "GONE", "GONE", f"{arn} does not exist", "GONE", "", 0, None, {}, ())
    raw = found[0]
    of = raw["computeEnvironmentOrder"][0]["computeEnvironment"]
    nodes = batch.describe_compute_environments(computeEnvironments=[of])["computeEnvironments"]
    node: Mapping[str, Any] = (
        nodes[0] if nodes else {"status": "GONE", "statusReason": f"{of} does not exist"}
    )
    resources = node.get("computeResources", {})
    disabled = node.get("state") == "DISABLED"
    state = "DISABLED" if disabled else node["status"]
    jobs = {status: _jobs(batch, arn, status) for status in LIVING}
    long = [job for job in jobs["RUNNABLE"] if now - job["createdAt"] / 1000 > LONG]
    return Queue(
        name=label,
        state=raw["state"],
        status=raw["status"],
        reason=raw.get("statusReason", ""),
        nodes=state,
        nodes_reason=node.get("statusReason", ""),
        max_vcpus=resources.get("maxvCpus", 0),
        desired_vcpus=resources.get("desiredvCpus"),
        jobs={status: len(found) for status, found in jobs.items()},
        stuck=tuple(_waiting(one, state, resources, now) for one in _described(batch, long)),
    )


def _jobs(batch: Any, queue: str, status: str) -> list[dict[str, Any]]:
    pages = batch.get_paginator("list_jobs").paginate(jobQueue=queue, jobStatus=status)
    return [job for page in pages for job in page["jobSummaryList"]]


def _described(batch: Any, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The oldest jobs with what they ask for."""
    oldest = sorted(jobs, key=lambda job: job["createdAt"])[:MOST]
    return batch.describe_jobs(jobs=[job["jobId"] for job in oldest])["jobs"] if oldest else []


def _waiting(job: Mapping[str, Any], nodes: str, resources: Mapping[str, Any], now: float) -> Waiting:
    asked = {
        one["type"]: float(one["value"]) for one in job.get("container", {}).get("resourceRequirements", [])
    }
    cpus, memory = asked.get("VCPU"), asked.get("MEMORY")
    return Waiting(
        job["jobId"],
        job["jobName"],
        now - job["createdAt"] / 1000,
        cpus,
        None if memory is None else int(memory),
        why(job.get("statusReason", ""), nodes, cpus, memory, resources.get("maxvCpus", 0)),
    )


def why(told: str, nodes: str, cpus: float | None, memory: float | None, most: int) -> str:
    """Why a job waits: what Batch says, else what can be seen from here, with what to do."""
    if nodes != "VALID":
        return f"its nodes are {nodes}"
    if told:
        return told
    if cpus is not None and cpus > most:
        return f"it asks for {cpus:g} vCPUs, and the cluster has at most {most}; raise MaxSpotVcpus or MaxOnDemandVcpus"
    asks = f"it asks for {cpus or 0:g} vCPUs and {memory or 0:g} MiB"
    return f"no node came: {asks}, which may fit no instance type, or AWS has none left; add types, or look at the vCPU quota"
