"""Datasets on a real Slurm: nodes that come and go, jobs and nodes that are lost, launches that are killed."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from neurocwl import assets, backend, containers, images, slurmbackend
from neurocwl import slurm as words
from neurocwl.errors import InfrastructureError
from tests import slurm
from tests.e2e.conftest import Lab, write_dataset

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.usefixtures("engine"),
    pytest.mark.skipif(bool(slurm.missing()), reason=f"not installed: {slurm.missing()}"),
]

TOOL = """\
#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Sleep
doc: Takes its time over a participant, and writes what it saw.
hints:
  ToolTimeLimit: {timelimit: $(inputs.time_limit)}
  DockerRequirement: {dockerPull: IMAGE}
  ResourceRequirement: {coresMin: $(inputs.cpus), ramMin: $(inputs.memory_mib)}
baseCommand: [sh, -c]
arguments: ['mkdir out && sleep "$2" && find -L "$1" -type f | sort > "out/sub-$0_files.txt"', $(inputs.participant), $(inputs.bids_dir.path), $(inputs.seconds)]
inputs:
  bids_dir: {type: Directory, doc: The dataset.}
  participant: {type: string, doc: The participant.}
  seconds: {type: string, default: "1", doc: How long it takes.}
  cpus: {type: int, default: 1, doc: CPUs.}
  memory_mib: {type: int, default: 256, doc: "Memory, MiB."}
  time_limit: {type: int, default: 600, doc: Seconds after which it is stopped.}
stdout: sleep.log
stderr: sleep.err
outputs:
  out: {type: Directory, doc: What was written., outputBinding: {glob: out}}
  stdout_log: {type: stdout, doc: Standard output.}
  stderr_log: {type: stderr, doc: Standard error.}
"""
TEMPLATE = """\
class: JobTemplate
pipeline: sleep
label: Sleep
doc: Takes its time over each participant.
tool: ../cwl/tools/sleep.cwl
unit: participant
bind:
  bids_dir: {dataset: {datatype: anat}}
  participant: {label: participant}
outputs: {out: "."}
logs: [stdout_log, stderr_log]
evidence: {expect: ["sub-{participant}_files.txt"]}
"""
PARTITIONS = (
    "PartitionName=debug Nodes=f1 MaxTime=5 Default=YES",
    "PartitionName=fixed Nodes=f1,f2",
    "PartitionName=cloud Nodes=c1,c2,c3",
)


class Site:
    """A lab with a Slurm: launches of units that take as long as they are told."""

    def __init__(self, lab: Lab, cluster: slurm.Cluster) -> None:
        self.lab, self.cluster = lab, cluster
        lab.environment |= cluster.environment
        folder = lab.folder / "pipelines"
        (folder / "jobs").mkdir(parents=True)
        (folder / "cwl" / "tools").mkdir(parents=True)
        (folder / "jobs" / "sleep.yml").write_text(TEMPLATE)
        (folder / "cwl" / "tools" / "sleep.cwl").write_text(
            TOOL.replace("IMAGE", images.ensure("nifti-check"))
        )
        (lab.folder / "s3.yml").write_text("like: slurm\nbackend: s3\njob_store: s3\n")
        self.pipelines = folder

    def words(self, partition: str, seconds: int, *more: str, backend: str = "slurm") -> tuple[str, ...]:
        return (
            *("launch", "dataset", self.lab.url("ds"), "--pipeline", "sleep", "--output", self.out),
            *("--pipeline-dir", str(self.pipelines), "--seconds", str(seconds), *more),
            *("--backend", backend, "--backend-setting", f"partition={partition}", "polling=1"),
        )

    @contextlib.contextmanager
    def launching(self, *words: str) -> "Iterator[subprocess.Popen[str]]":
        """A launch that is ended, and heard, when its test fails."""
        process = self.lab.start(*words)
        try:
            yield process
        except BaseException:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=90)
            print(out, err, self.leader_logs(), self.cluster.run("squeue"), sep="\n")
            raise

    @property
    def out(self) -> str:
        return self.lab.url("out")

    def dataset(self, *labels: str) -> None:
        self.lab.upload(write_dataset(self.lab.folder / "ds", labels), "ds")

    def receipts(self) -> list[str]:
        return sorted(key for key in self.lab.keys("out") if key.endswith("/receipt.json"))

    def leader_logs(self) -> str:
        keys = [key for key in self.lab.keys("out") if "/leader-" in key]
        return "".join(self.lab.read(f"out/{key}").decode() for key in keys)

    def all_done(self, *labels: str) -> None:
        """Each unit has one receipt, and what it lists is there."""
        assert self.receipts() == [f".neurocwl/units/sub-{label}/receipt.json" for label in labels]
        assert set(self.lab.run("status", self.out, "--json").statuses().values()) == {"done"}
        assert self.lab.run("verify", self.out, "--deep").code == 0
        assert self.cluster.jobs() == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Cluster]:
    epilog = tmp_path_factory.mktemp("slurm") / "epilog"  # Slurm's programs get nothing of our environment
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    epilog.write_text(f"#!/bin/sh\nDOCKER_HOST={host} exec {assets.path('provisioning/slurm/epilog')}\n")
    epilog.chmod(0o755)
    fixed, cloud = ("f1", "f2"), ("c1", "c2", "c3")
    settings = (*PARTITIONS, f"Epilog={epilog}")
    with slurm.running(nodes=fixed, cloud=cloud, settings=settings, idle=5) as running:
        yield running


@pytest.fixture
def site(lab: Lab, cluster: slurm.Cluster) -> Site:
    return Site(lab, cluster)


def wait_for(
    what: Callable[[], bool], process: "subprocess.Popen[str] | None" = None, seconds: float = 90
) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        assert process is None or process.poll() is None, "the launch ended before it happened"
        time.sleep(0.5)


def test_nodes_come_from_nothing_and_go_and_lost_jobs_and_nodes_lose_nothing(site: Site) -> None:
    labels = ("01", "02", "03", "04")
    site.dataset(*labels)
    clouds = ("c1", "c2", "c3")
    assert {site.cluster.states()[node] for node in clouds} == {"idle~"}
    scratch = site.lab.folder / "scratch"
    came: set[str] = set()

    def busy() -> list[str]:
        states = site.cluster.states()
        came.update(node for node in clouds if not states[node].endswith("~"))
        return [node for node in clouds if site.cluster.jobs_on(node)]

    with site.launching(*site.words("cloud", 15), f"scratch={scratch}") as process:
        wait_for(lambda: bool(busy()), process)
        one = busy()[0]
        time.sleep(2)  # so that its container runs
        site.cluster.run("scancel", *site.cluster.jobs_on(one))
        wait_for(lambda: bool(set(busy()) - {one}), process)
        other = min(set(busy()) - {one})
        time.sleep(2)
        site.cluster.lose(other)

        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, out + err
    assert len(came) > 1
    site.all_done(*labels)
    log = site.leader_logs()
    assert log.count("Exit reason: KILLED") == 1
    assert log.count("Exit reason: LOST") == 1
    assert log.count("*Not* reducing try count") == 1  # the node's loss cost its unit no attempt
    assert list(site.lab.work.iterdir()) == []
    assert [one for one in scratch.rglob("*") if one.is_file()] == []
    wait_for(lambda: all(site.cluster.states()[node] == "idle~" for node in clouds if node != other))


def test_a_unit_that_lost_its_spot_node_goes_to_one_that_stays(site: Site) -> None:
    """Toil's own second try is lost as well; then the launch decides, and says so."""
    site.dataset("01")
    spot = ("--spot", "--spot-losses", "1")
    with site.launching(*site.words("fixed", 15, *spot), "spot_partition=cloud") as process:
        lost: set[str] = set()
        while len(lost) < 2:
            wait_for(lambda: bool(set(busy(site)) - lost), process)
            node = min(set(busy(site)) - lost)
            time.sleep(2)
            site.cluster.lose(node)
            lost.add(node)
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, out + err
    assert "sub-01: lost with its node (1 so far), again on capacity that stays" in err
    assert site.lab.run("status", site.out, "--json").json["lost"] == 1
    site.all_done("01")


def busy(site: Site) -> list[str]:
    """The cloud nodes that have a job."""
    return [node for node in ("c1", "c2", "c3") if site.cluster.jobs_on(node)]


def test_after_a_killed_launch_its_jobs_are_cancelled_and_the_same_command_goes_on(site: Site) -> None:
    site.dataset("01", "02")
    process = site.lab.start(*site.words("fixed", 300))
    wait_for(lambda: len(site.cluster.jobs("-t", "R")) == 2)
    family = psutil.Process(process.pid).children(recursive=True)
    for one in (psutil.Process(process.pid), *family):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    process.communicate()
    strays = site.cluster.jobs()
    assert len(strays) == 2

    again = site.lab.run(*site.words("fixed", 1, backend=str(site.lab.folder / "s3.yml")))
    assert again.code == 0, again.err
    assert not set(strays) & set(site.cluster.jobs())
    site.all_done("01", "02")
    assert [
        b["Name"] for b in site.lab.s3.list_buckets()["Buckets"] if b["Name"].startswith("neurocwl-")
    ] == []


def test_a_detached_launch_is_a_job_itself_and_can_be_cancelled_from_anywhere(site: Site) -> None:
    site.dataset("01")
    words = site.words("fixed", 300)
    started = site.lab.run(*words, "leader_partition=fixed", "leader_memory=500", "--detach")
    assert started.code == 0, started.err
    assert f"Slurm's job {site.cluster.jobs()[0]}" in started.out
    wait_for(lambda: len(site.cluster.jobs("-t", "R")) == 2)
    second = site.lab.run(*words, "--detach")
    assert second.code == 4
    assert "is a launch for it" in second.err
    cancelled = site.lab.run("cancel", site.out)
    assert cancelled.code == 0, cancelled.err
    wait_for(lambda: site.cluster.jobs() == [])
    assert site.lab.run("status", site.out, "--json").json["state"] == "cancelled"


@pytest.mark.parametrize(
    ("partition", "more", "said"),
    [
        ("fixed", ("--memory-mib", "9000"), "fixed: its largest node has 1 cpus and 8000 MiB"),
        ("debug", (), "debug: allows 5 min"),
    ],
)
def test_what_no_node_of_the_partition_takes_is_refused_before_anything_is_written(
    site: Site, partition: str, more: tuple[str, ...], said: str
) -> None:
    site.dataset("01")
    refused = site.lab.run(*site.words(partition, 1, *more))
    assert refused.code == 2
    assert said in refused.err
    assert site.lab.keys("out") == {}
    assert site.cluster.jobs() == []


@pytest.fixture
def commands(cluster: slurm.Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> slurm.Cluster:
    """The cluster, reached by this process."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return cluster


def test_what_slurm_says_of_itself_is_read_as_it_was_configured(commands: slurm.Cluster) -> None:
    found = {one.name: one for one in words.partitions()}
    assert list(found) == ["debug", "fixed", "cloud"]
    assert (found["debug"].default, found["debug"].seconds, found["cloud"].nodes) == (True, 300, 3)
    nodes = {node.name: node for node in words.nodes()}
    assert set(nodes) == {"f1", "f2", "c1", "c2", "c3"}
    assert (nodes["c1"].cpus, nodes["c1"].memory_mib, nodes["c1"].partitions) == (1, 8000, ("cloud",))


def test_a_job_that_would_wait_for_ever_ends_the_launch_that_waits_for_it(commands: slurm.Cluster) -> None:
    def submit(minutes: int) -> str:
        options = ["--partition=debug", f"--time={minutes}"]
        return words.submit(
            ["sleep", "300"], name="one", comment="neurocwl.feed.r1", log=Path("log"), options=options
        )

    where = backend.load("slurm")
    fine = submit(5)
    slurmbackend.watch(where, "feed", "r1")
    hopeless = submit(6)  # longer than the partition allows: Slurm takes it, and never starts it
    wait_for(lambda: any(job.waits_for_ever for job in words.jobs("neurocwl.feed.r1")))
    with pytest.raises(InfrastructureError, match=f"never start its job {hopeless} .*PartitionTimeLimit"):
        slurmbackend.watch(where, "feed", "r1")
    slurmbackend.watch(where, "feed", "another run")
    assert {job.id for job in words.jobs("neurocwl.feed.")} == {fine, hopeless}
    assert words.end("neurocwl.feed.") == 2
    assert words.jobs("neurocwl.feed.") == []


def test_a_container_ends_with_its_job_even_when_that_is_killed_hard(commands: slurm.Cluster) -> None:
    image = images.ensure("nifti-check")
    environment = containers.environment("r2", "s3://lab/epilog")
    (label,) = [word for word in environment["NEUROCWL_LABELS"].split() if "output" in word]

    def running() -> str:
        listed = ["docker", "ps", "--quiet", "--filter", f"label={label}"]
        return subprocess.run(listed, capture_output=True, text=True, check=True).stdout

    assignments = [f"{name}={value}" for name, value in environment.items()]
    client = str(containers.wrapper_folder() / "docker")
    job = words.submit(
        ["env", *assignments, client, "run", "--rm", "--network=none", "--entrypoint=sleep", image, "300"],
        name="one",
        comment="hard",
        log=Path("log"),
        options=["--partition=fixed"],
    )
    wait_for(lambda: bool(running()))
    commands.run("scancel", "--signal=KILL", "--full", job)
    wait_for(lambda: not running())
