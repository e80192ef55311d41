"""What nifti-check finds in an image, and that it finds nothing else."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.testing import data_path

from toolwrappers.nifti_check import __main__ as command
from toolwrappers.nifti_check import checks, images, mosaic, sidecars, voxels
from toolwrappers.nifti_check.findings import ERRORS, WARNINGS

EXAMPLE = (Path(str(data_path)) / "example4d.nii.gz").read_bytes()
AFFINE = np.array([[3.0, 0, 0, -30], [0, 3, 0, -33], [0, 0, 3, -20], [0, 0, 0, 1]])
T1W, BOLD = "sub-01/anat/sub-01_T1w.nii", "sub-01/func/sub-01_task-rest_bold.nii"
BVAL, BVEC = "0 1000 1000 1000\n", "0 1 0 0\n0 0 1 0\n0 0 0 1\n"
Array = Any
nib: Any = nibabel


def head(shape: tuple[int, int, int] = (20, 22, 14), seed: int = 0) -> Array:
    """An ellipsoid of 400 with noise in air of about 10, int16."""
    axes = np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in shape), indexing="ij")
    noise = np.random.default_rng(seed).normal(10, 3, shape).clip(0)
    return ((sum(a**2 for a in axes) < 1) * 400 + noise).astype(np.int16)


def run(volumes: int = 12) -> Array:
    """A 4D run of heads, each with its own noise."""
    return np.stack([head(seed=i) for i in range(volumes)], axis=-1)


def changed(data: Array, where: Any, value: float, kind: Any = None) -> Array:
    """A copy with a value put somewhere."""
    data = data.astype(kind or data.dtype)
    data[where] = value
    return data


def packed(data: Array, affine: Array = AFFINE, tr: float = 2.0, unit: str = "sec", **fields: Any) -> bytes:
    """A NIfTI-1 file in mm and seconds with sform and qform, and header fields that nibabel would repair."""
    made = nib.Nifti1Image(data, affine, dtype=data.dtype)
    made.header.set_xyzt_units("mm", unit)
    made.set_sform(affine, 1)
    made.set_qform(affine, 1)
    if data.ndim == 4:
        made.header["pixdim"][4] = tr
    made.header["vox_offset"], made.header["magic"] = 352, b"n+1"
    for name, value in fields.items():
        made.header[name] = value
    return bytes(made.header.binaryblock + bytes(4) + data.tobytes(order="F"))


SOUND, SERIES = packed(head()), packed(run())
ZIPPED = gzip.compress(SOUND, mtime=0)


@dataclass(frozen=True)
class Dataset:
    """A BIDS dataset with participant 01."""

    root: Path

    def write(self, name: str, content: str | bytes | dict[str, Any] | None) -> Path:
        """Write a file; None removes it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = json.dumps(content) if isinstance(content, dict) else content
            path.write_text(text, "utf-8", "surrogateescape")
        return path

    def codes(self, path: Path, tr_tolerance: float = 0.001) -> list[str]:
        """Codes of the findings of an image."""
        return [finding.code for finding in checks.check_image(self.root, path, tr_tolerance).findings]

    def report(self, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
        """Exit status and report of the command line."""
        line = ["--bids-dir", str(self.root), "--out-dir", str(out), "--participant-label", "01", *options]
        return command.main(line), json.loads(
            (out / "sub-01/sub-01_desc-check_report.json").read_text("utf-8")
        )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "ds with space")


Make = Callable[[Dataset], Path]


def t1w(content: bytes, extension: str = ".nii") -> Make:
    return lambda dataset: dataset.write(f"sub-01/anat/sub-01_T1w{extension}", content)


def bold(content: bytes = SERIES, sidecar: str | dict[str, Any] | None = None, name: str = BOLD) -> Make:
    def make(dataset: Dataset) -> Path:
        dataset.write("bold.json", sidecar or {"RepetitionTime": 2.0})
        return dataset.write(name, content)

    return make


def dwi(bval: str | None = BVAL, bvec: str | None = BVEC) -> Make:
    def make(dataset: Dataset) -> Path:
        for name, content in (("dwi.bval", bval), ("dwi.bvec", bvec)):
            if content is not None:
                dataset.write(name, content)
        return dataset.write("sub-01/dwi/sub-01_dwi.nii", packed(run(4)))

    return make


def dangling(dataset: Dataset) -> Path:
    """What a DataLad dataset holds for a file that was not fetched."""
    path = dataset.write(T1W, b"")
    path.unlink()
    path.symlink_to("../../.git/annex/objects/x")
    return path


def header_with(**fields: Any) -> Make:
    return t1w(packed(head(), **fields))


# ---------------------------------------------------------------- one image

RGB = np.zeros((5, 5, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
RGB["R"][2, 2, 2] = 9

DEFECTS: list[tuple[str, Make]] = [
    ("FILE_UNREADABLE", dangling),
    ("FILE_EMPTY", t1w(b"")),
    ("FILE_TOO_SHORT", t1w(SOUND[:-1])),
    ("FILE_TOO_SHORT", t1w(SOUND[:100])),
    ("FILE_TOO_SHORT", t1w(gzip.compress(SOUND[:-1]), ".nii.gz")),
    ("FILE_TOO_SHORT", header_with(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])),
    ("FILE_TOO_LONG", t1w(SOUND + b"\0")),
    ("GZIP_TRUNCATED", t1w(ZIPPED[:2], ".nii.gz")),
    ("GZIP_TRUNCATED", t1w(ZIPPED[: len(ZIPPED) // 2], ".nii.gz")),
    ("GZIP_TRUNCATED", t1w(ZIPPED[:-1], ".nii.gz")),
    ("GZIP_CORRUPT", t1w(ZIPPED[:-8] + bytes(4) + ZIPPED[-4:], ".nii.gz")),
    ("GZIP_CORRUPT", t1w(ZIPPED + b"<html>", ".nii.gz")),
    ("COMPRESSION_MISMATCH", t1w(ZIPPED, ".nii")),
    ("COMPRESSION_MISMATCH", t1w(SOUND, ".nii.gz")),
    ("HEADER_INVALID", t1w(b"<html>404</html>" * 100)),
    ("HEADER_INVALID", header_with(datatype=9999)),
    ("HEADER_INVALID", header_with(dim=[3, 20, -5, 14, 1, 1, 1, 1])),
    ("HEADER_INVALID", header_with(scl_slope=2.0, scl_inter=np.nan)),
    ("HEADER_INVALID", header_with(sform_code=0, quatern_b=1.5)),
    ("AFFINE_INVALID", header_with(srow_z=[3, 0, 0, 0])),
    ("AFFINE_INVALID", header_with(srow_x=[np.nan, 0, 0, 0])),
    ("AFFINE_INVALID", header_with(sform_code=0, quatern_b=np.nan)),
    ("AFFINE_SHEARED", header_with(qform_code=0, srow_x=[3, 0.3, 0, -30])),
    ("ORIENTATION_MISSING", header_with(sform_code=0, qform_code=0)),
    ("ORIENTATION_CONFLICT", header_with(srow_x=[-3, 0, 0, 30])),
    ("QFORM_SFORM_MISMATCH", header_with(qoffset_x=-20)),
    ("VOXEL_SIZE_MISMATCH", header_with(qform_code=0, pixdim=[1, 2, 3, 3, 0, 0, 0, 0])),
    ("VOXEL_SIZE_RANGE", header_with(affine=np.diag([0.01, 0.01, 0.01, 1]))),
    ("VOXEL_SIZE_RANGE", header_with(affine=np.diag([25.0, 25, 25, 1]))),
    ("DIMS_NOT_3D", t1w(SERIES)),
    ("DIMS_NOT_3D", t1w(packed(head()[:, :, 7:8]))),
    ("DIMS_NOT_4D", bold(SOUND)),
    ("DIMS_NOT_4D", bold(packed(run(1)))),
    ("FEW_VOLUMES", bold(packed(run(5)))),
    ("DATATYPE_UNUSUAL", t1w(packed(head().astype(np.int64)))),
    ("DATATYPE_UNUSUAL", t1w(packed(head().astype(np.complex64)))),
    ("DATATYPE_UNUSUAL", t1w(packed(RGB))),
    ("NON_FINITE", t1w(packed(changed(head(), (5, 5, 5), np.nan, np.float32)))),
    ("NON_FINITE", bold(packed(changed(run(), (5, 5, 5, 7), np.inf, np.float64)))),
    ("IMAGE_EMPTY", t1w(packed(head() * 0))),
    ("IMAGE_CONSTANT", t1w(packed(head() * 0 + 7))),
    ("VOLUMES_EMPTY", bold(packed(changed(run(), (..., 3), 0)))),
    ("VOLUMES_CONSTANT", bold(packed(changed(run(), (..., 3), 40)))),
    *[("SIDECAR_INVALID", bold(sidecar=text)) for text in ("{", "[1]", "\udcff")],
    ("TR_MISSING", bold(sidecar={"TaskName": "rest"})),
    *[("TR_INVALID", bold(sidecar={"RepetitionTime": tr})) for tr in (2000, 0, -1, "2", True, None, [2])],
    ("TR_MISMATCH", bold(sidecar={"RepetitionTime": 2.5})),
    ("TR_UNIT", bold(packed(run(), tr=2000))),
    ("TR_HEADER_MISSING", bold(packed(run(), tr=0))),
    *[
        ("SLICE_TIMING_INVALID", bold(sidecar={"RepetitionTime": 2.0, "SliceTiming": timing}))
        for timing in ([0.1] * 13, [0.1] * 13 + [2.1], [-0.1] * 14, "ascending", [])
    ],
    ("BVAL_MISSING", dwi(bval=None)),
    ("BVAL_COUNT", dwi(bval="0 1000 1000\n")),
    ("BVAL_INVALID", dwi(bval="0 1000 x 1000\n")),
    ("BVAL_INVALID", dwi(bval="0 1000 nan 1000\n")),
    ("BVEC_MISSING", dwi(bvec=None)),
    ("BVEC_COUNT", dwi(bvec="0 1 0\n0 0 1\n0 0 0\n")),
    ("BVEC_COUNT", dwi(bvec="0 0 0\n1 0 0\n0 1 0\n0 0 1\n")),
    ("BVEC_COUNT", dwi(bvec="")),
    ("BVEC_INVALID", dwi(bvec="0 1 0 0\n0 0 1\n0 0 0 1\n")),
    ("BVEC_INVALID", dwi(bvec="0 2 0 0\n0 0 1 0\n0 0 0 1\n")),
    ("BVEC_INVALID", dwi(bvec="0 0 0 0\n0 0 1 0\n0 0 0 1\n")),
    ("BVEC_INVALID", dwi(bvec="0 nan 0 0\n0 0 1 0\n0 0 0 1\n")),
]


@pytest.mark.parametrize(
    ("code", "make"), DEFECTS, ids=[f"{code}-{n}" for n, (code, _) in enumerate(DEFECTS)]
)
def test_every_defect_on_its_own_makes_its_finding_and_no_other(
    dataset: Dataset, code: str, make: Make
) -> None:
    assert dataset.codes(make(dataset)) == [code]


def test_every_code_has_a_defect_here() -> None:
    of_participants = {"NO_IMAGES", "CHECK_CRASHED", "DUPLICATE_IMAGE", "DUPLICATE_REUSED"}
    assert {code for code, _ in DEFECTS} | of_participants == {*ERRORS, *WARNINGS}


SOUND_IMAGES: dict[str, Make] = {
    "nifti-1": t1w(SOUND),
    "compressed": t1w(ZIPPED, ".nii.gz"),
    "nifti-2": t1w(nib.Nifti2Image(head(), AFFINE).to_bytes()),
    "big-endian": t1w(nib.Nifti1Image(head(), AFFINE, nib.Nifti1Header(endianness=">")).to_bytes()),
    "impossible qform beside a sform": header_with(quatern_b=1.5),
    "run": bold(),
    "TR in milliseconds": bold(packed(run(), tr=2000, unit="msec")),
    "volume timing": bold(sidecar={"VolumeTiming": list(range(12))}),
    "slices along j": bold(
        sidecar={"RepetitionTime": 2.0, "SliceTiming": [1] * 22, "SliceEncodingDirection": "j-"}
    ),
    "negative phase": bold(packed(run() - 200), name="sub-01/func/sub-01_task-rest_part-phase_bold.nii"),
    "diffusion": dwi(),
    "NaN as direction of b=0": dwi(bvec=BVEC.replace("0 1 0 0", "nan 1 0 0")),
}


@pytest.mark.parametrize("make", SOUND_IMAGES.values(), ids=SOUND_IMAGES)
def test_a_sound_image_has_no_findings(dataset: Dataset, make: Make) -> None:
    assert dataset.codes(make(dataset)) == []


def test_the_deepest_sidecar_wins_and_others_do_not_apply(dataset: Dataset) -> None:
    path = bold(sidecar={"RepetitionTime": 1.0, "Manufacturer": "x"})(dataset)
    dataset.write("task-rest_bold.json", {"RepetitionTime": 1.5})
    dataset.write("task-nback_bold.json", {"RepetitionTime": 9.0})
    dataset.write("sub-01/sub-01_task-rest_bold.json", {"RepetitionTime": 2.0})
    dataset.write("sub-01/func/sub-01_task-rest_run-2_bold.json", {"RepetitionTime": 9.0})
    merged, _ = sidecars.read_sidecar(dataset.root, path)
    assert merged == {
        "RepetitionTime": (2.0, "sub-01/sub-01_task-rest_bold.json"),
        "Manufacturer": ("x", "bold.json"),
    }


def test_the_tr_tolerance_is_kept(dataset: Dataset) -> None:
    path = bold(sidecar={"RepetitionTime": 2.004})(dataset)
    assert dataset.codes(path) == ["TR_MISMATCH"]
    assert dataset.codes(path, tr_tolerance=0.01) == []


def test_volumes_with_nan_are_named(dataset: Dataset) -> None:
    path = bold(packed(changed(run(), (5, 5, 5, 7), np.nan, np.float32)))(dataset)
    (finding,) = checks.check_image(dataset.root, path, 0).findings
    assert finding.message == "1 NaN or infinite voxels in volumes 7 (counted from 0), expected none"


def test_statistics_agree_with_nibabel(dataset: Dataset) -> None:
    path = dataset.write(f"{BOLD}.gz", EXAMPLE)
    seen, data = read(dataset, path), nib.load(path).get_fdata()
    assert seen.summary() == {"min": data.min(), "max": data.max(), "mean": pytest.approx(data.mean())}
    assert np.allclose(seen.mean_volume(), data.mean(axis=-1))
    assert np.allclose(seen.deviation_volume(), data.std(axis=-1))


def test_slabs_of_planes_give_the_same_as_whole_volumes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bold(gzip.compress(SERIES), name=f"{BOLD}.gz")(dataset)
    whole = read(dataset, path)
    monkeypatch.setattr(images, "SLAB_VOXELS", 1000)
    monkeypatch.setattr(voxels, "PREVIEW_VOXELS", 500)
    slabs = read(dataset, path)
    assert slabs.content_sha256 == whole.content_sha256
    assert slabs.summary()["mean"] == pytest.approx(whole.summary()["mean"])
    assert np.array_equal(slabs.time_series(), whole.time_series())
    assert (step := slabs.step) > 1
    assert np.allclose(slabs.mean_volume(), whole.mean_volume()[::step, ::step, ::step])


def read(dataset: Dataset, path: Path) -> voxels.Voxels:
    """What is known of the voxels of an image."""
    seen = checks.check_image(dataset.root, path, 0).voxels
    assert seen is not None
    return seen


# ---------------------------------------------------------------- a participant


@pytest.mark.parametrize(
    ("names", "status", "code"),
    [
        (("anat/sub-01_run-1_T1w", "anat/sub-01_run-2_T1w"), 1, "DUPLICATE_IMAGE"),
        (("ses-1/fmap/sub-01_ses-1_epi", "ses-2/fmap/sub-01_ses-2_epi"), 0, "DUPLICATE_REUSED"),
    ],
)
def test_a_copy_names_the_first_image_whatever_type_it_is_stored_as(
    dataset: Dataset, tmp_path: Path, names: tuple[str, str], status: int, code: str
) -> None:
    dataset.write(f"sub-01/{names[0]}.nii", SOUND)
    dataset.write(f"sub-01/{names[1]}.nii.gz", gzip.compress(packed(head().astype(np.float32))))
    seen, report = dataset.report(tmp_path / "out")
    assert seen == status
    (finding,) = report["findings"]
    assert (finding["code"], finding["message"]) == (code, f"same voxels as sub-01/{names[0]}.nii")


def test_a_participant_without_images_fails(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset.write("participants.tsv", "participant_id\nsub-01\n")
    status, report = dataset.report(tmp_path / "out")
    assert (status, report["verdict"], report["images"]) == (1, "fail", [])
    assert capsys.readouterr().err.splitlines()[-1] == "sub-01: no images for this participant"


def test_a_failure_ends_with_its_reason_and_leaves_all_outputs(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t1w(ZIPPED[:-100], ".nii.gz")(dataset)
    dataset.write("sub-01/anat/sub-01_T2w.nii", packed(head() * 0))
    bold(packed(run(), tr=1))(dataset)
    out = tmp_path / "out"
    status, report = dataset.report(out)
    assert (status, report["verdict"], report["errors"], report["warnings"]) == (1, "fail", 3, 0)
    assert capsys.readouterr().err.splitlines()[-1] == "sub-01_T1w.nii.gz: truncated gzip (and 2 more)"
    # Of the first there was nothing to draw.
    assert [image["mosaic"] and Path(image["mosaic"]).name for image in report["images"]] == [
        None,
        "sub-01_T2w_mosaic.png",
        "sub-01_task-rest_bold_mosaic.png",
    ]
    lines = (out / "sub-01/sub-01_desc-check_images.tsv").read_text("utf-8").splitlines()
    dictionary = json.loads((out / "sub-01/sub-01_desc-check_images.json").read_text("utf-8"))
    assert lines[0].split("\t") == list(dictionary)
    assert [len(line.split("\t")) for line in lines] == [len(dictionary)] * 4
    description = json.loads((out / "dataset_description.json").read_text("utf-8"))
    assert description["GeneratedBy"][0]["Name"] == "nifti-check"


def test_ignored_findings_fail_nothing(dataset: Dataset, tmp_path: Path) -> None:
    header_with(sform_code=0, qform_code=0)(dataset)
    assert dataset.report(tmp_path / "one")[0] == 1
    status, report = dataset.report(tmp_path / "two", "--ignore", "ORIENTATION_MISSING", "FILE_EMPTY")
    assert (status, report["findings"]) == (0, [])


def test_a_real_bold_image_passes_with_warnings(dataset: Dataset, tmp_path: Path) -> None:
    bold(EXAMPLE, name=f"{BOLD}.gz")(dataset)
    status, report = dataset.report(tmp_path / "out")
    # Its header says 2000 seconds, and it has two volumes.
    assert (status, [finding["code"] for finding in report["findings"]]) == (0, ["FEW_VOLUMES", "TR_UNIT"])
    assert report["images"][0]["dims"] == "128x96x24x2"


def test_an_image_that_breaks_the_check_does_not_hide_the_others(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_in_3d(header: images.Header, suffix: str) -> list[Any]:
        if header.volumes == 1:
            raise MemoryError("no memory")
        return []

    t1w(SOUND)(dataset)
    bold()(dataset)
    monkeypatch.setattr(checks, "check_dims", fails_in_3d)
    status, report = dataset.report(tmp_path / "out")
    assert (status, [image["errors"] for image in report["images"]]) == (1, ["CHECK_CRASHED", None])


def test_names_of_any_bytes_are_checked_and_reported(dataset: Dataset, tmp_path: Path) -> None:
    dataset.write(f"sub-01/anat/{os.fsdecode(b'sub-01_acq-%c%c_T1w.nii' % (255, 10))}", SOUND)
    dataset.write("sub-01/anat/sub-01_acq-grün 脳_T1w.nii", packed(head(seed=2)))
    status, report = dataset.report(tmp_path / "out")
    assert (status, len(report["images"])) == (0, 2)
    assert len(list((tmp_path / "out/sub-01/figures").iterdir())) == 2
    table = (tmp_path / "out/sub-01/sub-01_desc-check_images.tsv").read_text("utf-8")
    assert len(table.splitlines()) == 3


def test_two_runs_write_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    t1w(SOUND)(dataset)
    bold()(dataset)
    outputs = []
    for out in (tmp_path / "one", tmp_path / "two"):
        dataset.report(out)
        outputs.append({p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--bids-dir", "nowhere"],
        ["--bids-dir", ".", "--participant-label", "../x"],
        ["--bids-dir", ".", "--ignore", "EVERYTHING"],
    ],
)
def test_wrong_usage_exits_with_2(options: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["--out-dir", "o", "--participant-label", "01", *options])
    assert stop.value.code == 2


# ---------------------------------------------------------------- mosaics


def rows(data: Array, affine: Array = AFFINE) -> list[Any]:
    """The rows of slices of a 3D image as grey numbers: axial, coronal, sagittal."""
    header = images.Header(data.shape, data.dtype, (3.0, 3.0, 3.0), None, affine, None)
    seen = voxels.Voxels(header)
    seen.add(0, 0, data.astype(float))
    return [np.asarray(strip.convert("L"), float) for strip in mosaic.slice_strips(header, seen)]


def fourth_slice(row: Any) -> Any:
    """The picture in the middle of a row."""
    left = mosaic.MARGIN + 3 * mosaic.CELL
    return row[4:-24, round(left) : round(left + mosaic.CELL)]


def test_a_mosaic_shows_the_patients_right_on_the_right_however_it_is_stored() -> None:
    data = head()
    data[14:] *= 3
    flipped = AFFINE @ np.diag([-1, 1, 1, 1])
    flipped[0, 3] = AFFINE[0, 3] + 3 * (len(data) - 1)
    stored, turned = rows(data), rows(data[::-1], flipped)
    assert all(np.array_equal(one, two) for one, two in zip(stored, turned, strict=True))
    left, right = np.array_split(fourth_slice(stored[0]), 2, axis=1)
    assert right.mean() > 1.5 * left.mean()


def test_superior_and_anterior_are_up_in_a_mosaic() -> None:
    top, front = head(), head()
    top[:, :, 9:] *= 3
    front[:, 14:, :] *= 3
    for picture in (fourth_slice(rows(top)[1]), fourth_slice(rows(front)[0])):
        upper, lower = np.array_split(picture, 2)
        assert upper.mean() > 1.5 * lower.mean()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 2), (5, 1, 40), (2, 2, 2), (400, 3, 3)])
def test_odd_shapes_have_a_mosaic_as_well(shape: tuple[int, int, int]) -> None:
    assert len(rows(np.arange(np.prod(shape)).reshape(shape))) == 3


# ---------------------------------------------------------------- whatever the bytes are

SMALL = packed(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6))
SMALL_ZIPPED = gzip.compress(SMALL, mtime=0)
FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def flipped(content: bytes, data: st.DataObject, end: int) -> bytes:
    """The content with one to four other bytes before `end`."""
    changed = bytearray(content)
    for where in data.draw(st.lists(st.integers(0, end - 1), min_size=1, max_size=4, unique=True)):
        changed[where] ^= data.draw(st.integers(1, 255))
    return bytes(changed)


@FUZZ
@given(length=st.integers(2, len(SMALL_ZIPPED) - 1))
def test_no_truncated_gzip_passes(dataset: Dataset, length: int) -> None:
    assert dataset.codes(t1w(SMALL_ZIPPED[:length], ".nii.gz")(dataset)) == ["GZIP_TRUNCATED"]


@FUZZ
@given(st.data())
def test_flipped_bytes_of_a_gzip_never_break_the_check_nor_pass_with_other_voxels(
    dataset: Dataset, data: st.DataObject
) -> None:
    content = flipped(SMALL_ZIPPED, data, len(SMALL_ZIPPED))
    codes = dataset.codes(t1w(content, ".nii.gz")(dataset))
    assert "CHECK_CRASHED" not in codes
    # Only fields of the gzip header that do not touch the content may change unnoticed.
    assert codes or gzip.decompress(content) == SMALL


@FUZZ
@given(st.data())
def test_flipped_bytes_of_a_header_never_break_the_check_nor_the_mosaic(
    dataset: Dataset, tmp_path: Path, data: st.DataObject
) -> None:
    t1w(flipped(SMALL, data, 352))(dataset)
    _, report = dataset.report(tmp_path / "out")
    assert "CHECK_CRASHED" not in (report["images"][0]["errors"] or "")


@FUZZ
@given(content=st.binary(max_size=800))
def test_arbitrary_bytes_never_pass(dataset: Dataset, content: bytes) -> None:
    codes = dataset.codes(t1w(gzip.compress(content), ".nii.gz")(dataset))
    assert codes
    assert "CHECK_CRASHED" not in codes
