"""container_run.py: docker run with an init and labels; what a container took; a notice that its machine goes."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import container_run
import pytest
from hypothesis import given
from hypothesis import strategies as st

V1 = {
    "memory.usage_in_bytes": "300",
    "memory.limit_in_bytes": "1000",
    "memory.stat": "cache 9\ninactive_file 1\ntotal_inactive_file 100\n",
}
V2 = {"memory.current": "300", "memory.max": "1000", "memory.stat": "anon 5\ninactive_file 100\n"}


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
def test_memory_is_what_is_in_use_without_the_cache_of_files(files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert container_run.taken(tmp_path) == (200, 1000)


@pytest.mark.parametrize(("name", "text"), [("memory.max", "max"), ("memory.limit_in_bytes", str(1 << 63))])
def test_no_limit_is_no_limit(name: str, text: str, tmp_path: Path) -> None:
    for file, content in (V2 if name == "memory.max" else V1).items():
        (tmp_path / file).write_text(text if file == name else content)
    assert container_run.taken(tmp_path) == (200, 0)


def test_a_group_that_has_gone_says_nothing(tmp_path: Path) -> None:
    assert container_run.taken(tmp_path / "gone") is None


WORDS = [
    "-i",
    "--mount=type=bind,source=/work/out,target=/home",
    "--mount=type=bind,source=/work/tmp,target=/tmp",
    "--mount=type=bind,source=/data/a.nii,target=/in/a.nii,readonly",
    "--workdir=/home",
    "--cidfile=/work/cid",
    "--env=NEUROCWL_UNIT=sub-01",
    "image",
    "tool",
]


def test_the_container_gets_an_init_the_labels_of_the_run_and_that_of_its_unit() -> None:
    found = container_run.command(WORDS, ["neurocwl.run=r", "neurocwl.output=o"])
    labels = [found[n + 1] for n, word in enumerate(found) if word == "--label"]
    assert found[:2] == ["run", "--init"]
    assert labels == ["neurocwl.unit=sub-01", "neurocwl.run=r", "neurocwl.output=o"]


@given(st.lists(st.text(min_size=1)), st.lists(st.text(min_size=1)))
def test_the_words_themselves_stay_as_they_are(words: list[str], labels: list[str]) -> None:
    found = container_run.command(words, labels)
    assert found[len(found) - len(words) :] == words


def test_what_a_container_may_write_to_is_known_and_inputs_are_not_of_it() -> None:
    assert container_run.mounted(WORDS) == {"/home": Path("/work/out"), "/tmp": Path("/work/tmp")}
    assert container_run.option(WORDS, "workdir") == "/home"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def service(said: list[str]) -> Iterator[str]:
    """EC2's metadata service, version 2, as far as a notice goes: what `said` ends with, or nothing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            assert int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the token")

        def do_GET(self) -> None:
            allowed = self.headers["X-aws-ec2-metadata-token"] == "the token"
            self.send_response((200 if said else 404) if allowed else 401)
            self.end_headers()
            self.wfile.write(said[-1].encode() if said and allowed else b"")

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_no_notice_is_no_notice(service: str) -> None:
    assert container_run.notice(service) is None


def test_a_notice_says_when(service: str, said: list[str]) -> None:
    said.append(json.dumps({"action": "terminate", "time": "2026-11-21T12:00:00Z"}))
    assert container_run.notice(service) == "2026-11-21T12:00:00Z"


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"action": "rebalance", "time": "now"}'])
def test_nonsense_is_no_notice(service: str, said: list[str], text: str) -> None:
    said.append(text)
    assert container_run.notice(service) is None


def test_a_service_that_is_not_there_is_no_notice() -> None:
    assert container_run.notice("http://127.0.0.1:9") is None
