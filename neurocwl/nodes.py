"""Node types: what EC2 instances have, and what of it is left for jobs under Toil."""

from dataclasses import dataclass

GIB = 1024  # MiB
OS_DISK_MIB = 5e9 / (1 << 20)
DISK_FRACTION = 0.05  # held back of every disk
EVICTION_MIB = 100
TYPE_MARGIN_MIB = 0.1 * GIB
# (up to this many MiB, fraction held back of the part since the last step)
MEMORY_STEPS = ((4 * GIB, 0.25), (8 * GIB, 0.2), (16 * GIB, 0.1), (128 * GIB, 0.06), (float("inf"), 0.02))
LARGEST_VOLUME_GIB = 16384


@dataclass(frozen=True, slots=True)
class NodeType:
    """An instance type: vCPUs, memory (MiB), local disk (GiB; 0: its volume is as large as one asks for)."""

    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """What one unit asks for; disk is scratch and outputs together."""

    cpus: int
    memory_mib: int
    disk_mib: int


def memory_for_jobs(memory_mib: float) -> float:
    """What Toil's scaler gives to jobs of a node's memory, in MiB.

    Source: Toil 9.6, AWSProvisioner.getNodeShape and ClusterScaler._gke_overhead; a test asks Toil itself.
    """
    usable = memory_mib - TYPE_MARGIN_MIB
    held, below = 0.0, 0.0
    for limit, fraction in MEMORY_STEPS:
        held += fraction * max(0.0, min(limit, usable) - below)
        below = limit
    return usable - held - EVICTION_MIB


def disk_for_jobs(disk_gib: float) -> float:
    """What Toil's scaler gives to jobs of a node's disk, in MiB. Source: ClusterScaler._disk_overhead."""
    return max(0.0, disk_gib * GIB * (1 - DISK_FRACTION) - OS_DISK_MIB)


def units_on(node: NodeType, shape: Shape, image_gib: int) -> int:
    """How many units run on a node at once; 0: none fits. image_gib is the disk that container images take."""
    by_cpu = node.vcpus // shape.cpus
    by_memory = int(memory_for_jobs(node.memory_mib) // shape.memory_mib)
    if node.disk_gib:
        by_disk = int((disk_for_jobs(node.disk_gib) - image_gib * GIB) // shape.disk_mib)
    else:
        by_disk = by_cpu
        while by_disk and volume_gib(by_disk, shape, image_gib) > LARGEST_VOLUME_GIB:
            by_disk -= 1
    return max(0, min(by_cpu, by_memory, by_disk))


def volume_gib(units: int, shape: Shape, image_gib: int) -> int:
    """The least volume on which Toil lets so many units run beside system and images, in GiB."""
    wanted = units * shape.disk_mib + image_gib * GIB + OS_DISK_MIB
    return -int(-wanted // (GIB * (1 - DISK_FRACTION)))
