"""Made-up content for every kind of output, derived from the inputs: same inputs, same bytes.

Images are the inputs' first volumes, thinned out to a few voxels an edge; everything else carries a
digest of the inputs and says that it is a rehearsal. Surfaces are valid GIFTI; .h5 and CIFTI files are not
what their names say.
"""

import gzip
import hashlib
import html
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rehearsal_common.nifti import Header, read_whole, thin

from rehearsal_fmriprep.tree import Output

MARK = "REHEARSAL by neurocwl: not a result of fMRIPrep"
CONFOUNDS = ["global_signal", "csf", "white_matter", "std_dvars", "framewise_displacement", "trans_x",
             "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """One input image, read to its end: digest of its bytes, number of volumes, thinned-out copy."""

    digest: str
    volumes: int
    small: bytes


def read(path: Path) -> Source:
    """Read one input image whole; raises UnreadableImageError."""
    voxels = read_whole(path)
    header = Header.read(voxels[:540], path)
    volumes = header.shape[3] if len(header.shape) > 3 else 1
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Source(digest, volumes, thin(voxels, header))


def make(output: Output, sources: dict[Path, Source]) -> bytes:
    """The bytes of one output."""
    used = [sources[path] for path in output.sources if path in sources]
    digest = combined(output.path, used)
    name = output.path.rpartition("/")[2]
    if name.endswith((".nii.gz", ".nii")):
        image = _still(used[0].small, digest, "bold." in name or "_bold_" in name)
        return gzip.compress(image, 1, mtime=0) if name.endswith(".gz") else image
    if name.endswith(".gii"):
        return surface(digest).encode()
    if name.endswith(".json"):
        return json_text({"rehearsal": True, "note": MARK, "digest": digest}).encode()
    if name.endswith(".tsv"):
        return confounds(digest, max((source.volumes for source in used), default=1)).encode()
    if name.endswith(".svg"):
        return picture(name, digest).encode()
    if name.endswith(".html"):
        return f"<p>{MARK}</p><p>{html.escape(name)} {digest}</p>\n".encode()
    if name.endswith(".txt"):
        return (
            f"#Insight Transform File V1.0\n#{MARK} {digest}\n#Transform 0\n"
            "Transform: MatrixOffsetTransformBase_double_3_3\n"
            "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
        ).encode()
    return f"{MARK}\n{name}\n{digest}\n".encode()


def _still(image: bytes, digest: str, series: bool) -> bytes:
    """The image with its digest in the description; only series keep more than one volume."""
    changed = bytearray(image)
    changed[148:228] = f"REHEARSAL {digest[:32]}".encode().ljust(80, b"\0")
    header = Header.read(image[:348], Path("thinned"))
    if len(header.shape) > 3 and not series:
        struct.pack_into(header.order + "8h", changed, 40, 3, *header.shape[:3], 1, 1, 1, 1)
        del changed[352 + header.itemsize * header.shape[0] * header.shape[1] * header.shape[2] :]
    return bytes(changed)


def combined(path: str, used: Iterable[Source]) -> str:
    """sha256 over an output's path and the digests of its inputs."""
    return hashlib.sha256("\n".join([path, *(source.digest for source in used)]).encode()).hexdigest()


def json_text(value: object) -> str:
    """JSON as fMRIPrep writes it."""
    return json.dumps(value, indent=4) + "\n"


def confounds(digest: str, rows: int) -> str:
    """A table of confounds with one row per volume of the input; the numbers mean nothing."""
    lines = ["\t".join(CONFOUNDS)]
    for row in range(rows):
        seed = hashlib.sha256(f"{digest}{row}".encode()).digest()
        values = [f"{byte / 255:.4f}" for byte in seed[: len(CONFOUNDS)]]
        if row == 0:
            values[3] = values[4] = "n/a"
        lines.append("\t".join(values))
    return "\n".join(lines) + "\n"


def surface(digest: str) -> str:
    """A valid GIFTI file with one triangle's worth of numbers."""
    numbers = " ".join(str(int(digest[n : n + 2], 16) / 10) for n in range(0, 18, 2))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<GIFTI Version="1.0" NumberOfDataArrays="1">\n'
        f"<MetaData><MD><Name>rehearsal</Name><Value>{MARK} {digest}</Value></MD></MetaData>\n"
        '<DataArray Intent="NIFTI_INTENT_NONE" DataType="NIFTI_TYPE_FLOAT32"'
        ' ArrayIndexingOrder="RowMajorOrder" Dimensionality="1" Dim0="9"'
        ' Encoding="ASCII" Endian="LittleEndian" ExternalFileName="" ExternalFileOffset="0">'
        f"<Data>{numbers}</Data></DataArray>\n</GIFTI>\n"
    )


def picture(name: str, digest: str) -> str:
    """An SVG that says what it stands for, with a pattern from the digest."""
    bars = "".join(
        f'<rect x="{n * 12}" y="{90 - int(digest[n : n + 1], 16) * 4}" width="10" height="60" fill="#789"/>'
        for n in range(40)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="480" height="150"><title>{html.escape(name)}</title>'
        f'<text x="4" y="16">{MARK}</text>{bars}</svg>\n'
    )


def report(title: str, figures: list[str], errors: list[str]) -> str:
    """The HTML report; figures are paths below the derivatives folder."""
    shown = "".join(f'<h3>{html.escape(f)}</h3><object data="{html.escape(f)}"></object>\n' for f in figures)
    wrong = "".join(f"<li>{html.escape(error)}</li>" for error in errors) or "<li>No errors to report!</li>"
    return (
        f"<!DOCTYPE html>\n<html><head><title>{html.escape(title)} (rehearsal)</title></head><body>\n"
        f"<h1>{html.escape(title)}: rehearsal</h1><p>{MARK}. Names and places of the outputs are "
        f"fMRIPrep's, their content is made up.</p>\n{shown}<h2>Errors</h2><ul>{wrong}</ul>\n</body></html>\n"
    )
