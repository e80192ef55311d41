"""`neurocwl pipelines drift`: a CWL tool against its program's own argument parser, in whatever version."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from neurocwl import cliparser, contract, drift, template
from neurocwl.cli import main
from neurocwl.drift import Finding
from neurocwl.errors import BadInput, InfrastructureError
from tests.unit.real_fmriprep import FMRIPREP, parser_python

PROGRAM = """\
import argparse
def build():
    p = argparse.ArgumentParser(prog="prog")
    p.add_argument("bids_dir")
    p.add_argument("out_dir")
    p.add_argument("level", choices=["participant", "group"])
    p.add_argument("--participant-label", "--participant_label", nargs="+")
    p.add_argument("--model", choices=["csa", "csd"], default="csa")
    p.add_argument("--seeds", type=int, default=20, help="how many (default: %(default)s)")
    p.add_argument("--atlas", nargs="+")
    p.add_argument("--fast", action="store_true")
    p.add_argument("-v", "--verbose", action="count")
    p.add_argument("--threads", type=int)
    p.add_argument("--port")
    return p
def main():
    try:
        build().parse_args()
    except Exception:
        pass
"""
TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
arguments:
  - {position: 2, valueFrom: $(runtime.outdir)/out}
  - {position: 3, valueFrom: participant}
  - {prefix: --threads, valueFrom: $(runtime.cores)}
inputs:
  bids_dir: {type: Directory, inputBinding: {position: 1}}
  participant: {type: string, inputBinding: {position: 4, prefix: --participant-label}}
  model: {type: ["null", {type: enum, symbols: [csa, csd]}], doc: The model (default csa)., inputBinding: {position: 4, prefix: --model}}
  seeds: {type: int?, doc: Seeds (default 20)., inputBinding: {position: 4, prefix: --seeds=, separate: false}}
  atlas: {type: "string[]?", inputBinding: {position: 4, prefix: --atlas}}
  fast: {type: boolean?, inputBinding: {position: 4, prefix: --fast}}
  verbose: {type: ["null", {type: enum, symbols: [v, vv]}], inputBinding: {position: 4, prefix: "-", separate: false}}
  extra_args: {type: "string[]?", inputBinding: {position: 9}}
outputs:
  out_dir: {type: Directory, outputBinding: {glob: out}}
  log: {type: stdout}
"""
TEMPLATE = """\
class: JobTemplate
pipeline: prog
label: prog
doc: prog
tool: prog.cwl
unit: participant
bind: {bids_dir: {dataset: {datatype: anat}}, participant: {label: participant}}
outputs: {out_dir: "."}
logs: [log]
"""
NOT_OFFERED = {"--port": "nobody listens"}


def findings(folder: Path, program: str, tool: str = TOOL, target: str = "prog:build") -> tuple[Finding, ...]:
    """What is found when this program stands behind this tool."""
    (folder / "prog.py").write_text(program)
    (folder / "prog.cwl").write_text(tool)
    (folder / "prog.yml").write_text(TEMPLATE)
    parser = cliparser.read(Path(sys.executable), target, environment={"PYTHONPATH": str(folder)})
    return drift.compare(template.read(folder / "prog.yml"), parser, NOT_OFFERED)


@pytest.mark.parametrize("target", ["prog:build", "prog:main"])
def test_a_tool_that_fits_its_program_has_no_drift(tmp_path: Path, target: str) -> None:
    assert findings(tmp_path, PROGRAM, target=target) == ()


@pytest.mark.parametrize(
    ("before", "after", "what", "option", "breaking"),
    [
        ('"--fast", action', '"--quick", action', "gone", "--fast", True),
        ('"--threads"', '"--cpus"', "gone", "--threads", True),
        ('"-v", "--verbose"', '"--verbose"', "gone", "-", True),
        ('"bids_dir")', '"bids_dir"); p.add_argument("work_dir")', "required", "level", True),
        ('    p.add_argument("out_dir")\n', "", "gone", "participant", True),
        ('"--port")', '"--port", required=True)', "required", "--port", True),
        ('["csa", "csd"]', '["csa", "msmt"]', "choices", "--model", True),
        ('["csa", "csd"]', '["csa", "csd", "msmt"]', "choices", "--model", False),
        ('["participant", "group"]', '["subject", "group"]', "choices", "level", True),
        ('"--fast", action="store_true"', '"--fast"', "words", "--fast", True),
        ('"--model", choices=["csa", "csd"], default="csa"', '"--model", action="store_true"', "words", "--model", True),
        ('"--atlas", nargs="+"', '"--atlas"', "words", "--atlas", True),
        ('"--model", choices=["csa", "csd"], default="csa"', '"--model", type=int', "type", "--model", True),
        ("default=20", "default=30", "default", "--seeds", False),
        ('"--port")', '"--port"); p.add_argument("--colour")', "new", "--colour", False),
        ('"--atlas", nargs="+"', '"--atlas", nargs="+", help="deprecated"', "deprecated", "--atlas", False),
    ],
)  # fmt: skip
def test_what_changed_is_named_and_breaks_only_what_is_used(
    tmp_path: Path, before: str, after: str, what: str, option: str, breaking: bool
) -> None:
    assert before in PROGRAM
    found = findings(tmp_path, PROGRAM.replace(before, after))
    assert (what, option, breaking) in [(f.what, f.option, f.breaking) for f in found], found
    assert any(f.breaking for f in found) is breaking


def test_a_new_choice_or_option_that_is_left_out_for_a_reason_is_no_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NOT_OFFERED, "--model=msmt", "too slow")
    assert findings(tmp_path, PROGRAM.replace('"csd"]', '"csd", "msmt"]')) == ()


def test_heavy_imports_that_have_no_part_in_the_command_line_are_stubbed(tmp_path: Path) -> None:
    heavy = "from nothing_like_it.deep import *\nimport nothing_like_it.deep as d\nclass A(d.Base): pass\n"
    (tmp_path / "prog.py").write_text(heavy + PROGRAM + "@d.decorated(op.join('a'))\ndef f(): pass\n")
    variables = {"PYTHONPATH": str(tmp_path)}
    python = Path(sys.executable)
    stubbed = cliparser.read(python, "prog:main", stubs=["nothing_like_it"], environment=variables)
    assert "--model" in stubbed.by_flag()
    with pytest.raises(BadInput, match=r"prog:main .* No module named 'nothing_like_it'"):
        cliparser.read(python, "prog:main", environment=variables)


def test_a_pipeline_without_a_contract_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pipelines", "drift", "nifti-check"]) == 2
    assert "nifti-check.contract.yml" in capsys.readouterr().err


def test_the_fmriprep_that_the_tool_names_has_no_drift(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pipelines", "drift", "fmriprep", "--python", str(parser_python()), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["version"], report["made_for"]) == (FMRIPREP, FMRIPREP)
    assert report["findings"] == []


CONTRACTS = [
    name for name in template.names() if template.load(name).file.with_suffix(".contract.yml").is_file()
]


@pytest.mark.parametrize("pipeline", [name for name in CONTRACTS if name != "fmriprep"])
def test_every_pipeline_with_a_contract_keeps_it(pipeline: str, capsys: pytest.CaptureFixture[str]) -> None:
    index_answers(contract.load(template.load(pipeline)).package)
    assert main(["pipelines", "drift", pipeline, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


@pytest.mark.slow
def test_an_older_fmriprep_is_installed_and_lacks_what_came_later(capsys: pytest.CaptureFixture[str]) -> None:
    index_answers("fmriprep==24.1.1")
    assert main(["pipelines", "drift", "fmriprep", "--version", "24.1.1", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["version"] == "24.1.1"
    assert {f["option"] for f in report["findings"] if f["breaking"]} == {
        "--fallback-total-readout-time",
        "--force",
        "--no-track-sessions",
        "--session-label",
        "--subject-anatomical-reference",
    }
    new = {f["option"] for f in report["findings"] if f["what"] == "new"}
    assert {"--force-bbr", "--force-syn", "--longitudinal"} <= new


def test_a_version_that_is_not_there_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    index_answers("fmriprep==24.1.1")
    assert main(["pipelines", "drift", "fmriprep", "--version", "0.0.0.1"]) == InfrastructureError.exit_code
    assert "fmriprep==0.0.0.1" in capsys.readouterr().err


def index_answers(requirement: str) -> None:
    """Skip where there is no package index: these tests prove nothing there."""
    asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*asked, "-d", folder, requirement], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        pytest.skip(f"no package index has {requirement} here: {done.stderr.strip()[-200:]}")
