"""Image processing projects: a folder, or a prefix, with bin/, input/, output/ and src/; or images below any prefix."""

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurocwl import cwlfile, template
from neurocwl.bids import Dataset, Entry, File, Participant, Place, Problem, Shape, printable, refusal
from neurocwl.bidsnames import is_marker
from neurocwl.errors import BadInput
from neurocwl.storage import Folder, Location
from neurocwl.template import BATCH, Template

INPUT, OUTPUT, SCRIPTS = "input", "output", ("bin", "src", "code")  # code: where a BIDS dataset keeps them
RESULTS = (OUTPUT, "derivatives")
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
        if _unit(file) == BATCH:
            found.append(name)
    if len(found) != 1:
        raise BadInput(f"--pipeline is missing; those that take images in batches: {', '.join(found)}")
    return found[0]


def _unit(file: Path) -> str | None:
    """The unit that a job template names; None for a file that is none, and lies beside some."""
    try:
        return cwlfile.load(file).get("unit")
    except Exception:  # no YAML, or no map
        return None


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


def index(entries: Iterable[Entry], chosen: Template, *, layout: bool) -> Dataset:
    """The images of a listing, those of nobody in particular: files with an extension that the pipeline takes.

    layout: whether it is a project's own, in which some folders hold no images. What is left out is counted.
    """
    wanted = extensions(chosen)
    files, problems = [], []
    left: dict[tuple[str, str], list[str]] = {}  # (what, code) -> paths
    for entry in entries:
        if is_marker(entry):
            continue
        why = _left_out(entry.path, wanted, layout=layout)
        if why:
            left.setdefault(why, []).append(entry.path)
            continue
        unsafe = refusal(entry.path)
        if unsafe:
            problems.append(Problem(printable(entry.path), "UNSAFE_KEY", f"left out: the key {unsafe}"))
            continue
        if not entry.size:
            problems.append(Problem(printable(entry.path), "EMPTY_FILE", "has no bytes"))
        name = entry.path.rpartition("/")[2]
        stem, dot, extension = name.partition(".")
        files.append(File(*entry, _PLAIN, Shape(name, {}, stem, dot + extension, fits=False)))
    files.sort(key=lambda file: file.path)
    said = {
        "HIDDEN_FILE": "its name, or that of a folder, begins with a dot",
        "NOT_AN_IMAGE": f"{chosen.pipeline} takes {', '.join(wanted)}",
        "NOT_INPUT": f"a project's images lie in {INPUT}/, or in folders of other names",
    }
    for (what, code), paths in sorted(left.items()):
        if code in said:
            first = f"the first is {printable(min(paths))}"
            problems.append(Problem(what, code, f"{len(paths)} left out, {first}: {said[code]}"))
    everything = Participant("", tuple(files), (), listed=False, present=True)
    return Dataset((everything,) if files else (), (), tuple(problems))


def _left_out(path: str, wanted: tuple[str, ...], *, layout: bool) -> tuple[str, str] | None:
    """What a file that is no image of the input counts as, and the code of the problem that it is."""
    top, below, _ = path.partition("/")
    name = path.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    kind = f"*.{printable(extension.lower())}" if stem and dot else "*"
    if layout and below and top in RESULTS:
        return top, ""  # its own results: nobody misses them
    if any(part.startswith(".") for part in path.split("/")):
        return kind, "HIDDEN_FILE"
    if layout and below and top in SCRIPTS:
        return (f"{top}/{kind}", "NOT_INPUT") if name.lower().endswith(wanted) else (top, "")
    return None if name.lower().endswith(wanted) else (kind, "NOT_AN_IMAGE")


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

    Raises BadInput for a project that is not there or has several macros, and for a pipeline that takes no batches.
    """
    if chosen.unit != BATCH:
        raise BadInput(f"--pipeline {chosen.pipeline}: takes {chosen.unit}s of a BIDS dataset, not a project")
    if isinstance(project, Folder) and not project.root.is_dir():
        raise BadInput(f"{project.url}: there is no such folder; neurocwl project create makes one")
    base = project.url.rstrip("/")
    own_input = has_input(project)
    if own_input and arguments.output and _is_below(arguments.output, f"{base}/{INPUT}"):
        raise BadInput(
            f"--output {arguments.output} lies among the raw data; write to {base}/{OUTPUT} or elsewhere"
        )
    if not arguments.output:
        bids = not own_input and project.stored("dataset_description.json") is not None
        arguments.output = f"{base}/derivatives/{chosen.pipeline}" if bids else f"{base}/{OUTPUT}"
    arguments.own_input = own_input
    arguments.dataset = f"{base}/{INPUT}" if own_input else base
    if chosen.macro and getattr(arguments, f"parameter:{chosen.macro}", None) is None:
        found = find_macro(project)
        if not found and not own_input and next(iter(project.entries()), None) is None:
            raise BadInput(
                f"{project.url}: nothing there; give the folder or prefix that holds {INPUT}/ and bin/"
            )
        arguments.of_project = {chosen.macro: found} if found else {}


def _is_below(output: str, folder: str) -> bool:
    """Whether results would become images of the next launch."""
    if not folder.startswith("s3://"):
        output = os.path.realpath(Path(output.removeprefix("file://")).expanduser())
        folder = os.path.realpath(folder)
    return f"{output.rstrip('/')}/".startswith(f"{folder}/")


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
