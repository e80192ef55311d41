"""Launch: carry out a plan with Toil and leave the truth about every unit at the output."""

import dataclasses
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neurocwl import (
    __version__,
    capacity,
    containers,
    description,
    images,
    installed,
    lease,
    machine,
    provenance,
    runs,
    status,
    strays,
    superseded,
)
from neurocwl import group as grouping
from neurocwl.errors import BadInput, InfrastructureError, NeurocwlError
from neurocwl.joborder import Order
from neurocwl.leaders import Means
from neurocwl.plan import READY, Plan, Request
from neurocwl.receipts import SHARED, UNITS, UnitState, read_states
from neurocwl.repeat import run_rounds
from neurocwl.runs import Run
from neurocwl.stop import Stop
from neurocwl.storage import Location
from neurocwl.template import GROUP, Template, image_of
from neurocwl.units import Selection


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
    orders = [planned.order for planned in plan.of(READY)]
    _check_reading(request.template, dataset, orders, means)
    nodes = machine.of(means.backend, means.work_dir)
    asked, told = machine.resources(request.template, means.parameters, nodes, request.rehearsal)
    for line in told:
        say(line)
    if plan.of(READY):
        capacity.fitted(means.backend, asked)  # refused before anything is written
    if plan.of(READY) and means.backend.here:
        installed.prepare(request.template, request.image, container=means.container, say=say)
    run = _run(plan, request, means, asked, output)
    stop = Stop(say)
    folder = _work_folder(means.work_dir, run)
    try:
        with lease.held(output, run.run, stop), stop.on_signals():
            strays.end(means.backend, means.access, run.run, output.url)
            _check_fresh(plan, output)
            if not request.rehearsal:
                _clear_rehearsal(output, say)

            def work() -> None:
                run_rounds(orders, request, run, output, means, nodes, folder, stop)
                if not stop.is_set():
                    superseded.clear(plan, request.template, output, say)
                _run_group(request, run, output, means, folder, stop, say)

            ended = _on_record(run, request, output, means, stop, say, work)
            description.write(output, request.template, ended, dataset.read(description.PATH))
            description.write_shared(output, read_states(output))
    finally:
        if means.keep_work:
            say(f"temporary files are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status.read(output, ended)


def _on_record(
    run: Run,
    request: Request,
    output: Location,
    means: Means,
    stop: Stop,
    say: Callable[[str], None],
    work: Callable[[], None],
) -> Run:
    """Do a run's work with run.json telling how it stands, and at last how it ended; returns the run as it ended."""
    runs.write(output, run)
    means.watch.begin(run, output, stop)
    try:
        work()
    except BaseException as error:
        stop.broken(error)
        raise
    finally:
        containers.end("neurocwl.run", run.run)
        ended = dataclasses.replace(
            run,
            status=stop.status,
            ended=runs.now(),
            message=stop.reason,
            images=_digests(request, means),
            **means.watch.record(),
        )
        runs.write(output, ended)
        _write_crate(ended, output, say)
    return ended


def group(
    chosen: Template, output: Location, means: Means, parent: Run, say: Callable[[str], None]
) -> status.Status:
    """Run the group stage of an output again, whether it is due or not; returns the true state of all.

    Raises as launch does; BadInput when no unit is done.
    """
    request = Request(chosen, Selection(), {}, chosen.image, parent.rehearsal)
    states = read_states(output)
    # Asked with the receipt of the stage, too: it refuses to replace another pipeline's results.
    grouping.due(chosen, output, states, rehearsal=parent.rehearsal)
    due = grouping.due(chosen, output, {**states, GROUP: UnitState(None)}, rehearsal=parent.rehearsal)
    if due is None:
        raise BadInput(f"{output.url}: no unit is done whose results {chosen.pipeline} would gather")
    run = group_run(chosen, parent, means)
    stop = Stop(say)
    folder = _work_folder(means.work_dir, run)
    try:
        with lease.held(output, run.run, stop), stop.on_signals():
            ended = _on_record(
                run,
                request,
                output,
                means,
                stop,
                say,
                lambda: _run_group(request, run, output, means, folder, stop, say, again=True),
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status.read(output, ended)


def group_run(chosen: Template, parent: Run, means: Means) -> Run:
    """A run of the group stage alone, after an earlier run: where it runs and what it costs are its own."""
    return dataclasses.replace(
        parent,
        run=runs.new_id(),
        neurocwl=__version__,
        status="running",
        started=runs.now(),
        ended=None,
        host=socket.gethostname(),
        command=list(means.command),
        units=[*_known(parent), *_group_unit(chosen)],
        message="",
        backend=means.backend.name,
        money={},
    )


def _known(parent: Run) -> list[Mapping[str, Any]]:
    """The units of an earlier run as a run of the group stage knows them: what they lacked, else by their receipts."""
    return [
        unit if unit["status"] != READY else {**unit, "status": None}
        for unit in parent.units
        if unit["unit"] != GROUP
    ]


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
    stop: "Stop",
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
    nodes = machine.of(means.backend, means.work_dir)
    asked, told = machine.resources(chosen, chosen.fixed, nodes, False)
    for line in told:
        say(line)
    own = Request(chosen, request.selection, chosen.fixed, chosen.image, request.rehearsal)
    if means.backend.here:
        installed.prepare(own.template, own.image, container=means.container, say=say)
    place = folder / GROUP
    place.mkdir()
    run_rounds(
        [due],
        own,
        dataclasses.replace(run, resources=asked),
        output,
        dataclasses.replace(means, parameters=chosen.fixed, licence=None, always_stage_in=True),
        nodes,
        place,
        stop,
        GROUP,
    )


def record(plan: Plan, request: Request, dataset: Location, output: Location, means: Means) -> status.Status:
    """A launch with nothing to run is a run all the same: status goes by its plan."""
    run = _run(plan, request, dataclasses.replace(means, container=False), {}, output)
    with lease.held(output, run.run, lambda reason: None):
        run = dataclasses.replace(run, status="finished", ended=runs.now())
        runs.write(output, run)
        description.write(output, request.template, run, dataset.read(description.PATH))
        description.write_shared(output, read_states(output))
    return status.read(output, run)


def _check_reading(template: Template, dataset: Location, orders: Sequence[Order], means: Means) -> None:
    """Refuse what stage-in cannot bring: CWL has no way to put its files into records."""
    if means.stage_in(orders) and any(binding.kind == "sessions" for binding in template.bind.values()):
        raise BadInput(
            f"{dataset.url}: {template.pipeline} cannot read a bucket unsigned, as requester pays, or with # or ? "
            "in its keys; copy the dataset to a bucket of yours first"
        )


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


def _run(plan: Plan, request: Request, means: Means, asked: Mapping[str, int], output: Location) -> Run:
    return Run(
        run=means.run or runs.new_id(),
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
        units=[
            *(unit.as_dict() for unit in plan.units),
            *_group_unit(grouping.template_of(request.template)),
        ],
        versions=provenance.versions(),
        backend=means.backend.name,
        money=means.watch.record().get("money", {}),
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


def _group_unit(chosen: Template | None) -> list[dict[str, Any]]:
    """The group stage as a unit of the run."""
    if chosen is None:
        return []
    results = [glob for binding in chosen.bind.values() for glob in binding.results]
    labels: dict[str, Any] = {"unit": GROUP, "participant": None, "session": None}
    return [{**labels, "status": READY, "reason": "when the others are through", "results": results}]


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
