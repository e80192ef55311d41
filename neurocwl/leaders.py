"""One Toil leader for each shard of units, one after the other, followed until it ends."""

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurocwl import backend, capacity, containers, cwlfile, leaderkeys, runs, toil, workflow
from neurocwl.aws import jobstores
from neurocwl.backend import Backend
from neurocwl.errors import InfrastructureError
from neurocwl.joborder import Common, Order, as_json, job_order, shards
from neurocwl.plan import Request
from neurocwl.progress import Display, throttled
from neurocwl.receipts import read_receipt, read_states
from neurocwl.runs import RUNS, Run
from neurocwl.s3 import Access
from neurocwl.stop import Stop
from neurocwl.storage import Location
from neurocwl.watch import Watch

LOOK = 2.0  # seconds between two looks at the containers that run


SHARE = 10.0  # seconds between two notes of them at the output
WAITING = 20.0  # seconds between two questions whether the batch system will ever start the jobs that wait


@dataclass(frozen=True, slots=True)
class Means:
    """With what a plan is carried out."""

    access: Access  # of the output
    dataset_access: Access
    parameters: Mapping[str, Any]
    licence: Mapping[str, Any] | None
    container: bool
    work_dir: Path
    command: Sequence[str]
    backend: Backend
    keep_work: bool = False
    spot: bool = False  # on capacity that may be taken away
    always_stage_in: bool = False
    run: str = ""  # the id that whoever started it elsewhere has told; else it gets its own
    watch: Watch = field(default_factory=Watch)

    def stage_in(self, orders: Sequence[Order]) -> dict[str, bool] | None:
        """How a step of the workflow's own reads the dataset, where Toil's own reading does not do.

        Toil signs, pays for nothing, and cuts keys at # and ?.
        """
        access = self.dataset_access
        if self.always_stage_in:  # many small files, which Toil would fetch one after the other
            return {"sign": self.access.sign, "requester_pays": self.access.requester_pays}
        cut = any(
            url.startswith("s3://") and ("#" in url or "?" in url)
            for one in orders
            for url, _, _ in one.given()
        )
        if access.sign and not access.requester_pays and not cut:
            return None
        return {"sign": access.sign, "requester_pays": access.requester_pays}


@dataclass(frozen=True, slots=True)
class Group:
    """Units that run under the same workflow: they ask for the same, on the same kind of capacity."""

    orders: Sequence[Order]
    settings: Mapping[str, Any]  # parameters that they have otherwise than all units
    capacity: str = backend.ON_DEMAND


@dataclass(frozen=True, slots=True)
class Names:
    """What the files of a launch's leaders are called by."""

    stage: str = ""  # other than the units' own
    shards: "Iterator[int]" = field(default_factory=lambda: itertools.count(1))
    groups: "Iterator[int]" = field(default_factory=lambda: itertools.count(1))

    def shard(self) -> str:
        """001, 002, ...; group, 2-group, ..."""
        number = next(self.shards)
        if not self.stage:
            return f"{number:03}"
        return self.stage if number == 1 else f"{number}-{self.stage}"

    def workflow(self) -> str:
        """workflow.cwl, workflow-2.cwl, ...; workflow-group.cwl, workflow-2-group.cwl, ..."""
        number = next(self.groups)
        return (
            "-".join(["workflow", *([str(number)] if number > 1 else []), *([self.stage] * bool(self.stage))])
            + ".cwl"
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a leader ended: with which code, why Toil gave up jobs, and what it said last."""

    code: int
    reason: str  # why Toil gave up jobs, as toil.given_up says
    words: str

    @property
    def killed(self) -> bool:
        """Whether somebody ended the leader itself."""
        return self.code < 0


def run_group(
    group: Group,
    request: Request,
    run: Run,
    output: Location,
    means: Means,
    folder: Path,
    stop: Stop,
    shown: Display,
    names: Names,
    *,
    first: bool = True,
) -> dict[str, Ended]:
    """One Toil workflow per shard, one after the other; each one's files go to the output as well.

    Returns how the leader of each unit ended, by unit. first: nothing of this run has ended yet; raises
    InfrastructureError when Toil then never gets to any unit of a shard, and not because workers went away.
    """
    digest = backend.output_digest(run.output, os.environ)
    home = f"{RUNS}{run.run}/"
    image = request.image if request.image != request.template.image else None
    stage_in = means.stage_in(group.orders)
    resources = {**run.resources, **{k: v for k, v in group.settings.items() if k in run.resources}}
    where = capacity.fitted(means.backend, resources)
    means = replace(means, backend=where)
    document = workflow.dataset_workflow(
        request.template,
        inline=True,
        image=image,
        resources=resources,
        stage_in=stage_in is not None,
        rehearsal=request.rehearsal,
        encrypt=means.access.encryption,
        gated=means.watch.gated and not names.stage,
        container=means.container,
    )
    waiting = throttled(WAITING, lambda: capacity.watch(where, digest, run.run))
    text = cwlfile.as_json(document).encode()
    output.write(home + names.workflow(), text)
    common = Common(
        output.url, run.run, {**means.parameters, **run.resources, **group.settings}, means.licence
    )
    found: dict[str, Ended] = {}
    for shard in shards(group.orders):
        if stop.is_set():
            break
        name = names.shard()
        place = folder / name
        place.mkdir()
        (place / "workflow.cwl").write_bytes(text)
        content = as_json(job_order(shard, request.template, common, stage_in))
        (place / "job-order.json").write_bytes(content)
        output.write(f"{home}job-order-{name}.json", content)
        runs.write_inputs(output, run.run, name, {one.unit.name: one.given() for one in shard})
        environment, without = _environment(run, means, place)
        leader = toil.Leader(
            place / "workflow.cwl",
            place / "job-order.json",
            place,
            environment,
            where.toil_options(
                group.capacity, container=means.container, digest=digest, run=run.run, folder=str(place)
            ),
            without=without,
            job_store=means.backend.locator(place, backend.job_store_name(digest, run.run, name)),
        )
        try:
            code = _follow(leader, shard, run, output, shown, stop, means.watch, waiting)
        finally:
            leaderkeys.forget(place)
            capacity.clear(where, digest, run.run)
            if leader.log.exists():
                output.write(f"{home}leader-{name}.log", leader.log.read_bytes())
        means.watch.idle()
        log = leader.log.read_text(errors="replace") if leader.log.exists() else ""
        messages = leader.messages.read_text(errors="replace") if leader.messages.exists() else ""
        ended = Ended(code, toil.given_up(log, messages), last_error(log) if code else "")
        if first and code != 0 and not stop.is_set():
            _check(ended, shard, run, output)
        found |= dict.fromkeys((one.unit.name for one in shard), ended)
    return found


def _check(ended: Ended, shard: Sequence[Order], run: Run, output: Location) -> None:
    """Refuse to go on when Toil failed before any unit ended."""
    if ended.reason in (toil.LOST, toil.MEMLIMIT, toil.KILLED):
        return
    states = read_states(output, [one.unit.name for one in shard])
    if any(state.receipt and state.receipt.run == run.run for state in states.values()):
        return
    raise InfrastructureError(
        f"Toil failed before any unit of this shard ended: {ended.words}\n"
        f"its log: {output.url}/{RUNS}{run.run}/ (leader-*.log); fix that and launch again: nothing is lost"
    )


def _follow(
    leader: toil.Leader,
    shard: Sequence[Order],
    run: Run,
    output: Location,
    shown: Display,
    stop: Stop,
    watch: Watch,
    waiting: Callable[[], None],
) -> int:
    def ended(index: int) -> None:
        unit = shard[index].unit.name
        receipt = read_receipt(output, unit)
        own = receipt if receipt and receipt.run == run.run else None
        if own or not watch.kept_back(unit):
            shown.ended(unit, receipt)
            watch.ended(unit, own)

    now: list[str] = []
    told: list[str] = []

    def tell() -> None:
        told[:] = now
        runs.write_running(output, run.run, told)

    share = throttled(SHARE, tell)

    def look() -> None:
        waiting()
        now[:] = containers.running_units(run.run)
        shown.running(list(now))
        watch.look()
        if now != told:
            share()

    return toil.run(leader, stop, ended, throttled(LOOK, look))


def last_error(log: str) -> str:
    """The line of a leader's log that most likely says why."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Exception|Denied)\b", line)]
    telling = raised or [line for line in lines if "[E]" in line]
    return (telling or lines or ["no log"])[-1][:500]


def _environment(run: Run, means: Means, place: Path) -> tuple[dict[str, str], Sequence[str]]:
    """What a leader's environment has, and what it must not have of this process's."""
    own = means.backend.variables()
    path = (
        own.get("PATH"),  # of workers elsewhere, which are given this one
        str(containers.wrapper_folder()),
        str(toil.executable().parent),
        os.environ.get("PATH"),
    )
    found = {
        **means.access.environment(),
        **own,
        **containers.environment(run.run, run.output),
        **jobstores.tags(run.run, run.output, {**os.environ, **own}),
        "PATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
    }
    if means.backend.job_store != "s3":  # with it, all of this would lie in a bucket, and reach the workers
        return found, ()
    secret, without = leaderkeys.hide({**os.environ, **found}, means.backend.pass_on, place)
    if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
        found.setdefault("AWS_DEFAULT_REGION", means.backend.values["region"])
    return {name: value for name, value in found.items() if name not in without} | secret, without
