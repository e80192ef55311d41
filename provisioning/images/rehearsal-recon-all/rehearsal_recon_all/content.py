"""Made-up content in FreeSurfer's formats, derived from the inputs: same inputs, same bytes.

Volumes, surfaces, curvatures, labels, annotations and statistics can be read by nibabel and by readers of
statistics; all else is text that says what it is.
"""

import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from rehearsal_common.nifti import Header, thin

from rehearsal_recon_all.statistics import MARK, statistics

FACES = ((0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5))
CORNERS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))


@dataclass(frozen=True, slots=True)
class Seed:
    """What all content comes from: the digest of the inputs, and a small image of the first of them."""

    digest: str
    small: bytes
    subject: str

    def of(self, path: str) -> bytes:
        """32 bytes that belong to one output."""
        return hashlib.sha256(f"{self.digest}{path}".encode()).digest()


def seed(digest: str, voxels: bytes, header: Header, subject: str) -> Seed:
    """What the content of a subject comes from."""
    return Seed(digest, thin(voxels, header), subject)


def make(path: str, seed: Seed) -> bytes:
    """The bytes of one output, by its name."""
    name = path.rpartition("/")[2]
    own = seed.of(path)
    if name.endswith((".mgz", ".mgh")):
        data = overlay(own) if path.startswith("surf/") else volume(seed.small, own)
        return gzip.compress(data, 1, mtime=0) if name.endswith(".mgz") else data
    if path.startswith("surf/"):
        kind = name.partition(".")[2]
        return (
            surface(own) if kind.startswith(SHAPES) and ".H" not in name and ".K" not in name else curv(own)
        )
    if name.endswith(".annot"):
        return annotation(own)
    if name.endswith(".label"):
        return label(seed.subject)
    if name.endswith(".stats"):
        return statistics(name, seed.subject, own).encode()
    return f"{MARK}\n{path}\n{own.hex()}\n".encode()


SHAPES = ("orig", "white", "pial", "smoothwm", "inflated", "sphere", "qsphere", "midthickness")


def volume(small: bytes, own: bytes) -> bytes:
    """An MGH volume of bytes from a small NIfTI image; the first voxels differ from output to output."""
    header = Header.read(small[:348], Path("thinned"))
    shape = (*header.shape[:3], 1, 1)[:3]
    count = shape[0] * shape[1] * shape[2]
    low = 0 if header.order == "<" else header.itemsize - 1
    voxels = bytearray(small[352 + low :: header.itemsize][:count].ljust(count, b"\0"))
    voxels[: min(32, count)] = own[: min(32, count)]
    return _mgh((*shape, 1), 0, bytes(voxels))


def overlay(own: bytes) -> bytes:
    """An MGH file with a value per vertex."""
    return _mgh((len(CORNERS), 1, 1, 1), 3, struct.pack(f">{len(CORNERS)}f", *_values(own)))


def _mgh(shape: tuple[int, ...], kind: int, data: bytes) -> bytes:
    fields = struct.pack(">i4iii h", 1, *shape, kind, 0, 1)
    geometry = struct.pack(">3f9f3f", 1, 1, 1, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0)
    return (fields + geometry).ljust(284, b"\0") + data


def surface(own: bytes) -> bytes:
    """A triangle file: an octahedron of some size."""
    scale = 50 + own[0] / 10
    points = b"".join(struct.pack(">3f", *(scale * axis for axis in corner)) for corner in CORNERS)
    faces = b"".join(struct.pack(">3i", *face) for face in FACES)
    counts = struct.pack(">ii", len(CORNERS), len(FACES))
    return b"\xff\xff\xfe" + f"created by neurocwl {MARK}\n\n".encode() + counts + points + faces


def curv(own: bytes) -> bytes:
    """A curvature file: a value per vertex."""
    return b"\xff\xff\xff" + struct.pack(">iii6f", len(CORNERS), len(FACES), 1, *_values(own))


def annotation(own: bytes) -> bytes:
    """An annotation of two regions with its colour table."""
    colours = [("unknown", (25, 5, 25)), ("bankssts", (25, 100, 40))]
    packed = [r | g << 8 | b << 16 for _, (r, g, b) in colours]
    pairs = [(n, packed[own[n] & 1]) for n in range(len(CORNERS))]
    data = struct.pack(">i", len(pairs)) + b"".join(struct.pack(">ii", *pair) for pair in pairs)
    table = b"rehearsal.ctab\0"
    data += struct.pack(">iii", 1, -2, len(colours)) + struct.pack(">i", len(table)) + table
    data += struct.pack(">i", len(colours))
    for index, (name, rgb) in enumerate(colours):
        encoded = name.encode() + b"\0"
        data += struct.pack(">ii", index, len(encoded)) + encoded + struct.pack(">4i", *rgb, 0)
    return data


def label(subject: str) -> bytes:
    """A label file of all vertices."""
    rows = "".join(f"{n}  {x:.3f}  {y:.3f}  {z:.3f} 0.0000000000\n" for n, (x, y, z) in enumerate(CORNERS))
    return f"#!ascii label  , from subject {subject} vox2ras=TkReg {MARK}\n{len(CORNERS)}\n{rows}".encode()


def _values(own: bytes) -> list[float]:
    return [byte / 100 for byte in own[: len(CORNERS)]]
