"""A cluster's leader over ssh. Toil's own ssh-cluster needs a public address, and opens ports that nobody asked for."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurocwl.aws.cluster import Cluster
from neurocwl.errors import InfrastructureError

USER = "core"  # of Flatcar, which Toil's nodes run
APPLIANCE = "toil_leader"  # the container
REFUSED = 255  # ssh's own exit code: the command never ran


@dataclass(frozen=True, slots=True)
class Leader:
    """The appliance on the leader of a cluster."""

    cluster: str
    instance: str
    address: str

    def run(self, words: Sequence[str], data: bytes = b"") -> str:
        """Run a command there, with data on its standard input; returns what it printed.

        Raises InfrastructureError when it fails.
        """
        return self._ssh(["docker", "exec", "-i", APPLIANCE, *words], data, words)

    def start(self, words: Sequence[str]) -> None:
        """Start a command there that goes on without this connection."""
        self._ssh(["docker", "exec", "-d", APPLIANCE, *words], b"", words)

    def _ssh(self, remote: Sequence[str], data: bytes, words: Sequence[str]) -> str:
        try:
            done = subprocess.run(
                [*self.command(), shlex.join(remote)], input=data, capture_output=True, check=False
            )
        except OSError as error:
            raise InfrastructureError(f"ssh: {error.strerror}; install an OpenSSH client") from error
        said = done.stderr.decode("utf-8", "replace").strip()
        if done.returncode == REFUSED:
            raise InfrastructureError(
                f"cluster {self.cluster}: ssh to its leader failed: {said}\n"
                f"are you elsewhere than before? neurocwl cluster allow {self.cluster}; is the key known? ssh-add"
            )
        if done.returncode:
            raise InfrastructureError(
                f"cluster {self.cluster}: {words[0]} failed on its leader: {said or f'exit code {done.returncode}'}"
            )
        return done.stdout.decode("utf-8", "replace")

    def command(self) -> list[str]:
        """ssh with its options. Addresses are used again, so hosts are known by the instance."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurocwl"
        cache.mkdir(parents=True, exist_ok=True)
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "StrictHostKeyChecking": "accept-new",
            "HostKeyAlias": self.instance,
            "UserKnownHostsFile": str(cache / "known_hosts"),
        }
        return ["ssh", *(f"-o{name}={value}" for name, value in options.items()), f"{USER}@{self.address}"]


def leader_of(cluster: Cluster) -> Leader:
    """The leader of a cluster that is there."""
    assert cluster.leader is not None
    return Leader(cluster.name, cluster.leader.id, cluster.leader.address)
