"""The rehearsal of fMRIPrep writes the paths that upstream lists, and content derived from the inputs."""

import gzip
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from neurocwl import assets

IMAGES = assets.path("provisioning") / "images"
sys.path[:0] = [str(IMAGES / "shared"), str(IMAGES / "rehearsal-fmriprep")]

from rehearsal_common import faults, nifti  # noqa: E402
from rehearsal_fmriprep import content, dataset, tree  # noqa: E402
from rehearsal_fmriprep.cli import gather  # noqa: E402
from rehearsal_fmriprep.parser import Options, Space  # noqa: E402

LISTS = Path(__file__).parents[1] / "data" / "fmriprep_outputs"
SURFACES = (
    Space("fsnative", standard=False, dimensions=2),
    Space("fsaverage5", density="10k", dimensions=2),
)
PHASEDIFF = ["phasediff.nii.gz", "magnitude1.nii.gz", "magnitude2.nii.gz"]


def upstream(name: str) -> set[str]:
    return set((LISTS / f"{name}.txt").read_text().split())


def make(folder: Path, files: list[str], sidecars: dict[str, Any] | None = None) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    for file, metadata in (sidecars or {}).items():
        (folder / file).write_text(json.dumps(metadata))
    return folder


def written(bids: Path, **given: Any) -> set[str]:
    """Paths that a run writes, as far as upstream's lists go."""
    options = Options(bids, bids / "out", **given)
    (label,) = dataset.participants(bids, [])
    found = dataset.images(bids, label)
    sessions = tuple(sorted({ses for image in found if (ses := image.get("ses"))}))
    inputs = gather(label, sessions, found, options)
    outputs = {output.path for output in tree.derivatives(inputs, options)}
    return outputs | set(tree.shared(options)) | set(tree.reports(inputs, options))


def test_ds005_with_freesurfer_gives_upstreams_files(tmp_path: Path) -> None:
    runs = [f"sub-01/func/sub-01_task-mixedgamblestask_run-0{run}_bold.nii.gz" for run in (1, 2)]
    bids = make(tmp_path, ["sub-01/anat/sub-01_T1w.nii.gz", *runs])

    assert written(bids, spaces=SURFACES) == upstream("ds005")


def test_ds005_with_cifti_and_fieldmapless_correction_gives_upstreams_files(tmp_path: Path) -> None:
    bids = make(
        tmp_path,
        ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/func/sub-01_task-mixedgamblestask_run-02_bold.nii.gz"],
        {"task-mixedgamblestask_bold.json": {"PhaseEncodingDirection": "j"}},
    )
    templates = (Space("MNI152NLin2009cAsym"), Space("MNI152NLin6Asym"), Space("T1w", standard=False))

    found = written(bids, spaces=SURFACES + templates, cifti="91k", goodvoxels=True, syn="error")

    assert found == upstream("ds005_partial")


def test_ds054_without_freesurfer_gives_upstreams_files(tmp_path: Path) -> None:
    subject = "sub-100185"
    runs = [f"func/{subject}_task-machinegame_run-0{run}_bold.nii.gz" for run in (1, 2)]
    maps = [f"fmap/{subject}_{kind}" for kind in PHASEDIFF]
    bids = make(
        tmp_path,
        [f"{subject}/{file}" for file in [f"anat/{subject}_T1w.nii.gz", *runs, *maps]],
        {f"{subject}/fmap/{subject}_phasediff.json": {"IntendedFor": runs}},
    )
    spaces = (
        Space("MNI152NLin2009cAsym", resolution="2"),
        Space("anat", standard=False),
        Space("func", standard=False),
    )

    assert written(bids, reconall=False, spaces=spaces) == upstream("ds054")


def test_ds210_with_several_echoes_gives_upstreams_files(tmp_path: Path) -> None:
    echoes = [f"func/sub-02_task-cuedSGT_run-01_echo-{echo}_bold.nii.gz" for echo in (1, 2, 3)]
    maps = [f"fmap/sub-02_run-01_{kind}" for kind in PHASEDIFF]
    bids = make(
        tmp_path,
        [f"sub-02/{file}" for file in ["anat/sub-02_T1w.nii.gz", *echoes, *maps]],
        {"sub-02/fmap/sub-02_run-01_phasediff.json": {"IntendedFor": [f"bids::sub-02/{e}" for e in echoes]}},
    )

    assert written(bids, reconall=False, echo_outputs=True) == upstream("ds210")


@pytest.fixture
def two_sessions(tmp_path: Path) -> Path:
    return make(
        tmp_path,
        [
            f"sub-01/ses-{ses}/{file}"
            for ses in ("a", "b")
            for file in (f"anat/sub-01_ses-{ses}_T1w.nii.gz", f"func/sub-01_ses-{ses}_task-rest_bold.nii.gz")
        ],
    )


def test_t1w_of_two_sessions_make_one_anatomy_without_a_session(two_sessions: Path) -> None:
    found = written(two_sessions, reconall=False)

    assert "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz" in found
    assert "sub-01/ses-a/anat/sub-01_ses-a_from-orig_to-T1w_mode-image_xfm.txt" in found
    assert "sub-01/ses-b/func/sub-01_ses-b_task-rest_desc-confounds_timeseries.tsv" in found


def test_one_session_alone_keeps_its_label_everywhere(two_sessions: Path) -> None:
    found = written(two_sessions, reconall=False, sessions=("b",))

    assert "sub-01/ses-b/anat/sub-01_ses-b_desc-preproc_T1w.nii.gz" in found
    assert not [path for path in found if "ses-a" in path]


def test_more_sessions_than_a_report_holds_divide_it(two_sessions: Path) -> None:
    found = written(two_sessions, sessions_per_report=1)

    reports = {path for path in found if path.endswith(".html") and path.startswith("sub-")}
    assert reports == {"sub-01_anat.html", "sub-01_ses-a_func.html", "sub-01_ses-b_func.html"}


def test_crash_files_of_a_participant_with_sessions_lie_below_the_session() -> None:
    options = Options(Path("/bids"), Path("/out"))

    assert tree.log_folder("01", (), options, "RUN") == "sub-01/log/RUN"
    assert tree.log_folder("01", ("a", "b"), options, "RUN") == "sub-01/ses-a-b/log/RUN"
    # As sMRIPrep's own example has it.
    long = tree.log_folder("01", ("a", "b", "toolong"), options, "RUN")
    assert long == "sub-01/ses-multi-32b3/log/RUN"


def test_anat_only_writes_nothing_functional(two_sessions: Path) -> None:
    assert not [path for path in written(two_sessions, anat_only=True) if "/func/" in path]


def test_the_minimal_level_leaves_out_what_can_be_computed_from_the_rest(two_sessions: Path) -> None:
    found = written(two_sessions, level="minimal", cifti="91k")

    assert not [path for path in found if "confounds" in path or "space-MNI" in path or "dtseries" in path]
    assert "sub-01/ses-a/func/sub-01_ses-a_task-rest_desc-hmc_boldref.nii.gz" in found
    assert "sub-01/anat/sub-01_hemi-L_space-fsLR_desc-msmsulc_sphere.surf.gii" in found


def test_a_filter_file_narrows_what_is_read(two_sessions: Path) -> None:
    found = written(
        two_sessions, reconall=False, filters={"t1w": {"session": "a"}, "bold": {"session": ["b"]}}
    )

    assert "sub-01/ses-a/anat/sub-01_ses-a_desc-preproc_T1w.nii.gz" in found
    assert not [path for path in found if "ses-a_task" in path]


def test_a_participant_without_t1w_is_an_error_that_says_so(tmp_path: Path) -> None:
    bids = make(tmp_path, ["sub-01/func/sub-01_task-rest_bold.nii.gz"])

    with pytest.raises(dataset.NoSuchDataError, match="No T1w images found for participant 01"):
        written(bids)


def test_a_participant_without_bold_is_an_error_unless_anat_only(tmp_path: Path) -> None:
    bids = make(tmp_path, ["sub-01/anat/sub-01_T1w.nii.gz"])

    assert written(bids, anat_only=True)
    with pytest.raises(dataset.NoSuchDataError, match="No BOLD images found for participant 01"):
        written(bids)


def test_fieldmapless_correction_without_phase_encoding_is_an_error(two_sessions: Path) -> None:
    assert written(two_sessions, syn="warn")
    with pytest.raises(dataset.NoSuchDataError, match="PhaseEncodingDirection"):
        written(two_sessions, syn="error")


def test_a_pair_of_epi_fieldmaps_is_one_estimate_named_by_its_identifier(tmp_path: Path) -> None:
    bids = make(
        tmp_path,
        [
            "sub-01/anat/sub-01_T1w.nii.gz",
            "sub-01/func/sub-01_task-rest_bold.nii.gz",
            *(f"sub-01/fmap/sub-01_dir-{d}_epi.nii.gz" for d in ("AP", "PA")),
        ],
        {"epi.json": {"B0FieldIdentifier": "pepolar_1"}, "bold.json": {"B0FieldSource": "pepolar_1"}},
    )

    found = written(bids, reconall=False)

    assert "sub-01/fmap/sub-01_fmapid-pepolar1_desc-epi_fieldmap.nii.gz" in found
    assert "sub-01/func/sub-01_task-rest_from-boldref_to-pepolar1_mode-image_desc-fmap_xfm.txt" in found


def image(shape: tuple[int, ...], order: str = "<") -> bytes:
    """A NIfTI-1 image of 16-bit numbers that count up."""
    header = bytearray(352)
    struct.pack_into(order + "i", header, 0, 348)
    struct.pack_into(order + "8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into(order + "hh", header, 70, 4, 16)
    struct.pack_into(order + "4f", header, 76, 1, 2, 2, 2)
    struct.pack_into(order + "f", header, 108, 352.0)
    count = 1
    for extent in shape:
        count *= extent
    return bytes(header) + struct.pack(f"{order}{count}h", *(n % 30_000 for n in range(count)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_thinned_image_keeps_every_nth_voxel_and_scales_the_affine(order: str) -> None:
    whole = image((50, 40, 30, 6), order)
    small = nifti.thin(whole, nifti.Header.read(whole, Path("x")))

    header = nifti.Header.read(small, Path("x"))
    assert header.shape == (17, 14, 10, 4)
    assert header.total == len(small)
    assert struct.unpack_from(order + "4f", small, 76)[1:] == (6.0, 6.0, 6.0)
    assert struct.unpack_from(order + "2h", small, 352) == (0, 3)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("truncated.nii.gz", gzip.compress(image((8, 8, 8)))[:-20]),
        ("flipped.nii.gz", gzip.compress(image((8, 8, 8)))[:-6] + b"\0\1\2\3\4\5"),
        ("short.nii", image((8, 8, 8))[:-2]),
        ("empty.nii.gz", b""),
        ("text.nii", b"not an image" * 100),
    ],
)
def test_an_image_that_cannot_be_read_to_its_end_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(nifti.UnreadableImageError, match=name):
        nifti.read_whole(tmp_path / name)


def test_the_same_inputs_give_the_same_bytes_and_others_give_others(tmp_path: Path) -> None:
    one, other = tmp_path / "one.nii.gz", tmp_path / "other.nii.gz"
    one.write_bytes(gzip.compress(image((8, 8, 8, 3))))
    other.write_bytes(gzip.compress(image((8, 8, 9, 3))))
    output = tree.Output("sub-01/func/sub-01_task-rest_desc-preproc_bold.nii.gz", (one,))

    first, again, different = (content.make(output, {one: content.read(p)}) for p in (one, one, other))

    assert first == again
    assert first != different


def test_confounds_have_a_row_for_each_volume(tmp_path: Path) -> None:
    source = tmp_path / "bold.nii"
    source.write_bytes(image((4, 4, 4, 7)))
    output = tree.Output("sub-01/func/sub-01_task-rest_desc-confounds_timeseries.tsv", (source,))

    assert content.make(output, {source: content.read(source)}).decode().count("\n") == 1 + 7


@pytest.mark.parametrize(
    ("told", "labels", "fault"),
    [
        ("", ("01",), ""),
        ("fail", ("01",), "fail"),
        ("fail@02,oom@01", ("01",), "oom"),
        ("hang@sub-03", ("01",), ""),
        ("hang@sub-03", ("03",), "hang"),
        ("crash-late@03", ("sub-03_ses-1", "sub-03"), "crash-late"),
    ],
)
def test_a_fault_can_be_told_for_all_or_for_one(told: str, labels: tuple[str, ...], fault: str) -> None:
    assert faults.mode(told, *labels) == fault


def test_a_misspelt_fault_is_an_error() -> None:
    with pytest.raises(ValueError, match="crash-early"):
        faults.mode("crash-early", "01")
