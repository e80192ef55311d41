"""The end of a cluster: Toil's own destroy, then whatever is still there, until nothing is."""

import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from neurocwl import toil
from neurocwl.aws import inventory
from neurocwl.aws.inventory import Inventory
from neurocwl.aws.listing import Cloud
from neurocwl.aws.removal import NotYet, Refused, remove
from neurocwl.aws.things import Thing, internal_bucket, toil_takes
from neurocwl.errors import BadInput, InfrastructureError

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")  # what Toil can name roles after
# What the leader cannot end by itself, since it stands on it. None of it costs anything.
BELOW_THE_LEADER = frozenset(("security group", "instance profile", "role"))
PAGE = 200  # launch templates; from its second page on Toil asks for those of all clusters (awsProvisioner.py, 9.6)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for what AWS ends in its own time, in seconds."""

    look: float = 5.0
    patience: float = 900.0  # without any change
    toil: float = 1200.0  # for Toil's own destroy


def check(name: str) -> str:
    """A cluster's name; raises BadInput for one that no cluster can have."""
    if not NAME.fullmatch(name):
        raise BadInput(f"cluster {name!r}: a name has lower case letters, digits and dashes only")
    return name


def look(cloud: Cloud, name: str) -> Inventory:
    """What is there of a cluster and ends with it."""
    return inventory.take([cloud]).of(name).ending


def end(
    cloud: Cloud, name: str, say: Callable[[str], None], *, on_leader: bool = False, pace: Pace = Pace()
) -> None:
    """End all that is of a cluster; again after an interruption it goes on, and when all is gone it does nothing.

    on_leader: by the cluster's own leader, which comes last and leaves behind what it stands on.
    Raises BadInput for a stack and for a wrong region, InfrastructureError with what is left and why.
    """
    found = look(cloud, name)
    for stack in (thing for thing in found.things if thing.kind == "stack"):
        ours = stack.id in (f"{name}-neurocwl-batch", f"{name}-neurocwl-trigger")
        how = (
            "give --backend aws-batch"
            if ours
            else "end it by what has made it (pcluster, aws cloudformation)"
        )
        raise BadInput(f"cluster {name}: is the stack {stack.id}; {how}")
    # Roles and buckets are of no region: without this a wrong --region would end those of a living cluster.
    of_no_region = found.things and not any(thing.region for thing in found.things)
    if of_no_region and (region := inventory.elsewhere(cloud).get(name)):
        raise BadInput(f"cluster {name}: is in {region}, not in {cloud.region}; give --region {region}")
    if found.things and not on_leader:
        ran = _toils_own(cloud, name, found, say, pace)
        found = look(cloud, name)
        if ran and found.things:
            say(f"left behind by it: {summed(found.things)}")
    _finish(cloud, name, found, say, on_leader, pace)


def _finish(
    cloud: Cloud, name: str, found: Inventory, say: Callable[[str], None], on_leader: bool, pace: Pace
) -> None:
    before: frozenset[str] = frozenset()
    changed = time.monotonic()
    while left := [thing for thing in found.things if not (on_leader and _last(thing, found))]:
        why, hopeless = {}, True
        for thing in left:
            try:
                remove(cloud, thing)
                hopeless = False  # it may take a while to go
            except NotYet as error:
                why[thing.id], hopeless = str(error), False
            except Refused as error:
                why[thing.id] = str(error)
        now = frozenset(thing.id for thing in left)
        if now != before:
            before, changed = now, time.monotonic()
        elif hopeless or time.monotonic() - changed > pace.patience:
            reasons = "\n".join(f"  {t.kind} {t.id}: {why.get(t.id, 'still there')}" for t in left)
            raise InfrastructureError(f"cluster {name}: not all could be ended; again goes on\n{reasons}")
        else:
            time.sleep(pace.look)
        found = look(cloud, name)
    if found.unseen:
        words = f"cluster {name}: what could be seen is ended, but not all could be looked for\n"
        words += "\n".join(f"  {one.kind}: {one.why}" for one in found.unseen)
        if not on_leader:
            raise InfrastructureError(words)
        say(words)  # a leader that stays sees no more later, and costs
    for leader in (thing for thing in found.things if thing.role == "leader"):
        say(f"the leader {leader.id} comes last; {', '.join(sorted(BELOW_THE_LEADER))} stay, free of charge")
        remove(cloud, leader)


def _last(thing: Thing, found: Inventory) -> bool:
    """Whether a thing is the leader itself, or what the leader stands on."""
    leaders = {one.id for one in found.things if one.role == "leader"}
    return (
        thing.id in leaders or thing.holder in leaders or (bool(leaders) and thing.kind in BELOW_THE_LEADER)
    )


def _toils_own(cloud: Cloud, name: str, found: Inventory, say: Callable[[str], None], pace: Pace) -> bool:
    """Toil's destroy-cluster, where it takes nothing else: whether it ran. What it did is looked at afterwards."""
    zone = next((thing.zone for thing in found.things if thing.zone), "") or _default_zone(cloud)
    too_far = reach(cloud, name, found) if zone else "there is no zone with a default subnet, which it wants"
    if too_far:
        say(f"toil destroy-cluster is left out: {too_far}")
        return False
    say(f"toil destroy-cluster {name} ...")
    program = toil.executable().parent / "toil"
    variables = {**os.environ, **cloud.access.environment(), "AWS_DEFAULT_REGION": cloud.region}
    variables.pop("TOIL_AWS_NODE_DEBUG", None)  # keeps nodes alive
    try:
        done = subprocess.run(
            [str(program), "destroy-cluster", "--provisioner=aws", f"--zone={zone}", name],
            capture_output=True,
            text=True,
            env=variables,
            stdin=subprocess.DEVNULL,
            timeout=pace.toil,
        )
    except subprocess.TimeoutExpired:
        say(f"it took longer than {pace.toil:.0f} s and was stopped")
        return True
    if done.returncode:
        say(f"it failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return True


def reach(cloud: Cloud, name: str, found: Inventory) -> str:
    """Why Toil's own destroy would take what is not this cluster's; "": it would not.

    Toil goes by the beginning of the names of roles and profiles, and by the names of a security group and a bucket.
    """
    own = {thing.id for thing in found.things}
    for call, key, field in (
        ("list_roles", "Roles", "RoleName"),
        ("list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ):
        for raw in cloud.pages("iam", call, key):
            if raw[field] not in own and toil_takes(name, raw[field]):
                return f"it would take {raw[field]} for this cluster's"
    within = [{"Name": "instance.group-name", "Values": [name]}]
    for reservation in cloud.pages("ec2", "describe_instances", "Reservations", Filters=within):
        for raw in reservation["Instances"]:
            if raw["InstanceId"] not in own and raw["State"]["Name"] != "terminated":
                return f"it would end {raw['InstanceId']}, which is in a security group of this name"
    bucket = internal_bucket(name)
    if bucket not in own and any(
        raw["Name"] == bucket for raw in cloud.pages("s3", "list_buckets", "Buckets")
    ):
        return f"it would empty the bucket {bucket}, which does not look like its own"
    if sum(thing.kind == "launch template" for thing in found.things) >= PAGE:
        return f"from {PAGE} launch templates on it takes those of other clusters"
    return ""


def _default_zone(cloud: Cloud) -> str:
    wanted = [{"Name": "default-for-az", "Values": ["true"]}]
    found = cloud.pages("ec2", "describe_subnets", "Subnets", Filters=wanted)
    return min((raw["AvailabilityZone"] for raw in found), default="")


def summed(things: tuple[Thing, ...]) -> str:
    """Things in a few words: how many of each kind."""
    kinds = [thing.kind for thing in things]
    return ", ".join(
        f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}" for kind in dict.fromkeys(kinds)
    )
