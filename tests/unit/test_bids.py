"""BIDS names, and the index of a dataset from its listing."""

import gc
import json
import random
import time
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import bids
from neurocwl.bids import Entry
from tests.data.trees import TREES, Tree


def entries(tree: Tree) -> list[Entry]:
    return [Entry(path, 0 if path in tree.empty else 10, f'"{path}"') for path in tree.paths]


def indexed(tree: Tree) -> bids.Dataset:
    return bids.index(entries(tree), bidsignore=tree.bidsignore, participants_tsv=tree.participants_tsv)


def parsed(path: str) -> bids.File:
    file = bids.parse(Entry(path, 1, "e"))
    assert file is not None
    return file


every_tree = pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())


@every_tree
def test_an_index_has_the_participants_of_the_folders_and_of_the_table(tree: Tree) -> None:
    assert [participant.label for participant in indexed(tree).participants] == tree.participants


@every_tree
def test_an_index_has_each_participants_sessions(tree: Tree) -> None:
    found = {participant.label: list(participant.sessions) for participant in indexed(tree).participants}
    assert found == {label: tree.sessions(label) for label in tree.participants}


@every_tree
def test_an_index_has_each_units_files_and_no_others(tree: Tree) -> None:
    found: dict[tuple[str, str | None], list[str]] = {}
    for participant in indexed(tree).participants:
        for file in participant.files:
            found.setdefault((participant.label, file.session), []).append(file.path)
    assert found == {unit: sorted(paths) for unit, paths in tree.units.items()}


@every_tree
def test_an_index_has_what_every_unit_gets_from_the_root(tree: Tree) -> None:
    assert [file.path for file in indexed(tree).root_files] == sorted(tree.root)


@every_tree
def test_an_index_reports_each_problem_once(tree: Tree) -> None:
    found = [(problem.path, problem.code) for problem in indexed(tree).problems]
    table = "participants.tsv", "PARTICIPANTS_TABLE"  # one for each row that is wrong
    assert set(found) == tree.problems
    assert len([key for key in found if key != table]) == len(tree.problems - {table})


@every_tree
def test_an_index_does_not_depend_on_the_order_of_the_listing(tree: Tree) -> None:
    shuffled = entries(tree)
    random.Random(0).shuffle(shuffled)
    again = bids.index(shuffled, bidsignore=tree.bidsignore, participants_tsv=tree.participants_tsv)
    assert again == indexed(tree)


@every_tree
def test_parsing_one_entry_and_indexing_all_agree(tree: Tree) -> None:
    for participant in indexed(tree).participants:
        for file in participant.files:
            assert bids.parse(Entry(*file[:3])) == file


def test_a_participant_is_present_with_files_and_listed_with_a_row() -> None:
    table = indexed(TREES["a table that does not agree with the folders"]).participants
    assert [(one.label, one.listed, one.present) for one in table] == [
        ("01", True, True),
        ("02", True, False),
        ("03", False, True),
    ]


def test_without_a_table_nobody_is_listed_and_nobody_is_missed() -> None:
    dataset = indexed(TREES["sessions with labels that are words"])
    assert {one.listed for one in dataset.participants} == {False}
    assert dataset.problems == ()


def test_a_table_without_participant_id_is_reported_and_lists_nobody() -> None:
    dataset = bids.index([], participants_tsv="subject\tage\nsub-01\t3\n")
    assert dataset.participants == ()
    assert [problem.code for problem in dataset.problems] == ["PARTICIPANTS_TABLE"]


@pytest.mark.parametrize(
    "table", ["", "\n\n", "participant_id", "participant_id\n\n", "a\tparticipant_id\n1\n"]
)
def test_a_table_without_rows_lists_nobody(table: str) -> None:
    assert bids.index([], participants_tsv=table).participants == ()


def test_a_file_says_all_that_its_name_says() -> None:
    file = parsed("sub-01/ses-test/func/sub-01_ses-test_task-stroop+whitebg_acq-x_run-02_bold.nii.gz")
    assert (file.participant, file.session, file.datatype) == ("01", "test", "func")
    assert (file.suffix, file.extension, file.size, file.etag) == ("bold", ".nii.gz", 1, "e")
    assert list(file.entities.items()) == [
        ("subject", "01"),
        ("session", "test"),
        ("task", "stroop+whitebg"),
        ("acquisition", "x"),
        ("run", "02"),
    ]
    assert file.entity("run") == "02"
    assert file.entity("echo") is None


def test_a_file_at_the_root_has_no_participant_but_entities() -> None:
    file = parsed("task-rest_acq-fullbrain_bold.json")
    assert (file.participant, file.session, file.datatype, file.suffix) == (None, None, "", "bold")
    assert file.entities == {"task": "rest", "acquisition": "fullbrain"}


@pytest.mark.parametrize(
    ("inner", "recording", "extension"),
    [
        ("sub-1/meg/sub-1_task-a_meg.ds/x.meg4", "sub-1/meg/sub-1_task-a_meg.ds", ".ds"),
        ("sub-1/meg/sub-1_task-a_meg.ds/hz.ds/x", "sub-1/meg/sub-1_task-a_meg.ds", ".ds"),
        ("sub-1/meg/sub-1_task-a_meg/config", "sub-1/meg/sub-1_task-a_meg", ""),
        (
            "sub-1/ses-2/ieeg/sub-1_ses-2_task-a_meg.mefd/a/b",
            "sub-1/ses-2/ieeg/sub-1_ses-2_task-a_meg.mefd",
            ".mefd",
        ),
        (
            "sub-1/micr/sub-1_task-a_meg.ome.zarr/0/.zarray",
            "sub-1/micr/sub-1_task-a_meg.ome.zarr",
            ".ome.zarr",
        ),
    ],
)
def test_a_file_inside_a_recording_speaks_for_the_recording(
    inner: str, recording: str, extension: str
) -> None:
    file = parsed(inner)
    assert (file.recording, file.extension, file.suffix, file.entity("task")) == (
        recording,
        extension,
        "meg",
        "a",
    )


@pytest.mark.parametrize(
    "path",
    [
        "sub-01/anat/sub-02_T1w.nii.gz",
        "sub-01/anat/sub-010_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-2_T1w.nii.gz",
        "sub-01/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/anat/sub-01_sub-02_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-x.nii.gz",
        "sub-01/anat/T1w.nii.gz",
        "sub-01_T1w.json",
    ],
)
def test_a_name_that_does_not_belong_where_it_lies_has_no_datatype(path: str) -> None:
    file = parsed(path)
    assert not file.fits
    assert file.datatype == ""


def test_a_misplaced_file_keeps_the_entities_of_its_own_name() -> None:
    assert parsed("sub-01/anat/sub-02_T1w.nii.gz").entities == {"subject": "02"}


@pytest.mark.parametrize("key", list(TREES["unsafe keys"].left_out))
def test_an_unsafe_key_is_never_parsed(key: str) -> None:
    assert bids.parse(Entry(key, 1, "")) is None


def test_the_path_of_a_problem_can_be_printed_and_encoded() -> None:
    dataset = bids.index([Entry("sub-01/anat/sub-01_\udcff\x07T1w.nii", 1, "")])
    assert [problem.path.encode() for problem in dataset.problems] == [
        rb"sub-01/anat/sub-01_\udcff\x07T1w.nii"
    ]


def test_a_key_is_too_long_however_its_halves_were_met_before() -> None:
    short, long = "sub-" + "é" * 50, "sub-" + "é" * 59
    tail = "acq-" + "é" * 50 + "_T1w.nii.gz"
    dataset = bids.index([Entry(f"{head}/anat/{head}_{tail}", 1, "") for head in (short, long)])
    limit = [Entry(f"{head}/anat/{head}_{tail}", 1, "") for head in (short, long)]
    kept = [file.path for one in dataset.participants for file in one.files]
    assert kept == [entry.path for entry in limit if len(entry.path.rpartition("/")[2].encode()) <= 255]


def test_a_folder_marker_with_content_is_reported() -> None:
    dataset = bids.index([Entry("sub-01/", 5, "")])
    assert [(problem.path, problem.code) for problem in dataset.problems] == [("sub-01/", "UNSAFE_KEY")]


def test_the_entities_are_those_of_the_schema() -> None:
    schema = json.loads(files("bidsschematools").joinpath("data/schema.json").read_text())["objects"]
    assert {entity["name"]: name for name, entity in schema["entities"].items()} == dict(bids.ENTITIES)
    assert set(schema["datatypes"]) - {"phenotype"} == bids.DATATYPES
    indices = {name for name, entity in schema["entities"].items() if entity["format"] == "index"}
    assert indices == bids.INDEX_ENTITIES


labels = st.from_regex(r"[0-9a-zA-Z+]{1,8}", fullmatch=True)
entity_names = st.lists(
    st.sampled_from([short for short in bids.ENTITIES if short not in ("sub", "ses")]),
    unique=True,
    max_size=6,
)


@given(
    labels,
    st.none() | labels,
    st.sampled_from(sorted(bids.DATATYPES)),
    entity_names.flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(names, labels))),
    st.from_regex(r"[a-zA-Z0-9]{1,10}", fullmatch=True),
    st.sampled_from([".nii", ".nii.gz", ".json", ".tsv", ".tsv.gz", ".bval", ".bvec", ".ome.tif", ".edf"]),
)
def test_a_name_put_together_is_taken_apart_again(
    subject: str, session: str | None, datatype: str, entities: dict[str, str], suffix: str, extension: str
) -> None:
    where = {"sub": subject} if session is None else {"sub": subject, "ses": session}
    folder = "/".join(f"{key}-{label}" for key, label in where.items())
    parts = [f"{key}-{label}" for key, label in {**where, **entities}.items()]
    file = parsed(f"{folder}/{datatype}/{'_'.join([*parts, suffix])}{extension}")
    assert (file.participant, file.session, file.datatype) == (subject, session, datatype)
    assert (file.suffix, file.extension, file.fits) == (suffix, extension, True)
    assert file.entities == {bids.ENTITIES[key]: label for key, label in {**where, **entities}.items()}


pieces = st.sampled_from(
    [
        "sub-",
        "ses-",
        "01",
        "_",
        "-",
        "/",
        ".",
        "..",
        "anat",
        "meg",
        ".ds",
        "T1w",
        ".nii",
        "\\",
        "é",
        " ",
        "\0",
        "\n",
    ]
)
any_path = st.text() | st.lists(pieces, max_size=12).map("".join)


@given(any_path, st.integers(0, 2))
def test_no_text_whatever_breaks_parsing_or_leads_out_of_the_dataset(path: str, size: int) -> None:
    file = bids.parse(Entry(path, size, ""))
    if file is not None:
        assert not {"", ".", ".."} & set(path.split("/"))
        path.encode()
        assert dict(file.entities) is not None


@given(st.lists(st.tuples(any_path, st.integers(0, 2)), max_size=8), st.none() | st.text(), st.text())
def test_no_listing_whatever_breaks_the_index(
    listing: list[tuple[str, int]], table: str | None, bidsignore: str
) -> None:
    dataset = bids.index(
        [Entry(path, size, "") for path, size in listing], bidsignore=bidsignore, participants_tsv=table
    )
    for problem in dataset.problems:
        problem.path.encode()
    assert gc.isenabled()


def test_an_index_of_forty_thousand_files_takes_a_fraction_of_a_second() -> None:
    listing = [
        Entry(f"sub-{number:04}/ses-1/func/sub-{number:04}_ses-1_task-rest_run-{run}_bold.nii.gz", 1, "")
        for number in range(1000)
        for run in range(40)
    ]
    start = time.process_time()
    dataset = bids.index(listing)
    assert time.process_time() - start < 0.5  # 0.08 s measured
    assert sum(len(participant.files) for participant in dataset.participants) == 40_000
