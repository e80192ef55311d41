"""What nifti-check finds in an image, and that it finds nothing else."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.testing import data_path
from PIL import Image

from toolwrappers.nifti_check import __main__ as command
from toolwrappers.nifti_check import checks, geometry, images, mosaic, sidecars, voxels
from toolwrappers.nifti_check.findings import ERRORS, WARNINGS

ROOT = Path(__file__).parents[2]
EXAMPLE = (Path(str(data_path)) / "example4d.nii.gz").read_bytes()
AFFINE = np.array([[3.0, 0, 0, -30], [0, 3, 0, -33], [0, 0, 3, -20], [0, 0, 0, 1]])
T1W, BOLD, DWI = (f"sub-01/{name}" for name in ("anat/sub-01_T1w", "func/sub-01_task-rest_bold", "dwi/sub-01_dwi"))
BVAL, BVEC = "0 1000 1000 1000\n", "0 1 0 0\n0 0 1 0\n0 0 0 1\n"
Array = Any
nib: Any = nibabel


def head(shape: tuple[int, int, int] = (20, 22, 14), seed: int = 0) -> Array:
    """An ellipsoid of 400 with noise in air of about 10, int16."""
    axes = np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in shape), indexing="ij")
    noise = np.random.default_rng(seed).normal(10, 3, shape).clip(0)
    return ((sum(a**2 for a in axes) < 1) * 400 + noise).astype(np.int16)


def run(volumes: int = 12) -> Array:
    """A 4D run of heads, each with its own noise."""
    return np.stack([head(seed=i) for i in range(volumes)], axis=-1)


def changed(data: Array, where: Any, value: float, kind: Any = None) -> Array:
    """A copy with a value put somewhere."""
    data = data.astype(kind or data.dtype)
    data[where] = value
    return data


def packed(data: Array, affine: Array = AFFINE, tr: float = 2.0, unit: str = "sec", **fields: Any) -> bytes:
    """A NIfTI-1 file in mm and seconds with sform and qform, and header fields that nibabel would repair."""
    made = nib.Nifti1Image(data, affine, dtype=data.dtype)
    made.header.set_xyzt_units("mm", unit)
    made.set_sform(affine, 1)
    made.set_qform(affine, 1)
    if data.ndim == 4:
        made.header["pixdim"][4] = tr
    made.header["vox_offset"], made.header["magic"] = 352, b"n+1"
    for name, value in fields.items():
        made.header[name] = value
    return bytes(made.header.binaryblock) + bytes(4) + data.tobytes(order="F")


SOUND, SERIES = packed(head()), packed(run())


@dataclass(frozen=True)
class Dataset:
    """A BIDS dataset with participant 01."""

    root: Path

    def write(self, name: str, content: str | bytes | dict[str, Any]) -> Path:
        """Write a file: text, bytes (compressed for .nii.gz) or JSON."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = json.dumps(content)
        content = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        path.write_bytes(gzip.compress(content, 1, mtime=0) if name.endswith(".gz") else content)
        return path

    def codes(self, path: Path, tr_tolerance: float = 0.001) -> list[str]:
        """Codes of the findings of an image."""
        return [finding.code for finding in checks.check_image(self.root, path, tr_tolerance).findings]

    def report(self, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
        """Exit status and report of the command line."""
        line = ["--bids-dir", str(self.root), "--out-dir", str(out), "--participant-label", "01", *options]
        status = command.main(line)
        return status, json.loads((out / "sub-01/sub-01_desc-check_report.json").read_text("utf-8"))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    dataset = Dataset(tmp_path / "ds with space")
    dataset.write("bold.json", {"RepetitionTime": 2.0})
    dataset.write("dwi.bval", BVAL)
    dataset.write("dwi.bvec", BVEC)
    return dataset


# ---------------------------------------------------------------- every defect on its own

Make = Callable[[Dataset], Path]


def t1w(content: bytes, extension: str = ".nii.gz") -> Make:
    return lambda dataset: dataset.write(T1W + extension, content)


def broken_gzip(change: Callable[[bytes], bytes]) -> Make:
    return lambda dataset: dataset.write(T1W + ".nii.gz", SOUND).rename(dataset.root / T1W) and rewritten(dataset, change)


def rewritten(dataset: Dataset, change: Callable[[bytes], bytes]) -> Path:
    path = dataset.root / f"{T1W}.nii.gz"
    path.write_bytes(change((dataset.root / T1W).read_bytes()))
    return path


def bold(content: bytes, **sidecar: Any) -> Make:
    def make(dataset: Dataset) -> Path:
        if sidecar:
            dataset.write("task-rest_bold.json", sidecar)
        return dataset.write(BOLD + ".nii.gz", content)

    return make


def dwi(bval: str | None = BVAL, bvec: str | None = BVEC) -> Make:
    def make(dataset: Dataset) -> Path:
        for name, content in (("dwi.bval", bval), ("dwi.bvec", bvec)):
            (dataset.root / name).unlink() if content is None else dataset.write(name, content)
        return dataset.write(DWI + ".nii.gz", packed(run(4)))

    return make


def geometry_of(**fields: Any) -> Make:
    return t1w(packed(head(), **fields))


RGB = np.zeros((5, 5, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
RGB["R"][2, 2, 2] = 9
DEFECTS: list[tuple[str, Make]] = [
    ("FILE_UNREADABLE", lambda d: (d.write(T1W, b"") and (d.root / f"{T1W}.nii").symlink_to("x")) or d.root / f"{T1W}.nii"),
    ("FILE_EMPTY", t1w(b"", ".nii")),
    ("FILE_TOO_SHORT", t1w(SOUND[:-1])),
    ("FILE_TOO_SHORT", t1w(SOUND[:-1], ".nii")),
    ("FILE_TOO_SHORT", t1w(SOUND[:100])),
    ("FILE_TOO_SHORT", t1w(packed(head(), dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]))),
    ("FILE_TOO_LONG", t1w(SOUND + b"\0")),
    ("GZIP_TRUNCATED", broken_gzip(lambda content: content[:2])),
    ("GZIP_TRUNCATED", broken_gzip(lambda content: content[: len(content) // 2])),
    ("GZIP_TRUNCATED", broken_gzip(lambda content: content[:-1])),
    ("GZIP_CORRUPT", broken_gzip(lambda content: content[:-8] + bytes(8))),
    ("GZIP_CORRUPT", broken_gzip(lambda content: content + b"<html>")),
    ("COMPRESSION_MISMATCH", t1w(gzip.compress(SOUND), ".nii")),
    ("COMPRESSION_MISMATCH", broken_gzip(lambda _: SOUND)),
    ("HEADER_INVALID", t1w(b"<html>404</html>" * 100)),
    ("HEADER_INVALID", geometry_of(datatype=9999)),
    ("HEADER_INVALID", geometry_of(dim=[3, 20, -5, 14, 1, 1, 1, 1])),
    ("HEADER_INVALID", geometry_of(scl_slope=2.0, scl_inter=np.nan)),
    ("HEADER_INVALID", geometry_of(sform_code=0, quatern_b=1.5)),
    ("AFFINE_INVALID", geometry_of(srow_z=[3, 0, 0, 0])),
    ("AFFINE_INVALID", geometry_of(srow_x=[np.nan, 0, 0, 0])),
    ("AFFINE_INVALID", geometry_of(sform_code=0, quatern_b=np.nan)),
    ("AFFINE_SHEARED", geometry_of(qform_code=0, srow_x=[3, 0.3, 0, -30])),
    ("ORIENTATION_MISSING", geometry_of(sform_code=0, qform_code=0)),
    ("ORIENTATION_CONFLICT", geometry_of(srow_x=[-3, 0, 0, 30])),
    ("QFORM_SFORM_MISMATCH", geometry_of(qoffset_x=-20)),
    ("VOXEL_SIZE_MISMATCH", geometry_of(pixdim=[1, 2, 3, 3, 0, 0, 0, 0])),
    ("VOXEL_SIZE_RANGE", geometry_of(affine=np.diag([0.01, 0.01, 0.01, 1]))),
    ("VOXEL_SIZE_RANGE", geometry_of(affine=np.diag([25.0, 25, 25, 1]))),
    ("DIMS_NOT_3D", t1w(SERIES)),
    ("DIMS_NOT_3D", t1w(packed(head()[:, :, 7:8]))),
    ("DIMS_NOT_4D", bold(SOUND)),
    ("DIMS_NOT_4D", bold(packed(run(1)))),
    ("FEW_VOLUMES", bold(packed(run(5)))),
    ("DATATYPE_UNUSUAL", t1w(packed(head().astype(np.int64)))),
    ("DATATYPE_UNUSUAL", t1w(packed(head().astype(np.complex64)))),
    ("DATATYPE_UNUSUAL", t1w(packed(RGB))),
    ("NON_FINITE", t1w(packed(changed(head(), (5, 5, 5), np.nan, np.float32)))),
    ("NON_FINITE", bold(packed(changed(run(), (5, 5, 5, 7), np.inf, np.float64)))),
    ("IMAGE_EMPTY", t1w(packed(head() * 0))),
    ("IMAGE_CONSTANT", t1w(packed(head() * 0 + 7))),
    ("VOLUMES_EMPTY", bold(packed(changed(run(), (..., 3), 0)))),
    ("VOLUMES_CONSTANT", bold(packed(changed(run(), (..., 3), 40)))),
    *(("SIDECAR_INVALID", lambda d, text=text: (d.write("bold.json", text), bold(SERIES)(d))[1]) for text in ("{", "[1]", "\udcff")),
    ("TR_MISSING", lambda d: ((d.root / "bold.json").unlink(), bold(SERIES)(d))[1]),
    *(("TR_INVALID", bold(SERIES, RepetitionTime=tr)) for tr in (2000, 0, -1, "2", True, None, [2])),
    ("TR_MISMATCH", bold(SERIES, RepetitionTime=2.5)),
    ("TR_UNIT", bold(packed(run(), tr=2000))),
    ("TR_HEADER_MISSING", bold(packed(run(), tr=0))),
    *(
        ("SLICE_TIMING_INVALID", bold(SERIES, SliceTiming=timing))
        for timing in ([0.1] * 13, [0.1] * 13 + [2.1], [-0.1] * 14, "ascending", [])
    ),
    ("BVAL_MISSING", dwi(bval=None)),
    ("BVAL_COUNT", dwi(bval="0 1000 1000\n")),
    ("BVAL_INVALID", dwi(bval="0 1000 x 1000\n")),
    ("BVAL_INVALID", dwi(bval="0 1000 nan 1000\n")),
    ("BVEC_MISSING", dwi(bvec=None)),
    ("BVEC_COUNT", dwi(bvec="0 1 0\n0 0 1\n0 0 0\n")),
    ("BVEC_COUNT", dwi(bvec="0 0 0\n1 0 0\n0 1 0\n0 0 1\n")),
    ("BVEC_COUNT", dwi(bvec="")),
    ("BVEC_INVALID", dwi(bvec="0 1 0 0\n0 0 1\n0 0 0 1\n")),
    ("BVEC_INVALID", dwi(bvec="0 2 0 0\n0 0 1 0\n0 0 0 1\n")),
    ("BVEC_INVALID", dwi(bvec="0 0 0 0\n0 0 1 0\n0 0 0 1\n")),
    ("BVEC_INVALID", dwi(bvec="0 nan 0 0\n0 0 1 0\n0 0 0 1\n")),
]
