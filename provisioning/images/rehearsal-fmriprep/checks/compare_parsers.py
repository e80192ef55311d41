"""Fail the build unless the light parser and the full installation judge every line alike.

The lines go through both: fMRIPrep's parser among real nipype, TemplateFlow and PyBIDS, and the same parser
among the stand-ins that the image carries. Both must accept with the same values, or refuse with the same
words.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

BIDS, LICENCE, FILTERS = "/tmp/compare/bids", "/tmp/compare/licence.txt", "/tmp/compare/filters.json"
PREFIX = [BIDS, "/tmp/compare/out", "participant"]
LINES = [
    [],
    ["--help"],
    ["--version"],
    PREFIX,
    [*PREFIX[:2], "group"],
    ["/nowhere", *PREFIX[1:]],
    [*PREFIX, "--participant-label", "sub-01", "02"],
    [*PREFIX, "--session-label", "ses-1", "2"],
    [*PREFIX, "--mem", "16G"],
    [*PREFIX, "--mem", "16.5G"],
    [*PREFIX, "--mem-mb", "8000"],
    [*PREFIX, "--nprocs", "0"],
    [*PREFIX, "--omp-nthreads", "4", "--n-cpus", "8"],
    [*PREFIX, "--fs-license-file", LICENCE],
    [*PREFIX, "--fs-license-file", "/nowhere"],
    [*PREFIX, "--fs-license-file", BIDS],
    [*PREFIX, "--bids-filter-file", FILTERS],
    [*PREFIX, "--bids-filter-file", LICENCE],
    [*PREFIX, "--output-spaces"],
    [*PREFIX, "--output-spaces", "MNI152NLin2009cAsym:res-2", "anat", "fsnative", "fsaverage5"],
    [*PREFIX, "--output-spaces", "MNI152NLin6Asym", "T1w", "func", "fsLR:den-32k", "onavg"],
    [*PREFIX, "--output-spaces", "MNIPediatricAsym:cohort-1:cohort-2:res-1"],
    [*PREFIX, "--output-spaces", "MNIPediatricAsym"],
    [*PREFIX, "--output-spaces", "MNIPediatricAsym:cohort-99"],
    [*PREFIX, "--output-spaces", "MNI152Lin:cohort-1"],
    [*PREFIX, "--output-spaces", "nowhere"],
    [*PREFIX, "--output-spaces", "T1w:res-2"],
    [*PREFIX, "--output-spaces", "fsaverage:den-10k:den-164k"],
    [*PREFIX, "--output-spaces", "fsaverage9"],
    [*PREFIX, "--skull-strip-template", "MNI152NLin2009cAsym:res-2"],
    [*PREFIX, "--skull-strip-template", "nowhere"],
    [*PREFIX, "--cifti-output"],
    [*PREFIX, "--cifti-output", "170k", "--no-msm", "--project-goodvoxels"],
    [*PREFIX, "--cifti-output", "32k"],
    [*PREFIX, "--use-syn-sdc"],
    [*PREFIX, "--use-syn-sdc", "warn", "--ignore", "fieldmaps", "t2w"],
    [*PREFIX, "--ignore", "everything"],
    [*PREFIX, "--force", "bbr", "syn-sdc"],
    [*PREFIX, "--force-bbr"],
    [*PREFIX, "--longitudinal"],
    [*PREFIX, "--use-aroma"],
    [*PREFIX, "--derivatives", "/a", "b=/c"],
    [*PREFIX, "--derivatives", "b=/a", "b=/c"],
    [*PREFIX, "--slice-time-ref", "start"],
    [*PREFIX, "--slice-time-ref", "2"],
    [*PREFIX, "--dummy-scans", "x"],
    [*PREFIX, "--level", "minimal", "--anat-only", "--fs-no-reconall"],
    [*PREFIX, "--level", "most"],
    [*PREFIX, "--subject-anatomical-reference", "sessionwise", "--no-track-sessions"],
    [*PREFIX, "--output-layout", "legacy", "--me-output-echos", "--aggregate-session-reports", "2"],
    [*PREFIX, "--fallback-total-readout-time", "estimated", "--bold2anat-dof", "9"],
    [*PREFIX, "--bold2anat-dof", "7"],
    [*PREFIX, "--debug", "all", "--notrack", "-vv", "--random-seed", "7"],
    [*PREFIX, "--participant", "01"],
    [*PREFIX, "--unknown-option"],
    ["--participant-label", "01", *PREFIX],
]


def verdict(arguments: list[str]) -> list[str]:
    """What the installed parser makes of one line: accepted values, or how it refused."""
    from fmriprep.cli.parser import _build_parser

    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            values = vars(_build_parser(prog="fmriprep").parse_args(arguments))
    except SystemExit as leave:
        return ["exit", str(leave.code), out.getvalue(), err.getvalue()]
    except Exception as refusal:
        return ["refused", type(refusal).__name__, str(refusal)]
    return ["accepted", *(f"{key}={told(value)}" for key, value in sorted(values.items())), err.getvalue()]


def told(value: object) -> str:
    """A value in words that mean the same in both processes."""
    if type(value).__name__ == "SpatialReferences":
        cached = value._cached is not None  # type: ignore[attr-defined]
        spaces = [(str(r), r.standard, r.dim) for r in value.references]  # type: ignore[attr-defined]
        return f"{spaces} cached={cached}"
    return repr(value)


def prepare() -> None:
    """Make the files that the lines name."""
    Path(BIDS).mkdir(parents=True, exist_ok=True)
    Path(LICENCE).write_text("licence\n")
    Path(FILTERS).write_text('{"t1w": {"session": null, "run": "*"}, "bold": {"task": ["a", "b"]}}')


if __name__ == "__main__":
    if sys.argv[1:] == ["--light"]:
        from rehearsal_fmriprep.parser import stand_in

        stand_in()
        print(json.dumps([verdict(line) for line in LINES]))
        sys.exit(0)
    prepare()
    import requests

    def offline(*_: object, **__: object) -> None:
        """Keep fMRIPrep from asking for newer releases."""
        raise requests.exceptions.ConnectionError("offline")

    requests.get = offline
    full = [verdict(line) for line in LINES]
    # -S: without the full installation's site-packages the light parser has only what the image carries.
    # fMRIPrep sets NO_ET for its children: the light parser must do without, as in the image.
    env = {key: value for key, value in os.environ.items() if not key.endswith("NO_ET")}
    light = subprocess.run(
        [sys.executable, "-S", __file__, "--light"], stdout=subprocess.PIPE, text=True, check=True, env=env
    ).stdout
    differ = [
        f"{line}\n  full:  {a}\n  light: {b}"
        for line, a, b in zip(LINES, full, json.loads(light), strict=True)
        if a != b
    ]
    print(f"{len(LINES)} command lines, {len(differ)} judged differently", *differ, sep="\n")
    sys.exit(bool(differ))
