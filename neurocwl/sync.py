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
from neurocwl.storage import Folder, Location, S3Location

TRANSFERS = 16  # at once
IN_PARTS = 64 << 20  # bytes; larger files go to S3 in parts
# What only means something where it was written.
STAYS = (".neurocwl/lease.json", ".neurocwl/parts/")


@dataclass(frozen=True, slots=True)
class Synced:
    """What was done for one folder."""

    folder: str
    copied: int
    size: int  # bytes copied
    equal: int
    deleted: int
    extra: int  # files that only the target has, and keeps

    def line(self, source: str, target: str) -> str:
        """One line for people."""
        words = f"{self.copied} copied ({self.size} bytes), {self.equal} equal, {self.deleted} deleted"
        more = f", {self.extra} only there (--delete removes them)" if self.extra else ""
        return f"{source}/{self.folder} -> {target}/{self.folder}: {words}{more}"


def folder(name: str, source: Location, target: Location, *, delete: bool = False) -> Synced:
    """Make a folder at the target like that at the source.

    Raises BadInput for files whose names or contents cannot be brought, InfrastructureError when a copy differs.
    """
    here = {entry.path: entry for entry in _files(source, name)}
    there = {entry.path: entry for entry in _files(target, name)}
    extra = sorted(set(there) - set(here))
    with concurrent.futures.ThreadPoolExecutor(TRANSFERS) as pool:
        copied = list(pool.map(lambda entry: _bring(entry, source, target, there), here.values()))
    if delete:
        target.delete(extra)
    size = sum(entry.size for entry, moved in zip(here.values(), copied, strict=True) if moved)
    count = sum(copied)
    gone = len(extra) if delete else 0
    return Synced(name, count, size, len(here) - count, gone, len(extra) - gone)


def _files(location: Location, name: str) -> Iterable[Entry]:
    for entry in location.entries(f"{name}/"):
        inside = entry.path.removeprefix(f"{name}/")
        if is_marker(entry) or inside.startswith(STAYS) or inside.endswith("/.lock"):
            continue
        why = "its content was not fetched" if entry.etag == NOT_FETCHED else refusal(entry.path)
        if why:
            raise BadInput(f"{location.url}/{printable(entry.path)}: {why}; rename or remove it")
        yield entry


def _bring(entry: Entry, source: Location, target: Location, there: dict[str, Entry]) -> bool:
    """Copy a file unless the target has it; returns whether it was copied."""
    known = there.get(entry.path)
    digest = None
    if known is not None and known.size == entry.size:
        digest = digest_of(source, entry.path)
        if digest == digest_of(target, entry.path):
            return False
    copy(source, target, entry.path, entry.size)
    arrived = target.stored(entry.path)
    wanted = digest or digest_of(source, entry.path)
    if arrived is None or arrived.size != entry.size or arrived.sha256 not in (None, wanted):
        raise InfrastructureError(
            f"{target.url}/{entry.path}: what arrived differs from {source.url}; sync again"
        )
    return True


def digest_of(location: Location, path: str) -> str:
    """The SHA-256 of a file: as the storage keeps it, else of its bytes."""
    stored = location.stored(path)
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
