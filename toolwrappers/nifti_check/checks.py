"""All checks of one image, and whether it is a copy of another."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .findings import ERROR, PASS, WARNING, Finding, ImageError, times
from .geometry import axis_codes, best_affine, check_dims, check_geometry, voxel_size
from .gradients import check_gradients
from .images import Header, drain, load, opened, slabs
from .sidecars import check_timing, parse_name, relative
from .voxels import Voxels, check_voxels


@dataclass(slots=True)
class CheckedImage:
    """An image of a dataset: what was read of it, and its findings."""

    root: Path
    path: Path
    findings: list[Finding] = field(default_factory=list)
    header: Header | None = None
    voxels: Voxels | None = None
    size: int | None = None

    @property
    def file(self) -> str:
        """Path relative to the dataset."""
        return relative(self.root, self.path)

    @property
    def suffix(self) -> str:
        """BIDS suffix."""
        return parse_name(self.path)[1]

    @property
    def status(self) -> str:
        """Error, warning or pass, by the worst finding."""
        present = {finding.severity for finding in self.findings}
        return next((severity for severity in (ERROR, WARNING) if severity in present), PASS)

    def row(self) -> dict[str, Any]:
        """The image as a row of the table; what is not known is left out."""
        row: dict[str, Any] = {"path": self.file, "status": self.status, "size": self.size}
        for column, severity in (("errors", ERROR), ("warnings", WARNING)):
            row[column] = ",".join(f.code for f in self.findings if f.severity == severity) or None
        if header := self.header:
            affine = best_affine(header)
            row |= {"dims": times(header.shape), "voxel_size": times(voxel_size(header))}
            row |= {"orientation": None if affine is None else axis_codes(affine)}
            row |= {"tr": header.tr, "dtype": header.dtype.name}
        if self.voxels and self.voxels.complete:
            row |= {**self.voxels.summary(), "content_sha256": self.voxels.content_sha256}
        return row


def find_images(root: Path, label: str) -> list[Path]:
    """NIfTI files of a participant, sorted."""
    found = [
        Path(folder, name)
        for folder, _, names in os.walk(root / f"sub-{label}", followlinks=True)
        for name in names
        if name.lower().endswith((".nii", ".nii.gz")) and not name.startswith(".")
    ]
    return sorted(found)


def check_image(root: Path, path: Path, tr_tolerance: float) -> CheckedImage:
    """Check one image; whatever goes wrong becomes a finding."""
    image = CheckedImage(root, path)
    try:
        with np.errstate(all="ignore"):
            for finding in _check(image, tr_tolerance):
                image.findings.append(finding)
    except OSError as error:
        image.findings.append(Finding("FILE_UNREADABLE", f"{error.strerror or error}"))
    except Exception as error:
        # One image must never hide the others, whatever its bytes make numpy or nibabel raise.
        image.findings.append(Finding("CHECK_CRASHED", f"{type(error).__name__}: {error}"))
    return image


def _check(image: CheckedImage, tr_tolerance: float) -> Iterator[Finding]:
    """All findings about an image; what was read is left in it."""
    try:
        with opened(image.path) as stream:
            image.size = image.path.stat().st_size
            image.header, proxy = load(stream, image.size)
            yield from check_geometry(image.header)
            yield from check_dims(image.header, image.suffix)
            image.voxels = Voxels(image.header)
            for slab in slabs(proxy):
                image.voxels.add(*slab)
            if surplus := drain(stream):
                yield Finding("FILE_TOO_LONG", f"{surplus} bytes follow the voxels, expected none")
        image.voxels.complete = True
        yield from check_voxels(image.voxels)
    except ImageError as error:
        yield error.finding
    if image.header is not None:
        yield from check_timing(image.root, image.path, image.header, tr_tolerance)
        yield from check_gradients(image.root, image.path, image.header.volumes)


def check_copy(image: CheckedImage, earlier: dict[str, CheckedImage]) -> Iterator[Finding]:
    """A finding if an earlier image holds the same voxels; `earlier` is by content, and grows."""
    digest = image.voxels.content_sha256 if image.voxels else None
    empty = any(finding.code in ("IMAGE_EMPTY", "IMAGE_CONSTANT") for finding in image.findings)
    if digest is None or empty:
        return
    first = earlier.setdefault(digest, replace(image, voxels=None))
    if first.path != image.path:
        # One field map may serve several sessions or be made from an sbref, and a T1w is often made from a UNIT1.
        reused = any(i.path.parent.name == "fmap" or i.suffix == "UNIT1" for i in (first, image))
        yield Finding("DUPLICATE_REUSED" if reused else "DUPLICATE_IMAGE", f"same voxels as {first.file}")
