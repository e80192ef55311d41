"""What did not get through is run again: with more memory or disk, up to a bound, and after its node was taken away.

One launch of four subjects, with real memory limits and a real disk that is full. The service that gives notice of a
spot instance's end is a server of this test on loopback; the node itself does not go away (docs/not-proved.md).
"""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import Lab, Result, write_dataset
from tests.metadata_service import Metadata, running

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]
LABELS = ["01", "02", "03", "04"]


@pytest.fixture(scope="module")
def metadata() -> Iterator[Metadata]:
    with running() as service:
        yield service


@dataclass
class Launched:
    lab: Lab
    ended: Result
    words: list[str]

    def receipt(self, unit: str) -> Any:
        return json.loads(self.lab.read(f"out/.neurocwl/units/{unit}/receipt.json"))

    def subject(self, unit: str, path: str) -> str:
        return self.lab.read(f"out/{unit}/{path}").decode()


def lingers(lab: Lab) -> bool:
    """Whether sub-02 is in the middle of its second stage."""
    run = lab.run("status", lab.url("out"), "--json").json["run"]
    wanted = (f"label=neurocwl.run={run}", "label=neurocwl.unit=sub-02")
    for one in docker("ps", "-q", *(word for label in wanted for word in ("--filter", label))).split():
        log = working_folder(one) / "sub-02/scripts/recon-all-status.log"
        return log.exists() and "autorecon2" in log.read_text()
    return False


def has_file(lab: Lab, unit: str, path: str) -> bool:
    """Whether the container of a unit has written a file into its working folder."""
    told = lab.run("status", lab.url("out"), "--json")
    if not told.out:  # the run has not begun
        return False
    wanted = (f"label=neurocwl.run={told.json['run']}", f"label=neurocwl.unit={unit}")
    found = docker("ps", "-q", *(word for label in wanted for word in ("--filter", label))).split()
    return any((working_folder(one) / path).exists() for one in found)


def working_folder(container: str) -> Path:
    """The working folder of a container, as it is here: docker exec sees another one where docker runs in a chroot."""
    known = json.loads(docker("inspect", container) or "[]")
    for mount in known[0]["Mounts"] if known else []:
        if mount["Destination"] == known[0]["Config"]["WorkingDir"]:
            return Path(mount["Source"])
    return Path("/nonexistent")


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def launched(
    s3_server: dict[str, str], metadata: Metadata, tmp_path_factory: pytest.TempPathFactory
) -> Launched:
    lab = Lab(s3_server, tmp_path_factory.mktemp("rounds"))
    lab.upload(write_dataset(lab.folder / "ds", LABELS), "ds")
    lab.environment["NEUROCWL_METADATA"] = metadata.url
    words = [
        *("dataset", lab.url("ds"), "--pipeline", "recon-all", "--output", lab.url("out")),
        *("--fs-license-file", str(lab.licence)),
    ]
    process = lab.start(
        "launch",
        *words,
        *("--rehearse", "--rehearse-fault", "01=oom-below=700", "02=linger", "03=disk-full", "04=oom"),
        *("--memory-mib", "512", "--max-memory-mib", "768", "--max-disk-mib", "3072"),
        *("--time-limit", "150"),
    )

    def give_notice() -> None:
        """When nothing but sub-02 runs in the first round, and that lingers."""
        others = {f".neurocwl/units/sub-{label}/receipt.json" for label in LABELS if label != "02"}
        while process.poll() is None and not (others <= set(lab.keys("out")) and lingers(lab)):
            time.sleep(1)
        metadata.notice.set()

    threading.Thread(target=give_notice, daemon=True).start()
    try:
        out, err = process.communicate(timeout=500)
    finally:
        process.kill()
    return Launched(lab, Result(process.returncode, out, err), words)


def test_a_unit_that_ran_out_of_memory_gets_through_with_more(launched: Launched) -> None:
    receipt = launched.receipt("sub-01")
    assert receipt["status"] == "done", launched.ended.err
    asked = [attempt["asked"]["memory_mib"] for attempt in receipt["attempts"]]
    assert asked == [512, 768]
    assert [attempt.get("short_of") for attempt in receipt["attempts"]] == ["memory", None]
    assert receipt["attempts"][0]["used"]["memory_mib"] == 512
    assert "sub-01: out of memory with 512 MiB, again with 768" in launched.ended.err


def test_at_the_bound_it_failed_for_one_clear_reason(launched: Launched) -> None:
    units = {
        unit["unit"]: unit
        for unit in launched.lab.run("status", launched.lab.url("out"), "--json").json["units"]
    }
    assert launched.ended.code == 1
    assert units["sub-04"]["status"] == "failed"
    assert units["sub-04"]["reason"].startswith("out of memory with 768 MiB")
    assert units["sub-04"]["reason"].endswith("not again: --max-memory-mib 768 is the bound")
    assert units["sub-04"]["attempts"] == 2


def test_a_unit_whose_disk_was_full_gets_more_of_it(launched: Launched) -> None:
    receipt = launched.receipt("sub-03")
    assert "No space left on device" in receipt["reason"]
    asked = [a["asked"]["tmp_mib"] + a["asked"]["out_mib"] for a in receipt["attempts"]]
    assert asked == [2048, 3072]
    assert [a["short_of"] for a in receipt["attempts"]] == ["disk", "disk"]


def test_a_unit_whose_node_is_taken_away_goes_on_where_it_was(launched: Launched, metadata: Metadata) -> None:
    receipt = launched.receipt("sub-02")
    first, second = receipt["attempts"]
    assert metadata.given == 1
    assert first["lost"] is True
    assert first["reason"].startswith("preempted")
    assert (second["status"], second.get("lost")) == ("done", None)
    stages = launched.subject("sub-02", "scripts/recon-all-status.log").splitlines()
    assert [line.split()[1] for line in stages] == ["autorecon1", "autorecon2", "autorecon2", "autorecon3"]
    assert "-i " not in launched.subject("sub-02", "scripts/recon-all.log")
    assert not [key for key in launched.lab.keys("out") if key.startswith("sub-02/") and "IsRunning" in key]


def test_lost_nodes_are_counted(launched: Launched) -> None:
    url = launched.lab.url("out")
    assert launched.lab.run("status", url, "--json").json["lost"] == 1
    assert "lost nodes: 1" in launched.lab.run("status", url).out


def test_the_next_plan_knows_what_was_too_little(launched: Launched) -> None:
    plan = launched.lab.run("plan", *launched.words, "--json", "--memory-mib", "512")
    assert {u["unit"]: u["asks"] for u in plan.json["units"]}["sub-04"] == {}, "a rehearsal teaches nothing"


def test_every_byte_that_the_rounds_left_is_accounted_for(launched: Launched) -> None:
    assert launched.lab.run("verify", launched.lab.url("out"), "--deep").code == 0
    left = {Path(key).parts[4] for key in launched.lab.keys("out") if "/sub-01/attempts/" in key}
    assert len(left) == 2  # logs of every attempt


def test_fmriprep_goes_on_with_the_freesurfer_subject_of_a_node_that_was_taken_away(
    lab: Lab, metadata: Metadata
) -> None:
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    lab.environment["NEUROCWL_METADATA"] = metadata.url
    process = lab.start(
        *("launch", "dataset", lab.url("ds"), "--pipeline", "fmriprep", "--output", lab.url("out")),
        *("--fs-license-file", str(lab.licence), "--rehearse", "--rehearse-fault", "01=linger"),
        *("--time-limit", "150"),
    )
    before = metadata.given

    def give_notice() -> None:
        """When FreeSurfer's results are there and nothing else is."""
        done = "derivatives/sourcedata/freesurfer/sub-01/scripts/recon-all.done"
        while process.poll() is None and not has_file(lab, "sub-01", done):
            time.sleep(1)
        metadata.notice.set()

    threading.Thread(target=give_notice, daemon=True).start()
    try:
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    receipt = json.loads(lab.read("out/.neurocwl/units/sub-01/receipt.json"))
    keys = lab.keys("out")
    assert (process.returncode, metadata.given) == (0, before + 1), err
    assert [(a["status"], a.get("lost")) for a in receipt["attempts"]] == [("failed", True), ("done", None)]
    said = [
        next(one["path"] for one in a["logs"] if one["path"].endswith(".log")) for a in receipt["attempts"]
    ]
    told = [b"earlier FreeSurfer in freesurfer: sub-01" in lab.read(f"out/{path}") for path in said]
    assert told == [False, True]
    assert "sourcedata/freesurfer/sub-01/surf/lh.pial" in keys
    assert not [key for key in keys if "/attempts/" in key and "/outputs/" in key]
    assert lab.run("verify", lab.url("out"), "--deep").code == 0


def test_a_unit_whose_worker_was_killed_runs_again(lab: Lab) -> None:
    """Toil tries it a second time by itself; when that worker goes, too, there is another round."""
    lab.upload(write_dataset(lab.folder / "ds", ["01"]), "ds")
    process = lab.start(
        *("launch", "dataset", lab.url("ds"), "--pipeline", "fmriprep", "--output", lab.url("out")),
        *("--fs-license-file", str(lab.licence), "--rehearse", "--rehearse-fault", "01=hang"),
        *("--time-limit", "20"),
    )
    kill_workers(lab, process, 2)
    _, err = process.communicate(timeout=400)
    unit = lab.run("status", lab.url("out"), "--json").json["units"][0]
    assert "sub-01: Toil could not finish it, again" in err
    assert (unit["status"], unit["attempts"]) == ("failed", 1), unit["reason"]
    assert "time limit" in unit["reason"]


def kill_workers(lab: Lab, launch: "subprocess.Popen[str]", times: int) -> None:
    """Kill the worker of a unit while its container runs, so many times."""
    killed: set[int] = set()
    while len(killed) < times and launch.poll() is None:
        for worker in psutil.Process(launch.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = " ".join(worker.cmdline())
                below = [" ".join(child.cmdline()) for child in worker.children(recursive=True)]
                runs = any("container_run.py" in child for child in below)
                if "python" in words and "_toil_worker CWLJob" in words and runs and worker.pid not in killed:
                    killed.add(worker.pid)
                    worker.kill()
        time.sleep(0.5)
