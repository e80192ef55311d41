"""Gathers the statistics of many FreeSurfer subjects into tables, one row for each subject.

Usage: freesurfer_tables.py RESULTS OUT. RESULTS holds SUBJECT/stats/*.stats, and
SUBJECT/scripts/recon-all.done of those that may have none. Names and values are those of FreeSurfer's
own asegstats2table and aparcstats2table, but what is missing is n/a where they write 0.0, and a file that cannot be
trusted is named in OUT/problems.tsv and left out. Templates of longitudinal runs (a base) get no row. Needs Python 3
alone.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MISSING = "n/a"
NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
NO_NUMBER = re.compile(r"[-+]?(nan|inf|infinity)", re.IGNORECASE)
SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?")
HEMISPHERES = {"lh": "left", "rh": "right"}
OTHER_TABLES = re.compile(r"(brainvol|[lr]h\.curv|[lr]h\.w-g\.pct)\.stats")  # of another form
# measure: (column, what it is, its unit); the measures of aparcstats2table.
PARCELLATION = {
    "area": ("SurfArea", "Area of the white surface", "mm^2"),
    "volume": ("GrayVol", "Grey matter volume", "mm^3"),
    "thickness": ("ThickAvg", "Average thickness", "mm"),
    "thicknessstd": ("ThickStd", "Standard deviation of the thickness", "mm"),
    "meancurv": ("MeanCurv", "Integrated rectified mean curvature", "mm^-1"),
    "gauscurv": ("GausCurv", "Integrated rectified Gaussian curvature", "mm^-2"),
    "foldind": ("FoldInd", "Folding index", "unitless"),
    "curvind": ("CurvInd", "Intrinsic curvature index", "unitless"),
}
SEGMENTATION = {"volume": ("Volume_mm3", "Volume", "mm^3")}
# The measures of the head of a file that asegstats2table takes: (structure, measure) -> column.
WHOLE_BRAIN = {
    **{
        (name, f"{name}Vol"): f"{name}Vol"
        for side in ("lh", "rh", "")
        for name in (f"{side}Cortex", f"{side}CorticalWhiteMatter", f"{side}CerebralWhiteMatter")
    },
    **{
        (name, f"{name}Vol"): f"{name}Vol"
        for name in ("SubCortGray", "TotalGray", "SuperTentorial", "SupraTentorial", "Mask", "BrainSeg")
    },
    **{
        (f"{name}{rest}", f"{name}Vol{rest}"): f"{name}Vol{rest}"
        for name, rest in (
            ("SupraTentorial", "NotVent"),
            ("SupraTentorial", "NotVentVox"),
            ("BrainSeg", "NotVent"),
            ("BrainSeg", "NotVentSurf"),
        )
    },
    **{
        (name, name): name
        for name in (
            *("BrainVol-to-eTIV", "BrainSegVol-to-eTIV", "MaskVol-to-eTIV"),
            *("lhSurfaceHoles", "rhSurfaceHoles", "SurfaceHoles"),
        )
    },
    ("IntraCranialVol", "ICV"): "IntraCranialVol",
    ("EstimatedTotalIntraCranialVol", "eTIV"): "EstimatedTotalIntraCranialVol",
    ("SegmentedTotalIntraCranialVol", "sTIV"): "SegmentedTotalIntracranialVol",
}
# ... and aparcstats2table: in all tables, and in those of one measure.
BESIDE_REGIONS = {
    ("EstimatedTotalIntraCranialVol", "eTIV"): "eTIV",
    ("BrainSegNotVent", "BrainSegVolNotVent"): "BrainSegVolNotVent",
}
CORTEX = {("Cortex", "WhiteSurfArea"): "area", ("Cortex", "MeanThickness"): "thickness"}


class UnusableError(Exception):
    """A file whose numbers cannot be trusted, and why."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One row: what the name of a FreeSurfer subject says."""

    folder: str
    participant: str
    session: str = MISSING
    base: str = ""

    @classmethod
    def named(cls, folder: str) -> Subject:
        """sub-01_ses-1 and its longitudinal run sub-01_ses-1.long.BASE; any other name is the participant's."""
        timepoint, _, base = folder.partition(".long.")
        match = SUBJECT.fullmatch(timepoint)
        if not match:
            return cls(folder, timepoint, base=base)
        return cls(folder, match[1], match[2] or MISSING, base)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one file says; None: no number (nan)."""

    columns: tuple[str, ...]
    regions: Mapping[str, Mapping[str, float | None]]
    measures: Mapping[tuple[str, str], tuple[float | None, str, str]]  # value, words, unit
    rehearsal: bool = False


@dataclass(slots=True)
class Table:
    """Columns in the order of their first file, and the values of each subject."""

    columns: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> description, unit
    rows: dict[Subject, dict[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a reader of the tables must know."""

    subject: str
    file: str
    problem: str


def number(text: str, where: str) -> float | None:
    """A number in C's form; None for nan and inf, which FreeSurfer writes for what it could not compute.

    Raises UnusableError for anything else.
    """
    if NUMBER.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else None
    if NO_NUMBER.fullmatch(text):
        return None
    why = " (a decimal comma)" if re.fullmatch(r"[-+]?\d+,\d+", text) else ""
    raise UnusableError(f"{where}: {text!r} is no number{why}")


def parse(text: str, wanted: Iterable[str]) -> Statistics:
    """Read a .stats file.

    wanted: the columns whose numbers are needed. Raises UnusableError for a file that was cut off, has a region
    twice, lacks a column, or holds what is no number.
    """
    if not text:
        raise UnusableError("the file is empty")
    if not text.endswith("\n"):
        raise UnusableError("the file was cut off in the middle of a line")
    lines = [line.strip() for line in text.split("\n")]
    head = [line for line in lines if line.startswith("#")]
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    columns = next((tuple(line.split()[2:]) for line in head if line.startswith("# ColHeaders")), ())
    if not columns:
        raise UnusableError("the file was cut off before its table (no ColHeaders)")
    lacking = [name for name in ("StructName", *wanted) if name not in columns]
    if lacking:
        raise UnusableError(f"its table has no column {', '.join(lacking)}")
    _check_count(head, rows)
    at = {name: columns.index(name) for name in wanted}
    regions: dict[str, dict[str, float | None]] = {}
    for count, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise UnusableError(f"row {count} has {len(row)} of {len(columns)} columns")
        region = row[columns.index("StructName")]
        if region in regions:
            raise UnusableError(f"{region} is there twice")
        regions[region] = {name: number(row[index], f"{region} {name}") for name, index in at.items()}
    return Statistics(columns, regions, dict(_measures(head)), any("REHEARSAL" in line for line in head))


def _check_count(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    promised = next((line.split()[2] for line in head if re.fullmatch(r"# NRows +\d+", line)), None)
    if promised is not None and int(promised) != len(rows):
        raise UnusableError(f"the file was cut off: it has {len(rows)} of {promised} rows")
    if not rows:
        raise UnusableError("its table has no rows")


def _measures(head: Sequence[str]) -> Iterator[tuple[tuple[str, str], tuple[float | None, str, str]]]:
    seen: set[tuple[str, str]] = set()
    known = {*WHOLE_BRAIN, *BESIDE_REGIONS, *CORTEX}
    for line in head:
        words = [word.strip() for word in line.removeprefix("# Measure ").split(",")]
        key = (words[0], words[1] if len(words) > 1 else "")
        if not line.startswith("# Measure ") or key not in known:
            continue  # such as CortexVol in ?h.aparc.stats, which lacks a comma, and which nobody takes
        if len(words) != 5:
            raise UnusableError(f"{key[1]}: {len(words)} of 5 fields in {line!r} (a decimal comma?)")
        if key in seen:
            raise UnusableError(f"{key[1]} is there twice")
        seen.add(key)
        yield key, (number(words[3], key[1]), words[2], words[4])


def segmentation(name: str, stats: Statistics) -> dict[str, dict[str, tuple[float | None, str, str]]]:
    """measure -> column -> (value, description, unit), as asegstats2table has them."""
    column, words, unit = SEGMENTATION["volume"]
    found = {
        region: (values[column], f"{words} of {region} ({name})", unit)
        for region, values in stats.regions.items()
    }
    for key, value in stats.measures.items():
        if key in WHOLE_BRAIN:
            found[WHOLE_BRAIN[key]] = value
    return {"volume": found}


def parcellation(name: str, stats: Statistics) -> dict[str, dict[str, tuple[float | None, str, str]]]:
    """measure -> column -> (value, description, unit), as aparcstats2table has them."""
    hemi, _, atlas = name.partition(".")
    where = f"in the {HEMISPHERES[hemi]} hemisphere ({atlas})"
    tables = {}
    for measure, (column, words, unit) in PARCELLATION.items():
        found = {
            f"{hemi}_{region}_{measure}": (values[column], f"{words} of {region} {where}", unit)
            for region, values in stats.regions.items()
        }
        for key, (value, said, in_unit) in stats.measures.items():
            if CORTEX.get(key) == measure:
                found[f"{hemi}_{key[1]}_{measure}"] = (value, f"{said} {where}", in_unit)
            elif key in BESIDE_REGIONS:
                found[BESIDE_REGIONS[key]] = (value, said, in_unit)
        tables[measure] = found
    return tables


def gather(results: Path, out: Path) -> tuple[int, int, list[Problem]]:
    """Write all tables; returns how many subjects and tables there are, and what is wrong with the files."""
    marks = ("*/stats/*.stats", "*/scripts/recon-all.done")
    folders = sorted(
        {file.parent.parent for mark in marks for file in results.glob(mark)}, key=lambda f: natural(f.name)
    )
    bases = {Subject.named(folder.name).base for folder in folders}
    subjects = [
        (Subject.named(folder.name), folder)
        for folder in folders
        if folder.name not in bases and not (folder / "base-tps").exists()
    ]
    measured = [(subject, folder) for subject, folder in subjects if any(folder.glob("stats/*.stats"))]
    without = [subject.folder for subject, folder in subjects if (subject, folder) not in measured]
    problems = [Problem(name, MISSING, "no statistics: it has no row in any table") for name in without]
    written = 0
    for prefix, group in (
        ("", [one for one in measured if not one[0].base]),
        ("long_", [one for one in measured if one[0].base]),
    ):
        names = {file.name for _, folder in group for file in (folder / "stats").glob("*.stats")}
        for file in sorted(name for name in names if not OTHER_TABLES.fullmatch(name)):
            written += _tables_of(file, group, out, prefix, problems)
    problems.sort(key=lambda one: (natural(one.subject), one.file))
    write_problems(out, problems)
    return len(subjects), written, problems


def _tables_of(
    file: str, group: Sequence[tuple[Subject, Path]], out: Path, prefix: str, problems: list[Problem]
) -> int:
    """The tables from the files of one name; returns how many."""
    name = file.removesuffix(".stats")
    by_hemisphere = name[:3] in ("lh.", "rh.")
    kind = PARCELLATION if by_hemisphere else SEGMENTATION
    tables = {measure: Table() for measure in kind}
    rehearsal = False
    for subject, folder in group:
        stats = _read(folder / "stats" / file, [column for column, _, _ in kind.values()], subject, problems)
        rehearsal = rehearsal or (stats is not None and stats.rehearsal)
        found = (parcellation if by_hemisphere else segmentation)(name, stats) if stats else {}
        for measure, table in tables.items():
            values = found.get(measure, {})
            for column, (_, words, unit) in values.items():
                table.columns.setdefault(column, (words, unit))
            table.rows[subject] = {column: value for column, (value, _, _) in values.items()}
    written = [(measure, table) for measure, table in tables.items() if table.columns]
    for measure, table in written:
        stem = name.replace(".", "_", 1) if by_hemisphere else name
        write_table(out / f"{prefix}{stem}_{measure}", table, rehearsal=rehearsal)
    if written:
        problems += _short(file, written)
    return len(written)


def _read(file: Path, wanted: list[str], subject: Subject, problems: list[Problem]) -> Statistics | None:
    try:
        if not file.is_file():
            raise UnusableError("missing: others have it")
        return parse(file.read_bytes().decode("utf-8", "replace"), wanted)
    except (UnusableError, OSError) as error:
        problems.append(Problem(subject.folder, file.name, f"{error}; its values are {MISSING}"))
        return None


def _short(file: str, tables: Sequence[tuple[str, Table]]) -> Iterator[Problem]:
    """What usable files lack: columns that others have, and values that are no numbers."""
    first = tables[0][1]
    for subject, values in first.rows.items():
        lacking = [column for column in first.columns if column not in values]
        if values and lacking:
            yield Problem(subject.folder, file, f"short: lacks {_some(lacking)}, which others have")
        nan = [c for _, table in tables for c, value in table.rows[subject].items() if value is None]
        if nan:
            yield Problem(subject.folder, file, f"no number (nan): {_some(list(dict.fromkeys(nan)))}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def write_table(stem: Path, table: Table, *, rehearsal: bool) -> None:
    """Write STEM.tsv and its data dictionary STEM.json."""
    longitudinal = any(subject.base for subject in table.rows)
    keys = ["participant_id", "session_id", *(["base_id"] if longitudinal else [])]
    lines = ["\t".join([*keys, *table.columns])]
    for subject, values in table.rows.items():
        own = [subject.participant, subject.session, *([subject.base] if longitudinal else [])]
        lines.append("\t".join([*own, *(_text(values.get(column)) for column in table.columns)]))
    stem.with_name(f"{stem.name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    about: dict[str, object] = {
        "participant_id": {"Description": "The participant"},
        "session_id": {"Description": f"The session; {MISSING} where there are none"},
    }
    if longitudinal:
        about["base_id"] = {"Description": "The template over time that the values were measured from"}
    about |= {name: {"Description": words, "Units": unit} for name, (words, unit) in table.columns.items()}
    if rehearsal:
        about["rehearsal"] = True
    stem.with_name(f"{stem.name}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _text(value: float | None) -> str:
    return MISSING if value is None else repr(value)


def write_problems(out: Path, problems: Sequence[Problem]) -> None:
    """Write problems.tsv and its data dictionary."""
    lines = ["\t".join(("subject", "file", "problem"))]
    lines += ["\t".join(" ".join(cell.split()) for cell in (p.subject, p.file, p.problem)) for p in problems]
    (out / "problems.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    about = {
        "subject": {"Description": "The FreeSurfer subject"},
        "file": {"Description": "The file of its stats folder"},
        "problem": {"Description": f"What is wrong; the values concerned are {MISSING} in the tables"},
    }
    (out / "problems.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts sub-2 before sub-10."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"(\d+)", text)]


def main(results: Path, out: Path) -> int:
    """Gather, and say what was found; 1 when there are no subjects, or statistics of which none can be used."""
    out.mkdir(parents=True, exist_ok=True)
    subjects, tables, problems = gather(results, out)
    for problem in problems:
        print(f"{problem.subject}: {problem.file}: {problem.problem}", file=sys.stderr)
    print(f"{subjects} subjects, {tables} tables, {len(problems)} problems (problems.tsv)")
    if tables or (subjects and not any(results.glob("*/stats/*.stats"))):
        return 0
    print(f"{results}: no statistics that can be used (SUBJECT/stats/*.stats)", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
