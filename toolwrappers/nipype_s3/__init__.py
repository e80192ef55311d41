"""Nipype's DataSink and S3DataGrabber on S3, done right: S3Sink and S3Grabber.

In a workflow: `from nipype_s3 import S3Sink, S3Grabber`. The rest needs no Nipype, and boto3 for S3 alone.
"""

from __future__ import annotations

from typing import Any

__all__ = ["S3Grabber", "S3Sink"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import interfaces

        return getattr(interfaces, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
