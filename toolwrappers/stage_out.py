"""Deliver the outputs of one unit to the output prefix and commit them by a receipt, written last.

Runs on the worker, beside the container of the tool, and needs Python 3 alone (boto3 as well when the
output is on S3): what every Toil worker has. Usage: stage_out.py REQUEST.json; writes receipt.json here.

The request holds `context` (unit, participant, session, task_key, previous), `output` (s3:// URL or
folder), `run`, `exit_code`, `outputs` and `logs` (CWL File or Directory objects, or null), `delivery`
(what the job template says about them, and what the tool was given) and `used` (what container_run.py wrote).

A machine that is about to be taken away leaves little time: what the next attempt can go on from is delivered
first, and what does not fit into the time is not delivered.

The order is the promise. staging.json names what is about to be written; then come the bytes; then what
earlier attempts left and this one did not write again is deleted; then the receipt, by a conditional PUT.
Whoever reads the output believes receipts alone. What an attempt that was killed has left (files, parts of
files, uploads in parts) is named by its staging.json or lies in the unit's own folder, and the next one
removes it.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import json
import os
import re
import secrets
import socket
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gate
import shortage
import worker_environment
from output_store import TRANSFERS, LostRace, Store, digest_of, open_store

RECEIPT_FORMAT = 1
STATE = ".neurocwl"
UTC = datetime.timezone.utc  # noqa: UP017 - a worker may have Python 3.10


@dataclasses.dataclass(frozen=True)
class Item:
    """One file to deliver: where it is now, and its path below the output."""

    source: Path
    path: str
    resumes: bool = False  # the next attempt can go on from it


def files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder with its relative path; links are followed, dangling ones left out."""
    above: dict[str, frozenset[tuple[int, int]]] = {str(folder): frozenset()}
    for base, folders, names in os.walk(folder, followlinks=True):
        here = os.stat(base)
        identity = (here.st_dev, here.st_ino)
        chain = above.pop(base)
        if identity in chain:  # a link back up would never end
            folders.clear()
            continue
        folders.sort()
        above.update((os.path.join(base, name), chain | {identity}) for name in folders)
        for name in sorted(names):
            file = Path(base) / name
            if file.is_file():
                yield file, file.relative_to(folder).as_posix()


def location_of(value: Any) -> Path:
    """The local path of a CWL File or Directory object."""
    path = value.get("path")
    return Path(path) if path else Path(urllib.parse.unquote(urllib.parse.urlparse(value["location"]).path))


def worst(codes: Any) -> int:
    """The exit code of a tool; of a workflow's steps, in lists of lists, the first that is not zero.

    A step that never ran has none, which is no success.
    """
    if isinstance(codes, list):
        return next((code for code in map(worst, codes) if code != 0), 0)
    return 1 if codes is None else int(codes)


def all_codes(codes: Any) -> Iterator[int | None]:
    """Every exit code in lists of lists."""
    if isinstance(codes, list):
        for code in codes:
            yield from all_codes(code)
    else:
        yield codes


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The CWL Files and Directories in a value: it may be one, null, or lists of lists of them."""
    if isinstance(value, list):
        for item in value:
            yield from objects(item)
    elif value is not None:
        yield value


def collect(values: list[Any], places: list[str]) -> list[Item]:
    """Pair the tool's outputs with their places below the output.

    '.' means the root. A folder's content goes to the place; to one that ends with '*' it goes by its own name.
    """
    items: list[Item] = []
    for value, place in zip(values, places, strict=True):
        for one in objects(value):
            source, base = (
                location_of(one),
                "" if place in (".", "*") else place.removesuffix("*").rstrip("/") + "/",
            )
            if place.endswith("*") and one["class"] == "Directory":
                base += f"{one.get('basename') or source.name}/"
            if one["class"] == "File":
                items.append(Item(source, base + (one.get("basename") or source.name)))
            else:
                files = ((file, path) for file, path in files_below(source) if file.name != shortage.NAME)
                items.extend(Item(file, base + path) for file, path in files)
    return items


def matches(path: str, pattern: str) -> bool:
    """Match a path against a glob in which * stays within one part and ** crosses parts; " | " is or."""
    if " | " in pattern:
        return any(matches(path, one) for one in pattern.split(" | "))
    known = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?|\[[^]/]+\])", pattern)
    regex = "".join(
        known.get(part)
        or (part.replace("[!", "[^", 1) if part.startswith("[") and part.endswith("]") else re.escape(part))
        for part in parts
    )
    return re.fullmatch(regex, path, re.DOTALL) is not None


def fill(pattern: str, context: dict[str, Any]) -> str:
    """Put the unit's labels into {unit}, {participant} and {session}."""
    for name in ("unit", "participant", "session"):
        pattern = pattern.replace("{" + name + "}", context.get(name) or "")
    return pattern


def last_words(logs: list[Any]) -> str:
    """The last line that says something in the tool's logs (the last log first)."""
    for value in reversed(list(objects(logs))):
        with location_of(value).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            tail = log.read().decode("utf-8", "replace")
        # Reasons are shown on terminals: no escape sequences of the tool's get there.
        tail = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", tail)
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        if lines:
            return "".join(c if c.isprintable() else " " for c in lines[-1][:300])
    return ""


def sayable(path: str) -> bool:
    """Whether a path can be a key and stand in JSON; bytes that are not UTF-8 cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in path)


def judge(
    exit_code: int,
    items: list[Item],
    delivery: dict[str, Any],
    context: dict[str, Any],
    logs: list[Any],
    account: shortage.Account = shortage.UNKNOWN,
) -> tuple[str, str]:
    """Whether the unit is done or failed, and why: from the exit code and from the files alike."""
    paths = {item.path: item.source for item in items}
    why = [
        f"the name of {path.encode(errors='backslashreplace').decode()} is not UTF-8"
        for path in paths
        if not sayable(path)
    ][:1]
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
        meaning = {
            125: " (the container could not be started)",
            137: shortage.killed(account),
            143: " (stopped: time limit or shutdown)",
        }
        words = last_words(logs)
        why.insert(0, f"exit code {exit_code}{meaning.get(exit_code, '')}" + (f": {words}" if words else ""))
    return ("failed", "; ".join(why[:3])) if why else ("done", "")


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What one attempt found out before it writes anything: its verdict, and what goes where."""

    id: str
    home: str  # the unit's own folder below the output
    status: str
    reason: str
    delivered: bool  # whether the outputs become derivatives
    own: list[Item]
    shared: list[Item]
    logs: list[Item]
    seconds: int | None = None  # that the unit took so far
    account: shortage.Account = shortage.UNKNOWN
    short_of: str | None = None  # memory or disk: what it failed for


def stage_out(request: dict[str, Any]) -> dict[str, Any]:
    """Deliver and commit one unit; returns its receipt, or a note that is none when it was kept from starting.

    Raises LostRace when another attempt committed meanwhile, RuntimeError when bytes do not arrive.
    """
    context = request["context"]
    attempt = judged(request)
    store = open_store(request["output"], attempt.home, request["delivery"].get("encrypt"))
    if kept_back(request, store):
        return {"unit": context["unit"], "status": "not-started", "reason": attempt.reason, "manifest": []}
    before, tag = _receipt(store, attempt.home)
    staging = store.get(f"{attempt.home}/staging.json")
    interrupted = json.loads(staging[0]) if staging else {}
    if before and interrupted.get("attempt") == before["attempt"]:  # killed after its commit: nothing is open
        interrupted = {}
    if before and not interrupted and _is_this(before, request):
        store.drop_partial(set())
        if staging:
            store.delete([f"{attempt.home}/staging.json"])
        return before  # a worker was lost after it had committed: the work is done
    if before and tag != context.get("previous") and before["run"] != request["run"]:
        raise LostRace(
            f"{attempt.home}/receipt.json was written by run {before['run']} since this run was planned"
        )

    earlier, leftovers = superseded(store, attempt, before, interrupted)
    touched = set(interrupted.get("paths", [])) | set(interrupted.get("leftovers", []))
    note = {
        "attempt": attempt.id,
        "run": request["run"],
        "host": socket.gethostname(),
        "paths": [i.path for i in (*attempt.own, *attempt.logs)],
        "leftovers": sorted(leftovers),
        "shared": sorted({i.path for i in attempt.shared} | set(interrupted.get("shared", []))),
    }
    note_tag = store.put(f"{attempt.home}/staging.json", _json(note), staging[1] if staging else None)
    store.drop_partial(touched)
    store.delete(_in_the_way(leftovers, {i.path for i in attempt.own}))
    with concurrent.futures.ThreadPoolExecutor(TRANSFERS) as pool:
        logs = list(pool.map(lambda item: _deliver(store, item), attempt.logs))
        arrived = list(pool.map(lambda item: _deliver_in_time(store, item, attempt), attempt.own))
    manifest = [entry for entry in arrived if entry]
    shared = [_deliver_shared(store, item) for item in attempt.shared]
    shared += _still_shared(store, before, interrupted, {item.path for item in attempt.shared})
    store.delete(sorted(leftovers - {entry["path"] for entry in manifest}))

    resumes = all(e or not i.resumes for i, e in zip(attempt.own, arrived, strict=True))
    receipt = receipt_of(
        request, attempt, before, {"manifest": manifest, "shared": shared, "earlier": earlier}, logs, resumes
    )
    if store.tag(f"{attempt.home}/staging.json") != note_tag:
        raise LostRace(f"{attempt.home}/staging.json was written by another attempt: that one goes on")
    store.put(f"{attempt.home}/receipt.json", _json(receipt), tag)
    if store.tag(f"{attempt.home}/staging.json") == note_tag:
        store.delete([f"{attempt.home}/staging.json"])
    return receipt


def kept_back(request: dict[str, Any], store: Store) -> bool:
    """Whether gate.py let nothing of the unit start, which is no failure and leaves no receipt."""
    codes = list(all_codes(request["exit_code"]))
    if gate.KEPT_BACK not in codes or 0 in codes:
        return False
    run, unit = request["run"], request["context"]["unit"]
    return gate.is_closed(store, run) and not gate.has_begun(store, run, unit)


def judged(request: dict[str, Any]) -> Attempt:
    """The verdict on what the tool made, and where each file goes because of it."""
    context, delivery = request["context"], request["delivery"]
    id_ = f"{datetime.datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    home = f"{STATE}/units/{context['unit']}"
    items = collect(request["outputs"], [fill(place, context) for place in delivery["outputs"]])
    account = shortage.account(location_of(one) for one in objects(request.get("used")))
    status, reason = judge(worst(request["exit_code"]), items, delivery, context, request["logs"], account)
    short = None
    if status != "done":
        texts = [location_of(one) for one in objects(request["logs"])]
        short = None if account.lost else shortage.short_of(account, texts)
        known = shortage.words(account, short, delivery.get("asked", {}))
        reason = "; ".join(why for why in (known, reason) if why)
    useless = delivery.get("leave_out", [])
    items = [i for i in items if sayable(i.path) and not any(matches(i.path, p) for p in useless)]
    delivered = status == "done" or (
        delivery.get("deliver") == "always" and has_all(items, delivery, context)
    )
    if delivered:
        shared = [i for i in items if any(matches(i.path, p) for p in delivery.get("shared", []))]
        own = [i for i in items if i not in shared]
    else:
        shared = []
        goes_on = [f"{fill(place, context)}/**" for place in delivery.get("resume", [])]
        own = [
            Item(
                i.source, f"{home}/attempts/{id_}/outputs/{i.path}", any(matches(i.path, p) for p in goes_on)
            )
            for i in items
        ]
        own.sort(key=lambda item: not item.resumes)
    logs = apart(collect(request["logs"], [f"{home}/attempts/{id_}/logs"] * len(request["logs"])))
    seconds = worker_environment.seconds_since_start()
    return Attempt(id_, home, status, reason, delivered, own, shared, logs, seconds, account, short)


def apart(logs: list[Item]) -> list[Item]:
    """The logs with a number before names that several steps gave theirs."""
    names = [item.path for item in logs]
    return [
        item
        if names.count(item.path) == 1
        else Item(item.source, f"{item.path.rpartition('/')[0]}/{number}-{item.path.rpartition('/')[2]}")
        for number, item in enumerate(logs, start=1)
    ]


def has_all(items: list[Item], delivery: dict[str, Any], context: dict[str, Any]) -> bool:
    """Whether all that proves a result is there: a failure that left none replaces no earlier success."""
    patterns = [fill(pattern, context) for pattern in delivery.get("expect", [])]
    return all(any(matches(i.path, p) and i.source.stat().st_size for i in items) for p in patterns)


def superseded(
    store: Store, attempt: Attempt, before: dict[str, Any] | None, interrupted: dict[str, Any]
) -> tuple[dict[str, Any] | None, set[str]]:
    """The earlier success that stays in place, if any, and the paths of earlier attempts that must go."""
    earlier = (before or {}).get("earlier") or _as_earlier(before)
    touched = set(interrupted.get("paths", [])) | set(interrupted.get("leftovers", []))
    earlier_paths = {entry["path"] for entry in (earlier or {}).get("manifest", [])}
    leftovers = touched | {e["path"] for e in (before or {}).get("manifest", []) if _attempt_path(e["path"])}
    if earlier and (attempt.delivered or (touched & earlier_paths and _is_spoiled(store, earlier))):
        leftovers |= earlier_paths
        earlier = None
    elif earlier:  # the derivatives of an earlier success stay until a new success replaces them
        leftovers -= earlier_paths
    return earlier, {path for path in leftovers if _inside(path)} - {i.path for i in attempt.shared}


def receipt_of(
    request: dict[str, Any],
    attempt: Attempt,
    before: dict[str, Any] | None,
    files: dict[str, Any],
    logs: list[dict[str, Any]],
    resumes: bool = True,
) -> dict[str, Any]:
    """The receipt; its form is described in docs/formats.md. resumes: all that the next one goes on from is there."""
    context = request["context"]
    verdict = {"status": attempt.status, "exit_code": worst(request["exit_code"]), "reason": attempt.reason}
    this_one = {"attempt": attempt.id, "run": request["run"], **verdict, "logs": logs}
    if attempt.seconds is not None:
        this_one["seconds"] = attempt.seconds
    asked, used = request["delivery"].get("asked"), attempt.account.used
    more = {"asked": asked, "used": used, "short_of": attempt.short_of}
    this_one |= {name: value for name, value in more.items() if value}
    if attempt.account.lost and attempt.status != "done":
        this_one["lost"] = True
    if not resumes:
        this_one["resumes"] = False
    return {
        "receipt": RECEIPT_FORMAT,
        "unit": context["unit"],
        "participant": context.get("participant"),
        "session": context.get("session"),
        "pipeline": request["delivery"]["pipeline"],
        **verdict,
        "run": request["run"],
        "attempt": attempt.id,
        "task_key": context["task_key"],
        "committed": datetime.datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "rehearsal": context.get("rehearsal") is not None,
        **files,
        "attempts": [*(before or {}).get("attempts", []), this_one],
    }


def _is_this(receipt: dict[str, Any], request: dict[str, Any]) -> bool:
    """Whether a receipt says that this very work is done."""
    wanted = (request["run"], "done", request["context"]["task_key"])
    return (receipt["run"], receipt["status"], receipt["task_key"]) == wanted


def _deliver_shared(store: Store, item: Item) -> dict[str, Any]:
    first = store.put_if_absent(item.path, item.source)
    digest, size = digest_of(item.source)
    return {"path": item.path, "size": size, "sha256": digest, "written": first}


def _still_shared(
    store: Store, before: dict[str, Any] | None, interrupted: dict[str, Any], again: set[str]
) -> list[dict[str, Any]]:
    """Shared files that earlier attempts of this unit wrote and this one did not: they stay, so they are named."""
    entries = {path: {"path": path, "written": False} for path in interrupted.get("shared", [])}
    entries |= {entry["path"]: entry for entry in (before or {}).get("shared", [])}
    return [
        entry for path, entry in sorted(entries.items()) if path not in again and store.tag(path) is not None
    ]


def _is_spoiled(store: Store, earlier: dict[str, Any]) -> bool:
    """Whether a killed attempt wrote over, or deleted, files of an earlier success."""
    return any(store.tag(entry["path"]) != entry["etag"] for entry in earlier["manifest"])


def _in_the_way(leftovers: set[str], paths: set[str]) -> list[str]:
    """Leftovers that are files where folders must come, or lie in folders where files must come."""

    def above(path: str) -> set[str]:
        parts = path.split("/")
        return {"/".join(parts[:end]) for end in range(1, len(parts))}

    folders = set().union(*map(above, paths))
    return sorted(path for path in leftovers if path in folders or above(path) & paths)


def _receipt(store: Store, home: str) -> tuple[dict[str, Any] | None, str | None]:
    found = store.get(f"{home}/receipt.json")
    if found is None:
        return None, None
    try:
        return json.loads(found[0]), found[1]
    except ValueError:  # damaged: it says nothing, and this attempt's receipt replaces it
        return None, found[1]


def _inside(path: str) -> bool:
    """Whether a path that a receipt names stays below the output: only such are ever deleted."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def _as_earlier(before: dict[str, Any] | None) -> dict[str, Any] | None:
    if not before or not before.get("manifest") or _attempt_path(before["manifest"][0]["path"]):
        return None
    return {key: before[key] for key in ("run", "attempt", "task_key", "manifest", "rehearsal")}


def _attempt_path(path: str) -> bool:
    return path.startswith(f"{STATE}/")


def _deliver(store: Store, item: Item) -> dict[str, Any]:
    sha256, size = digest_of(item.source)
    return {
        "path": item.path,
        "size": size,
        "sha256": sha256,
        "etag": store.put_file(item.source, item.path, sha256, size),
    }


def _deliver_in_time(store: Store, item: Item, attempt: Attempt) -> dict[str, Any] | None:
    """Deliver a file; None when the machine will be gone before, and the file is no result."""
    deadline = None if attempt.delivered else attempt.account.deadline
    return None if deadline is not None and time.time() > deadline else _deliver(store, item)


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def main() -> int:
    """Stage out what the request names; a failed unit is a committed fact, not an error of this step."""
    worker_environment.adopt()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        receipt = stage_out(request)
    except (LostRace, RuntimeError, OSError) as error:
        print(f"stage-out of {request['context']['unit']}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    Path("receipt.json").write_bytes(_json(receipt))
    print(f"{receipt['unit']}: {receipt['status']}, {len(receipt['manifest'])} files", receipt["reason"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
