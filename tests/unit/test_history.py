"""A unit's next attempt goes on where the last one was cut off, and asks for what the last one lacked."""

from pathlib import Path
from typing import Any

import pytest

from neurocwl import plan, template
from neurocwl.joborder import Order
from neurocwl.plan import PlannedUnit, Request
from neurocwl.receipts import UnitState, Written
from neurocwl.s3 import Access
from neurocwl.storage import open_location
from neurocwl.units import Selection
from tests.unit.datasets import dataset
from tests.unit.test_plan import receipt

HOME = ".neurocwl/units/sub-1/attempts/a/outputs/sub-1"
FIRST = ["mri/orig/001.mgz", "mri/brainmask.mgz", "touch/skull_strip.touch", "scripts/recon-all.log"]
SECOND = [*FIRST, "mri/norm.mgz", "mri/wm.mgz", "surf/lh.orig", "surf/rh.inflated", "label/lh.cortex.label"]
THIRD = [*SECOND, "surf/lh.sphere", "surf/lh.pial.T1", "stats/lh.aparc.stats", "mri/aseg.mgz"]
RUNNING = "scripts/IsRunning.lh+rh"
ASKED = {"memory_mib": 8192, "tmp_mib": 2048, "out_mib": 4096}


class Lab:
    """One subject of recon-all, planned again after an attempt."""

    def __init__(self, folder: Path) -> None:
        self.template = template.load("recon-all")
        self.data = dataset(["sub-1/anat/sub-1_T1w.nii.gz"])
        self.dataset = open_location(str(folder / "ds"), Access())
        self.output = open_location(str(folder / "out"), Access())

    def planned(self, states: dict[str, UnitState], **parameters: Any) -> PlannedUnit:
        request = Request(self.template, Selection(), parameters, self.template.image)
        return plan.make(self.data, self.dataset, self.output, request, states).units[0]

    def after(self, files: list[str], attempt: dict[str, Any], **parameters: Any) -> PlannedUnit:
        """The plan after an attempt that left these files of the subject."""
        key = self.planned({}, **parameters).order.task_key
        manifest = tuple(Written(f"{HOME}/{path}", 1, "0", "0") for path in files)
        whole = {"attempt": "a", "run": "r1", "status": "failed", "reason": "", "logs": [], **attempt}
        made = receipt(
            "sub-1", key, status=whole["status"], pipeline="recon-all", manifest=manifest, attempts=(whole,)
        )
        return self.planned({"sub-1": UnitState(made)}, **parameters)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def taken(one: Order) -> set[str]:
    """The files of the earlier attempt that the next one is given, below the subject."""
    return {path for part in one.parts["continue_from"] for path, _ in part.files}


def test_a_run_cut_off_in_the_first_stage_starts_anew(lab: Lab) -> None:
    found = lab.after(["mri/orig/001.mgz", RUNNING], {"lost": True})
    assert found.order.settings == {}
    assert not taken(found.order)
    assert found.order.inputs()["t1w"]


def test_a_run_cut_off_in_the_second_stage_goes_on_with_it_from_what_the_first_made(lab: Lab) -> None:
    found = lab.after([*SECOND, RUNNING], {"lost": True})
    assert found.order.settings == {"stage": "autorecon2", "autorecon3": True}
    assert taken(found.order) == set(FIRST)
    assert found.reason.endswith("sub-1 goes on with stage autorecon2, autorecon3")


def test_a_run_cut_off_in_the_third_stage_goes_on_with_that(lab: Lab) -> None:
    found = lab.after([*THIRD, RUNNING], {"lost": True})
    assert found.order.settings == {"stage": "autorecon3"}
    assert taken(found.order) == set(SECOND)


def test_whoever_goes_on_is_given_no_images_as_recon_all_refuses_them(lab: Lab) -> None:
    inputs = lab.after([*SECOND, RUNNING], {"lost": True}).order.inputs()
    assert inputs["t1w"] == []
    assert [folder["basename"] for folder in inputs["continue_from"]] == ["sub-1"]


def test_the_same_work_anew_is_not_forgotten(lab: Lab) -> None:
    one = lab.after([*SECOND, RUNNING], {"lost": True}).order
    assert one.anew is not None
    assert one.anew.inputs()["t1w"]
    assert (one.anew.settings, one.anew.task_key) == ({}, one.task_key)


def test_a_stage_that_failed_by_itself_is_not_gone_on_from(lab: Lab) -> None:
    assert lab.after([*SECOND, "scripts/recon-all.error"], {}).order.settings == {}


def test_half_a_delivery_is_not_gone_on_from(lab: Lab) -> None:
    assert lab.after([*SECOND, RUNNING], {"lost": True, "resumes": False}).order.settings == {}


def test_a_user_who_names_a_stage_gets_that_one(lab: Lab) -> None:
    found = lab.after([*SECOND, RUNNING], {"lost": True}, stage="autorecon1")
    assert found.order.settings == {}
    assert found.order.inputs()["t1w"]


def test_the_plan_asks_for_more_where_a_unit_ran_out_of_memory_and_says_so(lab: Lab) -> None:
    found = lab.after([], {"short_of": "memory", "asked": ASKED})
    assert found.as_dict()["asks"] == {"memory_mib": 12288}
    assert "asks for 12288 MiB of memory: it ran out of it with 8192" in found.reason


def test_units_that_were_never_seen_ask_for_what_the_tool_does(lab: Lab) -> None:
    assert lab.planned({}).as_dict()["asks"] == {}


VOLUMES = ["mri/orig/001.mgz", "mri/brainmask.mgz", "mri/transforms/talairach.lta", "mri/filled.mgz"]
HEMISPHERE = [*VOLUMES, "surf/lh.orig.nofix", "surf/lh.white", "label/lh.cortex.label"]
WHOLE = [*HEMISPHERE, "surf/rh.pial", "mri/wmparc.mgz", "scripts/recon-all.done", "surf/lh.midthickness"]


def fmriprep_after(
    folder: Path, files: list[str], pipeline: str = "fmriprep", **parameters: Any
) -> PlannedUnit:
    """The plan of fMRIPrep after an attempt that was cut off and left these files of its FreeSurfer subject."""
    chosen = template.load(pipeline)
    unit, subject = ("sub-1_ses-2", "sub-1_ses-2") if chosen.needs_session else ("sub-1", "sub-1")
    names = [
        f"{kind}/sub-1_ses-2_{rest}"
        for kind, rest in (("anat", "T1w.nii.gz"), ("func", "task-a_bold.nii.gz"))
    ]
    data = dataset([f"sub-1/ses-2/{name}" for name in names])
    given, output = (open_location(str(folder / name), Access()) for name in ("ds", "out"))

    def planned(states: dict[str, UnitState]) -> PlannedUnit:
        return plan.make(
            data, given, output, Request(chosen, Selection(), parameters, chosen.image), states
        ).units[0]

    home = f".neurocwl/units/{unit}/attempts/a/outputs"
    left = [f"sourcedata/freesurfer/{subject}/{file}" for file in files]
    left += ["sourcedata/freesurfer/fsaverage/surf/lh.white", "sub-1/ses-2/func/half.nii.gz"]
    manifest = tuple(Written(f"{home}/{path}", 1, "0", "0") for path in left)
    lost = {"attempt": "a", "run": "r1", "status": "failed", "reason": "", "logs": [], "lost": True}
    key = planned({}).order.task_key
    made = receipt(unit, key, status="failed", pipeline=pipeline, manifest=manifest, attempts=(lost,))
    return planned({unit: UnitState(made)})


def gone_on_with(found: PlannedUnit) -> set[str]:
    return {path for part in found.order.parts["continue_from"] for path, _ in part.files}


def test_fmriprep_goes_on_with_freesurfer_results_that_were_through(tmp_path: Path) -> None:
    found = fmriprep_after(tmp_path, WHOLE)
    assert gone_on_with(found) == {f"sub-1/{file}" for file in WHOLE if file != "surf/lh.midthickness"}
    assert found.order.inputs()["continue_from"]["class"] == "Directory"
    assert found.reason.endswith("goes on with sub-1 of its last attempt (continue_from)")


def test_surfaces_that_fmriprep_was_cut_off_in_are_made_anew_from_the_volumes(tmp_path: Path) -> None:
    found = fmriprep_after(tmp_path, [*HEMISPHERE, "scripts/IsRunning.lh"])
    assert gone_on_with(found) == {f"sub-1/{file}" for file in VOLUMES}


@pytest.mark.parametrize(
    "files",
    [[*VOLUMES, RUNNING], [*WHOLE, "scripts/recon-all.error"], VOLUMES[:1]],
    ids=["among the volumes", "failed by itself", "only just begun"],
)
def test_a_freesurfer_subject_that_may_be_half_written_is_made_anew(tmp_path: Path, files: list[str]) -> None:
    assert gone_on_with(fmriprep_after(tmp_path, files)) == set()


def test_a_session_goes_on_with_its_own_subject(tmp_path: Path) -> None:
    found = fmriprep_after(tmp_path, WHOLE, "fmriprep-sessions")
    assert {path.partition("/")[0] for path in gone_on_with(found)} == {"sub-1_ses-2"}
