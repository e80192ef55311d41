"""cwl/tools/recon-all.cwl makes command lines that recon-all's table of options allows."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.cwl_command import (
    CHECKOUT,
    Command,
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

OPTIONS = table("recon_all_options.tsv")
BY_FLAG = {flag: row for row in OPTIONS for flag in row["flags"].split(",")}
TEMPLATE = read_yaml(CHECKOUT / "jobs/recon-all.yml")
RESOURCES = {"cpus", "memory_mib", "tmp_mib", "out_mib", "time_limit"}
# Why an option is left to extra_args.
REASONS = {
    "step": "switches one step; for repairing a subject by hand",
    "edit": "undoes edits of a subject, or redoes a part of a stage",
    "long": "longitudinal stream, for which there are recon-all-base and recon-all-long",
    "expert": "a parameter of one algorithm",
    "default": "is the default already",
    "log": "logs, locks and notifications, which the CWL engine has",
    "test": "for developers",
    "cluster": "submits to another queue from within",
    "gone": "recon-all refuses it: moved to programs of their own, or dropped",
    "image": "needs programs that the image lacks (MATLAB or its runtime, MINC, FSL, SPM)",
    "env": "points to atlases or programs by their paths in the image",
}

subjects = st.from_regex(r"sub-[A-Za-z0-9]{1,6}(_ses-[A-Za-z0-9]{1,6})?", fullmatch=True)
measures = st.sampled_from(["thickness", "area", "volume", "curv", "sulc", "w-g.pct.mgh"])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("images") / "sub-01_T1w.nii.gz"
    file.touch()
    (file.parent / "earlier").mkdir()
    return file


def values(image: Path) -> dict[str, st.SearchStrategy[Any]]:
    """Values to try for inputs whose CWL type does not tell."""
    file = st.just(file_object(image))
    return {
        "subject": subjects,
        "t1w": st.lists(file, min_size=1, max_size=3),
        "continue_from": st.just([directory_object(image.parent / "earlier")]),
        **dict.fromkeys(("t2", "flair", "expert", "xmask", "fs_license"), file),
        "custom_tal_atlas": st.just("3T18yoSchwartzReactN32_as_orig"),
        **{
            name: st.integers(0, 100)
            for name in ("nuiterations", "norm3diters", "wsthresh", "fwhm", "rng_seed")
        },
        **{name: st.floats(0, 200) for name in ("normmaxgrad", "seg_wlo", "seg_ghi")},
        "high_myelin": st.floats(0, 1),
        "measure": st.lists(measures, min_size=1, max_size=3, unique=True),
        "target": st.just("fsaverage5"),
        "extra_args": st.sampled_from([[], ["-nosmooth1"], ["-norm1-b", "20"], ["-wsseed", "1", "2", "3"]]),
        "cpus": st.integers(1, 64),
        "memory_mib": st.integers(1024, 2**18),
        "tmp_mib": st.integers(1, 2**20),
        "out_mib": st.integers(1, 2**20),
        "time_limit": st.integers(0, 10**6),
    }


def parsed(argv: list[str]) -> list[tuple[str, list[str]]]:
    """A command line as (flag, arguments), by the table; fails on what recon-all would not take."""
    program, *words = argv
    assert program == "recon-all"
    found: list[tuple[str, list[str]]] = []
    while words:
        flag = words.pop(0)
        assert flag in BY_FLAG, f"{flag} is no flag of recon-all"
        row = BY_FLAG[flag]
        count = int(row["nargs"])
        assert len(words) >= count, f"{flag} takes {count} arguments"
        arguments, words = words[:count], words[count:]
        if row["must_exist"] == "yes":
            assert Path(arguments[0]).exists(), f"{flag} {arguments[0]} does not exist"
        found.append((flag, arguments))
    often = Counter(BY_FLAG[flag]["flags"] for flag, _ in found if BY_FLAG[flag]["repeatable"] == "no")
    assert not [flags for flags, times in often.items() if times > 1]
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_command_line_is_one_that_the_option_table_allows(
    data: st.DataObject, recon_all_tool: Tool, image: Path
) -> None:
    inputs = data.draw(recon_all_tool.parameters(values(image)))
    stage = inputs.get("stage", "all")
    inputs.pop(stage, None)  # the rules of the job template exclude an option that asks for the stage again

    command = recon_all_tool.command(inputs)

    words = parsed(command.argv)
    given_ = {BY_FLAG[flag]["handled"].removeprefix("input:") for flag, _ in words}
    asked = {name for name, value in inputs.items() if value is not False}
    asked -= {*RESOURCES, "extra_args", "fs_license", "continue_from"}
    asked |= {stage} & set(recon_all_tool.document["inputs"])
    assert asked | {"stage", "fixed"} == given_ - {"extra_args"} | {"stage"}
    assert ("-sd", [str(command.outdir)]) in words
    assert [arguments for flag, arguments in words if flag == "-s"] == [[inputs["subject"]]]
    assert sum(flag == "-i" for flag, _ in words) == len(inputs.get("t1w", []))
    threads = [str(inputs.get("cpus", 4))]
    assert {("-threads", *threads), ("-itkthreads", *threads)} <= {(flag, *rest) for flag, rest in words}


def test_stages_come_before_all_that_turns_steps_off(recon_all_tool: Tool, image: Path) -> None:
    specs = recon_all_tool.document["inputs"]
    switches = {name: True for name, spec in specs.items() if spec["type"] == "boolean?"}
    flags = [flag for flag, _ in parsed(recon_all_tool.command({**least(image), **switches}).argv)]
    stages = [flag for flag in flags if flag == "-all" or flag.startswith("-autorecon")]
    first = flags.index(stages[0])
    assert flags[first : first + len(stages)] == stages
    assert set(flags[:first]) == {"-sd", "-s", "-i"}


def test_autorecon2_comes_before_autorecon3_whose_statistics_it_would_turn_off(
    recon_all_tool: Tool, image: Path
) -> None:
    inputs = {**least(image), "stage": "autorecon1", "autorecon3": True, "autorecon2": True}
    argv = recon_all_tool.command(inputs).argv
    assert argv.index("-autorecon1") < argv.index("-autorecon2") < argv.index("-autorecon3")


def test_threads_are_set_after_parallel_which_would_make_them_four(recon_all_tool: Tool, image: Path) -> None:
    argv = recon_all_tool.command({**least(image), "parallel": True}).argv
    assert argv.index("-parallel") < argv.index("-itkthreads")


def test_the_licence_is_a_file_that_the_environment_names(recon_all_tool: Tool, image: Path) -> None:
    command = recon_all_tool.command(least(image))
    assert Path(command.environment["FS_LICENSE"]).is_file()
    assert not [flag for flag, _ in parsed(command.argv) if "licen" in flag]


def test_the_test_job_makes_a_command_line_that_the_option_table_allows(recon_all_tool: Tool) -> None:
    command: Command = recon_all_tool.command(job_order(CHECKOUT / "cwl/tools/recon-all.test.yml"))
    assert [flag for flag, _ in parsed(command.argv)].count("-i") == 2


def test_every_option_of_recon_all_is_an_input_or_left_to_extra_args_for_a_reason(
    recon_all_tool: Tool,
) -> None:
    handled = {row["handled"] for row in OPTIONS}
    inputs = {name.removeprefix("input:") for name in handled if name.startswith("input:")}
    assert set(recon_all_tool.document["inputs"]) == {
        *inputs,
        *RESOURCES,
        "fs_license",
        "extra_args",
        "continue_from",
    }
    assert {row["handled"] for row in OPTIONS if row["reason"]} == {"extra_args"}
    assert {row["reason"] for row in OPTIONS if row["handled"] == "extra_args"} == set(REASONS)


def test_every_input_is_documented(recon_all_tool: Tool) -> None:
    for name, spec in recon_all_tool.document["inputs"].items():
        assert re.match(r"[^.]+\.", spec["doc"].strip()), name


def test_the_rules_of_the_job_template_name_inputs_and_their_values(recon_all_tool: Tool) -> None:
    specs = recon_all_tool.document["inputs"]
    for name, value in rule_terms(TEMPLATE):
        assert name in specs, name
        assert value is None or value in symbols(specs[name]["type"]), (name, value)


@pytest.mark.parametrize(
    "stage", ["autorecon2", "autorecon2-cp", "autorecon2-wm", "autorecon-pial", "qcache"]
)
def test_an_earlier_subject_goes_on_without_images(recon_all_tool: Tool, image: Path, stage: str) -> None:
    inputs = {**least(image), "continue_from": [directory_object(image.parent / "earlier")], "stage": stage}
    del inputs["t1w"]
    assert [flag for flag, _ in parsed(recon_all_tool.command(inputs).argv)] == [
        "-sd",
        "-s",
        f"-{stage}",
        "-threads",
        "-itkthreads",
    ]


def longitudinal(name: str, room: Path, image: Path) -> tuple[list[str], list[tuple[str, list[str]]], Path]:
    """What recon-all-base and recon-all-long make of all their options: folders, recon-all's words, output folder."""
    tool = Tool(name, room / "room")
    folders = [directory_object(image.parent / "earlier")]
    inputs: Inputs = job_order(CHECKOUT / f"cwl/tools/{name}.test.yml")
    inputs |= {key: True for key, spec in tool.document["inputs"].items() if spec["type"] == "boolean?"}
    inputs |= {"subjects": folders, "expert": file_object(image), "extra_args": ["-nosmooth1"]}
    inputs |= {"base": folders[0]} if "base" in tool.document["inputs"] else {}
    command = tool.command(inputs)
    start = command.argv.index("recon-all")
    assert command.argv[:2] == ["sh", "from_finished.sh"]
    assert Path(command.environment["FS_LICENSE"]).is_file()
    return command.argv[2:start], parsed(command.argv[start:]), command.outdir


def test_a_template_is_made_of_its_time_points_in_order(tmp_path: Path, image: Path) -> None:
    folders, words, outdir = longitudinal("recon-all-base", tmp_path, image)
    assert [Path(folder).name for folder in folders] == ["earlier"]
    assert words[:5] == [
        ("-sd", [str(outdir)]),
        ("-base", ["sub-01"]),
        ("-tp", ["sub-01_ses-1"]),
        ("-tp", ["sub-01_ses-2"]),
        ("-all", []),
    ]


def test_a_longitudinal_run_takes_its_time_point_and_the_template(tmp_path: Path, image: Path) -> None:
    folders, words, outdir = longitudinal("recon-all-long", tmp_path, image)
    assert [Path(folder).name for folder in folders] == ["earlier", "earlier"]
    assert words[:3] == [("-sd", [str(outdir)]), ("-long", ["sub-01_ses-2", "sub-01"]), ("-all", [])]
    flags = [flag for flag, _ in words]
    assert flags.index("-parallel") < flags.index("-itkthreads"), "-parallel would make them four"


def least(image: Path) -> Inputs:
    """The inputs that must be given."""
    return {"subject": "sub-01", "t1w": [file_object(image)], "fs_license": file_object(image)}
