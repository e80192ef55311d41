"""What `toil launch-cluster` is told: a command line and an environment, as pure functions of a specification."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neurocwl.aws.cluster import APPLIANCE_TAG, BACKEND_TAG, DISK_TAG, MOST_TAG, NODES_TAG, TAG
from neurocwl.aws.nodetypes import Kind
from neurocwl.errors import BadInput

KUBERNETES, MESOS = "kubernetes", "mesos"
BUCKET_SUFFIX = "--internal"  # Source: Toil 9.6, AWSProvisioner
MOST_TAGS = 4
LONGEST = 40  # letters of a name: IAM's roles and S3's buckets are named after it


@dataclass(frozen=True, slots=True)
class Spec:
    """A cluster to be made."""

    name: str
    backend: str  # the profile that it is made by
    type: str  # kubernetes or mesos: the profile's batch system
    zone: str
    key_pair: str
    appliance: str  # the image of leader and workers
    leader_type: str
    leader_disk_gib: int
    kinds: tuple[Kind, ...]
    node_disk_gib: int
    max_nodes: int  # of each kind
    subnet: str | None = None
    instance_profile: str | None = None  # ARN
    own_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what Toil would refuse late, or not at all."""
        good = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name)
        if not good or len(self.name) > LONGEST or self.name == "enabled":
            raise BadInput(
                f"cluster {self.name!r}: a name is at most {LONGEST} lower case letters, digits and single hyphens, and starts with a letter"
            )
        for option, number in (
            ("--max-nodes", self.max_nodes),
            ("--node-disk", self.node_disk_gib),
            ("--leader-disk", self.leader_disk_gib),
        ):
            if number < 1:
                raise BadInput(f"{option} {number}: at least 1")

    @property
    def tags(self) -> dict[str, str]:
        """What every part of the cluster is tagged with: all that a later command needs to know of it.

        Values keep to the letters that all services take, hence spaces instead of commas.
        """
        return {
            **self.own_tags,
            TAG: self.name,
            BACKEND_TAG: self.backend,
            APPLIANCE_TAG: self.appliance,
            NODES_TAG: " ".join(map(str, self.kinds)),
            MOST_TAG: str(self.max_nodes),
            DISK_TAG: str(self.node_disk_gib),
        }


def tags(words: Sequence[str]) -> dict[str, str]:
    """Tags of the user's own, of KEY=VALUE words.

    Raises BadInput for what some service would not take: a bucket has ten tags at most, ours among them.
    """
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        good = re.fullmatch(r"[\w .:/+@-]{1,128}", key) and re.fullmatch(r"[\w .:/+@-]{0,256}", value)
        if (
            not equals
            or not good
            or key.lower().startswith(("aws:", "neurocwl:", "kubernetes.io/", "k8s.io/"))
        ):
            raise BadInput(f"--tag {word}: write KEY=VALUE, in letters, digits, spaces and . : / + - @ _")
        if key in ("Name", "Owner", "clusterName", "ToilNodeType", "sshKeyName"):
            raise BadInput(f"--tag {word}: Toil sets {key} itself; choose another key")
        found[key] = value
    if len(found) > MOST_TAGS:
        raise BadInput(f"--tag: at most {MOST_TAGS}, these are {len(found)}")
    return found


def command(spec: Spec) -> list[str]:
    """The words after `toil`.

    Kubernetes scales between 0 and max_nodes by itself; Mesos starts no worker until a workflow asks for one.
    """
    words = [
        "launch-cluster",
        spec.name,
        "--provisioner=aws",
        f"--clusterType={spec.type}",
        f"--zone={spec.zone}",
        f"--keyPairName={spec.key_pair}",
        f"--leaderNodeType={spec.leader_type}",
        f"--leaderStorage={spec.leader_disk_gib}",
        f"--nodeStorage={spec.node_disk_gib}",
        "--logInfo",
    ]
    if spec.type == KUBERNETES:
        words += [
            f"--nodeTypes={','.join(map(str, spec.kinds))}",
            f"--workers={','.join(f'0-{spec.max_nodes}' for _ in spec.kinds)}",
        ]
    if spec.subnet:
        words.append(f"--vpcSubnet={spec.subnet}")
    if spec.instance_profile:
        words.append(f"--awsEc2ProfileArn={spec.instance_profile}")
    return words


def environment(spec: Spec) -> dict[str, str]:
    """Toil's own variables. TOIL_AWS_TAGS reaches more than --tag does: the bucket and, later, job stores."""
    return {
        "TOIL_APPLIANCE_SELF": spec.appliance,
        "TOIL_AWS_TAGS": json.dumps(spec.tags),
        "TOIL_AWS_ZONE": spec.zone,
    }


def in_the_way(name: str, roles: Iterable[str]) -> list[str]:
    """Roles of other clusters that could not be told from this one's.

    Toil finds roles by the beginning of their names, in which hyphens have become underscores: destroying `lab`
    deletes those of `lab-2`. Source: Toil 9.6, AWSProvisioner._is_our_namespaced_name.
    """
    own = name.replace("-", "_") + "_"
    others = [(role, role.removesuffix("toil")) for role in roles if role.endswith("_toil")]
    return [
        role for role, begin in others if begin != own and (begin.startswith(own) or own.startswith(begin))
    ]
