"""A command line for another machine: its local files go along, and what only this machine has is left out."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from neurocwl import cwlfile
from neurocwl.errors import BadInput

LARGEST = 32 << 20  # bytes of all files: they go to memory
# Option -> whether a value follows. A leader has credentials and folders of its own.
LEFT_OUT: Mapping[str, bool] = {
    "--profile": True,
    "--credentials": True,
    "--work-dir": True,
    "--plot": True,
    "--keep-work-dir": False,
    "--keep-cluster": False,
}
PROFILE = "NEUROCWL_PROFILE"  # the variable that carries the backend's profile where no file can go along
# What a leader that gets no file runs: the profile becomes a file there, the words of the launch stay words.
COMMAND = ("sh", "-c", f'printf %s "${PROFILE}" >/tmp/backend.yml && exec neurocwl "$@"', "neurocwl")
FILES = ("--fs-license-file", "--parameters", "--pipeline-dir", "--bids-filter-file", "--credentials")
OF_HERE = ("--work-dir", "--profile")  # a leader has the work folder of its image, and the keys of its role
PLACES = ("--output", "--after", "--require-preflight")  # what the other machine must reach


@dataclass(frozen=True, slots=True)
class Carried:
    """Words for the other machine, and what it needs to have: path below its folder -> content or local path."""

    words: tuple[str, ...]
    files: Mapping[str, Path | bytes]

    def archive(self) -> bytes:
        """All files as a tar.gz that nobody but its owner can read once unpacked.

        Raises BadInput when they are too large.
        """
        text = io.BytesIO()
        with tarfile.open(fileobj=text, mode="w:gz") as tar:
            for name, file in sorted(self.files.items()):
                if isinstance(file, bytes):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(file)
                    tar.addfile(_private(entry), io.BytesIO(file))
                else:
                    _check_size(file)
                    tar.add(file, name, filter=_private)
        if text.tell() > LARGEST:
            raise BadInput(_too_large("the files of this launch"))
        return text.getvalue()


def carried(
    words: Sequence[str], paths: Mapping[str, bool], folder: str, licence: Mapping[str, Any] | None
) -> Carried:
    """A command line (launch dataset DATASET ...) as it reads in a folder of another machine.

    paths: options that name local paths, and whether each takes several. licence: a CWL File that was found, by an
    option or the environment. Raises BadInput for what the other machine cannot reach.
    """
    left: list[str] = []
    files: dict[str, Path | bytes] = {}

    def put(value: str, base: Path = Path()) -> str:
        """A value as it reads there, NAME=PATH as well; its file is remembered."""
        named, equals, rest = value.partition("=")
        split = bool(equals) and not (base / Path(value).expanduser()).exists()
        path = base / Path(rest if split else value).expanduser()
        if value.startswith("s3://") or not path.exists():
            return value
        there = f"files/{len(files):03}/{path.absolute().name}"
        files[there] = path.absolute()
        return f"{named}={folder}/{there}" if split else f"{folder}/{there}"

    dataset = words[2] if len(words) > 2 else ""
    if not dataset.startswith(("s3://", "-")):  # options may stand first
        raise BadInput(f"{dataset}: a launch on another machine reads s3:// URLs alone; upload it first")
    for option, values, joined in _options(words, paths):
        if option in LEFT_OUT:
            continue
        _check_places(option, values)
        if option == "--fs-license-file":
            continue  # below, by whichever way it was found
        if option == "--parameters":
            values = [_parameters(Path(value), paths, put, files, folder) for value in values]
        elif option in paths or (option == "--backend" and values[0].endswith((".yml", ".yaml"))):
            values = [put(value) for value in values]
        left += [f"{option}={values[0]}"] if joined else [option, *values] if option else values
    if licence:
        place = str(licence["location"])
        local = unquote(urlsplit(place).path) if place.startswith("file://") else place
        left += ["--fs-license-file", put(local)]
    return Carried(tuple(left), files)


def without_files(
    words: Sequence[str],
    output: str,
    who: str,
    licence: Mapping[str, Any] | None,
    paths: Mapping[str, bool] = MappingProxyType({}),
) -> list[str]:
    """The words of a launch (launch dataset DATASET ...) for a leader that gets no file of this machine.

    licence: a CWL File, by whichever way it was found; None when the leader has its own, or needs none. paths: options
    that name local paths, and whether each takes several. Raises BadInput for files and folders of this machine among them.
    """
    found: list[str] = []
    pending = iter(words)
    for word in pending:
        option, equals, value = word.partition("=")
        if option == "--notify-slack":
            raise BadInput(
                f"--notify-slack: the webhook is a secret, and the description of {who} is none; "
                "give --notify-sns or --notify-email, or leave out --detach"
            )
        if option in (*OF_HERE, *FILES, "--backend"):
            value = value if equals else next(pending, "")
            if option in FILES and option != "--fs-license-file":
                raise BadInput(f"{option} {value}: {who} cannot see it; leave out --detach")
        else:
            found.append(word)
    for option, values, _ in _options(words, paths):
        if option in (*OF_HERE, *FILES):
            continue  # left out, or refused above
        own = option == "--pipeline" and values[0].endswith((".yml", ".yaml"))
        there = [v for v in values if own or option in PLACES or (option in paths and _is_here(v))]
        for value in there:
            if not value.startswith("s3://"):
                raise BadInput(
                    f"{option} {value}: {who} cannot see it; give an s3:// URL, or leave out --detach"
                )
    for place in (*found[2:3], output):
        if not place.startswith(("s3://", "-")):
            raise BadInput(f"{place}: {who} cannot see it; put it into a bucket, or leave out --detach")
    if licence:
        place = str(licence["location"])
        if not place.startswith("s3://"):
            raise BadInput(
                f"the FreeSurfer licence: {who} cannot see {place}; give --fs-license-file s3://..."
            )
        found += ["--fs-license-file", place]
    return [*found, "--backend", "/tmp/backend.yml"]


def _is_here(value: str) -> bool:
    """Whether a value, PATH or NAME=PATH, names something of this machine."""
    return any(word and Path(word).expanduser().exists() for word in (value, value.partition("=")[2]))


def _options(words: Sequence[str], paths: Mapping[str, bool]) -> Iterator[tuple[str, list[str], bool]]:
    """Each option with its values and whether they were joined by =; '' for what is none.

    Only of options that are looked at below it matters where their values end.
    """
    one = {*(name for name, valued in LEFT_OUT.items() if valued), "--output", "--backend", "--pipeline"}
    index = 0
    while index < len(words):
        word = words[index]
        option, equals, value = word.partition("=")
        index += 1
        if not option.startswith("--"):
            yield "", [word], False
        elif equals:
            yield option, [value], True
        elif paths.get(option) or option in PLACES[1:]:
            end = next((n for n in range(index, len(words)) if words[n].startswith("--")), len(words))
            yield option, list(words[index:end]), False
            index = end
        elif option in paths or option in one:
            yield option, list(words[index : index + 1]), False
            index += 1
        else:
            yield option, [], False


def _check_places(option: str, values: Sequence[str]) -> None:
    for value in values:
        if option in PLACES and not value.startswith("s3://"):
            raise BadInput(f"{option} {value}: a launch on another machine needs an s3:// URL")
        if option == "--pipeline" and value.endswith((".yml", ".yaml")):
            raise BadInput(
                f"--pipeline {value}: a template goes to another machine with its tool: put both below one folder "
                "(jobs/, cwl/tools/) and give --pipeline-dir"
            )


def _parameters(
    file: Path,
    paths: Mapping[str, bool],
    put: Callable[[str, Path], str],
    files: dict[str, Path | bytes],
    folder: str,
) -> str:
    """A file of parameters with the paths that it names, which are relative to it, as they read there."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if isinstance(value, str):
            return put(value, file.absolute().parent)
        if not isinstance(value, Mapping) or not ("location" in value or "path" in value):
            return value
        place = str(value.get("location") or value["path"])
        local = unquote(urlsplit(place).path) if place.startswith("file://") else place
        rest = {key: item for key, item in value.items() if key not in ("location", "path")}
        return {**rest, "location": moved(local)}

    values = {
        name: moved(value) if f"--{name.replace('_', '-')}" in paths else value
        for name, value in cwlfile.load(file).items()
    }
    there = f"files/{len(files):03}/parameters.json"
    files[there] = json.dumps(values).encode()
    return f"{folder}/{there}"


def _private(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o700 if entry.isdir() or entry.mode & 0o100 else 0o600
    return entry


def _check_size(path: Path) -> None:
    files = path.rglob("*") if path.is_dir() else [path]
    if sum(file.stat().st_size for file in files if file.is_file()) > LARGEST:
        raise BadInput(_too_large(str(path)))


def _too_large(what: str) -> str:
    return f"{what}: more than {LARGEST >> 20} MiB; put it on S3, and give its s3:// URL"
