"""Job templates: those shipped are valid, and each kind of mistake is refused with the file and the fix."""

from pathlib import Path

import pytest

from neurocwl import template
from neurocwl.errors import BadInput
from tests.unit.datasets import INPUTS, JOB, TOOL, pipeline, write


def test_the_shipped_pipelines_are_these() -> None:
    assert template.names() == [
        "fmriprep",
        "fmriprep-sessions",
        "freesurfer-tables",
        "imagej",
        "imagej-tables",
        "m2g",
        "ndmg",
        "nifti-check",
        "nipype",
        "recon-all",
        "recon-all-longitudinal",
        "reports",
    ]


@pytest.mark.parametrize("name", template.names())
def test_every_shipped_template_is_valid_and_names_its_image_and_its_proof(name: str) -> None:
    chosen = template.load(name)
    assert chosen.pipeline == name
    assert chosen.expect
    if chosen.unit == "group":  # a script that runs on the worker
        assert not chosen.requires
    else:
        assert ":" in chosen.image
        assert chosen.requires
    assert chosen.delivery()["outputs"] == list(chosen.outputs.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class: JobTemplate", "class: JobTemplates", "not a valid job template"),
        ("label: a try\n", "", "missing required field 'label'"),
        ("outputs:", "output:", "not a valid job template"),
        ("pipeline: try", "pipeline: [", "not a valid job template"),
        ("tool: ../cwl/tools/try.cwl", "tool: absent.cwl", "tool 'absent.cwl' does not exist"),
        ("unit: participant", "unit: scan", "unit is 'scan'; it must be one of participant, session"),
        ("licence: licence", "licence: lisence", "'lisence' is not an input of try.cwl"),
        ("licence: licence", "deliver: never", "deliver is 'never'; it must be success or always"),
        ("label: {label: participant}", "lable: {label: participant}", "'lable' is not an input of try.cwl"),
        (
            "label: {label: participant}",
            "label: {label: subject}",
            "bind.label.label is 'subject'; it must be one of",
        ),
        ("label: {label: participant}", "label: participant", "bind.label is 'participant'"),
        (
            "label: {label: participant}",
            "label: {label: unit, file: {suffix: x}}",
            "bind.label must have exactly one of",
        ),
        (
            "files: {datatype: anat, suffix: T1w}, query: t1w",
            "files: {suffix: T1w}, filter: t1w",
            "bind.t1w has filter",
        ),
        (
            "files: {datatype: anat, suffix: T1w}",
            "files: {datatype: anat, sufix: T1w}",
            "did you mean suffix",
        ),
        ("files: {datatype: anat, suffix: T1w}", "files: {datatype: anatomy}", "did you mean anat"),
        ("extension: [.nii, .nii.gz]", "extension: [nii]", "lacks its dot"),
        (
            "suffix: T2w}, query: t2w, when: use_t2w}\nlic",
            "suffix: T2w}, query: T2W, when: use_t2w}\nlic",
            "no query is named 'T2W'",
        ),
        ("unless: level", "unless: levle", "'levle' is not an input"),
        ('outputs: {out: "."}', 'outputs: {uot: "."}', "'uot' is not an output of try.cwl"),
        ('outputs: {out: "."}', "outputs: everything", "outputs is 'everything'; it must be a map"),
        ("logs: [log]", "logs: [err]", "'err' is not an output of try.cwl"),
        (
            '"{unit}.html"',
            '"{subject}.html"',
            "{subject} stands for nothing; there are participant, session, unit",
        ),
        (
            "licence: licence",
            "rules: [{exclusive: [level, nothing], because: x}]",
            "'nothing' is not an input",
        ),
    ],
)
def test_a_mistake_in_a_template_is_refused_with_the_file_and_the_fix(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    assert old in JOB
    file = write(tmp_path, JOB.replace(old, new, 1), TOOL % INPUTS)
    with pytest.raises(BadInput) as caught:
        template.load("try", tmp_path)
    assert str(file) in str(caught.value)
    assert said in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("class: [", "is not a CWL file"),
        ("- a\n- b\n", "is not a CWL file"),
        (
            "class: ExpressionTool\ninputs: {}\noutputs: {}\n",
            "class is 'ExpressionTool'; a pipeline's tool must be a CommandLineTool or a Workflow",
        ),
        (
            TOOL % (INPUTS + "  run: string\n"),
            "calls something 'run', as the dataset workflow does: rename it",
        ),
        (
            (TOOL % INPUTS).replace("log: stdout", "log: stdout, exit_code: int"),
            "calls something 'exit_code'",
        ),
    ],
)
def test_a_tool_that_cannot_be_a_pipelines_is_refused(tool: str, said: str, tmp_path: Path) -> None:
    write(tmp_path, JOB, tool)
    with pytest.raises(BadInput) as caught:
        template.load("try", tmp_path)
    assert "try.cwl" in str(caught.value)
    assert said in str(caught.value)


def test_a_tool_may_be_written_with_lists(tmp_path: Path) -> None:
    plain = pipeline(tmp_path / "maps")
    as_lists = """\
cwlVersion: v1.2
class: CommandLineTool
hints: [{class: DockerRequirement, dockerPull: "some/image:1"}, {class: ResourceRequirement, coresMin: 1}]
baseCommand: "true"
inputs:
  - {id: bids_dir, type: Directory}
  - {id: label, type: string}
  - {id: session, type: "string?"}
  - {id: t1w, type: "File[]"}
  - {id: t2w, type: "File?"}
  - {id: use_t2w, type: "boolean?"}
  - {id: level, type: "int?"}
  - {id: licence, type: File}
outputs: [{id: out, type: Directory, outputBinding: {glob: out}}, {id: log, type: stdout}]
stdout: log
"""
    found = pipeline(tmp_path / "lists", tool=as_lists)
    assert found.image == plain.image == "some/image:1"
    assert set(found.tool["outputs"]) == {"out", "log"}


def test_a_template_of_ones_own_comes_before_a_shipped_one_and_may_be_named_by_its_path(
    tmp_path: Path,
) -> None:
    file = write(tmp_path, JOB, TOOL % INPUTS)
    assert template.load(str(file)).pipeline == "try"
    (tmp_path / "jobs/fmriprep.yml").write_text(JOB)
    assert template.load("fmriprep", tmp_path).label == "a try"
    assert template.names(tmp_path) == sorted([*template.names(), "try"])


@pytest.mark.parametrize("name", ["fmripep", "schema", "absent.yml", ""])
def test_an_unknown_pipeline_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(BadInput, match=rf"no pipeline .*there are: {', '.join(template.names())}"):
        template.load(name)
