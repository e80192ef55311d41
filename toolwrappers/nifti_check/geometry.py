"""Findings about dimensions, data type, affines and voxel size of a header."""

import math
from collections.abc import Iterator

import numpy as np

from .findings import Finding, times
from .images import Array, Header, nib

SERIES = {"bold", "cbv"}
THREE_D = {"T1w", "T2w", "PDw", "T2starw", "FLAIR", "UNIT1", "inplaneT1", "inplaneT2", "angio", "T1map"}
VOXEL_MM = (0.05, 20.0)
CORNER_MM = 0.5


def best_affine(header: Header) -> Array | None:
    """The affine in mm that tools go by; None if it is missing or cannot be used."""
    return header.affine if header.affine is not None and _is_usable(header.affine) else None


def voxel_size(header: Header) -> tuple[float, ...]:
    """Voxel edges in mm, from the affine where there is one."""
    affine = best_affine(header)
    return header.pixdim if affine is None else tuple(nib.affines.voxel_sizes(affine).round(6).tolist())


def axis_codes(affine: Array) -> str:
    """Directions that the voxel axes point to, such as RAS."""
    return "".join(nib.aff2axcodes(affine))


def check_dims(header: Header, suffix: str) -> Iterator[Finding]:
    """Dimensions and data type against what the suffix stands for."""
    shape, volumes = header.shape, header.volumes
    if suffix in THREE_D and (volumes > 1 or min(header.space) == 1):
        yield Finding("DIMS_NOT_3D", f"dims are {times(shape)}, expected three axes of several voxels")
    if suffix in SERIES and (len(shape) != 4 or volumes < 2):
        yield Finding("DIMS_NOT_4D", f"dims are {times(shape)}, expected 4D with several volumes")
    elif suffix in SERIES and volumes <= 5:
        yield Finding("FEW_VOLUMES", f"{volumes} volumes, fMRIPrep skips {suffix} runs of 5 and fewer")
    dtype = header.dtype
    if dtype.names or dtype.kind == "c" or dtype.itemsize > 8 or dtype in (np.int64, np.uint64):
        yield Finding("DATATYPE_UNUSUAL", f"data type is {dtype}, expected up to 32 bits or a double")


def check_geometry(header: Header) -> Iterator[Finding]:
    """Orientation, affines and voxel size."""
    stored = header.affine
    if stored is None:
        yield Finding("ORIENTATION_MISSING", "sform_code and qform_code are 0: left and right are unknown")
    elif not _is_usable(stored):
        yield Finding("AFFINE_INVALID", f"affine cannot be inverted: {stored[:3].round(4).tolist()}")
        return
    size = voxel_size(header)
    low, high = VOXEL_MM
    if not all(low <= edge <= high for edge in size):
        yield Finding("VOXEL_SIZE_RANGE", f"voxel size is {times(size)} mm, expected {low:g} to {high:g} mm")
    if stored is None:
        return
    directions = stored[:3, :3] / nib.affines.voxel_sizes(stored)
    cosine = float(np.abs(directions.T @ directions - np.eye(3)).max())
    if cosine > 1e-3:
        angle = math.degrees(math.acos(min(1.0, cosine)))
        yield Finding(
            "AFFINE_SHEARED", f"axes at {angle:.2f} degrees, expected 90: ITK-based tools refuse it"
        )
    if header.sform is not None:
        yield from _check_agreement(header, header.sform)


def _check_agreement(header: Header, sform: Array) -> Iterator[Finding]:
    """One finding at most where sform, qform and pixdim contradict each other: the gravest."""
    qform = header.qform if header.qform is not None and _is_usable(header.qform) else None
    axes = [axis_codes(affine) for affine in (sform, qform) if affine is not None]
    size = voxel_size(header)
    if len(set(axes)) > 1:
        yield Finding(
            "ORIENTATION_CONFLICT", f"sform says {axes[0]}, qform says {axes[1]}: tools will disagree"
        )
    elif not np.allclose(header.pixdim, size, rtol=0, atol=0.01 * max(size)):
        yield Finding("VOXEL_SIZE_MISMATCH", f"pixdim says {times(header.pixdim)} mm, sform {times(size)} mm")
    elif qform is not None:
        distance = float(np.linalg.norm((np.abs(sform - qform) @ (*header.space, 1))[:3]))
        if distance > CORNER_MM:
            yield Finding("QFORM_SFORM_MISMATCH", f"they put a corner up to {distance:.3g} mm apart")


def _is_usable(affine: Array) -> bool:
    """True if the affine is finite and maps the three axes to three directions."""
    if not np.isfinite(affine).all():
        return False
    edges = nib.affines.voxel_sizes(affine)
    return bool(edges.all() and abs(np.linalg.det(affine[:3, :3] / edges)) > 1e-4)
