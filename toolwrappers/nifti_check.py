#!/usr/bin/env python3
"""Open every NIfTI image of one BIDS participant whole, say what is wrong with it, and draw it.

One file that needs Python 3.11, numpy, nibabel and pillow, so that it runs in a small container.
Exit status: 0 no error finding (warnings allowed), 1 some error finding (all outputs are written), 2 usage.

Each image is read once, from the first byte to the last, in slabs of planes: memory is bounded by a few slabs
and previews, however long the run is. Formats: NIfTI-1 and -2 single files (https://nifti.nimh.nih.gov);
sidecars by the BIDS inheritance principle (https://bids-specification.readthedocs.io).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import itertools
import json
import logging
import math
import os
import platform
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from PIL import __version__ as pillow_version

VERSION = "0.1.0"
Array = npt.NDArray[Any]
RGB = tuple[int, int, int]
# nibabel annotates only part of what is used here.
nib: Any = nibabel
Header = Any

ERROR, WARNING = "error", "warning"
SLAB_VOXELS = 4_000_000
PREVIEW_VOXELS = 16_000_000
CARPET_VOXELS = 4_000
CARPET_VOLUMES = 2_000
# Deflate cannot expand more than 1032 times (https://zlib.net/zlib_tech.html), so a header that promises more
# than that is known to be wrong before memory is given to it.
DEFLATE_LIMIT = 1032
B0_LIMIT = 50.0

CODES: dict[str, str] = {
    "NO_IMAGES": "no images for this participant",
    "CHECK_CRASHED": "the check itself failed on this image",
    "FILE_UNREADABLE": "file cannot be opened",
    "FILE_EMPTY": "empty file",
    "FILE_TOO_SHORT": "file shorter than its header says",
    "FILE_TOO_LONG": "file longer than its header says",
    "GZIP_TRUNCATED": "truncated gzip",
    "GZIP_CORRUPT": "corrupt gzip",
    "COMPRESSION_MISMATCH": "extension and compression disagree",
    "HEADER_INVALID": "invalid header",
    "HEADER_ODD": "odd header field",
    "SCALING_INVALID": "invalid intensity scaling",
    "DATATYPE_COMPLEX": "complex data",
    "DATATYPE_RGB": "RGB data",
    "DATATYPE_WIDE": "data type that many tools do not read",
    "DIMS_NOT_3D": "not a 3D image",
    "DIMS_NOT_4D": "not a 4D series",
    "DIMS_EXTRA": "more than four dimensions",
    "DIMS_FLAT": "single-slice image",
    "FEW_VOLUMES": "very short series",
    "AFFINE_NON_FINITE": "affine is not finite",
    "AFFINE_SINGULAR": "singular affine",
    "AFFINE_SHEARED": "sheared affine",
    "ORIENTATION_MISSING": "no orientation",
    "ORIENTATION_CONFLICT": "sform and qform name different orientations",
    "QFORM_SFORM_MISMATCH": "sform and qform disagree",
    "QFORM_INVALID": "invalid qform",
    "VOXEL_SIZE_MISMATCH": "voxel sizes of pixdim and affine disagree",
    "VOXEL_SIZE_RANGE": "implausible voxel size",
    "NON_FINITE": "NaN or infinite voxels",
    "IMAGE_EMPTY": "all voxels are zero",
    "IMAGE_CONSTANT": "all voxels have one value",
    "VOLUMES_EMPTY": "volumes of zeros",
    "VOLUMES_CONSTANT": "volumes of one value",
    "INTENSITY_NARROW": "very few grey levels",
    "INTENSITY_SATURATED": "saturated voxels",
    "INTENSITY_NEGATIVE": "negative intensities",
    "NON_STEADY_STATE": "first volumes differ in intensity",
    "OUTLIER_VOLUMES": "volumes with outlying intensity",
    "MEAN_JUMP": "sudden change of mean intensity",
    "SIDECAR_INVALID": "unreadable sidecar",
    "SIDECAR_TR_MISSING": "no RepetitionTime",
    "SIDECAR_TR_INVALID": "invalid RepetitionTime",
    "TR_MISMATCH": "TR of header and sidecar disagree",
    "TR_UNITS": "time unit of the header is wrong",
    "TR_HEADER_MISSING": "no TR in the header",
    "SLICE_TIMING_INVALID": "invalid SliceTiming",
    "SLICE_TIMING_LENGTH": "SliceTiming of the wrong length",
    "SLICE_TIMING_EXCEEDS_TR": "SliceTiming beyond TR",
    "BVAL_MISSING": "no bval file",
    "BVEC_MISSING": "no bvec file",
    "BVAL_INVALID": "unreadable bval file",
    "BVEC_INVALID": "unreadable bvec file",
    "BVAL_COUNT": "bval count differs from volumes",
    "BVEC_COUNT": "bvec count differs from volumes",
    "BVEC_SHAPE": "bvec file is not three rows",
    "BVEC_NORM": "bvec directions are not unit vectors",
    "BVEC_B0_NAN": "bvec of b=0 volumes is NaN",
    "BVAL_NO_B0": "no b=0 volume",
    "DUPLICATE_IMAGE": "same voxel data as another image",
}

THREE_D = frozenset({"T1w", "T2w", "PDw", "T2starw", "FLAIR", "inplaneT1", "inplaneT2", "UNIT1", "angio"})
THREE_D |= {"T1map", "T2map", "T2starmap", "R1map", "R2map", "R2starmap", "PDmap", "MTRmap", "MTsat"}
THREE_D_OFTEN = frozenset({"phasediff", "phase1", "phase2", "magnitude", "magnitude1", "magnitude2"})
SERIES = frozenset({"bold", "cbv"})
MAGNITUDE = frozenset({"T1w", "T2w", "PDw", "T2starw", "FLAIR", "bold", "cbv", "sbref", "dwi", "epi"})
MAGNITUDE |= {"magnitude", "magnitude1", "magnitude2", "inplaneT1", "inplaneT2"}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits that decide what is a finding; the metadata carry the command line's help."""

    tr_tolerance: float = field(default=0.001, metadata={"help": "allowed TR difference, seconds"})
    min_voxel_size: float = field(default=0.05, metadata={"help": "smallest plausible voxel edge, mm"})
    max_voxel_size: float = field(default=20.0, metadata={"help": "largest plausible voxel edge, mm"})
    orientation_tolerance: float = field(
        default=0.5, metadata={"help": "allowed distance of a corner between sform and qform, mm"}
    )
    bvec_tolerance: float = field(
        default=0.01, metadata={"help": "allowed deviation of a direction from length 1"}
    )
    outlier_threshold: float = field(
        default=8.0, metadata={"help": "robust z (median, MAD) from which a volume mean is an outlier"}
    )
    outlier_fraction: float = field(
        default=0.05, metadata={"help": "smallest relative change of a volume mean that is reported"}
    )
    saturated_fraction: float = field(
        default=0.005, metadata={"help": "fraction of voxels at the maximum from which an image is saturated"}
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one file."""

    severity: str
    code: str
    file: str
    message: str

    @property
    def title(self) -> str:
        """The code in a few words."""
        return CODES[self.code]


class BadImage(Exception):
    """An image cannot be read on: code and message of the finding."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# ---------------------------------------------------------------------------- BIDS names and sidecars


class BidsName(NamedTuple):
    """A file name taken apart: entities, suffix, extension with its dot."""

    entities: dict[str, str]
    suffix: str
    extension: str


def parse_name(name: str) -> BidsName:
    """Take a BIDS file name apart; what is not key-value is left out."""
    stem, dot, extension = name.partition(".")
    *pairs, suffix = stem.split("_")
    return BidsName(dict(p.split("-", 1) for p in pairs if "-" in p), suffix, (dot + extension).lower())


def readable(text: str) -> str:
    """Text that can be written as UTF-8 in one line, whatever bytes a file name has brought into it."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c >= " " else "?" for c in text)


@lru_cache(maxsize=256)
def _files_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_file()))


def applicable_files(root: Path, image: Path, extension: str) -> list[Path]:
    """Files with this extension that apply to an image, the most general first (BIDS inheritance)."""
    name = parse_name(image.name)
    found: list[Path] = []
    for folder in reversed([p for p in image.parents if p == root or p.is_relative_to(root)]):
        here = []
        for candidate in _files_in(folder):
            other = parse_name(candidate)
            if (other.extension, other.suffix) != (extension, name.suffix):
                continue
            if other.entities.items() <= name.entities.items():
                here.append((len(other.entities), candidate))
        found += [folder / candidate for _, candidate in sorted(here)]
    return found


@dataclass(slots=True)
class ImageCheck:
    """An image under check: what is known of it, and its findings."""

    root: Path
    path: Path
    limits: Thresholds
    findings: list[Finding] = field(default_factory=list)
    size: int | None = None
    sha256: str | None = None
    data_sha256: str | None = None
    shape: tuple[int, ...] = ()
    volumes: int | None = None
    voxel_size: tuple[float, ...] | None = None
    dtype: str | None = None
    affine: Array | None = None
    tr_header: float | None = None
    tr_sidecar: float | None = None
    header: Header | None = None
    stats: Statistics | None = None
    body: bytes | None = None
    mosaic: str | None = None
    outliers: list[int] = field(default_factory=list)

    @property
    def file(self) -> str:
        """Path relative to the dataset, with slashes."""
        return readable(self.path.relative_to(self.root).as_posix())

    @property
    def name(self) -> BidsName:
        """The file name taken apart."""
        return parse_name(self.path.name)

    @property
    def datatype(self) -> str:
        """Name of the folder the image is in."""
        return self.path.parent.name

    @property
    def status(self) -> str:
        """Error, warning or pass, by the worst finding."""
        present = {f.severity for f in self.findings}
        return ERROR if ERROR in present else WARNING if WARNING in present else "pass"

    def error(self, code: str, message: str) -> None:
        """Add an error finding."""
        self.findings.append(Finding(ERROR, code, self.file, readable(message)))

    def warn(self, code: str, message: str) -> None:
        """Add a warning finding."""
        self.findings.append(Finding(WARNING, code, self.file, readable(message)))

    def relative(self, path: Path) -> str:
        """A file of the dataset as messages name it."""
        return readable(path.relative_to(self.root).as_posix())


# ---------------------------------------------------------------------------- reading


def read_header(block: bytes) -> Header:
    """NIfTI-1 or -2 single-file header of the first bytes of a file."""
    for kind in (nib.Nifti2Header, nib.Nifti1Header):
        if kind.may_contain_header(block):
            header = kind(block[: kind.sizeof_hdr], check=False)
            break
    else:
        start = block[:4].hex(" ") or "nothing"
        raise BadImage(
            "HEADER_INVALID", f"no NIfTI-1 or NIfTI-2 header (starts with {start}, expected 348 or 540)"
        )
    magic = bytes(header["magic"].item())
    if magic.startswith(b"ni"):
        raise BadImage(
            "HEADER_INVALID", f"magic {magic!r} is that of a .hdr/.img pair, expected a single file (n+1)"
        )
    dims = [int(d) for d in header["dim"]]
    if not 1 <= dims[0] <= 7 or any(d < 1 for d in dims[1 : dims[0] + 1]):
        raise BadImage("HEADER_INVALID", f"dim is {dims}, expected 1 to 7 dimensions of at least 1")
    return header


def header_reports(header: Header) -> list[str]:
    """What nibabel's own header checks say below error level; its errors are raised as BadImage."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage().split(";")[0])  # type: ignore[method-assign]
    logger = logging.Logger("nifti", logging.WARNING)
    logger.addHandler(handler)
    try:
        header.copy().check_fix(logger=logger, error_level=40)
    except Exception as error:
        # Over arbitrary bytes these checks raise more than HeaderDataError (KeyError, OverflowError, ...).
        raise BadImage("HEADER_INVALID", f"{error}") from error
    return lines


class Layout(NamedTuple):
    """Where voxels lie in the file and how they become numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float

    @property
    def space(self) -> tuple[int, int, int]:
        """The three spatial dimensions."""
        x, y, z = (*self.shape, 1, 1)[:3]
        return x, y, z

    @property
    def volumes(self) -> int:
        """Number of 3D volumes."""
        return math.prod(self.shape[3:])

    @property
    def nbytes(self) -> int:
        """Bytes of voxel data."""
        return math.prod(self.shape) * self.dtype.itemsize


def layout_of(header: Header) -> Layout:
    """Shape, data type, offset and scaling of a header; BadImage if they make no sense."""
    try:
        # 0 is common in files of old tools and read by all of them as "right after the header".
        offset = int(header.get_data_offset()) or header.single_vox_offset
        dtype = header.get_data_dtype()
        shape = tuple(int(d) for d in header["dim"][1 : int(header["dim"][0]) + 1])
    except Exception as error:
        raise BadImage("HEADER_INVALID", f"{type(error).__name__}: {error}") from error
    if offset < header.single_vox_offset:
        raise BadImage(
            "HEADER_INVALID", f"vox_offset is {offset}, expected at least {header.single_vox_offset}"
        )
    try:
        slope, inter = header.get_slope_inter()
    except Exception as error:
        raise BadImage("SCALING_INVALID", f"scl_slope and scl_inter: {error}") from error
    return Layout(shape, dtype, offset, 1.0 if slope is None else slope, 0.0 if inter is None else inter)


def to_numbers(raw: Array, layout: Layout) -> Array:
    """Scaled real numbers of raw voxels: magnitude of complex, mean of RGB; float32 where that is exact."""
    if raw.dtype.names:
        raw = np.asarray(sum(raw[c].astype(np.float32) for c in "RGB") / 3, np.float32)
    elif raw.dtype.kind == "c":
        raw = np.abs(raw)
    if (layout.slope, layout.inter) != (1.0, 0.0):
        return raw.astype(np.float64) * layout.slope + layout.inter
    small = raw.dtype.itemsize <= 2 or (raw.dtype.kind == "f" and raw.dtype.itemsize == 4)
    return raw.astype(np.float32 if small else np.float64)


class VolumeStatistics(NamedTuple):
    """Numbers of one volume; minimum, maximum and mean are over its finite voxels."""

    minimum: float
    maximum: float
    mean: float
    nan: int
    inf: int
    finite: int


class Statistics:
    """Statistics, previews and a sample of time series of an image that arrives slab by slab."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.per_volume: list[VolumeStatistics] = []
        self.negative = 0
        self.raw_range: tuple[int, int] | None = None
        self.at_maximum = 0
        voxels = math.prod(layout.space)
        self.stride = max(1, math.ceil((voxels / PREVIEW_VOXELS) ** (1 / 3)))
        grid = tuple(math.ceil(n / self.stride) for n in layout.space)
        self.first: Array = np.zeros(grid, np.float32)
        self.seen: Array = np.zeros(grid[2], np.int64)
        self.total: Array | None = np.zeros(grid, np.float32) if layout.volumes > 1 else None
        self.squares: Array | None = np.zeros(grid, np.float32) if layout.volumes > 1 else None
        picks = np.random.default_rng(0).integers(0, voxels, min(voxels, CARPET_VOXELS))
        self.sampled: Array = np.unique(picks)
        self.carpet_step = math.ceil(layout.volumes / CARPET_VOLUMES)
        self.carpet: list[Array] = []
        self._slabs: list[VolumeStatistics] = []

    def add(self, raw: Array, volume: int, plane: int) -> None:
        """Take in planes (x, y, planes) of a volume, the first of them being number `plane`."""
        values = to_numbers(raw, self.layout)
        nan = inf = 0
        if not np.isfinite(values).all():
            nan, inf = int(np.isnan(values).sum()), int(np.isinf(values).sum())
            finite = values[np.isfinite(values)]
            values = np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        else:
            finite = values
        if finite.size:
            mean = float(np.mean(finite, dtype=np.float64))
            self._slabs.append(
                VolumeStatistics(float(finite.min()), float(finite.max()), mean, nan, inf, finite.size)
            )
            self.negative += int(np.count_nonzero(finite < 0))
        else:
            self._slabs.append(VolumeStatistics(math.inf, -math.inf, 0.0, nan, inf, 0))
        if raw.dtype.kind in "iu":
            self._add_range(raw)
        self._add_preview(values, volume, plane)
        if volume % self.carpet_step == 0 and self.layout.volumes > 1:
            area = values.shape[0] * values.shape[1]
            low, high = np.searchsorted(self.sampled, [plane * area, plane * area + values.size])
            flat = values.reshape(-1, order="F")
            self.carpet.append(flat[self.sampled[low:high] - plane * area].astype(np.float32))

    def _add_range(self, raw: Array) -> None:
        low, high = int(raw.min()), int(raw.max())
        if self.raw_range is None or high > self.raw_range[1]:
            self.at_maximum = 0
        before = self.raw_range or (low, high)
        self.raw_range = min(low, before[0]), max(high, before[1])
        if high == self.raw_range[1]:
            self.at_maximum += int(np.count_nonzero(raw == high))

    def _add_preview(self, values: Array, volume: int, plane: int) -> None:
        step = self.stride
        part = values[::step, ::step, -plane % step :: step]
        where = slice(-(-plane // step), -(-plane // step) + part.shape[2])
        self.seen[where] += 1
        if volume == 0:
            self.first[:, :, where] = part
        elif self.total is not None and self.squares is not None:
            # Differences from the first volume keep the sums small enough for float32.
            change = part - self.first[:, :, where]
            self.total[:, :, where] += change
            self.squares[:, :, where] += change * change

    def end_volume(self) -> None:
        """Close the volume whose slabs were added."""
        slabs, self._slabs = self._slabs, []
        finite = sum(s.finite for s in slabs)
        mean = sum(s.mean * s.finite for s in slabs) / finite if finite else math.nan
        low, high = min(s.minimum for s in slabs), max(s.maximum for s in slabs)
        self.per_volume.append(
            VolumeStatistics(low, high, mean, sum(s.nan for s in slabs), sum(s.inf for s in slabs), finite)
        )

    @property
    def means(self) -> Array:
        """Mean of each volume; NaN where no voxel is finite."""
        return np.array([v.mean for v in self.per_volume])

    @property
    def finite_voxels(self) -> int:
        """Voxels that are numbers, of all volumes."""
        return sum(v.finite for v in self.per_volume)

    @property
    def minimum(self) -> float | None:
        """Smallest finite value of the image."""
        return min((v.minimum for v in self.per_volume if v.finite), default=None)

    @property
    def maximum(self) -> float | None:
        """Largest finite value of the image."""
        return max((v.maximum for v in self.per_volume if v.finite), default=None)

    @property
    def mean(self) -> float | None:
        """Mean of all finite voxels."""
        count = self.finite_voxels
        return sum(v.mean * v.finite for v in self.per_volume if v.finite) / count if count else None

    def forget_previews(self) -> None:
        """Free the memory of previews and time series."""
        self.first = self.total = self.squares = np.zeros((0, 0, 0), np.float32)
        self.carpet = []

    def mean_volume(self) -> Array:
        """Mean over volumes (the preview grid)."""
        if self.total is None:
            return self.first
        return np.asarray(self.first + self.total / np.maximum(self.seen, 1))

    def deviation_volume(self) -> Array:
        """Standard deviation over volumes (the preview grid)."""
        if self.total is None or self.squares is None:
            return np.zeros_like(self.first)
        count = np.maximum(self.seen, 1)
        return np.asarray(np.sqrt(np.maximum(self.squares / count - (self.total / count) ** 2, 0)))

    def time_series(self) -> Array:
        """Sampled voxels inside the head by volumes, the brightest first; empty for a single volume."""
        width = len(self.sampled)
        flat = np.concatenate(self.carpet) if self.carpet else np.zeros(0, np.float32)
        series = flat[: len(flat) // width * width].reshape(-1, width).T
        if series.shape[1] < 2:
            return np.zeros((0, 0), np.float32)
        level = series.mean(axis=1)
        inside = level > 0.2 * np.percentile(level, 98)
        return np.asarray(series[inside][np.argsort(-level[inside], kind="stable")])


class Stream:
    """A file that is read once from its start; where a gzip stream breaks, it seems to end."""

    def __init__(self, file: io.BufferedReader, compressed: bool) -> None:
        self._source = gzip.GzipFile(fileobj=file, mode="rb") if compressed else file
        self._ahead = b""
        self.position = 0
        self.broken: Exception | None = None

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes; fewer only where the stream ends or is broken."""
        parts = [self._ahead[:count]]
        self._ahead = self._ahead[count:]
        missing = count - len(parts[0])
        while missing > 0 and (part := self._part(min(missing, 1 << 20))):
            parts.append(part)
            missing -= len(part)
        self.position += count - missing
        return b"".join(parts)

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, which will be read again."""
        block = self.read(count)
        self._ahead = block + self._ahead
        self.position -= len(block)
        return block

    def drain(self) -> int:
        """Read to the end, which is what verifies a gzip checksum; return the number of bytes."""
        return sum(len(part) for part in iter(lambda: self.read(1 << 20), b""))

    def _part(self, count: int) -> bytes:
        if self.broken is not None:
            return b""
        try:
            # Not read(), which would lose what it had gathered when the stream breaks.
            return self._source.read1(count)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.broken = error
            return b""


def read_voxels(stream: Stream, layout: Layout, statistics: Statistics) -> str:
    """Read all voxels from a stream that stands at their start; return the digest of what was read.

    BadImage when the stream ends too early: whole planes that came before it are in the statistics.
    """
    digest = hashlib.sha256(f"{layout.shape} {layout.dtype.str} {layout.slope} {layout.inter} ".encode())
    nx, ny, nz = layout.space
    plane_bytes = nx * ny * layout.dtype.itemsize
    per_slab = max(1, SLAB_VOXELS // (nx * ny))
    got = 0
    for volume in range(layout.volumes):
        for plane in range(0, nz, per_slab):
            count = min(per_slab, nz - plane)
            block = stream.read(count * plane_bytes)
            got += len(block)
            digest.update(block)
            if whole := len(block) // plane_bytes:
                raw = np.frombuffer(block[: whole * plane_bytes], layout.dtype).reshape(
                    (nx, ny, whole), order="F"
                )
                statistics.add(raw, volume, plane)
            if whole < count:
                raise BadImage(
                    "FILE_TOO_SHORT",
                    f"{got} bytes of voxels, expected {layout.nbytes} for {times(layout.shape)}: "
                    f"ends in volume {volume} of {layout.volumes}, plane {plane + whole} of {nz}",
                )
        statistics.end_volume()
    return digest.hexdigest()


def stream_problem(error: Exception, position: int, expected: int | None) -> tuple[str, str]:
    """Code and message for the exception of a broken gzip stream."""
    where = f"after {position} bytes" + (f" of {expected}" if expected else "")
    no_magic = "Not a gzipped file" in str(error)
    if isinstance(error, EOFError) or (no_magic and not position):
        return (
            "GZIP_TRUNCATED",
            f"the gzip stream breaks off {where}, expected its end marker: the file was cut",
        )
    if no_magic:
        return "GZIP_CORRUPT", f"other bytes follow the end of the gzip stream ({where})"
    return "GZIP_CORRUPT", f"gzip, {where}: {error}"


def read_image(check: ImageCheck) -> Header | None:
    """Open an image whole: what it holds and findings about the file go into the check.

    Returns the header, None if it is unusable.
    """
    with check.path.open("rb") as file:
        check.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        check.size = file.tell()
        if not check.size:
            check.error("FILE_EMPTY", "0 bytes, expected a NIfTI image")
            return None
        file.seek(0)
        compressed = file.read(2) == b"\x1f\x8b"[: check.size]
        file.seek(0)
        named = check.name.extension.endswith(".gz")
        if compressed != named:
            is_, says = ("gzip", ".nii") if compressed else ("not gzip", ".nii.gz")
            check.error("COMPRESSION_MISMATCH", f"content is {is_} but the extension is {says}")
            return None
        stream = Stream(file, named)
        problem: tuple[str, str] | None = None
        try:
            _read_content(check, stream)
        except BadImage as error:
            problem = error.code, str(error)
        surplus = stream.drain()
        if stream.broken is not None:
            # A broken stream explains whatever else is wrong.
            expected = check.stats.layout.offset + check.stats.layout.nbytes if check.stats else None
            problem = stream_problem(stream.broken, stream.position, expected)
    if problem:
        check.error(*problem)
        check.data_sha256 = None
    elif surplus:
        grid = f"{times(check.shape)} {check.dtype}"
        check.error("FILE_TOO_LONG", f"{surplus} bytes follow the voxel data, expected none after {grid}")
    return check.header


def _read_content(check: ImageCheck, stream: Stream) -> None:
    """Header and voxels of a stream into the check; BadImage where it cannot go on."""
    block = stream.peek(nib.Nifti2Header.sizeof_hdr)
    if len(block) < nib.Nifti1Header.sizeof_hdr:
        smallest = nib.Nifti1Header.sizeof_hdr
        raise BadImage("FILE_TOO_SHORT", f"{len(block)} bytes, expected a header of at least {smallest}")
    header = read_header(block)
    for line in header_reports(header):
        check.warn("HEADER_ODD", line)
    layout = layout_of(header)
    check.shape, check.volumes = layout.shape, layout.volumes
    check.dtype = "".join(layout.dtype.names) if layout.dtype.names else str(layout.dtype)
    try:
        check_geometry(check, header)
        check.tr_header = header_tr(header)
    except Exception as error:
        raise BadImage("HEADER_INVALID", f"{type(error).__name__}: {error}") from error
    check.header = header
    if layout.offset + layout.nbytes > (check.size or 0) * DEFLATE_LIMIT:
        grid = f"{times(layout.shape)} {check.dtype}"
        raise BadImage(
            "FILE_TOO_SHORT",
            f"file has {check.size} bytes, expected {layout.nbytes} bytes of voxels for {grid}",
        )
    stream.read(layout.offset)
    check.stats = Statistics(layout)
    check.data_sha256 = read_voxels(stream, layout, check.stats)


# ---------------------------------------------------------------------------- checks of the header


def times(numbers: Iterable[float]) -> str:
    """Numbers as 2x2x2.5."""
    return "x".join(f"{n:.6g}" if isinstance(n, float) else str(n) for n in numbers)


def length_unit(header: Header) -> float:
    """Millimetres per spatial unit of the header; unknown units are taken as mm, as all tools do."""
    return {1: 1000.0, 3: 0.001}.get(int(header["xyzt_units"]) & 0x07, 1.0)


def time_unit(header: Header) -> tuple[str, float]:
    """Name and seconds of the header's time unit; unknown is taken as seconds."""
    return {16: ("ms", 1e-3), 24: ("us", 1e-6), 8: ("s", 1.0)}.get(
        int(header["xyzt_units"]) & 0x38, ("unknown unit", 1.0)
    )


def header_tr(header: Header) -> float | None:
    """TR of pixdim[4] in seconds; None for 3D."""
    return float(header["pixdim"][4]) * time_unit(header)[1] if int(header["dim"][0]) > 3 else None


def edge_lengths(affine: Array) -> Array:
    """Voxel edges of an affine in its own unit."""
    return np.asarray(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)))


def is_singular(affine: Array) -> bool:
    """True if the affine maps voxels onto a plane, a line or a point."""
    edges = edge_lengths(affine)
    if not edges.all():
        return True
    return bool(abs(np.linalg.det(affine[:3, :3] / edges)) < 1e-4)


def corner_distance(one: Array, two: Array, shape: Sequence[int]) -> float:
    """Largest distance between where two affines put a corner of the grid."""
    ends = [(0, n - 1) for n in (*shape, 1, 1)[:3]]
    corners = np.array([(*c, 1) for c in itertools.product(*ends)]).T
    return float(np.sqrt((((one - two) @ corners)[:3] ** 2).sum(axis=0)).max())


def check_geometry(check: ImageCheck, header: Header) -> None:
    """Findings about orientation, affines and voxel size; sets affine and voxel size (mm) of the check."""
    unit = length_unit(header)
    pixdim = np.abs(np.asarray(header["pixdim"][1:4], np.float64)) * unit
    check.voxel_size = tuple(float(p) for p in pixdim)
    scale = np.diag([unit, unit, unit, 1.0])
    sform = scale @ np.asarray(header.get_sform(), np.float64) if int(header["sform_code"]) > 0 else None
    qform = None
    if int(header["qform_code"]) > 0:
        qform = _qform(check, header, scale, required=sform is None)
        if qform is None and sform is None:
            return
    affine = sform if sform is not None else qform
    if affine is None:
        check.error(
            "ORIENTATION_MISSING",
            "sform_code and qform_code are both 0, expected at least one above 0: left and right are unknown",
        )
        if _check_voxel_size(check) and pixdim.all():
            check.affine = np.diag([*pixdim, 1.0])
        return
    which = "sform" if sform is not None else "qform"
    if not np.isfinite(affine).all():
        check.error("AFFINE_NON_FINITE", f"{which} holds NaN or infinite values: {affine[:3].tolist()}")
        return
    edges = edge_lengths(affine)
    check.voxel_size = tuple(float(round(e, 6)) for e in edges)
    if is_singular(affine):
        check.error("AFFINE_SINGULAR", f"{which} cannot be inverted: {np.round(affine[:3], 4).tolist()}")
        return
    check.affine = affine
    _check_voxel_size(check)
    _check_shear(check, affine / [*edges, 1.0], which)
    if sform is not None:
        _check_agreement(check, sform, qform, pixdim)


def _qform(check: ImageCheck, header: Header, scale: Array, required: bool) -> Array | None:
    """The qform in mm; None with a finding if its quaternion is impossible."""
    try:
        return np.asarray(scale @ np.asarray(header.get_qform(), np.float64))
    except ValueError as error:
        parts = [float(header[k]) for k in ("quatern_b", "quatern_c", "quatern_d")]
        if required and not np.isfinite(parts).all():
            check.error("AFFINE_NON_FINITE", f"qform holds NaN or infinite values: quaternion {parts}")
        else:
            add = check.error if required else check.warn
            add("QFORM_INVALID", f"quaternion {parts}: {error}")
        return None


def _check_voxel_size(check: ImageCheck) -> bool:
    limits = check.limits
    good = all(limits.min_voxel_size <= v <= limits.max_voxel_size for v in check.voxel_size or ())
    if not good:
        check.error(
            "VOXEL_SIZE_RANGE",
            f"voxel size is {times(check.voxel_size or ())} mm, "
            f"expected {limits.min_voxel_size:g} to {limits.max_voxel_size:g} mm",
        )
    return good


def _check_shear(check: ImageCheck, directions: Array, which: str) -> None:
    cosines = np.abs(directions[:3, :3].T @ directions[:3, :3] - np.eye(3))
    if cosines.max() > 1e-3:
        angle = math.degrees(math.acos(min(1.0, float(cosines.max()))))
        check.warn(
            "AFFINE_SHEARED",
            f"{which} has axes at {angle:.2f} degrees, expected 90: ITK-based tools refuse it",
        )


def _check_agreement(check: ImageCheck, sform: Array, qform: Array | None, pixdim: Array) -> None:
    """Findings where sform, qform and pixdim contradict each other."""
    usable = qform is not None and np.isfinite(qform).all() and not is_singular(qform)
    if qform is not None and usable:
        names = ["".join(str(c) for c in nib.aff2axcodes(a)) for a in (sform, qform)]
        if names[0] != names[1]:
            check.error(
                "ORIENTATION_CONFLICT",
                f"sform says {names[0]}, qform says {names[1]}, expected the same: tools will disagree",
            )
            return
    edges = edge_lengths(sform)
    if np.abs(pixdim - edges).max() > 0.01 * edges.max():
        check.warn(
            "VOXEL_SIZE_MISMATCH",
            f"pixdim says {times(pixdim.tolist())} mm, sform {times(edges.tolist())} mm",
        )
    elif qform is not None and not usable:
        check.warn("QFORM_INVALID", f"qform is singular or not finite: {qform[:3].tolist()}")
    elif qform is not None:
        distance = corner_distance(sform, qform, check.shape)
        if distance > check.limits.orientation_tolerance:
            check.warn(
                "QFORM_SFORM_MISMATCH",
                f"sform and qform put a corner {distance:.3g} mm apart, "
                f"expected at most {check.limits.orientation_tolerance:g} mm",
            )


def check_dims(check: ImageCheck) -> None:
    """Findings about dimensions and data type against what the suffix stands for."""
    suffix, shape, volumes = check.name.suffix, check.shape, check.volumes or 1
    if suffix in THREE_D and volumes > 1:
        check.error("DIMS_NOT_3D", f"dims are {times(shape)}, expected 3D for {suffix}")
    elif suffix in THREE_D_OFTEN and volumes > 1:
        check.warn("DIMS_NOT_3D", f"dims are {times(shape)}, {suffix} is usually 3D")
    elif suffix in SERIES and (len(shape) != 4 or volumes < 2):
        check.error(
            "DIMS_NOT_4D", f"dims are {times(shape)}, expected 4D with at least 2 volumes for {suffix}"
        )
    elif suffix == "dwi" and (len(shape) > 4 or volumes < 2):
        check.warn("DIMS_NOT_4D", f"dims are {times(shape)}, {suffix} is usually 4D with several volumes")
    elif math.prod(shape[4:]) > 1:
        check.warn("DIMS_EXTRA", f"dims are {times(shape)}, expected at most 4 dimensions")
    elif suffix in SERIES and volumes <= 5:
        check.warn("FEW_VOLUMES", f"{volumes} volumes, {suffix} runs are usually much longer than 5")
    space = (*shape, 1, 1)[:3]
    if min(space) == 1:
        add = check.error if suffix in THREE_D else check.warn
        add("DIMS_FLAT", f"dims are {times(shape)}, expected more than 1 voxel along each spatial axis")
    if check.stats is None:
        return
    dtype = check.stats.layout.dtype
    if dtype.names:
        check.warn("DATATYPE_RGB", f"data type is {check.dtype}, expected one number per voxel")
    elif dtype.kind == "c":
        check.warn(
            "DATATYPE_COMPLEX", f"data type is {dtype}, expected real numbers; magnitudes were checked"
        )
    elif dtype.itemsize > 8 or (dtype.kind in "iu" and dtype.itemsize == 8):
        check.warn("DATATYPE_WIDE", f"data type is {dtype}, which many tools do not read")


# ---------------------------------------------------------------------------- checks of the voxels


def listed(numbers: Sequence[int], most: int = 8) -> str:
    """Volume numbers as '3, 5 and 12 more'."""
    shown = ", ".join(str(n) for n in numbers[:most])
    return shown + (f" and {len(numbers) - most} more" if len(numbers) > most else "")


def check_voxels(check: ImageCheck) -> None:
    """Findings about the values of an image that was read whole."""
    stats = check.stats
    if stats is None or check.data_sha256 is None:
        return
    volumes = stats.per_volume
    bad = [i for i, v in enumerate(volumes) if v.nan or v.inf]
    if bad:
        nan, inf = sum(v.nan for v in volumes), sum(v.inf for v in volumes)
        where = f" in volumes {listed(bad)} (counted from 0)" if len(volumes) > 1 else ""
        check.error("NON_FINITE", f"{nan} NaN and {inf} infinite voxels{where}, expected none")
    flat = [i for i, v in enumerate(volumes) if v.finite and v.minimum == v.maximum]
    zero = [i for i in flat if volumes[i].minimum == 0]
    constant = [i for i in flat if volumes[i].minimum != 0]
    if flat and len({volumes[i].minimum for i in flat}) == 1 and len(flat) == len(volumes):
        if zero:
            check.error("IMAGE_EMPTY", "every voxel is 0, expected an image")
        else:
            check.error("IMAGE_CONSTANT", f"every voxel is {volumes[0].minimum:g}, expected an image")
        return
    if zero:
        check.error(
            "VOLUMES_EMPTY", f"volumes {listed(zero)} (counted from 0) of {len(volumes)} hold only zeros"
        )
    if constant:
        check.error(
            "VOLUMES_CONSTANT",
            f"volumes {listed(constant)} (counted from 0) of {len(volumes)} hold only one value",
        )
    _check_range(check, stats)
    good = np.array([bool(v.finite) and v.minimum != v.maximum for v in volumes])
    for group in volume_groups(check):
        _check_outliers(check, stats.means, group[good[group]])


def _check_range(check: ImageCheck, stats: Statistics) -> None:
    """Warnings about grey levels; only for suffixes that are magnitude images."""
    if check.name.suffix not in MAGNITUDE or check.name.entities.get("part", "mag") != "mag":
        return
    negative = stats.negative / max(1, stats.finite_voxels)
    if negative > 0.01:
        check.warn(
            "INTENSITY_NEGATIVE",
            f"{negative:.1%} of the voxels are below 0 (minimum {stats.minimum:g}), expected magnitudes",
        )
    if stats.raw_range is None:
        return
    low, high = stats.raw_range
    saturated = stats.at_maximum / max(1, stats.finite_voxels)
    if high - low < 16:
        check.warn(
            "INTENSITY_NARROW", f"stored values run from {low} to {high}, expected more than 16 grey levels"
        )
    elif saturated > check.limits.saturated_fraction:
        check.warn(
            "INTENSITY_SATURATED",
            f"{saturated:.2%} of the voxels have the largest value {high}, "
            f"expected at most {check.limits.saturated_fraction:.2%}",
        )


def volume_groups(check: ImageCheck) -> list[Array]:
    """Volume numbers whose means are comparable: a whole BOLD run, the shells of a diffusion series."""
    count = check.volumes or 0
    if check.name.suffix in SERIES:
        return [np.arange(count)]
    files = applicable_files(check.root, check.path, ".bval") if check.name.suffix == "dwi" else []
    if not files:
        return []
    try:
        shells = np.round(read_table(files[-1]).ravel() / 100)
    except ValueError:
        return []
    return [np.flatnonzero(shells == s) for s in np.unique(shells)] if len(shells) == count else []


def robust_outliers(values: Array, threshold: float, floor: float) -> Array:
    """Indices of values that are more than `threshold` MADs and more than `floor` from the median."""
    distance = np.abs(values - np.median(values))
    spread = 1.4826 * float(np.median(distance))
    return np.flatnonzero((distance > threshold * spread) & (distance > floor))


def _check_outliers(check: ImageCheck, means: Array, group: Array) -> None:
    """Warnings about volumes of one group whose mean stands out or jumps."""
    if len(group) < 8:
        return
    values = means[group]
    middle = float(np.median(values))
    limits = check.limits
    floor = limits.outlier_fraction * abs(middle)
    found = [int(i) for i in robust_outliers(values, limits.outlier_threshold, floor)]
    series = check.name.suffix in SERIES
    if found and series and found == list(range(len(found))) and len(found) <= 5:
        changes = ", ".join(f"{values[i] / middle - 1:+.0%}" for i in found)
        check.warn(
            "NON_STEADY_STATE",
            f"mean of volumes {listed(found)} (counted from 0) is {changes} off the median {middle:.4g}: "
            "probably before the steady state",
        )
    elif found:
        check.outliers += [int(group[i]) for i in found]
        worst = max(found, key=lambda i: abs(values[i] - middle))
        check.warn(
            "OUTLIER_VOLUMES",
            f"mean of volumes {listed([int(group[i]) for i in found])} (counted from 0) stands out: "
            f"volume {group[worst]} has {values[worst]:.4g}, expected about {middle:.4g}",
        )
    elif series:
        jumps = robust_outliers(np.diff(values), limits.outlier_threshold, floor)
        if len(jumps):
            at = [int(group[i + 1]) for i in jumps]
            check.outliers += at
            check.warn(
                "MEAN_JUMP",
                f"mean jumps at volumes {listed(at)} (counted from 0): "
                f"from {values[jumps[0]]:.4g} to {values[jumps[0] + 1]:.4g}",
            )


# ---------------------------------------------------------------------------- checks against sidecars


class Sourced(NamedTuple):
    """A sidecar's value and the file that says it."""

    value: Any
    source: str


def read_sidecar(check: ImageCheck) -> dict[str, Sourced]:
    """Metadata of an image by inheritance: deeper files override; an unreadable file is a finding."""
    merged: dict[str, Sourced] = {}
    for path in applicable_files(check.root, check.path, ".json"):
        source = check.relative(path)
        try:
            content = json.loads(path.read_text("utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            check.error("SIDECAR_INVALID", f"{source}: {error}")
            continue
        if not isinstance(content, dict):
            check.error(
                "SIDECAR_INVALID", f"{source} holds a {type(content).__name__}, expected a JSON object"
            )
            continue
        merged |= {key: Sourced(value, source) for key, value in content.items()}
    return merged


def is_number(value: object) -> bool:
    """True for a finite JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_timing(check: ImageCheck, header: Header) -> None:
    """Findings about TR and slice timing of a series against its sidecar."""
    series = check.name.suffix in SERIES
    broken_before = any(f.code == "SIDECAR_INVALID" for f in check.findings)
    sidecar = read_sidecar(check)
    broken = not broken_before and any(f.code == "SIDECAR_INVALID" for f in check.findings)
    if not series or (check.volumes or 1) < 2:
        return
    stated = sidecar.get("RepetitionTime")
    if stated is None:
        if "VolumeTiming" not in sidecar and not broken:
            looked = ", ".join(check.relative(p) for p in applicable_files(check.root, check.path, ".json"))
            check.error(
                "SIDECAR_TR_MISSING", f"no RepetitionTime in {looked or 'any sidecar (none applies)'}"
            )
    elif not is_number(stated.value) or not 0 < stated.value < 100:
        hint = ""
        if is_number(stated.value) and stated.value >= 100:
            hint = f" (milliseconds? {stated.value / 1000:g} s)"
        check.error(
            "SIDECAR_TR_INVALID",
            f"{stated.source} says RepetitionTime {stated.value!r}, expected seconds, 0 to 100{hint}",
        )
    else:
        check.tr_sidecar = float(stated.value)
        _check_tr(check, header, stated)
    if "SliceTiming" in sidecar:
        _check_slice_timing(check, sidecar)


def _check_tr(check: ImageCheck, header: Header, stated: Sourced) -> None:
    """Compare pixdim[4] with RepetitionTime."""
    raw, (unit, seconds) = float(header["pixdim"][4]), time_unit(header)
    expected, tolerance = float(stated.value), check.limits.tr_tolerance
    if raw == 0 or not math.isfinite(raw):
        check.warn(
            "TR_HEADER_MISSING", f"pixdim[4] is {raw:g}, expected {expected:g} s as {stated.source} says"
        )
    elif abs(raw * seconds - expected) > tolerance:
        fits = [
            name
            for name, s in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
            if abs(raw * s - expected) <= tolerance
        ]
        if fits:
            check.warn(
                "TR_UNITS",
                f"pixdim[4] is {raw:g} {unit}, expected unit {fits[0]}: {stated.source} says {expected:g} s",
            )
        else:
            check.error(
                "TR_MISMATCH", f"header TR is {raw * seconds:g} s, {stated.source} says {expected:g} s"
            )


def _check_slice_timing(check: ImageCheck, sidecar: Mapping[str, Sourced]) -> None:
    """SliceTiming against the number of slices and the TR."""
    timing, source = sidecar["SliceTiming"]
    if not isinstance(timing, list) or not timing or not all(is_number(t) and t >= 0 for t in timing):
        shown = json.dumps(timing)
        check.error(
            "SLICE_TIMING_INVALID",
            f"{source} says SliceTiming {shown[:60]}, expected a list of seconds from 0",
        )
        return
    direction = str(sidecar["SliceEncodingDirection"].value) if "SliceEncodingDirection" in sidecar else "k"
    axis = "ijk".find(direction[:1])
    slices = (*check.shape, 1, 1)[axis if axis >= 0 else 2]
    if len(timing) != slices:
        check.error(
            "SLICE_TIMING_LENGTH",
            f"{source} has {len(timing)} slice times, the image has {slices} slices along {direction}",
        )
    elif check.tr_sidecar is not None and max(timing) > check.tr_sidecar + check.limits.tr_tolerance:
        hint = " (milliseconds?)" if max(timing) > 10 * check.tr_sidecar else ""
        check.error(
            "SLICE_TIMING_EXCEEDS_TR",
            f"{source} has a slice time of {max(timing):g} s{hint}, expected up to TR {check.tr_sidecar:g} s",
        )


def read_table(path: Path) -> Array:
    """A whitespace separated table of numbers, 2D; ValueError if it is none."""
    rows = [
        [float(c) for c in line.split()] for line in path.read_text("utf-8-sig").splitlines() if line.strip()
    ]
    if not rows:
        raise ValueError("no numbers in it")
    if len({len(r) for r in rows}) > 1:
        raise ValueError(
            f"rows of {', '.join(str(len(r)) for r in rows[:4])} numbers, expected equal lengths"
        )
    return np.array(rows)


def _gradients(check: ImageCheck, kind: str) -> tuple[Array, str] | None:
    """The numbers of the applicable bval or bvec file and its name; None with a finding."""
    files = applicable_files(check.root, check.path, f".{kind}")
    if not files:
        check.error(
            f"{kind.upper()}_MISSING", f"no .{kind} file applies, expected one for {check.volumes} volumes"
        )
        return None
    try:
        return read_table(files[-1]), check.relative(files[-1])
    except (OSError, ValueError) as error:
        check.error(f"{kind.upper()}_INVALID", f"{check.relative(files[-1])}: {error}")
        return None


def check_gradients(check: ImageCheck) -> None:
    """Findings about the bval and bvec files of a diffusion image."""
    if check.name.suffix != "dwi":
        return
    volumes = check.volumes or 1
    b_values = None
    if found := _gradients(check, "bval"):
        table, source = found
        if table.size != volumes:
            check.error("BVAL_COUNT", f"{source} has {table.size} b-values, the image has {volumes} volumes")
        elif not (np.isfinite(table).all() and (table >= 0).all()):
            check.error(
                "BVAL_INVALID", f"{source} holds negative or non-finite b-values, expected s/mm2 from 0"
            )
        else:
            b_values = table.ravel()
            if volumes > 1 and b_values.min() > B0_LIMIT:
                check.warn(
                    "BVAL_NO_B0",
                    f"smallest b-value of {source} is {b_values.min():g}, expected one b=0 volume",
                )
    if found := _gradients(check, "bvec"):
        _check_directions(check, *found, b_values)


def _check_directions(check: ImageCheck, table: Array, source: str, b_values: Array | None) -> None:
    """Shape, count and length of diffusion directions; b=0 volumes may have any."""
    volumes = check.volumes or 1
    rows, columns = table.shape
    if rows != 3:
        turned = " (transposed?)" if columns == 3 else ""
        check.error(
            "BVEC_SHAPE", f"{source} has {rows} rows of {columns}, expected 3 rows of {volumes}{turned}"
        )
        return
    if columns != volumes:
        check.error("BVEC_COUNT", f"{source} has {columns} directions, the image has {volumes} volumes")
        return
    finite = np.isfinite(table).all(axis=0)
    lengths = np.sqrt((table**2).sum(axis=0))
    weighted = b_values > B0_LIMIT if b_values is not None else lengths > check.limits.bvec_tolerance
    if (~finite & weighted).any():
        check.error(
            "BVEC_INVALID",
            f"{source} has non-finite directions for volumes {listed(np.flatnonzero(~finite).tolist())}",
        )
    elif (~finite).any():
        check.warn(
            "BVEC_B0_NAN",
            f"{source} has NaN for volumes {listed(np.flatnonzero(~finite).tolist())}, expected 0 0 0",
        )
    off = finite & weighted & (np.abs(lengths - 1) > check.limits.bvec_tolerance)
    if off.any():
        where = np.flatnonzero(off)
        check.error(
            "BVEC_NORM",
            f"{source} has a direction of length {lengths[where[0]]:.4g} (volume {where[0]}; {len(where)} of "
            f"{volumes} are off), expected 1 within {check.limits.bvec_tolerance:g}",
        )


# ---------------------------------------------------------------------------- one image, one participant


def check_image(root: Path, path: Path, limits: Thresholds) -> ImageCheck:
    """Check one image; whatever goes wrong becomes a finding."""
    check = ImageCheck(root, path, limits)
    try:
        with np.errstate(all="ignore"):
            header = read_image(check)
            if header is None:
                return check
            if check.data_sha256 is not None:
                check_dims(check)
                check_voxels(check)
            check_timing(check, header)
            check_gradients(check)
    except OSError as error:
        check.error("FILE_UNREADABLE", f"{error.strerror or error}")
    except Exception as error:
        # One image must never hide the others, whatever its bytes make numpy or nibabel raise.
        check.error("CHECK_CRASHED", f"{type(error).__name__}: {error}")
    return check


def mark_duplicates(checks: Sequence[ImageCheck]) -> None:
    """Add a finding to images of the participant that hold the same voxel data."""
    groups: dict[str, list[ImageCheck]] = defaultdict(list)
    for check in checks:
        blank = any(f.code in ("IMAGE_EMPTY", "IMAGE_CONSTANT") for f in check.findings)
        if check.data_sha256 is not None and not blank:
            groups[check.data_sha256].append(check)
    for same in (group for group in groups.values() if len(group) > 1):
        for check in same:
            others = [o for o in same if o is not check]
            message = f"same voxel data as {', '.join(o.file for o in others)}"
            # Copies of field maps (one per session, or made from an sbref) are common practice and harmless.
            repeated = any(
                o.name.suffix == check.name.suffix and o.datatype == check.datatype for o in others
            )
            if repeated and check.datatype != "fmap":
                check.error("DUPLICATE_IMAGE", f"{message}, expected different acquisitions")
            else:
                check.warn("DUPLICATE_IMAGE", message)


def find_images(root: Path, label: str) -> list[Path]:
    """NIfTI files of a participant, sorted; links to folders are followed once."""
    found, visited = [], set()
    for folder, folders, files in os.walk(root / f"sub-{label}", followlinks=True):
        if (real := os.path.realpath(folder)) in visited:
            folders.clear()
            continue
        visited.add(real)
        found += [
            Path(folder, f)
            for f in files
            if f.lower().endswith((".nii", ".nii.gz")) and not f.startswith(".")
        ]
    return sorted(found)


# ---------------------------------------------------------------------------- mosaic

BACKGROUND: RGB = (16, 18, 22)
TEXT: RGB = (225, 228, 232)
FAINT: RGB = (140, 148, 158)
COLOURS: dict[str, RGB] = {"pass": (46, 160, 67), WARNING: (210, 153, 34), ERROR: (218, 54, 51)}
WIDTH, MARGIN, COLUMNS = 1400, 92, 8


@lru_cache(maxsize=8)
def font(size: int) -> Any:
    """Pillow's own font: nothing has to be installed."""
    try:
        return ImageFont.load_default(size)
    except TypeError:
        return ImageFont.load_default()


def printable(text: str) -> str:
    """Text that Pillow's built-in fonts can draw."""
    return text.encode("ascii", "replace").decode()


def window(volume: Array) -> tuple[float, float]:
    """Robust grey window of a volume."""
    values = volume[np.isfinite(volume)]
    inside = values[values != 0]
    if inside.size < 10:
        inside = values
    if not inside.size:
        return 0.0, 1.0
    low = float(np.percentile(values, 0.5)) if values.min() < 0 else 0.0
    high = float(np.percentile(inside, 99.5))
    return (low, high) if high > low else (low, low + 1.0)


def grey(plane: Array, limits: tuple[float, float]) -> Array:
    """8-bit grey of a plane."""
    low, high = limits
    return np.asarray(np.clip((plane.astype(np.float64) - low) / (high - low) * 255, 0, 255).astype(np.uint8))


def canonical(volume: Array, affine: Array | None, step: int) -> tuple[Array, Array, bool]:
    """A preview turned to right-anterior-superior axes, its affine, and whether the orientation is known."""
    if affine is None:
        return volume, np.eye(4), False
    scaled = affine @ np.diag([step, step, step, 1])
    turns = nib.io_orientation(scaled)
    if np.isnan(turns).any():
        return volume, np.eye(4), False
    turned = nib.apply_orientation(volume, turns)
    return turned, scaled @ nib.orientations.inv_ornt_aff(turns, volume.shape), True


def slice_numbers(volume: Array, axis: int, limits: tuple[float, float]) -> list[int]:
    """Eight slices over the part of an axis that has signal; all of them if there are fewer."""
    bright = volume > limits[0] + 0.15 * (limits[1] - limits[0])
    counts = bright.sum(axis=tuple(a for a in range(3) if a != axis))
    with_signal = np.flatnonzero(counts > 0.05 * counts.max()) if counts.any() else np.arange(len(counts))
    low, high = int(with_signal[0]), int(with_signal[-1])
    if high - low < COLUMNS:
        low, high = (0, len(counts) - 1) if len(counts) <= COLUMNS else (max(0, high - COLUMNS + 1), high)
        high = max(high, min(len(counts) - 1, low + COLUMNS - 1))
        return list(range(low, high + 1))
    return [round(float(i)) for i in low + np.linspace(0.05, 0.95, COLUMNS) * (high - low)]


def slice_row(
    volume: Array, axis: int, numbers: Sequence[int], edges: Array, scale: float, limits: tuple[float, float]
) -> list[Any]:
    """Slices across an axis as pictures with the right aspect: anterior or superior up, right is right."""
    across = [a for a in range(3) if a != axis]
    width, height = (max(1, round(volume.shape[a] * edges[a] * scale)) for a in across)
    pictures = []
    for index in numbers:
        plane = np.take(volume, index, axis=axis).T[::-1]
        picture = Image.fromarray(np.ascontiguousarray(grey(plane, limits)))
        pictures.append(picture.resize((width, height), Image.Resampling.BILINEAR))
    return pictures


def draw_body(check: ImageCheck, stats: Statistics) -> Any:
    """The picture below the title: three rows of slices, and for a series its deviation and carpet."""
    volume, affine, oriented = canonical(stats.mean_volume(), check.affine, stats.stride)
    edges = edge_lengths(affine)
    extent = np.array(volume.shape) * edges
    cell = (WIDTH - MARGIN - 8) / COLUMNS
    scale = min((cell - 6) / max(extent[0], extent[1]), 420 / extent.max())
    limits = window(volume)
    strips = []
    for axis, name in ((2, "axial"), (1, "coronal"), (0, "sagittal")):
        numbers = slice_numbers(volume, axis, limits)
        pictures = slice_row(volume, axis, numbers, edges, scale, limits)
        places = [place(affine, volume.shape, axis, i) if oriented else f"{'ijk'[axis]} {i}" for i in numbers]
        sides = ("", "") if not oriented else ("P", "A") if axis == 0 else ("L", "R")
        strips.append(row_strip(name if oriented else f"axis {'ijk'[axis]}", pictures, cell, places, sides))
    if stats.layout.volumes > 1:
        deviation, _, _ = canonical(stats.deviation_volume(), check.affine, stats.stride)
        numbers = slice_numbers(volume, 2, limits)
        pictures = slice_row(deviation, 2, numbers, edges, scale, window(deviation))
        strips.append(row_strip("std dev\nover time", pictures, cell, [], ("", "")))
        strips.append(series_strip(check, stats))
    return stacked(strips)


def stacked(strips: Sequence[Any]) -> Any:
    """Pictures of full width, one below the other."""
    picture = Image.new("RGB", (WIDTH, sum(s.height for s in strips)), BACKGROUND)
    top = 0
    for strip in strips:
        picture.paste(strip, (0, top))
        top += strip.height
    return picture


def place(affine: Array, shape: Sequence[int], axis: int, index: int) -> str:
    """Where a slice lies in scanner or template space, in mm, at the middle of its plane."""
    voxel = [*(index if a == axis else shape[a] / 2 for a in range(3)), 1]
    return f"{'xyz'[axis]} {affine[axis] @ voxel:.0f}"


def title_strip(check: ImageCheck) -> Any:
    """Name, numbers, verdict and findings of an image."""
    lines = sorted(check.findings, key=lambda f: f.severity)
    shown = lines[:4]
    more = len(lines) - len(shown)
    strip = Image.new("RGB", (WIDTH, 74 + 20 * (len(shown) + bool(more))), (30, 34, 40))
    draw = ImageDraw.Draw(strip)
    colour = COLOURS[check.status]
    words = {"pass": "PASS", WARNING: "PASS, with warnings", ERROR: "FAIL"}[check.status]
    badge = draw.textlength(words, font=font(24)) + 28
    draw.rectangle((0, 0, 7, strip.height), fill=colour)
    draw.rounded_rectangle((WIDTH - badge - 12, 10, WIDTH - 12, 46), 6, fill=colour)
    draw.text((WIDTH - badge + 2, 13), words, fill=(255, 255, 255), font=font(24))
    title = printable(readable(check.path.name))
    size = next(
        (s for s in (26, 22, 18, 15, 12) if draw.textlength(title, font=font(s)) < WIDTH - badge - 50), 10
    )
    draw.text((20, 11), title, fill=TEXT, font=font(size))
    facts = [f"{times(check.shape)} {check.dtype}"]
    if check.voxel_size:
        facts.append(f"{times(round(v, 3) for v in check.voxel_size)} mm")
    tr = check.tr_sidecar if check.tr_sidecar is not None else check.tr_header
    if tr is not None and (check.volumes or 1) > 1:
        facts.append(f"TR {tr:.4g} s" + ("" if check.tr_sidecar is not None else " (header)"))
    if check.affine is not None:
        axes = "".join(str(c) for c in nib.aff2axcodes(check.affine))
        unknown = any(f.code == "ORIENTATION_MISSING" for f in check.findings)
        facts.append("orientation unknown" if unknown else f"stored as {axes}")
    if check.stats is not None and check.stats.minimum is not None:
        facts.append(
            f"min {check.stats.minimum:.4g}  max {check.stats.maximum:.4g}  mean {check.stats.mean:.4g}"
        )
    draw.text((20, 46), "     ".join(facts), fill=FAINT, font=font(17))
    for i, finding in enumerate(shown):
        text = printable(f"{finding.title}: {finding.message}")
        limit = next(
            (n for n in range(len(text), 0, -4) if draw.textlength(text[:n], font=font(15)) < WIDTH - 60), 0
        )
        text = text if limit >= len(text) else text[: limit - 3] + "..."
        draw.text((20, 71 + 20 * i), text, fill=COLOURS[finding.severity], font=font(15))
    if more > 0:
        draw.text((20, 71 + 20 * len(shown)), f"and {more} more", fill=FAINT, font=font(15))
    return strip


def row_strip(
    name: str, pictures: Sequence[Any], cell: float, places: Sequence[str], sides: tuple[str, str]
) -> Any:
    """One row of slices with its name, positions and side letters."""
    height = max(p.height for p in pictures)
    strip = Image.new("RGB", (WIDTH, height + (24 if places else 8)), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    draw.text((12, max(0, height // 2 - 12)), name, fill=TEXT, font=font(17))
    for i, picture in enumerate(pictures):
        left = round(MARGIN + i * cell + (cell - picture.width) / 2)
        strip.paste(picture.convert("RGB"), (left, 4))
        if places:
            draw.text(
                (MARGIN + round((i + 0.5) * cell), height + 5),
                places[i],
                fill=FAINT,
                font=font(13),
                anchor="ma",
            )
        if i == 0:
            middle = 4 + height // 2
            letter = {
                "fill": COLOURS[WARNING],
                "font": font(16),
                "stroke_width": 2,
                "stroke_fill": BACKGROUND,
            }
            draw.text((left + 3, middle), sides[0], anchor="lm", **letter)
            draw.text((left + picture.width - 3, middle), sides[1], anchor="rm", **letter)
    return strip


def series_strip(check: ImageCheck, stats: Statistics) -> Any:
    """Mean of each volume as a curve over a carpet of voxel time series."""
    curve, carpet = 74, 150
    strip = Image.new("RGB", (WIDTH, curve + carpet + 44), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    left, width = MARGIN, WIDTH - MARGIN - 16
    means, total = stats.means, stats.layout.volumes
    draw.text((12, 24), "mean of\nvolumes", fill=TEXT, font=font(17))
    draw.text((12, curve + carpet // 2 - 4), "carpet", fill=TEXT, font=font(17))
    flat = [i for i, v in enumerate(stats.per_volume) if not v.finite or v.minimum == v.maximum]
    marked = sorted({*check.outliers, *flat, *(i for i, v in enumerate(stats.per_volume) if v.nan or v.inf)})
    step = width / total
    for i in marked:
        draw.rectangle(
            (left + i * step, 6, left + max((i + 1) * step, i * step + 2), curve + carpet + 16),
            fill=(96, 28, 30),
        )
    finite = means[np.isfinite(means)]
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        # A run that varies by less than 2 % is drawn nearly flat, so that noise does not look like a problem.
        span = max(high - low, 0.02 * abs(high), 1e-12)
        middle = (low + high) / 2
        points = [
            (left + (i + 0.5) * step, 8 + (curve - 16) * (0.5 - (float(m) - middle) / span))
            for i, m in enumerate(means)
            if math.isfinite(m)
        ]
        if len(points) > 1:
            draw.line(points, fill=(88, 166, 255), width=2)
        for x, y in points if len(points) <= 40 else []:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(88, 166, 255))
        for y, value in ((2, middle + span / 2), (curve - 10, middle - span / 2)):
            draw.text((left + 4, y), f"{value:.4g}", FAINT, font(12), stroke_width=2, stroke_fill=BACKGROUND)
    series = stats.time_series()
    if series.size:
        level = series.mean(axis=1, keepdims=True)
        # Per cent change, +-10 % from black to white as in usual carpet plots; diffusion varies more.
        reach = 10.0 if check.name.suffix in SERIES else 100.0
        change = (series - level) / np.where(level == 0, 1, level) * 100
        picture = Image.fromarray(np.ascontiguousarray(grey(change, (-reach, reach))))
        shown = round(width * min(1.0, series.shape[1] * stats.carpet_step / total))
        method = Image.Resampling.BOX if series.shape[1] > width else Image.Resampling.NEAREST
        rows = picture.resize((picture.width, carpet), Image.Resampling.BOX)
        strip.paste(rows.resize((max(1, shown), carpet), method).convert("RGB"), (left, curve + 10))
        note = (
            f"sampled voxels, brightest at the top; black to white: -{reach:g} to +{reach:g} % of their mean"
        )
        draw.text((left + width // 2, curve + carpet + 18), note, fill=FAINT, font=font(13), anchor="ma")
    for i in marked:
        draw.rectangle(
            (left + i * step, curve + 4, left + max((i + 1) * step, i * step + 2), curve + 9),
            fill=COLOURS[ERROR],
        )
    draw.text((left, curve + carpet + 18), "volume 0", fill=FAINT, font=font(13))
    draw.text(
        (left + width, curve + carpet + 18), f"volume {total - 1}", fill=FAINT, font=font(13), anchor="ra"
    )
    return strip


# ---------------------------------------------------------------------------- outputs

COLUMNS_OF_TABLE: dict[str, str] = {
    "path": "Path of the image, relative to the root of the source dataset.",
    "status": "Worst finding of the image.",
    "dims": "Dimensions of the voxel grid.",
    "voxel_size": "Voxel edges in mm, from the affine where there is one.",
    "orientation": "Directions the voxel axes point to, as stored (nibabel axis codes).",
    "tr_header": "Repetition time of the header (pixdim[4] in its unit), in seconds.",
    "tr_sidecar": "RepetitionTime of the sidecar by inheritance, in seconds.",
    "dtype": "Data type of the stored voxels.",
    "volumes": "Number of 3D volumes.",
    "min": "Smallest finite voxel, after scaling.",
    "max": "Largest finite voxel, after scaling.",
    "mean": "Mean of the finite voxels, after scaling.",
    "size": "Size of the file in bytes.",
    "sha256": "SHA-256 of the file.",
    "data_sha256": "SHA-256 of dimensions, data type, scaling and voxels: equal if the content is equal.",
    "errors": "Codes of the error findings, separated by commas.",
    "warnings": "Codes of the warning findings, separated by commas.",
    "mosaic": "Picture of the image, relative to the root of these derivatives.",
}


def table_row(check: ImageCheck) -> dict[str, Any]:
    """One image as a row of the table; None where a value is not known."""
    stats = check.stats if check.data_sha256 is not None else None
    codes = {
        severity: ",".join(dict.fromkeys(f.code for f in check.findings if f.severity == severity)) or None
        for severity in (ERROR, WARNING)
    }
    known = check.affine is not None and not any(f.code == "ORIENTATION_MISSING" for f in check.findings)
    return {
        "path": check.file,
        "status": check.status,
        "dims": times(check.shape) or None,
        "voxel_size": times(check.voxel_size) if check.voxel_size else None,
        "orientation": "".join(str(c) for c in nib.aff2axcodes(check.affine)) if known else None,
        "tr_header": finite_or_none(check.tr_header),
        "tr_sidecar": check.tr_sidecar,
        "dtype": check.dtype,
        "volumes": check.volumes,
        "min": finite_or_none(stats.minimum) if stats else None,
        "max": finite_or_none(stats.maximum) if stats else None,
        "mean": finite_or_none(stats.mean) if stats else None,
        "size": check.size,
        "sha256": check.sha256,
        "data_sha256": check.data_sha256,
        "errors": codes[ERROR],
        "warnings": codes[WARNING],
        "mosaic": check.mosaic,
    }


def finite_or_none(value: float | None) -> float | None:
    """The number if JSON can hold it."""
    return value if value is not None and math.isfinite(value) else None


def tsv_cell(value: object) -> str:
    """A value as BIDS tables hold it."""
    if value is None:
        return "n/a"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def write_json(path: Path, content: object) -> None:
    """Write indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def draw(check: ImageCheck) -> None:
    """Draw an image of which voxels were read, and let go of its previews.

    The title waits until all images are known, because it names copies. Until then the picture is kept as
    PNG, so that memory hardly grows with the number of images.
    """
    stats = check.stats
    if stats is None or not stats.seen.any():
        return
    try:
        with np.errstate(all="ignore"):
            packed = io.BytesIO()
            draw_body(check, stats).save(packed, "PNG", compress_level=1)
        check.body = packed.getvalue()
    except Exception as error:
        # A picture is a help to the reader; without it the findings still stand.
        print(f"{check.file}: no mosaic: {type(error).__name__}: {error}", file=sys.stderr)
    stats.forget_previews()


def write_mosaics(checks: Iterable[ImageCheck], out: Path, label: str) -> None:
    """Write the mosaic of each image that was drawn."""
    figures = out / f"sub-{label}" / "figures"
    used: Counter[str] = Counter()
    for check in checks:
        if check.body is None:
            continue
        stem = check.path.name[: -len(check.name.extension)]
        used[stem] += 1
        name = f"{stem}_mosaic.png" if used[stem] == 1 else f"{stem}_{used[stem]}_mosaic.png"
        try:
            figures.mkdir(parents=True, exist_ok=True)
            with Image.open(io.BytesIO(check.body)) as body:
                stacked([title_strip(check), body]).save(figures / name)
            check.mosaic = readable(f"sub-{label}/figures/{name}")
        except Exception as error:
            print(f"{check.file}: no mosaic: {type(error).__name__}: {error}", file=sys.stderr)


def write_outputs(
    checks: Sequence[ImageCheck], findings: Sequence[Finding], out: Path, label: str, limits: Thresholds
) -> None:
    """Write the table, its data dictionary, the report and the description of the derivatives."""
    generator = {"Name": "nifti-check", "Version": VERSION}
    write_json(
        out / "dataset_description.json",
        {
            "Name": "nifti-check: NIfTI images opened whole",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [generator],
        },
    )
    base = out / f"sub-{label}" / f"sub-{label}_desc-check"
    rows = [table_row(check) for check in checks]
    levels: dict[str, Any] = {
        "status": {"pass": "no findings", WARNING: "warnings only", ERROR: "at least one error"},
        "errors": CODES,
        "warnings": CODES,
    }
    units = {"tr_header": "s", "tr_sidecar": "s", "size": "byte"}
    dictionary: dict[str, dict[str, Any]] = {}
    for column, description in COLUMNS_OF_TABLE.items():
        dictionary[column] = {"Description": description}
        if column in units:
            dictionary[column]["Units"] = units[column]
        if column in levels:
            dictionary[column]["Levels"] = levels[column]
    write_json(base.with_name(base.name + "_images.json"), dictionary)
    with base.with_name(base.name + "_images.tsv").open("w", encoding="utf-8", newline="") as table:
        table.write("\t".join(COLUMNS_OF_TABLE) + "\n")
        for row in rows:
            table.write("\t".join(tsv_cell(row[column]) for column in COLUMNS_OF_TABLE) + "\n")
    severities = Counter(f.severity for f in findings)
    images = [
        row | {"dims": list(check.shape) or None, "voxel_size": finite_list(check.voxel_size)}
        for row, check in zip(rows, checks, strict=True)
    ]
    write_json(
        base.with_name(base.name + "_report.json"),
        {
            "participant_label": label,
            "verdict": "fail" if severities[ERROR] else "pass",
            "images_checked": len(checks),
            "images_failed": sum(check.status == ERROR for check in checks),
            "errors": severities[ERROR],
            "warnings": severities[WARNING],
            "findings": [asdict(f) | {"title": f.title} for f in findings],
            "images": images,
            "thresholds": asdict(limits),
            "generated_by": generator
            | {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "nibabel": nib.__version__,
                "pillow": pillow_version,
            },
        },
    )


def finite_list(values: Sequence[float] | None) -> list[float | None] | None:
    """Numbers that JSON can hold, None in place of others."""
    return [finite_or_none(float(f"{v:.7g}")) for v in values] if values else None


def failure_reason(findings: Sequence[Finding]) -> str | None:
    """The first error in a line, with how many more there are; None without errors."""
    errors = [f for f in findings if f.severity == ERROR]
    if not errors:
        return None
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{errors[0].file.rsplit('/', 1)[-1]}: {errors[0].title}{more}"


def check_participant(root: Path, out: Path, label: str, limits: Thresholds) -> list[Finding]:
    """Check all images of a participant, write all outputs, and return the findings."""
    checks = []
    for path in find_images(root, label):
        checks.append(check_image(root, path, limits))
        draw(checks[-1])
        print(f"{checks[-1].status:8}{checks[-1].file}", flush=True)
    mark_duplicates(checks)
    findings = [f for check in checks for f in check.findings]
    if not checks:
        where = f"sub-{label}"
        findings.append(
            Finding(ERROR, "NO_IMAGES", where, f"no .nii or .nii.gz file in {where}/ of the dataset")
        )
    write_mosaics(checks, out, label)
    write_outputs(checks, findings, out, label, limits)
    for finding in findings:
        print(f"{finding.severity}: {finding.file}: {finding.code}: {finding.message}", file=sys.stderr)
    return findings


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="nifti_check.py", description="Open every NIfTI image of a BIDS participant whole and check it."
    )
    command.add_argument(
        "--bids-dir", required=True, type=Path, help="BIDS dataset; the participant's part is enough"
    )
    command.add_argument(
        "--out-dir", required=True, type=Path, help="folder for the derivatives; made if missing"
    )
    command.add_argument("--participant-label", required=True, help="label of the participant, without sub-")
    for limit in fields(Thresholds):
        command.add_argument(
            "--" + limit.name.replace("_", "-"),
            type=threshold,
            default=limit.default,
            help=f"{limit.metadata['help']} (default {limit.default})",
        )
    return command


def threshold(text: str) -> float:
    """A finite number from 0 of the command line."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(text)
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    command = parser()
    given = command.parse_args(argv)
    label = given.participant_label.removeprefix("sub-")
    if not label or "/" in label or label.startswith("."):
        command.error(f"--participant-label {given.participant_label!r}: expected a BIDS label such as 01")
    if not given.bids_dir.is_dir():
        command.error(f"--bids-dir {given.bids_dir}: no such directory")
    limits = Thresholds(**{limit.name: getattr(given, limit.name) for limit in fields(Thresholds)})
    _files_in.cache_clear()
    reason = failure_reason(check_participant(given.bids_dir, given.out_dir, label, limits))
    if reason is None:
        return 0
    sys.stdout.flush()
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
