"""A dataset command's arguments turned into a plan: what was asked for, the dataset, and what is done already."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurocwl import (
    credentials,
    derivatives,
    images,
    parameters,
    plan,
    preflight,
    project,
    runs,
    taskkey,
    template,
)
from neurocwl.bids import Problem
from neurocwl.errors import BadInput, NeurocwlError
from neurocwl.filters import read_filter_file
from neurocwl.plan import Plan
from neurocwl.plan import Request as PlanRequest
from neurocwl.receipts import UnitState, read_states
from neurocwl.rounds import SPOT_LOSSES, Bounds
from neurocwl.s3 import Access
from neurocwl.storage import Folder, Location, open_location
from neurocwl.template import Template
from neurocwl.units import Selection

HIGHER = 3  # folders above a place that may be the output which it is part of
FAULTS = ("fail", "crash-late", "missing-report", "oom", "oom-below", "disk-full", "hang", "linger")


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
    states: Mapping[str, UnitState]  # of the output


def access(arguments: argparse.Namespace, *, dataset: bool = False) -> Access:
    """How to reach the output, or the dataset, by a command's options.

    Raises BadInput for a credentials file that cannot be used.
    """
    if arguments.credentials and arguments.profile:
        raise BadInput(f"--credentials {arguments.credentials} and --profile {arguments.profile}: give one")
    return Access(
        sign=not (dataset and arguments.no_sign_request),
        requester_pays=dataset and arguments.request_payer,
        profile=arguments.profile,
        region=arguments.region,
        encryption=None if dataset else getattr(arguments, "encrypt", None),
        keys=credentials.read(arguments.credentials) if arguments.credentials else None,
    )


def parsed(arguments: argparse.Namespace) -> tuple[argparse.Namespace, Template]:
    """The arguments again, now with the pipeline's own parameters."""
    if not arguments.pipeline and arguments.noun == "project":
        arguments.pipeline = project.pipeline(arguments.pipeline_dir)
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
    known = {name: getattr(arguments, name) for name in ("action", "noun", "parser", "words")}
    again = parser.parse_args(arguments.words[2:], argparse.Namespace(**known))
    if not again.dataset:
        raise BadInput(
            f"{arguments.noun.upper()} is missing: an s3:// URL or a folder (before options that take several words)"
        )
    return again, chosen


def prepare(arguments: argparse.Namespace, chosen: Template, *, need_output: bool) -> Prepared:
    """Look at the dataset and at the output, and plan. need_output: something will be written there.

    Raises BadInput for whatever of the arguments cannot be used.
    """
    from neurocwl import validity
    from neurocwl.bids import index

    ours, theirs = access(arguments), access(arguments, dataset=True)
    if arguments.noun == "project":
        project.complete(arguments, chosen, open_location(arguments.dataset, theirs))
    if need_output and not arguments.output:
        raise BadInput("--output is missing: where the derivatives go, an s3:// URL or a folder")
    if arguments.limit is not None and arguments.limit < 1:
        raise BadInput(f"--limit {arguments.limit}: must be 1 or more")
    location = open_location(arguments.dataset, theirs)
    output = open_location(arguments.output, ours) if arguments.output else None
    if ours.encryption and isinstance(output, Folder):
        raise BadInput(f"--encrypt {ours.encryption}: --output {output.url} is a folder; only S3 encrypts")
    there, here = _real(output) if output else "", _real(location)
    if output and here.startswith(there.rstrip("/") + "/"):
        raise BadInput(
            f"--output {output.url} contains the dataset {location.url}; write beside it, or below its derivatives/"
        )
    own = arguments.noun == "project" and there == f"{here}/{project.OUTPUT}"
    if output and not own and plan.is_inside_dataset(there, here):
        raise BadInput(
            f"--output {output.url} lies among the raw data; write to {location.url}/derivatives/{chosen.pipeline} or elsewhere"
        )
    values, selection = _values(arguments, chosen)
    after = {name: open_location(url, ours) for name, url in _after(arguments, chosen, ours)}
    for name, place in after.items():
        if values.get(name):
            raise BadInput(
                f"--after {place.url} and --{name.replace('_', '-')} name the same input; give one"
            )
        values[name] = parameters.place_object(chosen, name, place.url)
    parameters.check(chosen, values)
    values |= chosen.fixed
    rehearsing = bool(getattr(arguments, "rehearse", False))
    image = arguments.image or (chosen.rehearsal if rehearsing else None) or chosen.image
    request = PlanRequest(
        chosen,
        selection,
        values,
        image,
        rehearsing,
        _faults(arguments),
        arguments.rerun,
        _earlier(chosen, values, ours, rehearsing),
        _preflight(arguments, ours),
        tags={**_tags(chosen, values, ours), **images.content(image)},
        bounds=_bounds(arguments),
    )
    entries = plan.entries_of(location)
    problems: list[Problem] = []
    if arguments.noun == "project" and not project.is_bids(entries):
        dataset = project.index(entries, chosen, layout=not arguments.own_input)
    else:
        ignored = _text(location, ".bidsignore") or ""
        dataset = index(entries, bidsignore=ignored, participants_tsv=_text(location, "participants.tsv"))
        description, problems = _described(location)
        kind = validity.dataset_type(description)
        problems += validity.invalid_names([e.path for e in entries], dataset_type=kind, bidsignore=ignored)
    if not dataset.participants:
        raise BadInput(_nothing_in(location.url, arguments, chosen))
    states = _states(output, lenient=not need_output)
    made = plan.make(dataset, location, output, request, states, problems)
    if not made.units:
        raise BadInput("--exclude leaves no participant: nothing is selected")
    unknown = sorted(set(request.faults or {}) - {u.unit.name for u in made.units})
    if unknown:
        raise BadInput(f"--rehearse-fault {unknown[0]}: no such unit among the selected ones")
    return Prepared(made, request, location, output, ours, theirs, values, states)


def _nothing_in(url: str, arguments: argparse.Namespace, chosen: Template) -> str:
    if arguments.noun == "project":
        return f"{url}: no images ({', '.join(project.extensions(chosen))}); give the folder or prefix that holds them"
    return (
        f"{url}: no sub-* folders; give the prefix or folder that holds dataset_description.json and sub-*/"
    )


def _real(location: Location) -> str:
    """Where a location really is: a folder may be reached through links."""
    return os.path.realpath(location.root) if isinstance(location, Folder) else location.url


def _states(output: Location | None, *, lenient: bool) -> dict[str, UnitState]:
    """What is done at the output; where nothing will be written, one that cannot be read is only warned of."""
    try:
        return read_states(output) if output else {}
    except NeurocwlError as error:
        if not lenient:
            raise
        print(f"warning: {error}; every unit counts as not done", file=sys.stderr)
        return {}


def _described(location: Location) -> tuple[dict[str, Any], list[Problem]]:
    """dataset_description.json, and what is wrong with it."""
    text = _text(location, "dataset_description.json")
    if text is None:
        why = "is not there; BIDS demands it"
        return {}, [Problem("dataset_description.json", "MISSING_DATASET_DESCRIPTION", why)]
    try:
        found = json.loads(text)
    except ValueError as error:
        return {}, [Problem("dataset_description.json", "JSON_INVALID", f"is no JSON: {error}")]
    return (found if isinstance(found, dict) else {}), []


def _values(arguments: argparse.Namespace, chosen: Template) -> tuple[dict[str, Any], Selection]:
    """The pipeline's parameters, checked, and the selection."""
    values: dict[str, Any] = dict(getattr(arguments, "of_project", {}))
    values |= parameters.from_file(arguments.parameters, chosen) if arguments.parameters else {}
    values |= parameters.given(arguments, chosen)
    queries = read_filter_file(arguments.bids_filter_file) if arguments.bids_filter_file else None
    known = chosen.tool["inputs"]
    for kind, labels in (("task", arguments.task_id), ("session", arguments.session_label)):
        name = chosen.selection.get(kind)
        if name and labels:
            bare = [label.removeprefix("task-").removeprefix("ses-") for label in labels]
            if "[]" not in str(known[name]["type"]) and len(bare) > 1:
                continue  # the tool takes one; it is given the files of these alone
            values[name] = bare if "[]" in str(known[name]["type"]) else bare[0]
    if arguments.bids_filter_file and "filter" in chosen.selection:
        values[chosen.selection["filter"]] = parameters.path_object(
            "File", str(arguments.bids_filter_file), "--bids-filter-file"
        )
    selection = Selection(
        tuple(arguments.participant_label),
        tuple(arguments.session_label),
        tuple(arguments.task_id),
        tuple(arguments.exclude),
        arguments.limit,
        queries,
        _batch_size(arguments, chosen),
    )
    return values, selection


def _batch_size(arguments: argparse.Namespace, chosen: Template) -> int | None:
    size: int | None = arguments.batch_size
    if size is not None and (size < 1 or chosen.unit != template.BATCH):
        why = "must be 1 or more" if size < 1 else f"{chosen.pipeline} takes no batches; leave it out"
        raise BadInput(f"--batch-size {size}: {why}")
    return size


def _after(arguments: argparse.Namespace, chosen: Template, access: Access) -> list[tuple[str, str]]:
    """(CWL input, URL) of each output that --after names, by the pipeline that wrote there."""
    found = []
    for url in arguments.after:
        wrote = runs.latest(open_location(url, access)).pipeline
        found.append((derivatives.input_for(chosen, wrote, url), url))
    names = [name for name, _ in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BadInput(f"--after {' '.join(arguments.after)}: two outputs for {sorted(twice)[0]}; name one")
    return found


def _earlier(
    chosen: Template, values: Mapping[str, Any], access: Access, rehearsing: bool
) -> dict[str, tuple[derivatives.Earlier, ...]]:
    """What lies at the places of earlier derivatives that the user named, by CWL input."""
    found = {}
    for name, binding in chosen.bind.items():
        if not (binding.derivatives and values.get(name)):
            continue
        places = values[name] if isinstance(values[name], list) else [values[name]]
        names = [place["basename"] for place in places]
        twice = sorted({one for one in names if names.count(one) > 1})
        if twice:
            option = "--" + name.replace("_", "-")
            raise BadInput(
                f"{option}: two places are called {twice[0]!r}; give one a name: {option} NAME=PLACE"
            )
        found[name] = tuple(
            derivatives.read(
                place["basename"],
                open_location(place["location"], access),
                rehearsal=rehearsing,
                above=_above(place["location"], access),
                edited=binding.derivatives.edited,
            )
            for place in places
        )
    return found


def _above(url: str, access: Access) -> list[tuple[Location, str]]:
    """The folders that a place lies in, each with the path from there: an output may be one of them."""
    head, slashes, path = url.rstrip("/").partition("://")
    parts = [part for part in path.split("/") if part]
    least = 1 if head == "s3" else 2  # a bucket, or what lies below the root
    found = []
    for up in range(1, HIGHER + 1):
        if len(parts) - up < least:
            break
        root = "/" if head != "s3" else ""
        place = f"{head}{slashes}{root}{'/'.join(parts[:-up])}"
        found.append((open_location(place, access), "/".join(parts[-up:]) + "/"))
    return found


def _tags(chosen: Template, values: Mapping[str, Any], access: Access) -> dict[str, str]:
    """The ETags of parameters on S3, by URL: whoever replaces the object changes what is computed.

    Raises BadInput for an object that is not there.
    """
    found: dict[str, str] = {}
    for name, value in values.items():
        if name in chosen.bind:  # earlier derivatives go into the key file by file
            continue
        for one in value if isinstance(value, list) else [value]:
            url = one.get("location", "") if isinstance(one, Mapping) else ""
            if not url.startswith("s3://"):
                continue
            option = "--" + name.replace("_", "-")
            if one["class"] == "Directory":
                entries = sorted(open_location(url, access).entries())
                found[url] = taskkey.digest(entries)
                missing = not entries
            else:
                folder, _, last = url.rpartition("/")
                stored = open_location(folder, access).stored(last)
                found[url] = stored.tag if stored else ""
                missing = stored is None
            if missing:
                raise BadInput(f"{option} {url}: nothing is there; upload it first, or mend the URL")
    return found


def _preflight(arguments: argparse.Namespace, access: Access) -> preflight.Preflight | None:
    if not arguments.require_preflight:
        return None
    return preflight.read(open_location(arguments.require_preflight, access), arguments.pipeline_dir)


def _faults(arguments: argparse.Namespace) -> dict[str, str]:
    faults = {}
    for word in getattr(arguments, "rehearse_fault", []):
        unit, _, fault = word.partition("=")
        if fault.partition("@")[0].partition("=")[0] not in FAULTS:
            raise BadInput(
                f"--rehearse-fault {word}: must be UNIT=FAULT with FAULT one of {', '.join(FAULTS)}"
            )
        faults[unit if unit.startswith("sub-") else f"sub-{unit}"] = fault
    if faults and not arguments.rehearse:
        raise BadInput("--rehearse-fault needs --rehearse")
    return faults


def _bounds(arguments: argparse.Namespace) -> Bounds:
    """How much more than it asks for a unit may get."""
    given = {
        name: getattr(arguments, name, None) for name in ("max_memory_mib", "max_disk_mib", "spot_losses")
    }
    for name, value in given.items():
        least = 0 if name == "spot_losses" else 1
        if value is not None and value < least:
            raise BadInput(f"--{name.replace('_', '-')} {value}: must be {least} or more")
    losses = given["spot_losses"]
    return Bounds(given["max_memory_mib"], given["max_disk_mib"], SPOT_LOSSES if losses is None else losses)


def _text(location: Location, path: str) -> str | None:
    data = location.read(path)
    return None if data is None else data.decode("utf-8", "replace")
