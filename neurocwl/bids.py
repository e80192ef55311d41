"""The index of a dataset: participants, their files and what is wrong, from nothing but a listing."""

import gc
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from neurocwl.bidsignore import matcher
from neurocwl.bidsnames import (
    DATATYPES,
    ENTITIES,
    INDEX_ENTITIES,
    LABEL,
    SIDECARS,
    Entry,
    File,
    Place,
    Problem,
    Shape,
    is_hidden,
    is_marker,
    parse,
    place_of,
    printable,
    refusal,
    shape_of,
)

__all__ = [
    "DATATYPES",
    "ENTITIES",
    "INDEX_ENTITIES",
    "LABEL",
    "SIDECARS",
    "Dataset",
    "Entry",
    "File",
    "Participant",
    "Place",
    "Problem",
    "Shape",
    "index",
    "parse",
    "place_of",
    "printable",
    "refusal",
    "shape_of",
]

# Folders that BIDS, or common practice, keeps beside the participants: no input of a unit, no litter.
BESIDE_PARTICIPANTS: Final = frozenset(
    {"code", "derivatives", "doc", "docs", "log", "logs", "models", "phenotype", "prov", "rawbids", "rawdata"}
    | {"sourcedata", "stimuli"}
)
_HALF = 120  # bytes; two such halves of a name are never too long together


class Participant(NamedTuple):
    """A participant: label without "sub-", files sorted by path, session labels sorted."""

    label: str
    files: tuple[File, ...]
    sessions: tuple[str, ...]
    listed: bool  # in participants.tsv
    present: bool  # has a folder with files


class Dataset(NamedTuple):
    """A dataset as its listing tells it: see `index`."""

    participants: tuple[Participant, ...]
    root_files: tuple[File, ...]  # what every unit gets: the description, tables, sidecars to inherit
    problems: tuple[Problem, ...]


def index(entries: Iterable[Entry], *, bidsignore: str = "", participants_tsv: str | None = None) -> Dataset:
    """The participants, root files and problems of a dataset, from its listing.

    Entries come in any order, quickest folder by folder (as S3 and a walk list them).
    `bidsignore` and `participants_tsv` are the texts of those files; None when there is no table.
    """
    building = _Building(matcher(bidsignore))
    # Hundreds of thousands of objects that all stay: looking for cycles among them costs as much again.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for folder, members in groupby(entries, key=_folder):
            building.add_folder(folder, members)
        return building.finish(participants_tsv)
    finally:
        if collecting:
            gc.enable()


def _folder(entry: Entry) -> str:
    path = entry[0]
    return path[: path.rfind("/") + 1]


class _Building:
    """The state of one `index`."""

    def __init__(self, ignored: Callable[[str], bool] | None) -> None:
        self.ignored = ignored
        self.files: dict[str, list[File]] = {}
        self.root: list[File] = []
        self.shapes: dict[str, Shape] = {}  # of file names without their prefix
        self.problems: list[Problem] = []
        self.reported: set[str] = set()

    def report(self, path: str, code: str, message: str) -> None:
        self.problems.append(Problem(printable(path), code, message))

    def report_folder(self, folder: str, code: str, message: str) -> None:
        if folder not in self.reported:
            self.reported.add(folder)
            if not (self.ignored and self.ignored(folder)):
                self.report(folder, code, message)

    def add_folder(self, folder: str, members: Iterator[Entry]) -> None:
        """Take the entries that lie directly in `folder` ("" or with a '/' at its end)."""
        reason = refusal(folder) if folder else None
        place = None if reason else place_of(folder[:-1])
        if place is None:
            self._leave_out(folder, members, reason)
            return
        if place.participant is None:
            self._add_files(place, self.root, folder, members)
            return
        bucket = self.files.setdefault(place.participant, [])
        before = len(bucket)
        self._add_files(place, bucket, folder, members)
        if place.level != 3 and place.recording is None and len(bucket) > before:
            home = f"{place.head}/" if place.session is None else f"{place.head}/ses-{place.session}/"
            if folder != home:
                self.report_folder(
                    folder, "NOT_INCLUDED", "no folder that BIDS knows: its files have no datatype"
                )

    def _leave_out(self, folder: str, members: Iterator[Entry], reason: str | None) -> None:
        top = folder.partition("/")[0]
        known = (
            top.startswith(".") or top in BESIDE_PARTICIPANTS or (top.startswith("sub-") and top != "sub-")
        )
        for entry in members:
            why = reason or refusal(entry.path)
            if why:
                self.report(entry.path, "UNSAFE_KEY", f"left out: the key {why}")
            elif not known and not is_marker(entry):
                self.report_folder(f"{top}/", "NOT_INCLUDED", "left out: no folder that BIDS knows")

    def _add_files(self, place: Place, bucket: list[File], folder: str, members: Iterator[Entry]) -> None:
        skip, prefix, ignored = len(folder), place.prefix, self.ignored
        new = tuple.__new__  # what File() does, at half the cost
        start = skip + len(prefix)
        # Inside recordings and at the root nothing repeats under another participant's name.
        known = {} if place.recording or not prefix or len(prefix.encode()) > _HALF else self.shapes
        for entry in members:
            path = entry[0]
            shape = known.get(path[start:]) if path.startswith(prefix, skip) else None
            if shape is None:
                shape = self._shape(entry, path[skip:], place)
                if shape is None:
                    continue
                if shape.fits and len(shape.text.encode()) <= _HALF:
                    known[shape.text] = shape
            if ignored is not None and ignored(path):
                continue
            bucket.append(new(File, (path, entry[1], entry[2], place, shape)))
            if not entry[1] and place.recording is None:
                self.report(path, "EMPTY_FILE", "has no bytes")
            if not shape.fits and prefix:
                self.report(
                    path, "INVALID_LOCATION", f"its name should begin with {prefix} and end with a suffix"
                )

    def _shape(self, entry: Entry, base: str, place: Place) -> Shape | None:
        """The shape of a name not met before; None if the file is left out."""
        why = refusal(entry.path)
        if why:
            self.report(entry.path, "UNSAFE_KEY", f"left out: the key {why}")
        elif is_marker(entry):
            if entry.size and not base:
                self.report(entry.path, "UNSAFE_KEY", "left out: the key of a folder, yet it has content")
        elif not is_hidden(base, place):
            return shape_of(base, place)
        return None

    def finish(self, participants_tsv: str | None) -> Dataset:
        """Everything together, sorted, with what only shows when all is known."""
        listed = self._listed(participants_tsv)
        participants = []
        for label in sorted({label for label, files in self.files.items() if files} | listed):
            files = self._distinct(self.files.pop(label, []))
            present, in_table = bool(files), participants_tsv is None or label in listed
            if not present:
                self.report(
                    f"sub-{label}/", "PARTICIPANT_ID_MISMATCH", "in participants.tsv, but has no files"
                )
            elif not in_table:
                self.report(
                    f"sub-{label}/", "PARTICIPANT_ID_MISMATCH", "has files, but is not in participants.tsv"
                )
            sessions = sorted({file.place.session for file in files if file.place.session is not None})
            for folder in (
                label,
                *(f"{label}/ses-{session}" for session in sessions if not LABEL.fullmatch(session)),
            ):
                if folder is not label or not LABEL.fullmatch(label):
                    self.report(
                        f"sub-{folder}/", "INVALID_ENTITY_LABEL", "a label is letters, digits and + only"
                    )
            participants.append(Participant(label, tuple(files), tuple(sessions), label in listed, present))
        self._compare_labels([participant.label for participant in participants])
        root = [file for file in self._distinct(self.root) if file.extension in SIDECARS and file.fits]
        return Dataset(tuple(participants), tuple(root), tuple(sorted(self.problems)))

    def _listed(self, table: str | None) -> set[str]:
        """The labels in participants.tsv, whether written with "sub-" or without."""
        if table is None:
            return set()
        header, *rows = [
            line.split("\t") for line in table.lstrip("\ufeff").splitlines() if line.strip()
        ] or [[""]]
        names = [name.strip() for name in header]
        if "participant_id" not in names:
            self.report("participants.tsv", "PARTICIPANTS_TABLE", "has no column participant_id")
            return set()
        column = names.index("participant_id")
        cells = [row[column].strip() if column < len(row) else "" for row in rows]
        labels = Counter(cell.removeprefix("sub-") for cell in cells)
        for label in [label for label in labels if label in ("", "n/a") or refusal(label) or "/" in label]:
            self.report("participants.tsv", "PARTICIPANTS_TABLE", f"{label!r} is no participant_id")
            del labels[label]
        for label in [label for label, count in labels.items() if count > 1]:
            self.report("participants.tsv", "PARTICIPANTS_TABLE", f"lists sub-{label} {labels[label]} times")
        return set(labels)

    def _distinct(self, files: list[File]) -> list[File]:
        """The files by path, each once; reports those that are one file by case, Unicode form, or .gz."""
        files.sort(key=itemgetter(0))
        apart = len({file.path.lower().removesuffix(".gz") for file in files}) == len(files)
        if apart and all(file.path.isascii() for file in files):
            return files
        paths = {file.path: file for file in files}
        files = list(paths.values())
        met: dict[str, str] = {}
        for file in files:
            folded = unicodedata.normalize("NFC", file.path).casefold()
            other = met.setdefault(folded, file.path)
            if other != file.path:
                self.report(
                    file.path,
                    "CASE_COLLISION",
                    f"differs from {printable(other)} by case or Unicode form alone",
                )
        for file in files:
            if file.path.endswith(".gz") and file.recording is None and file.path[:-3] in paths:
                self.report(file.path, "DUPLICATE_FILES", "is there with and without .gz")
        return files

    def _compare_labels(self, labels: list[str]) -> None:
        met: dict[str, str] = {}
        for label in labels:
            other = met.setdefault(unicodedata.normalize("NFC", label).casefold(), label)
            if other != label:
                self.report(
                    f"sub-{label}/",
                    "CASE_COLLISION",
                    f"differs from sub-{printable(other)}/ by case or Unicode form alone",
                )
