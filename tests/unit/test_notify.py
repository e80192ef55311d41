"""Slack is told by its webhook, whose URL stays secret. A real HTTP server stands in for Slack on loopback."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from neurocwl import notify
from neurocwl.errors import BadInput


class Channel:
    """What a webhook was sent, and what it answers."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answer = 200
        self.url = ""


@pytest.fixture
def channel() -> Iterator[Channel]:
    found = Channel()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.sent.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(found.answer)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/s3cret"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_text_is_posted_as_slack_wants_it(channel: Channel) -> None:
    warnings: list[str] = []
    notify.teller({notify.VARIABLE: channel.url}, warnings.append)("3 units, all done")
    assert channel.sent == [("/services/T0/B0/s3cret", "application/json", {"text": "3 units, all done"})]
    assert not warnings


def test_the_url_leaves_the_environment(channel: Channel) -> None:
    environ = {notify.VARIABLE: channel.url}
    notify.teller(environ, print)
    assert not environ, "no process that is started later gets it"


def test_a_refusal_is_a_warning_without_the_url(channel: Channel) -> None:
    channel.answer = 404
    warnings: list[str] = []
    notify.teller({notify.VARIABLE: channel.url}, warnings.append)("text")
    assert warnings == ["warning: Slack was not told: it answered 404"]


def test_nobody_there_is_a_warning_without_the_url() -> None:
    warnings: list[str] = []
    notify.teller({notify.VARIABLE: "http://127.0.0.1:9/s3cret"}, warnings.append)("text")
    assert len(warnings) == 1
    assert "s3cret" not in warnings[0]


@pytest.mark.parametrize(
    ("environ", "why"), [({}, "is not set"), ({notify.VARIABLE: "s3cret"}, "is no https:// URL")]
)
def test_without_a_url_it_is_refused_and_not_shown(environ: dict[str, str], why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        notify.teller(environ, print)
    assert "s3cret" not in str(caught.value)
