"""Bring files from one place to another: what is equal stays, every copy is checked, nothing is deleted unasked."""

import concurrent.futures
import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl.bids import printable, refusal
from neurocwl.bidsnames import NOT_FETCHED, Entry, is_marker
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.storage import Folder, Location, S3Location, Stored

TRANSFERS = 16  # at once
IN_PARTS = 64 << 20  # bytes; larger files go to S3 in parts
# What only means something where it was written.
STAYS = (".neurocwl/lease.json", ".neurocwl/parts/")
SHOWN = 5  # files, by name, that were newer than what replaced them


@dataclass(frozen=True, slots=True)
class Synced:
    """What was done for one folder."""

    folder: str
    copied: int
    size: int  # bytes copied
    equal: int
    deleted: int
    extra: int  # files that only the target has, and keeps
    replaced: int  # of the copied, those that the target had with another content
    newer: tuple[str, ...]  # of those, the ones that were newer at the target

    def line(self, source: str, target: str) -> str:
        """One line for people."""
        words = f"{self.copied} copied ({self.size} bytes), {self.equal} equal, {self.deleted} deleted"
        more = f", {self.extra} only there (--delete removes them)" if self.extra else ""
        if self.replaced:
            more += f"; {self.replaced} of the copied replaced others that differed"
        if self.newer:
            rest = f" and {len(self.newer) - SHOWN} more" if len(self.newer) > SHOWN else ""
            named = ", ".join(self.newer[:SHOWN]) + rest
            more += f", {len(self.newer)} of them newer at the target: {named}"
        return f"{source}/{self.folder} -> {target}/{self.folder}: {words}{more}"


@dataclass(frozen=True, slots=True)
class _Brought:
    """What became of one file."""

    copied: bool
    replaced: bool = False
    newer: bool = False  # the one at the target was


def folder(name: str, source: Location, target: Location, *, delete: bool = False) -> Synced:
    """Make a folder at the target like that at the source.

    Raises BadInput for files whose names or contents cannot be brought, and for a source without files after which
    everything would be deleted; InfrastructureError when a copy differs.
    """
    here = {entry.path: entry for entry in _files(source, name)}
    there = {entry.path: entry for entry in _files(target, name)}
    extra = sorted(set(there) - set(here))
    if delete and extra and not here:
        raise BadInput(
            f"--delete: {source.url}/{name} has no files, and all {len(extra)} of {target.url}/{name} would go; "
            "check that it is the right place, or remove them yourself"
        )
    with concurrent.futures.ThreadPoolExecutor(TRANSFERS) as pool:
        brought = list(pool.map(lambda entry: _bring(entry, source, target, there), here.values()))
    if delete:
        target.delete(extra)
    done = list(zip(here.values(), brought, strict=True))
    count = sum(one.copied for one in brought)
    gone = len(extra) if delete else 0
    return Synced(
        folder=name,
        copied=count,
        size=sum(entry.size for entry, one in done if one.copied),
        equal=len(here) - count,
        deleted=gone,
        extra=len(extra) - gone,
        replaced=sum(one.replaced for one in brought),
        newer=tuple(sorted(entry.path for entry, one in done if one.newer)),
    )


def _files(location: Location, name: str) -> Iterable[Entry]:
    for entry in location.entries(f"{name}/"):
        inside = entry.path.removeprefix(f"{name}/")
        if is_marker(entry) or inside.startswith(STAYS) or inside.endswith("/.lock"):
            continue
        why = "its content was not fetched" if entry.etag == NOT_FETCHED else refusal(entry.path)
        if why:
            raise BadInput(f"{location.url}/{printable(entry.path)}: {why}; rename or remove it")
        yield entry


def _bring(entry: Entry, source: Location, target: Location, there: dict[str, Entry]) -> _Brought:
    """Copy a file unless the target has it."""
    known = there.get(entry.path)
    digest, newer = None, False
    if known is not None:
        ours, theirs = source.stored(entry.path), target.stored(entry.path)
        if known.size == entry.size:
            digest = _digest(source, entry.path, ours)
            if digest == _digest(target, entry.path, theirs):
                return _Brought(copied=False)
        newer = ours is not None and theirs is not None and theirs.modified > ours.modified
    copy(source, target, entry.path, entry.size)
    arrived = target.stored(entry.path)
    wanted = digest or _digest(source, entry.path, source.stored(entry.path))
    if arrived is None or arrived.size != entry.size or arrived.sha256 not in (None, wanted):
        raise InfrastructureError(
            f"{target.url}/{entry.path}: what arrived differs from {source.url}; sync again"
        )
    return _Brought(copied=True, replaced=known is not None, newer=newer)


def _digest(location: Location, path: str, stored: Stored | None) -> str:
    """The SHA-256 of a file: as the storage keeps it, else of its bytes."""
    if stored and stored.sha256:
        return stored.sha256
    digest = hashlib.sha256()
    for block in location.chunks(path):
        digest.update(block)
    return digest.hexdigest()


def copy(source: Location, target: Location, path: str, size: int) -> None:
    """Copy one file; it is seen at the target when it is whole."""
    if isinstance(target, Folder):
        _download(source, target.root, path)
    elif size <= IN_PARTS or not isinstance(source, Folder) or not isinstance(target, S3Location):
        target.write(path, source.read(path) or b"")
    else:
        from boto3.s3.transfer import TransferConfig

        checksum: Any = {"ChecksumAlgorithm": "SHA256"}
        target.client.upload_file(
            str(source.root / path),
            target.bucket,
            target.prefix + path,
            ExtraArgs=checksum,
            Config=TransferConfig(multipart_threshold=IN_PARTS),
        )


def _download(source: Location, root: Path, path: str) -> None:
    final = root / path
    part = final.parent / f".{secrets.token_hex(8)}.part"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as out:
                for block in source.chunks(path):
                    out.write(block)
                out.flush()
                os.fsync(out.fileno())
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InfrastructureError(f"{final}: {error.strerror}; nothing was written there") from error
