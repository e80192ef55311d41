"""A small S3 server on loopback (ministack), for the demo and the tests. It is no store for real data."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurocwl.errors import InfrastructureError

REGION = "us-east-1"
PATIENCE = 60.0  # seconds


@contextmanager
def running(log: Path, services: str = "s3") -> Iterator[dict[str, str]]:
    """A server while the body runs; yields the AWS variables that reach it. Its keys are of no other use.

    services: those of ministack that it has, by comma; tests want more than storage.

    Raises InfrastructureError when it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).parent / "ministack"
    if not program.exists():
        raise InfrastructureError("the embedded S3 server is not installed: pip install 'neurocwl[demo]'")
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo-secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    environment = {
        **os.environ,
        **variables,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": services,
    }
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(program)],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=log.parent,
            start_new_session=True,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/", server, log)
            yield variables
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.poll() is not None:
            raise InfrastructureError(f"the embedded S3 server ended at once; its log: {log}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise InfrastructureError(f"the embedded S3 server does not answer; its log: {log}")
