"""The output prefix as stage_out.py writes it: on S3 or in a folder. Beside stage_out.py, on the worker.

Needs Python 3 alone; boto3 as well when the output is on S3.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

SINGLE_PUT = 16 << 20  # bytes; larger files go up in parts, each part checked by its own SHA-256
PART = 16 << 20  # bytes; S3 takes 10,000 parts, so parts of larger files grow
TRANSFERS = 16


class LostRace(Exception):
    """Another attempt of the same unit committed first."""


class Store(Protocol):
    """The output prefix: paths below it are '/'-separated; tags are opaque (ETags on S3)."""

    def put_file(self, source: Path, path: str, sha256: str, size: int) -> str: ...
    def put(self, path: str, data: bytes, replaces: str | None) -> str: ...
    def put_if_absent(self, path: str, source: Path) -> bool: ...
    def get(self, path: str) -> tuple[bytes, str] | None: ...
    def tag(self, path: str) -> str | None: ...
    def delete(self, paths: list[str]) -> None: ...
    def drop_partial(self, paths: set[str]) -> None: ...


class S3Store:
    """An s3:// URL. Conditional writes use If-None-Match and If-Match. encrypt: AES256, or nothing."""

    def __init__(self, url: str, encrypt: str | None = None) -> None:
        import boto3
        import botocore.config
        import botocore.exceptions

        self.ClientError = botocore.exceptions.ClientError
        self.bucket, _, self.prefix = url[len("s3://") :].partition("/")
        self.prefix = self.prefix.strip("/") + "/" if self.prefix.strip("/") else ""
        self.encrypted: Any = {"ServerSideEncryption": encrypt} if encrypt else {}
        retries: Any = {"mode": "standard", "max_attempts": 10}
        self.s3 = boto3.client(
            "s3", config=botocore.config.Config(retries=retries, max_pool_connections=TRANSFERS)
        )

    def _key(self, path: str) -> str:
        return self.prefix + path

    def _code(self, error: Any) -> str:
        return str(error.response.get("Error", {}).get("Code", ""))

    def put_file(self, source: Path, path: str, sha256: str, size: int) -> str:
        key = self._key(path)
        if size <= SINGLE_PUT:
            with source.open("rb") as body:
                answer = self.s3.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ChecksumSHA256=_base64(bytes.fromhex(sha256)),
                    **self.encrypted,
                )
            return str(answer["ETag"]).strip('"')
        from boto3.s3.transfer import TransferConfig

        part = max(PART, -(-size // 10_000))
        in_parts = TransferConfig(multipart_threshold=SINGLE_PUT, multipart_chunksize=part, max_concurrency=4)
        self.s3.upload_file(
            str(source),
            self.bucket,
            key,
            ExtraArgs={"ChecksumAlgorithm": "SHA256", **self.encrypted},
            Config=in_parts,
        )
        arrived = self.s3.head_object(Bucket=self.bucket, Key=key)
        if arrived["ContentLength"] != size:
            raise RuntimeError(
                f"s3://{self.bucket}/{key}: {arrived['ContentLength']} bytes arrived of {size}"
            )
        if digest_of(source)[0] != sha256:  # it was read twice: for its digest, and to send it
            raise RuntimeError(f"{source} changed while it was delivered")
        return str(arrived["ETag"]).strip('"')

    def put(self, path: str, data: bytes, replaces: str | None) -> str:
        condition: Any = {"IfMatch": f'"{replaces}"'} if replaces else {"IfNoneMatch": "*"}
        try:
            answer = self.s3.put_object(
                Bucket=self.bucket,
                Key=self._key(path),
                Body=data,
                ContentType="application/json",
                ChecksumSHA256=_base64(hashlib.sha256(data).digest()),
                **self.encrypted,
                **condition,
            )
        except self.ClientError as error:
            if not self._lost(error):
                raise
            found = self.get(path)  # the answer to our own first try may have been lost on its way
            if found and found[0] == data:
                return found[1]
            raise LostRace(f"s3://{self.bucket}/{self._key(path)} was written by another attempt") from error
        return str(answer["ETag"]).strip('"')

    def _lost(self, error: Any) -> bool:
        codes = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey", "404")
        return self._code(error) in codes

    def put_if_absent(self, path: str, source: Path) -> bool:
        if self.tag(path) is not None:
            return False
        digest = _base64(bytes.fromhex(digest_of(source)[0]))
        try:
            with source.open("rb") as body:
                self.s3.put_object(
                    Bucket=self.bucket,
                    Key=self._key(path),
                    Body=body,
                    ChecksumSHA256=digest,
                    IfNoneMatch="*",
                    **self.encrypted,
                )
        except self.ClientError as error:
            if not self._lost(error):
                raise
            return False
        return True

    def get(self, path: str) -> tuple[bytes, str] | None:
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=self._key(path))
        except self.ClientError as error:
            if self._code(error) in ("NoSuchKey", "404"):
                return None
            raise
        return answer["Body"].read(), str(answer["ETag"]).strip('"')

    def tag(self, path: str) -> str | None:
        try:
            answer = self.s3.head_object(Bucket=self.bucket, Key=self._key(path))
        except self.ClientError as error:
            if self._code(error) in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return str(answer["ETag"]).strip('"')

    def delete(self, paths: list[str]) -> None:
        for start in range(0, len(paths), 1000):
            keys: Any = [{"Key": self._key(path)} for path in paths[start : start + 1000]]
            answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})
            if answer.get("Errors"):
                raise RuntimeError(f"s3://{self.bucket}: could not delete {answer['Errors'][0]}")

    def drop_partial(self, paths: set[str]) -> None:
        """End the uploads in parts that a killed attempt left: nobody sees them, and they cost."""
        if not paths:
            return
        try:
            pages = self.s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            for page in pages:
                for upload in page.get("Uploads", []):
                    if upload["Key"][len(self.prefix) :] in paths:
                        self.s3.abort_multipart_upload(
                            Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
        except self.ClientError as error:  # a role may write without this right: a lifecycle rule can do it
            if self._code(error) not in ("AccessDenied", "403", "NotImplemented", "501", "NoSuchUpload"):
                raise


class FolderStore:
    """A folder of a file system. A tag is the SHA-256 of the file; writes are atomic by rename.

    `parts` is where files are written until they are whole: a folder that this unit has to itself.
    """

    def __init__(self, folder: str, parts: str) -> None:
        self.root = Path(folder)
        self.parts = self.root / parts
        self.root.mkdir(parents=True, exist_ok=True)

    def _write(self, data: bytes | Path) -> Path:
        part = self.parts / secrets.token_hex(8)
        self.parts.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as out:
            if isinstance(data, bytes):
                out.write(data)
            else:
                with data.open("rb") as source:
                    while block := source.read(1 << 20):
                        out.write(block)
            out.flush()
            os.fsync(out.fileno())
        return part

    def _target(self, path: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _place(self, part: Path, path: str) -> None:
        for _ in range(100):
            with contextlib.suppress(
                FileNotFoundError
            ):  # another unit removed the folder, empty for a moment
                part.replace(self._target(path))
                return
        raise RuntimeError(f"{self.root / path}: its folder vanishes again and again")

    def put_file(self, source: Path, path: str, sha256: str, size: int) -> str:
        part = self._write(source)
        digest, written = digest_of(part)
        if (digest, written) != (sha256, size):
            part.unlink()
            raise RuntimeError(f"{self.root / path}: what was written differs from {source}")
        self._place(part, path)
        return digest

    def put(self, path: str, data: bytes, replaces: str | None) -> str:
        target = self._target(path)
        with locked(target.parent):
            now = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else None
            if now != replaces:
                raise LostRace(f"{target} was written by another attempt")
            self._write(data).replace(target)
        return hashlib.sha256(data).hexdigest()

    def put_if_absent(self, path: str, source: Path) -> bool:
        target = self._target(path)
        if target.exists():
            return False
        part = self._write(source)
        try:
            os.link(part, target)
        except FileExistsError:
            return False
        finally:
            part.unlink()
        return True

    def get(self, path: str) -> tuple[bytes, str] | None:
        target = self.root / path
        if not target.is_file():
            return None
        data = target.read_bytes()
        return data, hashlib.sha256(data).hexdigest()

    def tag(self, path: str) -> str | None:
        target = self.root / path
        return digest_of(target)[0] if target.is_file() else None

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            target = self.root / path
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                target.unlink()
            self._prune(target.parent)
        self._prune(self.parts)

    def drop_partial(self, paths: set[str]) -> None:
        """Remove the files that were being written when an attempt was killed."""
        for part in self.parts.glob("*"):
            part.unlink(missing_ok=True)
        self._prune(self.parts)
        if (self.parts.parent / ".lock").exists():
            with locked(self.parts.parent):  # whoever lets it go removes it
                pass

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


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, a file `.lock` that is gone afterwards."""
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


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def open_store(output: str, home: str, encrypt: str | None = None) -> Store:
    """The store behind an s3:// URL, a file:// URL or a path; `home`: the unit's own folder below it."""
    if output.startswith("s3://"):
        return S3Store(output, encrypt)
    if output.startswith("file://"):
        output = urllib.parse.unquote(urllib.parse.urlparse(output).path)
    return FolderStore(output, f"{home}/parts")


def digest_of(file: Path) -> tuple[str, int]:
    """The SHA-256 (hex) and the size (bytes) of a file."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
