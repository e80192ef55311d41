"""Deliver the outputs of one unit to the output prefix and commit them by a receipt, written last.

Runs on the worker, beside the container of the tool, and needs Python 3 alone (boto3 as well when the
output is on S3): what every Toil worker has. Usage: stage_out.py REQUEST.json; writes receipt.json here.

The request holds `context` (unit, participant, session, task_key, previous), `output` (s3:// URL or
folder), `run`, `exit_code`, `outputs` and `logs` (CWL File or Directory objects, or null) and `delivery`
(what the job template says about them).

The order is the promise. staging.json names what is about to be written; then come the bytes; then what
earlier attempts left and this one did not write again is deleted; then the receipt, by a conditional PUT.
Whoever reads the output believes receipts alone.
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import worker_environment

RECEIPT_FORMAT = 1
SINGLE_PUT = 16 << 20  # bytes; larger files go up in parts, each part checked by its own SHA-256
TRANSFERS = 16
STATE = ".neurocwl"


class LostRace(Exception):
    """Another attempt of the same unit committed first."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One file to deliver: where it is now, and its path below the output."""

    source: Path
    path: str


class Store(Protocol):
    """The output prefix: paths below it are '/'-separated; tags are opaque (ETags on S3)."""

    def put_file(self, source: Path, path: str, sha256: str, size: int) -> str: ...
    def put(self, path: str, data: bytes, replaces: str | None) -> str: ...
    def put_if_absent(self, path: str, source: Path) -> bool: ...
    def get(self, path: str) -> tuple[bytes, str] | None: ...
    def delete(self, paths: list[str]) -> None: ...
    def list(self, prefix: str) -> Iterator[str]: ...


class S3Store:
    """An s3:// URL. Conditional writes use If-None-Match and If-Match."""

    def __init__(self, url: str) -> None:
        import boto3
        import botocore.config
        import botocore.exceptions

        self.ClientError = botocore.exceptions.ClientError
        self.bucket, _, self.prefix = url[len("s3://") :].partition("/")
        self.prefix = self.prefix.strip("/") + "/" if self.prefix.strip("/") else ""
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
            answer = self.s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=source.read_bytes(),
                ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
            )
            return str(answer["ETag"]).strip('"')
        self.s3.upload_file(str(source), self.bucket, key, ExtraArgs={"ChecksumAlgorithm": "SHA256"})
        arrived = self.s3.head_object(Bucket=self.bucket, Key=key)
        if arrived["ContentLength"] != size:
            raise RuntimeError(f"s3://{self.bucket}/{key}: {arrived['ContentLength']} bytes arrived of {size}")
        return str(arrived["ETag"]).strip('"')

    def put(self, path: str, data: bytes, replaces: str | None) -> str:
        condition: Any = {"IfMatch": f'"{replaces}"'} if replaces else {"IfNoneMatch": "*"}
        try:
            answer = self.s3.put_object(
                Bucket=self.bucket,
                Key=self._key(path),
                Body=data,
                ContentType="application/json",
                ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
                **condition,
            )
        except self.ClientError as error:
            if self._code(error) in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey"):
                raise LostRace(f"s3://{self.bucket}/{self._key(path)}") from error
            raise
        return str(answer["ETag"]).strip('"')

    def put_if_absent(self, path: str, source: Path) -> bool:
        try:
            self.s3.head_object(Bucket=self.bucket, Key=self._key(path))
        except self.ClientError as error:
            if self._code(error) not in ("404", "NoSuchKey", "NotFound"):
                raise
        else:
            return False
        try:
            self.put(path, source.read_bytes(), None)
        except LostRace:
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

    def delete(self, paths: list[str]) -> None:
        for start in range(0, len(paths), 1000):
            keys: Any = [{"Key": self._key(path)} for path in paths[start : start + 1000]]
            answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})
            if answer.get("Errors"):
                raise RuntimeError(f"s3://{self.bucket}: could not delete {answer['Errors'][0]}")

    def list(self, prefix: str) -> Iterator[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
        for page in pages:
            for item in page.get("Contents", []):
                yield item["Key"][len(self.prefix) :]


class FolderStore:
    """A folder of a file system. A tag is the SHA-256 of the file; writes are atomic by rename."""

    def __init__(self, folder: str) -> None:
        self.root = Path(folder)
        self.root.mkdir(parents=True, exist_ok=True)

    def _write(self, path: str, data: bytes | Path) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".neurocwl-", suffix=".part")
        with os.fdopen(handle, "wb") as out:
            if isinstance(data, bytes):
                out.write(data)
            else:
                with data.open("rb") as source:
                    while block := source.read(1 << 20):
                        out.write(block)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o666 & ~_umask())
        return Path(name)

    def put_file(self, source: Path, path: str, sha256: str, size: int) -> str:
        part = self._write(path, source)
        digest, written = digest_of(part)
        if (digest, written) != (sha256, size):
            part.unlink()
            raise RuntimeError(f"{self.root / path}: what was written differs from {source}")
        part.replace(self.root / path)
        return digest

    def put(self, path: str, data: bytes, replaces: str | None) -> str:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            now = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else None
            if now != replaces:
                raise LostRace(str(target))
            self._write(path, data).replace(target)
        return hashlib.sha256(data).hexdigest()

    def put_if_absent(self, path: str, source: Path) -> bool:
        if (self.root / path).exists():
            return False
        part = self._write(path, source)
        try:
            os.link(part, self.root / path)
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

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            target = self.root / path
            target.unlink(missing_ok=True)
            parent = target.parent
            while parent != self.root:
                try:
                    parent.rmdir()
                except OSError:
                    break
                parent = parent.parent

    def list(self, prefix: str) -> Iterator[str]:
        top = self.root / prefix
        for folder, _, names in os.walk(top):
            for name in names:
                yield (Path(folder) / name).relative_to(self.root).as_posix()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def open_store(output: str) -> Store:
    """The store behind an s3:// URL, a file:// URL or a path."""
    if output.startswith("s3://"):
        return S3Store(output)
    if output.startswith("file://"):
        return FolderStore(urllib.parse.unquote(urllib.parse.urlparse(output).path))
    return FolderStore(output)


def digest_of(file: Path) -> tuple[str, int]:
    """The SHA-256 (hex) and the size (bytes) of a file."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder with its relative path; links are followed, dangling ones left out."""
    seen: set[tuple[int, int]] = set()
    for base, folders, names in os.walk(folder, followlinks=True):
        here = os.stat(base)
        if (here.st_dev, here.st_ino) in seen:  # a link back up would never end
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders.sort()
        for name in sorted(names):
            file = Path(base) / name
            if file.is_file():
                yield file, file.relative_to(folder).as_posix()


def location_of(value: Any) -> Path:
    """The local path of a CWL File or Directory object."""
    path = value.get("path")
    return Path(path) if path else Path(urllib.parse.unquote(urllib.parse.urlparse(value["location"]).path))


def collect(values: list[Any], places: list[str]) -> list[Item]:
    """Pair the tool's outputs with their places below the output; '.' means the root."""
    items: list[Item] = []
    for value, place in zip(values, places, strict=True):
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            source, base = location_of(one), "" if place == "." else place.rstrip("/") + "/"
            if one["class"] == "File":
                items.append(Item(source, base + (one.get("basename") or source.name)))
            else:
                items.extend(Item(file, base + path) for file, path in files_below(source))
    return items


def matches(path: str, pattern: str) -> bool:
    """Match a path against a glob in which * stays within one part and ** crosses parts."""
    known = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?|\[[^]/]+\])", pattern)
    regex = "".join(known.get(part) or (part if part.startswith("[") and part.endswith("]") else re.escape(part)) for part in parts)
    return re.fullmatch(regex, path) is not None


def fill(pattern: str, context: dict[str, Any]) -> str:
    """Put the unit's labels into {unit}, {participant} and {session}."""
    for name in ("unit", "participant", "session"):
        pattern = pattern.replace("{" + name + "}", context.get(name) or "")
    return pattern


def last_words(logs: list[Any]) -> str:
    """The last line that says something in the tool's logs (the last log first)."""
    for value in reversed(logs):
        if value is None:
            continue
        tail = location_of(value).read_bytes()[-8192:].decode("utf-8", "replace")
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        if lines:
            return lines[-1][:300]
    return ""


def judge(exit_code: int, items: list[Item], delivery: dict[str, Any], context: dict[str, Any], logs: list[Any]) -> tuple[str, str]:
    """Whether the unit is done or failed, and why: from the exit code and from the files alike."""
    paths = {item.path: item.source for item in items}
    why = []
    for pattern in delivery.get("forbid", []):
        wanted = fill(pattern, context)
        why += [f"the tool left {path}" for path in sorted(paths) if matches(path, wanted)][:1]
    for pattern in delivery.get("expect", []):
        wanted = fill(pattern, context)
        found = [source for path, source in paths.items() if matches(path, wanted)]
        if not found:
            why.append(f"no {wanted} among the outputs")
        elif all(source.stat().st_size == 0 for source in found):
            why.append(f"{wanted} is empty")
    if exit_code != 0:
        meaning = {125: " (the container could not be started)", 137: " (killed: most likely out of memory)", 143: " (stopped: time limit or shutdown)"}
        words = last_words(logs)
        why.insert(0, f"exit code {exit_code}{meaning.get(exit_code, '')}" + (f": {words}" if words else ""))
    return ("failed", "; ".join(why[:3])) if why else ("done", "")


def stage_out(request: dict[str, Any]) -> dict[str, Any]:
    """Deliver and commit one unit; returns its receipt.

    Raises LostRace when another attempt committed meanwhile, RuntimeError when bytes do not arrive.
    """
    context, delivery = request["context"], request["delivery"]
    unit, exit_code = context["unit"], int(request["exit_code"])
    store = open_store(request["output"])
    now = datetime.datetime.now(datetime.UTC)
    attempt = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    home = f"{STATE}/units/{unit}"
    items = collect(request["outputs"], [fill(place, context) for place in delivery["outputs"]])
    status, reason = judge(exit_code, items, delivery, context, request["logs"])
    shared = [i for i in items if any(matches(i.path, p) for p in delivery.get("shared", []))]
    own = [i for i in items if i not in shared]
    delivered = status == "done" or delivery.get("deliver") == "always"
    if not delivered:
        own = [Item(i.source, f"{home}/attempts/{attempt}/outputs/{i.path}") for i in items]
        shared = []
    logs = collect(request["logs"], [f"{home}/attempts/{attempt}/logs"] * len(request["logs"]))

    before, earlier_etag = _receipt(store, home)
    if before and before["run"] == request["run"] and before["status"] == "done" and before["task_key"] == context["task_key"]:
        return before  # a worker was lost after it had committed: the work is done
    if earlier_etag != context.get("previous") and before and before["run"] != request["run"]:
        raise LostRace(f"{home}/receipt.json was written by run {before['run']} since this run was planned")
    staging = store.get(f"{home}/staging.json")
    interrupted = json.loads(staging[0]) if staging else {}
    earlier = (before or {}).get("earlier") or _as_earlier(before)
    leftovers = set(interrupted.get("paths", [])) | set(interrupted.get("leftovers", []))
    leftovers |= {entry["path"] for entry in (before or {}).get("manifest", []) if _attempt_path(entry["path"])}
    if delivered:
        leftovers |= {entry["path"] for entry in (earlier or {}).get("manifest", [])}
        earlier = None
    elif earlier:  # the derivatives of an earlier success stay until a new success replaces them
        leftovers -= {entry["path"] for entry in earlier["manifest"]}
    leftovers -= {i.path for i in shared}
    note = {"attempt": attempt, "run": request["run"], "host": socket.gethostname(), "paths": [i.path for i in own], "leftovers": sorted(leftovers)}
    note_tag = store.put(f"{home}/staging.json", _json(note), staging[1] if staging else None)

    with concurrent.futures.ThreadPoolExecutor(TRANSFERS) as pool:
        manifest = list(pool.map(lambda item: _deliver(store, item), own))
        log_entries = list(pool.map(lambda item: _deliver(store, item), logs))
    shared_entries = []
    for item in shared:
        first = store.put_if_absent(item.path, item.source)
        digest, size = digest_of(item.source)
        shared_entries.append({"path": item.path, "size": size, "sha256": digest, "written": first})

    store.delete(sorted(leftovers - {entry["path"] for entry in manifest}))
    history = [*(before or {}).get("attempts", []), {"attempt": attempt, "run": request["run"], "status": status, "exit_code": exit_code, "reason": reason, "logs": log_entries}]
    receipt = {
        "receipt": RECEIPT_FORMAT,
        "unit": unit,
        "participant": context.get("participant"),
        "session": context.get("session"),
        "pipeline": delivery["pipeline"],
        "status": status,
        "reason": reason,
        "exit_code": exit_code,
        "run": request["run"],
        "attempt": attempt,
        "task_key": context["task_key"],
        "committed": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "rehearsal": context.get("rehearsal") is not None,
        "manifest": manifest,
        "shared": shared_entries,
        "earlier": earlier,
        "attempts": history,
    }
    current = store.get(f"{home}/staging.json")
    if current is None or current[1] != note_tag:
        raise LostRace(f"{home}/staging.json")
    store.put(f"{home}/receipt.json", _json(receipt), earlier_etag)
    store.delete([f"{home}/staging.json"])
    return receipt


def _receipt(store: Store, home: str) -> tuple[dict[str, Any] | None, str | None]:
    found = store.get(f"{home}/receipt.json")
    return (json.loads(found[0]), found[1]) if found else (None, None)


def _as_earlier(before: dict[str, Any] | None) -> dict[str, Any] | None:
    if not before or not before.get("manifest") or _attempt_path(before["manifest"][0]["path"]):
        return None
    return {key: before[key] for key in ("run", "attempt", "task_key", "manifest", "rehearsal")}


def _attempt_path(path: str) -> bool:
    return path.startswith(f"{STATE}/")


def _deliver(store: Store, item: Item) -> dict[str, Any]:
    sha256, size = digest_of(item.source)
    return {"path": item.path, "size": size, "sha256": sha256, "etag": store.put_file(item.source, item.path, sha256, size)}


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def main() -> int:
    """Stage out what the request names; a failed unit is a committed fact, not an error of this step."""
    worker_environment.adopt()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    receipt = stage_out(request)
    Path("receipt.json").write_bytes(_json(receipt))
    print(f"{receipt['unit']}: {receipt['status']}, {len(receipt['manifest'])} files", receipt["reason"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
