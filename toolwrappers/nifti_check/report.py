"""What is written for a participant besides mosaics: the table with its data dictionary, and the report."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel

from . import VERSION
from .findings import ERROR, ERRORS, PASS, WARNING, WARNINGS, Finding

Row = Mapping[str, Any]
COLUMNS: dict[str, dict[str, Any]] = {
    "path": {"Description": "Path of the image, relative to the root of the source dataset."},
    "status": {
        "Description": "Worst finding of the image.",
        "Levels": {PASS: "no findings", WARNING: "warnings only", ERROR: "at least one error"},
    },
    "errors": {"Description": "Codes of the error findings, separated by commas.", "Levels": ERRORS},
    "warnings": {"Description": "Codes of the warning findings, separated by commas.", "Levels": WARNINGS},
    "dims": {"Description": "Dimensions of the voxel grid."},
    "voxel_size": {"Description": "Voxel edges, from the affine where there is one.", "Units": "mm"},
    "orientation": {"Description": "Directions the voxel axes point to, as stored (nibabel axis codes)."},
    "tr": {"Description": "Repetition time of the header.", "Units": "s"},
    "dtype": {"Description": "Data type of the stored voxels."},
    "min": {"Description": "Smallest finite voxel, after scaling."},
    "max": {"Description": "Largest finite voxel, after scaling."},
    "mean": {"Description": "Mean of the finite voxels, after scaling."},
    "size": {"Description": "Size of the file.", "Units": "byte"},
    "content_sha256": {"Description": "SHA-256 of dimensions and scaled voxels: equal for equal content."},
    "mosaic": {"Description": "Picture of the image, relative to the root of these derivatives."},
}


def write_report(out: Path, label: str, rows: Sequence[Row], findings: Sequence[tuple[str, Finding]]) -> None:
    """Write the table, its data dictionary, the report and the description of the derivatives."""
    generator = {"Name": "nifti-check", "Version": VERSION}
    description = {
        "Name": "nifti-check: NIfTI images opened whole",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [generator],
    }
    _write_json(out / "dataset_description.json", description)
    base = f"{out}/sub-{label}/sub-{label}_desc-check"
    _write_json(Path(f"{base}_images.json"), COLUMNS)
    rows = [{column: row.get(column) for column in COLUMNS} for row in rows]
    lines = [list(COLUMNS), *([_cell(value) for value in row.values()] for row in rows)]
    Path(f"{base}_images.tsv").write_text("".join("\t".join(line) + "\n" for line in lines), "utf-8")
    severities = Counter(finding.severity for _, finding in findings)
    report = {
        "participant_label": label,
        "verdict": "fail" if severities[ERROR] else "pass",
        "errors": severities[ERROR],
        "warnings": severities[WARNING],
        "findings": [
            {"file": file, "severity": f.severity, "title": f.title, **asdict(f)} for file, f in findings
        ],
        "images": rows,
        "generated_by": generator | {"nibabel": nibabel.__version__},
    }
    _write_json(Path(f"{base}_report.json"), report)


def _cell(value: object) -> str:
    """A value as BIDS tables hold it."""
    if value is None:
        return "n/a"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
