"""Read a NIfTI file from its first byte to its last, in slabs of planes, so that memory stays bounded.

nibabel reads what every pipeline would read with it (NIfTI-1 and -2, https://nifti.nimh.nih.gov).
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import nibabel
import numpy as np
import numpy.typing as npt

from .findings import ImageError, times

Array = npt.NDArray[Any]
nib: Any = nibabel  # it annotates only part of what is used here

SLAB_VOXELS = 2_000_000
# Deflate cannot expand more than 1032 times (https://zlib.net/zlib_tech.html), so a header that promises more
# than that is known to be wrong before memory is given to it.
DEFLATE_LIMIT = 1032
SECONDS = {
    "msec": 1e-3,
    "usec": 1e-6,
}  # other units are taken as seconds, and lengths as mm, as most tools do


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says, in mm and seconds; None for what is not set."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pixdim: tuple[float, ...]
    tr: float | None
    sform: Array | None
    qform: Array | None

    @property
    def space(self) -> tuple[int, int, int]:
        """The three spatial dimensions."""
        x, y, z = (*self.shape, 1, 1)[:3]
        return x, y, z

    @property
    def affine(self) -> Array | None:
        """The affine that tools go by, usable or not."""
        return self.qform if self.sform is None else self.sform

    @property
    def volumes(self) -> int:
        """Number of 3D volumes."""
        return math.prod(self.shape[3:])


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a NIfTI file, uncompressed, to be read to the end.

    Raises ImageError for an empty file, one that is not compressed as its name says, and a broken gzip stream.
    """
    with path.open("rb") as file:
        magic = file.read(2)
        file.seek(0)
        if not magic:
            raise ImageError("FILE_EMPTY", "0 bytes, expected a NIfTI image")
        named, compressed = path.name.lower().endswith(".gz"), b"\x1f\x8b".startswith(magic)
        if compressed != named:
            is_, says = ("gzip", ".nii") if compressed else ("not gzip", ".nii.gz")
            raise ImageError("COMPRESSION_MISMATCH", f"content is {is_} but the extension is {says}")
        stream: Any = gzip.GzipFile(fileobj=file) if named else file
        try:
            try:
                yield stream
            except ImageError:
                # A broken stream explains anything else that went wrong; its checksum is at the end.
                drain(stream)
                raise
        except EOFError as error:
            where = f"after {stream.tell()} bytes, expected its end marker"
            raise ImageError("GZIP_TRUNCATED", f"the gzip stream breaks off {where}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ImageError("GZIP_CORRUPT", f"after {stream.tell()} bytes: {error}") from error


def drain(stream: IO[bytes]) -> int:
    """Read to the end; return the number of bytes."""
    return sum(len(part) for part in iter(lambda: stream.read(1 << 20), b""))


def load(stream: IO[bytes], file_size: int) -> tuple[Header, Any]:
    """The header of an opened file and nibabel's proxy of its voxels as (x, y, z, volume).

    Raises ImageError if nibabel cannot read the header or the file cannot hold what the header says.
    """
    start = stream.read(nib.Nifti2Header.sizeof_hdr)
    stream.seek(0)
    if len(start) < nib.Nifti1Header.sizeof_hdr:
        raise ImageError("FILE_TOO_SHORT", f"{len(start)} bytes, expected a header of at least 348")
    kinds = [k for k in (nib.Nifti2Image, nib.Nifti1Image) if k.header_class.may_contain_header(start)]
    if not kinds:
        raise ImageError("HEADER_INVALID", "no NIfTI-1 or NIfTI-2 header at the start of the file")
    try:
        image = kinds[0].from_stream(stream)
        header = _header(image.header)
        voxels = image.dataobj.reshape((*header.space, header.volumes))
    except (EOFError, OSError, zlib.error):
        raise
    except Exception as error:
        # Over arbitrary bytes nibabel raises much more than HeaderDataError (KeyError, OverflowError, ...).
        raise ImageError("HEADER_INVALID", " ".join(f"{type(error).__name__}: {error}".split())) from error
    size = voxels.offset + math.prod(header.shape) * header.dtype.itemsize
    if size > file_size * (DEFLATE_LIMIT if isinstance(stream, gzip.GzipFile) else 1):
        needed = f"{size} for {times(header.shape)} {header.dtype}"
        raise ImageError("FILE_TOO_SHORT", f"file has {file_size} bytes, expected {needed}")
    return header, voxels


def _header(header: Any) -> Header:
    shape = tuple(int(n) for n in header.get_data_shape())
    if not shape or min(shape) < 1:
        raise ValueError(f"dim is {header['dim'].tolist()}, expected 1 to 7 dimensions of at least 1")
    transforms: list[Array | None] = []
    for get in (header.get_sform, header.get_qform):
        try:
            affine, _ = get(coded=True)
        except ValueError:  # an impossible quaternion; nibabel has refused the image where it is needed
            affine = None
        transforms.append(affine)
    tr = float(header["pixdim"][4]) * SECONDS.get(header.get_xyzt_units()[1], 1.0)
    known_tr = tr if len(shape) > 3 and math.isfinite(tr) else None
    pixdim = tuple(np.abs(header["pixdim"][1:4]).tolist())
    return Header(shape, header.get_data_dtype(), pixdim, known_tr, *transforms)


def slabs(voxels: Any) -> Iterator[tuple[int, int, Array]]:
    """(volume, first plane, scaled values as floats) of slabs of planes, in the order of the file.

    The magnitude stands for complex numbers, the mean for RGB. Raises ImageError where the file ends early.
    """
    nx, ny, nz, volumes = voxels.shape
    step = max(1, SLAB_VOXELS // (nx * ny))
    for volume in range(volumes):
        for plane in range(0, nz, step):
            try:
                values = np.asarray(voxels[:, :, plane : plane + step, volume])
            except ValueError as error:
                where = f"volume {volume} of {volumes} from plane {plane} of {nz}"
                raise ImageError("FILE_TOO_SHORT", f"file ends in {where}, counted from 0") from error
            if values.dtype.names:
                values = np.mean([values[channel] for channel in "RGB"], axis=0)
            elif values.dtype.kind == "c":
                values = np.abs(values)
            # float32 where it is exact, else float64
            yield volume, plane, values.astype(np.result_type(values, np.float32), copy=False)
