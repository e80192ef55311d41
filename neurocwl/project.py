"""Image processing projects: a folder, or a prefix, with bin/, input/, output/ and src/; or images below any prefix."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurocwl import cwlfile, template
from neurocwl.bids import Dataset, Entry, File, Participant, Place, Problem, Shape, printable, refusal
from neurocwl.bidsnames import is_marker
from neurocwl.errors import BadInput
from neurocwl.storage import Location
from neurocwl.template import BATCH, Template

INPUT, OUTPUT, SCRIPTS = "input", "output", ("bin", "src", "code")  # code: where a BIDS dataset keeps them
FOLDERS = ("bin", INPUT, OUTPUT, "src")
MACRO = ".ijm"
LARGEST_MACRO = 1 << 20  # bytes
_PLAIN = Place(None, None, "", 4)


def pipeline(pipeline_dir: Path | None) -> str:
    """The pipeline that a project runs when none is named: the only one that takes images in batches.

    Raises BadInput when there are several.
    """
    found = []
    for name in template.names(pipeline_dir):
        file = next(
            f / f"{name}.yml" for f in template.folders(pipeline_dir) if (f / f"{name}.yml").is_file()
        )
        if cwlfile.load(file).get("unit") == BATCH:
            found.append(name)
    if len(found) != 1:
        raise BadInput(f"--pipeline is missing; those that take images in batches: {', '.join(found)}")
    return found[0]


def has_input(project: Location) -> bool:
    """Whether a project keeps its images in input/."""
    return any(not is_marker(entry) for entry in project.entries(f"{INPUT}/"))


def find_macro(project: Location) -> dict[str, Any] | None:
    """The macro of a project as a CWL File that holds its text; None when it has none.

    Raises BadInput when there are several.
    """
    paths = sorted(
        entry.path
        for folder in SCRIPTS
        for entry in project.entries(f"{folder}/")
        if entry.path.lower().endswith(MACRO)
    )
    if len(paths) > 1:
        raise BadInput(f"{project.url}: several macros ({', '.join(paths)}); choose one with --macro")
    return macro(paths[0].rpartition("/")[2], project.read(paths[0]) or b"") if paths else None


def macro(name: str, content: bytes) -> dict[str, Any]:
    """A CWL File that holds a macro: a job order says by itself what was run, and needs no other file.

    Raises BadInput for what is no text.
    """
    if not content.strip() or len(content) > LARGEST_MACRO:
        raise BadInput(f"--macro {name}: {len(content)} bytes; it must be the text of a macro")
    try:
        return {"class": "File", "basename": name, "contents": content.decode("utf-8")}
    except UnicodeDecodeError as error:
        raise BadInput(f"--macro {name}: is not UTF-8 ({error}); save it as UTF-8") from error


def is_bids(entries: Iterable[Entry]) -> bool:
    """Whether a listing is a BIDS dataset's."""
    paths = [entry.path for entry in entries]
    return "dataset_description.json" in paths and any(path.startswith("sub-") for path in paths)


def index(entries: Iterable[Entry], chosen: Template) -> Dataset:
    """The images of a listing, those of nobody in particular: files with an extension that the pipeline takes."""
    wanted = extensions(chosen)
    files, problems = [], []
    for entry in entries:
        top, _, rest = entry.path.partition("/")
        hidden = any(part.startswith(".") for part in entry.path.split("/"))
        if is_marker(entry) or hidden or (rest and top in {OUTPUT, "derivatives", *SCRIPTS}):
            continue
        if not entry.path.lower().endswith(wanted):
            continue
        why = refusal(entry.path)
        if why:
            problems.append(Problem(printable(entry.path), "UNSAFE_KEY", f"left out: the key {why}"))
            continue
        if not entry.size:
            problems.append(Problem(printable(entry.path), "EMPTY_FILE", "has no bytes"))
        name = entry.path.rpartition("/")[2]
        stem, dot, extension = name.partition(".")
        files.append(File(*entry, _PLAIN, Shape(name, {}, stem, dot + extension, fits=False)))
    files.sort(key=lambda file: file.path)
    everything = Participant("", tuple(files), (), listed=False, present=True)
    return Dataset((everything,) if files else (), (), tuple(problems))


def extensions(chosen: Template) -> tuple[str, ...]:
    """The extensions of the images that a pipeline takes."""
    found: list[str] = []
    for binding in chosen.bind.values():
        where: Mapping[str, Any] = binding.where
        value = where.get("extension", [])
        found += [str(one) for one in (value if isinstance(value, list) else [value])]
    return tuple(dict.fromkeys(found))


def complete(arguments: argparse.Namespace, chosen: Template, project: Location) -> None:
    """Fill in what the layout of a project says: where its images lie, where results go, and its macro.

    Raises BadInput for a project with several macros, and for a pipeline that takes no batches.
    """
    if chosen.unit != BATCH:
        raise BadInput(f"--pipeline {chosen.pipeline}: takes {chosen.unit}s of a BIDS dataset, not a project")
    base = project.url.rstrip("/")
    own_input = has_input(project)
    if not arguments.output:
        bids = not own_input and project.stored("dataset_description.json") is not None
        arguments.output = f"{base}/derivatives/{chosen.pipeline}" if bids else f"{base}/{OUTPUT}"
    arguments.dataset = f"{base}/{INPUT}" if own_input else base
    if chosen.macro and getattr(arguments, f"parameter:{chosen.macro}", None) is None:
        found = find_macro(project)
        arguments.of_project = {chosen.macro: found} if found else {}


def create(folder: Path) -> list[Path]:
    """Make the folders of a new project; what is there stays.

    Raises BadInput where a file is in the way.
    """
    made = []
    for name in FOLDERS:
        target = folder / name
        if target.exists() and not target.is_dir():
            raise BadInput(f"{target}: is a file, and should be a folder of the project; move it")
        if not target.is_dir():
            target.mkdir(parents=True)
            made.append(target)
    return made
