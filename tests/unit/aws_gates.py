"""What AWS refuses and emulators do not: gates before an emulator, and a stand-in for Service Quotas."""

import email.utils
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.unit.http_server import Quiet, serving

CONDITIONS = ("if-match", "if-none-match")


@contextmanager
def gate(
    behind: str,
    *,
    refuse: str = "",
    code: str = "AccessDenied",
    drop: tuple[str, ...] = (),
    seconds: float = 0,
) -> Iterator[str]:
    """A server before another: refuses a method (or POSTs of deletions, "DELETE"), drops headers, has another time."""

    class Handler(Quiet):
        def forward(self) -> None:
            data = self.body()
            deletes = self.command == "DELETE" or (self.command == "POST" and "delete" in self.path)
            if refuse and (refuse == self.command or (refuse == "DELETE" and deletes)):
                error = f"<Error><Code>{code}</Code><Message>no</Message></Error>"  # S3's form, or STS's
                self.answer(
                    403,
                    (error if code == "AccessDenied" else f"<ErrorResponse>{error}</ErrorResponse>").encode(),
                )
                return
            headers = {
                k: v
                for k, v in self.headers.items()
                if k.lower() not in (*drop, "connection", "transfer-encoding")
            }
            headers.setdefault("Content-Type", "application/octet-stream")  # urllib's own makes a form of it
            request = urllib.request.Request(behind + self.path, data or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request) as got:
                    self.pass_on(got.status, got.headers, got.read())
            except urllib.error.HTTPError as error:
                self.pass_on(error.code, error.headers, error.read())

        def pass_on(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response_only(status)
            self.send_header("Date", email.utils.formatdate(time.time() + seconds, usegmt=True))
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", headers.get("Content-Length") or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815

    with serving(Handler) as address:
        yield f"http://{address}"


@contextmanager
def quotas(values: Mapping[str, int]) -> Iterator[str]:
    """A stand-in for Service Quotas: the quotas of EC2 by their codes. No emulator has them."""

    class Handler(Quiet):
        def do_POST(self) -> None:  # noqa: N802
            asked = json.loads(self.body())
            assert self.headers["X-Amz-Target"].endswith("GetServiceQuota")
            assert asked["ServiceCode"] == "ec2"
            answer = {"Quota": {"QuotaCode": asked["QuotaCode"], "Value": values[asked["QuotaCode"]]}}
            self.answer(200, json.dumps(answer).encode())

    with serving(Handler) as address:
        yield f"http://{address}"
