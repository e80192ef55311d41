"""NIfTI without libraries: read an image whole, and make a small one from it."""

import gzip
import struct
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

EDGE = 24
VOLUMES = 4
CHUNK = 1 << 20
KEPT = 64 * CHUNK
FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class UnreadableImageError(Exception):
    """An image cannot be opened whole; the real tool's first step that reads it would fail."""


def read_whole(path: Path) -> bytes:
    """Read an image to its end and return its beginning (KEPT bytes); UnreadableImageError says what is wrong.

    Gunzips everything (so a truncated or corrupt file is found), and checks the length against the header.
    """
    keep = bytearray()
    length = 0
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                length += len(chunk)
                if len(keep) < KEPT:
                    keep += chunk
    except (OSError, EOFError) as error:
        raise UnreadableImageError(f"{path}: {error or type(error).__name__}") from error
    except Exception as error:  # zlib.error has no common base with the others
        raise UnreadableImageError(f"{path}: {error}") from error
    needed = Header.read(bytes(keep[:540]), path).total
    if length < needed:
        raise UnreadableImageError(f"{path}: {length} bytes, but its header promises {needed}")
    return bytes(keep)


@dataclass(frozen=True, slots=True)
class Header:
    """What of a NIfTI-1 or NIfTI-2 header is needed to find the voxels."""

    order: str
    shape: tuple[int, ...]
    itemsize: int
    datatype: int
    offset: int
    version: int

    @property
    def total(self) -> int:
        """Bytes that a whole file has at least."""
        size = self.itemsize
        for extent in self.shape:
            size *= extent
        return self.offset + size

    @classmethod
    def read(cls, data: bytes, path: Path) -> "Header":
        """Read a header in either byte order; UnreadableImageError for anything else."""
        for order in "<>":
            size = struct.unpack(order + "i", data[:4].ljust(4, b"\0"))[0]
            if size == 348 and len(data) >= 348:
                dim = struct.unpack(order + "8h", data[40:56])
                datatype, bits = struct.unpack(order + "hh", data[70:74])
                offset = int(struct.unpack(order + "f", data[108:112])[0])
                return cls(order, _shape(dim), bits // 8, datatype, offset, 1)
            if size == 540 and len(data) >= 540:
                dim = struct.unpack(order + "8q", data[16:80])
                datatype, bits = struct.unpack(order + "hh", data[12:16])
                (offset,) = struct.unpack(order + "q", data[168:176])
                return cls(order, _shape(dim), bits // 8, datatype, offset, 2)
        raise UnreadableImageError(f"{path}: not a NIfTI file ({len(data)} bytes read)")


def _shape(dim: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(1, extent) for extent in dim[1 : 1 + max(0, min(7, dim[0]))])


def thin(voxels: bytes, header: Header) -> bytes:
    """A small NIfTI-1 image: every n-th voxel of the first volumes, with the affine scaled to match."""
    nx, ny, nz, nt = (*header.shape[:4], 1, 1, 1, 1)[:4]
    step = max(1, -(-max(nx, ny, nz) // EDGE))
    size = header.itemsize
    kept = min(nt, VOLUMES, max(1, (len(voxels) - header.offset) // max(1, nx * ny * nz * size)))
    body = bytearray()
    row_format = FORMATS.get(size)
    for t, z, y in product(range(kept), range(0, nz, step), range(0, ny, step)):
        start = header.offset + ((t * nz + z) * ny + y) * nx * size
        row = voxels[start : start + nx * size].ljust(nx * size, b"\0")
        if row_format:
            body += memoryview(row).cast(row_format)[::step].tobytes() if step > 1 else row
        else:
            body += b"".join(row[x * size : (x + 1) * size] for x in range(0, nx, step))
    shape = [-(-n // step) for n in (nx, ny, nz)] + ([kept] if kept > 1 else [])
    return _header(voxels, header, shape, step) + bytes(body)


def _header(voxels: bytes, header: Header, shape: list[int], step: int) -> bytes:
    order = header.order
    new = bytearray(voxels[:348] if header.version == 1 else 348)
    if header.version == 2:
        struct.pack_into(order + "hh", new, 70, header.datatype, header.itemsize * 8)
        struct.pack_into(order + "f", new, 112, 1.0)
    struct.pack_into(order + "i", new, 0, 348)
    struct.pack_into(order + "8h", new, 40, len(shape), *(shape + [1] * (7 - len(shape))))
    pixdim = list(struct.unpack_from(order + "8f", new, 76))
    struct.pack_into(order + "8f", new, 76, pixdim[0], *((p or 1.0) * step for p in pixdim[1:4]), *pixdim[4:])
    for offset in (280, 296, 312):
        x, y, z, shift = struct.unpack_from(order + "4f", new, offset)
        struct.pack_into(order + "4f", new, offset, x * step, y * step, z * step, shift)
    struct.pack_into(order + "f", new, 108, 352.0)
    new[344:348] = b"n+1\0"
    return bytes(new) + b"\0\0\0\0"
