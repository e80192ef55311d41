"""Which units a pipeline processes, with which files, and what each of them lacks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import template
from neurocwl.errors import BadInput
from neurocwl.filters import read_filter_file
from neurocwl.template import Template
from neurocwl.units import Selection, bound_files, is_set, select
from tests.data.trees import TREES, Tree
from tests.unit.datasets import dataset, of_tree, pipeline

ALL = Selection()


@pytest.fixture
def per_participant(tmp_path: Path) -> Template:
    return pipeline(tmp_path)


@pytest.fixture
def per_session(tmp_path: Path) -> Template:
    return pipeline(tmp_path, {"unit: participant": "unit: session"})


def names(data: object, template_: Template, selection: Selection = ALL, **parameters: object) -> list[str]:
    return [unit.name for unit in select(data, template_, selection, parameters)]  # type: ignore[arg-type]


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_participant_of_every_tree_is_a_unit_with_all_its_files(
    tree: Tree, per_participant: Template
) -> None:
    units = {unit.participant: unit for unit in select(of_tree(tree), per_participant, ALL, {})}
    assert sorted(units) == tree.participants
    for label, unit in units.items():
        assert unit.name == f"sub-{label}"
        wanted = {path for (owner, _), files in tree.units.items() if owner == label for path in files}
        assert {file.path for file in unit.files} == wanted


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_session_of_every_tree_is_a_unit_and_no_data_is_lost_between_them(
    tree: Tree, per_session: Template
) -> None:
    units = select(of_tree(tree), per_session, ALL, {})
    for label in tree.participants:
        mine = [unit for unit in units if unit.participant == label]
        sessions = tree.sessions(label)
        assert [unit.session for unit in mine if unit.session is not None] == sessions
        for unit in mine:
            assert unit.name == f"sub-{label}" + (f"_ses-{unit.session}" if unit.session else "")
            assert {file.path for file in unit.files} >= set(tree.units.get((label, unit.session), ()))
        everything = {path for (owner, _), files in tree.units.items() if owner == label for path in files}
        assert {file.path for unit in mine for file in unit.files} == everything


LONG = dataset(
    [
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz",
        "sub-01/ses-b/func/sub-01_ses-b_task-rest_bold.nii.gz",
        "sub-01/sub-01_sessions.tsv",
        "sub-02/ses-a/func/sub-02_ses-a_task-rest_bold.nii.gz",
        "sub-02/ses-a/func/sub-02_ses-a_task-nback_bold.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
        "sub-10/anat/sub-10_T1w.nii.gz",
        "sub-10/anat/sub-10_T2w.nii.gz",
        "sub-A1/func/sub-A1_task-rest_bold.nii.gz",
    ],
    "participant_id\nsub-01\nsub-02\nsub-10\nsub-A1\nsub-gone\n",
)


@pytest.mark.parametrize(
    ("selection", "participants"),
    [
        (ALL, ["01", "02", "10", "A1", "gone"]),
        (Selection(participants=("10", "sub-01")), ["01", "10"]),
        (Selection(participants=("01", "01")), ["01"]),
        (Selection(exclude=("sub-0?", "gone")), ["10", "A1"]),
        (Selection(exclude=("A*",)), ["01", "02", "10", "gone"]),
        (Selection(participants=("01", "02"), exclude=("02",)), ["01"]),
        (Selection(limit=2), ["01", "02"]),
        (Selection(exclude=("01",), limit=2), ["02", "10"]),
    ],
)
def test_participants_are_selected_excluded_and_limited(
    selection: Selection, participants: list[str], per_participant: Template
) -> None:
    assert names(LONG, per_participant, selection) == [f"sub-{label}" for label in participants]


@given(st.integers(1, 8))
def test_a_limit_takes_the_first_units(limit: int) -> None:
    chosen = template.load("recon-all")
    assert names(LONG, chosen, Selection(limit=limit)) == names(LONG, chosen)[:limit]


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        (
            Selection(participants=("01", "99")),
            "--participant-label 99: not in the dataset; there are: 01, 02, 10, A1, gone",
        ),
        (Selection(exclude=("B*",)), "--exclude B*: not in the dataset"),
        (Selection(sessions=("ses-c",)), "--session-label ses-c: not in the dataset; there are: a, b"),
        (Selection(tasks=("REST",)), "--task-id REST: not in the dataset; there are: nback, rest"),
        (Selection(participants=("a1",)), "--participant-label a1"),
    ],
)
def test_a_label_that_the_dataset_does_not_have_is_refused(
    selection: Selection, said: str, per_participant: Template
) -> None:
    with pytest.raises(BadInput) as caught:
        select(LONG, per_participant, selection, {})
    assert str(caught.value).startswith(said)


def test_sessions_of_a_participant_are_units_of_their_own(per_session: Template) -> None:
    assert names(LONG, per_session) == [
        "sub-01_ses-a",
        "sub-01_ses-b",
        "sub-02_ses-a",
        "sub-10",
        "sub-A1",
        "sub-gone",
    ]


def test_who_lacks_a_selected_session_is_listed_with_it_and_not_dropped(
    per_session: Template, per_participant: Template, tmp_path: Path
) -> None:
    units = {
        u.name: u.missing for u in select(LONG, per_session, Selection(sessions=("ses-b",)), {"level": 1})
    }
    assert units["sub-01_ses-b"] == ()
    assert units["sub-02_ses-b"] == units["sub-10_ses-b"] == ("session ses-b",)
    whole = {
        u.name: u.missing
        for u in select(LONG, replace(per_participant, unit="participant"), Selection(sessions=("b",)), {})
    }
    assert "session ses-b" in whole["sub-02"]


def test_a_selected_session_leaves_the_files_of_the_others_out(per_participant: Template) -> None:
    unit = select(LONG, per_participant, Selection(participants=("01",), sessions=("b",)), {})[0]
    assert {file.session for file in unit.files} == {"b", None}


def test_a_selected_task_leaves_the_runs_of_others_out_and_keeps_what_has_none(
    per_participant: Template,
) -> None:
    unit = select(LONG, per_participant, Selection(participants=("02",), tasks=("task-nback",)), {})[0]
    assert {file.entities.get("task") for file in unit.files} == {"nback", None}


def test_what_a_unit_lacks_is_said_with_the_name_that_it_would_have(per_participant: Template) -> None:
    missing = {unit.name: unit.missing for unit in select(LONG, per_participant, ALL, {"use_t2w": True})}
    assert missing == {
        "sub-01": ("T2w image (sub-01/[ses-*/]anat/*_T2w)",),
        "sub-02": ("T2w image (sub-02/[ses-*/]anat/*_T2w)",),
        "sub-10": ("BOLD run (sub-10/func/*_bold)",),
        "sub-A1": ("T1w image (sub-A1/anat/*_T1w{.nii,.nii.gz})", "T2w image (sub-A1/anat/*_T2w)"),
        "sub-gone": ("folder sub-gone/ (it is only in participants.tsv)",),
    }


def test_a_requirement_holds_only_when_its_parameter_says_so(per_participant: Template) -> None:
    def lacking(**parameters: object) -> list[str]:
        return [u.name for u in select(LONG, per_participant, ALL, parameters) if u.missing]

    assert lacking() == ["sub-10", "sub-A1", "sub-gone"]
    assert lacking(level=0) == ["sub-A1", "sub-gone"]  # 0 is a value
    assert lacking(level=None) == lacking()


@pytest.mark.parametrize(("value", "set_"), [(None, False), (False, False), ([], False), ("", False), (0, True), (0.0, True), (True, True), ("x", True), ([0], True)])  # fmt: skip
def test_zero_is_a_value_and_off_is_none(value: object, set_: bool) -> None:
    assert is_set(value) is set_


@pytest.mark.parametrize("label", ["01_bad", "é", "a b", "$(touch x)", "-1", "x.1"])
def test_a_participant_whose_label_is_no_label_is_never_run(label: str, per_participant: Template) -> None:
    data = dataset([f"sub-{label}/anat/sub-{label}_T1w.nii.gz", "sub-ok/anat/sub-ok_T1w.nii.gz"])
    units = {unit.participant: unit.missing for unit in select(data, per_participant, ALL, {"level": 1})}
    assert units["ok"] == ()
    assert "rename the folder" in units[label][0]


def test_a_bids_filter_file_narrows_what_is_bound_and_what_is_required(
    per_participant: Template, tmp_path: Path
) -> None:
    data = dataset(
        [f"sub-01/anat/sub-01_{acq}T1w.nii.gz" for acq in ("", "acq-a_", "acq-b_")]
        + ["sub-02/anat/sub-02_acq-b_T1w.nii.gz"]
    )
    (tmp_path / "filter.json").write_text(json.dumps({"t1w": {"acquisition": "a"}}))
    selection = Selection(queries=read_filter_file(tmp_path / "filter.json"))
    one, other = select(data, per_participant, selection, {"level": 1})
    assert one.missing == ()
    found = bound_files(one, per_participant.bind["t1w"], selection.queries)
    assert [file.path for file in found] == ["sub-01/anat/sub-01_acq-a_T1w.nii.gz"]
    assert other.missing == ("T1w image (sub-02/anat/*_T1w{.nii,.nii.gz} and the BIDS filter file)",)


def test_a_dataset_folder_gets_matching_data_and_what_describes_it(per_participant: Template) -> None:
    data = dataset(
        [
            "sub-01/anat/sub-01_T1w.nii.gz",
            "sub-01/eeg/sub-01_task-x_eeg.edf",
            "sub-01/sub-01_scans.tsv",
            "T1w.json",
        ]
    )
    (unit,) = select(data, per_participant, ALL, {})
    found = bound_files(unit, per_participant.bind["bids_dir"], None)
    assert [file.path for file in found] == ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/sub-01_scans.tsv"]


def test_a_single_file_is_the_first_that_matches(per_participant: Template) -> None:
    data = dataset([f"sub-01/anat/sub-01_run-{n}_T2w.nii.gz" for n in (2, 1)])
    (unit,) = select(data, per_participant, ALL, {})
    assert [f.entity("run") for f in bound_files(unit, per_participant.bind["t2w"], None)] == ["1"]


def test_keys_that_no_folder_can_hold_are_left_out_and_named_as_problems(per_participant: Template) -> None:
    good, deep = "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/" + "a/" * 400 + "x"
    data = dataset([good, deep, "sub-01/anat"])
    (unit,) = select(data, per_participant, ALL, {})
    assert [file.path for file in unit.files] == [good]
    assert {deep, "sub-01/anat"} <= {problem.path for problem in data.problems}
