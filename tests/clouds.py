"""Emulators of AWS on loopback, as processes of their own. They check no permission, no quota and no signature."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REGION = "us-west-2"
PATIENCE = 60.0  # seconds


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
def moto_server(**settings: str) -> Iterator[str]:
    """moto's server while the body runs; yields its address. An account with the default network and nothing else.

    settings: moto's variables (MOTO_...), where others are wanted.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={
                **kept,
                "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
                "MOTO_EC2_LOAD_DEFAULT_AMIS": "true",
                **settings,
            },
            start_new_session=True,
        )
        try:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    with urllib.request.urlopen(f"{url}/moto-api/", timeout=5):
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
