"""Bring the files of one unit from S3 to the worker, many at once.

Toil reads the s3:// Files of a job order by itself, one after the other, signed, and never as requester
pays. This step stands in where that does not do. Usage: stage_in.py REQUEST.json; the request holds
`access` (sign, requester_pays) and `inputs`: CWL input -> {"folder": name or "", "files": [[location, path,
size], ...]}, with an `access` of its own where it differs. Each file goes to staged/INPUT/FOLDER/PATH. Runs without a container; needs boto3, as every Toil
worker has it.
"""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import worker_environment

TRANSFERS = 16


def client(access: dict[str, Any]) -> Any:
    """An S3 client, signed or not."""
    import boto3
    import botocore
    from botocore.config import Config

    retries: Any = {"mode": "standard", "max_attempts": 10}
    config = Config(retries=retries, max_pool_connections=TRANSFERS)
    if not access["sign"]:
        config = config.merge(Config(signature_version=botocore.UNSIGNED))
    return boto3.client("s3", config=config)


def wanted(inputs: dict[str, Any], root: Path) -> list[tuple[str, Path, int]]:
    """(location, target, size in bytes) of every file of some inputs.

    Raises ValueError for a path that would leave its folder.
    """
    found = []
    for name, value in inputs.items():
        folder = (root / name / value["folder"]).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for location, path, size in value["files"]:
            target = (folder / path).resolve()
            if not target.is_relative_to(folder):
                raise ValueError(f"{location}: {path!r} lies outside of its folder")
            found.append((location, target, size))
    return found


def by_access(request: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The inputs in groups that are read in one way: (access, inputs)."""
    groups: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for name, value in request["inputs"].items():
        access = value.get("access", request["access"])
        groups.setdefault(json.dumps(access, sort_keys=True), (access, {}))[1][name] = value
    return list(groups.values())


def fetch(s3: Any, location: str, target: Path, size: int, payer: dict[str, str]) -> None:
    """Download one object, or copy one file.

    Raises RuntimeError when another number of bytes than planned arrives: the dataset has changed since.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if location.startswith("s3://"):
        bucket, _, key = location[len("s3://") :].partition("/")
        s3.download_file(bucket, key, str(target), ExtraArgs=payer or None)
    else:
        shutil.copyfile(urllib.parse.unquote(urllib.parse.urlparse(location).path), target)
    arrived = target.stat().st_size
    if arrived != size:
        raise RuntimeError(
            f"{location}: {arrived} bytes arrived, {size} were planned: it changed since; launch again"
        )


def main() -> int:
    """Bring in what the request names."""
    worker_environment.adopt()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path("staged").mkdir()
    count = total = 0
    for access, inputs in by_access(request):
        files = wanted(inputs, Path.cwd() / "staged")
        s3 = client(access) if any(location.startswith("s3://") for location, _, _ in files) else None
        payer = {"RequestPayer": "requester"} if access["requester_pays"] else {}
        with concurrent.futures.ThreadPoolExecutor(TRANSFERS) as pool:
            jobs = [pool.submit(fetch, s3, *file, payer) for file in files]
            for job in concurrent.futures.as_completed(jobs):
                job.result()
        count, total = count + len(files), total + sum(size for _, _, size in files)
    print(f"{count} files, {total} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
