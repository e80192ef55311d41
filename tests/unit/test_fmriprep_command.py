"""cwl/tools/fmriprep.cwl makes command lines that fMRIPrep's own parser takes and reads as they are meant."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.cwl_command import (
    CHECKOUT,
    Inputs,
    Tool,
    directory_object,
    file_object,
    job_order,
    read_yaml,
    rule_terms,
    symbols,
    table,
)
from tests.unit.real_fmriprep import FMRIPREP, FmriprepParser

OPTIONS = table("fmriprep_options.tsv")
TEMPLATE = read_yaml(CHECKOUT / "jobs/fmriprep.yml")
TYPED = {row["handled"].removeprefix("input:"): row for row in OPTIONS if row["handled"].startswith("input:")}
RESOURCES = {"cpus", "memory_mib", "tmp_mib", "out_mib", "time_limit"}
# Inputs that fMRIPrep takes several words of, out of a fixed list; the CWL type is string[].
WORD_LISTS = {"ignore", "force", "debug"}
# Waits for someone at a keyboard, which no job has; all includes it.
NOT_IN_A_JOB = {"pdb", "all"}

labels = st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True)
spaces = st.sampled_from(
    [
        *("MNI152NLin2009cAsym", "MNI152NLin6Asym:res-1:res-2", "MNIPediatricAsym:cohort-2:res-1"),
        *("fsaverage", "fsaverage:den-10k", "fsaverage5", "fsLR"),
        *("anat", "T1w", "fsnative", "func", "run", "sbref"),
    ]
)
not_negative = st.floats(0, 1e6, allow_nan=False)


@dataclass(frozen=True, slots=True)
class Files:
    """What inputs of class File and Directory refer to."""

    dataset: Path
    licence: Path
    filters: Path
    subjects: Path
    derivatives: tuple[Path, ...]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    root = tmp_path_factory.mktemp("files with a space")
    dataset, subjects = root / "dataset", root / "freesurfer"
    derivatives = tuple(root / name for name in ("smriprep", "fmriprep", "sdc-flows_1.0"))
    for folder in (dataset, subjects, *derivatives):
        folder.mkdir()
    licence, filters = root / "license.txt", root / "filters.json"
    licence.write_text("stand-in\n")
    filters.write_text('{"t1w": {"session": null, "acquisition": "*"}, "bold": {"run": [1, 2]}}')
    return Files(dataset, licence, filters, subjects, derivatives)


def values(files: Files) -> dict[str, st.SearchStrategy[Any]]:
    """Values to try for inputs whose CWL type does not tell."""
    folders = st.sampled_from([directory_object(path) for path in files.derivatives])
    words = {name: st.lists(st.sampled_from(choices(name)), min_size=1, unique=True) for name in WORD_LISTS}
    return {
        **words,
        "bids_dir": st.just(directory_object(files.dataset)),
        "participant_label": labels,
        "fs_license": st.just(file_object(files.licence)),
        "session_label": st.lists(labels, min_size=1, max_size=3, unique=True),
        "task_id": labels,
        "echo_idx": st.integers(1, 9),
        "bids_filter_file": st.just(file_object(files.filters)),
        "derivatives": st.lists(folders, min_size=1, unique_by=lambda folder: str(folder["location"])),
        "omp_nthreads": st.integers(1, 64),
        "random_seed": st.integers(-(2**31), 2**31 - 1),
        "skull_strip_template": st.sampled_from(["OASIS30ANTs", "NKI", "MNI152NLin2009cAsym:res-1"]),
        "fs_subjects_dir": st.just(directory_object(files.subjects)),
        "continue_from": st.just(directory_object(files.subjects)),
        "dummy_scans": st.integers(0, 50),
        "slice_time_ref": st.floats(0, 1),
        "fallback_total_readout_time": st.just("estimated") | st.floats(1e-6, 1).map(str),
        "output_spaces": st.lists(spaces, min_size=1, max_size=4, unique=True),
        "fd_spike_threshold": not_negative,
        "dvars_spike_threshold": not_negative,
        "aggregate_session_reports": st.integers(1, 100),
        "country_code": st.from_regex(r"[A-Z]{3}", fullmatch=True),
        "extra_args": st.lists(st.sampled_from(["--clean-workdir", "--boilerplate-only", "-v"]), max_size=2),
        "cpus": st.integers(1, 192),
        "memory_mib": st.integers(1024, 2**20),
        "tmp_mib": st.integers(1, 2**21),
        "out_mib": st.integers(1, 2**21),
        "time_limit": st.integers(0, 10**6),
    }


def choices(name: str) -> list[str]:
    """What fMRIPrep lets one choose from."""
    return [word for word in TYPED[name]["choices"].split(",") if word and word not in NOT_IN_A_JOB]


def meant(name: str, value: Any, files: Files) -> Any:
    """What fMRIPrep's parser is to read for the value of a CWL input."""
    if value is True:
        switched_off = ("no_", "fs_no_reconall", "fmap_no_demean")
        return not name.startswith(switched_off)
    if name == "participant_label":
        return [value]
    if name == "derivatives":
        return {Path(folder["location"]).name for folder in value}
    if name == "bold2anat_dof":
        return int(value)
    if name == "verbose":
        return len(value)
    if name == "output_spaces":
        return {space.partition(":")[0].rstrip("5") for space in value}  # fsaverage5 is fsaverage:den-10k
    if name == "fallback_total_readout_time" and value != "estimated":
        return float(value)
    return value


def read(name: str, value: Any) -> Any:
    """What the parser has read, in the form of `meant`."""
    if name == "derivatives":
        assert all(Path(path).name == package for package, path in value.items())
        return set(value)
    if name == "output_spaces":
        listed = value.removeprefix("Spatial References: ").split(", ")
        return {space.partition(":")[0] for space in listed}
    return value


COMPARED = set(TYPED) - {
    "bids_dir",
    "fs_license",
    "fs_subjects_dir",
    "bids_filter_file",
    "skull_strip_template",
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_command_line_is_read_as_it_is_meant(
    data: st.DataObject, fmriprep_tool: Tool, fmriprep_parser: FmriprepParser, files: Files
) -> None:
    inputs = data.draw(fmriprep_tool.parameters(values(files)))
    verbose_twice = "-v" in inputs.get("extra_args", [])
    command = fmriprep_tool.command(inputs)

    answer = fmriprep_parser.parse(command.argv)

    assert "refused" not in answer, answer["refused"]
    parsed = answer["values"]
    for name in COMPARED & set(inputs):
        value = inputs[name]
        if value is False or (name == "verbose" and verbose_twice):
            continue
        assert read(name, parsed[TYPED[name]["dest"]]) == meant(name, value, files), name
    assert parsed["nprocs"] == inputs.get("cpus", 8)
    assert parsed["memory_gb"] == pytest.approx(inputs.get("memory_mib", 28672) / 1000)
    assert parsed["output_dir"] == str(command.outdir / "derivatives")
    assert parsed["skip_bids_validation"] is inputs.get("skip_bids_validation", True)
    assert parsed["notrack"] is True


def test_inputs_that_are_not_given_leave_fmriprep_its_own_defaults(
    fmriprep_tool: Tool, fmriprep_parser: FmriprepParser, files: Files
) -> None:
    command = fmriprep_tool.command(least(files))
    bare = fmriprep_parser.parse([str(files.dataset), "out", "participant"])["values"]

    parsed = fmriprep_parser.parse(command.argv)["values"]

    assert {name for name in bare if parsed[name] != bare[name]} == {
        "bids_dir",
        "output_dir",
        "participant_label",
        "fs_license_file",
        "skip_bids_validation",
        "notrack",
        "work_dir",
        "nprocs",
        "memory_gb",
    }


def test_the_working_directory_is_in_the_temporary_directory(fmriprep_tool: Tool, files: Files) -> None:
    argv = fmriprep_tool.command(least(files)).argv
    assert argv[argv.index("-w") + 1] == str(fmriprep_tool.room / "tmpdir" / "work")


def test_earlier_freesurfer_results_are_copied_to_where_fmriprep_may_write(
    fmriprep_tool: Tool, files: Files
) -> None:
    inputs = {**least(files), "fs_subjects_dir": directory_object(files.subjects)}
    command = fmriprep_tool.command(inputs)
    assert command.argv[command.argv.index("--fs-subjects-dir") + 1] == str(command.outdir / "subjects")


def test_subjects_that_were_cut_off_are_copied_to_where_fmriprep_looks_for_its_own(
    fmriprep_tool: Tool, fmriprep_parser: FmriprepParser, files: Files
) -> None:
    command = fmriprep_tool.command({**least(files), "continue_from": directory_object(files.subjects)})
    assert command.laid_out["derivatives/sourcedata/freesurfer"] == files.subjects.as_uri()
    assert "refused" not in fmriprep_parser.parse(command.argv)


def test_templates_are_looked_for_where_the_image_has_them(fmriprep_tool: Tool, files: Files) -> None:
    environment = fmriprep_tool.command(least(files)).environment
    assert environment["TEMPLATEFLOW_HOME"] == "/home/fmriprep/.cache/templateflow"


def test_every_word_of_every_choice_is_accepted(
    fmriprep_tool: Tool, fmriprep_parser: FmriprepParser, files: Files
) -> None:
    specs = fmriprep_tool.document["inputs"]
    tried: list[tuple[str, Any]] = [(name, word) for name in specs for word in symbols(specs[name]["type"])]
    tried += [(name, [word]) for name in WORD_LISTS for word in choices(name)]
    for name, value in tried:
        answer = fmriprep_parser.parse(fmriprep_tool.command({**least(files), name: value}).argv)
        assert "refused" not in answer, (name, value, answer)


def test_the_choices_of_an_option_are_those_of_fmriprep(fmriprep_tool: Tool) -> None:
    specs = fmriprep_tool.document["inputs"]
    for name, row in TYPED.items():
        if row["choices"] and name not in WORD_LISTS:
            assert symbols(specs[name]["type"]) == row["choices"].split(","), name
        for word in choices(name) if name in WORD_LISTS else ():
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", specs[name]["doc"]), (name, word)


def test_every_option_of_fmriprep_is_an_input_or_left_to_extra_args_for_a_reason(
    fmriprep_tool: Tool, fmriprep_parser: FmriprepParser
) -> None:
    known = fmriprep_parser.options()
    assert fmriprep_parser.version == FMRIPREP
    listed = {row["dest"]: set(filter(None, row["flags"].split(","))) for row in OPTIONS}
    assert listed == {**{name: set(flags) for name, flags in known.items()}, "version": {"--version"}}
    for row in OPTIONS:
        assert row["handled"] in ("fixed", "extra_args") or row["handled"].startswith("input:")
        assert bool(row["reason"]) == (row["handled"] == "extra_args"), row
    assert set(fmriprep_tool.document["inputs"]) == {*TYPED, *RESOURCES, "extra_args", "continue_from"}


def test_options_are_written_in_full_since_abbreviations_end_with_the_next_option(
    fmriprep_tool: Tool,
) -> None:
    specs = fmriprep_tool.document["inputs"]
    for name, row in TYPED.items():
        prefix = specs[name]["inputBinding"].get("prefix", "").removesuffix("=")
        assert prefix in ("", "-", *row["flags"].split(",")), name


def test_every_input_is_documented(fmriprep_tool: Tool) -> None:
    for name, spec in fmriprep_tool.document["inputs"].items():
        assert re.match(r"[^.]+\.", spec["doc"].strip()), name


def test_the_rules_of_the_job_template_name_inputs_and_their_values(fmriprep_tool: Tool) -> None:
    specs = fmriprep_tool.document["inputs"]
    for name, value in rule_terms(TEMPLATE):
        assert name in specs, name
        allowed = choices(name) if name in WORD_LISTS else symbols(specs[name]["type"])
        assert value is None or value in allowed, (name, value)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"force": ["bbr", "no-bbr"]}, "Cannot force and disable boundary-based registration"),
        (
            {"force": ["fmap-jacobian"], "ignore": ["fmap-jacobian"]},
            "Cannot force and ignore fieldmap Jacobian",
        ),
    ],
)
def test_what_the_rules_refuse_fmriprep_refuses_too(
    fmriprep_tool: Tool, fmriprep_parser: FmriprepParser, inputs: Inputs, why: str, files: Files
) -> None:
    answer = fmriprep_parser.check(fmriprep_tool.command({**least(files), **inputs}).argv)
    assert why in answer["refused"]


def test_the_test_job_passes_the_checks_that_fmriprep_makes_on_the_dataset(
    fmriprep_tool: Tool, fmriprep_parser: FmriprepParser
) -> None:
    inputs = job_order(CHECKOUT / "cwl/tools/fmriprep.test.yml")
    assert fmriprep_parser.check(fmriprep_tool.command(inputs).argv) == {"values": {}}


def least(files: Files) -> Inputs:
    """The inputs that must be given."""
    return {
        "bids_dir": directory_object(files.dataset),
        "participant_label": "01",
        "fs_license": file_object(files.licence),
    }
