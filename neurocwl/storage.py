"""One way to look at a dataset or an output, on S3 or in a folder."""

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlparse

from neurocwl import s3
from neurocwl.bidsnames import NOT_FETCHED, Entry
from neurocwl.errors import BadInput, Conflict, InfrastructureError
from neurocwl.s3 import Access

PARTS = ".neurocwl/parts"  # where files of a folder are written until they are whole
STALE = 3600.0  # seconds after which nobody writes there any more


@dataclass(frozen=True, slots=True)
class Stored:
    """What the storage knows of one object without its bytes."""

    size: int  # bytes
    tag: str  # ETag on S3; SHA-256 in a folder
    sha256: str | None  # hex, where the storage keeps or computes it for the whole object
    modified: float  # seconds since 1970; on S3 of the upload, in whole seconds


class Location(Protocol):
    """A prefix on S3 or a folder. Paths below it are '/'-separated; tags are opaque."""

    url: str

    def entries(self, below: str = "") -> Iterator[Entry]: ...
    def read(self, path: str) -> bytes | None: ...
    def read_tagged(self, path: str) -> tuple[bytes, str] | None: ...
    def chunks(self, path: str) -> Iterator[bytes]: ...
    def stored(self, path: str) -> Stored | None: ...
    def write(self, path: str, data: bytes) -> str: ...
    def write_if(self, path: str, data: bytes, replaces: str | None) -> str: ...
    def delete(self, paths: list[str]) -> None: ...
    def file_url(self, path: str) -> str: ...


def open_location(url: str, access: Access) -> Location:
    """The location behind an s3:// URL, a file:// URL or a path."""
    if url.startswith("s3://"):
        return S3Location(url, access)
    if "://" in url and not url.startswith("file://"):
        raise BadInput(f"{url!r}: only s3://BUCKET/PREFIX and local folders can be used")
    path = unquote(urlparse(url).path) if url.startswith("file://") else url
    if not path:
        raise BadInput("an empty path: give s3://BUCKET/PREFIX or a folder")
    return Folder(Path(os.path.abspath(Path(path).expanduser())))


class S3Location:
    """A prefix of a bucket. Errors of boto3 come out as messages that name the fix."""

    def __init__(self, url: str, access: Access) -> None:
        self.bucket, self.prefix = s3.split(url)
        self.url = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self.access = access
        self.client = s3.client(access)
        self._payer: Any = {"RequestPayer": "requester"} if access.requester_pays else {}
        self._encrypted: Any = {"ServerSideEncryption": access.encryption} if access.encryption else {}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            explained = s3.explain(error, self.url, self.access)
            if explained is error:
                raise
            raise explained from error

    def entries(self, below: str = "") -> Iterator[Entry]:
        with self._explained():
            for entry in s3.list_entries(self.client, self.bucket, self.prefix + below, self.access):
                yield entry._replace(path=below + entry.path) if below else entry

    def read(self, path: str) -> bytes | None:
        found = self.read_tagged(path)
        return found[0] if found else None

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        with self._explained():
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + path, **self._payer)
            except self.client.exceptions.NoSuchKey:
                return None
            return answer["Body"].read(), answer["ETag"].strip('"')

    def chunks(self, path: str) -> Iterator[bytes]:
        with self._explained():
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + path, **self._payer)
            yield from answer["Body"].iter_chunks(1 << 20)

    def stored(self, path: str) -> Stored | None:
        import base64

        from botocore.exceptions import ClientError

        with self._explained():
            try:
                answer = self.client.head_object(
                    Bucket=self.bucket, Key=self.prefix + path, ChecksumMode="ENABLED", **self._payer
                )
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        checksum = answer.get("ChecksumSHA256", "")
        whole = checksum if checksum and "-" not in checksum else ""  # -N marks a sum of parts
        return Stored(
            answer["ContentLength"],
            answer["ETag"].strip('"'),
            base64.b64decode(whole).hex() or None,
            answer["LastModified"].timestamp(),
        )

    def write(self, path: str, data: bytes) -> str:
        with self._explained():
            answer = self.client.put_object(
                Bucket=self.bucket,
                Key=self.prefix + path,
                Body=data,
                ChecksumAlgorithm="SHA256",
                **self._encrypted,
                **self._payer,
            )
            return answer["ETag"].strip('"')

    def write_if(self, path: str, data: bytes, replaces: str | None) -> str:
        from botocore.exceptions import ClientError

        condition: Any = {"IfMatch": f'"{replaces}"'} if replaces else {"IfNoneMatch": "*"}
        with self._explained():
            try:
                answer = self.client.put_object(
                    Bucket=self.bucket,
                    Key=self.prefix + path,
                    Body=data,
                    ChecksumAlgorithm="SHA256",
                    **self._encrypted,
                    **condition,
                )
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412):
                    if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
                        raise
                    found = self.read_tagged(path)
                    if found and found[0] == data:  # our own first try; its answer was lost on the way
                        return found[1]
                    raise Conflict(f"{self.url}/{path} was written by somebody else meanwhile") from error
                raise
            return answer["ETag"].strip('"')

    def delete(self, paths: list[str]) -> None:
        with self._explained():
            for start in range(0, len(paths), 1000):
                keys: Any = [{"Key": self.prefix + path} for path in paths[start : start + 1000]]
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True}
                )
                for failed in answer.get("Errors", []):
                    raise InfrastructureError(
                        f"s3://{self.bucket}/{failed.get('Key')}: {failed.get('Message')}"
                    )

    def file_url(self, path: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{path}"


class Folder:
    """A folder of a file system. Writes are atomic by rename; a tag is the SHA-256 of the content."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def entries(self, below: str = "") -> Iterator[Entry]:
        base = len(str(self.root).rstrip("/")) + 1
        pending: list[tuple[str, tuple[str, ...]]] = [(str(self.root / below), ())]
        while pending:
            folder, came_by = pending.pop()
            for item in self._scan(folder):
                if item.is_dir(follow_symlinks=False):
                    pending.append((item.path, came_by))
                    continue
                try:
                    found = item.stat()
                except OSError as error:
                    if item.is_symlink():  # a file of a DataLad clone whose content was not fetched
                        yield Entry(item.path[base:], 0, NOT_FETCHED)
                        continue
                    if isinstance(error, FileNotFoundError):  # it has gone since the folder was read
                        continue
                    raise BadInput(f"{item.path}: {error.strerror}; mend or remove it") from error
                if stat.S_ISDIR(found.st_mode):
                    here, there = os.path.realpath(folder), os.path.realpath(item.path)
                    if not any(f"{place}/".startswith(f"{there}/") for place in (here, *came_by)):
                        pending.append((item.path, (*came_by, here)))  # else it leads back up, for ever
                elif stat.S_ISREG(found.st_mode):  # no sockets, no pipes: reading them never ends
                    yield Entry(item.path[base:], found.st_size, f"{found.st_size:x}-{found.st_mtime_ns:x}")

    def _scan(self, folder: str) -> list["os.DirEntry[str]"]:
        try:
            with os.scandir(folder) as found:
                return list(found)
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise BadInput(f"{folder}: is a file; give the folder that it lies in") from error
        except PermissionError as error:
            raise BadInput(f"{folder}: permission denied; make it readable") from error

    def read(self, path: str) -> bytes | None:
        target = self.root / path
        try:
            return target.read_bytes() if target.is_file() else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(f"{target}: cannot be read ({error.strerror}); make it readable") from error

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        data = self.read(path)
        return None if data is None else (data, hashlib.sha256(data).hexdigest())

    def chunks(self, path: str) -> Iterator[bytes]:
        with (self.root / path).open("rb") as source:
            while block := source.read(1 << 20):
                yield block

    def stored(self, path: str) -> Stored | None:
        if not (self.root / path).is_file():
            return None
        modified = (self.root / path).stat().st_mtime
        digest, size = hashlib.sha256(), 0
        for block in self.chunks(path):
            digest.update(block)
            size += len(block)
        return Stored(size, digest.hexdigest(), digest.hexdigest(), modified)

    def write(self, path: str, data: bytes) -> str:
        target, part = self.root / path, self.root / f"{PARTS}/{secrets.token_hex(8)}"
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(data)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise InfrastructureError(f"{target}: {error.strerror}; nothing was written there") from error
        return hashlib.sha256(data).hexdigest()

    def write_if(self, path: str, data: bytes, replaces: str | None) -> str:
        target = self.root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _locked(target.parent):
                found = self.read_tagged(path)
                self._sweep()
                if (found[1] if found else None) != replaces:
                    raise Conflict(f"{target} was written by somebody else meanwhile")
                return self.write(path, data)
        except OSError as error:
            raise InfrastructureError(f"{target}: {error.strerror}; nothing was written there") from error

    def _sweep(self) -> None:
        """Remove what a process that was killed in the middle of a write left here."""
        for part in (self.root / PARTS).glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > STALE:
                    part.unlink()

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            target = self.root / path
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                target.unlink()
            self._prune(target.parent)

    def _prune(self, folder: Path) -> None:
        """Remove a folder, and those above it, as far as they are empty."""
        while folder != self.root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return
            folder = folder.parent

    def file_url(self, path: str) -> str:
        return "file://" + quote(str(self.root / path))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, a file `.lock` that is gone afterwards; as toolwrappers/output_store.py does."""
    import fcntl

    path = folder / ".lock"
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:  # the holder before us may have removed the file that we had waited for
                ours = os.path.samestat(os.fstat(lock.fileno()), path.stat())
            except FileNotFoundError:
                ours = False
            if not ours:
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
