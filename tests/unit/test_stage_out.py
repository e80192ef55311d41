"""stage_out.py: what a unit made reaches the output once, whole, and is committed by a receipt, written last."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import output_store
import pytest
import stage_out
from hypothesis import given, settings
from hypothesis import strategies as st
from output_store import LostRace, open_store

from neurocwl.receipts import read_states
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from tests.conftest import S3

SCRIPT = Path(stage_out.__file__)
DELIVERY = {
    "pipeline": "p",
    "deliver": "success",
    "outputs": ["."],
    "expect": ["{unit}.html"],
    "forbid": ["{unit}/log/*/crash*"],
    "shared": ["dataset_description.json", "fsaverage/**"],
}


@dataclass
class Unit:
    """One unit's tool step: its folder of outputs, its logs, and where they go."""

    folder: Path
    output: str
    run: str = "r1"
    name: str = "sub-01"
    task_key: str = "k1"
    exit_code: int = 0
    previous: str | None = None
    delivery: dict[str, Any] = field(default_factory=lambda: dict(DELIVERY))

    def made(self, files: Mapping[str, str | bytes]) -> "Unit":
        """The tool has written exactly these files."""
        out = self.folder / "out"
        subprocess.run(["rm", "-rf", out], check=True)
        out.mkdir(parents=True)
        for path, content in files.items():
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def request(self) -> dict[str, Any]:
        log = self.folder / "tool.err"
        log.write_text("starting\nno such brain\n")
        return {
            "context": {
                "unit": self.name,
                "participant": self.name.removeprefix("sub-"),
                "session": None,
                "task_key": self.task_key,
                "previous": self.previous,
                "rehearsal": None,
            },
            "output": self.output,
            "run": self.run,
            "exit_code": self.exit_code,
            "outputs": [{"class": "Directory", "path": str(self.folder / "out")}],
            "logs": [{"class": "File", "path": str(log)}, None],
            "delivery": self.delivery,
        }

    def stage(self) -> dict[str, Any]:
        """Run the script's function."""
        return stage_out.stage_out(self.request())

    def launched_again(self) -> "Unit":
        """A new run, planned with what lies at the output now."""
        receipt = self.location.read_tagged(f".neurocwl/units/{self.name}/receipt.json")
        self.previous = receipt[1] if receipt else None
        self.run = f"r{int(self.run[1:]) + 1}"
        return self

    @cached_property
    def location(self) -> Location:
        return open_location(self.output, Access())

    def stored(self) -> dict[str, bytes]:
        """Everything at the output."""
        return {entry.path: self.location.read(entry.path) or b"" for entry in self.location.entries()}

    def derivatives(self) -> dict[str, bytes]:
        return {path: data for path, data in self.stored().items() if not path.startswith(".neurocwl/")}

    def assert_true(self) -> None:
        """The receipt names every byte that is there, and nothing else is there."""
        stored = self.stored()
        state = read_states(self.location)[self.name]
        assert state.staging is None
        assert state.receipt is not None
        receipt = state.receipt
        logs = [entry["path"] for attempt in receipt.attempts for entry in attempt["logs"]]
        named = {w.path for w in (*receipt.manifest, *receipt.earlier)} | {*logs, *receipt.shared}
        home = f".neurocwl/units/{self.name}"
        assert named | {f"{home}/receipt.json"} == set(stored)
        for written in (*receipt.manifest, *receipt.earlier):
            assert len(stored[written.path]) == written.size
            assert output_store.hashlib.sha256(stored[written.path]).hexdigest() == written.sha256


OUTPUTS = {"sub-01.html": "report", "sub-01/anat/T1w.nii.gz": "image", "dataset_description.json": "{}"}


@pytest.fixture(params=["folder", "s3"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Unit:
    """A unit whose output is a folder, or a prefix of a bucket on a real server."""
    if request.param == "folder":
        return Unit(tmp_path, str(tmp_path / "an output")).made(OUTPUTS)
    aws: S3 = request.getfixturevalue("aws")
    return Unit(tmp_path, f"s3://{aws.bucket()}/derivatives/p").made(OUTPUTS)


# The script as a process


def run_script(unit: Unit, variables: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    (unit.folder / "request.json").write_text(json.dumps(unit.request()))
    environment = {"PATH": os.environ["PATH"], "HOME": str(unit.folder), **variables}
    return subprocess.run(
        [sys.executable, str(SCRIPT), "request.json"],
        cwd=unit.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_script_delivers_to_a_folder_with_python_alone_and_leaves_the_receipt_for_the_workflow(
    tmp_path: Path,
) -> None:
    unit = Unit(tmp_path, (tmp_path / "o ut").as_uri()).made(OUTPUTS)
    done = run_script(unit, {})
    assert done.returncode == 0, done.stderr
    unit.output = str(tmp_path / "o ut")
    committed = unit.stored()[".neurocwl/units/sub-01/receipt.json"]
    assert (tmp_path / "receipt.json").read_bytes() == committed
    assert done.stdout.startswith("sub-01: done, 2 files")
    unit.assert_true()


def test_the_script_finds_the_keys_in_the_worker_that_started_it(aws: S3, tmp_path: Path) -> None:
    unit = Unit(tmp_path, f"s3://{aws.bucket()}/d").made(OUTPUTS)
    (tmp_path / "request.json").write_text(json.dumps(unit.request()))
    bare = f"exec env -i PATH={os.environ['PATH']!r} {sys.executable} {SCRIPT} request.json"
    # The shell has the keys; the step itself is started without any, as CWL runners do.
    done = subprocess.run(
        ["sh", "-c", f"sh -c {json.dumps(bare)}; exit $?"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    unit.assert_true()


def test_a_delivery_that_cannot_be_made_is_one_line_and_no_receipt(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unit = Unit(tmp_path, str(tmp_path / "file")).made(OUTPUTS)
    done = run_script(unit, {})
    assert done.returncode == 1
    assert done.stderr.startswith("stage-out of sub-01: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "receipt.json").exists()


# What became of the unit


def verdict(
    files: Mapping[str, str], exit_code: int = 0, log: bytes = b"", tmp_path: Path = Path(), **delivery: Any
) -> tuple[str, str]:
    items = []
    for number, (path, content) in enumerate(files.items()):
        source = tmp_path / str(number)
        source.write_text(content)
        items.append(stage_out.Item(source, path))
    (tmp_path / "log").write_bytes(log)
    context = {"unit": "sub-01_ses-2", "participant": "01", "session": "2"}
    logs = [{"class": "File", "path": str(tmp_path / "log")}, None]
    return stage_out.judge(exit_code, items, delivery, context, logs)


def test_exit_code_0_and_the_expected_outputs_are_success(tmp_path: Path) -> None:
    assert verdict({"sub-01.html": "x"}, expect=["sub-{participant}.html"], tmp_path=tmp_path) == ("done", "")


@pytest.mark.parametrize(
    ("files", "exit_code", "reason"),
    [
        ({"sub-01.html": "x"}, 1, "exit code 1: last words"),
        ({"sub-01.html": "x"}, 137, "exit code 137 (killed: most likely out of memory): last words"),
        ({"other.html": "x"}, 0, "no sub-01.html among the outputs"),
        ({"sub-01.html": ""}, 0, "sub-01.html is empty"),
        ({"sub-01.html": "x", "sub-01/log/a/crash-1.txt": ""}, 0, "the tool left sub-01/log/a/crash-1.txt"),
        ({}, 1, "exit code 1: last words; no sub-01.html among the outputs"),
    ],
)
def test_a_unit_fails_for_what_its_exit_code_or_its_files_say(
    files: dict[str, str], exit_code: int, reason: str, tmp_path: Path
) -> None:
    found = verdict(
        files,
        exit_code,
        b"first\nlast words\n\n",
        tmp_path,
        expect=["sub-{participant}.html"],
        forbid=["sub-{participant}/log/*/crash*"],
    )
    assert found == ("failed", reason)


def test_a_reason_is_safe_to_show_on_a_terminal(tmp_path: Path) -> None:
    _, reason = verdict({}, 1, b"\x1b[31mred\x1b]0;title\x07 alert\xff\n", tmp_path)
    assert reason.isprintable()
    assert "red" in reason


def test_only_the_end_of_a_huge_log_is_read(tmp_path: Path) -> None:
    assert verdict({}, 1, b"x" * 100_000 + b"\nthe end", tmp_path)[1] == "exit code 1: the end"


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("sub-01.html", "sub-01.html", True),
        ("sub-01.html", "sub-01xhtml", False),
        ("*.html", "sub-01.html", True),
        ("*.html", "figures/sub-01.html", False),
        ("fsaverage*/**", "fsaverage5/surf/lh.white", True),
        ("fsaverage*/**", "fsaverage5", False),
        ("sub-01[._]*html", "sub-01_anat.html", True),
        ("sub-01[._]*html", "sub-012.html", False),
        ("run-[!0]", "run-1", True),
        ("run-[!0]", "run-0", False),
        ("a+b", "aab", False),
        ("**", "a\nb/c", True),
    ],
)
def test_a_star_stays_within_one_folder_and_two_cross_them(pattern: str, path: str, matches: bool) -> None:
    assert stage_out.matches(path, pattern) is matches


@given(
    st.text(st.characters(exclude_characters="*?[]", exclude_categories=["Cs"]), max_size=20).filter(
        lambda text: " | " not in text
    )
)
def test_a_pattern_without_wildcards_matches_itself_alone(text: str) -> None:
    assert stage_out.matches(text, text)
    assert not stage_out.matches(text + "x", text)


# What is delivered


def test_a_success_is_delivered_whole_and_its_receipt_names_every_file(unit: Unit) -> None:
    receipt = unit.stage()
    assert receipt["status"] == "done"
    assert unit.derivatives() == {path: content.encode() for path, content in OUTPUTS.items()}
    assert [entry["path"] for entry in receipt["manifest"]] == ["sub-01.html", "sub-01/anat/T1w.nii.gz"]
    unit.assert_true()


def test_odd_names_arrive_as_they_are(unit: Unit) -> None:
    odd = {
        f"sub-01/{name}": name
        for name in ("a b", "é ü/日本", "100%", "a+b", "q?x#y", "quote'\"", "<&>", ".hidden", "%41")
    }
    unit.made({**OUTPUTS, **odd}).stage()
    assert {path: data.decode() for path, data in unit.derivatives().items() if path in odd} == odd
    unit.assert_true()


def test_links_are_delivered_as_what_they_lead_to_and_loops_end(unit: Unit) -> None:
    out = unit.folder / "out"
    (out / "b").mkdir()
    (out / "b" / "file").write_text("content")
    (out / "a").symlink_to("b")  # sorts before what it leads to
    (out / "c").symlink_to("b/file")
    (out / "b" / "up").symlink_to("..")
    (out / "gone").symlink_to("/nowhere/at/all")
    (out / "empty").mkdir()
    unit.stage()
    delivered = unit.derivatives()
    assert {path for path, data in delivered.items() if data == b"content"} == {"a/file", "b/file", "c"}
    assert set(delivered) == {*OUTPUTS, "a/file", "b/file", "c"}
    unit.assert_true()


def test_a_name_that_is_not_utf8_fails_the_unit_instead_of_its_delivery(unit: Unit) -> None:
    (Path(os.fsdecode(os.fsencode(unit.folder / "out") + b"/caf\xe9"))).write_text("x")
    receipt = unit.stage()
    assert (receipt["status"], receipt["reason"]) == ("failed", "the name of caf\\udce9 is not UTF-8")
    unit.assert_true()


def test_the_first_unit_to_write_a_shared_file_wins_and_no_unit_owns_it(unit: Unit) -> None:
    unit.made({**OUTPUTS, "fsaverage/surf/lh.white": "first"}).stage()
    other = Unit(unit.folder / "other", unit.output, name="sub-02")
    other.made({"sub-02.html": "x", "fsaverage/surf/lh.white": "second"})
    receipt = other.stage()
    assert unit.derivatives()["fsaverage/surf/lh.white"] == b"first"
    assert [(entry["path"], entry["written"]) for entry in receipt["shared"]] == [
        ("fsaverage/surf/lh.white", False)
    ]


def test_a_shared_file_stays_and_is_named_when_its_unit_no_longer_makes_it(unit: Unit) -> None:
    unit.made({**OUTPUTS, "fsaverage/surf/lh.white": "first"}).stage()
    for exit_code in (0, 1):
        unit.launched_again().made({"sub-01.html": "again"}).task_key = f"k{exit_code + 2}"
        unit.exit_code = exit_code
        unit.stage()
        assert unit.derivatives()["fsaverage/surf/lh.white"] == b"first"
        unit.assert_true()


def test_a_shared_file_of_an_attempt_that_was_cut_off_is_named_by_the_next(unit: Unit) -> None:
    interrupted(unit, ["sub-01.html"], shared=["fsaverage/a", "fsaverage/never"])
    unit.location.write("fsaverage/a", b"first")
    unit.exit_code = 1
    unit.stage()
    unit.assert_true()


def test_what_a_failed_unit_made_lies_apart_from_the_derivatives(unit: Unit) -> None:
    unit.exit_code = 1
    receipt = unit.stage()
    assert receipt["status"] == "failed"
    assert receipt["reason"] == "exit code 1: no such brain"
    assert unit.derivatives() == {}
    apart = f".neurocwl/units/sub-01/attempts/{receipt['attempt']}/outputs/"
    assert {entry["path"].removeprefix(apart) for entry in receipt["manifest"]} == set(OUTPUTS)
    unit.assert_true()


def test_a_checking_pipeline_delivers_the_report_of_a_failed_unit(unit: Unit) -> None:
    unit.delivery["deliver"], unit.exit_code = "always", 1
    assert unit.stage()["status"] == "failed"
    assert set(unit.derivatives()) == set(OUTPUTS)
    unit.assert_true()


def test_a_failure_without_results_replaces_no_success_even_where_results_are_always_delivered(
    unit: Unit,
) -> None:
    unit.delivery["deliver"] = "always"
    unit.made({"sub-01.html": "good", "sub-01/image": "good"}).stage()
    unit.launched_again().exit_code = 125
    receipt = unit.made({}).stage()
    assert (receipt["status"], set(unit.derivatives())) == ("failed", {"sub-01.html", "sub-01/image"})
    assert receipt["earlier"]["attempt"]
    unit.assert_true()


def test_a_file_that_takes_many_parts_arrives_whole(
    aws: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Unit(tmp_path, f"s3://{aws.bucket()}").made(
        {**OUTPUTS, "big": random.Random(1).randbytes(11 << 20)}
    )
    monkeypatch.setattr(output_store, "SINGLE_PUT", 1 << 20)
    monkeypatch.setattr(output_store, "PART", 5 << 20)
    receipt = unit.stage()
    assert next(entry["etag"] for entry in receipt["manifest"] if entry["path"] == "big").endswith("-3")
    unit.assert_true()


def test_everything_is_encrypted_where_the_delivery_says_so(
    aws: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = aws.bucket()
    unit = Unit(tmp_path, f"s3://{bucket}").made({**OUTPUTS, "big": random.Random(1).randbytes(6 << 20)})
    unit.delivery = {**unit.delivery, "encrypt": "AES256"}
    monkeypatch.setattr(output_store, "SINGLE_PUT", 1 << 20)
    monkeypatch.setattr(output_store, "PART", 5 << 20)
    unit.stage()
    s3 = aws.client()
    heads = {path: s3.head_object(Bucket=bucket, Key=path) for path in unit.stored()}
    assert "big" in heads
    assert {head.get("ServerSideEncryption") for head in heads.values()} == {"AES256"}


# Again


def test_a_later_run_replaces_what_an_earlier_one_left_and_leaves_no_orphan(unit: Unit) -> None:
    unit.stage()
    unit.launched_again().made({"sub-01.html": "new", "sub-01/func/bold.nii.gz": "image"}).task_key = "k2"
    receipt = unit.stage()
    assert unit.derivatives() == {
        "sub-01.html": b"new",
        "sub-01/func/bold.nii.gz": b"image",
        "dataset_description.json": b"{}",
    }
    assert [attempt["run"] for attempt in receipt["attempts"]] == ["r1", "r2"]
    assert {entry["path"] for entry in receipt["manifest"]} == {"sub-01.html", "sub-01/func/bold.nii.gz"}


def test_a_file_may_become_a_folder_and_a_folder_a_file(unit: Unit) -> None:
    unit.made({"sub-01.html": "x", "a": "file", "b/c": "file"}).stage()
    unit.launched_again().made({"sub-01.html": "x", "a/b": "file", "b": "file"}).task_key = "k2"
    unit.stage()
    assert set(unit.derivatives()) == {"sub-01.html", "a/b", "b"}
    unit.assert_true()


def test_an_empty_folder_does_not_stay_behind(tmp_path: Path) -> None:
    unit = Unit(tmp_path, str(tmp_path / "output")).made({"sub-01.html": "x", "deep/down/file": "x"})
    unit.stage()
    unit.launched_again().made({"sub-01.html": "x"}).task_key = "k2"
    unit.stage()
    left = {path.relative_to(tmp_path / "output").as_posix() for path in (tmp_path / "output").rglob("*")}
    assert not {path for path in left if path.startswith("deep") or "parts" in path or ".lock" in path}


def test_an_earlier_success_stays_when_a_rerun_fails_and_goes_when_one_succeeds(unit: Unit) -> None:
    unit.stage()
    before = unit.derivatives()
    unit.launched_again().made({"sub-01.html": "broken"})
    unit.exit_code, unit.task_key = 1, "k2"
    for _ in range(2):  # however often it fails
        receipt = unit.stage()
        assert receipt["earlier"]["run"] == "r1"
        assert unit.derivatives() == before
        unit.assert_true()
        unit.launched_again()
    unit.exit_code = 0
    assert unit.made({"sub-01.html": "whole"}).stage()["earlier"] is None
    assert unit.derivatives() == {"sub-01.html": b"whole", "dataset_description.json": b"{}"}


def test_only_the_last_failed_attempt_keeps_its_outputs_but_all_keep_their_logs(unit: Unit) -> None:
    unit.exit_code = 1
    first = unit.stage()["attempt"]
    unit.launched_again()
    unit.stage()
    kept = {path for path in unit.stored() if f"/attempts/{first}/" in path}
    assert kept == {f".neurocwl/units/sub-01/attempts/{first}/logs/tool.err"}


def test_a_retry_of_what_is_committed_does_it_not_again(unit: Unit) -> None:
    first = unit.stage()
    before = unit.stored()
    assert unit.stage() == first
    assert unit.stored() == before


# Two attempts at once, and attempts that were cut off


def test_a_run_that_was_planned_before_another_committed_does_not_replace_it(unit: Unit) -> None:
    late = unit.previous
    unit.stage()
    before = unit.stored()
    unit.run, unit.previous, unit.task_key = "r2", late, "k2"
    with pytest.raises(LostRace, match="run r1 since"):
        unit.stage()
    assert unit.stored() == before


def test_a_conditional_put_that_lost_is_a_lost_race(unit: Unit) -> None:
    store = open_store(unit.output, "home")
    tag = store.put("a.json", b"1", None)
    with pytest.raises(LostRace):
        store.put("a.json", b"2", None)
    with pytest.raises(LostRace):
        store.put("a.json", b"2", "0" * 32)
    with pytest.raises(LostRace):
        store.put("absent.json", b"2", tag)
    assert store.put("a.json", b"2", tag) != tag
    assert store.get("a.json") == (b"2", store.tag("a.json"))


def test_a_conditional_put_whose_answer_was_lost_has_not_lost(aws: S3, tmp_path: Path) -> None:
    store = open_store(f"s3://{aws.bucket()}/x", "home")
    tag = store.put("a.json", b"mine", None)
    assert store.put("a.json", b"mine", None) == tag  # what botocore does when the answer never came


def interrupted(unit: Unit, paths: list[str], leftovers: list[str] | None = None, **note: Any) -> None:
    """Leave what an attempt leaves that was killed in the middle of its uploads."""
    content = {
        "attempt": "gone",
        "run": unit.run,
        "host": "h",
        "paths": paths,
        "leftovers": leftovers or [],
        **note,
    }
    unit.location.write(".neurocwl/units/sub-01/staging.json", json.dumps(content).encode())
    for path in paths:
        unit.location.write(path, b"half")


def test_the_next_attempt_cleans_up_after_one_that_was_cut_off(unit: Unit) -> None:
    apart = ".neurocwl/units/sub-01/attempts/gone"
    interrupted(unit, ["sub-01.html", "sub-01/old.nii.gz", f"{apart}/outputs/x", f"{apart}/logs/tool.err"])
    unit.stage()
    assert unit.derivatives() == {path: content.encode() for path, content in OUTPUTS.items()}
    unit.assert_true()


def test_an_attempt_cut_off_after_its_commit_is_done_and_only_its_note_goes(unit: Unit) -> None:
    receipt = unit.stage()
    interrupted(unit, [], [], attempt=receipt["attempt"])
    state = read_states(unit.location)["sub-01"]
    assert state.staging is None
    assert state.receipt is not None
    assert unit.stage() == receipt
    unit.assert_true()


def test_an_earlier_success_that_a_cut_off_attempt_wrote_over_is_not_passed_off_as_one(unit: Unit) -> None:
    unit.stage()
    unit.launched_again()
    interrupted(unit, ["sub-01.html"])
    unit.exit_code, unit.task_key = 1, "k2"
    assert unit.stage()["earlier"] is None
    assert set(unit.derivatives()) == {"dataset_description.json"}
    unit.assert_true()


def test_an_earlier_success_that_a_cut_off_attempt_had_not_reached_stays(unit: Unit) -> None:
    unit.stage()
    before = unit.derivatives()
    unit.launched_again()
    content = {
        "attempt": "gone",
        "run": "r2",
        "host": "h",
        "paths": ["sub-01.html"],
        "leftovers": ["sub-01/anat/T1w.nii.gz"],
    }
    unit.location.write(".neurocwl/units/sub-01/staging.json", json.dumps(content).encode())
    unit.exit_code, unit.task_key = 1, "k2"
    unit.stage()
    assert unit.derivatives() == before
    unit.assert_true()


def test_uploads_in_parts_of_a_cut_off_attempt_are_ended(aws: S3, tmp_path: Path) -> None:
    bucket = aws.bucket()
    unit = Unit(tmp_path, f"s3://{bucket}/d").made(OUTPUTS)
    client = aws.client()
    for key in ("d/sub-01/big", "d/sub-02/big"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    interrupted(unit, ["sub-01/big"])
    unit.stage()
    left = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert [upload["Key"] for upload in left] == ["d/sub-02/big"]


def killed_at(unit: Unit, delay: float, variables: Mapping[str, str]) -> bool:
    """Run the script and kill it with SIGKILL after a while; whether it was still running."""
    (unit.folder / "request.json").write_text(json.dumps(unit.request()))
    environment = {"PATH": os.environ["PATH"], "HOME": str(unit.folder), **variables}
    # The delay counts from the moment that it has taken its note, not from Python's start.
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "request.json"],
        cwd=unit.folder,
        env=environment,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    note = f".neurocwl/units/{unit.name}/staging.json"
    while process.poll() is None and unit.location.read(note) is None:
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_killed_at_any_moment_and_run_again_there_is_one_true_receipt_and_no_orphan(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    chance = random.Random(20)
    aws: S3 | None = request.getfixturevalue("aws") if where == "s3" else None
    output = f"s3://{aws.bucket()}/d" if aws else str(tmp_path / "output")
    variables = dict(aws.variables) if aws else {}
    unit = Unit(tmp_path / "job", output)
    unit.folder.mkdir()
    kills = 0
    for round_ in range(3 if aws else 6):
        files = {
            f"sub-01/{chance.randrange(60)}.bin": chance.randbytes(chance.randrange(40_000))
            for _ in range(40)
        }
        unit.made({"sub-01.html": f"round {round_}", **files}).task_key = f"k{round_}"
        unit.exit_code = chance.choice([0, 0, 1])
        kills += killed_at(unit, chance.random() * (0.35 if aws else 0.06), variables)
        last = unit.stage()
        assert last["task_key"] == f"k{round_}"
        unit.assert_true()
        unit.launched_again()
    assert kills


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e", "c/f/g"]), st.binary(max_size=5)),
            st.sampled_from([0, 1]),
            st.sampled_from(["whole", "bytes only", "no cleaning", "commit only"]),
        ),
        max_size=5,
    )
)
def test_whatever_attempts_came_before_the_last_one_tells_the_truth(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[dict[str, bytes], int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    unit = Unit(folder, str(folder / "output"))
    unit.delivery["expect"] = []
    unit.delivery["shared"] = []

    class Killed(BaseException):
        pass

    class Dying(output_store.FolderStore):
        """A store whose process dies at one step: a fault, not a stand-in."""

        dies_at = ""

        def put(self, path: str, data: bytes, replaces: str | None) -> str:
            if self.dies_at == "no cleaning" and path.endswith("receipt.json"):
                raise Killed
            return super().put(path, data, replaces)

        def delete(self, paths: list[str]) -> None:
            if self.dies_at == "bytes only" and paths and not paths[0].endswith("staging.json"):
                raise Killed
            if self.dies_at == "commit only" and paths == [".neurocwl/units/sub-01/staging.json"]:
                raise Killed
            super().delete(paths)

    for number, (files, exit_code, fate) in enumerate(history):
        unit.made(files).task_key = f"k{number}"
        unit.exit_code = exit_code
        with pytest.MonkeyPatch.context() as patch:
            Dying.dies_at = fate
            patch.setattr(stage_out, "open_store", lambda output, home, _: Dying(output, f"{home}/parts"))
            with contextlib.suppress(Killed):
                unit.stage()
        unit.launched_again()
    unit.made({"a": b"last"}).task_key = "last"
    unit.exit_code = 0
    unit.stage()
    assert unit.derivatives() == {"a": b"last"}
    unit.assert_true()


def test_boto3_is_not_needed_for_a_folder() -> None:
    code = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); sys.modules['boto3'] = None; import stage_out"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert boto3  # and is there, for S3
