"""Job orders and workflows written to a folder, for toil-cwl-runner by hand and for other engines."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl import assets, cwlfile, images, workflow
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.joborder import Common, Order, as_json, job_order, shards
from neurocwl.plan import READY, Plan, Request
from neurocwl.storage import Location
from neurocwl.template import Template


@dataclass(frozen=True, slots=True)
class Written:
    """The files of an export, and how to run them."""

    files: tuple[Path, ...]
    workflow: Path
    local: bool
    built_here: bool  # no registry has the image, so that Toil must not pull it beforehand

    def lines(self) -> Iterator[str]:
        """A command per job order."""
        for file in self.files:
            toil = "toil-cwl-runner --reference-inputs" + (" --no-prepull" if self.built_here else "")
            runner = "cwltool" if self.local else toil
            yield f"{runner} {shlex.quote(str(self.workflow))} {shlex.quote(str(file))}"


def job_orders(
    plan: Plan,
    request: Request,
    parameters: Mapping[str, Any],
    licence: Mapping[str, Any] | None,
    dataset: Location,
    destination: Path,
    *,
    local: bool,
) -> Written:
    """Write the job orders of the units that are ready: JSON into a folder, or one YAML file."""
    run = "by-hand"
    output = plan.output or str(Path("derivatives", plan.pipeline).absolute())
    common = Common(output, run, parameters, licence)
    as_yaml = destination.suffix in (".yml", ".yaml")
    groups = list(shards([planned.order for planned in plan.of(READY)]))
    if not groups:
        raise BadInput(f"{plan.dataset}: no unit is ready to run; see: neurocwl plan dataset")
    if as_yaml and len(groups) > 1:
        raise BadInput(f"-o {destination}: {len(groups)} shards do not fit into one file; give a folder")
    folder = destination.parent if as_yaml else destination
    places = {"dataset": dataset, **_earlier(groups)}
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(groups, start=1):
            document = job_order(shard, request.template, common)
            if local:
                for place, there in places.items():
                    document = localised(document, there, folder / place)
            file = destination if as_yaml else folder / f"job-order-{number:03}.json"
            file.write_bytes(cwlfile.as_yaml(document).encode() if as_yaml else as_json(document))
            files.append(file)
        for stale in set() if as_yaml else {*folder.glob("job-order-*.json")} - {*files}:
            stale.unlink()
    except OSError as error:
        raise InfrastructureError(f"-o {destination}: {error.strerror}") from error
    built_here = request.image.startswith(images.PREFIX)
    return Written(tuple(files), _workflow_for(request, folder), local, built_here)


def _earlier(groups: Sequence[Sequence[Order]]) -> dict[str, Location]:
    """Where earlier derivatives lie, each with a name for a folder."""
    found = {
        part.location.url: part.location
        for group in groups
        for one in group
        for parts in one.parts.values()
        for part in parts
    }
    return {f"earlier-{number}": location for number, location in enumerate(found.values(), start=1)}


def _workflow_for(request: Request, folder: Path) -> Path:
    """The committed workflow where it fits, else one written beside the job orders."""
    committed = assets.path("cwl") / "workflows" / f"{request.template.pipeline}-dataset.cwl"
    ours = request.template.file.resolve().parent == assets.path("jobs").resolve()
    if ours and committed.is_file() and request.image == request.template.image:
        return Path(os.path.relpath(committed)) if committed.is_relative_to(Path.cwd()) else committed
    file = folder / f"{request.template.pipeline}-dataset.cwl"
    file.write_text(
        cwlfile.as_json(workflow.dataset_workflow(request.template, inline=True, image=request.image))
    )
    return file


def localised(document: Any, dataset: Location, folder: Path) -> Any:
    """The same document with every file of a dataset (or output) at a local path; files on S3 are downloaded.

    A file that is there with the right size is not fetched again.
    """
    base = dataset.file_url("")

    def local(value: Any) -> Any:
        if isinstance(value, list):
            return [local(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        location = value.get("location")
        if (
            value.get("class") == "File"
            and isinstance(location, str)
            and location.startswith(base)
            and base.startswith("s3://")
        ):
            target = (folder / location.removeprefix(base)).absolute()
            if not target.exists() or target.stat().st_size != value["size"]:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    for block in dataset.chunks(location.removeprefix(base)):
                        out.write(block)
            return {**value, "location": target.as_uri()}
        return {key: local(item) for key, item in value.items()}

    return {key: local(value) for key, value in document.items() if key != "$namespaces"}


def build(chosen: Template) -> Path:
    """Write a pipeline's dataset workflow beside its tool, under workflows/; returns the file."""
    file = chosen.tool_file.parent.parent / "workflows" / f"{chosen.pipeline}-dataset.cwl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(built(chosen), encoding="utf-8")
    file.chmod(0o755)
    return file


def image(chosen: Template) -> None:
    """Build the image that a pipeline's tool names from images/NAME beside its jobs/."""
    if chosen.image.startswith(images.PREFIX):
        images.ensure(chosen.image)
        return
    name = chosen.image.rpartition("/")[2].partition(":")[0].partition("@")[0]
    images.ensure_from(chosen.file.resolve().parent.parent / "images" / name, chosen.image)


def built(chosen: Template) -> str:
    """The text of a pipeline's dataset workflow."""
    head = f"#!/usr/bin/env cwl-runner\n# Written by `neurocwl pipelines build {chosen.pipeline}` from its tool and its job template.\n"
    # In a folder of the user's own stage-out is not beside the tool: the workflow holds a copy.
    alone = not (chosen.tool_file.parent.parent / "tools" / "stage-out.cwl").is_file()
    return head + cwlfile.as_yaml(workflow.dataset_workflow(chosen, inline=alone))
