"""A stand-in for booted machines, for tests alone: put on PYTHONPATH of `toil launch-cluster`, which meets an emulator.

An emulator's instances have invented addresses and never boot. So Toil neither waits for ssh, Docker and its
appliance, nor fetches from the leader what lets workers join. Everything else is Toil's own code. What this does
not prove: docs/not-proved.md.
"""

import os
import sys

if any(os.path.basename(word) == "toil" for word in sys.orig_argv[:3]):
    from toil.provisioners.abstractProvisioner import AbstractProvisioner
    from toil.provisioners.node import Node

    def no_wait(self, role, keyName="core"):  # noqa: N803 (Toil's name)
        """Believe that the machine has booted."""
        print(f"stand-in: does not wait for {role}", file=sys.stderr)

    def no_credentials(self, leader=None):
        """Give workers a token that no cluster would take."""
        self._leaderWorkerAuthentication = (
            "AAAA"
            if self.clusterType == "mesos"
            else {"JOIN_TOKEN": "a.b", "JOIN_CERT_HASH": "sha256:c", "JOIN_ENDPOINT": "leader:6443"}
        )

    Node.waitForNode = no_wait
    AbstractProvisioner._setLeaderWorkerAuthentication = no_credentials
