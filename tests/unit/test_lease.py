"""The lease: two launches into one output never both run, a dead one is no obstacle, a live one can be cancelled."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neurocwl import lease
from neurocwl.errors import Busy, Conflict, InfrastructureError
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from tests.conftest import S3


@pytest.fixture(params=["folder", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    monkeypatch.setattr(lease, "LOOK", 0.05)
    if request.param == "folder":
        return open_location(str(tmp_path / "out"), Access())
    aws: S3 = request.getfixturevalue("aws")
    return open_location(f"s3://{aws.bucket()}/out", Access())


def never(reason: str) -> None:
    raise AssertionError(reason)


def left_by(output: Location, **changes: Any) -> None:
    """A lease as some other launch has left it."""
    own = {
        "run": "other",
        "host": "there",
        "pid": os.getpid(),
        "kernel": lease.kernel(),
        "born": lease.born(os.getpid()),
        "expires": (datetime.now(UTC) + timedelta(seconds=60)).isoformat(),
        "cancelled": False,
    }
    output.write(lease.PATH, json.dumps({**own, **changes}).encode())


def test_while_one_launch_holds_the_lease_another_is_told_who(output: Location) -> None:
    with lease.held(output, "first", never):
        with (
            pytest.raises(Busy, match=r"run first on .*neurocwl cancel") as caught,
            lease.held(output, "second", never),
        ):
            pass
        assert caught.value.exit_code == 4
    assert lease.read(output) is None
    with lease.held(output, "third", never):
        pass


def test_of_many_that_start_at_once_one_runs(output: Location) -> None:
    barrier, running = threading.Barrier(6), []
    done = threading.Event()

    def launch(number: int) -> None:
        barrier.wait()
        try:
            with lease.held(output, f"run{number}", never):
                running.append(number)
                done.wait(20)
        except Busy:
            lost.append(number)
            if len(lost) == 5:
                done.set()

    lost: list[int] = []
    threads = [threading.Thread(target=launch, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(running), len(lost)) == (1, 5)


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(output: Location) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    left_by(output, pid=process.pid, born=lease.born(process.pid))
    found = lease.read(output)
    assert found is not None
    assert found.alive
    process.kill()
    try:
        for _ in range(500):
            if not found.alive:  # although nobody has waited for it yet: it is a zombie
                break
            threading.Event().wait(0.01)
        assert not found.alive
        with lease.held(output, "next", never):
            pass
    finally:
        process.wait()


@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({}, True),
        ({"born": "1"}, False),  # the number of its process was given to another one
        ({"kernel": "another boot", "pid": 2**22}, True),  # its process cannot be asked about from here
        ({"kernel": "another boot", "expires": "2020-01-01T00:00:00+00:00"}, False),
        ({"expires": "2020-01-01T00:00:00+00:00"}, True),  # it runs, but had no time: a suspended laptop
    ],
)
def test_a_holder_is_alive_as_far_as_can_be_told_from_here(
    changes: dict[str, Any], alive: bool, tmp_path: Path
) -> None:
    output = open_location(str(tmp_path), Access())
    left_by(output, **changes)
    found = lease.read(output)
    assert found is not None
    assert found.alive is alive


def test_a_clone_of_this_machine_with_its_very_name_is_another_machine(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), Access())
    left_by(output, host=lease.socket.gethostname(), kernel="clone", pid=2**22)
    with pytest.raises(Busy), lease.held(output, "mine", never):
        pass


def waits_for(event: threading.Event) -> bool:
    return event.wait(20)


def stopper() -> tuple[list[str], threading.Event, Callable[[str], None]]:
    reasons: list[str] = []
    stopped = threading.Event()

    def stop(reason: str) -> None:
        reasons.append(reason)
        stopped.set()

    return reasons, stopped, stop


def test_a_launch_that_is_cancelled_is_told_and_gives_the_lease_back(output: Location) -> None:
    reasons, stopped, stop = stopper()
    with lease.held(output, "mine", stop):
        found = lease.cancel(output)
        assert found is not None
        assert found.run == "mine"
        assert waits_for(stopped)
    assert reasons == ["cancelled"]
    assert lease.read(output) is None
    assert lease.cancel(output) is None


def test_cancelling_a_dead_launch_removes_its_lease(output: Location) -> None:
    left_by(output, born="1")
    found = lease.cancel(output)
    assert found is not None
    assert not found.alive
    assert lease.read(output) is None


def test_a_launch_that_lost_its_lease_stops_and_leaves_the_new_holders_alone(output: Location) -> None:
    reasons, stopped, stop = stopper()
    with lease.held(output, "mine", stop):
        left_by(output)
        assert waits_for(stopped)
    assert reasons == ["another launch took over the output"]
    found = lease.read(output)
    assert found is not None
    assert found.run == "other"


def test_signs_of_life_put_off_the_end_of_a_lease(output: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.0)
    with lease.held(output, "mine", never):
        first = lease.read(output)
        assert first is not None
        for _ in range(400):
            now = lease.read(output)
            assert now is not None
            if now.expires > first.expires:
                break
            threading.Event().wait(0.01)
        else:
            pytest.fail("no sign of life")


def test_a_run_that_is_begun_again_waits_for_its_own_lease_to_run_out(output: Location) -> None:
    """Kubernetes starts a lost leader again within seconds."""
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    left_by(output, run="mine", kernel="another node", expires=soon)
    with lease.held(output, "mine", never):
        found = lease.read(output)
    assert found is not None
    assert found.kernel == lease.kernel()


def test_a_run_that_goes_on_elsewhere_is_not_begun_again(output: Location) -> None:
    far = datetime.now(UTC) + timedelta(seconds=60)
    left_by(output, run="mine", kernel="another node", expires=far.isoformat())
    beat = threading.Timer(
        0.3,
        left_by,
        (output,),
        {"run": "mine", "kernel": "another node", "expires": (far + timedelta(seconds=20)).isoformat()},
    )
    beat.start()
    with pytest.raises(Busy), lease.held(output, "mine", never):
        pass
    beat.join()


def test_a_damaged_lease_is_named(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), Access())
    output.write(lease.PATH, b"{}")
    with pytest.raises(InfrastructureError, match=r"lease.json is damaged"):
        lease.read(output)


def test_a_lease_once_lost_cannot_be_renewed(output: Location) -> None:
    left_by(output)
    found = lease.read(output)
    assert found is not None
    left_by(output, run="newer")
    with pytest.raises(Conflict):
        output.write_if(lease.PATH, b"{}", found.tag)
