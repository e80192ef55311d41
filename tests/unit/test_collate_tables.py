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
    images = sorted({path.partition(".tif")[0] + ".tif" for path in tables} | {*failed})
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


def problems(out: Path) -> list[list[str]]:
    header, *rows = table(out / "problems.tsv")
    assert header == ["image", "table", "problem"]
    return rows


def test_an_image_in_two_batches_is_named_and_nothing_is_gathered(tmp_path: Path) -> None:
    same = {"a/1.tif/n.csv": "Area\n5\n"}
    batch(tmp_path / "r", "batch-0", {**same, "a/2.tif/n.csv": "Area\n5\n"})
    batch(tmp_path / "r", "deeper/batch-1", same, failed=("a/3.tif",))
    done, out = collate(tmp_path / "r")
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert "a/1.tif (batch-0, deeper/batch-1);" in said
    assert "a/2.tif" not in said
    assert not list(out.iterdir())


def test_an_image_that_failed_in_another_batch_is_in_two_as_well(tmp_path: Path) -> None:
    batch(tmp_path / "r", "batch-0", {"1.tif/n.csv": "Area\n5\n"})
    batch(tmp_path / "r", "batch-1", {}, failed=("1.tif",))
    done, _ = collate(tmp_path / "r")
    assert (done.returncode, "1.tif (batch-0, batch-1)" in done.stderr) == (1, True)


def test_cells_beyond_the_header_are_a_problem_that_is_named(tmp_path: Path) -> None:
    tables: dict[str, str | bytes] = {
        "1.tif/n.csv": "Area,Mean\n5,1,lost\n6,2,\n",
        "2.tif/n.csv": "Area,Mean\n7,3\n",
    }
    batch(tmp_path / "r", "b", tables)
    done, out = collate(tmp_path / "r")
    assert table(out / "n.tsv")[1:] == [["1.tif", "5", "1"], ["1.tif", "6", "2"], ["2.tif", "7", "3"]]
    assert problems(out) == [
        ["1.tif", "n.csv", "1 cells beyond its 2 columns left out, the first is 'lost'"]
    ], "an empty one is none"
    assert "1.tif: n.csv: 1 cells beyond" in done.stderr


def test_a_table_that_is_of_no_image_is_a_problem_that_is_named(tmp_path: Path) -> None:
    batch(tmp_path / "r", "b", {"1.tif/n.csv": "Area\n5\n"})
    (tmp_path / "r/b/other").mkdir()
    (tmp_path / "r/b/other/n.csv").write_text("Area\n6\n")
    _, out = collate(tmp_path / "r")
    assert len(table(out / "n.tsv")) == 2
    assert problems(out) == [["n/a", "other/n.csv", "lies below no image of images.tsv; left out"]]


def test_a_large_cell_is_a_cell(tmp_path: Path) -> None:
    outline = "1;2;" * 50_000
    batch(tmp_path / "r", "b", {"1.tif/n.csv": f"Area,Outline\n5,{outline}\n"})
    done, out = collate(tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert table(out / "n.tsv")[1] == ["1.tif", "5", outline]


def test_tables_in_folders_below_the_images_keep_its_name(tmp_path: Path) -> None:
    tables: dict[str, str | bytes] = {
        "a/1.tif/n.csv": "Area\n5\n",
        "a/1.tif/left/n.csv": "Area,folder\n6,x\n",
        "a/1.tif/right/deep/1_n.csv": "Area\n7\n",
    }
    batch(tmp_path / "r", "b", tables)
    _, out = collate(tmp_path / "r")
    assert table(out / "n.tsv") == [
        ["image", "folder", "Area", "folder_"],
        ["a/1.tif", "n/a", "5", "n/a"],
        ["a/1.tif", "left", "6", "x"],
        ["a/1.tif", "right/deep", "7", "n/a"],
    ]
    assert list(json.loads((out / "n.json").read_text())) == table(out / "n.tsv")[0]


def test_the_tables_of_a_batch_below_another_are_its_own(tmp_path: Path) -> None:
    batch(tmp_path / "r", "b", {"1.tif/n.csv": "Area\n5\n"})
    batch(tmp_path / "r", "b/c", {"2.tif/n.csv": "Area\n6\n"})
    _, out = collate(tmp_path / "r")
    assert table(out / "n.tsv")[1:] == [["1.tif", "5"], ["2.tif", "6"]]
    assert problems(out) == []


def test_quotes_and_spaces_in_names_and_line_ends_in_cells_do_no_harm(tmp_path: Path) -> None:
    name = '"a  b.tif'
    batch(
        tmp_path / "r", "b", {f"{name}/n.csv": 'Area,Label\n5,"x\ny"\n', "c.tif/n.csv": "Area,Label\n6,z\n"}
    )
    states = tmp_path / "r/b/images.tsv"
    states.write_text(states.read_text().replace("  ", " "))  # as imagej_batch.py writes it
    _, out = collate(tmp_path / "r")
    assert table(out / "n.tsv")[1:] == [['"a b.tif', "5", "x y"], ["c.tif", "6", "z"]]
    assert [row[0] for row in table(out / "images.tsv")[1:]] == ['"a b.tif', "c.tif"]


def test_a_table_of_the_name_of_our_own_is_kept_beside_it(tmp_path: Path) -> None:
    batch(tmp_path / "r", "b", {"1.tif/problems.csv": "Area\n5\n"})
    _, out = collate(tmp_path / "r")
    assert table(out / "problems_.tsv") == [["image", "Area"], ["1.tif", "5"]]
    assert problems(out) == []
