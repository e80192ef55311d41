"""Run by itself: Toil's own node shapes, overhead and bin packing for a request on stdin; JSON on stdout."""

import json
import sys
from types import SimpleNamespace

from toil.provisioners.abstractProvisioner import Shape
from toil.provisioners.aws.awsProvisioner import AWSProvisioner
from toil.provisioners.clusterScaler import BinPackedFit, ClusterScaler

MIB = 1 << 20
TARGET_TIME = 1800  # seconds; Toil's default of --targetTime


def shape_for_jobs(node_type: str, volume_gib: int) -> Shape:
    """What Toil gives to jobs on a node with such a volume (its local disk instead, if it has one)."""
    provisioner = SimpleNamespace(_nodeStorage=volume_gib, _nodeStorageOverrides={})
    full = AWSProvisioner.getNodeShape(provisioner, node_type)
    return ClusterScaler._reserve_overhead(ClusterScaler.__new__(ClusterScaler), full)


def main() -> None:
    request = json.load(sys.stdin)
    shapes = {name: shape_for_jobs(name, volume) for name, volume in request["nodes"].items()}
    answer = {"shapes": {n: [s.cores, s.memory / MIB, s.disk / MIB] for n, s in shapes.items()}}
    if "units" in request:
        cpus, memory, disk = request["shape"]
        wall = int(request["hours"] * 3600)
        job = Shape(wall, memory * MIB, cpus, disk * MIB, False)
        fit = BinPackedFit(list(shapes.values()), TARGET_TIME)
        misfits = fit.binPack([job] * request["units"])
        counts = fit.getRequiredNodes()
        answer |= {"nodes": {n: counts[s] for n, s in shapes.items()}, "misfits": len(misfits)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
