"""--detach on a cluster of Toil's: the launch goes on on the cluster's leader, and this machine may be turned off."""

import json
import os
import secrets
import shlex
import time

from neurocwl import __version__, backend, carry, detach, lease
from neurocwl.aws import cluster, lead
from neurocwl.aws.cluster import BACKEND_TAG, Cluster
from neurocwl.aws.ssh import Leader, leader_of
from neurocwl.detach import Job
from neurocwl.errors import BadInput, InfrastructureError

LOOK = 2.0  # seconds
PATIENCE = 180.0  # seconds for a launch to list its dataset and take its lease
PASSED_ON = (
    "NEUROCWL_AGENT",
    "NEUROCWL_SLACK_WEBHOOK",
    "NEUROCWL_EMAIL_FROM",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)


def start(job: Job) -> str:
    """Start a launch on the leader of its cluster; returns a line that says so.

    Raises BadInput for files and folders that the leader cannot have, InfrastructureError when it ends at once.
    """
    name = job.backend.values.get("cluster")
    if not name:
        raise BadInput(
            f"--backend {job.backend.name} needs --cluster NAME; make one: neurocwl cluster create NAME"
        )
    found = cluster.existing(name, job.access)
    assert found.leader is not None
    made_by = found.leader.tags.get(BACKEND_TAG, "")
    if made_by and made_by != job.backend.name:
        raise BadInput(f"cluster {name} was made by --backend {made_by}, not {job.backend.name}")
    one = secrets.token_hex(4)
    folder = lead.folder_of(found.leader.id, one)
    carried = carry.carried(_with_backend(job), job.paths, folder, job.licence)
    there = leader_of(found)
    check_version(there)
    before = lease.read(job.output)
    try:
        _put(there, folder, _task(job, there, found.region, one, carried.words), carried)
        there.start(["neurocwl", "cluster", "lead", f"{folder}/{lead.TASK}"])
    except BaseException:
        there.run(["rm", "-rf", folder])  # a licence may lie there
        raise
    run = _begun(job, one, before.run if before else "")
    return f"the leader of cluster {name} goes on with the launch{f', run {run}' if run else ''}"


def begin_watch(made: Cluster, idle: str, max_age: str) -> None:
    """Start the dead man's switch on a new cluster: without launches for so long, or as old as that, it ends itself.

    Raises InfrastructureError when it does not start: a cluster that nothing ends costs without end.
    """
    there = leader_of(made)
    words = ["neurocwl", "cluster", "watch", made.name, "--region", made.region]
    words += ["--idle", idle, "--max-age", max_age, "--outputs-file", str(lead.outputs(there.instance))]
    room = lead.room(there.instance)
    script = f"umask 077 && mkdir -p {room} && exec {shlex.join(words)} >>{room}/watch.log 2>&1"
    try:
        check_version(there)
        there.start(["sh", "-c", script])
    except InfrastructureError as error:
        raise InfrastructureError(
            f"{error}\nso nothing ends cluster {made.name} by itself: neurocwl cluster destroy {made.name}"
        ) from error


def check_version(there: Leader) -> None:
    """Refuse an appliance without this very version: a launch is planned here and carried out there."""
    fix = "make the cluster with an --image of this version (provisioning/images/appliance)"
    try:
        found = there.run(["neurocwl", "--version"]).split()[-1:]
    except InfrastructureError as error:
        raise InfrastructureError(f"{error}\nif the appliance has no neurocwl, {fix}") from error
    if found != [__version__]:
        raise InfrastructureError(
            f"cluster {there.cluster}: its appliance has neurocwl {' '.join(found)}, this is {__version__}; {fix}"
        )


def _with_backend(job: Job) -> list[str]:
    """The words of a launch, with the backend where the environment named it."""
    words = list(job.words)
    if not any(word.partition("=")[0] == "--backend" for word in words):
        known = job.backend.name in backend.names()
        words += ["--backend", job.backend.name if known else str(job.backend.file)]
    return words


def _task(job: Job, there: Leader, region: str, one: str, words: tuple[str, ...]) -> bytes:
    environment = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    environment |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, detach.LEADER: "1"}
    task = lead.Task(
        one, list(words), environment, job.output.url, there.cluster, there.instance, job.keep_cluster
    )
    return json.dumps(task.as_dict()).encode()


def _put(there: Leader, folder: str, task: bytes, carried: carry.Carried) -> None:
    """Bring files and task into the leader's memory, by standard input: on no command line, and never on a disk."""
    whole = carry.Carried(carried.words, {**carried.files, lead.TASK: task})
    place = shlex.quote(folder)
    script = f"umask 077 && mkdir {place} && tar -x -z -C {place}"
    there.run(["sh", "-c", script], whole.archive())


def _begun(job: Job, one: str, before: str) -> str:
    """Wait until the launch has its lease, or has ended; returns its run's id, '' when there was nothing to run."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = lease.read(job.output)
        if found is not None and found.run != before and found.alive:
            return found.run
        ended = lead.ended(job.output, one)
        if ended and ended["exit_code"] not in (0, 1):
            last = (ended["log"].strip().splitlines() or ["it said nothing"])[-1]
            raise InfrastructureError(f"the launch ended at once: {last}")
        if ended:
            return ""
        time.sleep(LOOK)
    raise InfrastructureError(
        f"the launch has not begun in {PATIENCE:.0f} s; neurocwl status {job.output.url} tells when it does"
    )
