"""One Toil leader for each shard of units, one after the other, followed until every unit has its receipt."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurocwl import backend, capacity, containers, cwlfile, runs, toil, workflow
from neurocwl.backend import Backend
from neurocwl.errors import InfrastructureError
from neurocwl.joborder import Common, Order, as_json, job_order, shards
from neurocwl.plan import Request
from neurocwl.progress import Display, display, throttled
from neurocwl.receipts import read_receipt, read_states
from neurocwl.runs import RUNS, Run
from neurocwl.s3 import Access
from neurocwl.stop import Stop
from neurocwl.storage import Location
from neurocwl.watch import Watch

LOOK = 2.0  # seconds between two looks at the containers that run


SHARE = 10.0  # seconds between two notes of them at the output
WATCH = 20.0  # seconds between two questions whether the batch system will ever start the jobs that wait


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


def run_shards(
    orders: Sequence[Order],
    request: Request,
    run: Run,
    dataset: Location,
    output: Location,
    means: Means,
    folder: Path,
    stop: Stop,
    stage: str = "",
) -> None:
    """One Toil workflow per shard, one after the other; each one's files go to the output as well.

    stage: what the files are called by when they are not the units' own.
    """
    if not orders:
        return
    digest = backend.output_digest(run.output, os.environ)
    means = replace(means, backend=capacity.fitted(means.backend, run.resources))
    home, suffix = f"{RUNS}{run.run}/", f"-{stage}" if stage else ""
    image = request.image if request.image != request.template.image else None
    stage_in = means.stage_in(orders)
    document = workflow.dataset_workflow(
        request.template,
        inline=True,
        image=image,
        resources=run.resources,
        stage_in=stage_in is not None,
        rehearsal=request.rehearsal,
        encrypt=means.access.encryption,
        gated=means.watch.gated and not stage,
        container=means.container,
    )
    text = cwlfile.as_json(document).encode()
    output.write(f"{home}workflow{suffix}.cwl", text)
    common = Common(output.url, run.run, {**means.parameters, **run.resources}, means.licence)
    with display(len(orders)) as shown:
        for number, shard in enumerate(shards(orders), start=1):
            if stop.is_set():
                return
            place = folder / f"{number:03}"
            place.mkdir()
            (place / "workflow.cwl").write_bytes(text)
            content = as_json(job_order(shard, request.template, common, stage_in))
            (place / "job-order.json").write_bytes(content)
            name = stage or f"{number:03}"
            output.write(f"{home}job-order-{name}.json", content)
            runs.write_inputs(output, run.run, name, {one.unit.name: one.given() for one in shard})
            leader = toil.Leader(
                place / "workflow.cwl",
                place / "job-order.json",
                place,
                _environment(run, means),
                means.backend.toil_options(
                    container=means.container, digest=digest, run=run.run, folder=str(place)
                ),
                job_store=means.backend.locator(place, backend.job_store_name(digest, run.run, name)),
            )
            try:
                code = _follow(leader, shard, run, output, shown, stop, means)
            finally:
                capacity.clear(means.backend, digest, run.run)
                if leader.log.exists():
                    output.write(f"{home}leader-{name}.log", leader.log.read_bytes())
            means.watch.idle()
            if code != 0 and not stop.is_set():
                _explain(leader, shard, run, output, shown)


def _follow(
    leader: toil.Leader,
    shard: Sequence[Order],
    run: Run,
    output: Location,
    shown: Display,
    stop: Stop,
    means: Means,
) -> int:
    watch, digest = means.watch, backend.output_digest(run.output, os.environ)
    hope = throttled(WATCH, lambda: capacity.watch(means.backend, digest, run.run))

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
        now[:] = containers.running_units(run.run)
        shown.running(list(now))
        watch.look()
        hope()
        if now != told:
            share()

    return toil.run(leader, stop, ended, throttled(LOOK, look))


def _explain(leader: toil.Leader, shard: Sequence[Order], run: Run, output: Location, shown: Display) -> None:
    """Toil failed: say for which units, or raise when it never got to any."""
    lost = [order.unit.name for order in shard]
    states = read_states(output, lost)
    lost = [
        unit for unit in lost if unit not in states or not (r := states[unit].receipt) or r.run != run.run
    ]
    words = last_error(leader.log.read_text(errors="replace"))
    if len(lost) == len(shard):
        raise InfrastructureError(
            f"Toil failed before any unit of this shard ended: {words}\n"
            f"its log: {output.url}/{RUNS}{run.run}/ (leader-*.log); fix that and launch again: nothing is lost"
        )
    for unit in lost:
        shown.say(f"{unit}: Toil could not finish it: {words}")


def last_error(log: str) -> str:
    """The line of a leader's log that most likely says why."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Exception|Denied)\b", line)]
    telling = raised or [line for line in lines if "[E]" in line]
    return (telling or lines or ["no log"])[-1][:500]


def _environment(run: Run, means: Means) -> dict[str, str]:
    own = means.backend.variables()
    path = (
        own.get("PATH"),  # of workers elsewhere, which are given this one
        str(containers.wrapper_folder()),
        str(toil.executable().parent),
        os.environ.get("PATH"),
    )
    return {
        **means.access.environment(),
        **own,
        **containers.environment(run.run, run.output),
        "PATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
    }
