"""A scan as a rehearsal sees it: read whole, checked as m2g and ndmg check it, outputs derived from it."""

import gzip
import hashlib
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from rehearsal_common import faults
from rehearsal_common.nifti import Header, read_whole, thin

MARK = "REHEARSAL by neurocwl: no result"
NODES = 70  # regions of the Desikan parcellation
WEIGHTED = 50  # s/mm2, from which on a volume must have a direction


class ScanError(Exception):
    """What makes m2g and ndmg stop."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The small copies of both images, the tables, and a digest of everything that went in."""

    t1w: bytes
    dwi: bytes
    bvals: list[float]
    bvecs: list[list[float]]  # three rows
    digest: str


def read(t1w: str, dwi: str, bval: str, bvec: str) -> Scan:
    """Read a scan to its end; raises UnreadableImageError, or ScanError where both programs would stop."""
    images = [(path, read_whole(path)) for path in (Path(t1w), Path(dwi))]
    (anatomy, t1_header), (diffusion, header) = (
        (voxels, Header.read(voxels[:540], path)) for path, voxels in images
    )
    volumes = header.shape[3] if len(header.shape) > 3 else 1
    bvals = [value for row in _table(bval) for value in row]
    bvecs = _table(bvec)
    if len(bvecs) != 3:
        bvecs = [list(column) for column in zip(*bvecs, strict=True)]
    if len(bvals) != volumes or any(len(row) != volumes for row in bvecs) or len(bvecs) != 3:
        raise ScanError(
            f"{dwi}: {volumes} volumes, {len(bvals)} b-values, {len(bvecs[0]) if bvecs else 0} b-vectors"
        )
    for value, vector in zip(bvals, zip(*bvecs, strict=True), strict=True):
        if value > WEIGHTED and not any(vector):
            raise ScanError(
                "Encountered potentially corrupted bval/bvecs: a weighted volume has no direction"
            )
    digest = hashlib.sha256()
    for path in (t1w, dwi, bval, bvec):
        digest.update(Path(path).read_bytes())
    return Scan(thin(anatomy, t1_header), thin(diffusion, header), bvals, bvecs, digest.hexdigest())


def _table(path: str) -> list[list[float]]:
    try:
        rows = [[float(word) for word in line.split()] for line in Path(path).read_text().splitlines()]
    except ValueError as error:
        raise ScanError(f"{path}: {error}") from None
    return [row for row in rows if row]


def fault(*labels: str) -> str:
    """The fault to rehearse; those that end the work before it begins end the process here."""
    mode = faults.mode(os.environ.get("NEUROCWL_REHEARSAL", ""), *labels)
    ended = faults.ending(mode, 2 << 30)
    if ended is not None:
        sys.exit(ended)
    return mode


def write(folder: Path, scan: Scan, tool: str, t1_name: str) -> None:
    """What both programs write besides connectomes, below the folder of a session: a selection."""
    mark = f"{MARK} of {tool} {scan.digest}\n"
    vectors = "\n".join(" ".join(f"{x:g}" for x in row) for row in zip(*scan.bvecs, strict=True))
    files = {
        "dwi/preproc/bval.bval": "\n".join(f"{value:g}" for value in scan.bvals) + "\n",
        "dwi/preproc/bvec.bvec": vectors + "\n",
        "dwi/preproc/bvec_scaled.bvec": vectors + "\n",
        "tmp/reg_m/dwi2t1w_xfm.mat": "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
        "qa/reg/rehearsal.txt": mark,
    }
    images = {
        "dwi/preproc/eddy_corrected_data.nii.gz": scan.dwi,
        "dwi/preproc/nodif_B0.nii.gz": _first(scan.dwi),
        "dwi/preproc/nodif_B0_bet_mask.nii.gz": _first(scan.dwi),
        f"anat/preproc/{t1_name}_brain.nii.gz": scan.t1w,
        f"anat/registered/{t1_name}_in_dwi.nii.gz": scan.t1w,
        f"anat/registered/{t1_name}_gm_in_dwi.nii.gz": scan.t1w,
        f"anat/registered/{t1_name}_wm_in_dwi.nii.gz": scan.t1w,
    }
    for name, text in files.items():
        _put(folder / name, text.encode())
    for name, image in images.items():
        _put(folder / name, gzip.compress(_marked(image, scan.digest), 1, mtime=0))
    _put(folder / "dwi/fiber/streamlines.trk", _streamlines())


def connectome(scan: Scan, name: str) -> str:
    """A weighted edge list: node, node, weight. Readers of such lists skip the first line."""
    edges = [f"# {MARK}"]
    for number in range(NODES):
        seed = hashlib.sha256(f"{scan.digest}{name}{number}".encode()).digest()
        other = seed[0] % NODES
        if other != number:
            edges.append(f"{number + 1} {other + 1} {seed[1]}")
    return "\n".join(edges) + "\n"


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _marked(image: bytes, digest: str) -> bytes:
    return image[:148] + f"REHEARSAL {digest[:32]}".encode().ljust(80, b"\0") + image[228:]


def _first(image: bytes) -> bytes:
    header = Header.read(image[:348], Path("thinned"))
    x, y, z = (*header.shape, 1, 1, 1)[:3]
    changed = bytearray(image[: 352 + header.itemsize * x * y * z])
    struct.pack_into(header.order + "8h", changed, 40, 3, x, y, z, 1, 1, 1, 1)
    return bytes(changed)


def _streamlines() -> bytes:
    """A TrackVis file of one streamline with two points."""
    head = bytearray(1000)
    head[:6] = b"TRACK\0"
    struct.pack_into("<3h", head, 6, 10, 10, 10)
    struct.pack_into("<3f", head, 12, 2, 2, 2)
    for row in range(4):
        struct.pack_into("<f", head, 440 + 20 * row, 1.0)
    head[948:952] = b"RAS\0"
    struct.pack_into("<3i", head, 988, 1, 2, 1000)
    return bytes(head) + struct.pack("<i6f", 2, 1, 1, 1, 2, 2, 2)
