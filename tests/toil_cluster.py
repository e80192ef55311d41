"""Run by itself: a cluster by Toil's own AWSProvisioner on an emulator; JSON on stdout. Arguments: name, type, zone.

A stand-in for two things that an emulator's machines cannot do: nobody waits for ssh on the leader, and the leader
hands out no keys to join by. So nothing here proves that a node comes up. The rest is Toil's.
"""

import json
import os
import sys

from toil.provisioners.aws.awsProvisioner import AWSProvisioner
from toil.provisioners.node import Node
from toil.version import currentCommit

os.environ["TOIL_AWS_AMI"] = "ami-03cf127a"  # else Toil asks the internet
os.environ["TOIL_APPLIANCE_SELF"] = f"localhost/toil:{currentCommit}"  # else it asks a registry


class WithoutSsh(AWSProvisioner):
    """The real one, which asks no node for anything."""

    def _setLeaderWorkerAuthentication(self, leader: Node | None = None) -> None:  # noqa: N802
        self._leaderWorkerAuthentication = "AAAA"


def main() -> None:
    name, kind, zone = sys.argv[1:]
    Node.waitForNode = lambda *_, **__: None
    toil = WithoutSsh(name, kind, zone, 100, ["m5.4xlarge:200"], None, False)
    toil.launchCluster("t3.medium", 50, "owner", "key", None, {"neurocwl:cluster": name}, None, None, [])
    toil._leaderWorkerPublicKey = "AAAA"
    if kind == "kubernetes":
        toil._leaderWorkerAuthentication = dict.fromkeys(
            ("JOIN_TOKEN", "JOIN_CERT_HASH", "JOIN_ENDPOINT"), "AAAA"
        )
        toil.addManagedNodes({"m5.4xlarge"}, 0, 5, False)
        toil.addManagedNodes({"r5.2xlarge"}, 1, 4, True, spotBid=0.3)
    else:
        toil.addNodes({"m5.4xlarge"}, 2, False)
    json.dump({"bucket": toil._write_file_to_cloud("configs/worker/config-1.ign", b"{}")}, sys.stdout)


main()
