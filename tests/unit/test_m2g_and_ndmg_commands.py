"""cwl/tools/m2g.cwl and ndmg.cwl make command lines that the tools' own parsers read as they are meant."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.cwl_command import CHECKOUT, Inputs, Tool, file_object, symbols, table
from tests.unit.real_neurodata import NeurodataParsers

FILES = {"t1w", "dwi", "bval", "bvec"}
RESOURCES = {"cpus", "memory_mib", "tmp_mib", "out_mib", "time_limit"}
OPTIONS = {tool: table(f"{tool}_options.tsv") for tool in ("m2g", "ndmg")}
TYPED = {
    tool: {r["handled"].removeprefix("input:") for r in rows if r["handled"].startswith("input:")}
    for tool, rows in OPTIONS.items()
}

labels = st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True)


@pytest.fixture(scope="module")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NeurodataParsers]:
    started = NeurodataParsers(tmp_path_factory.mktemp("neurodata"))
    yield started
    started.close()


@pytest.fixture(scope="module", params=["m2g", "ndmg"])
def tool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tool:
    return Tool(request.param, tmp_path_factory.mktemp(request.param) / "room")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """The files of a scan, not called as in BIDS: their names are the tool's affair."""
    folder = tmp_path_factory.mktemp("files with a space")
    files = {name: folder / f"{name}-of-someone.gz" for name in FILES}
    for name, file in files.items():
        file.write_text(name)
    return {name: file_object(file) for name, file in files.items()}


def values(scan: Inputs) -> dict[str, st.SearchStrategy[Any]]:
    """Values to try for inputs whose CWL type does not tell."""
    names = st.sampled_from(["desikan", "AAL_space-MNI152NLin6", "DKT"])
    return {
        **{name: st.just(value) for name, value in scan.items()},
        "participant_label": labels,
        "session_label": labels,
        "parcellation": names,
        "atlas": names,
        "seeds": st.integers(1, 1000),
        "extra_args": st.just([]),
        "cpus": st.integers(1, 192),
        "memory_mib": st.integers(1024, 2**20),
        "tmp_mib": st.integers(1, 2**21),
        "out_mib": st.integers(1, 2**21),
        "time_limit": st.integers(0, 10**6),
    }


def meant(name: str, value: Any) -> Any:
    """What the parser is to read for the value of a CWL input."""
    return [value] if name.endswith("_label") else str(value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_command_line_is_read_as_it_is_meant(
    data: st.DataObject, tool: Tool, parsers: NeurodataParsers, scan: Inputs
) -> None:
    inputs = data.draw(tool.parameters(values(scan)))

    answer = parsers.parse(tool.name, tool.command(inputs).argv)

    assert "refused" not in answer, answer["refused"]
    for name in TYPED[tool.name] & set(inputs):
        assert answer["values"][name] == meant(name, inputs[name]), name


def test_inputs_that_are_not_given_leave_the_tool_its_own_defaults(
    tool: Tool, parsers: NeurodataParsers, scan: Inputs
) -> None:
    bare = parsers.parse(tool.name, ["in", "out"])["values"]
    command = tool.command({**scan, "participant_label": "01"})

    parsed = parsers.parse(tool.name, command.argv)["values"]

    given_ = {row["dest"] for row in OPTIONS[tool.name] if row["handled"] == "fixed"}
    assert {name for name in bare if parsed[name] != bare[name]} == {
        *given_,
        "participant_label",
        "session_label",
    }
    assert parsed["session_label"] == ["none"], "neither tool runs without a session"


def test_the_defaults_that_the_documentation_names_are_the_parsers(
    tool: Tool, parsers: NeurodataParsers
) -> None:
    bare = parsers.parse(tool.name, ["in", "out"])["values"]
    documented = {
        name: spec["doc"].partition("(default ")[2].partition(")")[0]
        for name, spec in tool.document["inputs"].items()
        if "(default " in spec["doc"]
    }
    assert len(documented) == 6
    assert documented == {name: str(bare[name]) for name in documented}
    for name in documented:
        assert documented[name] in (symbols(tool.document["inputs"][name]["type"]) or ["20"])


def test_every_option_is_an_input_or_left_to_extra_args_for_a_reason(
    tool: Tool, parsers: NeurodataParsers
) -> None:
    rows = OPTIONS[tool.name]
    assert {row["dest"]: row["flags"] for row in rows} == {
        name: ",".join(flags) for name, flags in parsers.options(tool.name).items()
    }
    for row in rows:
        assert row["handled"] in ("fixed", "extra_args") or row["handled"].startswith("input:")
        assert bool(row["reason"]) == (row["handled"] == "extra_args"), row
    assert set(tool.document["inputs"]) == {*TYPED[tool.name], *FILES, *RESOURCES, "extra_args"}


def test_the_tool_sees_a_dataset_of_one_scan_whatever_its_files_are_called(tool: Tool, scan: Inputs) -> None:
    laid_out = tool.command({**scan, "participant_label": "01", "session_label": "test"}).laid_out

    stem = "bids/sub-01/ses-test/{}/sub-01_ses-test_{}"
    files = {
        stem.format("anat", "T1w.nii.gz"): "t1w",
        stem.format("dwi", "dwi.nii.gz"): "dwi",
        stem.format("dwi", "dwi.bval"): "bval",
        stem.format("dwi", "dwi.bvec"): "bvec",
    }
    assert set(laid_out) == {"bids/dataset_description.json", *files}
    for path, name in files.items():
        assert laid_out[path] == scan[name]["location"]


def test_ndmg_and_m2g_lay_the_results_of_a_session_in_the_same_folder(
    parsers: NeurodataParsers, tmp_path: Path, scan: Inputs
) -> None:
    inputs = {**scan, "participant_label": "01", "session_label": "test"}
    where = {
        name: parsers.parse(name, (command := Tool(name, tmp_path / name).command(inputs)).argv)["values"][
            "output_dir"
        ].removeprefix(f"{command.outdir}/")
        for name in ("m2g", "ndmg")
    }
    # m2g adds sub- and ses- itself
    assert where == {"m2g": "derivatives", "ndmg": "derivatives/sub-01/ses-test"}


@pytest.mark.parametrize("cloud", ["m2g_cloud", "ndmg_cloud"])
def test_every_option_of_the_originals_launcher_has_its_line_in_the_documentation(
    cloud: str, parsers: NeurodataParsers
) -> None:
    text = (CHECKOUT / "docs/ndmg.md").read_text().partition("\n## The set-up")[0]
    column = {"ndmg_cloud": 1, "m2g_cloud": 2}[cloud]
    cells = [line.split("|")[column] for line in text.splitlines() if line.startswith("|")]
    documented = {flag for cell in cells for flag in re.findall(r"--[a-z_]+", cell)}
    long = {flag for flags in parsers.options(cloud).values() for flag in flags if flag.startswith("--")}
    assert documented == long


def test_the_documented_example_is_a_command_of_ndmg_cloud(parsers: NeurodataParsers) -> None:
    text = (CHECKOUT / "docs/ndmg.md").read_text()
    (line,) = re.findall(r"^ndmg_cloud (.*)$", text, re.MULTILINE)
    read = parsers.parse("ndmg_cloud", shlex.split(line))["values"]
    where = [read[name] for name in ("state", "bucket", "bidsdir", "modif", "sp")]
    assert where == ["participant", "ndmg-data", "HNU1", "ndmg-08-21-native", "native"]
