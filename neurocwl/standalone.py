"""Every pipeline in one folder that CWL engines run from anywhere, without neurocwl: packed and unpacked."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from neurocwl import assets, cwlfile, export, template, workflow
from neurocwl.errors import BadInput

CWL = dict[str, Any]

README = """\
# CWL tools and workflows of neurocwl

CWL v1.2 without JavaScript. Nothing here needs neurocwl.

- `packed/`: one file each, scripts inside; `NAME.cwl` is a tool, `NAME-dataset.cwl` its scatter over a dataset.
- `unpacked/`: the same as separate files that refer to each other by relative paths.
- `*.test.yml`: a test job of each tool, with its small inputs in `test-data/`. Licences in them are stand-ins.

    cwltool packed/NAME.cwl packed/NAME.test.yml
    toil-cwl-runner --no-prepull unpacked/cwl/tools/NAME.cwl unpacked/cwl/tools/NAME.test.yml

Images `localhost/neurocwl/...` are in no registry: build them from neurocwl's `provisioning/images`. Steps without a
container (stage-in, stage-out) need Python 3.11, and boto3 where the data are on S3.
`neurocwl job-order dataset` writes the job order of a dataset workflow; with `--local` its files are local ones.

neurocwl's tests run these in cwltool, toil-cwl-runner and StreamFlow. StreamFlow 0.2.0rc3 passes over an image's ENTRYPOINT
and refuses optional enums that are left out: docs/engines.md says which tools it does not run.
"""


def write(folder: Path, extra: Path | None) -> Iterator[str]:
    """Write every tool and dataset workflow into a folder; yields what was written.

    Raises BadInput for a folder that cannot be written, or a pipeline whose files lie too far apart to be moved.
    """
    try:
        yield from _write(folder, extra)
    except OSError as error:
        raise BadInput(f"pipelines export {folder}: {error.strerror}; name a folder") from error


def _write(folder: Path, extra: Path | None) -> Iterator[str]:
    packed, unpacked = folder / "packed", folder / "unpacked"
    packed.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(README, encoding="utf-8")
    yield str(folder / "README.md")
    chosen = [template.load(name, extra) for name in template.names(extra)]
    tools = _tools(one.tool_file for one in chosen)
    _copy([file for tool in tools for file in (tool, *_needed(tool))], unpacked)
    for tool in tools:
        yield _json(packed / tool.name, workflow.standalone(tool))
        job = tool.with_suffix(".test.yml")
        if job.is_file() and all(file.exists() for file in _used(cwlfile.load(job), job.parent)):
            places = (packed / job.name, unpacked / _inside(job).parent / job.name)
            _write_job(job, places, folder / "test-data")
            yield from map(str, places)
    for one in chosen:
        name = f"{one.pipeline}-dataset.cwl"
        yield _json(packed / name, workflow.dataset_workflow(one, inline=True))
        file = unpacked / "cwl" / "workflows" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(export.built(one), encoding="utf-8")
        file.chmod(0o755)
        yield str(file)


def _tools(of_pipelines: Iterable[Path]) -> list[Path]:
    """All of our own tools, workflows of tools, and those of the pipelines."""
    ours = assets.path("cwl")
    own = [file for kind in ("tools", "workflows") for file in (ours / kind).glob("*.cwl")]
    tools = [file for file in own if not file.name.endswith("-dataset.cwl")]
    return list(dict.fromkeys(file.resolve() for file in sorted([*tools, *of_pipelines])))


def _needed(file: Path) -> Iterator[Path]:
    """Every file that a tool or workflow refers to: scripts, and the tools of its steps with theirs."""

    def named(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            for key, item in value.items():
                if key in ("$include", "run") and isinstance(item, str):
                    yield item
                else:
                    yield from named(item)
        elif isinstance(value, list):
            for item in value:
                yield from named(item)

    for name in named(cwlfile.load(file)):
        found = (file.parent / name).resolve()
        yield found
        if found.suffix == ".cwl":
            yield from _needed(found)


def _root(file: Path) -> Path:
    """Where cwl/ and toolwrappers/ lie, of ours or of a folder of the user's own."""
    ours = assets.path("cwl").parent.resolve()
    return ours if file.is_relative_to(ours) else file.parents[2]


def _inside(file: Path, root: Path | None = None) -> Path:
    return file.relative_to(root or _root(file))


def _copy(files: Iterable[Path], unpacked: Path) -> None:
    root = None
    for file in files:
        root = _root(file) if file.suffix == ".cwl" else root
        if root is None or not file.is_relative_to(root):
            raise BadInput(
                f"{file} lies outside of {root}; put it beside the tool that names it, or below {root}"
            )
        target = unpacked / _inside(file, root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def _used(value: Any, source: Path) -> Iterator[Path]:
    """The files that a test job names; an installed package may lack those of the documentation."""
    if isinstance(value, Mapping):
        location = value.get("location")
        if isinstance(location, str) and "://" not in location:
            yield source / location
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _used(item, source)


def _write_job(job: Path, places: Iterable[Path], data: Path) -> None:
    """Write a test job to several places, and its files beside them."""
    document = cwlfile.load(job)
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        moved = _moved(document, job.parent, data, place.parent)
        place.write_text(cwlfile.as_yaml(moved), encoding="utf-8")


def _moved(value: Any, source: Path, data: Path, home: Path) -> Any:
    """The job with its relative locations pointing to copies in the data folder, relative to where it will lie."""
    if isinstance(value, list):
        return [_moved(item, source, data, home) for item in value]
    if not isinstance(value, Mapping):
        return value
    location = value.get("location")
    if not isinstance(location, str) or "://" in location:
        return {key: _moved(item, source, data, home) for key, item in value.items()}
    file = (source / location).resolve()
    target = data / file.name
    data.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        shutil.copytree(file, target, dirs_exist_ok=True)
    else:
        shutil.copy(file, target)
    return {**value, "location": os.path.relpath(target, home)}


def _json(file: Path, document: CWL) -> str:
    file.write_text(cwlfile.as_json(document), encoding="utf-8")
    return str(file)
