"""Nipype's own DataSink and S3DataGrabber beside ours, in the real Nipype, on one S3: the same keys and bytes.

S3DataGrabber runs on a stand-in for boto (tests/data/nipype_process.py): its own code, another library below it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from neurocwl import assets, cwlfile, images

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

PROCESS = Path(__file__).parents[1] / "data" / "nipype_process.py"
BUCKET = "zzqq-7"  # no substitution below hits it
# What DataSink does without a word and S3Sink refuses, each with a test below.
REFUSED = ("would both become", "is no file below")


class Nipype:
    """A container with the real Nipype, and the bucket that it writes to."""

    def __init__(
        self, process: "subprocess.Popen[str]", s3: Any, folder: Path, variables: dict[str, str]
    ) -> None:
        self.process, self.s3, self.folder, self.variables = process, s3, folder, variables
        self.made = 0

    def ask(self, interface: str, inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"interface": interface, "inputs": inputs, **more}) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def sink(
        self, interface: str, inputs: dict[str, Any], **more: Any
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """What an interface says, and what is in the empty bucket afterwards."""
        self.empty()
        said = self.ask(interface, inputs, **more)
        return said, self.content()

    def keys(self) -> list[str]:
        return [o["Key"] for o in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def content(self) -> dict[str, bytes]:
        return {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in self.keys()}

    def empty(self) -> None:
        for key in self.keys():
            self.s3.delete_object(Bucket=BUCKET, Key=key)

    def file(self, name: str, text: str = "") -> str:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text or f"content of {name}")
        return str(file)

    def new_folder(self) -> str:
        self.made += 1
        return f"case{self.made}"


@pytest.fixture(scope="module")
def nipype(s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nipype]:
    folder = tmp_path_factory.mktemp("nipype")
    variables = {**s3_server, "HOME": str(folder), "PYTHONPATH": "/toolwrappers"}
    command = ["docker", "run", "--rm", "--interactive", "--network=host", "--workdir", str(folder)]
    command += ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{folder}:{folder}"]
    command += [
        "--volume",
        f"{PROCESS}:/process.py:ro",
        "--volume",
        f"{assets.path('toolwrappers')}:/toolwrappers:ro",
    ]
    command += [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    s3 = boto3.client(
        "s3",
        endpoint_url=s3_server["AWS_ENDPOINT_URL"],
        aws_access_key_id=s3_server["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3_server["AWS_SECRET_ACCESS_KEY"],
        region_name=s3_server["AWS_DEFAULT_REGION"],
    )
    s3.create_bucket(Bucket=BUCKET)
    command += [images.ensure("nipype"), "python3", "/process.py"]
    pipe = subprocess.PIPE
    with (
        (folder / "stderr").open("w") as errors,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True) as process,
    ):
        yield Nipype(process, s3, folder, s3_server)
    s3.close()


def alike(nipype: Nipype, inputs: dict[str, Any], **more: Any) -> dict[str, bytes]:
    """Run both sinks; what they say and write is the same."""
    theirs = nipype.sink("DataSink", inputs, **more)
    ours = nipype.sink("S3Sink", inputs, **more)
    assert "error" not in theirs[0], theirs[0]
    assert ours == theirs
    return ours[1]


# The rules, one by one


def test_container_attributes_and_at_signs(nipype: Nipype) -> None:
    named = {"a.b.@c": "f.nii", "a.b.d": "g.nii", "@h": "h.nii", "a.@b.c": "i.nii", "motion": "j.nii"}
    inputs: dict[str, Any] = {name: nipype.file(file) for name, file in named.items()}
    written = alike(nipype, {"base_directory": f"s3://{BUCKET}/path/to/dir", "container": "sub001", **inputs})
    below = {key.removeprefix("path/to/dir/sub001/") for key in written}
    assert below == {"a/b/f.nii", "a/b/d/g.nii", "h.nii", "a/c/i.nii", "motion/j.nii"}


def test_the_documentations_example_goes_where_the_documentation_says(nipype: Nipype) -> None:
    inputs = {"container": "sub001", "motion": nipype.file("realigned_file1.nii.gz")}
    written = alike(nipype, {"base_directory": f"s3://{BUCKET}/path/to/output/dir", **inputs})
    assert list(written) == ["path/to/output/dir/sub001/motion/realigned_file1.nii.gz"]


@pytest.mark.parametrize(
    ("setting", "below"),
    [
        ({}, {"_subject_id_s1/_m_2/con.nii", "_subject_id_s2/con.nii"}),
        ({"strip_dir": "/_subject_id_s1"}, {"_m_2/con.nii", "_subject_id_s2/con.nii"}),
    ],
)
def test_parameterization(nipype: Nipype, setting: dict[str, Any], below: set[str]) -> None:
    con = [nipype.file("_subject_id_s1/_m_2/con.nii"), nipype.file("_subject_id_s2/con.nii")]
    written = alike(nipype, {"base_directory": f"s3://{BUCKET}/p", "con": con, **setting})
    assert {key.removeprefix("p/con/") for key in written} == below


def test_without_parameterization_the_name_is_all(nipype: Nipype) -> None:
    inputs = {"parameterization": False, "con": nipype.file("_subject_id_s1/con.nii")}
    assert list(alike(nipype, {"base_directory": f"s3://{BUCKET}", **inputs})) == ["con/con.nii"]


def test_substitutions_come_before_regular_expressions(nipype: Nipype) -> None:
    inputs = {
        "con": nipype.file("_subject_id_s1/con_0001.nii"),
        "substitutions": [["_subject_id_", "sub-"], ["con_", "c"]],
        "regexp_substitutions": [[r"c(\d+)\.nii$", r"contrast-\1.nii"]],
    }
    written = alike(nipype, {"base_directory": f"s3://{BUCKET}/p", **inputs})
    assert list(written) == ["p/con/sub-s1/contrast-0001.nii"]


def test_folders_and_lists_in_lists(nipype: Nipype) -> None:
    nipype.file("adir/x/y.txt"), nipype.file("adir/z.txt")
    lists = [[nipype.file("q1.nii"), nipype.file("q2.nii")], [nipype.file("q3.nii")]]
    inputs = {"out": str(nipype.folder / "adir"), "c": lists}
    written = alike(nipype, {"base_directory": f"s3://{BUCKET}/p", **inputs})
    assert set(written) == {
        "p/out/adir/x/y.txt",
        "p/out/adir/z.txt",
        "p/c/q1.nii",
        "p/c/q2.nii",
        "p/c/q3.nii",
    }


def test_a_local_copy_is_kept_and_told_of(nipype: Nipype) -> None:
    inputs = {"base_directory": f"s3://{BUCKET}/p", "container": "s1", "con": nipype.file("_m_1/l.nii")}
    told, kept = [], []
    for interface in ("DataSink", "S3Sink"):
        copies = nipype.folder / nipype.new_folder()
        said, _ = nipype.sink(interface, {**inputs, "local_copy": str(copies)})
        told.append([place.replace(str(copies), "COPIES") for place in said["out_file"]])
        kept.append({file.relative_to(copies).as_posix(): file.read_text() for file in copies.rglob("*.nii")})
    assert told[0] == told[1]
    assert kept[0] == kept[1] == {"s1/con/_m_1/l.nii": "content of _m_1/l.nii"}


def test_a_folder_as_base_directory_has_the_same_layout(nipype: Nipype) -> None:
    inputs = {"container": "s1", "a.@b": nipype.file("_m_1/f.nii"), "substitutions": [["_m_", "m-"]]}
    kept = []
    for interface in ("DataSink", "S3Sink"):
        base = nipype.folder / nipype.new_folder()
        nipype.ask(interface, {**inputs, "base_directory": str(base)})
        kept.append({file.relative_to(base).as_posix(): file.read_text() for file in base.rglob("*.nii")})
    assert kept[0] == kept[1] == {"s1/a/m-1/f.nii": "content of _m_1/f.nii"}


def test_encryption_and_that_what_is_there_stays(nipype: Nipype) -> None:
    inputs = {"base_directory": f"s3://{BUCKET}/p", "con": nipype.file("e.nii")}

    def head() -> Any:
        return nipype.s3.head_object(Bucket=BUCKET, Key="p/con/e.nii")

    for interface in ("DataSink", "S3Sink"):
        nipype.sink(interface, {**inputs, "encrypt_bucket_keys": True})
        assert head()["ServerSideEncryption"] == "AES256"
    nipype.s3.put_object(Bucket=BUCKET, Key="p/con/e.nii", Body=b"content of e.nii", Metadata={"first": "1"})
    for interface in ("DataSink", "S3Sink"):
        nipype.ask(interface, inputs)
        assert head()["Metadata"] == {"first": "1"}, "the same bytes are not sent again"
    nipype.file("e.nii", "other bytes")
    nipype.ask("S3Sink", inputs)
    assert nipype.content() == {"p/con/e.nii": b"other bytes"}


def test_what_is_there_unencrypted_is_sent_again_when_encryption_is_asked_for(nipype: Nipype) -> None:
    inputs = {"base_directory": f"s3://{BUCKET}/p", "con": nipype.file("e.nii")}
    nipype.sink("S3Sink", inputs)
    nipype.ask("S3Sink", {**inputs, "encrypt_bucket_keys": True})
    assert nipype.s3.head_object(Bucket=BUCKET, Key="p/con/e.nii")["ServerSideEncryption"] == "AES256"


def test_a_large_file_goes_up_in_parts_and_is_not_sent_again(nipype: Nipype) -> None:
    inputs = {"base_directory": f"s3://{BUCKET}/p", "con": nipype.file("large.nii", "0123456789" * 1_000_000)}
    nipype.sink("S3Sink", inputs)
    found = nipype.s3.head_object(Bucket=BUCKET, Key="p/con/large.nii")
    assert found["ETag"].endswith('-2"')
    assert nipype.content() == {"p/con/large.nii": b"0123456789" * 1_000_000}
    first = {"Metadata": {"first": "1"}}
    nipype.s3.upload_file(
        inputs["con"], BUCKET, "p/con/large.nii", ExtraArgs=first
    )  # boto3's parts are as large
    nipype.ask("S3Sink", inputs)
    assert nipype.s3.head_object(Bucket=BUCKET, Key="p/con/large.nii")["Metadata"] == {"first": "1"}


# Without Nipype


def without_nipype(nipype: Nipype, *command: str) -> "subprocess.CompletedProcess[str]":
    nipype.empty()
    environment = {**os.environ, **nipype.variables, "PYTHONPATH": str(assets.path("toolwrappers"))}
    return subprocess.run(command, env=environment, cwd=nipype.folder, capture_output=True, text=True)


def test_the_command_writes_what_the_interface_writes(nipype: Nipype) -> None:
    files = [nipype.file("_m_1/f.nii"), nipype.file("_m_2/f.nii")]
    rules = {"substitutions": [["_m_", "m"]], "regexp_substitutions": [["nii$", "img"]], "strip_dir": "/_m_2"}
    said, written = nipype.sink(
        "S3Sink", {"base_directory": f"s3://{BUCKET}/p", "container": "s1", "a.@b": files, **rules}
    )
    command = [sys.executable, "-m", "nipype_s3", "--base-directory", f"s3://{BUCKET}/p", "--container", "s1"]
    command += ["--put", "a.@b", files[0], "--put", "a.@b", files[1], "--substitution", "_m_", "m"]
    command += ["--regexp-substitution", "nii$", "img", "--strip-dir", "/_m_2"]
    done = without_nipype(nipype, *command)
    assert json.loads(done.stdout) == said["out_file"]
    assert nipype.content() == written
    refused = without_nipype(nipype, *command, "--creds-path", "/no/such.csv")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "/no/such.csv: there is no such file" in refused.stderr


def test_the_cwl_tool_writes_with_the_keys_of_the_worker(nipype: Nipype) -> None:
    """cwltool empties the environment of a step; the keys come from the process above."""
    tool = assets.path("cwl/tools/s3-sink.cwl")
    job = json.loads(cwlfile.as_json(cwlfile.load(tool.with_suffix(".test.yml"))))
    job["base_directory"], job["encrypt"] = f"s3://{BUCKET}/p", True
    for attribute in job["attributes"]:
        for file in attribute["files"]:
            file["location"] = (tool.parent / file["location"]).as_uri()
    (nipype.folder / "job.json").write_text(json.dumps(job))
    cwltool = str(Path(sys.executable).parent / "cwltool")
    done = without_nipype(nipype, cwltool, "--outdir", nipype.new_folder(), str(tool), "job.json")
    assert done.returncode == 0, done.stderr
    keys = ["p/sub-01/anat/sub-01_T1w.nii.gz", "p/sub-01/func/sub-01_task-rest_bold.nii.gz"]
    assert nipype.keys() == keys
    for key in keys:
        assert nipype.s3.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] == "AES256"


# All of it together

part = st.sampled_from(["a", "b1", "con-1", "a b", "é", "@c", "@", "_m"])
attribute = st.lists(part, min_size=1, max_size=3).map(".".join)
above = st.lists(st.sampled_from(["_subject_id_s1", "_m_2", "run", "_é"]), max_size=3).map("/".join)
source = st.one_of(above.map(lambda place: (place, False)), above.map(lambda place: (place, True)))
replaced = st.tuples(
    st.sampled_from(["_subject_id_", "_m_", "a", "/a/", ".nii", "é"]),
    st.sampled_from(["", "X", "sub-", "_", "a/b"]),
)
expression = st.tuples(
    st.sampled_from([r"f(\d+)\.nii$", r"_([a-z]+)_", r"/run", r"(a|b1)/"]),
    st.sampled_from(["", r"\g<0>", "Y", "/n/"]),
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    attributes=st.dictionaries(attribute, st.lists(source, min_size=1, max_size=3), min_size=1, max_size=3),
    container=st.sampled_from(["", "sub-01", "g/sub-01", "_x"]),
    prefix=st.sampled_from(["", "/p", "/p/ath/"]),
    parameterization=st.booleans(),
    substitutions=st.lists(replaced, max_size=2),
    expressions=st.lists(expression, max_size=2),
)
def test_the_same_keys_and_bytes_whatever_the_inputs(
    nipype: Nipype,
    attributes: dict[str, list[tuple[str, bool]]],
    container: str,
    prefix: str,
    parameterization: bool,
    substitutions: list[tuple[str, str]],
    expressions: list[tuple[str, str]],
) -> None:
    here, number = nipype.new_folder(), 0
    inputs: dict[str, Any] = {
        "base_directory": f"s3://{BUCKET}{prefix}",
        "parameterization": parameterization,
    }
    inputs |= {"container": container} if container else {}
    inputs |= {"substitutions": substitutions} if substitutions else {}
    inputs |= {"regexp_substitutions": expressions} if expressions else {}
    for name, sources in attributes.items():
        inputs[name] = []
        for place, is_folder in sources:
            number += 1
            stem = f"{here}/{place}/f{number}".replace("//", "/")
            file = nipype.file(f"{stem}/in/x.txt" if is_folder else f"{stem}.nii")
            inputs[name].append(str(nipype.folder / stem) if is_folder else file)
    ours = nipype.sink("S3Sink", inputs)
    assume(not any(words in ours[0].get("error", "") for words in REFUSED))
    said, written = nipype.sink("DataSink", inputs)
    # A key never begins with /: there DataSink tells of another one than it wrote.
    said["out_file"] = [re.sub(f"^s3://{BUCKET}/+", f"s3://{BUCKET}/", place) for place in said["out_file"]]
    assert ours == (said, written)


# What DataSink gets wrong


def refused(nipype: Nipype, inputs: dict[str, Any], because: str, **more: Any) -> None:
    said, written = nipype.sink("S3Sink", {"base_directory": f"s3://{BUCKET}/p", **inputs}, **more)
    assert re.search(because, said["error"]), said
    assert written == {}, "nothing is written before everything was looked at"


def test_a_bucket_that_does_not_exist_is_named(nipype: Nipype) -> None:
    inputs = {"base_directory": "s3://no-such-bucket/p", "con": nipype.file("m.nii")}
    assert "UnboundLocalError" in nipype.ask("DataSink", inputs)["error"]
    refused(nipype, inputs, "s3://no-such-bucket: there is no such bucket; check base_directory")


def test_a_bucket_of_ones_own_takes_the_place_of_the_one_in_the_url(nipype: Nipype) -> None:
    inputs = {"base_directory": "s3://other/p", "bucket": BUCKET, "con": nipype.file("b.nii")}
    assert list(nipype.sink("DataSink", inputs, bucket_object=True)[1]) == ["s3://other/p/con/b.nii"]
    said, written = nipype.sink("S3Sink", inputs, bucket_object=True)
    assert list(written) == ["p/con/b.nii"]
    assert said["out_file"] == [f"s3://{BUCKET}/p/con/b.nii"]


def test_infields_can_be_named_beforehand_as_a_map_node_needs_it(nipype: Nipype) -> None:
    inputs = {"base_directory": f"s3://{BUCKET}/p", "a.@b": nipype.file("f.nii")}
    options = {"infields": ["a.@b", "unset"]}
    assert "FileNotFoundError" in nipype.ask("DataSink", inputs, options=options)["error"]
    assert list(nipype.sink("S3Sink", inputs, options=options)[1]) == ["p/a/f.nii"]


def test_two_files_for_one_key_are_refused(nipype: Nipype) -> None:
    inputs = {"con": [nipype.file("_1/same.nii"), nipype.file("_2/same.nii")], "parameterization": False}
    written = nipype.sink("DataSink", {"base_directory": f"s3://{BUCKET}/p", **inputs})[1]
    assert len(written) == 1, "one of the two is lost"
    refused(nipype, inputs, "would both become")


@pytest.mark.parametrize(
    "inputs",
    [
        {"substitutions": [[BUCKET, "elsewhere"]]},
        {"regexp_substitutions": [["^s3:", "s4:"]]},
        {"container": "../../up"},
        {"container": "/root"},
        {"regexp_substitutions": [["x", "("], ["(", "x"]]},
        {"remove_dest_dir": True},
    ],
)
def test_what_would_leave_the_base_directory_is_refused(nipype: Nipype, inputs: dict[str, Any]) -> None:
    refused(nipype, {"con": nipype.file("f.nii"), **inputs}, "Refused")


@pytest.mark.parametrize("name", ["a..b", "a.", "a./b"])
def test_attributes_that_name_no_folder_are_refused(nipype: Nipype, name: str) -> None:
    refused(nipype, {name: nipype.file("f.nii")}, "attribute")


def test_a_source_that_does_not_exist_is_named_before_anything_is_written(nipype: Nipype) -> None:
    refused(nipype, {"con": [nipype.file("f.nii"), "/no/such.nii"]}, "con: /no/such.nii does not exist")


def test_a_credentials_file_that_does_not_exist_is_refused(nipype: Nipype) -> None:
    inputs = {"base_directory": f"s3://{BUCKET}/p", "con": nipype.file("f.nii"), "creds_path": "/no/such.csv"}
    assert "error" not in nipype.ask("DataSink", inputs), "it takes the environment's keys instead"
    refused(nipype, inputs, "/no/such.csv: there is no such file")


# S3DataGrabber


def grabbed(nipype: Nipype, interface: str, inputs: dict[str, Any], **options: Any) -> Any:
    target = nipype.folder / nipype.new_folder()
    target.mkdir()
    inputs = {"local_directory": str(target), "sort_filelist": True, "template": ".*", **inputs}
    said = nipype.ask(interface, inputs, options=options)
    kept = {
        file.relative_to(target).as_posix(): file.read_text() for file in target.rglob("*") if file.is_file()
    }
    return json.loads(json.dumps(said).replace(str(target), "TARGET")), kept


@pytest.fixture
def dataset(nipype: Nipype) -> None:
    nipype.empty()
    for label in ("01", "02"):
        names = [f"sub-{label}/anat/sub-{label}_T1w.nii.gz"]
        names += [f"sub-{label}/func/sub-{label}_task-simon_run-{run}_bold.nii.gz" for run in (1, 2, 10)]
        for name in names:
            nipype.s3.put_object(Bucket=BUCKET, Key=f"ds/{name}", Body=name.encode())


BOTH = {"anat": "%s/anat/%s_T1w.nii.gz", "func": "%s/func/%s_task-simon_run-%d_bold.nii.gz"}


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(
    ("words", "inputs"),
    [
        (
            {"anat": [["subj_id", "subj_id"]], "func": [["subj_id", "subj_id", [1, 2, 10]]]},
            {"subj_id": "sub-01"},
        ),
        (
            {"anat": [["subj_id", "subj_id"]], "func": [["subj_id", "subj_id", 1]]},
            {"subj_id": ["sub-01", "sub-02"]},
        ),
        (
            {"anat": [["sub-01", "sub-01"], ["sub-02", "sub-02"]], "func": []},
            {"subj_id": "sub-01", "field_template": {**BOTH, "func": ".*_bold"}},
        ),
    ],
)
def test_the_grabber_finds_and_brings_what_s3datagrabber_does(
    nipype: Nipype, words: dict[str, Any], inputs: dict[str, Any]
) -> None:
    asked = {"bucket": BUCKET, "bucket_path": "ds/", "field_template": BOTH, "template_args": words, **inputs}
    options = {"infields": ["subj_id"], "outfields": ["anat", "func"]}
    theirs = grabbed(nipype, "S3DataGrabber", asked, **options)
    assert "error" not in theirs[0], theirs[0]
    assert grabbed(nipype, "S3Grabber", asked, **options) == theirs


@pytest.mark.usefixtures("dataset")
def test_the_grabber_takes_an_s3_url_or_a_folder_alike(nipype: Nipype) -> None:
    asked = {"template": r"sub-01/func/.*_bold\.nii\.gz$"}
    remote, kept = grabbed(nipype, "S3Grabber", {**asked, "base_directory": f"s3://{BUCKET}/ds"})
    names = [f"sub-01/func/sub-01_task-simon_run-{run}_bold.nii.gz" for run in (1, 2, 10)]
    assert remote["outfiles"] == [f"TARGET/{name}" for name in names], "run-10 comes last"
    assert kept == {name: name for name in names}
    here = nipype.new_folder()
    for name in names:
        nipype.file(f"{here}/{name}")
    local, _ = grabbed(nipype, "S3Grabber", {**asked, "base_directory": str(nipype.folder / here)})
    assert local["outfiles"] == [str(nipype.folder / here / name) for name in names]


@pytest.mark.usefixtures("dataset")
def test_the_grabber_names_the_template_that_matches_nothing(nipype: Nipype) -> None:
    asked = {"bucket": BUCKET, "bucket_path": "ds/", "template": "sub-77/.*"}
    assert "'sub-77/.*': none of 8 files matches" in grabbed(nipype, "S3Grabber", asked)[0]["error"]
    assert grabbed(nipype, "S3Grabber", {**asked, "raise_on_empty": False})[0] == {"outfiles": None}
