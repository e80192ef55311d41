"""Which of several launches on a leader is the last one there: it ends the cluster."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from neurocwl.aws import lead

LEADER = "i-0123"


def leave(folder: Path) -> bool:
    return lead.leave(folder, LEADER)


def folder(memory: Path, name: str, pid: int | None, leader: str = LEADER) -> Path:
    made = memory / Path(lead.folder_of(leader, name)).name
    made.mkdir()
    if pid is not None:
        (made / lead.PID).write_text(str(pid))
    return made


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_a_launch_that_is_alone_is_the_last_and_leaves_nothing(tmp_path: Path) -> None:
    own = folder(tmp_path, "a", os.getpid())
    (own / "licence.txt").write_text("secret")
    assert leave(own)
    assert not own.exists()


def test_a_launch_beside_another_is_not_the_last(tmp_path: Path) -> None:
    folder(tmp_path, "b", os.getpid())
    assert not leave(folder(tmp_path, "a", os.getpid()))


def test_one_that_has_just_been_brought_there_counts(tmp_path: Path) -> None:
    folder(tmp_path, "b", None)
    assert not leave(folder(tmp_path, "a", os.getpid()))


def test_one_that_never_began_and_one_that_died_do_not_count(tmp_path: Path) -> None:
    never, own = folder(tmp_path, "b", None), folder(tmp_path, "a", os.getpid())
    folder(tmp_path, "c", ended_process())
    os.utime(never, (0, 0))
    assert leave(own)


def test_launches_of_another_leader_do_not_count(tmp_path: Path) -> None:
    """Where several leaders are stand-ins on one machine."""
    folder(tmp_path, "b", os.getpid(), "i-4567")
    assert leave(folder(tmp_path, "a", os.getpid()))


def test_of_several_that_end_at_once_exactly_one_is_the_last(tmp_path: Path) -> None:
    folders = [folder(tmp_path, f"{number}", os.getpid()) for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(leave, folders)) == 1
