"""Run a user's Nipype script for one participant, and tell honestly how it ended. Beside nipype_s3, in the container.

The script is called as a BIDS App is: SCRIPT BIDS_DIR OUTPUT_DIR participant --participant-label LABEL, and finds the
same, and more, in its environment (see `environment`). Needs the standard library alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

OUTPUTS, CRASH = "outputs", "crash"
SHARED = ("dataset_description.json",)
# Nipype reads nipype.cfg from the folder in which it is imported; a script's own settings come after it.
SETTINGS = """\
[execution]
crashdump_dir = {crash}
crashfile_format = txt
check_version = false
poll_sleep_duration = 0.2
"""


def parser() -> argparse.ArgumentParser:
    """What cwl/tools/nipype-script.cwl says."""
    made = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    made.add_argument("--script", type=Path, required=True)
    made.add_argument("--bids-dir", type=Path, required=True)
    made.add_argument("--participant-label", required=True)
    made.add_argument("--work-dir", type=Path, required=True)
    made.add_argument("--modules", type=Path)
    made.add_argument("--cpus", type=int, required=True)
    made.add_argument("--memory-mib", type=int, required=True)
    made.add_argument("words", nargs="*", help="further arguments for the script, after --")
    return made


def environment(asked: argparse.Namespace, outputs: Path) -> dict[str, str]:
    """What a script finds in its environment besides what is there."""
    memory_gb = asked.memory_mib / 1024
    ours = str(Path(__file__).resolve().parent)
    folders = [ours, *([str(asked.modules)] if asked.modules else []), os.environ.get("PYTHONPATH", "")]
    return {
        "BIDS_DIR": str(asked.bids_dir),
        "OUTPUT_DIR": str(outputs),
        "PARTICIPANT_LABEL": asked.participant_label,
        "WORK_DIR": str(asked.work_dir),
        "PLUGIN_ARGS": json.dumps({"n_procs": asked.cpus, "memory_gb": round(memory_gb, 2)}),
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "NIPYPE_CONFIG_DIR": str(asked.work_dir / "nipype"),
        "NIPYPE_NO_ET": "1",  # no telemetry
        "NO_ET": "1",
    }


def run(asked: argparse.Namespace, outputs: Path) -> int:
    """Run the script in its work folder; returns its exit code."""
    asked.work_dir.mkdir(parents=True, exist_ok=True)
    (asked.work_dir / "nipype.cfg").write_text(SETTINGS.format(crash=outputs / CRASH), encoding="utf-8")
    command = [sys.executable, str(asked.script), str(asked.bids_dir), str(outputs), "participant"]
    command += ["--participant-label", asked.participant_label, *asked.words]
    done = subprocess.run(
        command, env={**os.environ, **environment(asked, outputs)}, cwd=asked.work_dir, check=False
    )
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def collect_crashes(work: Path, outputs: Path) -> list[Path]:
    """Every crash file, brought together among the outputs: a script may have set a place of its own."""
    stray = [file for folder in (work, outputs) for file in folder.rglob("crash-*") if is_crash(file)]
    for file in stray:
        if file.parent != outputs / CRASH:
            (outputs / CRASH).mkdir(exist_ok=True)
            shutil.move(file, outputs / CRASH / file.name)
    return sorted((outputs / CRASH).glob("*"))


def is_crash(file: Path) -> bool:
    """Whether a file is named as Nipype names crash files: crash-DATE-TIME-USER-NODE-ID."""
    return re.fullmatch(r"crash-\d{8}-\d{6}-.+\.(txt|pklz)", file.name) is not None and file.is_file()


def told(crash: Path) -> str:
    """The node and the error of a crash file."""
    if crash.suffix != ".txt":
        return crash.name
    lines = [line.strip() for line in crash.read_text(errors="replace").splitlines() if line.strip()]
    node = next((line for line in lines if line.startswith("Node: ")), crash.name)
    raised = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Refused)\b", line)]
    return f"{node}: {(raised or lines or ['no reason'])[-1]}"


def problems(outputs: Path, label: str, crashes: Sequence[Path]) -> Iterator[str]:
    """What is wrong with the outputs, whatever the exit code says."""
    files = [
        path.relative_to(outputs).as_posix()
        for path in outputs.rglob("*")
        if path.is_file() and path.parent != outputs / CRASH
    ]
    if not files and not crashes:
        yield "the script wrote nothing to OUTPUT_DIR"
    own = re.compile(rf"(?<![A-Za-z0-9]){re.escape(label)}(?![A-Za-z0-9])")
    for file in sorted(files):
        if file not in SHARED and not own.search(file):
            yield (
                f"{file} does not name participant {label}: the next one's would replace it; "
                f"give the sink container='sub-{label}'"
            )
            break
    for crash in crashes:
        yield told(crash)


def main(argv: Sequence[str] | None = None) -> int:
    """Run and judge; returns the script's exit code, or 1 for outputs that are none."""
    asked = parser().parse_args(argv)
    outputs = Path(OUTPUTS).resolve()
    outputs.mkdir()
    code = run(asked, outputs)
    crashes = collect_crashes(asked.work_dir, outputs)
    found = list(problems(outputs, asked.participant_label, crashes))
    for line in found if code == 0 or crashes else []:
        print(f"nipype-script: {line}", file=sys.stderr)
    return code or (1 if found else 0)


if __name__ == "__main__":
    sys.exit(main())
