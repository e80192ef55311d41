"""The command line: python3 -m nifti_check.

Exit status: 0 no error finding (warnings allowed), 1 some error finding (all outputs are written), 2 usage.
The last line of stderr is the reason for a failure.
"""

import argparse
import math
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from .checks import CheckedImage, check_copy, check_image, find_images
from .findings import ERROR, ERRORS, WARNINGS, Finding
from .mosaic import write_mosaic
from .report import Row, write_report
from .sidecars import relative


def check_participant(
    root: Path, out: Path, label: str, tr_tolerance: float = 0.001, ignore: Collection[str] = ()
) -> list[tuple[str, Finding]]:
    """Check all images of a participant, write all outputs, and return each finding with its file."""
    rows: list[Row] = []
    findings: list[tuple[str, Finding]] = []
    earlier: dict[str, CheckedImage] = {}
    for path in find_images(root, label):
        image = check_image(root, path, tr_tolerance)
        image.findings += check_copy(image, earlier)
        image.findings = [finding for finding in image.findings if finding.code not in ignore]
        mosaic = f"sub-{label}/figures/{relative(path.parent, path).partition('.nii')[0]}_mosaic.png"
        if any(row["mosaic"] == mosaic for row in rows):
            mosaic = mosaic.replace("_mosaic", f"_{len(rows)}_mosaic")
        try:
            drawn = write_mosaic(image, out / mosaic)
        except Exception as error:
            # As in check_image, one image must never hide the others.
            drawn = False
            image.findings.append(Finding("CHECK_CRASHED", f"mosaic: {type(error).__name__}: {error}"))
        rows.append(image.row() | {"mosaic": mosaic if drawn else None})
        findings += [(image.file, finding) for finding in image.findings]
        print(f"{image.status:8}{image.file}", flush=True)
    if not rows:
        where = f"sub-{label}"
        findings.append((where, Finding("NO_IMAGES", f"no .nii or .nii.gz file in {where}/ of the dataset")))
    write_report(out, label, rows, findings)
    return findings


def failure_reason(findings: Sequence[tuple[str, Finding]]) -> str | None:
    """The first error in a line, with how many more there are; None without errors."""
    errors = [(file, finding) for file, finding in findings if finding.severity == ERROR]
    if not errors:
        return None
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{errors[0][0].rpartition('/')[2]}: {errors[0][1].title}{more}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="nifti_check", description="Open every NIfTI image of a BIDS participant whole and check it."
    )
    add = command.add_argument
    add("--bids-dir", required=True, type=Path, help="BIDS dataset; the participant's part is enough")
    add("--out-dir", required=True, type=Path, help="folder for the derivatives; made if missing")
    add("--participant-label", required=True, help="label of the participant, without sub-")
    add("--tr-tolerance", type=float, default=0.001, help="allowed TR difference in seconds (default 0.001)")
    add(
        "--ignore", nargs="+", default=[], metavar="CODE", help="findings to leave out, e.g. VOXEL_SIZE_RANGE"
    )
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    command = parser()
    given = command.parse_args(argv)
    label = given.participant_label.removeprefix("sub-")
    if not label or "/" in label or label.startswith("."):
        command.error(f"--participant-label {given.participant_label!r}: expected a BIDS label such as 01")
    if not given.bids_dir.is_dir():
        command.error(f"--bids-dir {given.bids_dir}: no such directory")
    if not 0 <= given.tr_tolerance < math.inf:
        command.error(f"--tr-tolerance {given.tr_tolerance}: expected seconds from 0")
    if unknown := sorted({*given.ignore} - {*ERRORS, *WARNINGS}):
        command.error(
            f"--ignore {' '.join(unknown)}: expected codes of findings: {', '.join([*ERRORS, *WARNINGS])}"
        )
    findings = check_participant(given.bids_dir, given.out_dir, label, given.tr_tolerance, given.ignore)
    sys.stdout.flush()
    for file, finding in findings:
        print(f"{finding.severity}: {file}: {finding.code}: {finding.message}", file=sys.stderr)
    if (reason := failure_reason(findings)) is None:
        return 0
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
