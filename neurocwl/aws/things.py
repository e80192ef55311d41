"""Things on AWS that launches and clusters leave: whose they are, and what they cost."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

OWNER = "neurocwl:cluster"  # the tag on all that is made for a cluster
RUN = "neurocwl:run"  # and for a run
OUTPUT = "neurocwl:output"  # where that run writes
TOIL_OWNER = "clusterName"  # Toil's tag of the same meaning (awsProvisioner.py, 9.6)
TOIL_ROLE = "ToilNodeType"  # Toil's: leader or worker
TOIL_GROUP = "Toil appliance security group"  # the description of Toil's security groups
TOIL_POLICIES = frozenset(("iam_full", "ec2_full", "s3_full", "sbd_full", "kubernetes_merged"))
OUR_POLICY = "neurocwl_end"  # on Toil's role, which may not end groups of workers
INTERNAL = "--internal"  # ends the name of Toil's bucket of node configurations
LONGEST_BUCKET = 63
LONGEST_TAG = 256
# What backend.job_store_name makes, with what Toil adds to it.
JOB_STORE = re.compile(r"neurocwl-([0-9a-f]{16})-[a-z0-9-]+--toil")

HOURS = 730  # of a month, as AWS counts
# Dollars in us-east-1, from AWS's public price pages as of 2025; regions differ by up to two thirds.
GB_MONTH = {
    "gp3": 0.08,
    "gp2": 0.10,
    "io1": 0.125,
    "io2": 0.125,
    "st1": 0.045,
    "sc1": 0.015,
    "standard": 0.05,
}
SNAPSHOT_GB_MONTH = 0.05
OBJECTS_GB_MONTH = 0.023
LOGS_GB_MONTH = 0.03
ADDRESS_HOUR = 0.005  # of a public IPv4 address, in use or not, since February 2024
# Of a CloudFormation stack that is whole, or on its way to be.
STANDING = frozenset(
    f"{verb}_{state}"
    for verb in ("CREATE", "UPDATE", "UPDATE_ROLLBACK")
    for state in ("COMPLETE", "IN_PROGRESS")
)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something on AWS that somebody has to end."""

    kind: str
    id: str
    region: str
    cluster: str = ""  # "": of none that it says
    run: str = ""
    output: str = ""
    since: datetime | None = None
    hourly: float | None = 0.0  # dollars; None: it costs, and how much is not known
    note: str = ""
    role: str = ""  # leader or worker, of an instance
    zone: str = ""  # of an instance
    network: str = ""  # the VPC of an instance or a security group
    holder: str = (
        ""  # the instance that a volume or an address belongs to, the machine image that a snapshot does
    )
    kept: bool = False  # on purpose: data, and machine images; shown, and ended by nobody here

    @property
    def costs(self) -> bool:
        """Whether it costs, or brings what does."""
        return self.hourly != 0 or self.kind in ("autoscaling group", "spot request")

    def as_dict(self) -> dict[str, Any]:
        """JSON's form: docs/formats.md."""
        return {
            "kind": self.kind,
            "id": self.id,
            "region": self.region,
            "cluster": self.cluster or None,
            "run": self.run or None,
            "output": self.output or None,
            "since": self.since.astimezone(UTC).isoformat(timespec="seconds") if self.since else None,
            "usd_per_hour": None if self.hourly is None else round(self.hourly, 6),
            "note": self.note,
        }


def tags_of(raw: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Tags in any of the forms that AWS answers with."""
    if isinstance(raw, Mapping):
        return {str(key): str(value) for key, value in raw.items()}
    return {
        str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value", ""))) for tag in raw or ()
    }


def claims(tags: Mapping[str, str]) -> frozenset[str]:
    """Every cluster that tags name, ours or anybody's: what carries another's name is never touched."""
    named = {tags[key] for key in (OWNER, TOIL_OWNER) if key in tags}
    kubernetes = "kubernetes.io/cluster/"
    return frozenset(named | {key.removeprefix(kubernetes) for key in tags if key.startswith(kubernetes)})


def owner(tags: Mapping[str, str]) -> str:
    """The cluster that tags make this a part of, "" for none; several claims are joined, and so equal no name.

    Toil's own tag counts beside Toil's other one alone: clusterName is anybody's word.
    """
    if OWNER not in tags and not (TOIL_OWNER in tags and TOIL_ROLE in tags):
        return ""
    return " | ".join(sorted(claims(tags)))


def toil_name(cluster: str) -> str:
    """What Toil calls the role and the instance profile of a cluster."""
    return cluster.replace("-", "_") + "_toil"


def cluster_of_toil_name(name: str) -> str:
    """The cluster whose role or profile has this name; "" for any other name."""
    head, sep, tail = name.rpartition("_")
    return head.replace("_", "-") if sep and tail == "toil" and head == head.lower() else ""


def internal_bucket(cluster: str) -> str:
    """Toil's bucket of a cluster: configurations of nodes that are too long for EC2."""
    return cluster[: LONGEST_BUCKET - len(INTERNAL)] + INTERNAL


def toil_takes(cluster: str, name: str) -> bool:
    """Whether Toil's destroy takes a role or profile of this name for the cluster's.

    It goes by the beginning: what belongs to the cluster a-b, or is called a_reader, is a part of the cluster a.
    """
    path = "/" + "_".join(part.replace("_", "/") for part in name.split("__"))
    return path.startswith(f"/{cluster.replace('-', '/')}/")
