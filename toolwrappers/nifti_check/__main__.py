"""The command line: python3 -m nifti_check.

Exit status: 0 no error finding (warnings allowed), 1 some error finding (all outputs are written), 2 usage.
The last line of stderr is the reason for a failure.
"""

import argparse
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
    codes = [*ERRORS, *WARNINGS]
    add("--ignore", nargs="+", default=[], choices=codes, metavar="CODE", help="findings to leave out")
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
    findings = check_participant(given.bids_dir, given.out_dir, label, given.tr_tolerance, given.ignore)
    sys.stdout.flush()
    for file, finding in findings:
        print(f"{finding.severity}: {file}: {finding.code}: {finding.message}", file=sys.stderr)
    errors = [(file, finding) for file, finding in findings if finding.severity == ERROR]
    if not errors:
        return 0
    file, first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    print(f"{file.rpartition('/')[2]}: {first.title}{more}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
