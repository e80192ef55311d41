"""Bring the files of one unit from S3 to the worker, many at once.

Toil reads the s3:// Files of a job order by itself, one after the other, signed, and never as requester
pays. This step stands in where that does not do. Usage: stage_in.py REQUEST.json; the request holds
`access` (sign, requester_pays) and `inputs`: CWL input -> {"folder": name or "", "files": [[location, path,
size], ...]}. Each file goes to INPUT/FOLDER/PATH. Runs without a container; needs boto3, as every Toil
worker has it.
"""

from __future__ import annotations

import concurrent.futures
import json
import sys
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
    """(location, target, size in bytes) of every file.

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


def fetch(s3: Any, location: str, target: Path, size: int, payer: dict[str, str]) -> None:
    """Download one object.

    Raises RuntimeError when another number of bytes than planned arrives: the dataset has changed since.
    """
    bucket, _, key = location[len("s3://") :].partition("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, str(target), ExtraArgs=payer or None)
    arrived = target.stat().st_size
    if arrived != size:
        raise RuntimeError(
            f"{location}: {arrived} bytes arrived, {size} were planned: it changed since; launch again"
        )


def main() -> int:
    """Bring in what the request names."""
    worker_environment.adopt()
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    s3 = client(request["access"])
    payer = {"RequestPayer": "requester"} if request["access"]["requester_pays"] else {}
    files = wanted(request["inputs"], Path.cwd())
    with concurrent.futures.ThreadPoolExecutor(TRANSFERS) as pool:
        jobs = [pool.submit(fetch, s3, *file, payer) for file in files]
        for job in concurrent.futures.as_completed(jobs):
            job.result()
    print(f"{len(files)} files, {sum(size for _, _, size in files)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
