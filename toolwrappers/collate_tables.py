"""Gather the tables that a macro wrote for each image into one table of each kind. Standard library only.

RESULTS holds batches as imagej_batch.py leaves them: a folder with images.tsv, and a folder for each image, called
as the image. Writes OUT/images.tsv (what became of each image) and, for every kind of table, OUT/KIND.tsv with the
column `image` in front and OUT/KIND.json, its data dictionary. A table's kind is its name without the image's:
nuclei.csv and a_nuclei.csv of the image a.tif are both of the kind nuclei. Where a table lacks a column that others
have, n/a stands; the data dictionary says which images lack it.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STATES = "images.tsv"
EXTENSIONS = (".csv", ".tsv")
NOTHING = "n/a"
BETWEEN = "-_. "  # between the parts of a name
SHOWN = 20  # images that lack a column, by name


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of one image."""

    image: str
    kind: str
    columns: list[str]
    rows: list[list[str]]


def batches_below(folder: Path) -> list[Path]:
    """The folders that hold what became of a batch's images."""
    return sorted(
        file.parent
        for file in folder.rglob(STATES)
        if file.is_file() and file.open(encoding="utf-8").readline().startswith("image\tstatus\t")
    )


def tables_of(batch: Path) -> Iterator[Table]:
    """The tables of a batch's images, by image."""
    for file in sorted(batch.rglob("*")):
        if file.suffix.lower() in EXTENSIONS and file.is_file() and file.parent != batch:
            image = file.parent.relative_to(batch).as_posix()
            columns, rows = read(file)
            yield Table(image, kind_of(file.stem, image), columns, rows)


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


def read(file: Path) -> tuple[list[str], list[list[str]]]:
    """(columns, rows) of a table; ImageJ leaves the name of the first column, the row's number, blank."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:  # older builds of ImageJ write their platform's own letters: the unit µm
        text = file.read_text(encoding="latin-1")
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    lines = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(row)]
    if not lines:
        return [], []
    columns: list[str] = []
    for name in lines[0]:
        name = " ".join(name.split()) or "row"
        name = f"{name}_" if name == "image" else name
        columns.append(name if name not in columns else f"{name}_{len(columns)}")
    rows = []
    for line in lines[1:]:
        cells = [" ".join(cell.split()) or NOTHING for cell in line[: len(columns)]]
        rows.append(cells + [NOTHING] * (len(columns) - len(cells)))
    return columns, rows


def gathered(tables: list[Table]) -> tuple[list[str], list[list[str]], dict[str, Any]]:
    """(columns, rows, data dictionary) of tables of one kind."""
    columns = list(dict.fromkeys(name for table in tables for name in table.columns))
    rows = []
    for table in tables:
        place = {name: at for at, name in enumerate(table.columns)}
        rows += [
            [table.image, *(row[place[name]] if name in place else NOTHING for name in columns)]
            for row in table.rows
        ]
    dictionary: dict[str, Any] = {"image": {"Description": "Path of the image below the input."}}
    for name in columns:
        having = sorted({table.image for table in tables if name in table.columns})
        lacking = sorted({table.image for table in tables} - set(having))
        said = "Number of the row in the image's own table." if name == "row" else "As the macro wrote it."
        dictionary[name] = {"Description": said, "Images": len(having)}
        if lacking:
            dictionary[name] |= {"ImagesWithout": len(lacking), "Without": lacking[:SHOWN]}
    return ["image", *columns], rows, dictionary


def write(file: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Write a TSV file."""
    lines = ["\t".join(row) for row in (columns, *rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Gather what the command line names."""
    parser = argparse.ArgumentParser(description="Gather the tables of many images.")
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out-dir", type=Path, required=True, metavar="OUT")
    given = parser.parse_args()
    given.out_dir.mkdir(parents=True, exist_ok=True)
    batches = batches_below(given.results)
    if not batches:
        print(f"{given.results}: no {STATES} of a batch below it", file=sys.stderr)
        return 1
    states = [(batch, *read(batch / STATES)) for batch in batches]
    rows = sorted(row for _, _, found in states for row in found)
    write(given.out_dir / STATES, ["image", *states[0][1][1:]], rows)
    kinds: dict[str, list[Table]] = {}
    for table in sorted((t for batch in batches for t in tables_of(batch)), key=lambda t: (t.kind, t.image)):
        kinds.setdefault(table.kind, []).append(table)
    for kind, tables in kinds.items():
        name = f"{kind}_" if kind == Path(STATES).stem else kind
        columns, gathered_rows, dictionary = gathered(tables)
        write(given.out_dir / f"{name}.tsv", columns, gathered_rows)
        text = json.dumps(dictionary, indent=2, ensure_ascii=False)
        (given.out_dir / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(f"{name}.tsv: {len(gathered_rows)} rows of {len(tables)} images")
        for column, said in dictionary.items():
            if "ImagesWithout" in said:
                print(
                    f"{name}.tsv: {said['ImagesWithout']} images have no column {column}: {said['Without'][0]}"
                )
    done = sum(row[1] == "done" for row in rows)
    print(f"{len(rows)} images in {len(batches)} batches, {done} done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
