"""The dead man's switch: when it says that a cluster ends, and what it counts as use."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import lease
from neurocwl.aws import deadman
from neurocwl.aws.deadman import Watch
from neurocwl.errors import BadInput
from neurocwl.s3 import Access
from neurocwl.storage import open_location

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def verdict(*, age: float = 0, unused: float = 0) -> str:
    """Of a cluster with --idle 2h --max-age 48h, so many hours after its beginning and its last use."""
    return Watch(2 * HOUR, 48 * HOUR, NOON - age * HOUR, NOON - unused * HOUR).verdict(NOON)


def test_a_cluster_in_use_goes_on() -> None:
    assert verdict(age=47.9, unused=0) == ""


def test_a_cluster_without_a_launch_ends_after_a_while() -> None:
    assert verdict(age=10, unused=1.9) == ""
    assert verdict(age=10, unused=2) == "no launch has been alive for 2.0 h, and --idle is 2.0 h"


def test_an_old_cluster_ends_even_in_use() -> None:
    assert verdict(age=48) == "it is 48.0 h old, and --max-age is 48.0 h"


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_it_ends_exactly_when_one_of_the_two_is_over(age: float, unused: float) -> None:
    over = NOON - (NOON - age * HOUR) >= 48 * HOUR or NOON - (NOON - unused * HOUR) >= 2 * HOUR
    assert bool(verdict(age=age, unused=unused)) == over


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("2d", 172800), ("1.5h", 5400), ("30s", 30)]
)
def test_a_span_of_time(text: str, seconds: int) -> None:
    assert deadman.span(text, "--idle").total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "2", "0h", "-1h", "2 hours", "1h30m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--idle"):
        deadman.span(text, "--idle")


def test_a_launch_is_use_and_none_is_not(tmp_path: Path) -> None:
    outputs = [str(tmp_path / "one"), str(tmp_path / "two")]
    told: list[str] = []
    assert not deadman.alive(outputs, Access(), told.append)
    with lease.held(open_location(outputs[1], Access()), "run", lambda _: None):
        assert deadman.alive(outputs, Access(), told.append)
    assert not told


def test_an_output_that_cannot_be_read_counts_as_use_and_is_told(tmp_path: Path) -> None:
    output = tmp_path / "out"
    (output / ".neurocwl").mkdir(parents=True)
    (output / lease.PATH).write_text("{")
    told: list[str] = []
    assert deadman.alive([str(output)], Access(), told.append)
    assert "is damaged" in told[0]


def test_outputs_are_those_given_and_those_in_the_file_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "outputs"
    assert deadman.listed(["s3://a/b"], file) == ["s3://a/b"]
    file.write_text("s3://c/d\n\ns3://a/b\n")
    assert deadman.listed(["s3://a/b"], file) == ["s3://a/b", "s3://c/d"]
