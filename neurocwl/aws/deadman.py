"""The dead man's switch of a cluster: on its leader, it ends what nobody uses any more."""

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from neurocwl import lease
from neurocwl.aws import session, teardown
from neurocwl.aws.inventory import Inventory
from neurocwl.aws.listing import Cloud
from neurocwl.aws.things import OUR_POLICY, TOIL_OWNER, toil_name
from neurocwl.errors import BadInput
from neurocwl.s3 import Access
from neurocwl.storage import open_location

LOOK = 60.0  # seconds between two looks, at most
REARM = 600.0  # seconds until groups of workers that are new are found
GRACE = timedelta(hours=1)  # after the greatest age, until AWS itself takes the workers away
ACTION = "neurocwl-last-day"  # what it is called on every group of workers
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Watch:
    """When a cluster has to end, and what is known of it."""

    idle: timedelta
    age: timedelta
    began: datetime
    used: datetime  # when a launch was last seen alive, at first the start of the watch

    def verdict(self, now: datetime) -> str:
        """Why the cluster ends now; "": it does not."""
        if now - self.began >= self.age:
            return f"it is {_words(now - self.began)} old, and --max-age is {_words(self.age)}"
        if now - self.used >= self.idle:
            return (
                f"no launch has been alive for {_words(now - self.used)}, and --idle is {_words(self.idle)}"
            )
        return ""


def span(text: str, option: str) -> timedelta:
    """A span of time such as 90m, 2h or 2d; raises BadInput for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not found or not float(found[1]):
        raise BadInput(f"{option} {text}: give a number with s, m, h or d, such as 90m or 2h")
    return timedelta(seconds=float(found[1]) * UNITS[found[2]])


def _words(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{time.total_seconds() / 60:.1f} min"


def alive(outputs: Iterable[str], access: Access, say: Callable[[str], None]) -> bool:
    """Whether a launch writes to any of these outputs; one that cannot be read counts as used, and says so."""
    found = False
    for url in outputs:
        try:
            one = lease.read(open_location(url, access))
            found |= bool(one and one.alive)
        except Exception as error:  # of a store that is away or damaged
            say(f"{url}: {error}; taken for in use")
            found = True
    return found


def listed(given: Iterable[str], file: Path | None) -> list[str]:
    """The outputs to watch: those given, and one per line of a file that launches may write to meanwhile."""
    lines = file.read_text().splitlines() if file and file.is_file() else []
    return list(dict.fromkeys([*given, *(line.strip() for line in lines if line.strip())]))


def allow(iam: Any, name: str) -> None:
    """Let a cluster's leader end its groups of workers: the role that Toil makes may scale them, no more.

    Source: Toil 9.6, AWSProvisioner.kubernetes_policy.
    """
    own = {"StringEquals": {f"autoscaling:ResourceTag/{TOIL_OWNER}": name}}
    ends = [
        "autoscaling:DeleteAutoScalingGroup",
        "autoscaling:PutScheduledUpdateGroupAction",
        "autoscaling:UpdateAutoScalingGroup",
    ]
    statements = [
        {"Effect": "Allow", "Action": ends, "Resource": "*", "Condition": own},
        {"Effect": "Allow", "Action": "autoscaling:DescribeAutoScalingGroups", "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=toil_name(name), PolicyName=OUR_POLICY, PolicyDocument=document)


def arm(cloud: Cloud, found: Inventory, end: datetime) -> None:
    """What works without this process: a leader that shuts down is gone, and groups of workers go to zero at a time.

    Again is no harm; workers that are in no group are not covered.
    """
    for thing in found.things:
        if thing.role == "leader":
            cloud.client("ec2").modify_instance_attribute(
                InstanceId=thing.id, Attribute="instanceInitiatedShutdownBehavior", Value="terminate"
            )
        if thing.kind == "autoscaling group":
            cloud.client("autoscaling").put_scheduled_update_group_action(
                AutoScalingGroupName=thing.id,
                ScheduledActionName=ACTION,
                StartTime=end,
                MinSize=0,
                MaxSize=0,
                DesiredCapacity=0,
            )


def watch(
    cloud: Cloud,
    name: str,
    outputs: Callable[[], list[str]],
    idle: timedelta,
    age: timedelta,
    say: Callable[[str], None],
) -> None:
    """Wait until a cluster is idle or old, then end it, again and again until it is gone.

    Raises BadInput when there is no such cluster.
    """
    leader = next((thing for thing in teardown.look(cloud, name).things if thing.role == "leader"), None)
    if leader is None:
        raise BadInput(f"cluster {name}: has no leader in {cloud.region}; give its --region")
    look = min(LOOK, idle.total_seconds() / 4)
    now = datetime.now(UTC)
    state = Watch(idle, age, leader.since or now, now)
    say(
        f"cluster {name} ends after {_words(idle)} without a launch, or {_words(age)} after {state.began:%F %T} UTC"
    )
    armed = float("-inf")
    while True:
        if alive(outputs(), cloud.access, say):
            state = replace(state, used=datetime.now(UTC))
        if why := state.verdict(datetime.now(UTC)):
            break
        if time.monotonic() - armed > REARM:
            armed = time.monotonic()
            try:
                with session.explained(f"cluster {name}"):
                    arm(cloud, teardown.look(cloud, name), state.began + age + GRACE)
            except Exception as error:  # the first line goes on, whatever AWS answers
                say(f"the second line is not set: {error}")
        time.sleep(look)
    say(f"cluster {name} ends: {why}")
    while True:
        try:
            return teardown.end(cloud, name, say, on_leader=True)
        except Exception as error:  # nothing else would end the cluster
            say(f"{error}; once more in {look:.0f} s")
            time.sleep(look)
