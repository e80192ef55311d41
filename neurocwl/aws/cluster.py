"""What there is of a cluster, by its tags: the leader, the workers, and what they cost per hour."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from neurocwl import prices
from neurocwl.aws import nodetypes, session
from neurocwl.backend import Node
from neurocwl.errors import BadInput
from neurocwl.s3 import Access

TAG = "neurocwl:cluster"
BACKEND_TAG, NODES_TAG = "neurocwl:backend", "neurocwl:node-types"
MOST_TAG, DISK_TAG = "neurocwl:max-nodes", "neurocwl:node-disk-gib"
APPLIANCE_TAG = "neurocwl:appliance"
ROLE_TAG = "ToilNodeType"  # leader or worker; Toil's own
ALIVE = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of a cluster."""

    id: str
    role: str  # leader or worker
    type: str
    zone: str
    spot: bool
    state: str
    since: str  # ISO 8601
    address: str  # what it is reached by from outside; its private one where it has no other
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as it is now."""

    name: str
    region: str
    nodes: tuple[Instance, ...]
    usd_per_hour: Mapping[str, float]  # of each node id whose price is known
    prices_of: str  # ISO 8601: the date of the prices

    @property
    def leader(self) -> Instance | None:
        """The node that runs the launches; None while it does not exist."""
        return next((node for node in self.nodes if node.role == "leader"), None)

    @property
    def dollars(self) -> float:
        """Dollars per hour of all nodes whose price is known, without volumes and requests."""
        return sum(self.usd_per_hour.values())

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Node types without a known price."""
        return tuple(sorted({node.type for node in self.nodes if node.id not in self.usd_per_hour}))

    def groups(self) -> list[tuple[str, str, str, bool, int, float]]:
        """Role, type, zone, spot, how many, dollars per hour: the leader first."""
        keys = [(node.role, node.type, node.zone, node.spot) for node in self.nodes]
        spent = dict.fromkeys(keys, 0.0)
        for key, node in zip(keys, self.nodes, strict=True):
            spent[key] += self.usd_per_hour.get(node.id, 0.0)
        return [(*key, count, spent[key]) for key, count in sorted(Counter(keys).items())]

    def as_dict(self) -> dict[str, Any]:
        """JSON's form: docs/formats.md."""
        return {
            "cluster": self.name,
            "region": self.region,
            "nodes": [
                {
                    "id": node.id,
                    "role": node.role,
                    "type": node.type,
                    "zone": node.zone,
                    "spot": node.spot,
                    "state": node.state,
                    "since": node.since,
                    "usd_per_hour": self.usd_per_hour.get(node.id),
                }
                for node in self.nodes
            ],
            "usd_per_hour": round(self.dollars, 6),
            "unpriced": list(self.unpriced),
            "prices_of": self.prices_of,
        }


def read(name: str, access: Access) -> Cluster:
    """A cluster as AWS knows it now; no nodes when there is none.

    Raises BadInput without credentials or permission.
    """
    region = session.region_of(access)
    ec2 = session.client(access, "ec2")
    filters = [
        {"Name": f"tag:{TAG}", "Values": [name]},
        {"Name": "instance-state-name", "Values": list(ALIVE)},
    ]
    with session.explained(f"cluster {name}"):
        pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
        found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
    nodes = tuple(
        sorted((_node(one) for one in found), key=lambda node: (node.role, node.type, node.since, node.id))
    )
    return Cluster(name, region, nodes, *_priced(nodes, region))


def existing(name: str, access: Access) -> Cluster:
    """The same, for a cluster that must have a leader; raises BadInput when it has none."""
    found = read(name, access)
    if found.leader is None:
        raise BadInput(
            f"cluster {name}: there is none in {found.region}; neurocwl cluster create {name}, or give its --region"
        )
    return found


def settings_of(name: str, access: Access) -> dict[str, str]:
    """The settings of the profile that a cluster was made with, by its leader's tags.

    Raises BadInput when there is no such cluster.
    """
    found = existing(name, access)
    assert found.leader is not None
    tags = found.leader.tags
    kinds = tags.get(NODES_TAG, "").split()
    return {
        "cluster": name,
        "region": found.region,
        "node_types": ",".join(kinds),
        "only_spot": "True" if all(":" in kind for kind in kinds) else "",
        "max_nodes": ",".join(tags.get(MOST_TAG, "1") for _ in kinds),
        "node_disk": tags.get(DISK_TAG, ""),
        "image": tags.get(APPLIANCE_TAG, ""),
    }


def node_of(settings: Mapping[str, str]) -> Node:
    """The largest node that a cluster with these settings starts."""
    known = prices.snapshot(settings["region"])
    kinds = nodetypes.parse(settings["node_types"], known)
    return nodetypes.largest(kinds, known, int(settings["node_disk"]))


def _node(instance: Mapping[str, Any]) -> Instance:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    launched = instance["LaunchTime"]
    assert isinstance(launched, datetime)
    return Instance(
        id=instance["InstanceId"],
        role=tags.get(ROLE_TAG, "worker"),
        type=instance["InstanceType"],
        zone=instance["Placement"]["AvailabilityZone"],
        spot=instance.get("InstanceLifecycle") == "spot",
        state=instance["State"]["Name"],
        since=launched.astimezone(UTC).isoformat(timespec="seconds"),
        address=instance.get("PublicIpAddress") or instance.get("PrivateIpAddress") or "",
        tags=tags,
    )


def _priced(nodes: Iterable[Instance], region: str) -> tuple[dict[str, float], str]:
    """Dollars per hour by node id, and the date of the prices. A stopped node costs its volume alone."""
    try:
        known = prices.snapshot(region)
    except BadInput:
        return {}, ""
    table = {False: known.on_demand, True: known.spot}
    return {
        node.id: 0.0 if node.state == "stopped" else table[node.spot][node.type]
        for node in nodes
        if node.type in table[node.spot]
    }, known.date
