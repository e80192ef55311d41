"""Launch: carry out a plan with Toil and leave the truth about every unit at the output."""

import dataclasses
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl import (
    __version__,
    containers,
    cwlfile,
    description,
    images,
    lease,
    machine,
    provenance,
    runs,
    status,
    superseded,
    toil,
    workflow,
)
from neurocwl import group as grouping
from neurocwl.errors import BadInput, InfrastructureError, NeurocwlError
from neurocwl.joborder import Common, Order, as_json, job_order, shards
from neurocwl.plan import READY, Plan, Request
from neurocwl.progress import Display, display, throttled
from neurocwl.receipts import SHARED, UNITS, UnitState, read_receipt, read_states
from neurocwl.runs import RUNS, Run
from neurocwl.s3 import Access
from neurocwl.storage import Location
from neurocwl.template import GROUP, Template, image_of
from neurocwl.units import Selection

LOOK = 2.0  # seconds between two looks at the containers that run
SHARE = 10.0  # seconds between two notes of them at the output


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
    keep_work: bool = False
    always_stage_in: bool = False

    def stage_in(self, dataset: Location) -> dict[str, bool] | None:
        """How a step of the workflow's own reads the dataset, where Toil's own reading does not do.

        Toil signs, pays for nothing, and cuts keys at # and ?.
        """
        access, url = self.dataset_access, dataset.file_url("")
        if self.always_stage_in:  # many small files, which Toil would fetch one after the other
            return {"sign": self.access.sign, "requester_pays": self.access.requester_pays}
        if access.sign and not access.requester_pays and not (url.startswith("s3://") and {*"#?"} & {*url}):
            return None
        return {"sign": access.sign, "requester_pays": access.requester_pays}


def launch(
    plan: Plan,
    request: Request,
    dataset: Location,
    output: Location,
    means: Means,
    say: Callable[[str], None],
) -> status.Status:
    """Run every unit of the plan that is ready; returns the true state of all.

    Raises Busy when another launch writes to the output, InfrastructureError when Toil cannot run.
    """
    _check_reading(request.template, dataset, means)
    here = machine.here(means.work_dir)
    asked, told = machine.resources(request.template, means.parameters, here, request.rehearsal)
    for line in told:
        say(line)
    if plan.of(READY):
        _prepare_tools(request, means, say)
    run = _run(plan, request, means, asked, output)
    stop = _Stop(say)
    folder = _work_folder(means.work_dir, run)
    try:
        with lease.held(output, run.run, stop), stop.on_signals():
            _end_what_a_killed_launch_left(run, output)
            _check_fresh(plan, output)
            if not request.rehearsal:
                _clear_rehearsal(output, say)
            runs.write(output, run)
            try:
                _run_shards(
                    [planned.order for planned in plan.of(READY)],
                    request,
                    run,
                    dataset,
                    output,
                    means,
                    folder,
                    stop,
                )
                if not stop.is_set():
                    superseded.clear(plan, request.template, output, say)
                _run_group(request, run, output, means, folder, stop, say)
            except BaseException as error:
                stop.broken(error)
                raise
            finally:
                containers.end("neurocwl.run", run.run)
                run = dataclasses.replace(
                    run,
                    status=stop.status,
                    ended=runs.now(),
                    message=stop.reason,
                    images=_digests(request, means),
                )
                runs.write(output, run)
                _write_crate(run, output, say)
            description.write(output, request.template, run, dataset.read(description.PATH))
            description.write_shared(output, read_states(output))
    finally:
        if means.keep_work:
            say(f"temporary files are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status.read(output, run)


def group(
    chosen: Template, output: Location, means: Means, parent: Run, say: Callable[[str], None]
) -> status.Status:
    """Run the group stage of an output again, whether it is due or not; returns the true state of all.

    Raises as launch does; BadInput when no unit is done.
    """
    request = Request(chosen, Selection(), {}, chosen.image, parent.rehearsal)
    due = grouping.due(
        chosen, output, {**read_states(output), GROUP: UnitState(None)}, rehearsal=parent.rehearsal
    )
    if due is None:
        raise BadInput(f"{output.url}: no unit is done whose results {chosen.pipeline} would gather")
    now = runs.now()
    planned = {"unit": GROUP, "participant": None, "session": None, "status": READY, "reason": ""}
    run = dataclasses.replace(
        parent, run=runs.new_id(), neurocwl=__version__, status="running", started=now, ended=None,
        host=socket.gethostname(), command=list(means.command), units=[planned], message="",
    )  # fmt: skip
    stop = _Stop(say)
    folder = _work_folder(means.work_dir, run)
    try:
        with lease.held(output, run.run, stop), stop.on_signals():
            runs.write(output, run)
            try:
                _run_group(request, run, output, means, folder, stop, say, again=True)
            except BaseException as error:
                stop.broken(error)
                raise
            finally:
                containers.end("neurocwl.run", run.run)
                run = dataclasses.replace(
                    run,
                    status=stop.status,
                    ended=runs.now(),
                    message=stop.reason,
                    images=_digests(request, means),
                )
                runs.write(output, run)
                _write_crate(run, output, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status.read(output, run)


def group_is_due(request: Request, output: Location) -> bool:
    """Whether the results of the units have changed since they were gathered."""
    chosen = grouping.template_of(request.template)
    return chosen is not None and (
        grouping.due(chosen, output, read_states(output), rehearsal=request.rehearsal) is not None
    )


def _run_group(
    request: Request,
    run: Run,
    output: Location,
    means: Means,
    folder: Path,
    stop: "_Stop",
    say: Callable[[str], None],
    *,
    again: bool = False,
) -> None:
    """Gather the results of all units that are done, when they have changed since."""
    chosen = request.template if request.template.unit == GROUP else grouping.template_of(request.template)
    if chosen is None or stop.is_set():
        return
    states = read_states(output)
    due = grouping.due(chosen, output, states, rehearsal=request.rehearsal)
    if due is None and again:
        before = states[GROUP].receipt
        due = grouping.due(chosen, output, {**states, GROUP: UnitState(None)}, rehearsal=request.rehearsal)
        due = due.following(before.tag if before else None, due.rehearsal) if due else None
    if due is None:
        return
    say(f"{chosen.label} ({chosen.pipeline}), over all units that are done")
    asked, told = machine.resources(chosen, chosen.fixed, machine.here(means.work_dir), False)
    for line in told:
        say(line)
    own = Request(chosen, request.selection, chosen.fixed, chosen.image, request.rehearsal)
    _prepare_tools(own, means, say)
    place = folder / GROUP
    place.mkdir()
    _run_shards(
        [due],
        own,
        dataclasses.replace(run, resources=asked),
        output,
        output,
        dataclasses.replace(means, parameters=chosen.fixed, licence=None, always_stage_in=True),
        place,
        stop,
        GROUP,
    )


def _prepare_tools(request: Request, means: Means, say: Callable[[str], None]) -> None:
    """Have every image, or every command, that the tools of a pipeline need."""
    if not means.container:
        check_installed(request.template)
        return
    own = request.template.image
    for image in {
        request.image if image == own else image for image in map(image_of, request.template.tools)
    }:
        if image:
            prepare_image(image, say)


def record(plan: Plan, request: Request, dataset: Location, output: Location, means: Means) -> status.Status:
    """A launch with nothing to run is a run all the same: status goes by its plan."""
    run = _run(plan, request, dataclasses.replace(means, container=False), {}, output)
    with lease.held(output, run.run, lambda reason: None):
        run = dataclasses.replace(run, status="finished", ended=runs.now())
        runs.write(output, run)
        description.write(output, request.template, run, dataset.read(description.PATH))
        description.write_shared(output, read_states(output))
    return status.read(output, run)


def _check_reading(template: Template, dataset: Location, means: Means) -> None:
    """Refuse what stage-in cannot bring: CWL has no way to put its files into records."""
    if means.stage_in(dataset) and any(binding.kind == "sessions" for binding in template.bind.values()):
        raise BadInput(
            f"{dataset.url}: {template.pipeline} cannot read a bucket unsigned, as requester pays, or with # or ? "
            "in its keys; copy the dataset to a bucket of yours first"
        )


def _end_what_a_killed_launch_left(run: Run, output: Location) -> None:
    """End the leader, workers and containers on this machine that still work for this output."""
    digest = containers.labels(run.run, output.url)["neurocwl.output"]
    toil.end_strays(f"neurocwl.output={digest}")
    containers.end("neurocwl.output", digest)


def _check_fresh(plan: Plan, output: Location) -> None:
    """Refuse a plan that another launch has overtaken between its making and the lease: its units would run in vain."""
    states = read_states(output)
    for planned in plan.of(READY):
        state = states.get(planned.unit.name)
        now = state.receipt.tag if state and state.receipt else None
        if now != planned.order.previous:
            raise InfrastructureError(
                f"{output.url}: {planned.unit.name} was finished by another launch since this plan was made; launch again"
            )


def _clear_rehearsal(output: Location, say: Callable[[str], None]) -> None:
    """Remove what a rehearsal left: nobody shall take it for results."""
    paths: list[str] = []
    states = read_states(output)
    real = {
        path for s in states.values() if s.receipt and not s.receipt.rehearsal for path in s.receipt.shared
    }
    for unit, state in states.items():
        receipt = state.receipt
        if receipt and receipt.rehearsal:
            paths += [written.path for written in receipt.manifest] + list(receipt.shared)
            paths += [entry.path for entry in output.entries(f"{UNITS}{unit}/")]
    if paths:
        found = sorted({*paths, description.PATH, SHARED} - real)
        say(f"removing the {len(found)} files of the rehearsal at {output.url}")
        # receipts last: until then they say what is left to remove
        output.delete([path for path in found if not path.endswith("/receipt.json")])
        output.delete([path for path in found if path.endswith("/receipt.json")])


def prepare_image(image: str, say: Callable[[str], None]) -> None:
    """Have the tool's image in the local engine: built here, or pulled.

    Raises InfrastructureError without an engine, BadInput for an image that nobody has.
    """
    if image.startswith(images.PREFIX):
        images.ensure(image, say=say)
    elif images.engine() is None:
        images.ensure(image)  # raises, with the fix
    elif not images.exists(image):
        images.pull(image, say=say)


def check_installed(template: Template) -> None:
    """Refuse to run a tool without its container where its command is not there.

    Raises BadInput.
    """
    for tool in template.tools:
        command = tool.get("baseCommand")
        first = command if isinstance(command, str) else (command or [""])[0]
        if not first:
            raise BadInput(
                f"--no-container: {template.pipeline} is started by its image's entry point; it needs the container"
            )
        if shutil.which(first) is None:
            raise BadInput(f"--no-container: {first} is not installed here (not on PATH)")


class _Stop(threading.Event):
    """Set when the run must end early; knows why."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self.say, self.reason, self.status = say, "", "finished"

    def __call__(self, reason: str) -> None:
        self.reason, self.status = reason, "cancelled" if reason == "cancelled" else "interrupted"
        self.set()

    def broken(self, error: BaseException) -> None:
        """Remember that the run ended by an error, unless it was being stopped."""
        if not self.is_set():
            self.reason, self.status = str(error), "broken"

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run in order."""

        def handle(number: int, frame: object) -> None:
            if not self.is_set():
                self.say("stopping; units that are done stay done (once more to stop hard) ...")
                self(f"stopped by {signal.Signals(number).name}")
            else:
                raise KeyboardInterrupt

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if (
            signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        ):  # under nohup a closed terminal ends nothing
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _run(plan: Plan, request: Request, means: Means, asked: Mapping[str, int], output: Location) -> Run:
    return Run(
        run=runs.new_id(),
        neurocwl=__version__,
        status="running",
        started=runs.now(),
        ended=None,
        host=socket.gethostname(),
        command=list(means.command),
        dataset=plan.dataset,
        output=output.url,
        pipeline=plan.pipeline,
        image=request.image,
        image_digest=images.digest(request.image) if means.container else None,
        rehearsal=request.rehearsal,
        parameters=means.parameters,
        resources=asked,
        units=[*(unit.as_dict() for unit in plan.units), *_group_unit(request)],
        versions=provenance.versions(),
    )


def _digests(request: Request, means: Means) -> dict[str, str | None]:
    """Every image of a pipeline and its group stage with its digest; those that never came here have none."""
    if not means.container:
        return {}
    gathering = grouping.template_of(request.template)
    own = request.template.image
    found = {request.image if image == own else image for image in map(image_of, request.template.tools)}
    found |= {image_of(tool) for tool in gathering.tools} if gathering else set()
    return {image: images.digest(image) for image in sorted(found) if image}


def _write_crate(run: Run, output: Location, say: Callable[[str], None]) -> None:
    """Write the RO-Crate of a run; without one the results are no worse."""
    try:
        provenance.write(output, run, os.environ.get("NEUROCWL_AGENT", ""))
    except NeurocwlError as error:
        say(f"there is no RO-Crate of this run: {error}")


def _group_unit(request: Request) -> list[dict[str, Any]]:
    """The group stage as a unit of the run."""
    if request.template.group is None:
        return []
    reason = "when the others are through"
    return [{"unit": GROUP, "participant": None, "session": None, "status": READY, "reason": reason}]


def _run_shards(
    orders: Sequence[Order],
    request: Request,
    run: Run,
    dataset: Location,
    output: Location,
    means: Means,
    folder: Path,
    stop: _Stop,
    stage: str = "",
) -> None:
    """One Toil workflow per shard, one after the other; each one's files go to the output as well.

    stage: what the files are called by when they are not the units' own.
    """
    if not orders:
        return
    home, suffix = f"{RUNS}{run.run}/", f"-{stage}" if stage else ""
    image = request.image if request.image != request.template.image else None
    stage_in = means.stage_in(dataset)
    document = workflow.dataset_workflow(
        request.template,
        inline=True,
        image=image,
        resources=run.resources,
        stage_in=stage_in is not None,
        rehearsal=request.rehearsal,
        encrypt=means.access.encryption,
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
                _options(means),
            )
            try:
                code = _follow(leader, shard, run, output, shown, stop)
            finally:
                if leader.log.exists():
                    output.write(f"{home}leader-{name}.log", leader.log.read_bytes())
            if code != 0 and not stop.is_set():
                _explain(leader, shard, run, output, shown)


def _follow(
    leader: toil.Leader, shard: Sequence[Order], run: Run, output: Location, shown: Display, stop: _Stop
) -> int:
    def ended(index: int) -> None:
        unit = shard[index].unit.name
        shown.ended(unit, read_receipt(output, unit))

    now: list[str] = []
    told: list[str] = []

    def tell() -> None:
        told[:] = now
        runs.write_running(output, run.run, told)

    share = throttled(SHARE, tell)

    def look() -> None:
        now[:] = containers.running_units(run.run)
        shown.running(list(now))
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
    path = os.pathsep.join(
        (str(containers.wrapper_folder()), str(toil.executable().parent), os.environ.get("PATH", ""))
    )
    return {
        **means.access.environment(),
        **containers.environment(run.run, run.output),
        "PATH": path,
        "PYTHONUNBUFFERED": "1",
    }


def _options(means: Means) -> list[str]:
    # A unit that takes more memory than it asked for ends itself, not its neighbours.
    return ["--strict-memory-limit"] if means.container else ["--no-container"]


def _work_folder(parent: Path, run: Run) -> Path:
    """A folder for one run that nobody else can read."""
    if any(letter.isspace() for letter in str(parent)):
        raise BadInput(
            f"--work-dir {parent}: Toil cannot work below a folder with a space in its name; name another"
        )
    try:
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Path(tempfile.mkdtemp(prefix=f"neurocwl-{run.run}-", dir=parent))
    except OSError as error:
        raise InfrastructureError(
            f"--work-dir {parent}: {error.strerror}; name a folder that can be written"
        ) from error
