"""What can be wrong with an image: every finding's code, severity and title."""

from dataclasses import dataclass

PASS, WARNING, ERROR = "pass", "warning", "error"

# A later pipeline fails on these, or takes one thing for another.
ERRORS = {
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
    "DIMS_NOT_3D": "not a 3D image",
    "DIMS_NOT_4D": "not a 4D series",
    "AFFINE_INVALID": "affine is singular or not finite",
    "ORIENTATION_MISSING": "no orientation",
    "ORIENTATION_CONFLICT": "sform and qform name different orientations",
    "VOXEL_SIZE_RANGE": "implausible voxel size",
    "NON_FINITE": "NaN or infinite voxels",
    "IMAGE_EMPTY": "all voxels are zero",
    "IMAGE_CONSTANT": "all voxels have one value",
    "VOLUMES_EMPTY": "volumes of zeros",
    "VOLUMES_CONSTANT": "volumes of one value",
    "SIDECAR_INVALID": "unreadable sidecar",
    "TR_MISSING": "no RepetitionTime",
    "TR_INVALID": "invalid RepetitionTime",
    "TR_MISMATCH": "TR of header and sidecar disagree",
    "SLICE_TIMING_INVALID": "SliceTiming does not fit the image",
    "BVAL_MISSING": "no bval file",
    "BVEC_MISSING": "no bvec file",
    "BVAL_INVALID": "invalid bval file",
    "BVEC_INVALID": "invalid bvec file",
    "BVAL_COUNT": "bval file does not fit the volumes",
    "BVEC_COUNT": "bvec file does not fit the volumes",
    "DUPLICATE_IMAGE": "same voxels as another image",
}

# Harmless to most pipelines, but somebody should know.
WARNINGS = {
    "DATATYPE_UNUSUAL": "data type that many tools do not read",
    "FEW_VOLUMES": "very short series",
    "AFFINE_SHEARED": "sheared affine",
    "QFORM_SFORM_MISMATCH": "sform and qform disagree",
    "VOXEL_SIZE_MISMATCH": "voxel sizes of pixdim and affine disagree",
    "TR_UNIT": "time unit of the header is wrong",
    "TR_HEADER_MISSING": "no TR in the header",
    "DUPLICATE_REUSED": "same voxels as another image, as is common for its kind",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one image; the message says what was seen and what was expected."""

    code: str
    message: str

    @property
    def severity(self) -> str:
        """Error or warning."""
        return ERROR if self.code in ERRORS else WARNING

    @property
    def title(self) -> str:
        """The code in a few words."""
        return (ERRORS | WARNINGS)[self.code]


class ImageError(Exception):
    """An image cannot be read on, and this finding says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(code, message)


def times(numbers: tuple[float, ...]) -> str:
    """Numbers as 2x2x2.5."""
    return "x".join(f"{n:.6g}" for n in numbers)


def listed(numbers: list[int], most: int = 8) -> str:
    """Volume numbers as '3, 5 and 12 more'."""
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more
