"""Slurm, by what its own commands say: what its partitions and nodes can take, which jobs wait and why."""

import contextlib
import getpass
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurocwl.errors import BadInput, InfrastructureError

PATIENCE = 90.0  # seconds until jobs that were cancelled must be gone; Slurm gives them KillWait [30] to end
LOOK = 1.0  # seconds between two looks whether they are

# Reasons for which a job waits for ever: its own size is what is refused. Limits that are shared with other jobs
# (AssocGrp..., QOSGrp..., QOSMaxJobs...) pass. Source: squeue(1), JOB REASON CODES.
_FOR_EVER = re.compile(
    r"Partition(TimeLimit|NodeLimit)|BadConstraints|(Assoc|QOS)(Max|Min)\w*(PerJob|PerNode)(Limit)?"
    r"|(Assoc|QOS)MaxWall\w*|QOSMin\w+|AccountNotAllowed|QOSNotAllowed|Invalid(Account|QOS)"
)
_FIELD = re.compile(r"(?:^|\s)([A-Za-z][\w/:]*)=")
_UNLIMITED = {"UNLIMITED", "INFINITE", "NONE", "N/A", "(null)", ""}


@dataclass(frozen=True, slots=True)
class Partition:
    """A queue and its limits; None is no limit."""

    name: str
    default: bool
    up: bool
    nodes: int
    seconds: int | None
    node_cpus: int | None
    node_memory_mib: int | None


@dataclass(frozen=True, slots=True)
class Node:
    """A machine, as Slurm's configuration has it, on or off."""

    name: str
    partitions: tuple[str, ...]
    cpus: int
    memory_mib: int
    disk_mib: int  # of its TmpFS; 0 where the configuration does not say
    states: frozenset[str]

    @property
    def usable(self) -> bool:
        """Whether jobs are sent to it; one that is powered down is."""
        return not self.states & {"DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "NOT_RESPONDING"}


@dataclass(frozen=True, slots=True)
class Job:
    """A job that waits or runs."""

    id: str
    state: str
    reason: str
    comment: str

    @property
    def waits_for_ever(self) -> bool:
        """Whether no other job's end lets it start."""
        return self.state == "PENDING" and bool(_FOR_EVER.fullmatch(self.reason))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a job asks for."""

    cpus: int
    memory_mib: int
    seconds: int


def partitions() -> list[Partition]:
    """The partitions of this cluster. Raises InfrastructureError when Slurm does not answer."""
    return parse_partitions(_run("scontrol", "--all", "--oneliner", "show", "partition"))


def nodes() -> list[Node]:
    """Its nodes, as far as it shows them: some hide those that are powered down (PrivateData without cloud)."""
    return parse_nodes(_run("scontrol", "--all", "--oneliner", "show", "node"))


def jobs(sign: str) -> list[Job]:
    """The user's jobs whose comment begins with this."""
    told = _run("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%i|%T|%r|%k")
    return [job for job in parse_jobs(told) if job.comment.startswith(sign)]


def choose(found: Sequence[Partition], machines: Sequence[Node], wanted: str, asked: Asked) -> str:
    """The partition for jobs of this size: the one that is wanted, else the default, else the first that fits.

    wanted: names with commas, as sbatch takes them, or "". Raises BadInput when no job of this size would ever start.
    """
    candidates = _candidates(found, wanted)
    lacks = {one.name: refusal(one, machines, asked) for one in candidates}
    fitting = [name for name, lack in lacks.items() if not lack]
    if not fitting:
        told = "; ".join(f"{name}: {lack}" for name, lack in lacks.items()) or "it has no partition"
        raise BadInput(
            f"no Slurm partition takes a job of {asked.cpus} cpus, {asked.memory_mib} MiB and "
            f"{_span(asked.seconds) if asked.seconds else 'any time'}: {told}; ask for less (--cpus, --memory-mib, --time-limit) "
            "or name another partition (--backend-setting partition=NAME)"
        )
    return wanted or fitting[0]


def most_memory(
    found: Sequence[Partition], machines: Sequence[Node], wanted: str, asked: Asked
) -> int | None:
    """The most MiB that a job of otherwise this size can have; None: nobody knows. Raises as choose does."""
    most = []
    for one in _candidates(found, wanted):
        if refusal(one, machines, asked):
            continue
        nodes_ = [n.memory_mib for n in machines if one.name in n.partitions and n.cpus >= asked.cpus]
        limits = [max(nodes_)] if nodes_ else []
        limits += [one.node_memory_mib] if one.node_memory_mib is not None else []
        if not limits:
            return None
        most.append(min(limits))
    return max(most, default=None)


def _candidates(found: Sequence[Partition], wanted: str) -> list[Partition]:
    """The partitions that jobs may go to, the first choice first. Raises BadInput for one that is not there."""
    known = {partition.name: partition for partition in found}
    names = [name for name in wanted.split(",") if name]
    for name in names:
        if name not in known:
            raise BadInput(
                f"partition={name}: Slurm has no such partition; it has {', '.join(known) or 'none'}"
            )
    return [known[name] for name in names] or sorted(found, key=lambda one: not one.default)


def refusal(partition: Partition, machines: Sequence[Node], asked: Asked) -> str:
    """Why a job of this size would never start in a partition; "" when it would."""
    if not partition.up:
        return "is not up"
    if partition.seconds is not None and asked.seconds > partition.seconds:
        return f"allows {_span(partition.seconds)}"
    if partition.node_cpus is not None and asked.cpus > partition.node_cpus:
        return f"allows {partition.node_cpus} cpus of a node"
    if partition.node_memory_mib is not None and asked.memory_mib > partition.node_memory_mib:
        return f"allows {partition.node_memory_mib} MiB of a node"
    own = [node for node in machines if partition.name in node.partitions]
    if partition.nodes == 0:
        return "has no nodes"
    if own and not any(node.cpus >= asked.cpus and node.memory_mib >= asked.memory_mib for node in own):
        most = max(own, key=lambda node: (node.memory_mib, node.cpus))
        return f"its largest node has {most.cpus} cpus and {most.memory_mib} MiB"
    return ""


def submit(command: Sequence[str], *, name: str, comment: str, log: Path, options: Sequence[str] = ()) -> str:
    """Run a command as a job, with this process's environment; returns the job's id.

    It is told by SIGTERM two minutes before its time is up, and started again when its node is lost.
    """
    return _run(
        "sbatch",
        "--parsable",
        "--requeue",
        "--open-mode=append",
        "--signal=B:TERM@120",
        f"--job-name={name}",
        f"--comment={comment}",
        f"--output={log}",
        *options,
        f"--wrap=exec {shlex.join(command)}",
    ).partition(";")[0].strip()  # fmt: skip


def end(sign: str) -> int:
    """Cancel the user's jobs whose comment begins with this, wait for their end, and return how many there were."""
    found = jobs(sign)
    if not found:
        return 0
    with contextlib.suppress(
        InfrastructureError
    ):  # one that ends by itself just now is an error of scancel's
        _run("scancel", *(job.id for job in found))
    limit = time.monotonic() + PATIENCE
    while left := jobs(sign):
        if time.monotonic() > limit:
            raise InfrastructureError(
                f"Slurm's jobs {', '.join(job.id for job in left)} of an earlier launch do not end: scancel them, "
                "and launch again when squeue lists them no more"
            )
        time.sleep(LOOK)
    return len(found)


def parse_partitions(text: str) -> list[Partition]:
    """Read what `scontrol --oneliner show partition` writes."""
    return [
        Partition(
            name=fields["PartitionName"],
            default=fields.get("Default") == "YES",
            up=fields.get("State", "UP") == "UP",
            nodes=int(fields.get("TotalNodes", "0")),
            seconds=parse_time(fields.get("MaxTime", "")),
            node_cpus=_limit(fields.get("MaxCPUsPerNode", "")),
            node_memory_mib=_limit(fields.get("MaxMemPerNode", "")),
        )
        for fields in _records(text, "PartitionName")
    ]


def parse_nodes(text: str) -> list[Node]:
    """Read what `scontrol --oneliner show node` writes."""
    return [
        Node(
            name=fields["NodeName"],
            partitions=tuple(name for name in fields.get("Partitions", "").split(",") if name),
            # CPUEfctv: without those that are kept for the system; since 22.05
            cpus=int(fields.get("CPUEfctv") or fields["CPUTot"]),
            memory_mib=int(fields["RealMemory"]) - (_limit(fields.get("MemSpecLimit", "")) or 0),
            disk_mib=_limit(fields.get("TmpDisk", "")) or 0,
            states=frozenset(state.rstrip("*~#!%$@^-") for state in fields.get("State", "").split("+")),
        )
        for fields in _records(text, "NodeName")
    ]


def parse_jobs(text: str) -> list[Job]:
    """Read what `squeue --noheader --format='%i|%T|%r|%k'` writes."""
    rows = (line.split("|", 3) for line in text.splitlines())
    return [Job(*(word.strip() for word in row)) for row in rows if len(row) == 4]


def parse_time(text: str) -> int | None:
    """Seconds of a time as Slurm writes and takes it; None is no limit. Raises ValueError for what is none.

    minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, days-hours:minutes:seconds.
    Source: sbatch(1), --time.
    """
    if text.upper() in _UNLIMITED:
        return None
    days, dash, rest = text.rpartition("-")
    numbers = [int(word) for word in rest.split(":")]
    if len(numbers) > 3 or any(number < 0 for number in numbers):
        raise ValueError(f"{text!r} is no time of Slurm's")
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _records(text: str, key: str) -> list[dict[str, str]]:
    """Lines of key=value words, of which the values may have spaces; a key in a later value changes nothing."""
    found = []
    for line in text.splitlines():
        fields: dict[str, str] = {}
        words = _FIELD.split(line)[1:]
        for name, value in zip(words[::2], words[1::2], strict=True):
            fields.setdefault(name, value.strip())
        if key in fields:
            found.append(fields)
    return found


def _limit(text: str) -> int | None:
    return None if text in _UNLIMITED else int(text)


def _span(seconds: int) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def _run(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError as error:
        raise InfrastructureError(
            f"{words[0]} is missing: run this where Slurm's commands are (a login node)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"Slurm does not answer ({words[0]}): ask its administrator") from error
    if done.returncode != 0:
        raise InfrastructureError(f"{shlex.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
