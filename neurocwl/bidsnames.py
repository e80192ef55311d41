"""BIDS names: what a path in a dataset says about its file.

A name has two halves: its folder says participant, session and datatype (Place), the rest of the file
name says the other entities, suffix and extension (Shape). Ten thousand participants share some dozens
of shapes, so each is parsed once. See the BIDS specification, "Common principles".
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import Final, NamedTuple

# schema.objects.entities of BIDS 1.11: short name in file names -> long name. A test holds them together.
ENTITIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sub": "subject", "tpl": "template", "ses": "session", "cohort": "cohort", "sample": "sample",
        "task": "task", "tracksys": "tracksys", "acq": "acquisition", "nuc": "nucleus", "voi": "volume",
        "ce": "ceagent", "trc": "tracer", "stain": "stain", "rec": "reconstruction", "dir": "direction",
        "run": "run", "mod": "modality", "echo": "echo", "flip": "flip", "inv": "inversion",
        "mt": "mtransfer", "part": "part", "proc": "processing", "hemi": "hemisphere", "space": "space",
        "split": "split", "recording": "recording", "chunk": "chunk", "atlas": "atlas",
        "seg": "segmentation", "scale": "scale", "res": "resolution", "den": "density", "label": "label",
        "desc": "description",
    }
)  # fmt: skip
DATATYPES: Final = frozenset(
    {"anat", "beh", "dwi", "fmap", "func", "mrs", "perf", "pet"}
    | {"eeg", "emg", "ieeg", "meg", "micr", "motion", "nirs"}
)
INDEX_ENTITIES: Final = frozenset({"run", "echo", "flip", "inversion", "split", "chunk"})
SIDECARS: Final = frozenset({".json", ".tsv", ".bval", ".bvec"})
RECORDING_FOLDERS: Final = frozenset({".ds", ".mefd", ".zarr", ".ome.zarr", ".ngff", ".ome.ngff"})
LABEL: Final = re.compile(r"[0-9A-Za-z+]+")  # schema.objects.formats.label

# Control characters of both blocks, backslash, line separators, and halves of surrogate pairs (which is how
# Python shows bytes that are no UTF-8): none can be written into a job order, a path or a terminal safely.
_UNSAFE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\\\\u2028\u2029\ud800-\udfff]")
_MAX_NAME = 255  # bytes in one segment, on every file system in use
_NO_NAMES: Final = frozenset({"", ".", ".."})
_MACHINE_LITTER: Final = (".DS_Store", ".git", ".datalad")


NOT_FETCHED: Final = "not fetched"  # the etag of a link whose content is elsewhere: a DataLad clone


class Entry(NamedTuple):
    """One object of a listing: path relative to the dataset root, size in bytes, ETag or "".

    '/' separates; a key that ends in '/' is a folder marker.
    """

    path: str
    size: int
    etag: str


class Problem(NamedTuple):
    """Something about a dataset that its owner should know; `path` is safe to print.

    Codes are the official validator's where it has one for the same thing.
    """

    path: str
    code: str
    message: str


class Place(NamedTuple):
    """What a folder says about the files in it."""

    participant: str | None
    session: str | None
    datatype: str
    level: int  # 0 root, 1 participant, 2 session, 3 datatype; 4 no folder of BIDS
    recording: str | None = None  # path of the folder-like recording that this folder lies in
    shape: "Shape | None" = None  # that recording's

    @property
    def head(self) -> str:
        """The first folder: "sub-01", "" at the root."""
        return "" if self.participant is None else f"sub-{self.participant}"

    @property
    def prefix(self) -> str:
        """What the names of files here must begin with: "sub-01_ses-1_", "" at the root."""
        if self.participant is None:
            return ""
        return f"sub-{self.participant}_" + ("" if self.session is None else f"ses-{self.session}_")


class Shape(NamedTuple):
    """What a file name says, apart from the participant and session that its folder has said."""

    text: str
    entities: Mapping[str, str]  # long names; never subject or session, unless `fits` is False
    suffix: str
    extension: str
    fits: bool = True  # the name begins as its folder demands

    def __hash__(self) -> int:
        return hash(self.text)


class File(NamedTuple):
    """A file of a dataset, or one inside a folder-like recording; built by `parse` and `bids.index`."""

    path: str
    size: int
    etag: str
    place: Place
    shape: Shape

    @property
    def participant(self) -> str | None:
        """The label without "sub-"; None at the dataset's root."""
        return self.place.participant

    @property
    def session(self) -> str | None:
        """The label without "ses-"; None outside of sessions."""
        return self.place.session

    @property
    def datatype(self) -> str:
        """The datatype of its folder; "" if it has none, or if its name does not belong there."""
        return self.place.datatype if self.shape.fits else ""

    @property
    def suffix(self) -> str:
        """The last part of the name: T1w, bold, events."""
        return self.shape.suffix

    @property
    def extension(self) -> str:
        """From the first dot on: .nii.gz, .json; .ds for a file inside a CTF recording."""
        return self.shape.extension

    @property
    def entities(self) -> Mapping[str, str]:
        """The entities of the name under their long names, in the name's order."""
        if not self.shape.fits or self.place.participant is None:
            return self.shape.entities
        entities = {"subject": self.place.participant}
        if self.place.session is not None:
            entities["session"] = self.place.session
        return {**entities, **self.shape.entities}

    @property
    def recording(self) -> str | None:
        """The path of the folder-like recording (.ds, .zarr, ...) that the file is a part of."""
        return self.place.recording

    @property
    def fits(self) -> bool:
        """Whether its name belongs where it lies: the folder's participant and session, and a suffix."""
        return self.shape.fits

    def entity(self, name: str) -> str | None:
        """One entity by its long name, or None; quicker than `entities`."""
        if self.shape.fits:
            if name == "subject":
                return self.place.participant or self.shape.entities.get(name)
            if name == "session":
                return self.place.session or self.shape.entities.get(name)
        return self.shape.entities.get(name)


ROOT: Final = Place(None, None, "", 0)


def parse(entry: Entry) -> File | None:
    """The file behind a listing's entry; None for what no unit could use.

    None: folder markers, keys that are not safe, hidden files, everything in top-level folders other than
    participants'. Names that BIDS does not know are kept: `File.fits`, `neurocwl.validity`. Never raises.
    """
    folder, base = _split(entry.path)
    if refusal(entry.path) or is_marker(entry):
        return None
    place = place_of(folder)
    if place is None or is_hidden(base, place):
        return None
    return File(*entry, place, shape_of(base, place))


def refusal(path: str) -> str | None:
    """Why a key cannot be used as a path below a folder, or None; folder markers pass."""
    if _UNSAFE.search(path):
        return "has a backslash, a control character or bytes that are not UTF-8"
    segments = path.removesuffix("/").split("/")
    for segment in segments:
        if segment in _NO_NAMES:
            return f"has the segment {segment!r}, which leaves or blurs its folder"
    if len(path) > _MAX_NAME // 4 and any(len(segment.encode()) > _MAX_NAME for segment in segments):
        return f"has a name longer than {_MAX_NAME} bytes"
    return None


def printable(path: str) -> str:
    """The path with whatever a terminal should not get written as an escape."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), path)


def place_of(folder: str) -> Place | None:
    """What a folder ("" for the root) says; None if it holds no input of any unit."""
    if folder == "":
        return ROOT
    head, *rest = folder.split("/")
    if not head.startswith("sub-") or len(head) == 4:
        return None
    participant, session, datatype, level = intern(head[4:]), None, "", 1
    if rest and rest[0].startswith("ses-") and len(rest[0]) > 4:
        session, level = intern(rest.pop(0)[4:]), 2
    if rest and rest[0] in DATATYPES:
        datatype, level = intern(rest.pop(0)), 3
    place = Place(participant, session, datatype, level)
    if not rest:
        return place
    shape = shape_of(rest[0], place)
    if shape.fits and (
        shape.extension in RECORDING_FOLDERS or (shape.extension == "" and shape.suffix == "meg")
    ):  # 4D/BTi recordings are folders without an extension
        recording = "/".join(folder.split("/")[: 1 - len(rest) or None])
        return Place(participant, session, datatype, level, recording, shape)
    if any(name.startswith(".") for name in rest):
        return None
    return Place(participant, session, "", 4)


def shape_of(base: str, place: Place) -> Shape:
    """What the name of a file says in its place; inside a recording, what the recording's name says."""
    if place.shape is not None:
        return place.shape
    prefix = place.prefix
    if prefix and base.startswith(prefix):
        shape = _shape(base[len(prefix) :])
        if shape.fits and "session" not in shape.entities:
            return shape
    return _shape(base, not prefix)


@lru_cache(maxsize=65536)
def _shape(text: str, fits: bool = True) -> Shape:
    stem, dot, extension = text.partition(".")
    *parts, suffix = stem.split("_")
    entities = {}
    for part in parts:
        key, _, label = part.partition("-")
        entities[ENTITIES.get(key, key)] = label
    # The folder has said participant and session; "acq-x" at the end is an entity without a suffix.
    fits = fits and suffix != "" and "-" not in suffix and "subject" not in entities
    return Shape(text, MappingProxyType(entities), suffix, dot + extension, fits)


def _split(path: str) -> tuple[str, str]:
    folder, _, base = path.rpartition("/")
    return folder, base


def is_marker(entry: Entry) -> bool:
    """Whether an object only stands for a folder: "sub-01/", or "sub-01_$folder$" as Hadoop writes it."""
    return entry.path.endswith("/") or (entry.path.endswith("_$folder$") and entry.size == 0)


def is_hidden(base: str, place: Place) -> bool:
    """Whether a file name is no data's: begins with a dot, unless it is part of a recording."""
    if place.recording is not None:  # .zattrs and .zarray are a recording's own
        return base.startswith("._") or base in _MACHINE_LITTER
    return base.startswith(".")
