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

MARK = "REHEARSAL by neurocwl: not a result of FreeSurfer"
FACES = ((0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5))
CORNERS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))

ASEG = {
    4: "Left-Lateral-Ventricle", 7: "Left-Cerebellum-White-Matter", 8: "Left-Cerebellum-Cortex",
    10: "Left-Thalamus", 11: "Left-Caudate", 12: "Left-Putamen", 13: "Left-Pallidum", 14: "3rd-Ventricle",
    15: "4th-Ventricle", 16: "Brain-Stem", 17: "Left-Hippocampus", 18: "Left-Amygdala", 24: "CSF",
    26: "Left-Accumbens-area", 43: "Right-Lateral-Ventricle", 46: "Right-Cerebellum-White-Matter",
    47: "Right-Cerebellum-Cortex", 49: "Right-Thalamus", 50: "Right-Caudate", 51: "Right-Putamen",
    52: "Right-Pallidum", 53: "Right-Hippocampus", 54: "Right-Amygdala", 58: "Right-Accumbens-area",
    77: "WM-hypointensities", 251: "CC_Posterior", 255: "CC_Anterior",
}  # fmt: skip
DESIKAN = (
    "bankssts", "caudalanteriorcingulate", "caudalmiddlefrontal", "cuneus", "entorhinal", "fusiform",
    "inferiorparietal", "inferiortemporal", "isthmuscingulate", "lateraloccipital", "lateralorbitofrontal",
    "lingual", "medialorbitofrontal", "middletemporal", "parahippocampal", "paracentral", "parsopercularis",
    "parsorbitalis", "parstriangularis", "pericalcarine", "postcentral", "posteriorcingulate", "precentral",
    "precuneus", "rostralanteriorcingulate", "rostralmiddlefrontal", "superiorfrontal", "superiorparietal",
    "superiortemporal", "supramarginal", "frontalpole", "temporalpole", "transversetemporal", "insula",
)  # fmt: skip
ASEG_COLUMNS = (
    ("Index", "Index", "NA"), ("SegId", "Segmentation Id", "NA"), ("NVoxels", "Number of Voxels", "unitless"),
    ("Volume_mm3", "Volume", "mm^3"), ("StructName", "Structure Name", "NA"),
    ("normMean", "Intensity normMean", "MR"), ("normStdDev", "Intensity normStdDev", "MR"),
    ("normMin", "Intensity normMin", "MR"), ("normMax", "Intensity normMax", "MR"),
    ("normRange", "Intensity normRange", "MR"),
)  # fmt: skip
APARC_COLUMNS = (
    ("StructName", "Structure Name", "NA"), ("NumVert", "Number of Vertices", "unitless"),
    ("SurfArea", "Surface Area", "mm^2"), ("GrayVol", "Gray Matter Volume", "mm^3"),
    ("ThickAvg", "Average Thickness", "mm"), ("ThickStd", "Thickness StdDev", "mm"),
    ("MeanCurv", "Integrated Rectified Mean Curvature", "mm^-1"),
    ("GausCurv", "Integrated Rectified Gaussian Curvature", "mm^-2"),
    ("FoldInd", "Folding Index", "unitless"),
    ("CurvInd", "Intrinsic Curvature Index", "unitless"),
)  # fmt: skip


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


def statistics(name: str, subject: str, own: bytes) -> str:
    """A table of statistics; the numbers are made up, the form is FreeSurfer's."""
    if name in ("aseg.stats", "wmparc.stats"):
        return _segmentation(name, subject, own)
    if name.endswith((".curv.stats", "brainvol.stats")) or ".w-g.pct" in name:
        return f"# Title {MARK}\n# subjectname {subject}\n# Measure BrainSeg, BrainSegVol, Volume, 1, mm^3\n"
    return _parcellation(name, subject, own)


def _head(title: str, program: str, subject: str) -> str:
    return (
        f"# {title} \n# \n# generating_program {program}\n# cvs_version {MARK}\n# sysname  Linux\n"
        f"# machine  x86_64\n# subjectname {subject}\n"
    )


def _columns(columns: tuple[tuple[str, str, str], ...]) -> list[str]:
    """What each column is: its header, its name in words, its unit."""
    return [
        f"# TableCol {number:2d} {key:<9s} {value} "
        for number, column in enumerate(columns, 1)
        for key, value in zip(("ColHeader", "FieldName", "Units"), column, strict=True)
    ]


def _segmentation(name: str, subject: str, own: bytes) -> str:
    brain = 900_000 + own[0] * 1000
    measures = [
        ("BrainSeg", "BrainSegVol", "Brain Segmentation Volume", brain),
        (
            "BrainSegNotVent",
            "BrainSegVolNotVent",
            "Brain Volume Without Ventricles",
            brain - 20_000,
        ),
        ("Cortex", "CortexVol", "Total cortical gray matter volume", brain // 2),
        ("CerebralWhiteMatter", "CerebralWhiteMatterVol", "Total cerebral white matter volume", brain // 3),
        ("SubCortGray", "SubCortGrayVol", "Subcortical gray matter volume", 60_000),
        ("TotalGray", "TotalGrayVol", "Total gray matter volume", brain // 2 + 60_000),
        ("Mask", "MaskVol", "Mask Volume", brain + 300_000),
        ("EstimatedTotalIntraCranialVol", "eTIV", "Estimated Total Intracranial Volume", brain + 400_000),
    ]
    lines = [f"# Measure {a}, {b}, {c}, {v:.6f}, mm^3" for a, b, c, v in measures]
    lines += [*_columns(ASEG_COLUMNS), f"# NRows {len(ASEG)} ", "# NTableCols 10 ",
              f"# ColHeaders  {' '.join(column[0] for column in ASEG_COLUMNS)}  "]  # fmt: skip
    for row, (number, structure) in enumerate(ASEG.items(), 1):
        voxels = 1000 + own[row % 32] * 30
        lines.append(
            f"{row:3d} {number:3d}  {voxels:8d} {voxels:9.1f}  {structure:<30s} 85.1000    9.2000     30.0000"
            "    120.0000     90.0000 "
        )
    return _head("Title Segmentation Statistics", "mri_segstats", subject) + "\n".join(lines) + "\n"


def _parcellation(name: str, subject: str, own: bytes) -> str:
    hemi, _, rest = name.partition(".")
    lines = [
        "# anatomy_type surface",
        f"# hemi {hemi}",
        f"# AnnotationFile {hemi}.{rest.removesuffix('.stats')}.annot",
        "# Measure Cortex, NumVert, Number of Vertices, 130000, unitless",
        "# Measure Cortex, WhiteSurfArea, White Surface Total Area, 88000.5, mm^2",
        f"# Measure Cortex, MeanThickness, Mean Thickness, {2 + own[0] / 255:.5f}, mm",
        "# NTableCols 10 ",
        *_columns(APARC_COLUMNS),
        f"# ColHeaders {' '.join(column[0] for column in APARC_COLUMNS)}",
    ]
    for row, region in enumerate(DESIKAN):
        size = 500 + own[row % 32] * 10
        thickness = 2 + own[(row + 7) % 32] / 255
        lines.append(
            f"{region:<40s} {size:5d} {size * 2 // 3:6d} {size * 2:6d}  {thickness:.3f} 0.480"
            "     0.118     0.022       10     1.3"
        )
    title = "Table of FreeSurfer cortical parcellation anatomical statistics"
    return _head(title, "mris_anatomical_stats", subject) + "\n".join(lines) + "\n"


def _values(own: bytes) -> list[float]:
    return [byte / 100 for byte in own[: len(CORNERS)]]
