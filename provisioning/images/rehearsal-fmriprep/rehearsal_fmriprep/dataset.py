"""Reading the staged dataset: a participant's files, what their sidecars say, whether they open."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal_fmriprep.parser import Options, Query

KEYS = {
    "subject": "sub", "session": "ses", "task": "task", "acquisition": "acq", "ceagent": "ce",
    "reconstruction": "rec", "direction": "dir", "run": "run", "echo": "echo", "part": "part",
}  # fmt: skip
"""PyBIDS' names of entities (as in a filter file) and their keys in file names."""

QUERIES: dict[str, dict[str, Any]] = {
    "t1w": {"datatype": "anat", "suffix": "T1w", "part": ["mag", None]},
    "t2w": {"datatype": "anat", "suffix": "T2w", "part": ["mag", None]},
    "flair": {"datatype": "anat", "suffix": "FLAIR", "part": ["mag", None]},
    "bold": {"datatype": "func", "suffix": "bold", "part": ["mag", None]},
    "fmap": {"datatype": "fmap"},
}


class NoSuchDataError(Exception):
    """The dataset lacks what was asked for; fMRIPrep ends with 1 before it runs anything."""


@dataclass(frozen=True, slots=True)
class Image:
    """One NIfTI file of the dataset, with its name taken apart."""

    path: Path
    datatype: str
    suffix: str
    entities: tuple[tuple[str, str], ...]

    def get(self, key: str) -> str | None:
        """The value of an entity by its key in the file name."""
        return dict(self.entities).get(key)

    def matches(self, query: dict[str, Any]) -> bool:
        """Whether a PyBIDS query selects this file."""
        return all(self._matches(name, wanted) for name, wanted in query.items())

    def _matches(self, name: str, wanted: Any) -> bool:
        own = {"datatype": self.datatype, "suffix": self.suffix}.get(name) or self.get(KEYS.get(name, name))
        return any(_equal(own, value) for value in (wanted if isinstance(wanted, list) else [wanted]))


def _equal(own: str | None, value: Any) -> bool:
    if value is None or value is Query.NONE:
        return own is None
    if value in (Query.ANY, Query.REQUIRED):
        return own is not None
    if own is None:
        return False
    numbers = own.isdigit() and str(value).isdigit()
    return int(own) == int(value) if numbers else own == str(value)


def participants(bids_dir: Path, wanted: Iterable[str]) -> list[str]:
    """Labels of the wanted participants, or of all; NoSuchDataError names those that have no folder."""
    there = sorted(folder.name.removeprefix("sub-") for folder in bids_dir.glob("sub-*") if folder.is_dir())
    missing = sorted(set(wanted) - set(there))
    if missing or not there:
        raise NoSuchDataError(
            f"Could not find participants {', '.join(missing) or '(any)'} in {bids_dir}; there are: "
            f"{', '.join(there) or 'none'}"
        )
    return sorted(set(wanted)) or there


def images(bids_dir: Path, participant: str) -> list[Image]:
    """Every NIfTI file below the participant's folder, in order of its path."""
    root = bids_dir / f"sub-{participant}"
    return [parse(path) for path in sorted(root.rglob("*")) if path.name.endswith((".nii", ".nii.gz"))]


def parse(path: Path) -> Image:
    """Take a BIDS file name apart."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    *pairs, suffix = stem.split("_")
    entities = tuple((key, value) for key, _, value in (pair.partition("-") for pair in pairs))
    return Image(path, path.parent.name, suffix, entities)


def select(found: list[Image], kind: str, options: Options) -> list[Image]:
    """The images that fMRIPrep's query of that kind picks, with labels and filter file applied."""
    query = {**QUERIES[kind], **options.filters.get(kind, {})}
    if options.sessions:
        query["session"] = list(options.sessions)
    if kind == "bold":
        if options.task:
            query["task"] = options.task
        if options.echo is not None:
            query["echo"] = options.echo
    return [image for image in found if image.matches(query)]


def sidecar(image: Image, bids_dir: Path) -> dict[str, Any]:
    """The metadata of an image by inheritance: from the dataset's root down, the nearest file last."""
    own = {f"{key}-{value}" for key, value in image.entities}
    merged: dict[str, Any] = {}
    folders = [bids_dir, *[p for p in reversed(image.path.parents) if bids_dir in p.parents]]
    for folder in folders:
        for path in sorted(folder.glob(f"*{image.suffix}.json"), key=lambda p: p.name.count("_")):
            *pairs, suffix = path.name.removesuffix(".json").split("_")
            if suffix == image.suffix and own.issuperset(pairs):
                merged.update(json.loads(path.read_text()))
    return merged


def runs(bold: list[Image]) -> list[list[Image]]:
    """BOLD series: the echoes of a multi-echo run together, in order of the echo; others alone."""
    series: dict[str, list[Image]] = {}
    for image in bold:
        series.setdefault(re.sub(r"_echo-[^_]+", "", image.path.name), []).append(image)
    return [sorted(echoes, key=lambda e: int(e.get("echo") or 0)) for _, echoes in sorted(series.items())]
