"""A launch that is stopped, killed or started twice loses nothing, and the same command goes on."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Lab, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]


@pytest.fixture
def hanging(lab: Lab) -> tuple[str, ...]:
    """A launch of three participants of which one hangs for ever."""
    lab.upload(write_dataset(lab.folder / "ds", ["01", "02", "03"]), "ds")
    return (*going_on(lab), "--rehearse-fault", "02=hang")


def going_on(lab: Lab) -> tuple[str, ...]:
    licence = ("--fs-license-file", str(lab.licence))
    return (
        "launch",
        "dataset",
        lab.url("ds"),
        "--pipeline",
        "fmriprep",
        "--output",
        lab.url("out"),
        "--rehearse",
        *licence,
    )


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.5)


def two_are_done(lab: Lab) -> bool:
    keys = lab.keys("out")
    return all(f".neurocwl/units/sub-{label}/receipt.json" in keys for label in ("01", "03"))


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def finish(lab: Lab) -> None:
    """The same command again, without the fault, ends the run with only what was not done."""
    before = {k: v for k, v in lab.keys("out").items() if k.startswith(("sub-01", "sub-03"))}
    assert before
    again = lab.run(*going_on(lab))
    assert again.code == 0, again.err
    assert "1/1" in again.err
    after = lab.keys("out")
    assert {key: after[key] for key in before} == before
    assert set(lab.run("status", lab.url("out"), "--json").statuses().values()) == {"done"}
    assert lab.run("verify", lab.url("out"), "--deep").code == 0


def test_ctrl_c_ends_everything_and_says_how_to_go_on(
    lab: Lab, hanging: tuple[str, ...], containers_left: Callable[[Path], list[str]]
) -> None:
    process = lab.start(*hanging)
    wait_for(lambda: two_are_done(lab))
    children = family(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "the same launch again" in out
    assert "stopping" in err
    assert lab.run("status", lab.url("out"), "--json").statuses() == {
        "sub-01": "done",
        "sub-02": "not-started",
        "sub-03": "done",
        "group": "not-started",
    }
    assert containers_left(lab.folder) == []
    assert [child for child in children if child.is_running()] == []
    assert not list(lab.work.iterdir())
    finish(lab)


def test_a_killed_launcher_takes_toil_along_and_the_next_launch_cleans_up(
    lab: Lab, hanging: tuple[str, ...], containers_left: Callable[[Path], list[str]]
) -> None:
    process = lab.start(*hanging)
    wait_for(lambda: two_are_done(lab))
    process.kill()
    process.communicate()
    wait_for(
        lambda: (
            not [
                p
                for p in psutil.process_iter(["cmdline"])
                if str(lab.work) in " ".join(p.info["cmdline"] or [])
                and "toil" in " ".join(p.info["cmdline"] or [])
            ]
        ),
        60,
    )
    assert lab.run("status", lab.url("out"), "--json").json["state"] == "broken"
    finish(lab)
    assert containers_left(lab.folder) == []


def test_a_killed_toil_leader_is_said_and_loses_nothing(lab: Lab, hanging: tuple[str, ...]) -> None:
    process = lab.start(*hanging)
    wait_for(lambda: two_are_done(lab))
    leader = next(
        child
        for child in family(process)
        if "toil-cwl-runner" in " ".join(child.cmdline()) and child.ppid() == process.pid
    )
    leader.kill()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "not-started" in out
    finish(lab)


def test_cancel_stops_a_launch_from_elsewhere(
    lab: Lab, hanging: tuple[str, ...], containers_left: Callable[[Path], list[str]]
) -> None:
    process = lab.start(*hanging)
    wait_for(lambda: two_are_done(lab))
    cancelled = lab.run("cancel", lab.url("out"))
    assert cancelled.code == 0, cancelled.err
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert lab.run("status", lab.url("out"), "--json").json["state"] == "cancelled"
    assert containers_left(lab.folder) == []
    assert "no launch" in lab.run("cancel", lab.url("out")).out


def test_two_launches_into_one_output_never_both_run(lab: Lab, hanging: tuple[str, ...]) -> None:
    process = lab.start(*hanging)
    try:
        wait_for(lambda: two_are_done(lab))
        wait_for(lambda: lab.run("status", lab.url("out"), "--json").statuses()["sub-02"] == "running", 40)
        second = lab.run(*going_on(lab))
        assert second.code == 4
        assert "being written by" in second.err
        assert "neurocwl cancel" in second.err
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)


def test_a_hung_unit_ends_at_its_time_limit(lab: Lab, hanging: tuple[str, ...]) -> None:
    ended = lab.run(*hanging, "--time-limit", "15")
    assert ended.code == 1
    units = {u["unit"]: u for u in lab.run("status", lab.url("out"), "--json").json["units"]}
    assert {name: unit["status"] for name, unit in units.items()} == {
        "sub-01": "done",
        "sub-02": "failed",
        "sub-03": "done",
        "group": "done",
    }
    assert "time limit" in units["sub-02"]["reason"]


def test_a_work_dir_that_cannot_be_written_is_one_clear_error(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    (lab.folder / "file").write_text("")
    ended = lab.run(*going_on(lab), "--work-dir", str(lab.folder / "file" / "below"))
    assert ended.code == 3
    assert "--work-dir" in ended.err
    assert "Traceback" not in ended.err
    assert not any(Path(key).name == "lease.json" for key in lab.keys("out"))


def test_no_docker_engine_is_one_clear_error(lab: Lab) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    ended = lab.run(*going_on(lab), DOCKER_HOST=f"unix://{lab.folder}/none.sock")
    assert ended.code == 3
    assert "docker" in ended.err
    assert "--no-container" in ended.err
    assert lab.keys("out") == {}
