"""A laptop and an account of AWS for tests of clusters: moto for the account, Toil's own launch-cluster, no machine.

Stand-ins, and what they do not prove (docs/not-proved.md): tests/data/toil_without_ssh, tests/data/ssh_to_here.
"""

import contextlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from toil.version import currentCommit

from neurocwl.aws import lead
from tests import clouds

DATA = Path(__file__).parent / "data"
HERE = "198.51.100.7"  # what the address service says: an address of documentation, nobody's
# Toil asks the registry for an image, unless its tag names Toil's commit.
APPLIANCE = f"registry.example/neurocwl/appliance:0.1-{currentCommit}"
LAPTOPS_SECRET = "canary-of-the-laptop"  # must be found nowhere on a leader


@dataclass(frozen=True)
class Cloud:
    """An account of moto's, a laptop's command, and what a leader would find around it."""

    variables: dict[str, str]
    address_service: str
    folder: Path

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name=clouds.REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def environment(self) -> dict[str, str]:
        """The laptop's. Its ssh is the stand-in: nothing may connect to an address that moto has invented."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "TOIL_", "FS_LICENSE"))}
        home, machine = self.folder / "home", self.folder / "leader"
        for place in (home, machine):
            place.mkdir(exist_ok=True)
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        role = {"AWS_ACCESS_KEY_ID": "role", "AWS_SECRET_ACCESS_KEY": "role"}
        # On AWS nobody names the address of the APIs; without it a stand-in's leader would ask the real ones.
        endpoint = {n: self.variables[n] for n in ("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED")}
        around = {n: kept[n] for n in ("PYTHONPATH", "DOCKER_HOST", "XDG_RUNTIME_DIR") if n in kept}
        leader = {"PATH": path, "HOME": str(machine), **around, **role, **endpoint}
        return {
            **kept,
            **self.variables,
            "AWS_SECRET_ACCESS_KEY": LAPTOPS_SECRET,
            "HOME": str(home),
            "PATH": os.pathsep.join((str(DATA / "ssh_to_here"), path)),
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(DATA / "toil_without_ssh"), os.environ.get("PYTHONPATH")))
            ),
            "TOIL_AWS_AMI": "ami-03cf127a",
            "STAND_IN_NOTES": str(self.notes),
            "STAND_IN_LEADER": json.dumps(leader),
        }

    @property
    def notes(self) -> Path:
        """What ssh was asked: a line of JSON for each connection."""
        return self.folder / "ssh.jsonl"

    def run(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "neurocwl", *words],
            capture_output=True,
            text=True,
            env={**self.environment(), **variables},
            cwd=self.folder,
            timeout=300,
        )

    def end_what_goes_on(self) -> None:
        """End what was started on leaders and still runs, such as the dead man's switch, and remove what it left."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        asked = [json.loads(line) for line in lines]
        for one in filter(None, (one.get("pid") for one in asked)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one, signal.SIGKILL)
        alias = "-oHostKeyAlias="
        for leader in {o.removeprefix(alias) for one in asked for o in one["options"] if alias in o}:
            shutil.rmtree(lead.room(leader), ignore_errors=True)
            for left in Path(lead.MEMORY).glob(f"{lead.PREFIX}{leader}*"):
                left.unlink() if left.is_file() else shutil.rmtree(left)

    def cluster(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.run("cluster", *words)

    def create(self, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        service = f"address_service={self.address_service}"
        own = ["--key-pair", "mine", "--image", APPLIANCE, "--backend-setting", service]
        return self.cluster("create", name, *own, *words)

    def tagged(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """Instances, volumes, groups, templates and autoscaling groups with the tag of a cluster."""
        ec2, by_tag = self.client("ec2"), [{"Name": "tag:neurocwl:cluster", "Values": [name]}]
        reservations = ec2.describe_instances(Filters=by_tag)["Reservations"]
        scaling = self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return {
            "instances": [one for r in reservations for one in r["Instances"]],
            "volumes": ec2.describe_volumes(Filters=by_tag)["Volumes"],
            "groups": ec2.describe_security_groups(Filters=by_tag)["SecurityGroups"],
            "templates": ec2.describe_launch_templates(Filters=by_tag)["LaunchTemplates"],
            "scaling": [g for g in scaling if tags_of(g).get("neurocwl:cluster") == name],
        }


def tags_of(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}


class AddressService(http.server.BaseHTTPRequestHandler):
    """Answers as checkip does: the caller's address, here a made-up one."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{HERE}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def cloud(folder: Path) -> Iterator[Cloud]:
    """An account with a key pair, while the body runs."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), AddressService)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with clouds.moto_server() as url:
            one = Cloud(clouds.variables(url), f"http://127.0.0.1:{server.server_port}/", folder)
            one.client("ec2").create_key_pair(KeyName="mine")
            try:
                yield one
            finally:
                one.end_what_goes_on()
    finally:
        server.shutdown()
        server.server_close()
