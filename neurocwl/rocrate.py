"""A run as a Workflow Run RO-Crate (Provenance Run Crate 0.5): plain JSON-LD, from records alone.

The crate is the run's own folder at the output. What lies there (workflow, job orders, lists of inputs, logs) is its
payload; data stay where they are and are named by URL, with ETag or SHA-256.
Terms: https://w3id.org/ro/wfrun/provenance/0.5 and https://w3id.org/ro/crate/1.1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from neurocwl import software
from neurocwl.receipts import UNITS, Receipt
from neurocwl.runs import Run
from neurocwl.software import WFRUN, Entity, ref
from neurocwl.template import GROUP

NAME = "ro-crate-metadata.json"
SINGLY = (
    20_000  # files up to here are entities of their own; beyond, the lists and receipts that name them are
)
_OWN = "https://neurocwl.org/terms#"
CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {
        **{term: WFRUN + term for term in ("ContainerImage", "containerImage", "registry", "tag", "sha256")},
        **{term: _OWN + term for term in ("etag", "exitCode", "taskKey", "attempt")},
    },
]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
CWL_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#cwl"
FORMATS = {".cwl": "application/cwl", ".json": "application/json", ".log": "text/plain"}
STATUSES = {True: "http://schema.org/CompletedActionStatus", False: "http://schema.org/FailedActionStatus"}


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file in the run's folder."""

    name: str
    size: int  # bytes
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of a run."""

    run: Run
    output: str  # URL of the output's root, ending in /
    files: Sequence[RunFile]
    workflows: Mapping[str, Mapping[str, Any]]  # file -> the CWL in it; the main one first
    inputs: Mapping[str, Sequence[tuple[str, int, str]]]  # unit -> (URL, size, ETag)
    lists: Mapping[str, str]  # unit -> the file that lists its inputs
    receipts: Mapping[str, Receipt]
    licence: str = ""  # of the results, as their dataset_description.json has it
    agent: str = ""
    units: Sequence[str] = field(default_factory=tuple)  # those that this run was to process


def crate(record: Record) -> Entity:
    """The RO-Crate metadata document."""
    many = sum(map(len, record.inputs.values())) + sum(len(r.manifest) for r in _own(record).values())
    singly = many <= SINGLY
    actions = [_unit_action(record, unit, singly) for unit in record.units]
    graph = [
        *_descriptor(),
        _root(record, actions, singly),
        *_payload(record),
        *_workflows(record, actions),
        *software.engines({"neurocwl": record.run.neurocwl, **record.run.versions}),
        *software.images(_used_images(record)),
        *_run_actions(record, actions),
        *_parameters(record),
        *actions,
        *_receipts(record),
        *_places(record, singly),
        *(_data(record) if singly else ()),
    ]
    if record.agent:
        graph.append({"@id": "#agent", "@type": "Person", "name": record.agent})
    return {"@context": CONTEXT, "@graph": graph}


def uri(url: str) -> str:
    """A URL as a URI: keys of S3 may hold what URIs may not; file:// URLs and paths of folders are quoted alike."""
    if url.startswith("s3://"):
        return "s3://" + quote(url.removeprefix("s3://"), safe="/:@!$&'()*+,;=~")
    return url if "://" in url else "file://" + quote(url)


def _folder(url: str) -> str:
    return uri(url).rstrip("/") + "/"


def _own(record: Record) -> dict[str, Receipt]:
    """The receipts that this run wrote: later runs may have replaced others."""
    return {unit: r for unit, r in record.receipts.items() if r.run == record.run.run}


def _descriptor() -> Iterator[Entity]:
    yield {
        "@id": NAME,
        "@type": "CreativeWork",
        "about": ref("./"),
        "conformsTo": [
            ref("https://w3id.org/ro/crate/1.1"),
            ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0"),
        ],
    }
    for id_, name in PROFILES.items():
        yield {"@id": id_, "@type": "CreativeWork", "name": name, "version": id_.rpartition("/")[2]}
    yield {
        "@id": CWL_LANGUAGE,
        "@type": "ComputerLanguage",
        "name": "Common Workflow Language",
        "alternateName": "CWL",
        "identifier": ref("https://w3id.org/cwl/v1.2/"),
        "url": ref("https://www.commonwl.org/"),
    }


def _root(record: Record, actions: Sequence[Entity], singly: bool) -> Entity:
    run = record.run
    rehearsal = "A rehearsal: its outputs are no results. " if run.rehearsal else ""
    places = [_folder(run.dataset), _folder(record.output)]
    loose = [id_ for id_ in _inputs(record) if not id_.startswith(places[0])] if singly else []
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Run {run.run} of {run.pipeline}",
        "description": f"{rehearsal}{run.pipeline} over {run.dataset}, results in {run.output}",
        "identifier": run.run,
        "datePublished": run.ended or run.started,
        "license": record.licence or "not stated; the results may be bound by the licence of their dataset",
        "conformsTo": [ref(id_) for id_ in PROFILES],
        "hasPart": [
            *(ref(file.name) for file in record.files),
            *map(ref, places),
            *map(ref, loose),
            *(ref(_receipt_id(record, unit)) for unit in _own(record)),
        ],
        "mainEntity": ref(next(iter(record.workflows))),
        "mentions": [ref("#run"), *(ref(action["@id"]) for action in actions)],
    }


def _payload(record: Record) -> Iterator[Entity]:
    for file in record.files:
        if file.name in record.workflows:
            continue
        suffix = "." + file.name.rpartition(".")[2]
        yield {"@id": file.name, "@type": "File", **_measures(file), "encodingFormat": FORMATS[suffix]}


def _measures(file: RunFile) -> Entity:
    digest = {"sha256": file.sha256} if file.sha256 else {}
    return {"name": file.name, "contentSize": str(file.size), **digest}


def _workflows(record: Record, actions: Sequence[Entity]) -> Iterator[Entity]:
    files = {file.name: file for file in record.files}
    ran = {action["instrument"]["@id"] for action in actions}
    for name, document in record.workflows.items():
        tool, step = _tool_id(name), f"{name}#per_unit"
        main = name == next(iter(record.workflows))
        yield {
            "@id": name,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            **_measures(files[name]),
            "name": document.get("label", name),
            "version": record.run.neurocwl,
            "url": ref(software.HOMES["neurocwl"]),
            "encodingFormat": FORMATS[".cwl"],
            "programmingLanguage": ref(CWL_LANGUAGE),
            "conformsTo": ref("https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"),
            "hasPart": [ref(tool)] if tool in ran else [],
            "step": [ref(step)],
            "input": [ref(f"{name}#{key}") for key in ("units", *_set(record))] if main else [],
        }
        yield {"@id": step, "@type": "HowToStep", "position": "1", "workExample": ref(tool)}
        yield from software.tool_entities(tool, _tool_of(document))


def _tool_id(workflow: str) -> str:
    return f"{workflow}#tool"


def _tool_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a dataset workflow runs for each unit: a tool, or a workflow of them."""
    found: Mapping[str, Any] = document["steps"]["per_unit"]["run"]["steps"]["tool"]["run"]
    return found


def _used_images(record: Record) -> dict[str, str | None]:
    """Image -> digest. A run without containers used none."""
    if not record.run.images and record.run.image_digest is None:
        return {}
    known = {record.run.image: record.run.image_digest, **record.run.images}
    tools = [_tool_of(document) for document in record.workflows.values()]
    return {image: known.get(image) for tool in tools for image in software.container_images(tool)}


def _run_actions(record: Record, actions: Sequence[Entity]) -> Iterator[Entity]:
    run = record.run
    agent = {"agent": ref("#agent")} if record.agent else {}
    status = run.status == "finished"
    yield {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run {run.run}",
        "description": " ".join(run.command),
        "instrument": ref(next(iter(record.workflows))),
        "startTime": run.started,
        "endTime": run.ended,
        "object": [ref(_folder(run.dataset)), *(ref(f"#parameter-{name}") for name in _set(record))],
        "result": [ref(_folder(record.output))],
        "actionStatus": STATUSES[status],
        **({} if status else {"error": run.message or run.status}),
        **agent,
    }
    controls = []
    for name in record.workflows:
        mine = [ref(a["@id"]) for a in actions if a["instrument"]["@id"] == _tool_id(name)]
        if mine:
            controls.append(ref(f"#control-{name}"))
            step = ref(f"{name}#per_unit")
            yield {**controls[-1], "@type": "ControlAction", "name": "One tool run for each unit", "instrument": step, "object": mine}  # fmt: skip
    if controls:
        yield {
            "@id": "#orchestration",
            "@type": "OrganizeAction",
            "name": "Toil runs the workflow",
            "instrument": ref("#toil" if "toil" in run.versions else "#neurocwl"),
            "object": controls,
            "result": ref("#run"),
            "startTime": run.started,
            "endTime": run.ended,
            **agent,
        }


def _set(record: Record) -> dict[str, Any]:
    """Parameters and resources that were given."""
    both = {**record.run.parameters, **record.run.resources}
    return {name: value for name, value in both.items() if value is not None}


def _parameters(record: Record) -> Iterator[Entity]:
    main = next(iter(record.workflows))
    formal = {
        "@type": "FormalParameter",
        "conformsTo": ref("https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"),
    }
    yield {"@id": f"{main}#units", **formal, "name": "units", "additionalType": "Dataset"}
    for name, value in _set(record).items():
        yield {"@id": f"{main}#{name}", **formal, "name": name, "additionalType": _type(value)}
        yield {
            "@id": f"#parameter-{name}",
            "@type": "PropertyValue",
            "name": name,
            "value": _plain(value),
            "exampleOfWork": ref(f"{main}#{name}"),
        }


def _type(value: Any) -> str:
    kinds = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}
    return kinds.get(type(value[0] if isinstance(value, list) and value else value), "PropertyValue")


def _plain(value: Any) -> Any:
    """A parameter as JSON-LD values: Files and Directories by where they lie, never by their contents."""
    if isinstance(value, Mapping):
        return str(value.get("location") or value.get("path") or value.get("basename") or "")
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _unit_action(record: Record, unit: str, singly: bool) -> Entity:
    """What this run did to one unit; a later run may have replaced its receipt, which keeps the history."""
    run, receipt = record.run, record.receipts.get(unit)
    attempt = next((a for a in reversed(receipt.attempts if receipt else ()) if a["run"] == run.run), None)
    mine = receipt if receipt and receipt.run == run.run else None
    done = bool(attempt and attempt["status"] == "done")
    workflow = next((w for w in record.workflows if unit == GROUP and w.endswith(f"-{GROUP}.cwl")), None)
    workflow = workflow or next(iter(record.workflows))
    containers = _used_images(record)
    used = [i for i in software.container_images(_tool_of(record.workflows[workflow])) if i in containers]
    objects = (
        [uri(url) for url, _, _ in record.inputs.get(unit, ())] if singly else [record.lists.get(unit, "")]
    )
    results = [_folder(record.output) + quote(w.path) for w in mine.manifest] if mine and singly else []
    action: Entity = {
        "@id": f"#{unit}",
        "@type": "CreateAction",
        "name": unit,
        "description": f"{run.pipeline if unit != GROUP else 'the group stage'} of {unit}",
        "instrument": ref(_tool_id(workflow)),
        "object": [ref(id_) for id_ in objects if id_],
        "result": [ref(id_) for id_ in ([_receipt_id(record, unit)] if mine else []) + results],
        "actionStatus": STATUSES[done],
    }
    if used:
        action["containerImage"] = [ref(software.image_id(image)) for image in used]
    if attempt:
        action |= {"attempt": attempt["attempt"], "exitCode": attempt["exit_code"]}
    if mine:
        action |= {"endTime": mine.committed, "taskKey": mine.task_key}
    if not done:
        action["error"] = str(attempt["reason"]) if attempt else "it did not end in this run"
    if record.agent:
        action["agent"] = ref("#agent")
    return action


def _receipt_id(record: Record, unit: str) -> str:
    return f"{_folder(record.output)}{UNITS}{quote(unit)}/receipt.json"


def _receipts(record: Record) -> Iterator[Entity]:
    for unit, receipt in _own(record).items():
        yield {
            "@id": _receipt_id(record, unit),
            "@type": "File",
            "name": f"receipt of {unit}",
            "encodingFormat": "application/json",
            "etag": receipt.tag,
            "dateModified": receipt.committed,
        }


def _inputs(record: Record) -> dict[str, tuple[int, str]]:
    """URI -> (size, ETag) of every file that some unit was given."""
    return {uri(url): (size, etag) for files in record.inputs.values() for url, size, etag in files}


def _places(record: Record, singly: bool) -> Iterator[Entity]:
    """The dataset and the output, with their files where those are entities of their own."""
    dataset, output = _folder(record.run.dataset), _folder(record.output)
    read = [ref(id_) for id_ in _inputs(record) if id_.startswith(dataset)]
    written = [ref(output + quote(w.path)) for r in _own(record).values() for w in r.manifest]
    first: Entity = {
        "@id": dataset,
        "@type": "Dataset",
        "name": "the BIDS dataset",
        "exampleOfWork": ref(f"{next(iter(record.workflows))}#units"),
    }
    if dataset != output:
        yield {**first, **({"hasPart": read} if singly else {"subjectOf": [ref(f) for f in dict.fromkeys(record.lists.values())]})}  # fmt: skip
    yield {
        "@id": output,
        "@type": "Dataset",
        "name": "the results",
        **({"hasPart": written} if singly else {}),
    }


def _data(record: Record) -> Iterator[Entity]:
    """Every file that was read, by URL and ETag, and every one that was written, by URL and SHA-256."""
    output, seen = _folder(record.output), set()
    for id_, (size, etag) in _inputs(record).items():
        seen.add(id_)
        yield {
            "@id": id_,
            "@type": "File",
            "name": id_.rpartition("/")[2],
            "contentSize": str(size),
            "etag": etag,
        }
    for receipt in _own(record).values():
        for written in receipt.manifest:
            id_ = output + quote(written.path)
            if id_ not in seen:
                seen.add(id_)
                yield {
                    "@id": id_,
                    "@type": "File",
                    "name": written.path,
                    "contentSize": str(written.size),
                    "sha256": written.sha256,
                    "etag": written.etag,
                }
