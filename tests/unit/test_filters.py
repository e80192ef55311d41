"""Conditions on files, BIDS filter files, and the inheritance principle."""

import json
from pathlib import Path
from typing import Any

import pytest

from neurocwl import bids
from neurocwl.bids import Entry
from neurocwl.errors import BadInput
from neurocwl.filters import Where, matches, parse_filters, read_filter_file, selector, sidecars


def file(path: str) -> bids.File:
    found = bids.parse(Entry(path, 1, ""))
    assert found is not None
    return found


BOLD = file("sub-01/ses-02/func/sub-01_ses-02_task-rest_run-01_echo-2_bold.nii.gz")


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"suffix": "bold"},
        {"datatype": "func", "extension": [".nii", ".nii.gz"]},
        {"subject": "01", "session": "02", "task": "rest"},
        {"session": 2},
        {"session": ["01", "02"]},
        {"acquisition": None},
        {"part": ["mag", None]},
        {"task": "*"},
        {"task": ["*", None], "acquisition": ["*", None]},
        {"run": "1"},
        {"run": 1},
        {"run": ["01", 3]},
        {"echo": 2},
        {"suffix": []},
    ],
)
def test_a_file_matches_when_every_condition_holds(where: dict[str, Any]) -> None:
    assert matches(BOLD, where)
    assert selector(where)(BOLD)


@pytest.mark.parametrize(
    "where",
    [
        {"suffix": "Bold"},
        {"suffix": "bold", "datatype": "anat"},
        {"task": None},
        {"acquisition": "*"},
        {"acquisition": "x"},
        {"echo": "02"},
        {"task": 1},
        {"session": 1},
        {"part": ["mag", "phase"]},
    ],
)
def test_a_file_does_not_match_when_one_condition_fails(where: dict[str, Any]) -> None:
    assert not matches(BOLD, where)
    assert not selector(where)(BOLD)


def test_a_selector_tells_files_of_one_kind_apart_by_where_they_lie() -> None:
    select = selector({"session": "1", "suffix": "T1w"})
    paths = [f"sub-01/ses-{session}/anat/sub-01_ses-{session}_T1w.nii.gz" for session in ("1", "2", "1")]
    assert [select(file(path)) for path in paths] == [True, False, True]


def test_a_misplaced_file_is_in_no_datatype() -> None:
    assert not matches(file("sub-01/anat/sub-02_T1w.nii.gz"), {"datatype": "anat"})
    assert matches(file("sub-01/anat/sub-02_T1w.nii.gz"), {"datatype": None})


def test_files_inside_a_recording_match_as_the_recording() -> None:
    inner = file("sub-01/meg/sub-01_task-a_meg.ds/x.meg4")
    assert matches(inner, {"datatype": "meg", "suffix": "meg", "extension": ".ds", "task": "a"})


def write(folder: Path, content: str) -> Path:
    path = folder / "filter.json"
    path.write_text(content)
    return path


def test_a_filter_file_is_read_as_fmriprep_reads_it(tmp_path: Path) -> None:
    content = {
        "t1w": {"datatype": "anat", "session": "01", "acquisition": None, "suffix": "T1w"},
        "bold": {"run": [1, "02"], "reconstruction": "*", "part": ["mag", None]},
        "fmap": {"inv": "1", "mt": "on", "proc": "x"},
        "sbref": {"echo": "<Query.NONE: 1>", "direction": "<Query.ANY: 2>"},
    }
    assert read_filter_file(write(tmp_path, json.dumps(content))) == {
        "t1w": {"datatype": "anat", "session": "01", "acquisition": None, "suffix": "T1w"},
        "bold": {"run": [1, "02"], "reconstruction": "*", "part": ["mag", None]},
        "fmap": {"inversion": "1", "mtransfer": "on", "processing": "x"},
        "sbref": {"echo": None, "direction": "*"},
    }


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "is not JSON"),
        ("[]", "not an object"),
        ('{"t1": {}}', "did you mean t1w?"),
        ('{"T1w": {}}', "did you mean t1w?"),
        ('{"bold": "01"}', "bold is"),
        ('{"bold": {"ses": "01"}}', "written by its long name: session"),
        ('{"bold": {"sesion": "01"}}', "did you mean session?"),
        ('{"bold": {"session": "ses-01"}}', 'write "01"'),
        ('{"bold": {"session": {"a": 1}}}', "is no label"),
        ('{"bold": {"session": true}}', "true is no label"),
        ('{"bold": {"run": 1.5}}', "1.5 is no label"),
        ('{"bold": {"run": [["01"]]}}', "is no label"),
        ('{"bold": {"session": "Query.NONE"}}', "write null"),
        ('{"bold": {"extension": "nii.gz"}}', 'write ".nii.gz"'),
        ('{"bold": {"datatype": "fun"}}', "did you mean func?"),
        ('{"bold": {"regex_search": true}}', "no entity is named"),
    ],
)
def test_a_filter_file_that_would_do_nothing_or_break_is_refused(
    content: str, named: str, tmp_path: Path
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(BadInput) as refused:
        read_filter_file(path)
    assert str(path) in str(refused.value)
    assert named in str(refused.value)


def test_a_filter_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.json.*No such file"):
        read_filter_file(tmp_path / "none.json")


def test_every_filter_that_is_accepted_can_be_matched() -> None:
    filters: dict[str, Where] = dict(parse_filters({"bold": {"session": [None, "02", 3]}, "pet": {}}, "x"))
    assert [matches(BOLD, where) for where in filters.values()] == [True, True]


ROOT = ["bold.json", "task-rest_bold.json", "task-nback_bold.json", "task-rest_events.json", "T1w.json"]


def applying(path: str, candidates: list[str]) -> list[str]:
    return [found.path for found in sidecars(file(path), [file(name) for name in candidates])]


def test_sidecars_come_from_every_level_above_the_widest_first() -> None:
    levels = [
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold.json",
        "sub-01/ses-1/sub-01_ses-1_task-rest_bold.json",
        "sub-01/sub-01_task-rest_bold.json",
        "bold.json",
        "task-rest_bold.json",
    ]
    assert applying("sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold.nii.gz", levels) == [
        "bold.json",
        "task-rest_bold.json",
        "sub-01/sub-01_task-rest_bold.json",
        "sub-01/ses-1/sub-01_ses-1_task-rest_bold.json",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold.json",
    ]


def test_a_sidecar_may_say_less_than_the_file_and_nothing_else() -> None:
    assert applying("sub-01/func/sub-01_task-rest_bold.nii.gz", ROOT) == [
        "bold.json",
        "task-rest_bold.json",
        "task-rest_events.json",
    ]
    assert applying("sub-01/anat/sub-01_T1w.nii.gz", ROOT) == ["T1w.json"]


@pytest.mark.parametrize(
    "other",
    [
        "sub-02/sub-02_task-rest_bold.json",
        "sub-01/ses-2/sub-01_ses-2_task-rest_bold.json",
        "sub-01/anat/sub-01_bold.json",
        "sub-01/func/sub-01_task-rest_bold.nii",
        "sub-01/func/sub-01_task-rest_acq-x_bold.json",
        "ses-2_bold.json",
        "sub-02_bold.json",
    ],
)
def test_a_sidecar_of_others_does_not_apply(other: str) -> None:
    assert applying("sub-01/func/sub-01_task-rest_bold.nii.gz", [other]) == []


def test_gradients_at_the_root_apply_to_every_diffusion_image() -> None:
    root = ["dwi.bval", "dwi.bvec", "acq-b3_dwi.bval"]
    assert applying("sub-01/ses-1/dwi/sub-01_ses-1_dwi.nii.gz", root) == ["dwi.bval", "dwi.bvec"]
    assert applying("sub-01/dwi/sub-01_acq-b3_dwi.nii.gz", root) == [
        "acq-b3_dwi.bval",
        "dwi.bval",
        "dwi.bvec",
    ]


def test_what_accompanies_a_file_applies_under_its_own_suffix() -> None:
    beside = [
        f"sub-01/func/sub-01_task-rest_{name}"
        for name in (
            "events.tsv",
            "physio.tsv.gz",
            "recording-eye_physio.tsv.gz",
            "run-2_events.tsv",
            "sbref.json",
        )
    ]
    assert applying("sub-01/func/sub-01_task-rest_bold.nii.gz", beside) == [
        "sub-01/func/sub-01_task-rest_events.tsv",
        "sub-01/func/sub-01_task-rest_physio.tsv.gz",
        "sub-01/func/sub-01_task-rest_recording-eye_physio.tsv.gz",
    ]


def test_a_recordings_sidecar_lies_beside_its_folder() -> None:
    beside = ["sub-01/meg/sub-01_task-a_meg.json", "sub-01/meg/sub-01_task-a_channels.tsv"]
    assert applying("sub-01/meg/sub-01_task-a_meg.ds/x.meg4", beside) == sorted(beside)


def test_a_sidecar_is_not_its_own() -> None:
    assert applying("task-rest_bold.json", ["task-rest_bold.json", "bold.json"]) == ["bold.json"]
