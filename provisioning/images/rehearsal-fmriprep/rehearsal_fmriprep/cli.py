"""The rehearsal's course: the command line, the licence, the dataset, the outputs, the exit status.

Exit statuses are fMRIPrep's: 0; 1 for a crashed node or data that are not there; 2 usage; 126 no licence.
"""

import dataclasses
import os
import sys
import time
import traceback
import uuid
from collections.abc import Iterable
from pathlib import Path

from rehearsal_common import faults
from rehearsal_common.nifti import UnreadableImageError

from rehearsal_fmriprep import content, dataset, fieldmaps, freesurfer, tree
from rehearsal_fmriprep.content import Source
from rehearsal_fmriprep.parser import Options, parse
from rehearsal_fmriprep.tree import Inputs, Output

VERSION = "25.2.7"
NO_LICENCE = 126
DEFAULT_MEMORY_GB = 2.0


class NodeCrashError(Exception):
    """A step of the workflow failed: a crash file, a report all the same, and status 1."""


def main(arguments: list[str]) -> int:
    """Rehearse one command line."""
    say(f"REHEARSAL of fMRIPrep {VERSION}: real command line, invented results.")
    options = parse(arguments)
    try:
        check(options)
        labels = dataset.participants(options.bids_dir, options.participants)
        return max(participant(label, options, arguments) for label in labels)
    except dataset.NoSuchDataError as missing:
        say(f"ERROR: {missing}")
        return 1


def say(line: str) -> None:
    """Print a line as fMRIPrep logs it."""
    print(f"{time.strftime('%y%m%d-%H:%M:%S')},rehearsal: {line}", flush=True)


def check(options: Options) -> None:
    """The checks that fMRIPrep makes after its parser; they end the process as fMRIPrep would."""
    if {"bbr", "no-bbr"} <= set(options.force):
        raise ValueError("Cannot force and disable boundary-based registration at the same time.")
    if "fmap-jacobian" in set(options.force) & set(options.ignore):
        raise ValueError("Cannot force and ignore fieldmap Jacobian correction.")
    if options.output_dir == options.bids_dir:
        usage("The selected output folder is the same as the input BIDS folder.")
    work = options.work_dir or Path("work").absolute()
    if options.bids_dir in work.parents:
        usage("The selected working directory is a subdirectory of the input BIDS folder.")
    work.mkdir(parents=True, exist_ok=True)
    licence = options.licence or _environment_licence()
    if licence is None or not licence.is_file() or not licence.read_bytes().strip():
        say(
            "ERROR: a valid license file is required for FreeSurfer to run. fMRIPrep looked for an existing "
            "license file at several paths, in this order: 1) command line argument --fs-license-file; "
            "2) $FS_LICENSE environment variable; and 3) the $FREESURFER_HOME/license.txt path."
        )
        sys.exit(NO_LICENCE)


def usage(problem: str) -> None:
    """End with 2, as argparse does."""
    print(f"fmriprep: error: {problem}", file=sys.stderr)
    sys.exit(2)


def _environment_licence() -> Path | None:
    if os.environ.get("FS_LICENSE"):
        return Path(os.environ["FS_LICENSE"])
    home = os.environ.get("FREESURFER_HOME")
    return Path(home) / "license.txt" if home else None


def participant(label: str, options: Options, arguments: list[str]) -> int:
    """Rehearse one participant; returns the exit status."""
    fault = faults.mode(os.environ.get("NEUROCWL_REHEARSAL", ""), label)
    ended = faults.ending(fault, int((options.memory_gb or DEFAULT_MEMORY_GB) * 10**9))
    if ended is not None:
        return ended
    found = dataset.images(options.bids_dir, label)
    every_session = sorted({ses for image in found if (ses := image.get("ses"))})
    # Where sessions are asked for by name, fMRIPrep still counts all when it divides the report.
    sessions = tuple(s for s in every_session if not options.sessions or s in options.sessions)
    run = f"{time.strftime('%Y%m%d-%H%M%S')}_{uuid.uuid4()}"
    _tell_earlier(options)
    errors: list[str] = []
    for group in workflows(sessions, options):
        logs = options.derivatives / tree.log_folder(label, group, options, run)
        inputs = gather(label, group, found, options)
        write(logs / "fmriprep.toml", configuration(options, run, arguments).encode())
        if options.boilerplate_only:
            continue
        try:
            workflow(inputs, options, fault)
        except (NodeCrashError, UnreadableImageError) as crash:
            errors.append(str(crash))
            stamp = time.strftime("%Y%m%d-%H%M%S")
            write(logs / f"crash-{stamp}-root-rehearsal-{uuid.uuid4()}.txt", crash_text(crash).encode())
            say(f"CRITICAL: fMRIPrep failed: {crash}")
    unfinished = bool(errors) or options.boilerplate_only
    for path in tree.shared(options, finished=not unfinished):
        write(options.derivatives / path, shared_content(path).encode())
    if options.boilerplate_only:
        return 0
    if fault not in ("crash-late", "missing-report"):
        counted = tuple(every_session)
        title = gather(label, sessions, found, options)
        pictures = [] if unfinished else [output.path for output in tree.figures(title, options)]
        for name in tree.reports(_with_sessions(title, counted), options):
            write(options.derivatives / name, content.report(name[:-5], pictures, errors).encode())
    if not errors:
        say("fMRIPrep finished successfully! (rehearsal)")
    return int(bool(errors))


def workflows(sessions: tuple[str, ...], options: Options) -> list[tuple[str, ...]]:
    """The sessions of each workflow: all in one, or (anatomical reference sessionwise) each alone."""
    if options.reference == "sessionwise" and sessions:
        return [(session,) for session in sessions]
    return [sessions]


def gather(label: str, sessions: tuple[str, ...], found: list[dataset.Image], options: Options) -> Inputs:
    """Pick the inputs of a workflow; NoSuchDataError when an anatomical image or every BOLD run is missing."""
    own = [image for image in found if image.get("ses") in (None, *sessions)]
    t1w, t2w, bold = (dataset.select(own, kind, options) for kind in ("t1w", "t2w", "bold"))
    if not t1w:
        raise dataset.NoSuchDataError(
            f"No T1w images found for participant {label}. All workflows require T1w images."
        )
    if not bold and not options.anat_only:
        raise dataset.NoSuchDataError(
            f"No BOLD images found for participant {label} and task {options.task or '<all>'}. "
            "All workflows require BOLD images."
        )
    series = [] if options.anat_only else dataset.runs(bold)
    return Inputs(
        participant=label,
        sessions=sessions,
        t1w=tuple(t1w),
        t2w=() if "t2w" in options.ignore else tuple(t2w),
        series=tuple(tuple(echoes) for echoes in series),
        fieldmaps=fieldmaps.plan(own, series, options) if series else {},
    )


def _tell_earlier(options: Options) -> None:
    """Say what of earlier work this run was given: what the real one would go on from."""
    places = [("FreeSurfer", freesurfer.folder(options))] if options.reconall else []
    places += [("derivatives", path) for path in options.earlier]
    for kind, place in places:
        for folder in sorted(path for path in place.glob("sub-*") if path.is_dir()):
            count = sum(file.is_file() for file in folder.rglob("*"))
            say(f"earlier {kind} in {place.name}: {folder.name}, {count} files")


def _with_sessions(inputs: Inputs, sessions: tuple[str, ...]) -> Inputs:
    return dataclasses.replace(inputs, sessions=sessions)


def workflow(inputs: Inputs, options: Options, fault: str) -> None:
    """Read every input whole and write every output; raises UnreadableImageError, or NodeCrashError for a fault."""
    outputs = list(tree.derivatives(inputs, options))
    outputs += tree.figures(inputs, options)
    subjects = list(freesurfer.outputs(inputs, options)) if options.reconall else []
    say(f"sub-{inputs.participant}: {len(inputs.t1w)} T1w, {len(inputs.series)} BOLD series")
    if options.reports_only:
        return
    needed = {path for output in outputs for path in output.sources}
    sources = {path: content.read(path) for path in sorted(needed)}
    if fault == "fail":
        anatomical = [output for output in outputs if "/anat/" in output.path]
        write_all(options.derivatives, anatomical[: len(anatomical) // 2], sources)
        raise NodeCrashError("rehearsal fail: a node of the anatomical workflow crashed")
    if options.reconall and (running := freesurfer.running(inputs, options)):
        raise NodeCrashError(f"FreeSurfer cannot run while {running} is there")
    write_all(freesurfer.folder(options), subjects, sources)
    own = [output for output in subjects if not output.path.startswith("fsaverage")]
    if fault == "linger" and own:  # whoever goes on from here finds them
        sys.exit(faults.hang())
    write_all(options.derivatives, outputs, sources)
    say(f"sub-{inputs.participant}: {len(outputs)} files in {options.derivatives}")
    if fault == "crash-late":
        raise NodeCrashError("rehearsal crash-late: the last node crashed, every other had finished")


def write_all(folder: Path, outputs: Iterable[Output], sources: dict[Path, Source]) -> None:
    """Make and write outputs below a folder."""
    for output in outputs:
        write(folder / output.path, content.make(output, sources))


def write(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def crash_text(crash: Exception) -> str:
    """The text of a crash file."""
    return f"Node: rehearsal\nWorking directory: /tmp/work\n\n{''.join(traceback.format_exception(crash))}"


def configuration(options: Options, run: str, arguments: list[str]) -> str:
    """What fmriprep.toml is read for: run, version, command line (never the licence's content)."""
    words = ", ".join(f'"{word}"' for word in arguments)
    return (
        f'[environment]\nversion = "{VERSION}"\nrehearsal = true\n\n[execution]\nrun_uuid = "{run}"\n'
        f'output_layout = "{options.layout}"\ncommand_line = [{words}]\n'
    )


def shared_content(path: str) -> str:
    """Content of the files that every participant's run writes: the same bytes from each."""
    if path == ".bidsignore":
        patterns = ["*.html", "logs/", "figures/", "*_xfm.*", "*.surf.gii", "*_boldref.nii.gz",
                    "*_bold.func.gii", "*_mixing.tsv", "*_timeseries.tsv"]  # fmt: skip
        return "\n".join(patterns) + "\n"
    if path == "dataset_description.json":
        url = f"https://github.com/nipreps/fmriprep/archive/{VERSION}.tar.gz"
        return content.json_text(
            {
                "Name": "fMRIPrep - fMRI PREProcessing workflow (rehearsal)",
                "BIDSVersion": "1.4.0",
                "DatasetType": "derivative",
                "GeneratedBy": [
                    {"Name": "fMRIPrep", "Version": VERSION, "CodeURL": url},
                    {"Name": "neurocwl rehearsal-fmriprep", "Description": content.MARK},
                ],
            }
        )
    if path.endswith("_dseg.tsv"):
        rows = ["index\tname\tcolor", '0\t"Unknown (rehearsal)"\t#000000', '2\t"Left-White-Matter"\t#f5f5f5']
        return "\n".join(rows) + "\n"
    return f"{content.MARK}\n"
