"""Gather the tables that a macro wrote for each image into one table of each kind. Standard library only.

RESULTS holds batches as imagej_batch.py leaves them: a folder with images.tsv, and a folder for each image, called
as the image. Writes OUT/images.tsv (what became of each image) and, for every kind of table, OUT/KIND.tsv with the
column `image` in front and OUT/KIND.json, its data dictionary. A table's kind is its name without the image's:
nuclei.csv and a_nuclei.csv of the image a.tif are both of the kind nuclei. Tables in folders below the image's are
told apart by a column `folder`. Where a table lacks a column that others have, n/a stands; the data dictionary says
which images lack it. What had to be left out is in OUT/problems.tsv. An image in two batches is an error.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

STATES = "images.tsv"
OWN = ("images", "problems")  # tables that no macro wrote
OURS = ("image", "folder")  # columns that no macro wrote
EXTENSIONS = (".csv", ".tsv")
NOTHING = "n/a"
LARGEST_CELL = 1 << 30  # characters; Python's own limit, 131072, is less than an outline in a cell may have
BETWEEN = "-_. "  # between the parts of a name
SHOWN = 20  # images, by name, that lack a column or are in two batches


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of one image."""

    image: str
    folder: str  # below the image's; empty for the image's own
    name: str
    columns: list[str]
    rows: list[list[str]]
    beyond: list[str]  # cells to the right of the last column

    @property
    def kind(self) -> str:
        """What the table is called, apart from its image."""
        return kind_of(self.name.rpartition(".")[0], self.image)


@dataclasses.dataclass(frozen=True)
class Problem:
    """What of the results is in no table."""

    image: str
    table: str
    problem: str


def batches_below(folder: Path) -> list[Path]:
    """The folders that hold what became of a batch's images."""
    return sorted(
        file.parent
        for file in folder.rglob(STATES)
        if file.is_file() and file.open(encoding="utf-8").readline().startswith("image\tstatus\t")
    )


def states_of(batch: Path) -> tuple[list[str], list[list[str]]]:
    """(columns, rows) of what became of a batch's images: tabs and lines alone divide it, nothing is quoted."""
    lines = (batch / STATES).read_text(encoding="utf-8").split("\n")
    columns, *rows = [line.split("\t") for line in lines if line]
    return columns, [(row + [NOTHING] * len(columns))[: len(columns)] for row in rows]


def in_several(images: Mapping[Path, Collection[str]], root: Path) -> dict[str, list[str]]:
    """The images that more than one batch has, each with those batches."""
    batches: dict[str, list[str]] = {}
    for batch, those in images.items():
        for image in set(those):
            batches.setdefault(image, []).append(batch.relative_to(root).as_posix())
    return {image: found for image, found in sorted(batches.items()) if len(found) > 1}


def tables_of(batch: Path, images: Mapping[Path, Collection[str]]) -> tuple[list[Table], list[Problem]]:
    """The tables of a batch's images, and those that are of no image."""
    tables, problems = [], []
    for file in sorted(batch.rglob("*")):
        if file.suffix.lower() not in EXTENSIONS or not file.is_file() or file == batch / STATES:
            continue
        if any(parent in images and batch in parent.parents for parent in file.parents):
            continue  # another batch's, which lies below this one
        inside = file.relative_to(batch)
        home = next(
            (folder for folder in inside.parents if one_line(folder.as_posix()) in images[batch]), None
        )
        if home is None:
            why = f"lies below no image of {STATES}; left out"
            problems.append(Problem(NOTHING, one_line(inside.as_posix()), why))
            continue
        folder = inside.parent.relative_to(home).as_posix().removeprefix(".")
        tables.append(Table(one_line(home.as_posix()), one_line(folder), file.name, *read(file)))
    return tables, problems


def one_line(text: str) -> str:
    """Text as a cell of a table, as imagej_batch.py writes the names of images."""
    return " ".join(text.split())


def kind_of(stem: str, image: str) -> str:
    """What a table is called, apart from its image."""
    own = image.rpartition("/")[2]
    for name in (own, own.rpartition(".")[0] or own, own.partition(".")[0] or own):
        if stem == name:
            return "results"
        if stem.startswith(name) and stem[len(name)] in BETWEEN:
            return stem[len(name) :].strip(BETWEEN) or "results"
        if stem.endswith(name) and stem[-len(name) - 1] in BETWEEN:
            return stem[: -len(name)].strip(BETWEEN) or "results"
    return stem


def read(file: Path) -> tuple[list[str], list[list[str]], list[str]]:
    """(columns, rows, cells beyond the columns); ImageJ leaves the first column, the row's number, without a name."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:  # older builds of ImageJ write their platform's own letters: the unit µm
        text = file.read_text(encoding="latin-1")
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    if not lines:
        return [], [], []
    columns: list[str] = []
    for name in lines[0]:
        name = one_line(name) or "row"
        name = f"{name}_" if name in OURS else name
        columns.append(name if name not in columns else f"{name}_{len(columns)}")
    rows = []
    for line in lines[1:]:
        cells = [one_line(cell) or NOTHING for cell in line[: len(columns)]]
        rows.append(cells + [NOTHING] * (len(columns) - len(cells)))
    beyond = [one_line(cell) for line in lines[1:] for cell in line[len(columns) :] if cell.strip()]
    return columns, rows, beyond


def gathered(tables: list[Table]) -> tuple[list[str], list[list[str]], dict[str, Any]]:
    """(columns, rows, data dictionary) of tables of one kind."""
    columns = list(dict.fromkeys(name for table in tables for name in table.columns))
    ours = OURS if any(table.folder for table in tables) else OURS[:1]
    rows = []
    for table in tables:
        place = {name: at for at, name in enumerate(table.columns)}
        rows += [
            [
                *(table.image, table.folder or NOTHING)[: len(ours)],
                *(row[place[name]] if name in place else NOTHING for name in columns),
            ]
            for row in table.rows
        ]
    about = ("Path of the image below the input.", "Folder below the image's own in which its table lay.")
    dictionary: dict[str, Any] = {
        name: {"Description": said} for name, said in zip(ours, about, strict=False)
    }
    for name in columns:
        having = sorted({table.image for table in tables if name in table.columns})
        lacking = sorted({table.image for table in tables} - set(having))
        said = "Number of the row in the image's own table." if name == "row" else "As the macro wrote it."
        dictionary[name] = {"Description": said, "Images": len(having)}
        if lacking:
            dictionary[name] |= {"ImagesWithout": len(lacking), "Without": lacking[:SHOWN]}
    return [*ours, *columns], rows, dictionary


def too_long(tables: list[Table]) -> list[Problem]:
    """The tables with rows that are longer than their header."""
    return [
        Problem(
            table.image,
            f"{table.folder}/{table.name}".lstrip("/"),
            f"{len(table.beyond)} cells beyond its {len(table.columns)} columns left out, "
            f"the first is {table.beyond[0][:40]!r}",
        )
        for table in tables
        if table.beyond
    ]


def write(file: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a TSV file."""
    lines = ["\t".join(row) for row in (columns, *rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_dictionary(file: Path, dictionary: Mapping[str, Any]) -> None:
    """Write the data dictionary of a TSV file."""
    file.write_text(json.dumps(dictionary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_problems(out: Path, problems: list[Problem]) -> None:
    """Write problems.tsv and its data dictionary."""
    write(
        out / "problems.tsv", ["image", "table", "problem"], [[p.image, p.table, p.problem] for p in problems]
    )
    about = {
        "image": "Path of the image below the input.",
        "table": "The macro's table.",
        "problem": "What of it is in no table here.",
    }
    write_dictionary(out / "problems.json", {name: {"Description": said} for name, said in about.items()})


def write_kinds(out: Path, tables: list[Table]) -> None:
    """Write a table of each kind, and say what it has."""
    kinds: dict[str, list[Table]] = {}
    for table in sorted(tables, key=lambda one: (one.kind, one.image, one.folder)):
        kinds.setdefault(table.kind, []).append(table)
    for kind, those in kinds.items():
        name = f"{kind}_" if kind in OWN else kind
        columns, rows, dictionary = gathered(those)
        write(out / f"{name}.tsv", columns, rows)
        write_dictionary(out / f"{name}.json", dictionary)
        print(f"{name}.tsv: {len(rows)} rows of {len({table.image for table in those})} images")
        for column, said in dictionary.items():
            if "ImagesWithout" in said:
                first = said["Without"][0]
                print(f"{name}.tsv: {said['ImagesWithout']} images have no column {column}: {first}")


def main() -> int:
    """Gather what the command line names."""
    parser = argparse.ArgumentParser(description="Gather the tables of many images.")
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out-dir", type=Path, required=True, metavar="OUT")
    given = parser.parse_args()
    csv.field_size_limit(LARGEST_CELL)
    given.out_dir.mkdir(parents=True, exist_ok=True)
    batches = batches_below(given.results)
    if not batches:
        print(f"{given.results}: no {STATES} of a batch below it", file=sys.stderr)
        return 1
    states = {batch: states_of(batch) for batch in batches}
    images = {batch: {row[0] for row in rows} for batch, (_, rows) in states.items()}
    twice = in_several(images, given.results)
    if twice:
        named = [f"{image} ({', '.join(found)})" for image, found in twice.items()]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        print(
            f"images in more than one batch, whose rows would count twice: {'; '.join(named[:SHOWN])}{more}; "
            "leave out the batch that is no more",
            file=sys.stderr,
        )
        return 1
    found = [tables_of(batch, images) for batch in batches]
    tables = [table for those, _ in found for table in those]
    problems = [problem for _, those in found for problem in those] + too_long(tables)
    rows = sorted(row for _, those in states.values() for row in those)
    write(given.out_dir / STATES, states[batches[0]][0], rows)
    write_kinds(given.out_dir, tables)
    write_problems(given.out_dir, problems)
    for problem in problems:
        print(f"{problem.image}: {problem.table}: {problem.problem}", file=sys.stderr)
    done = sum(row[1] == "done" for row in rows)
    print(
        f"{len(rows)} images in {len(batches)} batches, {done} done, {len(problems)} problems (problems.tsv)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
