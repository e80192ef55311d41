"""The files of a FreeSurfer 7.3 subject, by the stage that makes them."""

from rehearsal_recon_all.line import Line

QCACHE_MEASURES = ("thickness", "area", "area.pial", "volume", "curv", "sulc", "white.K", "white.H",
                   "jacobian_white", "w-g.pct.mgh")  # fmt: skip
QCACHE_WIDTHS = ("0", "5", "10", "15", "20", "25")
EXVIVO = ("BA1", "BA2", "BA3a", "BA3b", "BA4a", "BA4p", "BA6", "BA44", "BA45", "V1", "V2", "MT", "entorhinal",
          "perirhinal")  # fmt: skip
VOLUMES_2 = ("norm", "ctrl_pts", "aseg.auto_noCCseg", "aseg.auto", "aseg.presurf", "brain",
             "brain.finalsurfs", "antsdn.brain", "wm.seg", "wm.asegedit", "wm", "filled")  # fmt: skip
SURFACES_2 = ("orig.nofix", "smoothwm.nofix", "inflated.nofix", "qsphere.nofix", "orig.premesh", "orig",
              "white.preaparc", "smoothwm", "inflated", "sulc", "inflated.H", "inflated.K",
              "white.preaparc.H", "white.preaparc.K")  # fmt: skip
TOUCHES_2 = ("tessellate", "smoothwm1", "inflate1", "topofix", "white")
SURFACES_3 = ("sphere", "sphere.reg", "jacobian_white", "avg_curv", "white", "white.H", "white.K", "pial.T1",
              "curv", "curv.pial", "area", "area.mid", "area.pial", "thickness", "volume",
              "w-g.pct.mgh")  # fmt: skip
ANNOTATIONS = ("aparc", "aparc.a2009s", "aparc.DKTatlas", "BA_exvivo", "BA_exvivo.thresh", "mpm.vpnl")
TABLES = ("curv", "aparc", "aparc.pial", "aparc.a2009s", "aparc.DKTatlas", "BA_exvivo", "BA_exvivo.thresh",
          "w-g.pct")  # fmt: skip
TOUCHES_3 = ("sphmorph", "sphreg", "aparc", "pial", "aparcstats")
VOLUMES_3 = ("ribbon", "aseg.presurf.hypos", "aseg", "aparc+aseg", "aparc.a2009s+aseg", "aparc.DKTatlas+aseg",
             "wmparc")  # fmt: skip
COLOURS = ("aparc.annot", "aparc.annot.a2009s", "aparc.annot.DKTatlas", "BA_exvivo", "BA_exvivo.thresh")
FOLDERS = ("label", "mri/orig", "mri/transforms", "scripts", "stats", "surf", "tmp", "touch", "trash")
LAST = "stats/wmparc.stats"
"""What a full run makes last; crash-late leaves it out."""


def converted(line: Line) -> list[str]:
    """What the inputs become, whatever the stage: mri/orig/001.mgz and on, T2raw, FLAIRraw."""
    made = [f"mri/orig/{number:03d}.mgz" for number in range(1, len(line.all("-i")) + 1)]
    made += ["mri/orig/T2raw.mgz"] * line.given("-T2")
    made += ["mri/orig/FLAIRraw.mgz"] * line.given("-FLAIR")
    return made


def needed(stage: int) -> str | None:
    """The file without which a stage fails at once."""
    return {1: "mri/orig/001.mgz", 2: "mri/brainmask.mgz", 3: "mri/wm.mgz"}.get(stage)


def made(stage: int, line: Line) -> list[str]:
    """What one of autorecon1, 2, 3 makes, in the order of the work."""
    return {1: _first, 2: _second, 3: _third}[stage](line)


def _first(line: Line) -> list[str]:
    transforms = ("talairach.auto.xfm", "talairach.auto.xfm.lta", "talairach.xfm", "talairach.xfm.lta",
                  "talairach_avi.log", "talairach_with_skull.lta")  # fmt: skip
    volumes = ("rawavg", "orig", "orig_nu", "nu", "T1", "brainmask.auto", "brainmask")
    touches = ("rawavg", "conform", "talairach", "nu", "inorm1", "skull.lta", "skull_strip")
    return [
        *(f"mri/{volume}.mgz" for volume in volumes[:2]),
        *(f"mri/transforms/{file}" for file in transforms),
        *(f"mri/{volume}.mgz" for volume in volumes[2:]),
        *(f"touch/{touch}.touch" for touch in touches),
    ]


def _second(line: Line) -> list[str]:
    files = [f"mri/transforms/{file}" for file in ("talairach.lta", "talairach.m3z", "cc_up.lta")]
    files += [f"mri/{volume}.mgz" for volume in VOLUMES_2]
    files += ["mri/segment.dat"]
    if line.given("-autorecon2-volonly"):
        return files
    for hemi in line.hemispheres:
        files += [f"surf/{hemi}.{surface}" for surface in SURFACES_2]
        files += [f"label/{hemi}.cortex.label", f"label/{hemi}.cortex+hipamyg.label"]
        files += [f"touch/{hemi}.{touch}.touch" for touch in TOUCHES_2]
    return files


def _third(line: Line) -> list[str]:
    t2, flair = line.given("-T2", "-T2pial"), line.given("-FLAIR", "-FLAIRpial")
    files: list[str] = []
    for hemi in line.hemispheres:
        files += [f"surf/{hemi}.{surface}" for surface in SURFACES_3]
        files += [f"surf/{hemi}.pial.T2"] * t2 + [f"surf/{hemi}.pial.FLAIR"] * flair
        files += [f"surf/{hemi}.pial_lgi"] * line.given("-lgi")
        files += [f"label/{hemi}.{annotation}.annot" for annotation in ANNOTATIONS]
        for area in EXVIVO:
            files += [f"label/{hemi}.{area}_exvivo.label", f"label/{hemi}.{area}_exvivo.thresh.label"]
        files += [f"stats/{hemi}.{table}.stats" for table in TABLES]
        files += [f"mri/{hemi}.ribbon.mgz"]
        files += [f"touch/{hemi}.{touch}.touch" for touch in TOUCHES_3]
    files += [f"mri/{volume}.mgz" for volume in VOLUMES_3]
    files += ["mri/T2.mgz"] * t2 + ["mri/FLAIR.mgz"] * flair
    files += [f"label/{table}.ctab" for table in COLOURS]
    return [*files, "stats/brainvol.stats", "stats/aseg.stats", LAST]


def extra(line: Line) -> list[str]:
    """What single flags add: -qcache, -subfields, -brainstem-structures."""
    files: list[str] = []
    if line.given("-qcache"):
        target = line.last("-target") or "fsaverage"
        widths = [line.last("-fwhm") or ""] if line.given("-fwhm") else list(QCACHE_WIDTHS)
        for hemi in line.hemispheres:
            for measure in line.all("-measure") or QCACHE_MEASURES:
                files.append(f"surf/{hemi}.{measure}.{target}.mgh")
                files += [f"surf/{hemi}.{measure}.fwhm{width}.{target}.mgh" for width in widths]
    if line.given("-subfields", "-hippo-subfields"):
        for hemi in line.hemispheres:
            files += [f"mri/{hemi}.hippoAmygLabels-T1.v22.mgz", f"stats/hipposubfields.{hemi}.T1.v22.stats"]
    if line.given("-subfields", "-brainstem-structures"):
        files += ["mri/brainstemSsLabels.v13.mgz", "stats/brainstem.v13.stats"]
    return files
