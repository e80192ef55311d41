"""Emulators of AWS on loopback, as processes of their own. They check no permission, no quota and no signature."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

REGION = "us-west-2"
PATIENCE = 60.0  # seconds
# moto without the images and policies of AWS, which it takes seconds to list
BARE = {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "MOTO_IAM_LOAD_MANAGED_POLICIES": "false"}


def variables(url: str) -> dict[str, str]:
    """The AWS variables that lead every client to an emulator, and no client to AWS."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextmanager
def moto_server(own: Mapping[str, str] | None = None) -> Iterator[str]:
    """moto's server while the body runs; yields its address. An account with the default network and nothing else.

    own: moto's variables, where others are wanted than ours.
    """
    port = free_port()
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", port]
    with serving(command, port, "moto-api/", own) as url:
        yield url


@contextmanager
def cloudformation_server() -> Iterator[str]:
    """moto as a stand-in of CloudFormation with Batch (cloudformation_emulator.py); yields its address."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).parent / "cloudformation_emulator.py"), port]
    with serving(command, port, "moto-api/") as url:
        yield url


@contextmanager
def ministack_server() -> Iterator[str]:
    """ministack with all its services: runs Lambda functions, delivers events of S3. Knows no Batch in CloudFormation."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "ministack")]
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": port, "LAMBDA_EXECUTOR": "local"}
    with serving(command, port, "_ministack/health", own) as url:
        yield url


def free_port() -> str:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], port: str, health: str, own: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server of our own while the body runs; yields its address."""
    url = f"http://127.0.0.1:{port}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    moto = {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "MOTO_EC2_LOAD_DEFAULT_AMIS": "true"}
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**kept, **moto, **variables(url), **(own or {})},
            cwd=folder,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    with urllib.request.urlopen(f"{url}/{health}", timeout=5):
                        break
                except OSError:
                    if server.poll() is not None or time.monotonic() > end:
                        log.seek(0)
                        raise AssertionError(log.read().decode("utf-8", "replace")) from None
                    time.sleep(0.2)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
