"""Projects: what of a folder or prefix is an image, a macro, a result; which batches come of it; how it is synced."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from neurocwl import bids, project, superseded, sync, template, workflow
from neurocwl.bids import Entry, Problem
from neurocwl.cli import main
from neurocwl.errors import BadInput
from neurocwl.joborder import order
from neurocwl.plan import Plan, Request, make
from neurocwl.receipts import read_states
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from neurocwl.units import Selection, select
from tests.conftest import S3

HERE = Access()


def write(root: Path, *paths: str, text: str = "x") -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["plan", "project", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["plan", *words]) == 2
    return capsys.readouterr().err


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    root = tmp_path / "lab"
    assert main(["project", "create", str(root)]) == 0
    write(root, "input/a.tif", "input/b/a.TIF", "input/notes.txt", "input/.hidden.tif", "bin/count.ijm")
    return root


def test_create_makes_the_folders_and_leaves_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "src/mine.ijm")
    assert [folder.name for folder in project.create(tmp_path)] == ["bin", "input", "output"]
    assert (tmp_path / "src/mine.ijm").read_text() == "x"
    assert project.create(tmp_path) == []


def test_create_refuses_a_file_in_the_way(tmp_path: Path) -> None:
    write(tmp_path, "bin")
    with pytest.raises(BadInput, match="bin: is a file"):
        project.create(tmp_path)


def test_the_images_of_input_are_planned_for_output(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, str(lab))
    assert (found["dataset"], found["output"]) == (f"{lab}/input", f"{lab}/output")
    assert [(u["unit"], u["participant"], u["files"]) for u in found["units"]] == [("batch-0", None, 2)]


def test_without_input_any_folder_of_images_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "plate/1.png", "output/old.png", "derivatives/d.png", "src/m.ijm", "bin/icon.png")
    found = planned(capsys, str(tmp_path))
    assert (found["dataset"], found["output"]) == (str(tmp_path), f"{tmp_path}/output")
    assert [u["files"] for u in found["units"]] == [1]


def test_what_lies_in_input_is_an_image_whatever_its_folder_is_called(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(lab, *(f"input/{name}/1.png" for name in ("bin", "output", "src", "code", "derivatives")))
    assert [unit["files"] for unit in planned(capsys, str(lab))["units"]] == [7]


def told(found: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(one["code"], one["path"]): one["message"] for one in found["problems"]}


def test_files_that_are_left_out_are_counted(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(lab / "input", "a.CZI", "b/b.czi", "README", ".cache/1.tif")
    problems = told(planned(capsys, str(lab)))
    assert set(problems) == {
        ("NOT_AN_IMAGE", "*.czi"),
        ("NOT_AN_IMAGE", "*.txt"),
        ("NOT_AN_IMAGE", "*"),
        ("HIDDEN_FILE", "*.tif"),
    }
    assert problems["NOT_AN_IMAGE", "*.czi"].startswith("2 left out, the first is a.CZI: imagej takes .tif, ")
    assert problems["HIDDEN_FILE", "*.tif"].startswith("2 left out, the first is .cache/1.tif: ")


def test_images_among_scripts_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "plate/1.png", "output/old.png", "derivatives/d.png", "src/m.ijm", "bin/icon.png")
    assert list(told(planned(capsys, str(tmp_path)))) == [("NOT_INPUT", "bin/*.png")]


def test_batches_have_the_size_asked_for(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(lab / "input", *(f"{number}.tif" for number in range(40)))
    sizes = [unit["files"] for unit in planned(capsys, str(lab), "--batch-size", "5")["units"]]
    assert sum(sizes) == 42
    assert max(sizes) <= 5


def test_a_new_image_makes_one_batch_differ(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(lab / "input", *(f"{number:02}.tif" for number in range(40)))
    keys = [{u["unit"]: u["task_key"] for u in planned(capsys, str(lab), "--batch-size", "8")["units"]}]
    write(lab / "input", "205.tif")
    keys.append({u["unit"]: u["task_key"] for u in planned(capsys, str(lab), "--batch-size", "8")["units"]})
    assert len(keys[1].items() - keys[0].items()) == 1


def test_another_macro_is_other_work(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = planned(capsys, str(lab))["units"][0]["task_key"]
    write(lab, "bin/count.ijm", text="y")
    assert planned(capsys, str(lab))["units"][0]["task_key"] != before


def test_of_a_bids_dataset_no_batch_mixes_participants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    micr = [f"sub-{s}/micr/sub-{s}_sample-{n}_BF.png" for s in ("01", "02") for n in range(3)]
    write(tmp_path, *micr, "sub-03/micr/sub-03_sample-A_photo.jpg", "code/m.ijm")
    write(tmp_path, "dataset_description.json", text="{}")
    found = planned(capsys, str(tmp_path), "--batch-size", "2")
    assert found["output"].endswith("/derivatives/imagej")
    ready = [u for u in found["units"] if u["status"] == "ready"]
    assert {u["participant"] for u in ready} == {"01", "02"}
    assert all(u["unit"].startswith(f"sub-{u['participant']}_batch-") for u in ready)
    assert sum(u["files"] for u in ready) == 6
    (other,) = [u for u in found["units"] if u["status"] == "incomplete"]
    assert (other["unit"], "microscopy image" in other["reason"]) == ("sub-03", True)
    words = ("dataset", str(tmp_path), "--pipeline", "imagej", "--macro", str(tmp_path / "code/m.ijm"))
    assert main(["plan", *words, "--json", "--batch-size", "2"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [u["unit"] for u in again["units"]] == [u["unit"] for u in found["units"]]


def test_what_cannot_be_used_is_refused_with_the_fix(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        return refused(capsys, "project", str(lab), *words)

    assert "--batch-size 0: must be 1 or more" in said("--batch-size", "0")
    assert "takes participants of a BIDS dataset" in said("--pipeline", "nifti-check")
    for place in ("out", "derivatives/imagej"):
        assert "lies among the raw data" in said("--output", f"{lab}/input/{place}")
    write(lab, "src/other.ijm")
    assert "several macros (bin/count.ijm, src/other.ijm); choose one with --macro" in said()
    shutil.rmtree(lab / "src")
    (lab / "bin/count.ijm").write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in said()
    (lab / "bin/count.ijm").unlink()
    assert "--macro is missing" in said()
    for image in lab.glob("input/**/*.[tT]*"):
        image.unlink()
    write(lab, "input/notes.txt", "bin/count.ijm")
    assert "no images (.tif" in said()


def test_a_project_that_is_not_there_is_said_to_be_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{tmp_path}/lab: there is no such folder" in refused(capsys, "project", f"{tmp_path}/lab")
    assert f"{tmp_path}: nothing there" in refused(capsys, "project", str(tmp_path))


def test_a_prefix_without_anything_is_said_to_be_empty(
    bucket: str, aws: S3, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.variables.items():
        monkeypatch.setenv(name, value)
    assert f"s3://{bucket}/lab: nothing there" in refused(capsys, "project", f"s3://{bucket}/lab")


@pytest.mark.parametrize("text", ["- a\n- b\n", "", "[1, 2]", "{", "just words", b"\xff"])
def test_files_beside_templates_that_are_none_are_passed_over(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | bytes
) -> None:
    (tmp_path / "list.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert planned(capsys, str(lab), "--pipeline-dir", str(tmp_path))["pipeline"] == "imagej"


def test_a_batch_size_is_for_pipelines_with_batches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "dataset_description.json", "sub-01/anat/sub-01_T1w.nii.gz", text="{}")
    said = refused(capsys, "dataset", str(tmp_path), "--pipeline", "nifti-check", "--batch-size", "3")
    assert "nifti-check takes no batches" in said


def test_the_macro_is_in_the_job_order_itself(
    lab: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["job-order", "project", str(lab), "-o", "orders"]) == 0
    order = json.loads((tmp_path / "orders/job-order-001.json").read_text())
    assert order["macro"] == {"class": "File", "basename": "count.ijm", "contents": "x"}
    (unit,) = order["units"]
    assert unit["images"]["basename"] == "files"
    assert [one["basename"] for one in unit["images"]["listing"]] == ["a.tif", "b"]


def test_a_step_that_brings_the_images_keeps_their_paths(tmp_path: Path) -> None:
    chosen = template.load("imagej")
    found = project.index([Entry("a/1.tif", 1, "e"), Entry("b/1.tif", 1, "e")], chosen, layout=False)
    (unit,) = select(found, chosen, Selection(), {})
    made = order(unit, chosen, (), lambda path: f"s3://b/{path}", {}, None, "mark")
    asked = json.loads(made.record_for_stage_in({"sign": True, "requester_pays": True})["request"])
    assert asked["inputs"]["images"]["folder"] == "files"
    assert [row[1] for row in asked["inputs"]["images"]["files"]] == ["a/1.tif", "b/1.tif"]
    steps = workflow.dataset_workflow(chosen, stage_in=True)["steps"]["per_unit"]["run"]["steps"]
    assert steps["stage_in"]["run"]["outputs"]["images"]["outputBinding"] == {"glob": "staged/images/files"}


def result(output: Path, batch: str, dataset: str = "/lab/input", **changes: Any) -> None:
    """A batch with results at an output, as a launch leaves it."""
    path, run = f"batches/{batch}/images.tsv", f"r-{dataset.replace('/', '-')}"
    write(output, path)
    written = {"path": path, "size": 1, "sha256": "0" * 64, "etag": "e"}
    receipt = {
        "receipt": 1, "unit": batch, "participant": None, "session": None, "pipeline": "imagej", "status": "done",
        "reason": "", "exit_code": 0, "run": run, "attempt": "a", "task_key": "k", "committed": "2026-01-01",
        "rehearsal": False, "manifest": [written], "shared": [], "earlier": None, "attempts": [],
    }  # fmt: skip
    write(output, f".neurocwl/units/{batch}/receipt.json", text=json.dumps(receipt | changes))
    write(output, f".neurocwl/runs/{run}/run.json", text=json.dumps({"dataset": dataset}))


def plan_of(output: Location, *paths: str, dataset: str = "/lab/input") -> Plan:
    """The plan of a project with these images, or of a BIDS dataset with them."""
    chosen = template.load("imagej")
    entries = [Entry(path, 1, "e") for path in paths]
    found = (
        bids.index(entries) if paths[0].startswith("sub-") else project.index(entries, chosen, layout=True)
    )
    request = Request(chosen, Selection(), {}, chosen.image)
    return make(found, open_location(dataset, HERE), output, request, read_states(output))


def left(output: Location) -> set[str]:
    """The batches with results at an output."""
    return {entry.path.split("/")[1] for entry in output.entries("batches/")}


def test_a_batch_that_is_no_more_goes_only_with_the_dataset_it_came_from(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), HERE)
    (planned,) = plan_of(output, "a.tif").units
    result(tmp_path, "batch-0", task_key=planned.order.task_key)
    result(tmp_path, "batch-1")
    result(tmp_path, "batch-2", "/other/input")
    superseded.clear(plan_of(output, "a.tif"), template.load("imagej"), output, print)
    assert left(output) == {"batch-0", "batch-2"}
    assert set(read_states(output)) == {"batch-0", "batch-2"}


@pytest.mark.parametrize(
    ("successor", "goes"),
    [
        ({}, True),
        ({"status": "failed", "reason": "a.tif (not through after 9 s)"}, True),
        ({"status": "failed", "reason": "no container", "manifest": []}, False),
        ({"task_key": "of other images"}, False),
        ({"status": "failed", "task_key": "of other images"}, False),
        (None, False),
    ],
)
def test_it_goes_when_those_that_have_its_images_now_are_there(
    tmp_path: Path, successor: dict[str, Any] | None, goes: bool
) -> None:
    output = open_location(str(tmp_path), HERE)
    result(tmp_path, "batch-1")
    (planned,) = plan_of(output, "a.tif").units
    if successor is not None:
        result(tmp_path, "batch-0", **{"task_key": planned.order.task_key, **successor})
    made = plan_of(output, "a.tif")
    assert list(superseded.found(made, template.load("imagej"), output)) == ["batch-1"] * goes
    superseded.clear(made, template.load("imagej"), output, print)
    assert ("batch-1" in left(output)) != goes


def test_it_stays_while_its_successor_delivers(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), HERE)
    result(tmp_path, "batch-1")
    (planned,) = plan_of(output, "a.tif").units
    result(tmp_path, "batch-0", task_key=planned.order.task_key)
    note = {"attempt": "b", "run": "r", "paths": ["batches/batch-0/images.tsv"], "leftovers": []}
    write(tmp_path, ".neurocwl/units/batch-0/staging.json", text=json.dumps(note))
    superseded.clear(plan_of(output, "a.tif"), template.load("imagej"), output, print)
    assert "batch-1" in left(output)


def test_it_waits_for_nobody_else(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), HERE)
    images = [f"sub-{label}/micr/sub-{label}_sample-A_BF.png" for label in ("01", "02")]
    images.append("sub-03/micr/sub-03_sample-A_photo.jpg")  # no image any more: it will never have a result
    done, *_ = plan_of(output, *images).units
    result(tmp_path, "sub-01_batch-0", participant="01", task_key=done.order.task_key)
    for label in ("01", "02", "03"):
        result(tmp_path, f"sub-{label}_batch-9", participant=label)
    superseded.clear(plan_of(output, *images), template.load("imagej"), output, print)
    assert left(output) == {"sub-01_batch-0", "sub-02_batch-9"}


def test_participants_that_are_no_more_keep_their_results(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), HERE)
    result(tmp_path, "sub-01")
    plan = Plan("/lab/input", output.url, "p", (), (Problem("sub-01", "WITHDRAWN", ""),))
    superseded.clear(plan, template.load("nifti-check"), output, print)
    assert (tmp_path / "batches/sub-01/images.tsv").exists()


@pytest.fixture(params=["folder", "s3"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return open_location(str(tmp_path / "far"), HERE)
    aws: S3 = request.getfixturevalue("aws")
    return open_location(f"s3://{aws.bucket()}/lab", HERE)


def counts(done: sync.Synced) -> tuple[int, int, int, int]:
    return done.copied, done.equal, done.deleted, done.extra


def test_sync_copies_what_differs_and_deletes_only_when_asked(tmp_path: Path, far: Location) -> None:
    root = write(tmp_path / "near", "input/a", "input/deep/b ü%", text="1")
    near = open_location(str(root), HERE)
    assert counts(sync.folder("input", near, far)) == (2, 0, 0, 0)
    write(root, "input/a", text="2")  # the size stays: the content decides
    far.write("input/old", b"old")
    assert counts(sync.folder("input", near, far)) == (1, 1, 0, 1)
    assert far.read("input/a") == b"2"
    assert counts(sync.folder("input", near, far, delete=True)) == (0, 2, 1, 0)
    assert far.read("input/old") is None


def test_sync_deletes_nothing_for_a_source_without_files(tmp_path: Path, far: Location) -> None:
    near = open_location(str(tmp_path / "near"), HERE)
    far.write("input/old", b"old")
    with pytest.raises(
        BadInput, match=r"--delete: .*/near/input has no files, and all 1 of .*/input would go"
    ):
        sync.folder("input", near, far, delete=True)
    assert far.read("input/old") == b"old"
    assert counts(sync.folder("src", near, far, delete=True)) == (0, 0, 0, 0), "nothing would go"


def test_sync_says_what_it_replaced_and_what_of_it_was_newer(tmp_path: Path, far: Location) -> None:
    root = write(tmp_path / "near", "input/old", "input/new", "input/same", "input/only-here", text="1")
    for name in ("old", "new", "same"):
        far.write(f"input/{name}", b"1" if name == "same" else b"another")
    for name, time in (("old", 1_000_000_000), ("same", 1_000_000_000), ("new", 4_000_000_000)):
        os.utime(root / "input" / name, (time, time))
    near = open_location(str(root), HERE)
    done = sync.folder("input", near, far)
    assert counts(done) == (3, 1, 0, 0)
    assert (done.replaced, done.newer) == (2, ("input/old",))
    said = "; 2 of the copied replaced others that differed, 1 of them newer at the target: input/old"
    assert done.line("near", "far").endswith(said)
    assert "replaced" not in sync.folder("input", near, far).line("near", "far")


def test_sync_brings_back_results_and_what_proves_them(tmp_path: Path, far: Location) -> None:
    far.write("output/t.tsv", b"table")
    far.write("output/.neurocwl/units/batch-0/receipt.json", b"{}")
    far.write("output/.neurocwl/lease.json", b"of the bucket's own")
    near = open_location(str(tmp_path / "near"), HERE)
    assert counts(sync.folder("output", far, near)) == (2, 0, 0, 0)
    left = {entry.path for entry in near.entries()}
    assert left == {"output/t.tsv", "output/.neurocwl/units/batch-0/receipt.json"}
    assert counts(sync.folder("output", far, near)) == (0, 2, 0, 0)


def test_sync_sends_large_files_in_parts(
    tmp_path: Path, bucket: str, aws: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "IN_PARTS", 6 << 20)
    root = write(tmp_path / "near", "input/large.tif", text="0123456789" * 1_300_000)
    near, far = open_location(str(root), HERE), open_location(f"s3://{bucket}/lab", HERE)
    assert counts(sync.folder("input", near, far)) == (1, 0, 0, 0)
    assert far.read("input/large.tif") == (root / "input/large.tif").read_bytes()
    assert counts(sync.folder("input", near, far)) == (0, 1, 0, 0), "a checksum of parts is no reason to copy"


def test_sync_never_writes_outside_of_the_project(tmp_path: Path, bucket: str, aws: S3) -> None:
    aws.client().put_object(Bucket=bucket, Key="lab/output/../../evil", Body=b"x")
    near, far = open_location(str(tmp_path / "near"), HERE), open_location(f"s3://{bucket}/lab", HERE)
    with pytest.raises(BadInput, match="leaves or blurs its folder"):
        sync.folder("output", far, near)
    assert not list(tmp_path.iterdir())
