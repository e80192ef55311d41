"""A stand-in of EC2's instance metadata service, version 2, on loopback. It does not prove that EC2 answers so, or in time."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass
class Metadata:
    """It gives notice once, to whoever asks next, after it was told to; says, when it is set, replaces the notice."""

    url: str = ""
    notice: threading.Event = field(default_factory=threading.Event)
    given: int = 0
    says: str | None = None


@contextmanager
def running() -> Iterator[Metadata]:
    """The service, while the block runs."""
    state = Metadata()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, code: int, text: str) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_PUT(self) -> None:
            asked = int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"])
            self.answer(200 if self.path == "/latest/api/token" and asked > 0 else 400, "the token")

        def do_GET(self) -> None:
            if self.headers["X-aws-ec2-metadata-token"] != "the token":
                return self.answer(401, "")
            if self.path != "/latest/meta-data/spot/instance-action" or not state.notice.is_set():
                return self.answer(404, "")
            state.notice.clear()
            state.given += 1
            when = f"{datetime.now(UTC) + timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}"
            notice = json.dumps({"action": "terminate", "time": when})
            return self.answer(200, notice if state.says is None else state.says)

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
