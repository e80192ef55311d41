"""What drives ImageJ, as far as it needs no ImageJ: tests/e2e/test_imagej_macro.py runs the whole of it."""

import re
from pathlib import Path

import imagej_batch
import pytest
from hypothesis import given
from hypothesis import strategies as st


def value(expression: str) -> str:
    """What a sum of strings and fromCharCode(...) is in the macro language."""
    found = b""
    for text, codes in re.findall(r'"((?:[^"\\]|\\.)*)"|fromCharCode\(([0-9,]+)\)', expression):
        units = [int(code) for code in codes.split(",")] if codes else map(ord, re.sub(r"\\(.)", r"\1", text))
        found += b"".join(unit.to_bytes(2, "big") for unit in units)
    return found.decode("utf-16-be")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_the_same_in_the_macro_language(text: str) -> None:
    expression = imagej_batch.quoted(text)
    assert expression.isascii()
    assert expression.isprintable()
    assert value(expression) == text


def test_a_batch_without_parameters_has_a_driver(tmp_path: Path) -> None:
    settings = imagej_batch.Settings(tmp_path / "m.ijm", "", ("*",), 1.0, 1.0, ("java",))
    assert '"|" + "")' in imagej_batch.driver(["a.tif"], tmp_path, settings, tmp_path)


@pytest.mark.parametrize(
    ("written", "expect", "said"),
    [
        ({"deep/er/n.csv": "x"}, "*", ""),
        ({"deep/n.csv": "x"}, "n.csv", ""),
        ({"deep/n.csv": "x"}, "deep/*.csv", ""),
        ({"deep/n.csv": ""}, "*", "n.csv is empty"),
        ({"deep/n.csv": "x"}, "other.csv", "the macro wrote no other.csv"),
        ({}, "*", "the macro wrote nothing"),
    ],
)
def test_what_a_macro_wrote_counts_at_any_depth(
    tmp_path: Path, written: dict[str, str], expect: str, said: str
) -> None:
    for path, text in written.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert imagej_batch.lacking(tmp_path, (expect,)) == said
