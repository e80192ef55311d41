"""The paths that fMRIPrep 25.2 writes for given options and inputs, each with the inputs it comes from.

Read in fMRIPrep 25.2.7, sMRIPrep 0.19.5 and SDCFlows 2.16.0, and compared with the lists of expected outputs
that upstream's own tests use.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from rehearsal_fmriprep.dataset import Image
from rehearsal_fmriprep.fieldmaps import Fieldmap
from rehearsal_fmriprep.parser import Options, Space

ANAT = ("sub", "ses", "acq", "ce", "rec", "run")
FUNC = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part")
FMAP = ("sub", "ses", "acq", "dir", "run", "part")
NATIVE = {"func", "run", "bold", "boldref", "sbref"}
REGISTERED = Space("MNI152NLin2009cAsym")
"""fMRIPrep always registers to this template: its carpet plots need it."""


@dataclass(frozen=True, slots=True)
class Output:
    """One file below the derivatives folder, and the images that it is derived from."""

    path: str
    sources: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one workflow of one participant reads."""

    participant: str
    sessions: tuple[str, ...]
    t1w: tuple[Image, ...]
    t2w: tuple[Image, ...]
    series: tuple[tuple[Image, ...], ...]
    fieldmaps: dict[str, Fieldmap]


def name(images: Iterable[Image], keys: tuple[str, ...], datatype: str, drop: Iterable[str] = ()) -> str:
    """The beginning of an output's path: what the names of its sources have in common.

    sub-01/ses-1/anat/sub-01_ses-1_acq-x for one T1w; without what differs for several.
    """
    first, *others = [dict(image.entities) for image in images]
    common = {k: v for k, v in first.items() if all(o.get(k) == v for o in others) and k not in drop}
    stem = "_".join(f"{key}-{common[key]}" for key in keys if key in common)
    folder = f"sub-{common['sub']}/" + (f"ses-{common['ses']}/" if "ses" in common else "")
    return f"{folder}{datatype}/{stem}"


def derivatives(inputs: Inputs, options: Options) -> list[Output]:
    """Everything below the derivatives folder but reports, logs and what all participants share."""
    found = list(anatomical(inputs, options))
    if not options.anat_only:
        for fieldmap in {f.identifier: f for f in inputs.fieldmaps.values()}.values():
            found += fieldmap_outputs(fieldmap)
        for echoes in inputs.series:
            found += functional(echoes, inputs.fieldmaps.get(str(echoes[0].path)), options)
    return found


def anatomical(inputs: Inputs, options: Options) -> Iterator[Output]:
    """What the anatomical workflow writes."""
    sources = tuple(image.path for image in inputs.t1w)
    base = name(inputs.t1w, ANAT, "anat")
    full = options.level == "full"
    tails = ["desc-preproc_T1w.json", "desc-preproc_T1w.nii.gz", "desc-brain_mask.json",
             "desc-brain_mask.nii.gz", "dseg.nii.gz", *_probabilities()]  # fmt: skip
    for template in _templates(options):
        tails += [f"from-{template}_to-T1w_mode-image_xfm.h5", f"from-T1w_to-{template}_mode-image_xfm.h5"]
    if options.reconall:
        tails += _surfaces(options, full)
    if full:
        for space in _volumes(options):
            tails += _template_volumes(space)
    for tail in tails:
        yield Output(f"{base}_{tail}", sources)
    if len(inputs.t1w) > 1:
        for image in inputs.t1w:
            path = f"{name([image], ANAT, 'anat')}_from-orig_to-T1w_mode-image_xfm.txt"
            yield Output(path, (image.path,))
    if options.reconall and inputs.t2w:
        base = name(inputs.t2w, ANAT, "anat")
        for tail in ("desc-preproc_T2w.json", "desc-preproc_T2w.nii.gz"):
            yield Output(f"{base}_{tail}", tuple(image.path for image in inputs.t2w))


def functional(echoes: tuple[Image, ...], fieldmap: Fieldmap | None, options: Options) -> Iterator[Output]:
    """What the workflow of one BOLD series writes; several echoes are one series."""
    sources = tuple(image.path for image in echoes)
    drop = () if options.echo is not None else ("echo",)
    base = name(echoes[:1], FUNC, "func", drop)
    # Transforms lose the part entity as well.
    xfm = name(echoes[:1], FUNC, "func", (*drop, "part"))
    multi_echo = len(echoes) > 2
    full = options.level == "full"
    tails = [*_image("desc-hmc_boldref"), *_image("desc-coreg_boldref"), *_image("desc-brain_mask")]
    transforms = ["from-orig_to-boldref_mode-image_desc-hmc", "from-boldref_to-T1w_mode-image_desc-coreg"]
    if fieldmap:
        transforms.append(f"from-boldref_to-{fieldmap.fmapid}_mode-image_desc-fmap")
    for transform in transforms:
        for extension in ("txt", "json"):
            yield Output(f"{xfm}_{transform}_xfm.{extension}", sources)
    if multi_echo and options.echo_outputs and options.level != "minimal":
        for image in echoes:
            for tail in _image("desc-preproc_bold"):
                yield Output(f"{name([image], FUNC, 'func')}_{tail}", (image.path,))
    if full:
        tails += ["desc-confounds_timeseries.tsv", "desc-confounds_timeseries.json"]
        if NATIVE & {space.name for space in options.spaces}:
            tails += _image("desc-preproc_bold")
            tails += _image("space-boldref_T2starmap") if multi_echo else []
        for space in [Space("T1w")] * _wants_t1w(options) + list(_volumes(options)):
            label = _label(space)
            kinds = ["boldref", "desc-brain_mask", "desc-preproc_bold"] + ["T2starmap"] * multi_echo
            tails += [tail for kind in kinds for tail in _image(f"{label}_{kind}")]
        tails += _surface_series(options)
    for tail in tails:
        yield Output(f"{base}_{tail}", sources)


def fieldmap_outputs(fieldmap: Fieldmap) -> Iterator[Output]:
    """What the estimation of one fieldmap writes."""
    sources = tuple(image.path for image in fieldmap.sources)
    base = f"{name(fieldmap.sources, FMAP, 'fmap')}_fmapid-{fieldmap.fmapid}"
    for tail in ("brain_mask.nii.gz", "coeff_fieldmap.nii.gz", f"{fieldmap.reference}_fieldmap.nii.gz",
                 "preproc_fieldmap.json", "preproc_fieldmap.nii.gz"):  # fmt: skip
        yield Output(f"{base}_desc-{tail}", sources)


def figures(inputs: Inputs, options: Options) -> Iterator[Output]:
    """Pictures and texts that the report shows; a selection of upstream's."""
    sources = tuple(image.path for image in inputs.t1w)
    base = f"sub-{inputs.participant}/figures/{name(inputs.t1w, ANAT, 'anat').rpartition('/')[2]}"
    tails = ["desc-about_T1w.html", "desc-summary_T1w.html", "desc-conform_T1w.html", "dseg.svg"]
    tails += ["desc-reconall_T1w.svg"] * options.reconall
    tails += [f"space-{_template_name(space)}_T1w.svg" for space in _volumes(options)]
    for tail in tails:
        yield Output(f"{base}_{tail}", sources)
    for echoes in () if options.anat_only else inputs.series:
        stem = name(echoes[:1], FUNC, "func", ("echo",)).rpartition("/")[2]
        tails = ["desc-summary_bold.html", "desc-validation_bold.html", "desc-coreg_bold.svg"]
        if options.level == "full":
            tails += [f"desc-{d}_bold.svg" for d in ("carpetplot", "compcorvar", "confoundcorr", "rois")]
        tails += ["desc-sdc_bold.svg"] * (str(echoes[0].path) in inputs.fieldmaps)
        for tail in tails:
            yield Output(f"sub-{inputs.participant}/figures/{stem}_{tail}", (echoes[0].path,))


def reports(inputs: Inputs, options: Options) -> list[str]:
    """Names of the HTML reports: one for a participant, unless it has many sessions or each stands alone."""
    participant, sessions = f"sub-{inputs.participant}", inputs.sessions
    if options.reference == "sessionwise" and sessions:
        return [f"{participant}_ses-{session}.html" for session in sessions]
    if len(sessions) <= options.sessions_per_report:
        return [f"{participant}.html"]
    return [f"{participant}_anat.html", *(f"{participant}_ses-{session}_func.html" for session in sessions)]


def log_folder(participant: str, sessions: tuple[str, ...], options: Options, run: str) -> str:
    """Where a run keeps its configuration and crash files: sub-01/log/RUN, or sub-01/ses-1/log/RUN."""
    if not sessions or not (options.track_sessions or options.reference == "sessionwise"):
        return f"sub-{participant}/log/{run}"
    joined = "-".join(sessions)
    if len(sessions) > 1 and len(joined) > 10:
        joined = f"multi-{blake2b(joined.encode(), digest_size=2).hexdigest()}"
    return f"sub-{participant}/ses-{joined}/log/{run}"


def shared(options: Options, finished: bool = True) -> list[str]:
    """Files at the root of the derivatives that every participant's run writes."""
    citations = ["md"] if options.markdown_only else ["bib", "html", "md", "tex"]
    tables = ["desc-aparcaseg_dseg.tsv", "desc-aseg_dseg.tsv"] if options.reconall and finished else []
    return [".bidsignore", "dataset_description.json", *(f"logs/CITATION.{c}" for c in citations), *tables]


def freesurfer_subject(inputs: Inputs, options: Options) -> str:
    """The name of the FreeSurfer subject: sub-01, or sub-01_ses-1 where one session's T1w is the anatomy."""
    sessions = {image.get("ses") for image in inputs.t1w}
    session = sessions.pop() if len(sessions) == 1 else None
    tracked = options.track_sessions or options.reference == "sessionwise"
    return f"sub-{inputs.participant}" + (f"_ses-{session}" if session and tracked else "")


def _image(stem: str) -> list[str]:
    return [f"{stem}.json", f"{stem}.nii.gz"]


def _probabilities(prefix: str = "") -> list[str]:
    return [f"{prefix}label-{tissue}_probseg.nii.gz" for tissue in ("CSF", "GM", "WM")]


def _volumes(options: Options) -> Iterator[Space]:
    return (space for space in options.spaces if space.standard and space.dimensions == 3)


def _wants_t1w(options: Options) -> bool:
    return bool({"anat", "T1w"} & {space.name for space in options.spaces})


def _templates(options: Options) -> list[str]:
    """Templates that a run registers to: those asked for, its own, and the one that CIFTI needs."""
    wanted = [*_volumes(options), REGISTERED] + [Space("MNI152NLin6Asym")] * bool(options.cifti)
    return list(dict.fromkeys(_template_name(space) for space in wanted))


def _template_name(space: Space) -> str:
    return f"{space.name}+{space.cohort}" if space.cohort else space.name


def _label(space: Space) -> str:
    parts = {"space": space.name, "cohort": space.cohort, "res": space.resolution, "den": space.density}
    return "_".join(f"{key}-{value}" for key, value in parts.items() if value)


def _template_volumes(space: Space) -> list[str]:
    label = _label(space)
    # Only a resolution other than the template's own gives the segmentation something to say in a sidecar.
    dseg = [f"{label}_dseg.nii.gz"] + [f"{label}_dseg.json"] * bool(space.resolution)
    return [*_image(f"{label}_desc-brain_mask"), *_image(f"{label}_desc-preproc_T1w"), *dseg,
            *_probabilities(f"{label}_")]  # fmt: skip


def _surfaces(options: Options, full: bool) -> list[str]:
    tails = ["from-T1w_to-fsnative_mode-image_xfm.txt", "from-fsnative_to-T1w_mode-image_xfm.txt",
             *_image("desc-ribbon_mask")]  # fmt: skip
    grayordinates = f"space-fsLR_den-{'32k' if options.cifti == '91k' else '59k'}"
    for hemi in ("hemi-L", "hemi-R"):
        tails += [f"{hemi}_{surface}.surf.gii" for surface in ("white", "pial", "midthickness", "sphere")]
        tails += [f"{hemi}_{metric}.shape.gii" for metric in ("thickness", "sulc")]
        tails += [f"{hemi}_space-{s}_desc-reg_sphere.surf.gii" for s in ("fsaverage", "fsLR")]
        tails += [f"{hemi}_space-fsLR_desc-msmsulc_sphere.surf.gii"] * options.msm
        tails += [f"{hemi}_desc-cortex_mask.{extension}" for extension in ("json", "label.gii")]
        if full:
            tails += [f"{hemi}_inflated.surf.gii", f"{hemi}_curv.shape.gii"]
        if full and options.cifti:
            tails += [f"{hemi}_{grayordinates}_{s}.surf.gii" for s in ("white", "pial", "midthickness")]
    if full:
        tails += ["desc-aseg_dseg.nii.gz", "desc-aparcaseg_dseg.nii.gz"]
    if full and options.cifti:
        for metric in ("curv", "sulc", "thickness"):
            stem = f"space-fsLR_den-{options.cifti}_{metric}"
            tails += [f"{stem}.dscalar.nii", f"{stem}.json"]
    return tails


def _surface_series(options: Options) -> list[str]:
    tails: list[str] = []
    if not options.reconall:
        return tails
    flat = [space for space in options.spaces if space.name == "fsnative" or space.dimensions == 2]
    labels = [
        f"space-{space.name}" if space.name.startswith("fs") and space.name != "fsLR" else _label(space)
        for space in flat
    ]
    for hemi in ("hemi-L", "hemi-R"):
        tails += [f"{hemi}_{label}_bold.{end}" for label in labels for end in ("func.gii", "json")]
    others = [space for space in flat if not space.name.startswith(("fsaverage", "fsnative"))]
    if options.goodvoxels and (options.cifti or others):
        tails.append("space-T1w_desc-goodvoxels_mask.nii.gz")
    if options.cifti:
        stem = f"space-fsLR_den-{options.cifti}_bold"
        tails += [f"{stem}.dtseries.nii", f"{stem}.json"]
    return tails
