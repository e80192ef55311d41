"""container_run.py: docker run with an init and labels; what a container took; a notice that its machine goes."""

import json
from collections.abc import Iterator
from pathlib import Path

import container_run
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metadata_service import Metadata, running

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
def service() -> Iterator[Metadata]:
    with running() as found:
        yield found


def test_no_notice_is_no_notice(service: Metadata) -> None:
    assert container_run.notice(service.url) is None


def test_a_notice_says_when(service: Metadata) -> None:
    service.says = json.dumps({"action": "terminate", "time": "2026-11-21T12:00:00Z"})
    service.notice.set()
    assert container_run.notice(service.url) == "2026-11-21T12:00:00Z"


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"action": "rebalance", "time": "now"}'])
def test_nonsense_is_no_notice(service: Metadata, text: str) -> None:
    service.says = text
    service.notice.set()
    assert container_run.notice(service.url) is None
    assert service.given == 1


def test_a_service_that_is_not_there_is_no_notice() -> None:
    assert container_run.notice("http://127.0.0.1:9") is None
