"""AWS Batch on this machine: moto's server, whose jobs are real containers, mended where Toil needs more of it.

A stand-in. What it does not prove is in docs/not-proved.md: compute environments that scale, placement, queueing, roles
(nothing is refused here), CloudWatch, the network of ECS.

What each patch stands in for:
- mount points without readOnly, exit codes in DescribeJobs: Batch has them, moto 5.2 has not;
- folders of the node that are mounted: ECS makes them where they are missing. Here they are made below a scratch folder,
  but for those in the tests' own folder, which containers started by a job must find at the same path;
- jobs have keys in their environment, where Batch has an address at which they get those of their role;
- privileged jobs run unprivileged, since this machine's containers may not be privileged;
- TerminateJob sends SIGTERM and waits before SIGKILL, as ECS does (30 s there, 10 s here); moto kills at once.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REGION = "us-east-1"
QUEUE = "units"
PATIENCE = 60.0  # seconds
LABEL = "neurocwl.emulator"
ROLE = {"AWS_ACCESS_KEY_ID": "OFTHEROLE", "AWS_SECRET_ACCESS_KEY": "secret-of-the-role"}
GRACE = 10  # seconds between SIGTERM and SIGKILL


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The emulator while the body runs, on loopback; yields its URL. Jobs see what lies below folder as it is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "batch.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, __file__, str(port), str(folder)],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
        try:
            yield _answering(f"http://127.0.0.1:{port}", server, log)
        finally:
            server.terminate()
            server.wait(20)
            _end_jobs(str(port))


def _end_jobs(port: str) -> None:
    listed = ["docker", "ps", "-q", "--filter", f"label={LABEL}={port}"]
    found = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    if found:
        subprocess.run(["docker", "stop", "--time", str(GRACE), *found], capture_output=True, check=True)
        subprocess.run(["docker", "rm", *found], capture_output=True, check=False)


def _answering(url: str, server: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/moto-api/", timeout=2):
                return url
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"moto does not answer: {log.read_text()}")


def make_queue(client: Callable[[str], Any]) -> None:
    """A compute environment and a queue on it, which moto wants before it takes jobs."""
    ec2, iam, batch = client("ec2"), client("iam"), client("batch")
    trust = '{"Version": "2012-10-17", "Statement": []}'
    role = iam.create_role(RoleName="node", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName="node")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="node", RoleName="node")
    environment = batch.create_compute_environment(
        computeEnvironmentName="nodes",
        type="MANAGED",
        state="ENABLED",
        serviceRole=role,
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 16,
            "instanceTypes": ["m5.xlarge"],
            "instanceRole": profile,
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        },
    )["computeEnvironmentArn"]
    batch.create_job_queue(
        jobQueueName=QUEUE,
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
    )


def _patch(shared: Path) -> None:
    import docker.models.containers as containers
    import docker.types
    import moto.batch.models as batch

    mount, run = docker.types.Mount, containers.ContainerCollection.run
    property_of, details_of = batch.Job._get_container_property, batch.Job._container_details

    def mounted(target: str, source: str, **options: Any) -> Any:
        if source == "/var/run/docker.sock":
            source = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or source
        else:
            if not Path(source).is_relative_to(shared):
                source = f"{shared}/node{source}"
            os.makedirs(source, exist_ok=True)
        return mount(target, source, **options)

    def property_with_read_only(self: Any, name: str, default: Any) -> Any:
        found = property_of(self, name, default)
        return [{"readOnly": False, **one} for one in found] if name == "mountPoints" else found

    def details_with_exit_code(self: Any) -> dict[str, Any]:
        code = self.exit_code if self.job_stopped else None
        return {**details_of(self), **({} if code is None else {"exitCode": code})}

    docker.types.Mount = mounted
    batch.Job._get_container_property = property_with_read_only
    batch.Job._container_details = details_with_exit_code

    def started(self: Any, *words: Any, **options: Any) -> Any:
        environment = {**options["environment"], **ROLE}
        labels = {LABEL: os.environ["MOTO_PORT"]}
        return run(
            self, *words, **{**options, "environment": environment, "privileged": False, "labels": labels}
        )

    containers.ContainerCollection.run = started
    containers.Container.kill = lambda self, signal=None: self.stop(timeout=GRACE)


def _serve(port: str, shared: Path) -> None:
    os.environ |= {
        "MOTO_DOCKER_NETWORK_MODE": "host",
        "MOTO_PORT": port,
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    }
    _patch(shared)
    from moto.server import main

    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]).resolve())
