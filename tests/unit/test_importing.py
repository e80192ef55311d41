"""`neurocwl pipelines import`: a first pipeline out of a BIDS App's own command line."""

import argparse
import json
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import argparse_dump
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from neurocwl import bidsapp, cliparser, cwlfile
from neurocwl.bidsapp import Program
from neurocwl.cli import main
from neurocwl.cli import parser as own_parser
from tests.cwl import test_tools as house
from tests.unit.cwl_command import Tool, symbols
from tests.unit.real_fmriprep import FMRIPREP, parser_python

APP = """\
#!{python}
'''A BIDS App that writes down what it was told.'''
import argparse, json, pathlib
p = argparse.ArgumentParser(prog="app", description=__doc__)
p.add_argument("bids_dir"); p.add_argument("output_dir"); p.add_argument("analysis_level", choices=["participant", "group"])
p.add_argument("--participant_label", nargs="+")
p.add_argument("--session-label", nargs="+", help="Sessions")
p.add_argument("--bids-filter-file", type=pathlib.Path)
p.add_argument("-w", "--work-dir")
p.add_argument("--n_cpus", type=int); p.add_argument("--mem_mb", type=int)
p.add_argument("--limit", type=float, default=0.5, help="A limit of 100%% of something")
p.add_argument("--atlas-file", required=True)
p.add_argument("--tables", action="append", nargs=2)
p.add_argument("--old", help="deprecated")
p.add_argument("--version", action="version", version="1")
if __name__ == "__main__":
    a = p.parse_args()
    out = pathlib.Path(a.output_dir) / f"sub-{{a.participant_label[0]}}"
    out.mkdir(parents=True)
    (out / "told.json").write_text(json.dumps(vars(a), default=str))
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A BIDS App as an installed command."""
    file = tmp_path / "bin" / "app"
    file.parent.mkdir()
    file.write_text(APP.format(python=sys.executable))
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(file.parent), prepend=":")
    return file


def imported(name: str, source: str, folder: Path, *words: str) -> int:
    return main(["pipelines", "import", name, "--from", source, "--pipeline-dir", str(folder), *words])


def keeps_the_conventions_of_the_house(file: Path) -> None:
    """What every CWL file of the project is held to."""
    house.test_it_validates_strictly_without_a_warning(file)
    house.test_its_test_job_fits_it(file)
    house.test_it_is_an_executable_cwl_runner_script(file)
    house.test_its_keys_come_in_the_order_of_the_house(file)
    house.test_every_input_and_output_is_documented_in_snake_case(file)
    house.test_no_worker_needs_javascript(file)
    house.test_container_and_resources_are_hints_that_a_job_order_can_override(file)
    house.test_it_names_its_software_by_rrid_and_keeps_its_logs(file)
    house.test_the_pure_tool_knows_nothing_of_neurocwl_and_fails_honestly(file)


def test_fmriprep_imported_keeps_the_conventions_and_has_no_drift(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = str(parser_python())
    words = (
        "--python",
        python,
        "--image",
        f"nipreps/fmriprep:{FMRIPREP}",
        "--entrypoint",
        "--rrid",
        "SCR_016216",
    )
    assert imported("mine", "fmriprep.cli.parser:_build_parser", tmp_path, *words) == 0
    tool = tmp_path / "cwl/tools/mine.cwl"
    keeps_the_conventions_of_the_house(tool)
    house.test_it_validates_strictly_without_a_warning(tmp_path / "cwl/workflows/mine-dataset.cwl")
    assert "baseCommand" not in cwlfile.load(tool)
    template = cwlfile.load(tmp_path / "jobs/mine.yml")
    assert template["licence"] == "fs_license"
    assert template["selection"] == {
        "session": "session_label",
        "task": "task_id",
        "filter": "bids_filter_file",
    }
    capsys.readouterr()
    assert main(["pipelines", "drift", "mine", "--pipeline-dir", str(tmp_path), "--python", python]) == 0
    assert "no drift" in capsys.readouterr().out


def test_an_installed_command_is_imported_planned_and_run(
    tmp_path: Path, app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    assert imported("app", "app", own, "--image", "lab/app:1") == 0
    told = capsys.readouterr().out
    assert "left out --tables" in told
    assert "left out --old: deprecated" in told
    tool = own / "cwl/tools/app.cwl"
    keeps_the_conventions_of_the_house(tool)
    dataset = tmp_path / "ds"
    (dataset / "sub-01/anat").mkdir(parents=True)
    (dataset / "dataset_description.json").write_text('{"Name": "ds", "BIDSVersion": "1.10.0"}')
    (dataset / "sub-01/anat/sub-01_T1w.nii.gz").write_bytes(b"x")
    planned = ["plan", "dataset", str(dataset), "--pipeline", "app", "--pipeline-dir", str(own), "--json"]
    atlas = tmp_path / "atlas.txt"
    atlas.write_text("atlas")
    assert main([*planned, "--atlas-file", str(atlas), "--app-limit", "0.25"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["ready"] == 1

    done = subprocess.run(
        [
            *(
                str(Path(sys.executable).parent / "cwltool"),
                "--no-container",
                "--outdir",
                str(tmp_path / "out"),
            ),
            *("--preserve-environment", "PATH", str(tool), str(tool.with_suffix(".test.yml"))),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "out/derivatives/sub-01/told.json").read_text())
    assert said["participant_label"] == ["01"]
    assert (said["n_cpus"], said["mem_mb"], said["limit"]) == (1, 4096, 0.5)
    assert said["work_dir"].endswith("/work")
    assert said["atlas_file"].endswith("/file")


def wheel(folder: Path) -> Path:
    """The App as a package that pip installs without an index."""
    file = folder / "tiny_app-1.5-py3-none-any.whl"
    info = "tiny_app-1.5.dist-info"
    module = APP.format(python="python").split("if __name__")[0]
    files = {
        "tiny_app.py": f"{module}\ndef main():\n    p.parse_args()\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny-app\nVersion: 1.5\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntiny-app = tiny_app:main\n",
    }
    with zipfile.ZipFile(file, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
        packed.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return file


def test_a_package_is_installed_read_and_thrown_away_and_its_contract_keeps_the_tool_in_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    package = wheel(tmp_path)
    words = ("--package", str(package), "--image", "lab/tiny:1.5")
    assert imported("tiny", "tiny-app", tmp_path, *words) == 0
    tool = cwlfile.load(tmp_path / "cwl/tools/tiny.cwl")
    assert tool["baseCommand"] == ["tiny-app"]
    assert tool["hints"]["SoftwareRequirement"]["packages"]["tiny-app"]["version"] == ["1.5"]
    assert list(Path("/var/tmp").glob("neurocwl-python-*/bin/tiny-app")) == []
    capsys.readouterr()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert main(["pipelines", "drift", "tiny", "--pipeline-dir", str(tmp_path)]) == 0
    assert "no drift" in capsys.readouterr().out


DESCRIPTOR = {
    "name": "tiny",
    "description": "A BIDS App.",
    "tool-version": "1.2",
    "schema-version": "0.5",
    "command-line": "tiny run [MODE] [BIDS] [OUT] [LEVEL] [LABEL] [TIMES] [FACTOR] [FAST]",
    "container-image": {"type": "docker", "image": "lab/tiny:1.2", "index": "docker.io"},
    "inputs": [
        {"id": "bids_dir", "name": "Dataset", "type": "File", "value-key": "[BIDS]"},
        {"id": "output_dir", "name": "Output", "type": "String", "value-key": "[OUT]"},
        {"id": "analysis_level", "name": "Level", "type": "String", "value-key": "[LEVEL]", "value-choices": ["participant", "group"]},
        {"id": "participant_label", "name": "Who", "type": "String", "value-key": "[LABEL]", "list": True, "optional": True, "command-line-flag": "--participant_label"},
        {"id": "times", "name": "Times", "type": "Number", "integer": True, "list": True, "list-separator": ",", "value-key": "[TIMES]", "command-line-flag": "--times", "command-line-flag-separator": "=", "optional": True},
        {"id": "factor", "name": "Factor", "type": "Number", "value-key": "[FACTOR]", "command-line-flag": "-f", "optional": True, "default-value": 1.5},
        {"id": "fast", "name": "Fast", "type": "Flag", "value-key": "[FAST]", "command-line-flag": "--fast", "optional": True},
        {"id": "mode", "name": "Mode", "type": "String", "value-key": "[MODE]", "command-line-flag": "--mode", "value-choices": ["slow", "slower"]},
    ],
}  # fmt: skip


def test_a_boutiques_descriptor_becomes_the_command_line_that_it_describes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(DESCRIPTOR))
    assert imported("tiny", str(tmp_path / "tiny.json"), tmp_path, "--rrid", "SCR_1") == 0
    tool = tmp_path / "cwl/tools/tiny.cwl"
    keeps_the_conventions_of_the_house(tool)
    dataset = {"class": "Directory", "location": tmp_path.as_uri()}
    given = {
        "bids_dir": dataset,
        "participant_label": "7",
        "mode": "slow",
        "times": [1, 2],
        "factor": 2.5,
        "fast": True,
    }
    command = Tool(str(tool.with_suffix("")), tmp_path / "room").command(given)
    out = str(command.outdir / "derivatives")
    seen = [word for word in command.argv if not word.startswith(str(tmp_path / "room/stagedir"))]
    assert seen == [
        *("tiny", "run", "--mode", "slow", out, "participant"),
        *("--participant_label", "7", "--times=1,2", "-f", "2.5", "--fast"),
    ]
    assert len(command.argv) == len(seen) + 1, "and the dataset"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"command-line": "a [BIDS] && b"}, "one command, then value keys"),
        ({"command-line": "tiny --x=[BIDS]"}, "one command, then value keys"),
        ({"inputs": []}, "inputs is missing"),
        ({"inputs": [{"id": "x", "type": "Thing", "value-key": "[BIDS]"}], "command-line": "a [BIDS]"}, "'Thing'"),
        ({"command-line": "tiny [FAST]"}, "no BIDS App"),
        ({"container-image": {"type": "rootfs"}}, "--image"),
    ],
)  # fmt: skip
def test_a_descriptor_that_cannot_be_imported_is_one_message_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], why: str
) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps({**DESCRIPTOR, **change}))
    assert imported("tiny", str(tmp_path / "tiny.json"), tmp_path / "own") == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "own").exists()


def test_files_that_are_there_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(DESCRIPTOR))
    assert imported("tiny", str(tmp_path / "tiny.json"), tmp_path) == 0
    before = (tmp_path / "jobs/tiny.yml").read_text()
    (tmp_path / "tiny.json").write_text(json.dumps({**DESCRIPTOR, "description": "Another one."}))
    assert imported("tiny", str(tmp_path / "tiny.json"), tmp_path) == 2
    assert (tmp_path / "jobs/tiny.yml").read_text() == before
    assert imported("tiny", str(tmp_path / "tiny.json"), tmp_path, "--replace") == 0
    assert "Another one." in (tmp_path / "jobs/tiny.yml").read_text()


# The letters make no word that names a role or a kind of file.
words = st.from_regex(r"[a-cx-z][a-cx-z0-9]{0,4}([-_][a-cx-z0-9]{1,4})?", fullmatch=True)
dashed = st.sampled_from(["-1", "-x", "--x", "-", "---", "-x=1", "", "-1.5 b", "a=b"])
texts = (dashed | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)).filter(
    lambda text: text != "--"  # argparse of Python 3.11 drops it wherever it stands, even in --x=--
)
plain = texts.filter(lambda text: text and not text.startswith("-"))
choices = st.lists(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,5}", fullmatch=True), min_size=1, max_size=4, unique=True
)
ints = st.integers(-(2**31), 2**31 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
KINDS: dict[str, Any] = {
    "text": {},
    "int": {"type": int},
    "float": {"type": float},
    "optional value": {"nargs": "?"},
    "choice": {"choices": choices},
    "number choice": {"choices": st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True), "type": int},
    "switch": {"action": "store_true"},
    "switch off": {"action": "store_false"},
    "both": {"action": argparse.BooleanOptionalAction},
    "count": {"action": "count"},
    "list": {"nargs": "+"},
    "ints": {"nargs": "*", "type": int},
    "choices": {"nargs": "+", "choices": choices},
    "pair": {"nargs": 2},
    "again": {"action": "append"},
    "more": {"action": "extend", "nargs": "+"},
}  # fmt: skip


@st.composite
def parsers(draw: st.DrawFn) -> argparse.ArgumentParser:
    """A BIDS App's parser with options of all kinds."""
    made = argparse.ArgumentParser(
        prog="app", description=draw(st.sampled_from(["", "An App: 100 % of it.", "A."]))
    )
    for name in ("bids_dir", "output_dir"):
        made.add_argument(name)
    made.add_argument("analysis_level", choices=["participant", "group"])
    made.add_argument("--participant-label", nargs="+")
    named = draw(st.lists(words, max_size=7, unique_by=lambda w: w.replace("-", "_")))
    shorts = draw(
        st.lists(st.sampled_from("abcdefgijklmnopqrstuvwxyzABC"), min_size=7, max_size=7, unique=True)
    )
    for name, short in zip(named, shorts, strict=False):
        kind = draw(st.sampled_from(sorted(KINDS)))
        given = {k: draw(v) if isinstance(v, st.SearchStrategy) else v for k, v in KINDS[kind].items()}
        flags = [f"--{name}"]
        if kind == "count" or (kind != "both" and draw(st.booleans())):
            flags.insert(0, f"-{short}")
        if kind not in ("switch", "switch off", "both", "count") and draw(st.booleans()):
            given["required"] = draw(st.booleans())
        made.add_argument(
            *flags,
            dest=f"to_{name.replace('-', '_')}",
            help=draw(st.sampled_from([None, "Help.", "50%% x"])),
            **given,
        )
    if draw(st.booleans()):
        made.add_argument("zzzzzz_1")
    return made


def value_of(type_: Any) -> st.SearchStrategy[Any]:
    """Values of a CWL type, as a job order writes them."""
    if symbols(type_):
        return st.sampled_from(symbols(type_))
    if isinstance(type_, list):
        return value_of(next(t for t in type_ if t != "null"))
    if isinstance(type_, dict):
        return st.lists(value_of(type_["items"]), min_size=1, max_size=3)
    name = type_.removesuffix("?")
    if name.endswith("[]"):
        return st.lists(plain if name == "string[]" else value_of(name[:-2]), min_size=1, max_size=3)
    return {"string": texts, "int": ints, "double": floats, "boolean": st.booleans()}[name]


def input_of(tool: dict[str, Any], action: argparse.Action) -> dict[str, str]:
    """The inputs of an option: name -> flag."""
    found = {}
    for name, spec in tool["inputs"].items():
        inner = (
            [t["inputBinding"] for t in spec["type"] if isinstance(t, dict) and "inputBinding" in t]
            if isinstance(spec["type"], list)
            else []
        )
        inner += (
            [spec["type"]["inputBinding"]]
            if isinstance(spec["type"], dict) and "inputBinding" in spec["type"]
            else []
        )
        prefix = (inner or [spec.get("inputBinding", {})])[0].get("prefix", "")
        if prefix == "-":
            prefix += symbols(spec["type"])[0]
        if prefix.removesuffix("=") in action.option_strings:
            found[name] = prefix.removesuffix("=")
    return found


@settings(
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_every_command_line_of_an_imported_tool_is_read_as_it_is_meant(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    real = data.draw(parsers())
    parser = cliparser.as_parser(json.loads(json.dumps(argparse_dump.describe(real))))
    own = own_parser().parse_args(["pipelines"]).own_options
    made = bidsapp.convert(Program("app", parser, ("app",), "lab/app", "app", "1"), own)
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.cwl").write_text(cwlfile.as_yaml(made.tool))
    inputs: dict[str, Any] = {
        "bids_dir": {"class": "Directory", "location": folder.as_uri()},
        "participant_label": "01",
    }
    meant: dict[str, Any] = {}
    for action in real._actions:
        if not action.dest.startswith(("to_", "zzz")):
            continue
        found = input_of(made.tool, action) if action.option_strings else {action.dest: ""}
        assert found, f"{action.option_strings} is left out"
        for name, flag in found.items():
            spec = made.tool["inputs"][name]
            required = action.required
            if not required and (meant.get(action.dest) is not None or data.draw(st.booleans())):
                continue
            words_ = made.template.get("choices", {}).get(name)
            many = isinstance(action.nargs, int) and action.nargs > 1
            if words_:
                value = data.draw(st.lists(st.sampled_from(words_), min_size=1, max_size=3))
            elif many:
                value = data.draw(st.lists(plain, min_size=2, max_size=2))
            else:
                value = data.draw(value_of(spec["type"]) if action.option_strings else plain)
            inputs[name] = value
            meant[action.dest] = (action, flag, value)

    command = Tool(str(folder / "app"), folder / "room").command(inputs)
    read = real.parse_args(command.argv[1:])

    assert (read.analysis_level, read.participant_label) == ("participant", ["01"])
    assert read.output_dir == str(command.outdir / "derivatives")
    for dest, (action, flag, value) in meant.items():
        kind, got = type(action).__name__, getattr(read, dest)
        if isinstance(value, bool):
            on = {"_StoreFalseAction": False, "BooleanOptionalAction": not flag.startswith("--no-")}.get(
                kind, True
            )
            assert got == (on if value else action.default), flag
        elif kind == "_CountAction":
            assert got == len(value)
        elif action.type is int and isinstance(value, str):
            assert got == int(value)
        else:
            assert got == value, flag
