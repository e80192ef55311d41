"""What of earlier derivatives belongs to a unit, by receipts where there are some, by the listing elsewhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import stage_out
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import derivatives, globs, group, joborder, plan, template
from neurocwl.bids import Entry
from neurocwl.binding import Binding, Derivatives
from neurocwl.derivatives import Earlier
from neurocwl.errors import BadInput, InfrastructureError
from neurocwl.plan import Plan, Request
from neurocwl.receipts import Receipt, UnitState, Written
from neurocwl.s3 import Access
from neurocwl.storage import Location, open_location
from neurocwl.template import Template
from neurocwl.units import Selection, Unit
from tests.unit.datasets import dataset
from tests.unit.test_plan import receipt

UNIT = Unit("sub-01_ses-1", "01", "1", ())
PART = st.text("ab1.", min_size=1, max_size=3)
PATH = st.lists(PART, min_size=1, max_size=3).map("/".join)
GLOB = st.lists(st.sampled_from(["a", "b", "1", ".", "/", "*", "**", "?", "[ab]", "[!a]"]), max_size=6).map(
    "".join
)


@given(PATH, GLOB)
def test_the_launcher_and_the_worker_read_globs_alike(path: str, glob: str) -> None:
    assert bool(globs.regex(glob).fullmatch(path)) == stage_out.matches(path, glob)


@given(PATH, GLOB)
def test_what_a_glob_matches_begins_with_its_literal_part(path: str, glob: str) -> None:
    if globs.regex(glob).fullmatch(path):
        assert path.startswith(globs.literal(glob))


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return open_location(str(tmp_path / "earlier"), Access())


def fill(location: Location, *paths: str) -> None:
    for path in paths:
        location.write(path, path.encode())


def binding(*folders: str, **changes: Any) -> Binding:
    return Binding("derivatives", derivatives=Derivatives(folders, **changes))


def read(location: Location, *, rehearsal: bool = False) -> Earlier:
    return derivatives.read("earlier", location, rehearsal=rehearsal)


def commit(location: Location, unit: str, paths: list[str], **changes: Any) -> None:
    """What stage-out leaves: files, and a receipt that names them."""
    fill(location, *paths)
    manifest = [{"path": p, "size": len(p), "sha256": "0", "etag": f"e-{p}"} for p in paths]
    document = {
        "receipt": 1, "unit": unit, "participant": None, "session": None, "pipeline": "recon-all",
        "status": "done", "exit_code": 0, "reason": "", "run": "r", "attempt": "a", "task_key": "k",
        "committed": "2026-01-01T00:00:00+00:00", "host": "h", "rehearsal": False, "manifest": manifest,
        "shared": [], "earlier": None, "attempts": [], **changes,
    }  # fmt: skip
    location.write(f".neurocwl/units/{unit}/receipt.json", json.dumps(document).encode())


def test_a_folder_that_nobody_vouches_for_is_listed(place: Location) -> None:
    fill(place, "sub-01/mri/T1.mgz", "sub-02/mri/T1.mgz", "fsaverage/surf/lh.pial", "README")
    (part,) = derivatives.parts_of(binding("sub-{participant}"), [read(place)], UNIT)
    assert part.name == "earlier"
    assert [path for path, _ in part.files] == ["sub-01/mri/T1.mgz"]


def test_only_what_receipts_call_done_counts_where_there_are_receipts(place: Location) -> None:
    commit(place, "sub-01_ses-1", ["sub-01_ses-1/mri/T1.mgz"])
    commit(place, "sub-01_ses-2", ["sub-01_ses-2/mri/T1.mgz"], status="failed", reason="exit code 1")
    fill(place, "sub-01_ses-1/left-over", "sub-01_ses-3/mri/T1.mgz")
    parts = derivatives.parts_of(binding("sub-{participant}_ses-*", each="folder"), [read(place)], UNIT)
    assert [(part.name, [path for path, _ in part.files]) for part in parts] == [
        ("sub-01_ses-1", ["mri/T1.mgz"])
    ]


def test_what_is_lacking_says_where_it_was_looked_for_and_why_it_is_not_there(place: Location) -> None:
    commit(place, "sub-01_ses-2", ["sub-01_ses-2/x"], status="failed", reason="exit code 137")
    earlier = [read(place)]
    said = derivatives.lacking("fs_subjects_dir", binding("sub-{participant}"), earlier, UNIT)
    assert said.startswith(f"sub-01 at {place.url} (--fs-subjects-dir)")
    assert "sub-01_ses-2 failed there: exit code 137" in said
    assert not derivatives.lacking("x", binding("sub-{participant}"), [], UNIT), "nothing was asked for"


def test_a_place_for_each_directory_brings_the_files_beside_the_folders(place: Location) -> None:
    fill(place, "dataset_description.json", "sub-01.html", "sub-01/anat/a", "sub-02/anat/a")
    wanted = binding("sub-{participant}", files=("dataset_description.json",), each="place")
    (part,) = derivatives.parts_of(wanted, [read(place)], UNIT)
    assert [path for path, _ in part.files] == ["dataset_description.json", "sub-01/anat/a"]


def test_folders_deeper_down_are_seen_from_the_folder_that_holds_them(place: Location) -> None:
    fill(place, "sourcedata/freesurfer/sub-01/mri/T1.mgz")
    (part,) = derivatives.parts_of(binding("sourcedata/freesurfer/sub-{participant}"), [read(place)], UNIT)
    assert [path for path, _ in part.files] == ["sub-01/mri/T1.mgz"]


def test_an_empty_place_is_refused(place: Location) -> None:
    with pytest.raises(BadInput, match="nothing there to build on"):
        read(place)


def test_part_of_an_output_is_known_by_the_receipts_of_the_whole(place: Location) -> None:
    commit(place, "sub-01", ["sourcedata/freesurfer/sub-01/mri/T1.mgz"])
    commit(place, "sub-02", ["sourcedata/freesurfer/sub-02/mri/T1.mgz"], status="failed", reason="x")
    inside = open_location(f"{place.url}/sourcedata/freesurfer", Access())
    above = [
        (open_location(f"{place.url}/sourcedata", Access()), "freesurfer/"),
        (place, "sourcedata/freesurfer/"),
    ]
    found = derivatives.read("freesurfer", inside, rehearsal=False, above=above)
    assert [entry.path for entry in found.entries] == ["sub-01/mri/T1.mgz"]
    commit(place, "sub-03", ["sourcedata/freesurfer/sub-03/mri/T1.mgz"], rehearsal=True)
    with pytest.raises(BadInput, match="holds a rehearsal"):
        derivatives.read("freesurfer", inside, rehearsal=False, above=above)


def test_a_damaged_record_of_shared_files_is_named(place: Location) -> None:
    commit(place, "sub-01", ["sub-01/x"])
    place.write(".neurocwl/shared.json", b"{")
    with pytest.raises(InfrastructureError, match=r"shared\.json is damaged"):
        read(place)


def test_a_folder_above_that_may_not_be_looked_into_is_passed_over(place: Location, tmp_path: Path) -> None:
    fill(place, "sub-01/mri/T1.mgz")
    (tmp_path / "file").write_text("")  # listing below it fails, for root as well
    above = [(open_location(str(tmp_path / "file"), Access()), "earlier/")]
    found = derivatives.read("earlier", place, rehearsal=False, above=above)
    assert [entry.path for entry in found.entries] == ["sub-01/mri/T1.mgz"]


def test_what_people_edit_counts_as_it_lies_in_units_that_are_done(place: Location) -> None:
    commit(place, "sub-01", ["sub-01/mri/brainmask.mgz"])
    commit(place, "sub-02", ["sub-02/mri/brainmask.mgz"], status="failed", reason="x")
    fill(place, "sub-01/tmp/control.dat")
    place.write("sub-01/mri/brainmask.mgz", b"edited by hand")
    found = derivatives.read("freesurfer", place, rehearsal=False, edited=True)
    assert [(entry.path, entry.size) for entry in found.entries] == [
        ("sub-01/mri/brainmask.mgz", len(b"edited by hand")),
        ("sub-01/tmp/control.dat", len("sub-01/tmp/control.dat")),
    ]


def test_a_unit_that_is_done_there_without_the_folder_is_said_so(place: Location) -> None:
    commit(place, "sub-01", ["elsewhere/x"])
    said = derivatives.lacking(
        "x", binding("sub-{participant}"), [read(place)], Unit("sub-01", "01", None, ())
    )
    assert "sub-01 is done there, but left no such folder" in said


def test_what_an_earlier_success_left_is_gathered_while_its_rerun_failed(place: Location) -> None:
    kept = (Written("sub-01.html", 1, "0", "e"),)
    part = derivatives.results(["*.html"], place, [receipt("sub-01", "k", status="failed", earlier=kept)])
    assert [path for path, _ in part.files] == ["sub-01.html"]


def test_the_group_stage_of_another_pipeline_is_not_replaced(place: Location) -> None:
    done = receipt("sub-01", "k", manifest=(Written("sub-01.html", 1, "0", "e"),))
    other = receipt("group", "k", pipeline="freesurfer-tables")
    states = {"sub-01": UnitState(done), "group": UnitState(other)}
    with pytest.raises(BadInput, match="gathered by freesurfer-tables; reports would replace them"):
        group.due(template.load("reports"), place, states, rehearsal=False)


def test_results_are_not_built_on_a_rehearsal(place: Location) -> None:
    commit(place, "sub-01", ["sub-01/x"], rehearsal=True)
    with pytest.raises(BadInput, match="holds a rehearsal"):
        read(place)
    assert read(place, rehearsal=True).entries


def test_delivered_results_alone_go_to_the_group_stage(place: Location) -> None:
    partial = ".neurocwl/units/sub-02/attempts/a/outputs/sub-02/stats/aseg.stats"
    done = receipt("sub-01", "k", manifest=(Written("sub-01/stats/aseg.stats", 1, "0", "e"),))
    failed = receipt("sub-02", "k", status="failed", manifest=(Written(partial, 1, "0", "e"),))
    part = derivatives.results(["**/stats/*.stats"], place, [done, failed])
    assert [path for path, _ in part.files] == ["sub-01/stats/aseg.stats"]


# The longitudinal pipeline: sessions, time points, and what is there already.


PATHS = [
    f"sub-{n}/ses-{s}/anat/sub-{n}_ses-{s}_T1w.nii.gz"
    for n, s in (("01", "1"), ("01", "2"), ("01", "3"), ("02", "1"))
]


@pytest.fixture(scope="module")
def longitudinal() -> Template:
    return template.load("recon-all-longitudinal")


def planned(
    chosen: Template,
    out: Location,
    states: dict[str, UnitState] | None = None,
    earlier: Earlier | None = None,
    extra: tuple[str, ...] = (),
) -> Plan:
    given_ = {"finished": (earlier,)} if earlier else {}
    request = Request(chosen, Selection(), {}, "image:1", earlier=given_)
    there = open_location("/data", Access())
    return plan.make(dataset([*PATHS, *extra]), there, out, request, states or {})


def inputs(made: Plan, unit: str = "sub-01") -> dict[str, Any]:
    return next(u.order.inputs() for u in made.units if u.unit.name == unit)


def test_every_session_is_a_record_and_a_time_point(longitudinal: Template, place: Location) -> None:
    found = inputs(planned(longitudinal, place))
    assert found["subject"] == "sub-01"
    assert found["timepoints"] == ["sub-01_ses-1", "sub-01_ses-2", "sub-01_ses-3"]
    assert [record["subject"] for record in found["sessions"]] == found["timepoints"]
    images = [image["location"] for record in found["sessions"] for image in record["t1w"]]
    assert images == [f"file:///data/{path}" for path in PATHS[:3]]
    assert found["finished"] == []


def test_one_session_and_a_session_without_images_are_said(longitudinal: Template, place: Location) -> None:
    extra = ("sub-02/ses-2/func/sub-02_ses-2_task-x_bold.nii.gz",)
    made = planned(longitudinal, place, extra=extra)
    (unit,) = [u for u in made.units if u.unit.name == "sub-02"]
    assert unit.status == "ready"
    assert "ses-2 is left out" in unit.reason
    assert "one time point only: sub-02_ses-1" in unit.reason


def test_a_participant_without_sessions_is_incomplete(longitudinal: Template, place: Location) -> None:
    made = planned(longitudinal, place, extra=("sub-03/anat/sub-03_T1w.nii.gz",))
    (unit,) = [u for u in made.units if u.unit.name == "sub-03"]
    assert (unit.status, "sessions" in unit.reason) == ("incomplete", True)


def test_a_participant_whose_sessions_all_lack_images_is_incomplete(
    longitudinal: Template, place: Location
) -> None:
    extra = ("sub-03/anat/sub-03_T1w.nii.gz", "sub-03/ses-1/func/sub-03_ses-1_task-x_bold.nii.gz")
    made = planned(longitudinal, place, extra=extra)
    (unit,) = [u for u in made.units if u.unit.name == "sub-03"]
    assert (unit.status, "T1w image" in unit.reason) == ("incomplete", True)


def test_time_points_are_in_the_order_of_their_numbers(longitudinal: Template, place: Location) -> None:
    extra = tuple(f"sub-03/ses-{n}/anat/sub-03_ses-{n}_T1w.nii.gz" for n in (10, 9, 1))
    found = inputs(planned(longitudinal, place, extra=extra), "sub-03")
    assert found["timepoints"] == ["sub-03_ses-1", "sub-03_ses-9", "sub-03_ses-10"]


def test_a_session_that_failed_elsewhere_is_run_here_and_said(
    longitudinal: Template, place: Location
) -> None:
    commit(place, "sub-01_ses-1", ["sub-01_ses-1/mri/aseg.mgz"])
    commit(place, "sub-01_ses-2", ["sub-01_ses-2/x"], status="failed", reason="exit code 1")
    made = planned(longitudinal, place, earlier=read(place))
    (unit,) = [u for u in made.units if u.unit.name == "sub-01"]
    assert f"sub-01_ses-2 failed there: exit code 1 ({place.url}); it is run here" in unit.reason


def test_sessions_that_are_finished_elsewhere_are_reused(longitudinal: Template, place: Location) -> None:
    commit(place, "sub-01_ses-2", ["sub-01_ses-2/mri/aseg.mgz"])
    commit(place, "sub-01_ses-9", ["sub-01_ses-9/mri/aseg.mgz"])  # the dataset has no such session
    made = planned(longitudinal, place, earlier=read(place))
    found = inputs(made)
    assert [record["subject"] for record in found["sessions"]] == ["sub-01_ses-1", "sub-01_ses-3"]
    assert [folder["basename"] for folder in found["finished"]] == ["sub-01_ses-2"]
    assert found["timepoints"] == ["sub-01_ses-1", "sub-01_ses-2", "sub-01_ses-3"]
    (unit,) = [u for u in made.units if u.unit.name == "sub-02"]
    assert unit.status == "ready", "what is not finished elsewhere is run here"


def attempt(key: str, *paths: str) -> Receipt:
    base = ".neurocwl/units/sub-01/attempts/a/outputs"
    manifest = tuple(Written(f"{base}/{path}", 5, "0", "e") for path in paths)
    return receipt("sub-01", key, status="failed", pipeline="recon-all-longitudinal", manifest=manifest)


def test_what_a_failed_attempt_finished_is_not_run_again(longitudinal: Template, place: Location) -> None:
    first = next(u for u in planned(longitudinal, place).units if u.unit.name == "sub-01")
    done = ("sub-01_ses-1/scripts/recon-all.done", "sub-01_ses-1/mri/aseg.mgz")
    broken = (
        "sub-01_ses-2/scripts/recon-all.done",
        "sub-01_ses-2/mri/aseg.mgz",
        "sub-01_ses-2/scripts/recon-all.error",
    )
    state = {"sub-01": UnitState(attempt(first.order.task_key, *done, *broken))}
    made = planned(longitudinal, place, state)
    found = inputs(made)
    assert [folder["basename"] for folder in found["finished"]] == ["sub-01_ses-1"]
    assert [record["subject"] for record in found["sessions"]] == ["sub-01_ses-2", "sub-01_ses-3"]
    (unit,) = [u for u in made.units if u.unit.name == "sub-01"]
    assert unit.order.task_key == first.order.task_key, "the same work, with less of it left"
    assert "finished earlier: sub-01_ses-1" in unit.reason


def test_what_an_attempt_with_other_inputs_finished_is_run_again(
    longitudinal: Template, place: Location
) -> None:
    done = ("sub-01_ses-1/scripts/recon-all.done", "sub-01_ses-1/mri/aseg.mgz")
    state = {"sub-01": UnitState(attempt("another key", *done))}
    assert len(inputs(planned(longitudinal, place, state))["sessions"]) == 3


def test_the_key_of_a_unit_follows_what_it_builds_on(longitudinal: Template, place: Location) -> None:
    def key(earlier: Earlier | None) -> str:
        made = planned(longitudinal, place, earlier=earlier)
        return next(u.order.task_key for u in made.units if u.unit.name == "sub-01")

    entries = (Entry("sub-01_ses-2/mri/aseg.mgz", 5, "one"), Entry("dataset_description.json", 5, "x"))
    one = Earlier("earlier", place, entries, {})
    other = Earlier("earlier", place, (entries[0]._replace(etag="two"), entries[1]), {})
    described = Earlier("earlier", place, (entries[0], entries[1]._replace(etag="y")), {})
    assert len({key(None), key(one), key(other)}) == 3
    assert key(one) == key(described)


def test_the_files_of_a_unit_are_all_named_with_their_etags(longitudinal: Template, place: Location) -> None:
    earlier = Earlier("earlier", place, (Entry("sub-01_ses-2/mri/aseg.mgz", 5, "one"),), {})
    (unit,) = [u for u in planned(longitudinal, place, earlier=earlier).units if u.unit.name == "sub-01"]
    given_ = unit.order.given()
    assert (place.file_url("sub-01_ses-2/mri/aseg.mgz"), 5, "one") in given_
    assert len(given_) == unit.order.files == 3
    assert all(re.match(r"file:///", url) for url, _, _ in given_)


def test_a_step_that_stages_in_is_told_all_of_it(longitudinal: Template, place: Location) -> None:
    earlier = Earlier("earlier", place, (Entry("sub-01_ses-2/mri/aseg.mgz", 5, "one"),), {})
    (unit,) = [u for u in planned(longitudinal, place, earlier=earlier).units if u.unit.name == "sub-01"]
    record = unit.order.record_for_stage_in({"sign": False, "requester_pays": False})
    finished = json.loads(record["request"])["inputs"]["finished"]
    assert finished["files"] == [
        [place.file_url("sub-01_ses-2/mri/aseg.mgz"), "sub-01_ses-2/mri/aseg.mgz", 5]
    ]
    assert finished["access"]["sign"], "our own derivatives are not read as a public dataset is"
    assert joborder.part_directory(unit.order.parts["finished"][0])["basename"] == "sub-01_ses-2"
