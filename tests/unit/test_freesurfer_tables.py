"""Group tables: FreeSurfer's own names and values, and nothing that is silently wrong."""

import csv
import json
import math
from pathlib import Path

import freesurfer_tables as tables
import pytest
from hypothesis import given
from hypothesis import strategies as st

HEAD = (
    "# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd\n"
)
APARC = (
    "# Table of FreeSurfer cortical parcellation anatomical statistics \n"
    "# Measure Cortex, NumVert, Number of Vertices, 120233, unitless\n"
    "# Measure Cortex, WhiteSurfArea, White Surface Total Area, 85633.5, mm^2\n"
    "# Measure Cortex, MeanThickness, Mean Thickness, 2.59632, mm\n"
    "# Measure BrainSegNotVent, BrainSegVolNotVent, Without Ventricles, 1157593.000000, mm^3\n"
    "# Measure Cortex, CortexVol Total cortical gray matter volume, 553998.311189, mm^3\n"
    "# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, 1420434.160521, mm^3\n"
    + HEAD
    + "bankssts        1546   1043   3051  2.734 0.556     0.097     0.019       11     1.2\n"
    "insula          1282    836   2706  2.510 0.852     0.122     0.022       19     1.0\n"
)
ASEG = (
    "# Title Segmentation Statistics \n"
    "# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1169408.000000, mm^3\n"
    "# Measure VentricleChoroidVol, VentricleChoroidVol, Volume of ventricles, 9296.000000, mm^3\n"
    "# Measure lhSurfaceHoles, lhSurfaceHoles, Number of defect holes in lh surfaces, 24, unitless\n"
    "# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, 1420434.160521, mm^3\n"
    "# NRows 2 \n"
    "# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange  \n"
    "  1   4      5077     5581.1  Left-Lateral-Ventricle   27.3055    15.4437     0.0000    88.0000    88.0000 \n"
    "  2   5       132      195.5  Left-Inf-Lat-Vent        53.1970     9.2625    37.0000    76.0000    39.0000 \n"
)
WANTED = [column for column, _, _ in tables.PARCELLATION.values()]


class Group:
    """A folder of subjects' statistics, and the tables that are made of it."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        self.results.mkdir()
        self.out = folder / "group"
        self.code = -1

    def add(self, subject: str, **files: str) -> "Group":
        for name, text in files.items():
            file = self.results / subject / "stats" / f"{name.replace('_', '.')}.stats"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return self

    def gather(self) -> "Group":
        self.code = tables.main(self.results, self.out)
        return self

    def rows(self, table: str) -> list[dict[str, str]]:
        with (self.out / f"{table}.tsv").open() as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def dictionary(self, table: str) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads((self.out / f"{table}.json").read_text())
        return found

    def problems(self) -> list[tuple[str, str, str]]:
        return [(row["subject"], row["file"], row["problem"]) for row in self.rows("problems")]


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path)


def test_a_parcellation_has_the_columns_and_values_of_aparcstats2table(group: Group) -> None:
    group.add("sub-01_ses-1", lh_aparc=APARC).gather()

    assert group.rows("lh_aparc_thickness") == [
        {
            "participant_id": "sub-01",
            "session_id": "ses-1",
            "lh_bankssts_thickness": "2.734",
            "lh_insula_thickness": "2.51",
            "lh_MeanThickness_thickness": "2.59632",
            "BrainSegVolNotVent": "1157593.0",
            "eTIV": "1420434.160521",
        }
    ]
    assert list(group.rows("lh_aparc_area")[0])[4:] == ["lh_WhiteSurfArea_area", "BrainSegVolNotVent", "eTIV"]
    assert group.problems() == []
    assert group.code == 0


def test_each_measure_of_aparcstats2table_has_a_table(group: Group) -> None:
    group.add("sub-01", lh_aparc=APARC).gather()

    values = {
        measure: group.rows(f"lh_aparc_{measure}")[0][f"lh_insula_{measure}"]
        for measure in tables.PARCELLATION
    }
    assert values == {
        "area": "836.0",
        "volume": "2706.0",
        "thickness": "2.51",
        "thicknessstd": "0.852",
        "meancurv": "0.122",
        "gauscurv": "0.022",
        "foldind": "19.0",
        "curvind": "1.0",
    }


def test_a_segmentation_has_the_columns_and_values_of_asegstats2table(group: Group) -> None:
    group.add("sub-01", aseg=ASEG).gather()

    assert group.rows("aseg_volume") == [
        {
            "participant_id": "sub-01",
            "session_id": "n/a",
            "Left-Lateral-Ventricle": "5581.1",
            "Left-Inf-Lat-Vent": "195.5",
            "BrainSegVol": "1169408.0",
            "lhSurfaceHoles": "24.0",
            "EstimatedTotalIntraCranialVol": "1420434.160521",
        }
    ]


def test_every_column_is_described_with_its_unit(group: Group) -> None:
    group.add("sub-01", aseg=ASEG, rh_aparc=APARC).gather()

    for table in (file.stem for file in group.out.glob("*.tsv") if file.stem != "problems"):
        about = group.dictionary(table)
        columns = list(group.rows(table)[0])
        assert list(about) == columns
        assert all(about[column]["Description"] for column in columns)
        assert all(about[column]["Units"] for column in columns[2:])
    assert group.dictionary("aseg_volume")["lhSurfaceHoles"]["Units"] == "unitless"
    assert group.dictionary("rh_aparc_meancurv")["rh_insula_meancurv"] == {
        "Description": "Integrated rectified mean curvature of insula in the right hemisphere (aparc)",
        "Units": "mm^-1",
    }


def test_longitudinal_runs_have_tables_of_their_own_and_templates_none(group: Group) -> None:
    for subject in ("sub-01_ses-1", "sub-01", "sub-01_ses-1.long.sub-01"):
        group.add(subject, aseg=ASEG)
    group.gather()

    assert [(row["participant_id"], row["session_id"]) for row in group.rows("aseg_volume")] == [
        ("sub-01", "ses-1")
    ]
    row = group.rows("long_aseg_volume")[0]
    assert list(row)[:3] == ["participant_id", "session_id", "base_id"]
    assert list(row.values())[:3] == ["sub-01", "ses-1", "sub-01"]


def test_a_template_whose_longitudinal_runs_failed_is_still_no_participant(group: Group) -> None:
    group.add("sub-01_ses-1", aseg=ASEG).add("sub-01", aseg=ASEG)
    (group.results / "sub-01/base-tps").write_text("sub-01_ses-1\n")

    assert [row["session_id"] for row in group.gather().rows("aseg_volume")] == ["ses-1"]


def test_a_name_that_is_not_bids_is_kept_whole(group: Group) -> None:
    group.add("bert_2", aseg=ASEG).gather()

    assert group.rows("aseg_volume")[0]["participant_id"] == "bert_2"


def test_subjects_come_in_the_order_of_their_numbers(group: Group) -> None:
    for subject in ("sub-10", "sub-2", "sub-1"):
        group.add(subject, aseg=ASEG)
    group.gather()

    assert [row["participant_id"] for row in group.rows("aseg_volume")] == ["sub-1", "sub-2", "sub-10"]


def test_a_missing_file_is_named_and_its_values_are_not_zero(group: Group) -> None:
    group.add("sub-01", aseg=ASEG, lh_aparc=APARC).add("sub-02", aseg=ASEG).gather()

    assert group.problems() == [
        ("sub-02", "lh.aparc.stats", "missing: others have it; its values are n/a"),
    ]
    assert set(list(group.rows("lh_aparc_area")[1].values())[2:]) == {"n/a"}


def test_a_region_that_others_have_is_named_and_the_rest_of_the_file_is_used(group: Group) -> None:
    short = "".join(line for line in APARC.splitlines(keepends=True) if not line.startswith("insula"))
    group.add("sub-01", lh_aparc=APARC).add("sub-02", lh_aparc=short).gather()

    assert group.problems() == [
        ("sub-02", "lh.aparc.stats", "short: lacks lh_insula_area, which others have"),
    ]
    row = group.rows("lh_aparc_thickness")[1]
    assert (row["lh_bankssts_thickness"], row["lh_insula_thickness"]) == ("2.734", "n/a")


def test_nan_is_named_and_not_a_number_in_the_table(group: Group) -> None:
    group.add("sub-01", lh_aparc=APARC.replace("0.852", "-nan")).gather()

    assert group.problems() == [("sub-01", "lh.aparc.stats", "no number (nan): lh_insula_thicknessstd")]
    assert group.rows("lh_aparc_thicknessstd")[0]["lh_insula_thicknessstd"] == "n/a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        (APARC[:-5], "cut off in the middle of a line"),
        (APARC[: APARC.index("# ColHeaders")], "cut off before its table"),
        (APARC[: APARC.index("bankssts")], "its table has no rows"),
        (APARC.replace("2.734", "2,734"), "bankssts ThickAvg: '2,734' is no number (a decimal comma)"),
        (APARC.replace("1157593.000000", "1157593,000000"), "BrainSegVolNotVent: 6 of 5 fields"),
        (APARC.replace("insula  ", "bankssts"), "bankssts is there twice"),
        (APARC.replace("2706 ", ""), "row 2 has 9 of 10 columns"),
        (APARC.replace("ThickAvg", "Thickness"), "no column ThickAvg"),
        (APARC.replace("2.510", "0x2p1"), "insula ThickAvg: '0x2p1' is no number"),
        (APARC.replace("1043", "1_043"), "bankssts SurfArea: '1_043' is no number"),
        (APARC.replace(HEAD, "# NRows 3\n" + HEAD), "cut off: it has 2 of 3 rows"),
        (APARC[: APARC.index("# ColH")] + APARC, "WhiteSurfArea is there twice"),
        (APARC + APARC, "bankssts is there twice"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_named_and_left_out(group: Group, text: str, said: str) -> None:
    group.add("sub-01", lh_aparc=APARC).add("sub-02", lh_aparc=text).gather()

    ((subject, file, problem),) = group.problems()
    assert (subject, file) == ("sub-02", "lh.aparc.stats")
    assert said in problem
    for measure in tables.PARCELLATION:
        assert set(list(group.rows(f"lh_aparc_{measure}")[1].values())[2:]) == {"n/a"}


def test_tables_of_another_form_are_left_alone(group: Group) -> None:
    group.add("sub-01", aseg=ASEG, brainvol="# Brain Volume Statistics\n", lh_curv="Raw\n")
    (group.results / "sub-01/stats/lh.w-g.pct.stats").write_text("x\n")

    assert group.gather().problems() == []
    assert sorted(file.name for file in group.out.glob("*.tsv")) == ["aseg_volume.tsv", "problems.tsv"]


def test_tables_of_a_rehearsal_say_so(group: Group) -> None:
    group.add("sub-01", aseg="# cvs_version REHEARSAL by somebody\n" + ASEG, lh_aparc=APARC).gather()

    assert json.loads((group.out / "aseg_volume.json").read_text())["rehearsal"] is True
    assert "rehearsal" not in group.dictionary("lh_aparc_area")


def test_a_subject_without_statistics_is_named_and_no_failure(group: Group) -> None:
    done = group.results / "sub-01/scripts/recon-all.done"
    done.parent.mkdir(parents=True)
    done.write_text("SUBJECT sub-01\n")

    assert group.gather().problems() == [("sub-01", "n/a", "no statistics: it has no row in any table")]
    assert group.code == 0
    assert [row["participant_id"] for row in group.add("sub-02", aseg=ASEG).gather().rows("aseg_volume")] == [
        "sub-02"
    ]


def test_statistics_of_which_none_can_be_used_are_a_failure(group: Group) -> None:
    assert group.add("sub-01", aseg="").gather().code == 1
    assert len(group.problems()) == 1


def test_nothing_to_gather_is_a_failure(group: Group) -> None:
    assert group.gather().code == 1


@given(
    values=st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_&.-]{0,20}", fullmatch=True),
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=9, max_size=9),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_what_is_read(values: dict[str, list[float]]) -> None:
    rows = "".join(f"{region} {' '.join(map(repr, numbers))}\n" for region, numbers in values.items())
    stats = tables.parse(HEAD + rows, WANTED)
    assert list(stats.regions) == list(values)
    for region, numbers in values.items():
        assert list(stats.regions[region].values()) == numbers[1:]


@given(st.integers(1, len(APARC) - 1))
def test_a_file_cut_off_anywhere_gives_whole_rows_or_nothing(length: int) -> None:
    whole = tables.parse(APARC, WANTED)
    try:
        part = tables.parse(APARC[:length], WANTED)
    except tables.UnusableError:
        return
    assert all(whole.regions[region] == values for region, values in part.regions.items())
    assert length == APARC.index("insula"), "only at the end of a row; the missing regions are named as short"


def number(text: str) -> float | str | None:
    """What a text is taken for, or why it is refused."""
    try:
        return tables.number(text, "x")
    except tables.UnusableError as error:
        return str(error)


@given(
    st.text() | st.from_regex(tables.NUMBER, fullmatch=True) | st.from_regex(r"\d+[.,]\d+", fullmatch=True)
)
def test_a_text_is_a_number_in_c_or_refused_by_name(text: str) -> None:
    value = number(text)
    if isinstance(value, str):
        assert repr(text) in value
    elif value is None:
        assert text.lower().lstrip("+-") in ("nan", "inf", "infinity") or math.isinf(float(text))
    else:
        assert text.isascii()
        assert value == float(text)


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_text_without_a_table_is_refused(text: str) -> None:
    with pytest.raises(tables.UnusableError):
        tables.parse(text.replace("ColHeaders", ""), WANTED)
