"""The sink's and the grabber's rules without Nipype and without S3. Beside the real Nipype: tests/e2e/test_nipype_datasink.py."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolwrappers.nipype_s3 import destinations, selection
from toolwrappers.nipype_s3.delivery import etag, sink
from toolwrappers.nipype_s3.destinations import Layout, Refused

text = st.text(alphabet="ab.@/_~ \\()*", max_size=8)
pairs = st.lists(st.tuples(text, text), max_size=2).map(tuple)


@settings(suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["s3://bucket/p", "s3://bucket", "S3://bucket/", "/base/dir"]),
    text,
    text,
    pairs,
    pairs,
    st.booleans(),
)
def test_a_destination_is_below_its_base_or_refused(
    tmp_path: Path,
    base: str,
    attribute: str,
    container: str,
    substitutions: tuple[tuple[str, str], ...],
    expressions: tuple[tuple[str, str], ...],
    parameterization: bool,
) -> None:
    file = tmp_path / "f.nii"
    file.touch()
    layout = Layout(base, container, parameterization, "", substitutions, expressions)
    try:
        found = destinations.deliveries(layout, {attribute: str(file)})
    except Refused:
        return
    root = "/base/dir/" if base.startswith("/") else "s3://bucket/"
    assert [one.destination.startswith(root) for one in found] == [True]
    assert os.path.normpath(found[0].destination[len("s3:/") :]).startswith(root[len("s3:/") :].rstrip("/"))


def test_a_bucket_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="names no bucket"):
        destinations.deliveries(Layout("s3://"), {"a": str(tmp_path)})


@pytest.mark.parametrize("value", [3, None, "", ["f.nii", True]])
def test_what_is_no_path_is_refused(tmp_path: Path, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.nii").touch()
    with pytest.raises(Refused, match="is no path"):
        list(destinations.sources("a", value))


def test_a_link_to_nothing_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "gone").symlink_to("/no/such/file")
    with pytest.raises(Refused, match="gone is a link to nothing"):
        sink(Layout(str(tmp_path / "out")), {"a": str(tmp_path / "dir")})
    assert not (tmp_path / "out").exists()


def test_a_bucket_and_a_folder_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="bucket is set and base_directory is the folder"):
        sink(Layout(str(tmp_path)), {}, bucket=object())


@given(st.binary(max_size=64), st.integers(1, 16))
def test_the_etag_of_parts_is_the_md5_of_their_md5s(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, part: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "etag"
    file.write_bytes(data)
    parts = [hashlib.md5(data[i : i + part]).digest() for i in range(0, len(data), part)]
    whole = hashlib.md5(data).hexdigest()
    wanted = whole if len(parts) < 2 else f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"
    assert etag(file, part) == wanted


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_human_order_is_the_order_of_the_numbers(numbers: list[int]) -> None:
    names = selection.in_human_order([f"run-{n}_bold" for n in numbers])
    assert names == [f"run-{n}_bold" for n in sorted(numbers)]


@given(st.lists(st.text(max_size=6)))
def test_human_order_sorts_whatever_names(names: list[str]) -> None:
    assert sorted(selection.in_human_order(names)) == sorted(names)


def test_lists_are_filled_in_side_by_side() -> None:
    filled = selection.fill("%s/%s_run-%d", ["label", "label", [1, 2]], {"label": "sub-01"})
    assert filled == ["sub-01/sub-01_run-1", "sub-01/sub-01_run-2"]


@pytest.mark.parametrize(
    ("template", "words", "because"),
    [
        ("%s%s", [["a", "b"], ["c"]], "equally long"),
        ("%s", [[]], "not empty"),
        ("%s%s", ["a"], "does not take"),
        ("%d", ["a"], "does not take"),
        ("sub-[", [], "no regular expression"),
        ("sub-02", [], "none of 1 files matches"),
    ],
)
def test_templates_that_do_not_fit_are_refused(template: str, words: list[object], because: str) -> None:
    with pytest.raises(Refused, match=because):
        selection.select(["sub-01"], template, [words], {}, sort=True)


def test_a_template_matches_the_beginning_and_a_dollar_the_whole() -> None:
    names = ["a.nii", "a.nii.gz"]
    assert selection.select(names, r"a\.nii", [], {}, sort=True) == names
    assert selection.select(names, r"a\.nii$", [], {}, sort=True) == "a.nii"
