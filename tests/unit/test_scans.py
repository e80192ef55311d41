"""What a scan is to m2g and ndmg: which files, from where, and what is said of a session that has too few or too many."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from neurocwl import template
from neurocwl.bids import Dataset
from neurocwl.errors import BadInput
from neurocwl.filters import Value
from neurocwl.joborder import Order, order
from neurocwl.units import Selection, Unit, select
from tests.unit.datasets import dataset, pipeline

T1W = "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"
DWI = "sub-01/ses-1/dwi/sub-01_ses-1_dwi.nii.gz"
WHOLE = (T1W, DWI, "sub-01/ses-1/dwi/sub-01_ses-1_dwi.bval", "sub-01/ses-1/dwi/sub-01_ses-1_dwi.bvec")
Queries = dict[str, dict[str, Value | list[Value]]]


@pytest.fixture(params=["m2g", "ndmg"])
def scans(request: pytest.FixtureRequest) -> template.Template:
    return template.load(request.param)


def units(scans: template.Template, paths: Sequence[str], queries: Queries | None = None) -> tuple[Unit, ...]:
    return select(dataset(paths), scans, Selection(queries=queries), {})


def ordered(
    scans: template.Template, paths: Sequence[str], queries: Queries | None = None
) -> dict[str, list[str]]:
    """CWL input -> paths, of the only unit."""
    (unit,) = units(scans, paths, queries)
    made: Order = order(unit, scans, dataset(paths).root_files, str, {}, queries, "")
    return {name: [file.path for file in files] for name, files in made.files_of.items()}


@pytest.mark.parametrize(
    "place",
    [
        "dwi",
        "sub-01/sub-01_dwi",
        "sub-01/ses-1/sub-01_ses-1_dwi",
        "sub-01/ses-1/dwi/sub-01_ses-1_dwi",
    ],
)
def test_b_values_may_lie_anywhere_above_the_image(scans: template.Template, place: str) -> None:
    paths = [T1W, DWI, f"{place}.bval", f"{place}.bvec"]

    assert units(scans, paths)[0].missing == ()
    assert ordered(scans, paths) == {
        "t1w": [T1W],
        "dwi": [DWI],
        "bval": [f"{place}.bval"],
        "bvec": [f"{place}.bvec"],
    }


def test_the_nearest_b_values_are_taken(scans: template.Template) -> None:
    paths = [*WHOLE, "dwi.bval", "dwi.bvec", "sub-01/sub-01_dwi.bval"]

    assert ordered(scans, paths)["bval"] == ["sub-01/ses-1/dwi/sub-01_ses-1_dwi.bval"]


@pytest.mark.parametrize("entity", ["acq-b1000", "run-2"])
def test_of_two_beside_the_image_the_one_that_shares_more_of_its_name_is_taken(
    scans: template.Template, entity: str
) -> None:
    own = f"sub-01/ses-1/dwi/sub-01_ses-1_{entity}_dwi"
    paths = [T1W, *WHOLE[2:], *(f"{own}.{ending}" for ending in ("nii.gz", "bval", "bvec"))]

    assert ordered(scans, paths)["bval"] == [f"{own}.bval"]


@pytest.mark.parametrize("other", ["acq-b3000_dwi", "sub-01/sub-01_acq-b3000_dwi", "sub-02/sub-02_dwi"])
def test_b_values_of_another_image_are_not(scans: template.Template, other: str) -> None:
    (unit, *_) = units(scans, [T1W, DWI, WHOLE[3], f"{other}.bval"])

    assert unit.missing == ("b-values (sub-01/ses-1/*/*_dwi.bval, or above it)",)


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        (T1W, "T1w image (sub-01/ses-1/anat/*_T1w.nii.gz)"),
        (DWI, "diffusion image (sub-01/ses-1/dwi/*_dwi.nii.gz)"),
        (WHOLE[2], "b-values (sub-01/ses-1/*/*_dwi.bval, or above it)"),
        (WHOLE[3], "b-vectors (sub-01/ses-1/*/*_dwi.bvec, or above it)"),
    ],
)
def test_what_a_scan_lacks_is_said_once(scans: template.Template, absent: str, said: str) -> None:
    (unit,) = units(scans, [path for path in WHOLE if path != absent])

    assert unit.missing == (said,)


def test_of_several_diffusion_images_the_user_chooses_one(scans: template.Template) -> None:
    run = "sub-01/ses-1/dwi/sub-01_ses-1_run-2_dwi"
    paths = [*WHOLE, *(f"{run}.{ending}" for ending in ("nii.gz", "bval", "bvec"))]
    (unit,) = units(scans, paths)
    assert unit.missing == (
        "a choice of one diffusion image: 2 match sub-01/ses-1/dwi/*_dwi.nii.gz; "
        "--bids-filter-file (query dwi) can tell",
    )

    chosen: Queries = {"dwi": {"run": 2}}

    assert units(scans, paths, chosen)[0].missing == ()
    assert ordered(scans, paths, chosen)["dwi"] == [f"{run}.nii.gz"]
    assert ordered(scans, paths, chosen)["bvec"] == [f"{run}.bvec"]


def test_a_participant_without_sessions_is_a_scan_too(scans: template.Template) -> None:
    paths = [path.replace("ses-1/", "").replace("_ses-1", "") for path in WHOLE]

    (unit,) = units(scans, paths)

    assert (unit.name, unit.session, unit.missing) == ("sub-01", None, ())


def test_other_b_values_are_another_task_and_another_participant_is_not(scans: template.Template) -> None:
    def key(index: Dataset) -> str:
        unit = select(index, scans, Selection(participants=("01",)), {})[0]
        return order(unit, scans, index.root_files, str, {}, None, "").task_key

    paths = [T1W, DWI, "dwi.bval", "dwi.bvec"]

    assert key(dataset(paths)) != key(dataset(paths, changed=["dwi.bval"]))
    assert key(dataset(paths)) == key(dataset([*paths, T1W.replace("01", "02"), "T1w.json"]))


@pytest.mark.parametrize("beside", ["bvals", "label", "t1w"])
def test_beside_must_name_a_binding_of_one_file(tmp_path: Path, beside: str) -> None:
    binding = "when: use_t2w}"
    with pytest.raises(BadInput, match=f"beside is {beside!r}"):
        pipeline(tmp_path, {f"query: t2w, {binding}\nlicence": f"beside: {beside}, {binding}\nlicence"})
