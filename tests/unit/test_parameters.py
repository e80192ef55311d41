"""A pipeline's parameters: from its CWL tool to options of the command line, and from options to CWL inputs."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import parameters, template
from neurocwl.errors import BadInput
from neurocwl.parameters import Parameter
from neurocwl.template import Template
from tests.unit.datasets import INPUTS, pipeline


@pytest.fixture
def try_(tmp_path: Path) -> Template:
    return pipeline(tmp_path / "pipelines")


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise BadInput(message)


def given_by(template_: Template, *words: str) -> dict[str, Any]:
    parser = Parser(allow_abbrev=False)
    parameters.add_options(parser, template_)
    return parameters.given(parser.parse_args(words), template_)


# From the tool


def test_what_the_dataset_or_the_launcher_fills_is_no_parameter(try_: Template) -> None:
    assert list(parameters.parameters_of(try_)) == [
        "use_t2w", "level", "factor", "kind", "spaces", "config", "extra_args", "cpus",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cwl_type", "kind", "many", "choices"),
    [
        ("string", "string", False, ()),
        ("int?", "int", False, ()),
        ("File[]?", "File", True, ()),
        (["null", "long"], "long", False, ()),
        ({"type": "array", "items": "string"}, "string", True, ()),
        ({"type": "enum", "symbols": ["a", "file:///x.cwl#kind/b"]}, "enum", False, ("a", "b")),
        (["null", {"type": "array", "items": {"type": "enum", "symbols": ["a"]}}], "enum", True, ("a",)),
        (["null", {"type": "array", "items": "float", "inputBinding": {"prefix": "-f"}}], "float", True, ()),
    ],
)
def test_types_come_from_the_cwl_file(
    cwl_type: Any, kind: str, many: bool, choices: tuple[str, ...], tmp_path: Path
) -> None:
    inputs = INPUTS + f"  it: {json.dumps({'type': cwl_type})}\n"
    found = parameters.parameters_of(pipeline(tmp_path, inputs=inputs))["it"]
    assert (found.type, found.many, found.choices) == (kind, many, choices)


@pytest.mark.parametrize("name", template.names())
def test_every_parameter_of_a_shipped_pipeline_has_help_and_a_type_that_options_know(name: str) -> None:
    chosen = template.load(name)
    for parameter in parameters.parameters_of(chosen).values():
        assert parameter.summary.strip(), parameter.name
        known = {*parameters.NUMBERS, "string", "enum", "boolean", "File", "Directory"}
        assert parameter.type in known, parameter.name
    parser = Parser(allow_abbrev=False)
    parameters.add_options(parser, chosen)
    text = parser.format_help()
    for parameter in parameters.parameters_of(chosen).values():
        assert parameter.option in text


def test_help_is_the_first_sentence_with_the_default(try_: Template) -> None:
    parser = Parser()
    parameters.add_options(parser, try_)
    text = " ".join(parser.format_help().split())
    assert "--use-t2w Use the T2w image." in text.replace(" [False]", "")
    assert "It helps" not in text
    assert "100% of it" in text
    assert "[0.5]" in text
    assert "--kind {a,b}" in text


def test_a_percent_sign_in_a_default_does_not_break_the_help(tmp_path: Path) -> None:
    chosen = pipeline(tmp_path, inputs=INPUTS + '  form: {type: string, default: "%s%%d", doc: A format}\n')
    parser = Parser()
    parameters.add_options(parser, chosen)
    assert "[%s%%d]" in parser.format_help()


def test_an_input_that_is_called_as_an_option_of_neurocwl_is_refused_by_name(try_: Template) -> None:
    parser = Parser()
    parser.add_argument("--level")
    with pytest.raises(BadInput, match=r"cannot be called 'level'"):
        parameters.add_options(parser, try_)


# From the command line


def test_options_become_cwl_inputs_and_what_is_not_given_stays_out(try_: Template, tmp_path: Path) -> None:
    file = tmp_path / "a b.toml"
    file.write_text("")
    words = [
        "--use-t2w",
        "--level",
        "0",
        "--spaces",
        "MNI",
        "T1w:res-2",
        "--config",
        str(file),
        "--extra-args",
        "-v 'a b'",
    ]
    assert given_by(try_, *words) == {
        "use_t2w": True,
        "level": 0,
        "spaces": ["MNI", "T1w:res-2"],
        "config": {"class": "File", "location": f"file://{tmp_path}/a%20b.toml", "basename": "a b.toml"},
        "extra_args": ["-v", "a b"],
    }
    assert given_by(try_) == {}


def test_a_switch_that_is_on_by_default_can_be_switched_off(tmp_path: Path) -> None:
    chosen = pipeline(tmp_path, inputs=INPUTS.replace("default: false", "default: true"))
    assert given_by(chosen, "--no-use-t2w") == {"use_t2w": False}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--level", "1.5"], "'1.5' is not of type int"),
        (["--level", str(2**31)], "not of type int"),
        (["--factor", "nan"], "not of type double"),
        (["--factor", "inf"], "not of type double"),
        (["--kind", "c"], "'c'"),
        (["--extra-args", "'open"], "No closing quotation"),
        (["--config", "/no/such/file"], "--config /no/such/file: there is no such file"),
        (["--config", "/"], "no such file"),
    ],
)
def test_a_value_of_another_type_is_refused(words: list[str], said: str, try_: Template) -> None:
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        given_by(try_, *words)


@given(st.integers(-(2**31), 2**31 - 1), st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_of_the_type_is_taken_as_it_is(level: int, factor: float) -> None:
    found = given_by(template.load("nifti-check"), f"--tr-tolerance={factor!r}", f"--cpus={level}")
    assert found == {"tr_tolerance": factor, "cpus": level}


def test_a_file_may_be_on_s3_and_a_name_may_be_given_to_it(tmp_path: Path) -> None:
    assert parameters.path_object("File", "s3://b/x/y.txt", "--f") == {
        "class": "File", "location": "s3://b/x/y.txt", "basename": "y.txt",
    }  # fmt: skip
    (tmp_path / "mine").mkdir()
    found = parameters.path_object("Directory", f"theirs={tmp_path}/mine", "--d")
    assert (found["basename"], found["location"]) == ("theirs", f"file://{tmp_path}/mine")
    (tmp_path / "a=b").write_text("")
    assert parameters.path_object("File", f"{tmp_path}/a=b", "--f")["basename"] == "a=b"


# From a file


def from_file(template_: Template, folder: Path, content: Any, name: str = "p.yml") -> dict[str, Any]:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return parameters.from_file(file, template_)


def test_a_file_of_cwl_inputs_says_the_same_as_the_options(try_: Template, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("")
    text = "use_t2w: true\nlevel: 3\nfactor: 1\nkind: b\nspaces: [MNI]\nconfig: c.toml\nextra_args: null\n"
    found = from_file(try_, tmp_path, text)
    words = [
        "--use-t2w",
        "--level=3",
        "--factor=1",
        "--kind=b",
        "--spaces",
        "MNI",
        "--config",
        str(tmp_path / "c.toml"),
    ]
    assert found == given_by(try_, *words)


@pytest.mark.parametrize("key", ["path", "location"])
def test_a_file_object_in_a_file_is_found_beside_it(key: str, try_: Template, tmp_path: Path) -> None:
    (tmp_path / "c d.toml").write_text("")
    found = from_file(try_, tmp_path, {"config": {"class": "File", key: "c d.toml", "basename": "n"}})
    assert found["config"] == {"class": "File", "location": f"file://{tmp_path}/c%20d.toml", "basename": "n"}
    url = (tmp_path / "c d.toml").as_uri()
    assert from_file(try_, tmp_path, {"config": {"class": "File", key: url}})["config"]["location"] == url


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2]", "not a YAML or JSON file of CWL inputs"),
        ("a: [", "not a YAML or JSON file of CWL inputs"),
        ({"lvl": 1}, "'lvl' is not a parameter of try; there are: level"),
        ({"label": "01"}, "'label' is not a parameter"),
        ({"level": "3"}, "level: '3' is not of type int"),
        ({"level": True}, "level: True is not of type int"),
        ({"use_t2w": "yes"}, "use_t2w: 'yes' is not of type boolean"),
        ({"kind": "c"}, "kind: 'c' is not one of a, b"),
        ({"spaces": "MNI"}, "spaces: 'MNI' is no list"),
        ({"level": [1]}, r"level: \[1\] is a list"),
        ({"config": 3}, "config: 3 is not of type File"),
        ({"config": {"class": "Directory", "path": "."}}, "config: .* is not of type File"),
        ({"config": "absent.toml"}, "absent.toml"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_the_file_and_the_value(
    content: Any, said: str, try_: Template, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=said):
        from_file(try_, tmp_path, content)


def test_a_file_that_is_not_there_is_named(try_: Template, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"--parameters .*absent.yml"):
        parameters.from_file(tmp_path / "absent.yml", try_)


# Rules


@pytest.mark.parametrize(
    ("pipeline_", "values", "said"),
    [
        (
            "fmriprep",
            {"fs_no_reconall": True, "cifti_output": "91k"},
            "--fs-no-reconall and --cifti-output exclude",
        ),
        ("fmriprep", {"force": ["bbr", "no-bbr"]}, "--force bbr and --force no-bbr exclude each other"),
        ("fmriprep", {"country_code": "CHE"}, "--country-code needs --track-carbon"),
        ("fmriprep", {"ignore": ["nonsense"]}, "--ignore nonsense: must be one of"),
        ("recon-all", {"t2pial": True, "flairpial": True}, "--t2pial and --flairpial exclude each other"),
        ("recon-all", {"autorecon3": True}, "--autorecon3 needs --autorecon2"),
        ("recon-all", {"rng_seed": 0, "randomness": True}, "exclude each other"),
    ],
)
def test_options_that_exclude_or_need_each_other_are_refused_with_the_reason(
    pipeline_: str, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        parameters.check(template.load(pipeline_), values)


@pytest.mark.parametrize(
    ("pipeline_", "values"),
    [
        ("fmriprep", {}),
        ("fmriprep", {"fs_no_reconall": True, "cifti_output": None}),
        ("fmriprep", {"fs_no_reconall": False, "cifti_output": "91k"}),
        ("fmriprep", {"track_carbon": True, "country_code": "CHE"}),
        ("fmriprep", {"force": ["bbr"], "ignore": ["t2w"]}),
        ("recon-all", {"t2pial": True}),
    ],
)
def test_options_that_go_together_are_taken(pipeline_: str, values: dict[str, Any]) -> None:
    parameters.check(template.load(pipeline_), values)


def test_a_summary_ends_with_the_first_sentence() -> None:
    def summary(doc: str) -> str:
        return Parameter("x", "int", False, (), None, doc).summary

    assert summary("One\n line.\n  Two.\n") == "One line."
    assert summary("No end") == "No end"


def test_what_is_needed_may_be_the_default(tmp_path: Path) -> None:
    rules = "\nrules:\n  - {option: level, needs: [kind=a], because: x}\n  - {option: spaces, needs: [factor], because: y}"
    chosen = pipeline(tmp_path, {"licence: licence": f"licence: licence{rules}"})
    parameters.check(chosen, {"level": 1})
    parameters.check(chosen, {"spaces": ["s"]})
    parameters.check(chosen, {"kind": "b"})
    with pytest.raises(BadInput, match="--level needs --kind a: x"):
        parameters.check(chosen, {"level": 0, "kind": "b"})
