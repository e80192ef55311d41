"""Runs inside a container with the real Nipype: one JSON request per line on stdin, one answer per line on stdout.

A request names an interface (nipype's DataSink or S3DataGrabber, nipype_s3's S3Sink or S3Grabber) and its inputs.
"""

import importlib.machinery
import json
import logging
import sys
import types
from typing import Any

import boto3

answers = sys.stdout
sys.stdout = sys.stderr  # DataSink prints its progress


def boto_on_boto3() -> types.ModuleType:
    """Stands in for boto, which died with Python 3.8: just what S3DataGrabber calls of it, on boto3."""
    s3 = boto3.client("s3")

    class Key:
        def __init__(self, bucket: Any) -> None:
            self.bucket, self.key = bucket, ""

        def get_contents_to_filename(self, name: str) -> None:
            s3.download_file(self.bucket.name, self.key, name)

    class Bucket:
        def __init__(self, name: str) -> None:
            self.name = name

        def list(self, prefix: str) -> Any:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return [types.SimpleNamespace(key=o["Key"]) for page in pages for o in page.get("Contents", [])]

    boto: Any = types.ModuleType("boto")
    boto.__spec__ = importlib.machinery.ModuleSpec("boto", None)
    boto.connect_s3 = lambda anon: types.SimpleNamespace(get_bucket=Bucket)
    boto.s3 = types.SimpleNamespace(key=types.SimpleNamespace(Key=Key))
    return boto


def interface(name: str, **options: Any) -> Any:
    if name in ("S3Sink", "S3Grabber"):
        import nipype_s3

        return getattr(nipype_s3, name)(**options)
    from nipype.interfaces import io

    return getattr(io, name)(**options)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    made = interface(request["interface"], **request.get("options", {}))
    for name, value in request["inputs"].items():
        if name == "bucket" and "bucket_object" in request:
            value = boto3.resource("s3").Bucket(value)
        pairs = name in ("substitutions", "regexp_substitutions")
        setattr(made.inputs, name, [tuple(pair) for pair in value] if pairs else value)
    return dict(made.run().outputs.get())


sys.modules["boto"] = boto_on_boto3()
logging.disable(logging.INFO)
for line in sys.stdin:
    try:
        said = answer(json.loads(line))
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), file=answers, flush=True)
