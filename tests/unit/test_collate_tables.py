"""One table out of those of many images. The script runs as a container runs it: by itself."""

import json
import subprocess
import sys
from pathlib import Path

import collate_tables
import pytest

from neurocwl import assets

SCRIPT = assets.path("toolwrappers") / "collate_tables.py"


def batch(root: Path, name: str, tables: dict[str, str | bytes], failed: tuple[str, ...] = ()) -> None:
    folder = root / name
    images = sorted({path.rpartition("/")[0] for path in tables} | {*failed})
    folder.mkdir(parents=True)
    rows = [f"{image}\t{'failed' if image in failed else 'done'}\t1\t0.1\tn/a\n" for image in images]
    (folder / "images.tsv").write_text("image\tstatus\tattempts\tseconds\treason\n" + "".join(rows))
    for path, text in tables.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text if isinstance(text, bytes) else text.encode())


def collate(root: Path) -> "tuple[subprocess.CompletedProcess[str], Path]":
    out = root.parent / "out"
    words = [sys.executable, str(SCRIPT), "--results", str(root), "--out-dir", str(out)]
    return subprocess.run(words, capture_output=True, text=True, check=False), out


def table(file: Path) -> list[list[str]]:
    return [line.split("\t") for line in file.read_text().splitlines()]


def test_the_rows_of_all_batches_are_in_one_table_with_their_image(tmp_path: Path) -> None:
    batch(tmp_path / "r", "batch-0", {"a/1.tif/n.csv": " ,Area\n1,5\n2,6\n"})
    batch(tmp_path / "r", "deeper/batch-1", {"b/2.tif/n.csv": " ,Area\n1,7\n"}, failed=("b/3.tif",))
    done, out = collate(tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert table(out / "n.tsv") == [
        ["image", "row", "Area"],
        ["a/1.tif", "1", "5"],
        ["a/1.tif", "2", "6"],
        ["b/2.tif", "1", "7"],
    ]
    states = {row[0]: row[1] for row in table(out / "images.tsv")[1:]}
    assert states == {"a/1.tif": "done", "b/2.tif": "done", "b/3.tif": "failed"}


def test_columns_that_differ_are_kept_and_said(tmp_path: Path) -> None:
    batch(tmp_path / "r", "b", {"1.tif/n.csv": "Area,Mean\n5,1\n", "2.tif/n.csv": "Feret,Area\n9,6\n"})
    done, out = collate(tmp_path / "r")
    assert table(out / "n.tsv") == [
        ["image", "Area", "Mean", "Feret"],
        ["1.tif", "5", "1", "n/a"],
        ["2.tif", "6", "n/a", "9"],
    ]
    said = json.loads((out / "n.json").read_text())
    assert said["Area"] == {"Description": "As the macro wrote it.", "Images": 2}
    assert said["Feret"]["Without"] == ["1.tif"]
    assert "1 images have no column Mean: 2.tif" in done.stdout


def test_the_dictionary_names_every_column_of_its_table(tmp_path: Path) -> None:
    batch(tmp_path / "r", "b", {"1.tif/n.csv": " ,image,X,X\n1,z,2,3\n"})
    _, out = collate(tmp_path / "r")
    header = table(out / "n.tsv")[0]
    assert header == ["image", "row", "image_", "X", "X_3"], "no column is lost, or called like another"
    assert list(json.loads((out / "n.json").read_text())) == header


def test_letters_tabs_and_short_rows_do_no_harm(tmp_path: Path) -> None:
    rows = {
        "1.tif/n.csv": "Area µm²,Label\n5\n".encode("latin-1"),
        "2.tif/n.csv": '"Area µm²",Label\n6,"a\tb"\n',
    }
    batch(tmp_path / "r", "b", rows)
    _, out = collate(tmp_path / "r")
    assert table(out / "n.tsv") == [
        ["image", "Area µm²", "Label"],
        ["1.tif", "5", "n/a"],
        ["2.tif", "6", "a b"],
    ]


@pytest.mark.parametrize(
    ("stem", "image", "kind"),
    [
        ("count", "x/a.tif", "count"),
        ("a_count", "x/a.tif", "count"),
        ("a.tif_count", "x/a.tif", "count"),
        ("count-a", "x/a.tif", "count"),
        ("a", "x/a.tif", "results"),
        ("a.ome", "a.ome.tif", "results"),
        ("count", "c.tif", "count"),
        ("analysis", "a.tif", "analysis"),
    ],
)
def test_a_kind_is_the_name_without_the_images(stem: str, image: str, kind: str) -> None:
    assert collate_tables.kind_of(stem, image) == kind


def test_a_folder_without_batches_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    done, _ = collate(tmp_path / "r")
    assert done.returncode == 1
    assert "no images.tsv" in done.stderr
