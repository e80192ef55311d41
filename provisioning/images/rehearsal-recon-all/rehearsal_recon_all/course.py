"""The course of a rehearsed recon-all: checks, conversion, stages, marks of completion."""

import getpass
import hashlib
import os
import platform
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from rehearsal_common import faults
from rehearsal_common.nifti import Header, UnreadableImageError, read_whole

from rehearsal_recon_all import content, subject
from rehearsal_recon_all.content import MARK, Seed
from rehearsal_recon_all.line import VERSION, Line, RefusedError, check, parse

ASKED_MEMORY = 2 << 30
REMEMBERED = "scripts/rehearsal.digest"
BASE_TPS = "base-tps"
LONG = ".long."
STATUS = "scripts/recon-all-status.log"
EXPERT = "scripts/expert-options"


class FailedError(Exception):
    """A command of the script failed: recon-all.error is written, and the status is 1."""


def main(words: list[str]) -> int:
    """Rehearse one command line; returns the exit status."""
    print(f"{MARK}: recon-all", file=sys.stderr)
    if not words or words[0] in ("-help", "--help", "-h"):
        print("USAGE: recon-all\n  -subjid <subjid> -<process directive> (rehearsal)")
        return 1
    if words[0] in ("-version", "--version"):
        print(VERSION)
        return 0
    try:
        line = parse(words)
        check(line)
        subjects = subjects_dir(line)
        name = subject_name(line, subjects)
        home = subjects / name
        running = prepare(line, subjects, home)
    except RefusedError as refusal:
        print(refusal)
        return 1
    if line.given("-dontrun"):
        print(f"(rehearsal) stages {line.stages or 'none'} of {name}; nothing was run")
        return 0
    return run(line, home, running)


def subjects_dir(line: Line) -> Path:
    """SUBJECTS_DIR, from -sd or the environment; it must exist."""
    value = line.last("-sd") or os.environ.get("SUBJECTS_DIR")
    if not value:
        raise RefusedError("ERROR: SUBJECTS_DIR not set")
    if not Path(value).is_dir():
        raise RefusedError(f"ERROR: SUBJECTS_DIR {value} does not exist.")
    return Path(value)


def subject_name(line: Line, subjects: Path) -> str:
    """The subject's folder; what -long and -base build on must be there, and be of the right kind."""
    if line.given("-long"):
        timepoint, base = line.values["-long"][-1]
        _check_long(timepoint, base, subjects, added=line.given("-addtp"))
        return f"{timepoint}.long.{base}"
    if line.given("-base"):
        for timepoint in line.all("-base-tp"):
            if not (subjects / timepoint).is_dir():
                raise RefusedError(f"ERROR: cannot find timepoint {subjects / timepoint}")
    name = line.last("-base") or line.last("-subject") or ""
    listed = (subjects / name / BASE_TPS).exists()
    if LONG in name:
        raise RefusedError(f"ERROR: {name}: a longitudinal time point is run by -long <tpNid> <templateid>")
    if line.given("-base") and (subjects / name).exists() and not listed:
        raise RefusedError(f"ERROR: -base {name} is an existing regular (cross sectional) run!")
    if listed and not line.given("-base"):
        raise RefusedError(f"ERROR: {name} is an existing base/template; pass -base and all -tp flags")
    return name


def _check_long(timepoint: str, base: str, subjects: Path, *, added: bool) -> None:
    if LONG in timepoint or LONG in base:
        raise RefusedError("ERROR: Detected '.long.' in a subject id!")
    for run in (timepoint, base):
        if not (subjects / run).is_dir():
            raise RefusedError(f"ERROR: cannot find {subjects / run}, which a longitudinal run needs")
    if not (subjects / base / BASE_TPS).is_file():
        raise RefusedError(f"ERROR: file {subjects / base / BASE_TPS} does not exist!")
    listed = timepoints_of(subjects / base)
    if timepoint not in listed and not added:
        raise RefusedError(f"ERROR: {timepoint} is not in {subjects / base / BASE_TPS}")
    if base in listed:
        raise RefusedError("ERROR: Template/base ID cannot be the same as a time point ID")


def timepoints_of(base: Path) -> list[str]:
    """The time points that a template was made of."""
    listed = base / BASE_TPS
    return listed.read_text().split() if listed.is_file() else []


def prepare(line: Line, subjects: Path, home: Path) -> Path:
    """Check the subject's folder, make it, and return the path of its IsRunning file."""
    if line.given("-i") and home.exists():
        raise RefusedError(
            "ERROR: You are trying to re-run an existing subject with (possibly)\n new input data (-i). "
            f"If this is truly what you want to do,\n then delete the subject folder ({home})\n "
            "and run again, or run without -i to use the existing data.\n"
        )
    if not line.given("-i", "-base", "-long") and not home.is_dir():
        raise RefusedError(f"ERROR: cannot find {home}")
    running = home / "scripts" / f"IsRunning.{'+'.join(line.hemispheres)}"
    if running.exists() and not line.given("-noisrunning"):
        raise RefusedError(
            f"ERROR: it appears that recon-all is already running\nfor {home.name} based on the presence of "
            f"{running}. It could\nalso be that recon-all was running at one point but died in an "
            f"unexpected way. If the process has died, you should type:\n\nrm {running}"
        )
    if line.given("-dontrun"):
        return running
    for folder in subject.FOLDERS:
        try:
            (home / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RefusedError(f"ERROR: could not make {home / folder}: {error}") from error
    keep_expert_options(line, home)
    return running


def keep_expert_options(line: Line, home: Path) -> None:
    """Expert options stay with the subject; a later run must say what becomes of them."""
    kept, given = home / EXPERT, line.last("-expert")
    if kept.exists():
        if not given and not line.given("-xopts-use", "-xopts-clean"):
            raise RefusedError(
                "ERROR: there is a pre-existing expert options file: give -xopts-use or -xopts-clean"
            )
        if given and not line.given("-xopts-overwrite"):
            raise RefusedError("ERROR: there is a pre-existing expert options file: give -xopts-overwrite")
    if line.given("-xopts-clean"):
        kept.unlink(missing_ok=True)
    if given:
        kept.write_bytes(Path(given).read_bytes())


def run(line: Line, home: Path, running: Path) -> int:
    """Do the work; leaves recon-all.done in any case, and recon-all.error when it failed."""
    fault = faults.mode(os.environ.get("NEUROCWL_REHEARSAL", ""), home.name, home.name.partition("_")[0])
    scripts = home / "scripts"
    (scripts / "recon-all.error").unlink(missing_ok=True)
    (scripts / "recon-all.done").unlink(missing_ok=True)
    start = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime())
    log = [f"{start}", str(home), " ".join(["recon-all", *line.words]), VERSION, MARK]
    running.write_text(f"{'-' * 30}\nSUBJECT {home.name}\nDATE {start}\nVERSION {VERSION}\n")
    (scripts / "recon-all.env").write_text("".join(f"{k}={os.environ.get(k, '')}\n" for k in ENVIRONMENT))
    (scripts / "build-stamp.txt").write_text(VERSION + "\n")
    ended = faults.ending(fault, ASKED_MEMORY)
    if ended is not None:
        return ended
    facts = {"SUBJECT": home.name, "START_TIME": start, "VERSION": VERSION,
             "CMDPATH": sys.argv[0], "CMDARGS": " ".join(line.words)}  # fmt: skip
    try:
        work(line, home, fault, log)
    except (FailedError, UnreadableImageError) as failure:
        log += [f"ERROR: {failure}", f"recon-all -s {home.name} exited with ERRORS at {now()}"]
        mark(scripts / "recon-all.error", facts, {"CMD": str(failure)})
        (scripts / "recon-all.done").write_text("1\n")
        status = 1
    else:
        log.append(f"recon-all -s {home.name} finished without error at {now()}")
        if fault != "missing-report":
            mark(scripts / "recon-all.done", facts, {"END_TIME": now(), "RUNTIME_HOURS": "0.001"})
        status = 0
    running.unlink(missing_ok=True)
    print("\n".join(log))
    with (scripts / "recon-all.log").open("a") as file:
        file.write("\n".join(log) + "\n")
    return status


ENVIRONMENT = ("FREESURFER_HOME", "SUBJECTS_DIR", "OMP_NUM_THREADS")


def now() -> str:
    """The time as tcsh's `date` prints it."""
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime())


def mark(path: Path, facts: dict[str, str], more: dict[str, str]) -> None:
    """Write a done or error file in FreeSurfer's form."""
    machine = {
        "USER": _user(),
        "HOST": platform.node(),
        "PROCESSOR": platform.machine(),
        "OS": platform.system(),
    }
    rows = [f"{key} {value}" for key, value in {**facts, **more, **machine}.items()]
    path.write_text("-" * 30 + "\n" + "\n".join(rows) + "\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except KeyError:
        return str(os.getuid())


def work(line: Line, home: Path, fault: str, log: list[str]) -> None:
    """Convert the inputs and go through the stages; raises FailedError where a command would fail."""
    licence()
    seed = take_in(line, home)
    if line.given("-base"):
        (home / BASE_TPS).write_text("".join(f"{timepoint}\n" for timepoint in line.all("-base-tp")))
    write(home, subject.converted(line), seed, log)
    for stage in line.stages:
        need = subject.needed(stage)
        if need and not (home / need).exists() and stage == line.stages[0]:
            if stage == 1 and line.given("-base", "-long"):
                write(home, [need], seed, log)
            else:
                raise FailedError(f"autorecon{stage}: could not open {home / need}")
        files = subject.made(stage, line)
        with (home / STATUS).open("a") as told:
            told.write(f"#@# autorecon{stage} {now()}\n")
        if fault == "linger" and stage == 2 and line.given("-i"):  # whoever goes on from here is done with it
            write(home, files[: len(files) // 2], seed, log)
            sys.exit(faults.hang())
        if fault == "fail":
            write(home, files[: len(files) // 2], seed, log)
            raise FailedError("rehearsal fail: a command of the first stage failed")
        if fault == "crash-late":
            files = [file for file in files if file != subject.LAST]
        if fault == "missing-report":
            files = [file for file in files if not file.startswith("surf/rh.")]
        write(home, files, seed, log)
        if stage == 3:
            finish_surfaces(line, home)
    write(home, subject.extra(line), seed, log)
    if line.given("-qcache"):
        link_average(home.parent)
    if fault in ("fail", "crash-late"):
        raise FailedError(f"rehearsal {fault}: the last command failed")


def licence() -> None:
    """FreeSurfer's programs need a licence file: $FS_LICENSE, else $FREESURFER_HOME/license.txt."""
    place = Path(os.environ.get("FS_LICENSE") or Path(os.environ.get("FREESURFER_HOME", "")) / "license.txt")
    if not place.is_file() or not place.read_bytes().strip():
        raise FailedError(f"FreeSurfer license file {place} not found.")


def take_in(line: Line, home: Path) -> Seed:
    """Read the inputs whole; without any, go on from what the subject was made of."""
    images = [Path(path) for path in [*line.all("-i"), *line.all("-T2"), *line.all("-FLAIR")]]
    remembered = home / REMEMBERED
    if not remembered.exists() or images:
        digest = hashlib.sha256(home.name.encode())
        for run in earlier(line, home.parent):
            digest.update((run / REMEMBERED).read_bytes() if (run / REMEMBERED).is_file() else b"")
        for path in images:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        remembered.write_text(digest.hexdigest() + "\n")
    contents = [read_whole(path) for path in images]
    first = contents[0] if contents else None
    if first is None:
        first = EMPTY
    return content.seed(
        remembered.read_text().strip(), first, Header.read(first[:540], remembered), home.name
    )


def earlier(line: Line, subjects: Path) -> list[Path]:
    """The runs that -base and -long start from."""
    long = line.values.get("-long", [()])[-1]
    return [subjects / name for name in (*line.all("-base-tp"), *long)]


def _empty() -> bytes:
    import struct

    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 8, 8, 8, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 2, 8)
    struct.pack_into("<f", header, 108, 352.0)
    return bytes(header) + bytes(range(256)) * 2


EMPTY = _empty()
"""A gradient in 8x8x8 voxels, for a stage that starts without an input image."""


def write(home: Path, files: Iterable[str], seed: Seed, log: list[str]) -> None:
    """Make and write files of the subject, each with a line in the log."""
    for file in files:
        path = home / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.make(file, seed))
        log.append(f"#@# {file}")


def finish_surfaces(line: Line, home: Path) -> None:
    """?h.pial is a link to ?h.pial.T1 (or T2, FLAIR), and fsaverage a link into FreeSurfer's own folder."""
    for hemi in line.hemispheres:
        kind = (
            "T2" if line.given("-T2", "-T2pial") else "FLAIR" if line.given("-FLAIR", "-FLAIRpial") else "T1"
        )
        pial = home / "surf" / f"{hemi}.pial"
        if (home / "surf" / f"{hemi}.pial.{kind}").exists():
            pial.unlink(missing_ok=True)
            pial.symlink_to(f"{hemi}.pial.{kind}")
    link_average(home.parent)


def link_average(subjects: Path) -> None:
    """$SUBJECTS_DIR/fsaverage: an absolute link that leads nowhere outside the container."""
    link = subjects / "fsaverage"
    if not link.exists() and not link.is_symlink():
        link.symlink_to(
            Path(os.environ.get("FREESURFER_HOME", "/usr/local/freesurfer")) / "subjects/fsaverage"
        )
