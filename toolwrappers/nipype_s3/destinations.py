"""Where the outputs of a Nipype workflow go: the rules of Nipype's DataSink, without Nipype and without S3.

Facts: nipype 1.11, nipype.interfaces.io.DataSink, run side by side in tests/e2e/test_nipype_datasink.py. What
it gets wrong without a word is refused here: see REFUSED in that file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

S3 = "s3://"


class Refused(ValueError):
    """The sink or the grabber cannot do what was asked for; the message names the input and the fix."""


@dataclass(frozen=True)
class Layout:
    """The inputs of a DataSink that decide about destinations; base_directory is an s3:// URL or a folder."""

    base_directory: str
    container: str = ""
    parameterization: bool = True
    strip_dir: str = ""
    substitutions: tuple[tuple[str, str], ...] = ()
    regexp_substitutions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Delivery:
    """One file or folder of an attribute: its destination, and each file with its own."""

    destination: str
    files: tuple[tuple[Path, str], ...]


def is_s3(url: str) -> bool:
    """Whether a base directory lies on S3; DataSink takes S3:// as well."""
    return url[: len(S3)].lower() == S3


def split(url: str) -> tuple[str, str]:
    """The bucket and the key of an s3:// URL."""
    bucket, _, key = url[len(S3) :].partition("/")
    return bucket, key.lstrip("/")


def deliveries(layout: Layout, attributes: Mapping[str, Any]) -> list[Delivery]:
    """Every file of every attribute with its destination.

    Raises Refused for sources that do not exist, and for destinations that are shared by two files or lie
    outside of the base directory.
    """
    root = _root(layout.base_directory)
    found = [
        _delivery(layout, root, name, src)
        for name, value in attributes.items()
        for src in sources(name, value)
    ]
    taken: dict[str, Path] = {}
    for source, destination in (pair for delivery in found for pair in delivery.files):
        if taken.setdefault(_place(destination), source) != source:
            raise Refused(
                f"{taken[_place(destination)]} and {source} would both become {destination}; connect them to "
                "different attributes, or leave parameterization on"
            )
    return found


def sources(attribute: str, value: Any) -> Iterator[Path]:
    """The files and folders of one attribute: a path, or lists of paths in lists.

    Raises Refused for what is no path, or leads to nothing.
    """
    if isinstance(value, list | tuple):
        for item in value:
            yield from sources(attribute, item)
        return
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise Refused(f"{attribute}: {value!r} is no path; connect files, folders or lists of them")
    path = Path(os.path.abspath(value))
    if not path.exists():
        raise Refused(f"{attribute}: {path} does not exist; did the node before write it?")
    yield path


def folder(attribute: str) -> str:
    """The folder of an attribute: its parts between dots, without those that begin with @.

    Raises Refused for a part that is empty or begins with /.
    """
    parts = attribute.split(".")
    if not all(parts) or any(part.startswith("/") for part in parts):
        raise Refused(f"attribute {attribute!r}: a part is empty or begins with /; write it as a.b or a.@b")
    return "/".join(part for part in parts if not part.startswith("@"))


def name_of(layout: Layout, source: Path) -> str:
    """What of a source's path its destination keeps: the name, and above it the folders that begin with _."""
    if not layout.parameterization:
        return source.name
    above = str(source.parent)
    if layout.strip_dir:
        above = above.replace(layout.strip_dir, "")
    return "/".join([*(part for part in above.split("/") if part.startswith("_")), source.name])


def substituted(layout: Layout, destination: str) -> str:
    """A destination, base directory and all, after the substitutions and then the regular expressions."""
    for old, new in layout.substitutions:
        destination = destination.replace(old, new)
    for pattern, new in layout.regexp_substitutions:
        try:
            destination = re.sub(pattern, new, destination)
        except (re.error, IndexError) as error:
            raise Refused(f"regexp_substitutions {(pattern, new)!r}: {error}") from error
    return destination


def _root(base: str) -> str:
    """What every destination must begin with: the bucket, or the folder."""
    if is_s3(base):
        bucket = split(base)[0]
        if not bucket:
            raise Refused(f"base_directory {base!r} names no bucket; write s3://BUCKET/PREFIX")
        return f"{S3}{bucket}/"
    return os.path.join(os.path.abspath(base), "")


def _delivery(layout: Layout, root: str, attribute: str, source: Path) -> Delivery:
    base = layout.base_directory
    base = S3 + base[len(S3) :] if is_s3(base) else os.path.abspath(base)
    parts = [layout.container, folder(attribute), name_of(layout, source)]
    if layout.container.startswith("/"):
        raise Refused(
            f"container {layout.container!r} begins with /; it must be relative to the base directory"
        )
    plain = "/".join([base.rstrip("/"), *(part.rstrip("/") for part in parts if part)])
    destination = substituted(layout, plain)
    inside = destination.removeprefix(root)
    if inside == destination or ".." in inside.split("/") or not inside.strip("/") or inside.endswith("/"):
        raise Refused(
            f"{attribute}: {source} would become {destination!r}, which is no file below {root}; "
            "mend container, attribute or substitutions"
        )
    if source.is_dir():
        return Delivery(destination, tuple((file, f"{destination}/{path}") for file, path in _below(source)))
    return Delivery(destination, ((source, destination),))


def _below(source: Path) -> Iterable[tuple[Path, str]]:
    """The files of a folder; links to folders are not followed, as in DataSink."""
    for above, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            file = Path(above) / name
            if not file.is_file():
                raise Refused(f"{file} is a link to nothing, or no file; remove it")
            yield file, file.relative_to(source).as_posix()


def _place(destination: str) -> str:
    """A destination as the storage names it: a file system does not tell a//b from a/b."""
    return "/".join(split(destination)) if is_s3(destination) else os.path.normpath(destination)
