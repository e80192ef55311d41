"""What each command does: reads arguments, calls the layers below, prints. No decisions of its own."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl import lease, parameters, plan, runs, show, status, template
from neurocwl.bids import Problem
from neurocwl.errors import BadInput, NeurocwlError
from neurocwl.filters import read_filter_file
from neurocwl.plan import Plan
from neurocwl.plan import Request as PlanRequest
from neurocwl.receipts import UnitState, read_states
from neurocwl.s3 import Access
from neurocwl.storage import Folder, Location, open_location
from neurocwl.template import Template
from neurocwl.units import Selection

FAULTS = ("fail", "crash-late", "missing-report", "oom", "hang")


def run(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    """Dispatch to a command; returns the exit code."""
    actions = {
        "plan": _plan,
        "launch": _launch,
        "job-order": _job_order,
        "status": _status,
        "verify": _verify,
        "logs": _logs,
        "cancel": _cancel,
        "pipelines": _pipelines,
        "demo": _demo,
    }
    arguments.words = list(words)
    return actions[arguments.action](arguments)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan and everything that it was made from."""

    plan: Plan
    request: PlanRequest
    dataset: Location
    output: Location | None
    access: Access  # of the output
    dataset_access: Access
    parameters: Mapping[str, Any]


def _access(arguments: argparse.Namespace, *, dataset: bool = False) -> Access:
    return Access(
        sign=not (dataset and arguments.no_sign_request),
        requester_pays=dataset and arguments.request_payer,
        profile=arguments.profile,
        region=arguments.region,
    )


def _parsed(arguments: argparse.Namespace) -> tuple[argparse.Namespace, Template]:
    """The arguments again, now with the pipeline's own parameters."""
    if not arguments.pipeline:
        if arguments.help:
            arguments.parser.print_help()
            raise SystemExit(0)
        raise BadInput(
            f"--pipeline is missing; there are: {', '.join(template.names(arguments.pipeline_dir))}"
        )
    chosen = template.load(arguments.pipeline, arguments.pipeline_dir)
    parser = arguments.parser
    parameters.add_options(parser, chosen)
    if arguments.help:
        parser.print_help()
        raise SystemExit(0)
    again = parser.parse_args(
        arguments.words[2:], argparse.Namespace(action=arguments.action, parser=parser, words=arguments.words)
    )
    if not again.dataset:
        raise BadInput(
            "DATASET is missing: an s3:// URL or a folder (before options that take several words)"
        )
    return again, chosen


def _prepare(arguments: argparse.Namespace, chosen: Template, *, need_output: bool) -> Prepared:
    from neurocwl import validity
    from neurocwl.bids import index

    if need_output and not arguments.output:
        raise BadInput("--output is missing: where the derivatives go, an s3:// URL or a folder")
    if arguments.limit is not None and arguments.limit < 1:
        raise BadInput(f"--limit {arguments.limit}: must be 1 or more")
    access, dataset_access = _access(arguments), _access(arguments, dataset=True)
    location = open_location(arguments.dataset, dataset_access)
    output = open_location(arguments.output, access) if arguments.output else None
    if output and plan.is_inside_dataset(output.url, location.url):
        raise BadInput(
            f"--output {output.url} lies among the raw data; write to {location.url}/derivatives/{chosen.pipeline} or elsewhere"
        )
    values, selection = _values(arguments, chosen)
    rehearsing = bool(getattr(arguments, "rehearse", False))
    image = arguments.image or (chosen.rehearsal if rehearsing else None) or chosen.image
    request = PlanRequest(chosen, selection, values, image, rehearsing, _faults(arguments), arguments.rerun)
    entries = plan.entries_of(location)
    ignored = _text(location, ".bidsignore") or ""
    dataset = index(entries, bidsignore=ignored, participants_tsv=_text(location, "participants.tsv"))
    if not dataset.participants:
        raise BadInput(
            f"{location.url}: no sub-* folders; give the prefix or folder that holds dataset_description.json and sub-*/"
        )
    problems = [
        *_description_problems(location),
        *validity.invalid_names([e.path for e in entries], bidsignore=ignored),
    ]
    states = _states(output, lenient=not need_output)
    made = plan.make(dataset, location, output, request, states, problems)
    return Prepared(made, request, location, output, access, dataset_access, values)


def _states(output: Location | None, *, lenient: bool) -> dict[str, UnitState]:
    """What is done at the output; where nothing will be written, one that cannot be read is only warned of."""
    try:
        return read_states(output) if output else {}
    except NeurocwlError as error:
        if not lenient:
            raise
        print(f"warning: {error}; every unit counts as not done", file=sys.stderr)
        return {}


def _description_problems(location: Location) -> Iterator[Problem]:
    text = _text(location, "dataset_description.json")
    if text is None:
        yield Problem(
            "dataset_description.json", "MISSING_DATASET_DESCRIPTION", "is not there; BIDS demands it"
        )
        return
    try:
        json.loads(text)
    except ValueError as error:
        yield Problem("dataset_description.json", "JSON_INVALID", f"is no JSON: {error}")


def _values(arguments: argparse.Namespace, chosen: Template) -> tuple[dict[str, Any], Selection]:
    """The pipeline's parameters, checked, and the selection."""
    values = parameters.from_file(arguments.parameters, chosen) if arguments.parameters else {}
    values |= parameters.given(arguments, chosen)
    queries = read_filter_file(arguments.bids_filter_file) if arguments.bids_filter_file else None
    known = chosen.tool["inputs"]
    for kind, labels in (("task", arguments.task_id), ("session", arguments.session_label)):
        name = chosen.selection.get(kind)
        if name and labels:
            bare = [label.removeprefix("task-").removeprefix("ses-") for label in labels]
            if "[]" not in str(known[name]["type"]) and len(bare) > 1:
                raise BadInput(
                    f"--{'task-id' if kind == 'task' else 'session-label'} {' '.join(labels)}: {chosen.pipeline} takes one"
                )
            values[name] = bare if "[]" in str(known[name]["type"]) else bare[0]
    if arguments.bids_filter_file and "filter" in chosen.selection:
        values[chosen.selection["filter"]] = parameters.path_object(
            "File", str(arguments.bids_filter_file), "--bids-filter-file"
        )
    parameters.check(chosen, values)
    selection = Selection(
        tuple(arguments.participant_label),
        tuple(arguments.session_label),
        tuple(arguments.task_id),
        tuple(arguments.exclude),
        arguments.limit,
        queries,
    )
    return values, selection


def _faults(arguments: argparse.Namespace) -> dict[str, str]:
    faults = {}
    for word in getattr(arguments, "rehearse_fault", []):
        unit, _, fault = word.partition("=")
        if fault not in FAULTS:
            raise BadInput(
                f"--rehearse-fault {word}: must be UNIT=FAULT with FAULT one of {', '.join(FAULTS)}"
            )
        faults[unit if unit.startswith("sub-") else f"sub-{unit}"] = fault
    if faults and not arguments.rehearse:
        raise BadInput("--rehearse-fault needs --rehearse")
    return faults


def _text(location: Location, path: str) -> str | None:
    data = location.read(path)
    return None if data is None else data.decode("utf-8", "replace")


def _plan(arguments: argparse.Namespace) -> int:
    arguments, chosen = _parsed(arguments)
    prepared = _prepare(arguments, chosen, need_output=False)
    report = _validated(arguments, prepared)
    if arguments.json:
        document = prepared.plan.as_dict()
        if report is not None:
            document["validator"] = report
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        show.plan(prepared.plan)
        if report is not None:
            show.validator(report)
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
    from neurocwl import launch, licence

    arguments, chosen = _parsed(arguments)
    if arguments.rehearse and not chosen.rehearsal:
        raise BadInput(
            f"--rehearse: {chosen.pipeline} has no rehearsal image; its own is small enough to run"
        )
    prepared = _prepare(arguments, chosen, need_output=True)
    made, output = prepared.plan, prepared.output
    assert output is not None
    _strict(arguments, made)
    show.plan(made, brief=True, stream=sys.stderr)
    report = _validated(arguments, prepared)
    if report is not None and report["errors"]:
        show.validator(report)
        raise BadInput("the BIDS validator found errors; mend them, or launch without --validate")
    if arguments.dry_run:
        return 0
    file = None
    if chosen.licence and made.of(plan.READY):
        file = licence.find(arguments.fs_license_file, os.environ, prepared.access)
    means = launch.Means(
        access=prepared.access,
        dataset_access=prepared.dataset_access,
        parameters=prepared.parameters,
        licence=file,
        container=not arguments.no_container,
        work_dir=_work_dir(arguments.work_dir),
        command=["neurocwl", *arguments.words],
        keep_work=arguments.keep_work_dir,
    )
    if not made.of(plan.READY):
        print("nothing to run: every unit is done or lacks files", file=sys.stderr)
        return 0 if not made.of(plan.INCOMPLETE) else 1
    final = launch.launch(
        made, prepared.request, prepared.dataset, output, means, lambda line: print(line, file=sys.stderr)
    )
    show.status(final, stream=sys.stdout)
    show.next_steps(final)
    if final.run.status != "finished":
        return 130
    selected = {u.unit.name for u in made.units}
    return 0 if all(u.status == status.DONE for u in final.units if u.unit in selected) else 1


def _work_dir(given: Path | None) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = given or os.environ.get("NEUROCWL_WORK_DIR")
    return (Path(named) if named else cache / "neurocwl" / "work").absolute()


def _job_order(arguments: argparse.Namespace) -> int:
    from neurocwl import export

    arguments, chosen = _parsed(arguments)
    prepared = _prepare(arguments, chosen, need_output=False)
    _strict(arguments, prepared.plan)
    licence_file = None
    if chosen.licence and arguments.fs_license_file:
        from neurocwl import licence

        licence_file = licence.find(arguments.fs_license_file, os.environ, prepared.access)
    destination = Path(arguments.destination or "job-orders")
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


def _status(arguments: argparse.Namespace) -> int:
    output = open_location(arguments.output, _access(arguments))
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

    output = open_location(arguments.output, _access(arguments))
    found = verify.verify(output, runs.latest(output), deep=arguments.deep)
    if arguments.json:
        print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False))
    else:
        show.verification(found)
    return 1 if found.wrong else 0


def _logs(arguments: argparse.Namespace) -> int:
    from neurocwl.receipts import read_receipt

    output = open_location(arguments.output, _access(arguments))
    unit = arguments.unit if arguments.unit.startswith("sub-") else f"sub-{arguments.unit}"
    receipt = read_receipt(output, unit)
    if receipt is None:
        known = [u.unit for u in status.read(output, runs.latest(output)).units]
        raise BadInput(
            f"{unit}: no attempt of it has ended at {output.url}; units there: {', '.join(known[:20])}"
        )
    number = arguments.attempt or len(receipt.attempts)
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


def _cancel(arguments: argparse.Namespace) -> int:
    output = open_location(arguments.output, _access(arguments))
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


def _pipelines(arguments: argparse.Namespace) -> int:
    from neurocwl import export

    if arguments.verb in ("show", "build", "export") and not arguments.name:
        raise BadInput(
            f"neurocwl pipelines {arguments.verb}: {'DIR' if arguments.verb == 'export' else 'NAME'} is missing"
        )
    if arguments.verb == "export":
        for line in export.pipelines(Path(arguments.name), arguments.pipeline_dir):
            print(line)
    elif arguments.verb == "build":
        print(export.build(template.load(arguments.name, arguments.pipeline_dir)))
    elif arguments.verb == "show":
        show.pipeline(template.load(arguments.name, arguments.pipeline_dir))
    else:
        show.pipelines(
            [template.load(name, arguments.pipeline_dir) for name in template.names(arguments.pipeline_dir)]
        )
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from neurocwl import demo

    return demo.run(arguments.folder)
