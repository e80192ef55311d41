"""What Slurm's commands say, and what follows from it for jobs of a size."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import assets, backend, capacity, repeat, runs, slurm, slurmbackend
from neurocwl.errors import BadInput
from neurocwl.leaders import Means
from neurocwl.machine import Machine
from neurocwl.plan import Request
from neurocwl.s3 import Access
from neurocwl.stop import Stop
from neurocwl.units import Selection
from tests.unit.test_history import Lab
from tests.unit.test_status_verify import a_run, planned

# In the form of scontrol and squeue of Slurm 22.05.
PARTITIONS = """\
PartitionName=day AllowGroups=ALL Default=YES DefaultTime=NONE MaxNodes=UNLIMITED MaxTime=1-00:00:00 MaxCPUsPerNode=UNLIMITED Nodes=a[1-2] State=UP TotalCPUs=12 TotalNodes=2 MaxMemPerNode=UNLIMITED TRES=cpu=12,mem=48000M,node=2
PartitionName=spot AllowGroups=ALL Default=NO MaxTime=UNLIMITED MaxCPUsPerNode=4 Nodes=b1 State=UP TotalCPUs=16 TotalNodes=1 MaxMemPerNode=9000
PartitionName=old AllowGroups=ALL Default=NO MaxTime=UNLIMITED Nodes=a1 State=DOWN TotalCPUs=4 TotalNodes=1
PartitionName=hidden AllowGroups=ALL Default=NO MaxTime=UNLIMITED Nodes=c1 State=UP TotalCPUs=96 TotalNodes=1
"""
NODES = """\
NodeName=a1 Arch=x86_64 CPUAlloc=1 CPUEfctv=3 CPUTot=4 OS=Linux 6.1 #1 SMP RealMemory=16000 AllocMem=0 State=ALLOCATED ThreadsPerCore=1 TmpDisk=900 Partitions=day,old MemSpecLimit=1000 CfgTRES=cpu=4,mem=16000M
NodeName=a2 Arch=x86_64 CPUTot=8 RealMemory=32000 State=DOWN+CLOUD+NOT_RESPONDING TmpDisk=0 Partitions=day Reason=Not responding Partitions=none [root@2026-11-21T15:33:23]
NodeName=b1 CPUTot=16 RealMemory=64000 State=IDLE+CLOUD+POWERED_DOWN TmpDisk=0 Partitions=spot
"""
JOBS = """\
2|PENDING|PartitionTimeLimit|neurocwl.abc.r1
3|PENDING|Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions|neurocwl.abc.r1
4|RUNNING|None|a comment | of somebody
5|PENDING|Resources|(null)
"""
words = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="=|"), min_size=1)


def test_partitions_are_read_with_their_limits() -> None:
    day, spot, old, _ = slurm.parse_partitions(PARTITIONS)
    assert day == slurm.Partition("day", True, True, 2, 86400, None, None)
    assert spot == slurm.Partition("spot", False, True, 1, None, 4, 9000)
    assert not old.up


def test_nodes_are_read_without_what_is_kept_for_the_system() -> None:
    a1, a2, b1 = slurm.parse_nodes(NODES)
    assert (a1.cpus, a1.memory_mib, a1.disk_mib, a1.partitions) == (3, 15000, 900, ("day", "old"))
    assert (a2.cpus, a2.partitions) == (8, ("day",))
    assert [node.usable for node in (a1, a2, b1)] == [True, False, True]


def test_jobs_are_read_and_only_what_no_end_of_another_job_changes_waits_for_ever() -> None:
    jobs = slurm.parse_jobs(JOBS)
    assert [job.id for job in jobs if job.waits_for_ever] == ["2"]
    assert jobs[2].comment == "a comment | of somebody"


@pytest.mark.parametrize(
    ("reason", "for_ever"),
    [
        ("PartitionTimeLimit", True),
        ("PartitionNodeLimit", True),
        ("AssocMaxCpuPerJobLimit", True),
        ("QOSMaxMemoryPerJob", True),
        ("QOSMaxWallDurationPerJobLimit", True),
        ("QOSMinCpuNotSatisfied", True),
        ("BadConstraints", True),
        ("InvalidAccount", True),
        ("Resources", False),
        ("Priority", False),
        ("BeginTime", False),
        ("AssocGrpCpuLimit", False),
        ("QOSGrpMemLimit", False),
        ("AssocMaxJobsLimit", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("ReqNodeNotAvail, UnavailableNodes:c[1-3]", False),
        ("None", False),
    ],
)
def test_limits_of_one_job_are_for_ever_and_those_that_jobs_share_pass(reason: str, for_ever: bool) -> None:
    assert slurm.Job("1", "PENDING", reason, "").waits_for_ever is for_ever
    assert not slurm.Job("1", "RUNNING", reason, "").waits_for_ever


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_times_are_read_in_every_form_that_slurm_has(days: int, hours: int, minutes: int, rest: int) -> None:
    whole = ((days * 24 + hours) * 60 + minutes) * 60
    assert slurm.parse_time(f"{days}-{hours:02}:{minutes:02}:{rest:02}") == whole + rest
    assert slurm.parse_time(f"{days}-{hours}:{minutes}") == whole
    assert slurm.parse_time(f"{days}-{hours}") == (days * 24 + hours) * 3600
    assert slurm.parse_time(f"{hours:02}:{minutes:02}:{rest:02}") == (hours * 60 + minutes) * 60 + rest
    assert slurm.parse_time(f"{minutes}:{rest:02}") == minutes * 60 + rest
    assert slurm.parse_time(f"{minutes}") == minutes * 60


@pytest.mark.parametrize("text", ["UNLIMITED", "infinite", "NONE", ""])
def test_no_limit_is_none(text: str) -> None:
    assert slurm.parse_time(text) is None


@pytest.mark.parametrize("text", ["soon", "1:2:3:4", "1--2", "-", "1-", "2-:30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|no time"):
        slurm.parse_time(text)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Za-z]{1,11}", fullmatch=True), st.lists(words, min_size=1).map(" ".join)
    )
)
def test_values_with_spaces_are_read_whole(fields: dict[str, str]) -> None:
    line = " ".join(f"{key}={value}" for key, value in {"NodeName": "n1", **fields}.items())
    assert slurm._records(f"\n{line}\n\n", "NodeName") == [{"NodeName": "n1", **fields}]


@given(st.lists(st.tuples(st.integers(1), words, words, words), max_size=5))
def test_as_many_jobs_are_read_as_were_written(jobs: list[tuple[int, str, str, str]]) -> None:
    text = "".join(f"{number}|{state}|{reason}|{comment}\n" for number, state, reason, comment in jobs)
    assert slurm.parse_jobs(text) == [slurm.Job(str(n), state, r, comment) for n, state, r, comment in jobs]


def test_no_answer_is_no_job_no_node_and_no_partition() -> None:
    for parse in (slurm.parse_jobs, slurm.parse_nodes, slurm.parse_partitions):
        assert parse("") == []
        assert parse("No nodes in the system\n") == []  # type: ignore[comparison-overlap]


def chosen(wanted: str, cpus: int, memory_mib: int, hours: int) -> str:
    partitions, nodes = slurm.parse_partitions(PARTITIONS), slurm.parse_nodes(NODES)
    return slurm.choose(partitions, nodes, wanted, slurm.Asked(cpus, memory_mib, hours * 3600))


@pytest.mark.parametrize(
    ("wanted", "cpus", "memory_mib", "hours", "partition"),
    [
        ("", 4, 8000, 2, "day"),  # the default
        ("", 4, 8000, 48, "spot"),  # the first that fits
        ("", 90, 900000, 48, "hidden"),  # its nodes are not shown, so that nobody can tell
        ("spot", 4, 9000, 2, "spot"),
        ("day,spot", 4, 9000, 48, "day,spot"),  # Slurm takes the one that fits
    ],
)
def test_the_partition_that_is_wanted_is_taken_else_the_default_else_the_first_that_fits(
    wanted: str, cpus: int, memory_mib: int, hours: int, partition: str
) -> None:
    assert chosen(wanted, cpus, memory_mib, hours) == partition


@pytest.mark.parametrize(
    ("wanted", "cpus", "memory_mib", "hours", "said"),
    [
        ("day", 1, 1, 48, "day: allows 24.0 h"),
        ("day", 1, 40000, 1, "day: its largest node has 8 cpus and 32000 MiB"),
        ("day", 9, 1, 1, "day: its largest node has 8 cpus"),
        ("day", 8, 32001, 1, "largest node"),
        ("spot", 5, 1, 1, "spot: allows 4 cpus of a node"),
        ("spot", 1, 9001, 1, "spot: allows 9000 MiB of a node"),
        ("old", 1, 1, 1, "old: is not up"),
        ("night", 1, 1, 1, "no such partition; it has day, spot, old, hidden"),
        ("day,old", 1, 1, 48, "day: allows 24.0 h; old: is not up; ask for less"),
    ],
)
def test_what_would_wait_for_ever_is_refused_with_its_reason(
    wanted: str, cpus: int, memory_mib: int, hours: int, said: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        chosen(wanted, cpus, memory_mib, hours)


sizes = st.builds(slurm.Asked, st.integers(1, 64), st.integers(0, 10**6), st.integers(0, 10**6))


@given(sizes, sizes)
def test_whoever_asks_for_less_is_never_refused_where_more_was_taken(
    one: slurm.Asked, other: slurm.Asked
) -> None:
    partitions, nodes = slurm.parse_partitions(PARTITIONS), slurm.parse_nodes(NODES)
    less = slurm.Asked(
        min(one.cpus, other.cpus), min(one.memory_mib, other.memory_mib), min(one.seconds, other.seconds)
    )
    for partition in partitions:
        assert slurm.refusal(partition, nodes, one) or not slurm.refusal(partition, nodes, less)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of a cluster, without one: what is chosen from them is looked at here. A real one: e2e/test_slurm.py."""
    monkeypatch.setattr(slurm, "partitions", lambda: slurm.parse_partitions(PARTITIONS))
    monkeypatch.setattr(slurm, "nodes", lambda: slurm.parse_nodes(NODES))


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("given", "asked", "options"),
    [
        # the unit's own limit, and an hour for its files; not the tool's limit alone, by which Toil would end it
        (
            (),
            {"cpus": 1, "memory_mib": 100, "time_limit": 7200},
            {"--slurmPartition=day", "--slurmTime=0:10800"},
        ),
        # no more than the partition allows
        ((), {"time_limit": 86400}, {"--slurmPartition=day", "--slurmTime=0:86400"}),
        # a default time of the partition may be minutes, so that its longest is asked for
        ((), {"time_limit": 0}, {"--slurmPartition=day", "--slurmTime=0:86400"}),
        (("partition=spot",), {}, {"--slurmPartition=spot"}),
        (
            ("partition=spot", "time=2:00:00"),
            {"time_limit": 60},
            {"--slurmPartition=spot", "--slurmTime=0:7200"},
        ),
    ],
)
def test_jobs_ask_for_a_partition_and_a_time(
    given: tuple[str, ...], asked: dict[str, int], options: set[str]
) -> None:
    found = slurmbackend.fitted(backend.load("slurm", given), asked).toil_options(digest="abc", run="r1")
    assert {option for option in found if re.match("--slurm(Partition|Time)", option)} == options


@pytest.mark.usefixtures("cluster")
def test_a_time_that_the_partition_does_not_allow_is_refused() -> None:
    with pytest.raises(BadInput, match=re.escape("day: allows 24.0 h")):
        slurmbackend.fitted(backend.load("slurm", ["partition=day", "time=2-0"]), {})


@pytest.mark.usefixtures("cluster")
def test_the_partition_for_spot_must_take_the_units_too() -> None:
    where = backend.load("slurm", ["partition=day", "spot_partition=spot"])
    spot = slurmbackend.fitted(where, {"memory_mib": 9000}).toil_options(backend.SPOT)
    assert "--slurmPartition=spot" in spot
    with pytest.raises(BadInput, match="9000 MiB"):
        slurmbackend.fitted(where, {"memory_mib": 9001})


@pytest.mark.usefixtures("cluster")
def test_without_a_partition_for_spot_jobs_go_where_the_others_go() -> None:
    """Not to Slurm's default partition, which nobody named."""
    found = slurmbackend.fitted(backend.load("slurm", ["partition=spot"]), {}).toil_options(backend.SPOT)
    assert "--slurmPartition=spot" in found


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("given", "asked", "most"),
    [
        (["partition=day"], {}, 32000),
        (["partition=spot"], {}, 9000),  # its node has more; it allows less
        (["partition=day", "spot_partition=spot"], {}, 9000),
        (["partition=day"], {"cpus": 6}, 32000),
        (["partition=hidden"], {}, None),  # its nodes are not shown
        ([], {}, None),
    ],
)
def test_a_unit_that_needs_more_memory_gets_no_more_than_the_largest_node_has(
    given: list[str], asked: dict[str, int], most: int | None
) -> None:
    assert capacity.largest(backend.load("slurm", given), asked).memory_mib == most


def test_jobs_are_known_by_output_and_run_and_never_started_again_behind_toil_s_back() -> None:
    found = backend.load("slurm").toil_options(digest="abc", run="r1")
    assert "--slurmArgs=--no-requeue --comment=neurocwl.abc.r1" in found


def test_account_and_quality_of_service_reach_sbatch_by_its_own_variables() -> None:
    where = backend.load("slurm", ["account=brains", "constraint=ssd"])
    assert where.variables() == {"SBATCH_ACCOUNT": "brains", "SBATCH_CONSTRAINT": "ssd"}


def test_singularity_differs_in_the_container_and_shares_one_cache_of_images() -> None:
    where = backend.load("slurm-singularity", ["image_cache=/shared/images"])
    docker = backend.load("slurm")
    assert [o for o in where.toil_options() if o not in docker.toil_options()] == ["--singularity"]
    assert set(where.variables().values()) == {"/shared/images"}
    assert replace(where, name="", label="", doc="", container="", file=Path(), values={}) == replace(
        docker, name="", label="", doc="", container="", file=Path(), values={}
    )


def test_the_epilog_never_fails_which_would_drain_its_node(tmp_path: Path) -> None:
    epilog = assets.path("provisioning/slurm/epilog")
    done = subprocess.run([str(epilog)], env={"DOCKER_HOST": f"unix://{tmp_path}/none"}, capture_output=True)
    assert done.returncode == 0


def test_the_profile_on_the_page_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/slurm.md").read_text()
    (text,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "our-cluster.yml").write_text(text)
    where = backend.load(str(tmp_path / "our-cluster.yml"))
    assert where.container == "singularity"
    assert "--workDir=/local/scratch" in where.toil_options(digest="abc", run="r1")


@pytest.mark.usefixtures("cluster")
def test_a_unit_that_asks_for_more_than_any_node_has_is_left_out_and_the_launch_goes_on(
    tmp_path: Path,
) -> None:
    """What it asks for is its own, e.g. learned from an earlier launch; the others do not go down with it."""
    lab = Lab(tmp_path)
    one = replace(lab.planned({}).order, settings={"cpus": 64})
    run = replace(a_run(lab.output, planned("sub-1"), status_="running"), resources={"cpus": 1})
    where = backend.load("slurm", ["partition=day"])
    means = Means(Access(), Access(), {}, None, True, tmp_path, ["neurocwl"], where)
    request = Request(lab.template, Selection(), {}, lab.template.image)
    repeat.run_rounds(
        [one], request, run, lab.output, means, Machine(None, None, None), tmp_path, Stop(print)
    )
    told = runs.read_rounds(lab.output, run.run).units["sub-1"]
    assert not told.again
    assert told.why.startswith("not started: no Slurm partition takes a job of 64 cpus")
