"""What each command does: reads arguments, calls the layers below, prints. No decisions of its own."""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurocwl import backend, clusters, lease, plan, runs, show, status, superseded, template
from neurocwl.backend import Backend
from neurocwl.errors import BadInput, NeurocwlError
from neurocwl.plan import Plan
from neurocwl.prepare import Prepared, access, parsed, prepare
from neurocwl.stop import OVER_BUDGET
from neurocwl.storage import Folder, open_location


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Dispatch to a command; returns the exit code."""
    actions = {
        "plan": _plan,
        "launch": _launch,
        "job-order": _job_order,
        "doctor": _doctor,
        "status": _status,
        "verify": _verify,
        "logs": _logs,
        "provenance": _provenance,
        "cancel": _cancel,
        "group": _group,
        "project-create": _project_create,
        "project-sync": _project_sync,
        "pipelines": _pipelines,
        "cluster": _cluster,
        "demo": _demo,
    }
    arguments.words = list(words)
    return actions[arguments.action](arguments)


def _plan(arguments: argparse.Namespace) -> int:
    from neurocwl import pricing

    arguments, chosen = parsed(arguments)
    prepared = prepare(arguments, chosen, need_output=False)
    report = _validated(arguments, prepared)
    priced = pricing.priced(arguments, prepared)
    if arguments.json:
        document = prepared.plan.as_dict()
        if pricing.wanted(arguments):
            document["prices"] = priced.as_dict() if priced else None
        if report is not None:
            document["validator"] = report
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        show.plan(prepared.plan)
        if report is not None:
            show.validator(report)
        if priced:
            show.prices(priced)
        elif pricing.wanted(arguments):
            print("no price: nothing is to be run")
    pricing.refuse_plan(arguments, prepared, priced)
    return _strict(arguments, prepared.plan)


def _validated(arguments: argparse.Namespace, prepared: Prepared) -> dict[str, Any] | None:
    """The official validator's report, as JSON data; a remote dataset is judged by a skeleton of it."""
    if not arguments.validate:
        return None
    from neurocwl import validator

    dataset = prepared.dataset
    if isinstance(dataset, Folder):
        report = validator.run_validator(dataset.root)
    else:
        with tempfile.TemporaryDirectory(prefix="neurocwl-validate-") as scratch:
            root = Path(scratch) / "dataset"
            validator.materialise(dataset.entries(), lambda entry: dataset.read(entry.path) or b"", root)
            report = validator.run_validator(root)
    issues = [issue._asdict() for issue in report.issues]
    return {
        "valid": report.valid,
        "errors": [issue for issue in issues if issue["severity"] == "error"],
        "warnings": [issue for issue in issues if issue["severity"] == "warning"],
    }


def _strict(arguments: argparse.Namespace, made: Plan) -> int:
    incomplete = made.of(plan.INCOMPLETE)
    if arguments.strict and incomplete:
        listed = "\n".join(f"  {u.unit.name}: {u.reason}" for u in incomplete)
        raise BadInput(
            f"--strict: {len(incomplete)} units lack what {made.pipeline} needs:\n{listed}\nadd the files, or leave them out with --exclude"
        )
    return 0


def _launch(arguments: argparse.Namespace) -> int:
    from neurocwl import (
        checklist,
        detach,
        doctor,
        doctorcli,
        launch,
        leaders,
        licence,
        notify,
        pricing,
        watching,
    )

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    arguments, chosen = parsed(arguments)
    where = _backend(arguments)
    if arguments.rehearse and not chosen.rehearsal:
        raise BadInput(
            f"--rehearse: {chosen.pipeline} has no rehearsal image; its own is small enough to run"
        )
    prepared = prepare(arguments, chosen, need_output=True)
    made, output = prepared.plan, prepared.output
    assert output is not None
    _strict(arguments, made)
    show.plan(made, brief=True, stream=sys.stderr)
    report = _validated(arguments, prepared)
    if report is not None and report["errors"]:
        show.validator(report)
        raise BadInput("the BIDS validator found errors; mend them, or launch without --validate")
    tariff = pricing.of_launch(arguments, prepared, where, _work_dir(arguments.work_dir))
    if tariff:
        show.tariff(tariff, stream=sys.stderr)
    file = None
    if chosen.licence and made.of(plan.READY) and not (arguments.dry_run and not arguments.fs_license_file):
        file = licence.find(arguments.fs_license_file, os.environ, prepared.access)
    if arguments.dry_run:
        return 0
    means = leaders.Means(
        access=prepared.access,
        dataset_access=prepared.dataset_access,
        parameters=prepared.parameters,
        licence=file,
        container=not arguments.no_container,
        work_dir=_work_dir(arguments.work_dir),
        command=["neurocwl", *arguments.words],
        backend=where,
        run=os.environ.get(detach.RUN, ""),
        keep_work=arguments.keep_work_dir,
        spot=arguments.spot,
    )
    findings = (
        doctor.before_launch(doctorcli.case(arguments, chosen, where, means.work_dir), say)
        if made.of(plan.READY)
        else []
    )
    if arguments.detach or (where.cluster == "toil" and not os.environ.get(detach.LEADER)):
        watching.teller(arguments, prepared.access, dict(os.environ), say)  # what is wrong is said here
        words = detach.without(arguments.words, "--detach")
        job = detach.Job(
            where,
            words,
            output,
            prepared.access,
            means.work_dir,
            detach.path_options(arguments.parser),
            file,
            arguments.keep_cluster,
        )
        print(detach.begin(job))
        print(f"  neurocwl status {output.url}")
        return 0
    tell = watching.teller(arguments, prepared.access, os.environ, say)
    due = launch.group_is_due(prepared.request, output) or superseded.found(made, chosen, output)
    if not made.of(plan.READY) and not due:
        print("nothing to run: every unit is done or lacks files", file=sys.stderr)
        launch.record(made, prepared.request, prepared.dataset, output, means)
        return 0 if not made.of(plan.INCOMPLETE) else 1
    tell(notify.begun(made.pipeline, len(made.of(plan.READY)), output.url))
    watch = watching.watch(arguments, prepared, where, tariff, say, tell)
    means = dataclasses.replace(means, watch=watch)
    try:
        final = launch.launch(made, prepared.request, prepared.dataset, output, means, say)
    except NeurocwlError as error:
        tell(notify.broken(made.pipeline, output.url, error))
        raise
    tell(notify.ended(final))
    show.status(final, stream=sys.stdout)
    show.next_steps(final)
    if final.run.status not in ("finished", OVER_BUDGET):
        return 130
    if arguments.rehearse and (arguments.backend or not where.here):
        rehearsal = checklist.Rehearsal(final, output, prepared.access, findings, os.environ)
        print("\n".join(checklist.walk(where, rehearsal)))
    selected = {u.unit.name for u in made.units} | {template.GROUP}
    return 0 if all(u.status == status.DONE for u in final.units if u.unit in selected) else 1


def _backend(arguments: argparse.Namespace) -> Backend:
    """Where units run, by --backend, else the environment, else here."""
    name = arguments.backend or os.environ.get("NEUROCWL_BACKEND") or "local"
    region = arguments.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    known = {"region": region} if region else {}
    if arguments.cluster:
        known |= clusters.settings_of(arguments.cluster, name, access(arguments))
    return clusters.with_node(backend.load(name, arguments.backend_setting, known))


def _work_dir(given: Path | None) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = given or os.environ.get("NEUROCWL_WORK_DIR")
    return (Path(named) if named else cache / "neurocwl" / "work").absolute()


def _job_order(arguments: argparse.Namespace) -> int:
    from neurocwl import export

    arguments, chosen = parsed(arguments)
    prepared = prepare(arguments, chosen, need_output=False)
    _strict(arguments, prepared.plan)
    licence_file = None
    if chosen.licence and (arguments.fs_license_file or os.environ.get("FS_LICENSE")):
        from neurocwl import licence

        licence_file = licence.find(arguments.fs_license_file, os.environ, prepared.access)
    destination = Path(arguments.destination or "job-orders")
    if "://" in str(arguments.destination):
        raise BadInput(f"-o {arguments.destination}: job orders are written to a local folder or file")
    if isinstance(prepared.dataset, Folder) and destination.resolve().is_relative_to(
        prepared.dataset.root.resolve()
    ):
        raise BadInput(f"-o {destination} lies in the dataset; name a folder elsewhere")
    written = export.job_orders(
        prepared.plan,
        prepared.request,
        prepared.parameters,
        licence_file,
        prepared.dataset,
        destination,
        local=arguments.local,
    )
    show.plan(prepared.plan, brief=True, stream=sys.stderr)
    for line in written.lines():
        print(line)
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from neurocwl import doctorcli

    return doctorcli.run(arguments, _backend(arguments), _work_dir(arguments.work_dir))


def _status(arguments: argparse.Namespace) -> int:
    output = open_location(arguments.output, access(arguments))
    while True:
        found = status.read(output, runs.latest(output))
        if arguments.json:
            print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False))
        else:
            show.status(found, stream=sys.stdout)
        if not arguments.watch or not found.alive:
            return 0 if found.complete else 1
        time.sleep(5)


def _verify(arguments: argparse.Namespace) -> int:
    from neurocwl import verify

    output = open_location(arguments.output, access(arguments))
    found = verify.verify(output, runs.latest(output), deep=arguments.deep)
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False))
    else:
        show.verification(found)
    return 1 if found.wrong else 0


def _logs(arguments: argparse.Namespace) -> int:
    from neurocwl.receipts import read_receipt

    output = open_location(arguments.output, access(arguments))
    whole = arguments.unit == template.GROUP or arguments.unit.startswith(("sub-", f"{template.BATCH}-"))
    unit = arguments.unit if whole else f"sub-{arguments.unit}"
    receipt = read_receipt(output, unit)
    if receipt is None:
        known = [u.unit for u in status.read(output, runs.latest(output)).units]
        raise BadInput(
            f"{unit}: no attempt of it has ended at {output.url}; units there: {', '.join(known[:20])}"
        )
    number = len(receipt.attempts) if arguments.attempt is None else arguments.attempt
    if not 1 <= number <= len(receipt.attempts):
        raise BadInput(f"--attempt {number}: {unit} has attempts 1 to {len(receipt.attempts)}")
    attempt = receipt.attempts[number - 1]
    print(
        f"{unit}: attempt {number} of {len(receipt.attempts)}, {attempt['status']} {attempt['reason']}".rstrip()
    )
    for entry in attempt["logs"]:
        print(f"==> {output.file_url(entry['path'])} <==")
        print((output.read(entry["path"]) or b"").decode("utf-8", "replace"), end="")
    return 0


def _provenance(arguments: argparse.Namespace) -> int:
    from neurocwl import provenance

    output = open_location(arguments.output, access(arguments))
    run = runs.read(output, arguments.run) if arguments.run else provenance.latest(output)
    agent = arguments.agent or os.environ.get("NEUROCWL_AGENT", "")
    if arguments.destination:
        print(provenance.copy(output, run, arguments.destination, agent))
    else:
        print(provenance.text(provenance.document(output, run, agent)).decode(), end="")
    return 0


def _cancel(arguments: argparse.Namespace) -> int:
    output = open_location(arguments.output, access(arguments))
    found = lease.cancel(output)
    if found is None:
        print(f"no launch writes to {output.url}")
        return 0
    if not found.alive:
        print(f"{found.holder} had died; its lease is removed")
        return 0
    print(f"asked {found.holder} to stop ...")
    for _ in range(120):
        time.sleep(1)
        now = lease.read(output)
        if now is None or now.run != found.run:
            print("it stopped; what is done stays, and the same launch goes on from there")
            return 0
    print("it has not stopped yet; it looks every few seconds: neurocwl status", output.url)
    return 3


def _group(arguments: argparse.Namespace) -> int:
    from neurocwl import detach, group, launch, leaders

    where = _backend(arguments)
    if where.cluster == "toil" and not os.environ.get(detach.LEADER):
        raise BadInput(
            f"--backend {where.name}: its units start on the cluster's leader alone; the same launch again gathers what is done"
        )
    ours = access(arguments)
    output = open_location(arguments.output, ours)
    parent = runs.latest(output)
    if arguments.pipeline:
        chosen: template.Template | None = template.load(arguments.pipeline, arguments.pipeline_dir)
    else:
        chosen = group.template_of(template.load(parent.pipeline, arguments.pipeline_dir))
    if chosen is None or chosen.unit != template.GROUP:
        raise BadInput(
            f"{output.url}: {parent.pipeline} wrote there, which has no group stage; name one with --pipeline"
            if chosen is None
            else f"--pipeline {chosen.pipeline}: its unit is {chosen.unit}; neurocwl group runs those of unit group"
        )
    means = leaders.Means(
        access=ours,
        dataset_access=ours,
        parameters={},
        licence=None,
        container=not arguments.no_container,
        work_dir=_work_dir(arguments.work_dir),
        command=["neurocwl", *arguments.words],
        backend=where,
    )
    final = launch.group(chosen, output, means, parent, lambda line: print(line, file=sys.stderr))
    show.status(final, stream=sys.stdout)
    done = {unit.unit for unit in final.units if unit.status == status.DONE}
    return 130 if final.run.status != "finished" else 0 if template.GROUP in done else 1


def _project_create(arguments: argparse.Namespace) -> int:
    from neurocwl import project

    made = project.create(arguments.folder)
    print("\n".join(f"{folder}/" for folder in made) or f"{arguments.folder}: has all folders")
    print(
        "  images go to input/, the macro (*.ijm) to bin/ or src/; then: neurocwl launch project",
        arguments.folder,
    )
    return 0


def _project_sync(arguments: argparse.Namespace) -> int:
    from neurocwl import project, sync

    here, there = Folder(arguments.folder.absolute()), open_location(arguments.place, access(arguments))
    if not here.root.is_dir():
        raise BadInput(f"{here.root}: there is no such folder; make it with neurocwl project create")
    both = not (arguments.up or arguments.down)
    for name in project.FOLDERS:
        back = name == project.OUTPUT
        if both or (arguments.down if back else arguments.up):
            source, target = (there, here) if back else (here, there)
            print(sync.folder(name, source, target, delete=arguments.delete).line(source.url, target.url))
    return 0


def _pipelines(arguments: argparse.Namespace) -> int:
    from neurocwl import pipelinecommands

    return pipelinecommands.run(arguments)


def _cluster(arguments: argparse.Namespace) -> int:
    from neurocwl import clustercommands

    return clustercommands.run(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from neurocwl import demo

    return demo.run(arguments.folder)
