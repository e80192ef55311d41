"""Deliver the outputs of a Nipype workflow: to S3, to a folder, or to both."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import credentials
from .destinations import S3, Delivery, Layout, Refused, deliveries, is_s3, split

TRANSFERS = 8
PART = 8 << 20  # bytes; larger files go up in parts
PARTS = 10_000  # as many as S3 takes


def sink(
    layout: Layout,
    attributes: Mapping[str, Any],
    *,
    local_copy: str | None = None,
    creds_path: str | None = None,
    encrypt: bool = False,
    bucket: Any = None,
) -> list[str]:
    """Deliver the files of every attribute; returns their destinations in order, as DataSink's out_file.

    bucket: a boto3 Bucket that takes the place of the one in base_directory. Nothing is written before
    everything was looked at. Raises Refused, and ValueError for a credentials file that cannot be used.
    """
    remote = is_s3(layout.base_directory)
    if bucket is not None and not remote:
        raise Refused(
            f"bucket is set and base_directory is the folder {layout.base_directory}; give an s3:// URL"
        )
    first = deliveries(layout, attributes)
    copies = (
        deliveries(dataclasses.replace(layout, base_directory=local_copy), attributes)
        if local_copy and remote
        else []
    )
    if remote:
        s3 = bucket.meta.client if bucket is not None else client(creds_path)
        name = bucket.name if bucket is not None else split(layout.base_directory)[0]
        upload(s3, name, [(file, split(to)[1]) for one in first for file, to in one.files], encrypt=encrypt)
        first = [Delivery(f"{S3}{name}/{split(one.destination)[1]}", one.files) for one in first]
        copy([pair for one in copies for pair in one.files])
    else:
        copy([pair for one in first for pair in one.files])
    if not copies:
        return [one.destination for one in first]
    return [one.destination for pair in zip(first, copies, strict=True) for one in pair]


def client(creds_path: str | None = None, *, region: str | None = None, anonymous: bool = False) -> Any:
    """An S3 client with the keys of a credentials file, or by the ordinary AWS chain.

    Raises ValueError for a credentials file that is missing or cannot be read.
    """
    keys = credentials.read(creds_path) if creds_path else None
    import boto3
    import botocore
    from botocore.config import Config

    retries: Any = {"mode": "standard", "max_attempts": 8}
    config = Config(retries=retries, max_pool_connections=4 * TRANSFERS)
    if anonymous:
        config = config.merge(Config(signature_version=botocore.UNSIGNED))
    session = boto3.Session(
        aws_access_key_id=keys.key_id if keys else None,
        aws_secret_access_key=keys.secret if keys else None,
        region_name=region,
    )
    return session.client("s3", config=config)


def upload(s3: Any, bucket: str, files: Sequence[tuple[Path, str]], *, encrypt: bool = False) -> None:
    """Bring files to their keys; what is there already with the same bytes stays.

    Raises Refused for a bucket that does not exist or denies access, and without keys.
    """
    with explained(bucket), concurrent.futures.ThreadPoolExecutor(TRANSFERS) as pool:
        _check_bucket(s3, bucket)
        for done in [pool.submit(_upload, s3, bucket, file, key, encrypt) for file, key in files]:
            done.result()


def _check_bucket(s3: Any, bucket: str) -> None:
    """Ask for the bucket once, so that what is wrong with it is said once; some roles may write and not ask."""
    from botocore.exceptions import ClientError

    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise


def _upload(s3: Any, bucket: str, file: Path, key: str, encrypt: bool) -> None:
    from boto3.s3.transfer import TransferConfig

    part = max(PART, -(-file.stat().st_size // PARTS))
    if _is_there(s3, bucket, key, file, part, encrypt):
        return
    extra = {"ChecksumAlgorithm": "SHA256", **({"ServerSideEncryption": "AES256"} if encrypt else {})}
    in_parts = TransferConfig(multipart_threshold=part + 1, multipart_chunksize=part, max_concurrency=4)
    s3.upload_file(str(file), bucket, key, ExtraArgs=extra, Config=in_parts)


def _is_there(s3: Any, bucket: str, key: str, file: Path, part: int, encrypt: bool) -> bool:
    """Whether an object has the file's bytes already, encrypted where that was asked for."""
    from botocore.exceptions import ClientError

    try:
        found = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):  # 403: may write, may not look
            return False
        raise
    if found["ContentLength"] != file.stat().st_size or (encrypt and not found.get("ServerSideEncryption")):
        return False
    return str(found["ETag"]).strip('"') == etag(file, part)


def etag(file: Path, part: int = PART) -> str:
    """The ETag of a file on S3 when it is sent whole, or in parts of so many bytes.

    The MD5 of the bytes; for several parts the MD5 of the parts' MD5s, and their number.
    """
    digests: list[Any] = []
    with file.open("rb") as source:
        while not digests or source.tell() < os.fstat(source.fileno()).st_size:
            digest, left = hashlib.md5(usedforsecurity=False), part
            while left and (block := source.read(min(left, 1 << 20))):
                digest.update(block)
                left -= len(block)
            digests.append(digest)
    if len(digests) == 1:
        return str(digests[0].hexdigest())
    whole = hashlib.md5(b"".join(digest.digest() for digest in digests), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(digests)}"


def copy(files: Sequence[tuple[Path, str]]) -> None:
    """Copy files to their places in a file system; none is ever seen half written."""
    for file, place in files:
        target = Path(place)
        if target.exists() and target.samefile(file):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f".{secrets.token_hex(8)}.part"
        try:
            shutil.copyfile(file, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(bucket: str) -> Iterator[None]:
    """Errors of boto3 as one message with the fix."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        code = error.response["ResponseMetadata"]["HTTPStatusCode"]
        named = error.response.get("Error", {}).get("Code")
        if named == "NoSuchBucket" or (code == 404 and error.operation_name == "HeadBucket"):
            raise Refused(f"{S3}{bucket}: there is no such bucket; check base_directory") from error
        if code == 403:
            raise Refused(
                f"{S3}{bucket}: access denied ({error.operation_name}); check creds_path"
            ) from error
        raise
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise Refused(
            f"{S3}{bucket}: no AWS keys; set creds_path or AWS_PROFILE, or run on a role"
        ) from error
