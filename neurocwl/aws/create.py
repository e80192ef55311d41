"""`neurocwl cluster create` with Toil: checked first, made by `toil launch-cluster`, closed while it comes up."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl.aws import cluster, deadman, harden, session, toilcluster
from neurocwl.aws.listing import Cloud, stacks
from neurocwl.aws.toilcluster import Spec
from neurocwl.errors import BadInput, Conflict, InfrastructureError
from neurocwl.s3 import Access

PROGRAMS = ("ssh", "rsync")  # by which Toil follows a leader that boots
LOOK = 2.0  # seconds between two looks for instances that have just been started


@dataclass(frozen=True, slots=True)
class Place:
    """Where in AWS a cluster goes."""

    zone: str
    vpc: str
    subnet: str | None  # None: the zone's default one


def place(ec2: Any, zone: str | None, subnet: str | None, types: Sequence[str], *, private: bool) -> Place:
    """A zone and network that have all of the node types.

    Raises BadInput for a subnet or zone that does not do.
    """
    if subnet:
        found = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]
        if found["MapPublicIpOnLaunch"] == private:
            raise BadInput(
                f"--subnet {subnet}: it gives nodes {'' if private else 'no '}public addresses; "
                + ("leave out --private" if private else "give --private, where ssh reaches private ones")
            )
        own = found["AvailabilityZone"]
        if zone and zone != own:
            raise BadInput(f"--zone {zone}: subnet {subnet} is in {own}")
        return Place(own, found["VpcId"], subnet)
    if private:
        raise BadInput("--private needs --subnet: a default subnet gives public addresses")
    defaults = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    vpcs = {one["AvailabilityZone"]: one["VpcId"] for one in defaults}
    if zone and zone not in vpcs:
        raise BadInput(f"--zone {zone}: no default subnet there; give --subnet, or one of {_listed(vpcs)}")
    missing = {name: _zones_of(ec2, name) for name in types}
    good = [z for z in sorted(vpcs) if all(z in zones for zones in missing.values())]
    if not (zone or good):
        raise BadInput(f"no zone has a default subnet and {', '.join(types)}; give --subnet or other types")
    if zone and zone not in good:
        lacking = [name for name, zones in missing.items() if zone not in zones]
        raise BadInput(f"--zone {zone}: it has no {', '.join(lacking)}; there are in {_listed(good)}")
    chosen = zone or good[0]
    return Place(chosen, vpcs[chosen], None)


def _zones_of(ec2: Any, kind: str) -> set[str]:
    answer = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [kind]}]
    )
    return {one["Location"] for one in answer["InstanceTypeOfferings"]}


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"


def check(spec: Spec, client: Callable[[str], Any], access: Access) -> None:
    """Look for what would make Toil fail half way, or later destroy somebody else's.

    Raises BadInput, and Conflict for a cluster of the same name.
    """
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        raise BadInput(
            f"cluster {spec.name}: Toil needs {' and '.join(lacking)} on this machine; install them"
        )
    there = cluster.read(spec.name, access)
    if there.nodes:
        raise Conflict(
            f"cluster {spec.name} is there since {there.nodes[0].since}: neurocwl cluster status {spec.name}"
        )
    _check_stacks(spec.name, access, there.region)
    known = [one["KeyName"] for one in client("ec2").describe_key_pairs()["KeyPairs"]]
    if spec.key_pair not in known:
        raise BadInput(
            f"--key-pair {spec.key_pair}: there is none in {there.region}; there are {_listed(known)}"
        )
    _check_bucket(f"{spec.name}{toilcluster.BUCKET_SUFFIX}", spec.name, client("s3"))
    pages = client("iam").get_paginator("list_roles").paginate()
    others = toilcluster.in_the_way(spec.name, [one["RoleName"] for page in pages for one in page["Roles"]])
    if others:
        raise BadInput(
            f"cluster {spec.name}: Toil could not tell its role from {', '.join(others)}, and would delete both at "
            "the end of one; choose a name of which neither is the beginning of the other"
        )


def _check_stacks(name: str, access: Access, region: str) -> None:
    """All of a cluster is known by its name, so that no stack may have the same (AWS Batch, ParallelCluster)."""
    taken: list[str] = []
    with (
        contextlib.suppress(BadInput),
        session.explained(f"cluster {name}"),
    ):  # who may not look has made none
        taken = [one.id for one in stacks(Cloud(access, region)) if one.cluster == name]
    if taken:
        raise Conflict(
            f"cluster {name}: the stack {taken[0]} has this name, and either one's end would take parts of the other; "
            "choose another"
        )


def _check_bucket(bucket: str, name: str, s3: Any) -> None:
    """Toil keeps what does not fit into user data in a bucket, and all the world shares the names of buckets."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            raise BadInput(
                f"cluster {name}: the bucket {bucket} that Toil would use is somebody else's; choose another name"
            ) from error


def create(
    spec: Spec, where: Place, sources: Sequence[str], access: Access, say: Callable[[str], None]
) -> cluster.Cluster:
    """Make a cluster, with ssh from these CIDR blocks alone.

    Raises InfrastructureError when Toil fails; what was made by then is still there.
    """

    def client(service: str) -> Any:
        return session.client(access, service)

    what = f"cluster {spec.name}"
    with session.explained(what):
        check(spec, client, access)
        own = harden.group(client("ec2"), spec.name, where.vpc, sources, spec.tags)
    try:
        _make(spec, access, client, own, sources, say)
    except BaseException:
        say(
            f"what is made of {what} by now is still there and may cost: neurocwl cluster destroy {spec.name}"
        )
        raise
    return cluster.existing(spec.name, access)


def _make(
    spec: Spec,
    access: Access,
    client: Callable[[str], Any],
    own: str,
    sources: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Have Toil make it, and close what Toil leaves open, also when it fails. own: the security group."""
    what = f"cluster {spec.name}"
    failed = _launch(spec, access, client("ec2"), what)
    with session.explained(what):
        harden.admit(client("ec2"), own, sources)
        harden.instances(client("ec2"), spec.name)
        harden.templates(client("ec2"), spec.name)
        harden.scaling_groups(client("autoscaling"), spec.name)
        if failed:
            raise InfrastructureError(f"{what}: Toil failed: {failed}")
        if not spec.instance_profile:
            harden.roles(client("iam"), spec.name, spec.tags)
            deadman.allow(client("iam"), spec.name)
        if not client("ec2").get_ebs_encryption_by_default()["EbsEncryptionByDefault"]:
            say(
                "the leader's disk is not encrypted (the workers' are): Toil cannot ask for it, the account can: "
                "aws ec2 enable-ebs-encryption-by-default"
            )


def _launch(spec: Spec, access: Access, ec2: Any, what: str) -> str:
    """Run `toil launch-cluster`, and require session tokens of each instance as it appears; returns what went wrong."""
    toil = Path(sys.executable).parent / "toil"
    region = session.region_of(access)
    environment = {
        **os.environ,
        **access.environment(),
        **toilcluster.environment(spec),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
    if access.profile:
        environment["TOIL_AWS_PROFILE"] = access.profile
    try:
        process = subprocess.Popen(
            [str(toil), *toilcluster.command(spec)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        )
    except OSError as error:
        raise InfrastructureError(f"{toil}: {error.strerror}; reinstall: pip install 'neurocwl'") from error
    lines: list[str] = []

    def echo() -> None:
        assert process.stderr is not None
        with process.stderr as said:
            for line in said:
                lines.append(line.strip())
                sys.stderr.write(line)

    reader = threading.Thread(target=echo, daemon=True)
    reader.start()
    closed: list[str] = []
    try:
        while True:
            try:
                process.wait(LOOK)
                break
            except subprocess.TimeoutExpired:
                # Refused while an instance boots, it is asked again; when Toil has ended it counts.
                with contextlib.suppress(BadInput, InfrastructureError), session.explained(what):
                    closed += harden.instances(ec2, spec.name, closed)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        reader.join(10)
    if process.returncode == 0:
        return ""
    telling = [line for line in lines if line and ("Error" in line or "rror:" in line)] or lines
    return telling[-1] if telling else f"exit code {process.returncode}"
