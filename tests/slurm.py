"""A real Slurm on loopback: nodes that are always there, and nodes that its power saving starts and stops.

All nodes are processes of this machine. Not proved by it: limits by cgroups (a job may take more than it asked
for), accounting, a shared file system, and that a lost node is a lost machine.
"""

import contextlib
import ctypes
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PATIENCE = 30.0  # seconds until the controller must answer

_RESUME = """#!/bin/sh
# Slurm's programs of power saving get no PATH.
export PATH={path} HOME={folder} SLURM_CONF={folder}/slurm.conf
for node in $(scontrol show hostnames "$1"); do
  # -b: or the node is told from one that was started before it was asked for, as this machine was
  setsid slurmd -b -D -N "$node" </dev/null >"{folder}/$node.out" 2>&1 &
done
"""

_SUSPEND = """#!/bin/sh
export PATH={path} HOME={folder} SLURM_CONF={folder}/slurm.conf
for node in $(scontrol show hostnames "$1"); do
  pid=$(cat "{folder}/slurmd-$node.pid") || continue
  kill "$pid"
  for second in 1 2 3; do kill -0 "$pid" || break; sleep 1; done
  kill -KILL "$pid"
done 2>/dev/null
"""


@dataclass(frozen=True)
class Cluster:
    """One Slurm, and how its commands reach it."""

    folder: Path
    keeper: int

    @property
    def environment(self) -> Mapping[str, str]:
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *words: str) -> str:
        """The output of one of Slurm's commands."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def states(self) -> dict[str, str]:
        """Node -> its state as sinfo writes it: idle~ is powered down, idle# powers up, idle% powers down."""
        return dict(line.split() for line in self.run("sinfo", "-hN", "-o", "%N %t").splitlines())

    def jobs(self, *options: str) -> list[str]:
        """The ids of jobs that wait or run."""
        return self.run("squeue", "-h", "-o", "%i", *options).split()

    def jobs_on(self, node: str) -> list[str]:
        """The ids of jobs that run on a node."""
        return self.jobs("-t", "R", "-w", node)

    def lose(self, node: str) -> None:
        """A node is gone, and all that ran on it, its containers too."""
        gone = []
        for process in psutil.Process(self.keeper).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURMD_NODENAME") == node or _is_daemon_of(node, process.cmdline()):
                    gone.append(process)
                    if "slurmstepd" in "".join(process.parent().cmdline()[:1]):  # type: ignore[union-attr]
                        gone.append(process.parent())
        identities = [c for process in gone for c in _container(process)]
        for process in gone:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if identities:
            subprocess.run(["docker", "kill", *identities], capture_output=True, check=False)
        # Slurm would find out by itself in half a minute; ParallelCluster's daemon, which asks EC2, tells it.
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=gone")


def missing() -> str:
    """Which of Slurm's programs is not installed; "" when none is."""
    return " ".join(program for program in PROGRAMS if not shutil.which(program, path=SEARCHED))


@contextlib.contextmanager
def running(
    *,
    nodes: Sequence[str] = (),
    cloud: Sequence[str] = (),
    settings: Sequence[str] = ("PartitionName=all Nodes=ALL Default=YES",),
    idle: int = 8,
    cpus: int = 1,
    memory: int = 8000,
) -> Iterator[Cluster]:
    """A Slurm while the body runs; nothing of it is left after.

    cloud: nodes that come when jobs wait and go when they were idle for `idle` seconds. memory: MiB of a node.
    settings: further lines of slurm.conf.
    """
    # A socket's path has at most 107 characters, which pytest's folders use up.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    try:
        size = f"CPUs={cpus} RealMemory={memory}"
        _write(folder, nodes, cloud, size, settings, idle)
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(folder), *nodes],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            cluster = Cluster(folder, keeper.pid)
            _wait(cluster, keeper, nodes)
            yield cluster
        finally:
            assert keeper.stdin
            keeper.stdin.close()
            keeper.wait(60)
    finally:
        shutil.rmtree(folder)


def _write(
    folder: Path, nodes: Sequence[str], cloud: Sequence[str], size: str, settings: Sequence[str], idle: int
) -> None:
    host, user = socket.gethostname(), getpass.getuser()
    control, *ports = _free_ports(1 + len(nodes) + len(cloud))
    saving = [
        f"ResumeProgram={folder}/resume",
        f"SuspendProgram={folder}/suspend",
        f"SuspendTime={idle}",
        "SuspendTimeout=8",
        "ResumeTimeout=60",
        "ResumeRate=0",
        "SuspendRate=0",
        f"SuspendExcNodes={','.join(nodes)}",
        "TreeWidth=65533",
        "PrivateData=cloud",
    ]
    states = [*(["UNKNOWN"] * len(nodes)), *(["CLOUD"] * len(cloud))]
    lines = [
        "ClusterName=loopback",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={control}",
        f"SlurmUser={user}",
        f"SlurmdUser={user}",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge.socket",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool-%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/%n.log",
        "SlurmctldDebug=info",
        "SlurmdDebug=info",
        "SlurmdParameters=config_overrides",  # nodes are as large as they say
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "MpiDefault=none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "PropagateResourceLimits=NONE",
        "ReturnToService=2",
        "SlurmdTimeout=3",  # seconds without a sign of life until a node is down and its jobs are lost
        "KillWait=5",
        "SchedulerParameters=bf_interval=3,sched_interval=5",
        *(saving if cloud else []),
        *(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {size} State={state}"
            for node, port, state in zip([*nodes, *cloud], ports, states, strict=True)
        ),
        *settings,
    ]
    (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
    (folder / "state").mkdir(mode=0o700)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    for name, text in (("resume", _RESUME), ("suspend", _SUSPEND)):
        (folder / name).write_text(text.format(path=SEARCHED, folder=folder))
        (folder / name).chmod(0o700)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as probes:
        opened = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in opened:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in opened]


def _wait(cluster: Cluster, keeper: "subprocess.Popen[bytes]", nodes: Sequence[str]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            states = cluster.states()
            if all(states.get(node) == "idle" for node in nodes):
                return
        if keeper.poll() is not None or time.monotonic() > end:
            logs = "\n".join(f"{log}:\n{log.read_text()[-2000:]}" for log in cluster.folder.glob("*.log"))
            raise RuntimeError(f"Slurm did not start:\n{logs}")
        time.sleep(0.2)


def _is_daemon_of(node: str, words: Sequence[str]) -> bool:
    return bool(words) and Path(words[0]).name == "slurmd" and node in words


def _container(process: psutil.Process) -> Iterator[str]:
    """The container that a docker client waits for."""
    with contextlib.suppress(psutil.Error, OSError):
        found = re.search(r"--cidfile=(\S+)", " ".join(process.cmdline()))
        if found:
            yield Path(found[1]).read_text().strip()


def _keep(folder: Path, nodes: Sequence[str]) -> None:
    """Be above all of Slurm's processes, and end them when nobody needs them any more."""
    libc = ctypes.CDLL(None)
    libc.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what makes itself a daemon stays below
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: os.close(0))
    os.environ.update(SLURM_CONF=f"{folder}/slurm.conf", PATH=SEARCHED)
    munge = ["--key-file", "--socket", "--pid-file", "--log-file", "--seed-file"]
    files = (folder / f"munge.{option[2:].partition('-')[0]}" for option in munge)
    places = [f"{option}={file}" for option, file in zip(munge, files, strict=True)]
    with (folder / "daemons.log").open("ab") as log:
        for words in (
            ["munged", "--foreground", "--force", *places],
            ["slurmctld", "-D"],
            *(["slurmd", "-D", "-N", node] for node in nodes),
        ):
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    with contextlib.suppress(OSError):
        while os.read(0, 1):  # ends with the process that started this one, however that ends
            pass
    me = psutil.Process()
    while left := [one for one in me.children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]:
        for identity in [found for process in left for found in _container(process)]:
            subprocess.run(["docker", "kill", identity], capture_output=True, check=False)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), sys.argv[2:])
