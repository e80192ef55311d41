"""The sink and the grabber as Nipype interfaces, for scripts that import them instead of Nipype's own."""

from __future__ import annotations

import concurrent.futures
import os
from pathlib import Path
from typing import Any

from nipype.interfaces.base import Str, isdefined
from nipype.interfaces.io import DataSink, S3DataGrabber, S3DataGrabberInputSpec

from . import delivery
from .destinations import Layout, Refused, is_s3, split
from .selection import select


def _given(value: Any, otherwise: Any = None) -> Any:
    return value if isdefined(value) else otherwise


class S3Sink(DataSink):  # type: ignore[misc]
    """DataSink with its inputs and its rules; base_directory is an s3:// URL or a folder.

    Errors are errors: nothing is written to some other place, and nothing at all before all is looked at.
    """

    def _list_outputs(self) -> dict[str, Any]:
        inputs = self.inputs
        if inputs.remove_dest_dir:
            raise Refused("remove_dest_dir is not supported; remove what is no longer wanted yourself")
        layout = Layout(
            base_directory=_given(inputs.base_directory, "."),
            container=_given(inputs.container, ""),
            parameterization=inputs.parameterization,
            strip_dir=_given(inputs.strip_dir, ""),
            substitutions=tuple(_given(inputs.substitutions, ())),
            regexp_substitutions=tuple(_given(inputs.regexp_substitutions, ())),
        )
        # traits tells of added ones by an attribute of this name, which DataSink takes for a file's.
        told = {name: value for name, value in inputs._outputs.items() if name != "trait_added"}
        attributes = {name: value for name, value in told.items() if isdefined(value)}
        out = delivery.sink(
            layout,
            attributes,
            local_copy=_given(inputs.local_copy),
            creds_path=_given(inputs.creds_path),
            encrypt=bool(_given(inputs.encrypt_bucket_keys)),
            bucket=_given(inputs.bucket),
        )
        return {"out_file": out}


class S3GrabberInputSpec(S3DataGrabberInputSpec):  # type: ignore[misc]
    """S3DataGrabber's inputs, and the same place in one: base_directory, a folder or an s3:// URL."""

    bucket = Str(desc="the bucket; or base_directory")
    region = Str(desc="the region of the bucket, where the environment does not say")
    base_directory = Str(desc="a folder, or s3://BUCKET/PREFIX instead of bucket and bucket_path")
    creds_path = Str(desc="a credentials file, where the environment has no keys")


class S3Grabber(S3DataGrabber):  # type: ignore[misc]
    """S3DataGrabber on boto3, and on folders: the files below a prefix that match a template."""

    input_spec = S3GrabberInputSpec
    _pkg = "boto3"

    def _list_outputs(self) -> dict[str, Any]:
        inputs = self.inputs
        values = {name: getattr(inputs, name) for name in self._infields or []}
        lacking = [name for name, value in values.items() if not isdefined(value)]
        if lacking:
            raise Refused(f"S3Grabber: the input {lacking[0]} has no value")
        place = _given(inputs.base_directory) or f"s3://{_given(inputs.bucket, '')}/{inputs.bucket_path}"
        source: _Bucket | _Folder = _Bucket(place, inputs) if is_s3(place) else _Folder(place)
        templates = _given(inputs.field_template, {})
        listed = source.names()
        chosen = {
            name: select(
                listed,
                templates.get(name, inputs.template),
                words,
                values,
                sort=inputs.sort_filelist,
                raise_on_empty=inputs.raise_on_empty,
            )
            for name, words in inputs.template_args.items()
        }
        paths = source.fetch(sorted(_leaves(list(chosen.values()))))
        return {name: _mapped(value, paths) for name, value in chosen.items()}


class _Folder:
    """Files that are here already."""

    def __init__(self, place: str) -> None:
        self.root = Path(os.path.abspath(place))
        if not self.root.is_dir():
            raise Refused(f"base_directory {place}: there is no such folder")

    def names(self) -> list[str]:
        found = (
            Path(above) / name for above, _, names in os.walk(self.root, followlinks=True) for name in names
        )
        return sorted(file.relative_to(self.root).as_posix() for file in found)

    def fetch(self, names: list[str]) -> dict[str, str]:
        return {name: str(self.root / name) for name in names}


class _Bucket:
    """Objects below a prefix; what is chosen of them is brought to local_directory."""

    def __init__(self, place: str, inputs: Any) -> None:
        self.bucket, prefix = split(place)
        if not self.bucket:
            raise Refused("S3Grabber: set base_directory, or bucket and bucket_path")
        if not isdefined(inputs.local_directory):
            raise Refused("S3Grabber: set local_directory: a folder for the files that come from S3")
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self.target = Path(os.path.abspath(inputs.local_directory))
        self.s3 = delivery.client(
            _given(inputs.creds_path), region=_given(inputs.region), anonymous=bool(inputs.anon)
        )

    def names(self) -> list[str]:
        with delivery.explained(self.bucket):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return [key[len(self.prefix) :] for key in keys if not key.endswith("/")]

    def fetch(self, names: list[str]) -> dict[str, str]:
        paths = {name: self.target / name for name in names}
        for name in names:
            if {"", ".", ".."} & {*name.split("/")}:
                raise Refused(
                    f"s3://{self.bucket}/{self.prefix}{name} cannot become a file below {self.target}"
                )
        with (
            delivery.explained(self.bucket),
            concurrent.futures.ThreadPoolExecutor(delivery.TRANSFERS) as pool,
        ):
            list(pool.map(self._download, names, paths.values()))
        return {name: str(path) for name, path in paths.items()}

    def _download(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.s3.download_file(self.bucket, self.prefix + name, str(path))


def _leaves(value: Any) -> set[str]:
    if isinstance(value, list):
        return {leaf for item in value for leaf in _leaves(item)}
    return set() if value is None else {value}


def _mapped(value: Any, paths: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_mapped(item, paths) for item in value]
    return None if value is None else paths[value]
