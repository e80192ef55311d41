"""A receipt tells what an attempt was given, what it took, and whether it ended for want of that."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import shortage
import stage_out

from tests.unit.test_stage_out import DELIVERY, Unit

ASKED = {"cpus": 4, "memory_mib": 8192, "tmp_mib": 2048, "out_mib": 4096}
TOOK = {"memory_mib": 5000, "disk_mib": 40, "free_disk_mib": 9999, "out_of_memory": False, "lost": None}


@dataclass
class Measured(Unit):
    """A unit whose container kept an account."""

    account: dict[str, Any] = field(default_factory=dict)
    said: str = "no such brain\n"

    def request(self) -> dict[str, Any]:
        file = self.folder / "used.json"
        file.write_text(json.dumps({**TOOK, **self.account}))
        found = super().request()
        (self.folder / "tool.err").write_text(self.said)
        return {**found, "used": {"class": "File", "path": str(file)}}

    def attempt(self) -> Any:
        return self.stage()["attempts"][-1]


@pytest.fixture
def unit(tmp_path: Path) -> Measured:
    (tmp_path / "unit").mkdir()
    delivery = {**DELIVERY, "asked": ASKED, "resume": ["sub-{participant}"]}
    made = Measured(tmp_path / "unit", str(tmp_path / "output"), exit_code=1, delivery=delivery)
    made.made({"sub-01/a": "1", "sub-01/b": "2", "figures/c": "3"})
    return made


def going(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def test_an_attempt_says_what_it_was_given_and_what_it_took(unit: Measured) -> None:
    found = unit.attempt()
    assert found["asked"] == ASKED
    assert found["used"] == {"memory_mib": 5000, "disk_mib": 40}
    assert {"short_of", "lost", "resumes"}.isdisjoint(found)


def test_out_of_memory_is_what_the_kernel_says_not_an_exit_code(unit: Measured) -> None:
    unit.account = {"out_of_memory": True}
    found = unit.attempt()
    assert found["short_of"] == "memory"
    assert found["reason"].startswith("out of memory with 8192 MiB; exit code 1")


def test_a_plain_kill_is_told_from_want_of_memory(unit: Measured) -> None:
    unit.exit_code = 137
    found = unit.attempt()
    assert "short_of" not in found
    assert "137 (killed, within its memory limit)" in found["reason"]


@pytest.mark.parametrize(
    "said", ["OSError: [Errno 28] No space left on device: 'x'", "cp: write: Disk quota exceeded"]
)
def test_out_of_disk_is_what_the_tool_says(unit: Measured, said: str) -> None:
    unit.said = f"{said}\nand then it gave up\n"
    found = unit.attempt()
    assert found["short_of"] == "disk"
    assert found["reason"].startswith("out of disk (asked for 6144 MiB)")


def test_a_disk_without_room_is_full_whatever_the_tool_says(unit: Measured) -> None:
    unit.account = {"free_disk_mib": 3}
    assert unit.attempt()["short_of"] == "disk"


def test_a_unit_that_is_done_was_short_of_nothing(unit: Measured) -> None:
    unit.made({"sub-01.html": "x"})
    unit.exit_code, unit.account = 0, {"out_of_memory": True, "lost": going(60)}
    found = unit.attempt()
    assert (found["status"], found["reason"]) == ("done", "")
    assert {"short_of", "lost"}.isdisjoint(found)


def test_a_preempted_attempt_saves_what_it_made(unit: Measured) -> None:
    unit.account, unit.exit_code = {"lost": going(100)}, 143
    found = unit.attempt()
    assert found["lost"] is True
    assert found["reason"].startswith("preempted: the instance was to go at ")
    assert "resumes" not in found
    made = [path.partition("/outputs/")[2] for path in unit.stored() if "/outputs/" in path]
    assert sorted(made) == ["figures/c", "sub-01/a", "sub-01/b"]
    unit.assert_true()


def test_a_machine_that_is_about_to_go_leaves_a_receipt_at_least(unit: Measured) -> None:
    unit.account, unit.exit_code = {"lost": going(shortage.MARGIN - 5)}, 143
    found = unit.attempt()
    assert (found["lost"], found["resumes"]) == (True, False)
    assert not any("/outputs/" in path for path in unit.stored())
    assert any("/logs/" in path for path in unit.stored())
    unit.assert_true()


def test_what_the_next_attempt_goes_on_from_is_delivered_first(unit: Measured) -> None:
    unit.account, unit.exit_code = {"lost": going(100)}, 143
    own = stage_out.judged(unit.request()).own
    assert [item.resumes for item in own] == [True, True, False]


def test_the_account_itself_is_no_result(unit: Measured) -> None:
    unit.made({"sub-01.html": "x", shortage.NAME: "{}"})
    unit.exit_code = 0
    unit.stage()
    assert set(unit.derivatives()) == {"sub-01.html"}


def test_of_several_containers_the_most_counts(tmp_path: Path) -> None:
    files = []
    for number, (memory, killed) in enumerate([(10, False), (30, True), (20, False)]):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps({**TOOK, "memory_mib": memory, "out_of_memory": killed}))
    found = shortage.account(files)
    assert (found.memory_mib, found.out_of_memory) == (30, True)


@pytest.mark.parametrize("text", ["", "{", "null", "[1]"])
def test_an_account_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "used.json").write_text(text)
    assert shortage.account([tmp_path / "used.json"]) == shortage.UNKNOWN
