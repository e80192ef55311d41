"""The FreeSurfer subjects that fMRIPrep leaves beside its derivatives: the files that people look for."""

from collections.abc import Iterator
from pathlib import Path

from rehearsal_fmriprep.parser import Options
from rehearsal_fmriprep.tree import Inputs, Output, freesurfer_subject

VOLUMES = ("orig/001", "rawavg", "orig", "T1", "norm", "brainmask", "brain", "aseg", "aparc+aseg", "wm",
           "filled", "ribbon", "wmparc")  # fmt: skip
SURFACES = ("white", "pial", "smoothwm", "inflated", "sphere", "sphere.reg", "curv", "sulc", "thickness",
            "area", "volume", "midthickness")  # fmt: skip


def folder(options: Options) -> Path:
    """SUBJECTS_DIR of a run."""
    if options.subjects_dir:
        return options.subjects_dir
    below = "freesurfer" if options.layout == "legacy" else "sourcedata/freesurfer"
    return options.output_dir / below


def running(inputs: Inputs, options: Options) -> Path | None:
    """The mark of a recon-all that runs, or was cut off: fMRIPrep refuses the subject."""
    home = folder(options) / freesurfer_subject(inputs, options)
    return next(home.glob("scripts/IsRunning*"), None)


def outputs(inputs: Inputs, options: Options) -> Iterator[Output]:
    """Files below SUBJECTS_DIR; none when the subject is there already (fMRIPrep resumes it)."""
    subject = freesurfer_subject(inputs, options)
    sources = tuple(image.path for image in inputs.t1w)
    if not (folder(options) / subject).exists():
        paths = [f"mri/{volume}.mgz" for volume in VOLUMES]
        for hemi in ("lh", "rh"):
            paths += [f"surf/{hemi}.{surface}" for surface in SURFACES]
            paths += [f"label/{hemi}.cortex.label", f"label/{hemi}.aparc.annot", f"stats/{hemi}.aparc.stats"]
        paths += ["mri/transforms/talairach.lta", "stats/aseg.stats"]
        paths += ["scripts/recon-all.log", "scripts/recon-all.done"]
        for path in paths:
            yield Output(f"{subject}/{path}", sources)
    averages = {"fsaverage"} | {space.name for space in options.spaces if space.name.startswith("fsaverage")}
    for average in sorted(averages):
        if not (folder(options) / average).exists():
            for path in ("surf/lh.sphere.reg", "surf/rh.sphere.reg", "label/rh.FG1.mpm.vpnl.label"):
                yield Output(f"{average}/{path}", ())
