"""A dataset or an output looks the same on S3 and in a folder."""

import hashlib
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest

from neurocwl.errors import BadInput, Conflict, InfrastructureError
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from tests.conftest import S3

HERE = Access()


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return open_location(str(tmp_path / "a place"), HERE)
    aws: S3 = request.getfixturevalue("aws")
    return open_location(f"s3://{aws.bucket()}/a/place", HERE)


def paths(location: Location, below: str = "") -> list[str]:
    return sorted(entry.path for entry in location.entries(below))


def test_what_is_written_is_read_listed_and_deleted(location: Location) -> None:
    location.write("a/b c.txt", b"one")
    location.write("a/b c.txt", b"two")
    location.write("d é+%", b"")
    assert paths(location) == ["a/b c.txt", "d é+%"]
    assert paths(location, "a/") == ["a/b c.txt"]
    assert paths(location, "absent/") == []
    assert location.read("a/b c.txt") == b"two"
    assert b"".join(location.chunks("a/b c.txt")) == b"two"
    assert location.read("absent") is None
    assert location.read("a") is None
    assert location.stored("absent") is None
    location.delete(["a/b c.txt", "absent"])
    assert paths(location) == ["d é+%"]


def test_size_and_sha256_are_known_without_the_bytes(location: Location) -> None:
    tag = location.write("a", b"content")
    stored = location.stored("a")
    assert stored is not None
    assert (stored.size, stored.tag, stored.sha256) == (7, tag, hashlib.sha256(b"content").hexdigest())
    assert location.read_tagged("a") == (b"content", tag)


def test_a_conditional_write_happens_only_on_what_it_was_made_for(location: Location) -> None:
    first = location.write_if("a", b"1", None)
    with pytest.raises(Conflict):
        location.write_if("a", b"2", None)
    second = location.write_if("a", b"2", first)
    with pytest.raises(Conflict):
        location.write_if("a", b"3", first)
    with pytest.raises(Conflict):
        location.write_if("absent", b"3", first)
    assert location.read_tagged("a") == (b"2", second)


def test_of_many_who_write_the_first_one_wins_and_leaves_nothing_else(location: Location) -> None:
    barrier, won = Barrier(8), []

    def attempt(number: int) -> None:
        barrier.wait()
        with suppress(Conflict):
            won.append(location.write_if("state/a", str(number).encode(), None))

    threads = [Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert paths(location) == ["state/a"]


def test_a_location_says_the_url_of_a_file_as_cwl_engines_take_it(aws: S3, tmp_path: Path) -> None:
    folder = open_location(str(tmp_path), HERE)
    assert folder.file_url("a b/é#1") == f"file://{tmp_path}/a%20b/%C3%A9%231"
    bucket = aws.bucket()
    assert open_location(f"s3://{bucket}/x/", HERE).file_url("a b") == f"s3://{bucket}/x/a b"


# Folders alone


def test_a_folder_is_the_same_by_path_by_url_and_by_a_detour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted = str(tmp_path / "a b")
    for url in ("a b", "./x/../a b/", f"file://{tmp_path}/a%20b", "~/a b", f"{tmp_path}/./a b"):
        assert open_location(url, HERE).url == wanted


@pytest.mark.parametrize("url", ["http://x/y", "gs://b/p", ""])
def test_other_places_are_refused(url: str) -> None:
    with pytest.raises(BadInput):
        open_location(url, HERE)


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "data/sub-01").mkdir(parents=True)
    (tmp_path / "elsewhere/sub-02").mkdir(parents=True)
    (tmp_path / "data/sub-01/x").write_text("x")
    (tmp_path / "elsewhere/sub-02/y").write_text("y")
    (tmp_path / "data/sub-02").symlink_to(tmp_path / "elsewhere/sub-02")
    (tmp_path / "data/sub-03").symlink_to("sub-01")
    (tmp_path / "data/sub-01/self").symlink_to(".")
    (tmp_path / "data/sub-01/up").symlink_to("..")
    (tmp_path / "elsewhere/sub-02/back").symlink_to(tmp_path / "data")  # two folders that lead to each other
    (tmp_path / "data/loop").symlink_to("loop2")
    (tmp_path / "data/loop2").symlink_to("loop")
    found = paths(open_location(str(tmp_path / "data"), HERE))
    assert {"sub-01/x", "sub-02/y", "sub-03/x", "loop", "loop2"} <= set(found)
    assert all(path.count("/") < 4 for path in found)


def test_a_link_without_its_file_is_listed_as_empty(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").symlink_to(".git/annex/objects/not-fetched")
    (entry,) = open_location(str(tmp_path), HERE).entries()
    assert (entry.path, entry.size) == ("a.nii.gz", 0)


def test_only_files_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # addresses of sockets are short
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        (tmp_path / "file").write_text("")
        assert paths(open_location(str(tmp_path), HERE)) == ["file"]


def test_a_file_where_a_folder_is_meant_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        list(open_location(str(tmp_path / "file"), HERE).entries())
    with pytest.raises(InfrastructureError, match="nothing was written"):
        open_location(str(tmp_path / "file"), HERE).write("a", b"")


def test_a_changed_file_has_another_tag_in_the_listing(tmp_path: Path) -> None:
    location = open_location(str(tmp_path), HERE)
    location.write("a", b"1")
    before = next(e.etag for e in location.entries() if e.path == "a")
    location.write("a", b"2")
    assert next(e.etag for e in location.entries() if e.path == "a") != before


def test_deleting_leaves_no_empty_folder_and_keeps_the_root(tmp_path: Path) -> None:
    location = open_location(str(tmp_path / "root"), HERE)
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "root/a/b/c").write_text("")
    (tmp_path / "root/a/keep").write_text("")
    location.delete(["a/b/c"])
    assert sorted(p.name for p in (tmp_path / "root").rglob("*")) == ["a", "keep"]
    location.delete(["a/keep"])
    assert list((tmp_path / "root").iterdir()) == []


def test_files_have_the_rights_that_the_users_umask_says(tmp_path: Path) -> None:
    code = (
        "import os; os.umask(0o002);"
        "from neurocwl.storage import open_location; from neurocwl.s3 import Access;"
        f"open_location({str(tmp_path)!r}, Access()).write('a', b'')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o664


def test_a_write_that_was_killed_is_swept_up_later(tmp_path: Path) -> None:
    location = open_location(str(tmp_path), HERE)
    parts = tmp_path / ".neurocwl/parts"
    parts.mkdir(parents=True)
    for name, age in (("old", 7200), ("young", 0)):
        (parts / name).write_text("half")
        os.utime(parts / name, (os.stat(parts / name).st_mtime - age,) * 2)
    location.write_if(".neurocwl/lease.json", b"{}", None)
    assert [part.name for part in parts.iterdir()] == ["young"]
