"""Names as the official validator judges them, with and without it."""

import json
import random
import time
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl.bids import Entry
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.validator import materialise, run_validator
from neurocwl.validity import DatasetType, invalid_names
from tests.data.trees import TREES, Tree

# The validator's findings that come from names alone.
NAME_CODES = {
    "ALL_FILENAME_RULES_HAVE_ISSUES",
    "DATATYPE_MISMATCH",
    "ENTITY_NOT_IN_RULE",
    "ENTITY_WITH_NO_LABEL",
    "EXTENSION_MISMATCH",
    "FILENAME_MISMATCH",
    "INVALID_ENTITY_LABEL",
    "INVALID_LOCATION",
    "MISSING_REQUIRED_ENTITY",
    "NOT_INCLUDED",
}
Verdict = set[tuple[str, str]]  # path, code


def ours(paths: Iterable[str], dataset_type: DatasetType = "raw", bidsignore: str = "") -> Verdict:
    found = invalid_names(paths, dataset_type=dataset_type, bidsignore=bidsignore)
    return {(problem.path, problem.code) for problem in found}


def official(paths: Iterable[str], folder: Path, dataset_type: str = "raw", bidsignore: str = "") -> Verdict:
    description = {"Name": "x", "BIDSVersion": "1.11.1", "DatasetType": dataset_type}

    def text(entry: Entry) -> bytes:
        return {".bidsignore": bidsignore, "dataset_description.json": json.dumps(description)}.get(
            entry.path, "x"
        ).encode()

    wanted = {"dataset_description.json", ".bidsignore", *paths}
    assert materialise([Entry(path, 10, "") for path in sorted(wanted)], text, folder) == ()
    return {(issue.path, issue.code) for issue in run_validator(folder).issues if issue.code in NAME_CODES}


VALID = [
    "README.md",
    "CHANGES",
    "participants.tsv",
    "phenotype/measure.tsv",
    "task-rest_bold.json",
    "dwi.bval",
    "code/anything at all",
    "derivatives/x/y.z",
    "sub-01/sub-01_sessions.tsv",
    "sub-01/ses-1/sub-01_ses-1_scans.tsv",
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-stroop+whitebg_run-1_echo-2_part-mag_bold.nii.gz",
    "sub-01/meg/sub-01_task-a_meg.ds/what/ever.txt",
    "sub-01/micr/sub-01_sample-A_SPIM.ome.zarr/0/.zarray",
    "sub-01/.hidden/x",
]


def test_valid_names_are_not_reported() -> None:
    assert ours(VALID) == set()


@pytest.mark.parametrize(
    ("path", "findings"),
    [
        ("notes.txt", {("notes.txt", "NOT_INCLUDED")}),
        ("scratch/b.txt", {("scratch/", "NOT_INCLUDED"), ("scratch/b.txt", "NOT_INCLUDED")}),
        ("participants.csv", {("participants.csv", "EXTENSION_MISMATCH")}),
        ("sub-01/anat/sub-01_T1W.nii.gz", {("sub-01/anat/sub-01_T1W.nii.gz", "NOT_INCLUDED")}),
        ("sub-01/func/sub-01_bold.nii", {("sub-01/func/sub-01_bold.nii", "MISSING_REQUIRED_ENTITY")}),
        ("sub-01/anat/sub-02_T1w.nii", {("sub-01/anat/sub-02_T1w.nii", "INVALID_LOCATION")}),
        ("sub-01/func/sub-01_T1w.nii", {("sub-01/func/sub-01_T1w.nii", "DATATYPE_MISMATCH")}),
        ("sub-01/anat/sub-01_T1w.mgz", {("sub-01/anat/sub-01_T1w.mgz", "EXTENSION_MISMATCH")}),
        ("sub-01/anat/sub-01_dir-AP_T1w.nii", {("sub-01/anat/sub-01_dir-AP_T1w.nii", "ENTITY_NOT_IN_RULE")}),
        ("sub-01/anat/sub-01_run-a_T1w.nii", {("sub-01/anat/sub-01_run-a_T1w.nii", "INVALID_ENTITY_LABEL")}),
        ("sub-é/anat/sub-é_T1w.nii", {("sub-é/anat/sub-é_T1w.nii", "INVALID_ENTITY_LABEL")}),
        (
            "sub-01/anat/sub-01_run-1_acq-x_T1w.nii",
            {("sub-01/anat/sub-01_run-1_acq-x_T1w.nii", "FILENAME_MISMATCH")},
        ),
    ],
)
def test_each_kind_of_wrong_name_has_the_validators_code(path: str, findings: Verdict) -> None:
    assert ours([path]) == findings


def test_a_name_is_judged_alike_whoever_came_before() -> None:
    tails = ["anat/{}_T1w.nii.gz", "anat/{}_T1w.mgz", "func/{}_bold.nii", "anat/sub-1_T1w.nii"]
    paths = {
        label: [f"{label}/{tail.format(label)}" for tail in tails] for label in ("sub-1", "sub-2", "sub-x_y")
    }
    alone = [ours(of_one) for of_one in paths.values()]
    assert ours(path for of_one in paths.values() for path in of_one) == set.union(*alone)
    assert [len(found) for found in alone[:2]] == [2, 3]


def test_what_the_dataset_ignores_is_not_judged() -> None:
    assert ours(["sub-01/anat/sub-01_CT.nii.gz", "extra/x"], bidsignore="*_ct.nii*\nextra\n") == set()


def test_derivatives_have_rules_of_their_own() -> None:
    path = "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    assert ours([path]) == {(path, "NOT_INCLUDED")}
    assert ours([path], dataset_type="derivative") == set()


def invented(seed: int, count: int) -> list[str]:
    """Names from the schema's rules, most of them bent."""
    dice = random.Random(seed)
    schema = json.loads(files("bidsschematools").joinpath("data/schema.json").read_text())
    short = {name: entity["name"] for name, entity in schema["objects"]["entities"].items()}
    rules = [
        rule
        for group in schema["rules"]["files"]["raw"].values()
        for rule in group.values()
        if rule.get("suffixes")
    ]
    suffixes = sorted({suffix for rule in rules for suffix in rule["suffixes"]})
    extensions = sorted(
        {ext for rule in rules for ext in rule["extensions"]} | {".txt", ".zarr/", ".nii.gz.bak"}
    )
    labels = ["1", "01", "rest", "A+b", "calibration"]

    def name() -> str:
        rule = dice.choice(rules)
        entities = [
            short[entity]
            for entity in schema["rules"]["entities"]
            if (level := rule["entities"].get(entity)) and (level != "optional" or dice.random() < 0.4)
        ]
        entities = [entity for entity in entities if entity not in ("sub", "ses")]
        if dice.random() < 0.2:
            entities.append(dice.choice(sorted(short.values())))
        if dice.random() < 0.1:
            dice.shuffle(entities)
        subject, session = dice.choice(["01", "02", "A1", "té"]), dice.choice([None, None, "1", "b d"])
        where = [f"sub-{subject}"] + ([f"ses-{session}"] if session else [])
        parts = where + [f"{entity}-{dice.choice([*labels, '', 'a-b', '!'])}" for entity in entities]
        suffix = dice.choice(suffixes if dice.random() < 0.1 else rule["suffixes"])
        extension = dice.choice(extensions if dice.random() < 0.1 else rule["extensions"] or [".nii"])
        datatype = dice.choice(
            ["anat", "func", "meg", "other"] if dice.random() < 0.1 else rule.get("datatypes") or ["anat"]
        )
        if dice.random() < 0.05:
            parts = parts[1:]
        if dice.random() < 0.05:
            where = ["sub-02"]
        inner = "inside" if extension.endswith("/") else ""
        base = "_".join([*parts, suffix]) + extension.replace("*", "elp") + inner
        return "/".join([*where, *([] if dice.random() < 0.05 else [str(datatype)]), base])

    return [name() for _ in range(count)]


def without_clashes(paths: Iterable[str]) -> list[str]:
    """Drop paths that would be a file and a folder at once."""
    folders = {"/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 1)}
    return sorted({path for path in paths if path not in folders})


EXTRA = [
    *VALID,
    *("log/x", "logs/y", "doc/x", "docs/z", "prov/p.json", "rawdata/sub-01/anat/sub-01_T1w.nii.gz"),
    *("sub-01/old/sub-01_T1w.nii", "sub-01_bad/anat/sub-01_bad_T1w.nii", "sub-01/meg/sub-01_task-a_meg/c,rf"),
    *(
        "sub-01/README",
        "ses-1_bold.json",
        "sub-01_T1w.json",
        "tpl-x/anat/tpl-x_T1w.nii",
        "sub-/anat/sub-_T1w.nii",
    ),
    *("participants.foo", "bold.nii.gz", "sub-01/code/x.m", "sub-01/anat/sub-01_sub-02_T1w.nii"),
]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_official_validator_says_the_same_of_invented_names(seed: int, tmp_path: Path) -> None:
    paths = without_clashes([*EXTRA, *invented(seed, 700)])
    bidsignore = "*_T2w.*\nOTHER/\n!sub-01_T2w.nii.gz\n/sub-02/**/*BOLD*\n" if seed == 2 else ""
    assert ours(paths, bidsignore=bidsignore) == official(paths, tmp_path / "ds", "raw", bidsignore)


@pytest.mark.parametrize("dataset_type", ["derivative", "study"])
def test_the_official_validator_says_the_same_of_other_types_of_dataset(
    dataset_type: DatasetType, tmp_path: Path
) -> None:
    paths = without_clashes(
        [
            *EXTRA,
            *invented(4, 200),
            "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
            "sub-01.html",
            "sub-01/figures/x.svg",
        ]
    )
    assert ours(paths, dataset_type) == official(paths, tmp_path / "ds", dataset_type)


@pytest.mark.parametrize(
    "tree", [pytest.param(tree, id=name) for name, tree in TREES.items() if name != "unsafe keys"]
)
def test_the_official_validator_says_the_same_of_our_trees(tree: Tree, tmp_path: Path) -> None:
    paths = without_clashes(path for path in tree.paths if not path.endswith("/"))
    assert ours(paths, bidsignore=tree.bidsignore) == official(paths, tmp_path / "ds", "raw", tree.bidsignore)


@given(st.lists(st.text() | st.text("sub-01/_ses.T1wnii\\\n\0 é"), max_size=8))
def test_no_text_whatever_breaks_the_judgement(paths: list[str]) -> None:
    for problem in invalid_names(paths):
        problem.path.encode()


def test_forty_thousand_names_take_a_fraction_of_a_second() -> None:
    paths = [
        f"sub-{number:04}/func/sub-{number:04}_task-rest_run-{run}_{suffix}.nii.gz"
        for number in range(1000)
        for run in range(20)
        for suffix in ("bold", "blod")
    ]
    start = time.process_time()
    assert len(invalid_names(paths)) == 20_000
    assert time.process_time() - start < 0.8  # 0.15 s measured


def test_the_validator_reports_what_only_content_shows(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    report = run_validator(tmp_path)
    assert not report.valid
    assert ("error", "JSON_KEY_REQUIRED Name", "dataset_description.json") in {
        issue[:3] for issue in report.issues
    }


def test_the_validator_refuses_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"dataset_description\.json"):
        run_validator(tmp_path)


def test_a_validator_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    with pytest.raises(InfrastructureError, match="did not finish"):
        run_validator(tmp_path, timeout=0.01)


def test_a_skeleton_has_real_text_and_sparse_images_of_the_true_size(tmp_path: Path) -> None:
    terabyte = 2**40
    listing = [
        Entry("sub-01/anat/sub-01_T1w.nii.gz", terabyte, ""),
        Entry("dataset_description.json", 2, ""),
        Entry("derivatives/x/y.json", 2, ""),
        Entry(".git/config", 2, ""),
        Entry("sub-01/", 0, ""),
    ]
    assert materialise(listing, lambda entry: b"{}", tmp_path / "ds") == ()
    found = {
        str(path.relative_to(tmp_path / "ds")) for path in (tmp_path / "ds").rglob("*") if path.is_file()
    }
    assert found == {"sub-01/anat/sub-01_T1w.nii.gz", "dataset_description.json"}
    image = (tmp_path / "ds/sub-01/anat/sub-01_T1w.nii.gz").stat()
    assert image.st_size in (terabyte, 1)  # 1 where the file system knows no such sizes
    assert image.st_blocks * 512 < 2**20
    assert (tmp_path / "ds/dataset_description.json").read_bytes() == b"{}"


def test_a_skeleton_stays_in_its_folder_whatever_the_keys(tmp_path: Path) -> None:
    bad = list(TREES["unsafe keys"].left_out)
    problems = materialise([Entry(path, 1, "") for path in bad], lambda entry: b"x", tmp_path / "in" / "ds")
    assert [problem.code for problem in problems] == ["UNSAFE_KEY"] * len(bad)
    assert [path.name for path in (tmp_path / "in").rglob("*")] == ["ds"]


def test_a_skeleton_leaves_out_what_is_a_file_and_a_folder_at_once(tmp_path: Path) -> None:
    problems = materialise(
        [Entry("sub-01", 1, ""), Entry("sub-01/anat/sub-01_T1w.json", 1, "")],
        lambda entry: b"{}",
        tmp_path / "ds",
    )
    assert [problem.path for problem in problems] == ["sub-01/anat/sub-01_T1w.json"]


def test_a_skeleton_is_only_written_into_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for there in (tmp_path, tmp_path / "link"):
        with pytest.raises(BadInput, match="not there yet"):
            materialise([], lambda entry: b"", there)
