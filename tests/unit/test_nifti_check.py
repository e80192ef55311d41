"""What nifti_check.py finds in an image, and that it finds nothing else."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.testing import data_path
from PIL import Image

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "toolwrappers" / "nifti_check.py"
nib: Any = nibabel


def load_script() -> Any:
    """The script as a module: toolwrappers is no package."""
    spec = importlib.util.spec_from_file_location("nifti_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


nifti_check = load_script()
LIMITS = nifti_check.Thresholds()
EXAMPLE = Path(str(data_path)) / "example4d.nii.gz"
AFFINE = np.array([[3.0, 0, 0, -30], [0, 3, 0, -33], [0, 0, 3, -20], [0, 0, 0, 1]])


def head(shape: tuple[int, int, int] = (20, 22, 14), seed: int = 0) -> Any:
    """An ellipsoid of 400 with noise in air of about 10, int16."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in shape), indexing="ij")
    inside = sum(a**2 for a in axes) < 1
    return (inside * 400 + rng.normal(10, 3, shape).clip(0)).astype(np.int16)


def run(volumes: int = 12, seed: int = 0) -> Any:
    """A 4D run of heads, each with its own noise."""
    return np.stack([head(seed=1000 * seed + i) for i in range(volumes)], axis=-1)


def image(data: Any, affine: Any = AFFINE, tr: float = 2.0) -> Any:
    """A NIfTI-1 image in mm and seconds with sform and qform set."""
    made = nib.Nifti1Image(data, affine)
    made.header.set_xyzt_units("mm", "sec")
    made.set_sform(affine, 1)
    made.set_qform(affine, 1)
    if data.ndim == 4:
        made.header["pixdim"][4] = tr
    return made


class Dataset:
    """A BIDS dataset with participant 01 in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.text("dataset_description.json", '{"Name": "test", "BIDSVersion": "1.8.0"}')

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name: str, content: str) -> Path:
        path = self.path(name)
        path.write_text(content, "utf-8")
        return path

    def json(self, name: str, **content: object) -> Path:
        return self.text(name, json.dumps(content))

    def t1w(self, made: Any | None = None, name: str = "sub-01/anat/sub-01_T1w.nii.gz") -> Path:
        path = self.path(name)
        nib.save(image(head()) if made is None else made, path)
        return path

    def bold(self, made: Any | None = None, name: str = "sub-01/func/sub-01_task-rest_bold.nii.gz") -> Path:
        path = self.path(name)
        nib.save(image(run()) if made is None else made, path)
        if not (self.root / "task-rest_bold.json").exists():
            self.json("task-rest_bold.json", RepetitionTime=2.0)
        return path

    def dwi(self, bval: str | None = None, bvec: str | None = None) -> Path:
        path = self.path("sub-01/dwi/sub-01_dwi.nii.gz")
        nib.save(image(run(4)), path)
        self.text("dwi.bval", bval or "0 1000 1000 1000\n")
        self.text("dwi.bvec", bvec or "0 1 0 0\n0 0 1 0\n0 0 0 1\n")
        return path

    def findings(self, path: Path) -> dict[str, str]:
        """Code and severity of the findings of one image."""
        check = nifti_check.check_image(self.root, path, LIMITS)
        return {f.code: f.severity for f in check.findings}

    def report(self, out: Path) -> tuple[int, dict[str, Any]]:
        """Exit status and report of the command line for participant 01."""
        nifti_check._files_in.cache_clear()
        arguments = ["--bids-dir", str(self.root), "--out-dir", str(out), "--participant-label", "01"]
        status = nifti_check.main(arguments)
        return status, json.loads((out / "sub-01/sub-01_desc-check_report.json").read_text("utf-8"))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    nifti_check._files_in.cache_clear()
    return Dataset(tmp_path / "ds with space")


# ---------------------------------------------------------------- images that pass


@pytest.mark.parametrize("name", ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii"])
def test_a_sound_t1w_has_no_findings(dataset: Dataset, name: str) -> None:
    assert dataset.findings(dataset.t1w(name=name)) == {}


def test_a_sound_run_has_no_findings(dataset: Dataset) -> None:
    assert dataset.findings(dataset.bold()) == {}


def test_a_sound_diffusion_image_has_no_findings(dataset: Dataset) -> None:
    assert dataset.findings(dataset.dwi()) == {}


def test_nifti_2_and_big_endian_are_read(dataset: Dataset) -> None:
    two = nib.Nifti2Image(head(), AFFINE)
    big = nib.Nifti1Image(head(), AFFINE, nib.Nifti1Header(endianness=">"))
    assert dataset.findings(dataset.t1w(two)) == {}
    assert dataset.findings(dataset.t1w(big)) == {}


def test_a_real_bold_image_passes_with_warnings(dataset: Dataset, tmp_path: Path) -> None:
    path = dataset.path("sub-01/func/sub-01_task-rest_bold.nii.gz")
    path.write_bytes(EXAMPLE.read_bytes())
    dataset.json("task-rest_bold.json", RepetitionTime=2.0)
    status, report = dataset.report(tmp_path / "out")
    assert (status, report["verdict"]) == (0, "pass")
    # Its header says 2000 seconds, and it has two volumes.
    assert {f["code"] for f in report["findings"]} == {"TR_UNITS", "FEW_VOLUMES"}
    assert report["images"][0]["dims"] == [128, 96, 24, 2]


def test_statistics_agree_with_nibabel(dataset: Dataset) -> None:
    path = dataset.path("sub-01/func/sub-01_task-rest_bold.nii.gz")
    path.write_bytes(EXAMPLE.read_bytes())
    stats = nifti_check.check_image(dataset.root, path, LIMITS).stats
    data = nib.load(path).get_fdata()
    assert (stats.minimum, stats.maximum) == (data.min(), data.max())
    assert stats.mean == pytest.approx(data.mean())
    assert np.allclose(stats.mean_volume(), data.mean(axis=-1), atol=1e-3)
    assert np.allclose(stats.deviation_volume(), data.std(axis=-1), atol=1e-2)


def test_slabs_of_planes_give_the_same_as_whole_volumes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dataset.bold()
    whole = nifti_check.check_image(dataset.root, path, LIMITS)
    monkeypatch.setattr(nifti_check, "SLAB_VOXELS", 1000)
    monkeypatch.setattr(nifti_check, "PREVIEW_VOXELS", 500)
    slabs = nifti_check.check_image(dataset.root, path, LIMITS)
    assert slabs.data_sha256 == whole.data_sha256
    assert slabs.stats.mean == pytest.approx(whole.stats.mean)
    assert np.array_equal(slabs.stats.time_series(), whole.stats.time_series())
    step = slabs.stats.stride
    assert step > 1
    assert np.allclose(
        slabs.stats.mean_volume(), whole.stats.mean_volume()[::step, ::step, ::step], atol=1e-3
    )


def test_the_phantoms_of_the_test_job_pass(tmp_path: Path) -> None:
    arguments = ["--bids-dir", str(ROOT / "tests/data/nifti-check"), "--out-dir", str(tmp_path)]
    assert nifti_check.main([*arguments, "--participant-label", "01"]) == 0


# ---------------------------------------------------------------- the file


def test_an_empty_file_is_an_error(dataset: Dataset) -> None:
    path = dataset.t1w()
    path.write_bytes(b"")
    assert dataset.findings(path) == {"FILE_EMPTY": "error"}


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_gzip_is_an_error(dataset: Dataset, part: float) -> None:
    path = dataset.t1w()
    content = path.read_bytes()
    path.write_bytes(content[: max(1, int(len(content) * part))])
    assert dataset.findings(path) == {"GZIP_TRUNCATED": "error"}


def test_a_wrong_gzip_checksum_is_an_error(dataset: Dataset) -> None:
    path = dataset.t1w()
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    assert dataset.findings(path) == {"GZIP_CORRUPT": "error"}


def test_bytes_after_the_gzip_stream_are_an_error(dataset: Dataset) -> None:
    path = dataset.t1w()
    path.write_bytes(path.read_bytes() + b"<html>")
    assert dataset.findings(path) == {"GZIP_CORRUPT": "error"}


def test_a_file_shorter_than_its_header_says_is_an_error(dataset: Dataset) -> None:
    path = dataset.t1w()
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))
    assert dataset.findings(path) == {"FILE_TOO_SHORT": "error"}


def test_a_file_longer_than_its_header_says_is_an_error(dataset: Dataset) -> None:
    path = dataset.t1w()
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\0"))
    assert dataset.findings(path) == {"FILE_TOO_LONG": "error"}


def test_a_header_that_promises_far_more_than_the_file_holds_is_an_error(dataset: Dataset) -> None:
    path = dataset.t1w(name="sub-01/anat/sub-01_T1w.nii")
    content = bytearray(path.read_bytes())
    content[42:48] = (32767).to_bytes(2, "little") * 3
    path.write_bytes(content)
    assert dataset.findings(path)["FILE_TOO_SHORT"] == "error"


@pytest.mark.parametrize(("extension", "packed"), [(".nii", True), (".nii.gz", False)])
def test_extension_and_compression_must_agree(dataset: Dataset, extension: str, packed: bool) -> None:
    content = image(head()).to_bytes()
    path = dataset.path(f"sub-01/anat/sub-01_T1w{extension}")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert dataset.findings(path) == {"COMPRESSION_MISMATCH": "error"}


def test_something_that_is_no_nifti_is_an_error(dataset: Dataset) -> None:
    path = dataset.path("sub-01/anat/sub-01_T1w.nii.gz")
    path.write_bytes(gzip.compress(b"<html>404</html>" * 100))
    assert dataset.findings(path) == {"HEADER_INVALID": "error"}


# ---------------------------------------------------------------- voxels


def changed(data: Any, where: Any, value: float, kind: Any = None) -> Any:
    """A copy with a value put somewhere."""
    data = data.astype(kind or data.dtype)
    data[where] = value
    return data


def test_nan_and_infinite_voxels_are_an_error(dataset: Dataset) -> None:
    for value in (np.nan, np.inf):
        data = changed(head(), (5, 5, 5), value, np.float32)
        assert dataset.findings(dataset.t1w(image(data))) == {"NON_FINITE": "error"}


def test_volumes_with_nan_are_named(dataset: Dataset) -> None:
    data = changed(run(), (5, 5, 5, 7), np.nan, np.float32)
    check = nifti_check.check_image(dataset.root, dataset.bold(image(data)), LIMITS)
    assert [f.message for f in check.findings] == [
        "1 NaN and 0 infinite voxels in volumes 7 (counted from 0), expected none"
    ]


@pytest.mark.parametrize(("value", "code"), [(0, "IMAGE_EMPTY"), (7, "IMAGE_CONSTANT")])
def test_an_image_of_one_value_is_an_error(dataset: Dataset, value: int, code: str) -> None:
    assert dataset.findings(dataset.t1w(image(np.full_like(head(), value)))) == {code: "error"}


@pytest.mark.parametrize(("value", "code"), [(0, "VOLUMES_EMPTY"), (40, "VOLUMES_CONSTANT")])
def test_volumes_of_one_value_are_named(dataset: Dataset, value: int, code: str) -> None:
    data = changed(changed(run(), (..., 3), value), (..., 5), value)
    check = nifti_check.check_image(dataset.root, dataset.bold(image(data)), LIMITS)
    assert [f.code for f in check.findings] == [code]
    assert "volumes 3, 5 (counted from 0) of 12" in check.findings[0].message


def test_complex_and_rgb_data_are_noted(dataset: Dataset) -> None:
    rgb = np.zeros(head().shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["R"] = head() // 2
    assert dataset.findings(dataset.t1w(image(head().astype(np.complex64)))) == {
        "DATATYPE_COMPLEX": "warning"
    }
    assert dataset.findings(dataset.t1w(image(rgb))) == {"DATATYPE_RGB": "warning"}


def test_64_bit_integers_are_noted(dataset: Dataset) -> None:
    made = nib.Nifti1Image(head().astype(np.int64), AFFINE, dtype=np.int64)
    assert dataset.findings(dataset.t1w(made)) == {"DATATYPE_WIDE": "warning"}


def test_grey_levels_that_are_no_image_are_noted(dataset: Dataset) -> None:
    mask = (head() > 100).astype(np.uint8)
    assert dataset.findings(dataset.t1w(image(mask))) == {"INTENSITY_NARROW": "warning"}
    assert dataset.findings(dataset.t1w(image(head().clip(0, 350)))) == {"INTENSITY_SATURATED": "warning"}
    assert dataset.findings(dataset.t1w(image(head() - 100))) == {"INTENSITY_NEGATIVE": "warning"}


def test_saturation_is_judged_at_the_largest_value_of_the_whole_run(dataset: Dataset) -> None:
    data = run()
    data[..., 0] = data[..., 0].clip(0, 200)
    assert "INTENSITY_SATURATED" not in dataset.findings(dataset.bold(image(data)))


def test_phase_images_may_be_negative(dataset: Dataset) -> None:
    name = "sub-01/func/sub-01_task-rest_part-phase_bold.nii.gz"
    assert dataset.findings(dataset.bold(image(run() - 200), name=name)) == {}


def test_an_outlying_volume_is_noted(dataset: Dataset) -> None:
    data = run(20)
    data[..., 9] //= 2
    check = nifti_check.check_image(dataset.root, dataset.bold(image(data)), LIMITS)
    assert [(f.code, f.severity) for f in check.findings] == [("OUTLIER_VOLUMES", "warning")]
    assert check.outliers == [9]


def test_bright_first_volumes_are_told_from_outliers(dataset: Dataset) -> None:
    data = run(20)
    data[..., :2] *= 2
    assert dataset.findings(dataset.bold(image(data))) == {"NON_STEADY_STATE": "warning"}


def test_a_jump_of_the_mean_is_noted(dataset: Dataset) -> None:
    data = run(20)
    data[..., 10:] += 60
    assert dataset.findings(dataset.bold(image(data))) == {"MEAN_JUMP": "warning"}


# ---------------------------------------------------------------- geometry and dimensions


def with_affine(**fields: Any) -> Any:
    """A head whose header fields are set after the affine."""
    made = image(head())
    for key, value in fields.items():
        made.header[key] = value
    return made


def header_bytes(made: Any) -> bytes:
    """The image as it is, without what nibabel repairs when it saves."""
    content: bytes = made.header.binaryblock + b"\0" * 4 + np.asarray(made.dataobj).tobytes(order="F")
    return content


def raw_t1w(dataset: Dataset, **fields: Any) -> Path:
    """A T1w written byte by byte with these header fields."""
    made = with_affine(**fields)
    made.header["vox_offset"] = 352
    made.header["magic"] = b"n+1"
    path = dataset.path("sub-01/anat/sub-01_T1w.nii")
    path.write_bytes(header_bytes(made))
    return path


GEOMETRY: list[tuple[dict[str, Any], str, str]] = [
    ({"srow_x": [0, 0, 0, 0], "srow_y": [0, 0, 0, 0], "srow_z": [0, 0, 0, 0]}, "AFFINE_SINGULAR", "error"),
    ({"srow_z": [3, 0, 0, 0]}, "AFFINE_SINGULAR", "error"),
    ({"srow_x": [np.nan, 0, 0, 0]}, "AFFINE_NON_FINITE", "error"),
    ({"sform_code": 0, "quatern_b": np.nan}, "AFFINE_NON_FINITE", "error"),
    ({"sform_code": 0, "quatern_b": 1.5}, "QFORM_INVALID", "error"),
    ({"quatern_b": 1.5}, "QFORM_INVALID", "warning"),
    ({"sform_code": 0, "qform_code": 0}, "ORIENTATION_MISSING", "error"),
    ({"srow_x": [-3, 0, 0, 30]}, "ORIENTATION_CONFLICT", "error"),
    ({"qoffset_x": -20}, "QFORM_SFORM_MISMATCH", "warning"),
    ({"qform_code": 0, "pixdim": [1, 2, 3, 3, 0, 0, 0, 0]}, "VOXEL_SIZE_MISMATCH", "warning"),
    ({"qform_code": 0, "srow_x": [3, 0.3, 0, -30]}, "AFFINE_SHEARED", "warning"),
    ({"sform_code": 77}, "HEADER_ODD", "warning"),
    ({"bitpix": 16, "datatype": 9999}, "HEADER_INVALID", "error"),
    ({"scl_slope": 2.0, "scl_inter": np.nan}, "SCALING_INVALID", "error"),
    ({"dim": [3, 20, -5, 14, 1, 1, 1, 1]}, "HEADER_INVALID", "error"),
    ({"magic": b"ni1"}, "HEADER_INVALID", "error"),
]


@pytest.mark.parametrize(("fields", "code", "severity"), GEOMETRY)
def test_a_bad_header_field_has_its_own_finding(
    dataset: Dataset, fields: dict[str, Any], code: str, severity: str
) -> None:
    magic = fields.pop("magic", None)
    path = raw_t1w(dataset, **fields)
    if magic:
        content = bytearray(path.read_bytes())
        content[344:347] = magic
        path.write_bytes(content)
    assert dataset.findings(path) == {code: severity}


@pytest.mark.parametrize("edge", [0.01, 25.0])
def test_an_implausible_voxel_size_is_an_error(dataset: Dataset, edge: float) -> None:
    assert dataset.findings(dataset.t1w(image(head(), np.diag([edge, edge, edge, 1])))) == {
        "VOXEL_SIZE_RANGE": "error"
    }


def test_voxel_sizes_in_micrometres_are_understood(dataset: Dataset) -> None:
    made = image(head(), np.diag([800.0, 800, 800, 1]))
    made.header.set_xyzt_units("micron", "sec")
    assert dataset.findings(dataset.t1w(made)) == {}


def test_a_t1w_must_be_3d(dataset: Dataset) -> None:
    assert dataset.findings(dataset.t1w(image(run()))) == {"DIMS_NOT_3D": "error"}
    assert dataset.findings(dataset.t1w(image(head()[:, :, 7:8]))) == {"DIMS_FLAT": "error"}


def test_a_bold_run_must_be_4d(dataset: Dataset) -> None:
    assert dataset.findings(dataset.bold(image(head()))) == {"DIMS_NOT_4D": "error"}
    assert dataset.findings(dataset.bold(image(run(1)))) == {"DIMS_NOT_4D": "error"}


def test_five_volumes_are_few_for_a_run(dataset: Dataset) -> None:
    assert dataset.findings(dataset.bold(image(run(5)))) == {"FEW_VOLUMES": "warning"}


# ---------------------------------------------------------------- sidecars


def test_a_tr_that_differs_from_the_sidecar_is_an_error(dataset: Dataset) -> None:
    dataset.json("task-rest_bold.json", RepetitionTime=2.5)
    path = dataset.bold()
    check = nifti_check.check_image(dataset.root, path, LIMITS)
    assert [(f.code, f.message) for f in check.findings] == [
        ("TR_MISMATCH", "header TR is 2 s, task-rest_bold.json says 2.5 s")
    ]


def test_the_tr_tolerance_is_kept(dataset: Dataset) -> None:
    dataset.json("task-rest_bold.json", RepetitionTime=2.004)
    path = dataset.bold()
    assert dataset.findings(path) == {"TR_MISMATCH": "error"}
    assert (
        nifti_check.check_image(dataset.root, path, nifti_check.Thresholds(tr_tolerance=0.01)).findings == []
    )


def test_a_tr_in_milliseconds_is_understood(dataset: Dataset) -> None:
    made = image(run(), tr=2000)
    made.header.set_xyzt_units("mm", "msec")
    assert dataset.findings(dataset.bold(made)) == {}


def test_a_tr_in_the_wrong_unit_is_noted(dataset: Dataset) -> None:
    assert dataset.findings(dataset.bold(image(run(), tr=2000))) == {"TR_UNITS": "warning"}


def test_a_header_without_tr_is_noted(dataset: Dataset) -> None:
    assert dataset.findings(dataset.bold(image(run(), tr=0))) == {"TR_HEADER_MISSING": "warning"}


def test_a_run_without_repetition_time_is_an_error(dataset: Dataset) -> None:
    dataset.json("task-rest_bold.json", TaskName="rest")
    assert dataset.findings(dataset.bold()) == {"SIDECAR_TR_MISSING": "error"}


def test_volume_timing_stands_in_for_repetition_time(dataset: Dataset) -> None:
    dataset.json("task-rest_bold.json", VolumeTiming=list(range(12)))
    assert dataset.findings(dataset.bold()) == {}


@pytest.mark.parametrize("value", [2000, 0, -1, "2", True, None, [2]])
def test_a_repetition_time_that_is_no_number_of_seconds_is_an_error(dataset: Dataset, value: object) -> None:
    dataset.json("task-rest_bold.json", RepetitionTime=value)
    assert dataset.findings(dataset.bold()) == {"SIDECAR_TR_INVALID": "error"}


@pytest.mark.parametrize("content", ["{", "[1, 2]", "\udcff"])
def test_a_sidecar_that_cannot_be_read_is_an_error(dataset: Dataset, content: str) -> None:
    dataset.path("task-rest_bold.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert dataset.findings(dataset.bold()) == {"SIDECAR_INVALID": "error"}


def test_the_deepest_sidecar_wins_and_others_do_not_apply(dataset: Dataset) -> None:
    dataset.json("bold.json", RepetitionTime=1.0, Manufacturer="x")
    dataset.json("task-rest_bold.json", RepetitionTime=1.5)
    dataset.json("task-nback_bold.json", RepetitionTime=9.0)
    dataset.json("sub-01/sub-01_task-rest_bold.json", RepetitionTime=2.0)
    dataset.json("sub-01/func/sub-01_task-rest_run-2_bold.json", RepetitionTime=9.0)
    check = nifti_check.check_image(dataset.root, dataset.bold(), LIMITS)
    merged = nifti_check.read_sidecar(check)
    assert check.findings == []
    assert merged["RepetitionTime"] == (2.0, "sub-01/sub-01_task-rest_bold.json")
    assert merged["Manufacturer"] == ("x", "bold.json")


SLICE_TIMES: list[tuple[Any, str]] = [
    ([0.1] * 13, "SLICE_TIMING_LENGTH"),
    ([0.1] * 13 + [2.1], "SLICE_TIMING_EXCEEDS_TR"),
    ([100.0 * i for i in range(14)], "SLICE_TIMING_EXCEEDS_TR"),
    ([-0.1] * 14, "SLICE_TIMING_INVALID"),
    ("ascending", "SLICE_TIMING_INVALID"),
    ([], "SLICE_TIMING_INVALID"),
]


@pytest.mark.parametrize(("timing", "code"), SLICE_TIMES)
def test_slice_timing_must_fit_the_image(dataset: Dataset, timing: object, code: str) -> None:
    dataset.json("task-rest_bold.json", RepetitionTime=2.0, SliceTiming=timing)
    assert dataset.findings(dataset.bold()) == {code: "error"}


def test_slices_are_counted_along_the_slice_encoding_direction(dataset: Dataset) -> None:
    dataset.json("bold.json", RepetitionTime=2.0, SliceTiming=[0.1] * 22, SliceEncodingDirection="j-")
    dataset.json("task-rest_bold.json")
    assert dataset.findings(dataset.bold()) == {}


GRADIENTS: list[tuple[str | None, str | None, str, str]] = [
    ("0 1000 1000\n", None, "BVAL_COUNT", "error"),
    ("0 1000 x 1000\n", None, "BVAL_INVALID", "error"),
    ("0 1000 nan 1000\n", None, "BVAL_INVALID", "error"),
    ("1000 1000 1000 1000\n", "1 1 0 0\n0 0 1 0\n0 0 0 1\n", "BVAL_NO_B0", "warning"),
    (None, "0 1 0\n0 0 1\n0 0 0\n", "BVEC_COUNT", "error"),
    (None, "0 0 0\n1 0 0\n0 1 0\n0 0 1\n", "BVEC_SHAPE", "error"),
    (None, "0 2 0 0\n0 0 1 0\n0 0 0 1\n", "BVEC_NORM", "error"),
    (None, "0 0 0 0\n0 0 1 0\n0 0 0 1\n", "BVEC_NORM", "error"),
    (None, "nan 1 0 0\n0 0 1 0\n0 0 0 1\n", "BVEC_B0_NAN", "warning"),
    (None, "0 nan 0 0\n0 0 1 0\n0 0 0 1\n", "BVEC_INVALID", "error"),
    (None, "0 1 0 0\n0 0 1\n0 0 0 1\n", "BVEC_INVALID", "error"),
]


@pytest.mark.parametrize(("bval", "bvec", "code", "severity"), GRADIENTS)
def test_gradients_must_fit_the_volumes(
    dataset: Dataset, bval: str | None, bvec: str | None, code: str, severity: str
) -> None:
    assert dataset.findings(dataset.dwi(bval, bvec)) == {code: severity}


def test_missing_gradients_are_errors(dataset: Dataset) -> None:
    path = dataset.dwi()
    for name in ("dwi.bval", "dwi.bvec"):
        (dataset.root / name).unlink()
    assert dataset.findings(path) == {"BVAL_MISSING": "error", "BVEC_MISSING": "error"}


# ---------------------------------------------------------------- the participant


def test_copies_of_an_image_are_errors_in_both(dataset: Dataset, tmp_path: Path) -> None:
    dataset.t1w(name="sub-01/anat/sub-01_run-1_T1w.nii.gz")
    dataset.t1w(name="sub-01/anat/sub-01_run-2_T1w.nii")
    status, report = dataset.report(tmp_path / "out")
    assert status == 1
    assert [(f["code"], f["severity"]) for f in report["findings"]] == [("DUPLICATE_IMAGE", "error")] * 2
    assert report["findings"][0]["message"].startswith("same voxel data as sub-01/anat/sub-01_run-2_T1w.nii")


def test_copied_field_maps_are_only_noted(dataset: Dataset, tmp_path: Path) -> None:
    for session in ("1", "2"):
        dataset.t1w(name=f"sub-01/ses-{session}/fmap/sub-01_ses-{session}_epi.nii.gz")
    status, report = dataset.report(tmp_path / "out")
    assert status == 0
    assert {(f["code"], f["severity"]) for f in report["findings"]} == {("DUPLICATE_IMAGE", "warning")}


def test_a_participant_without_images_fails(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = dataset.report(tmp_path / "out")
    assert (status, report["verdict"], report["images"]) == (1, "fail", [])
    assert capsys.readouterr().err.splitlines()[-1] == "sub-01: no images for this participant"


def test_a_failure_ends_with_its_reason_and_leaves_all_outputs(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = dataset.t1w()
    path.write_bytes(path.read_bytes()[:-100])
    dataset.t1w(image(np.zeros_like(head())), "sub-01/anat/sub-01_T2w.nii.gz")
    dataset.bold(image(run(), tr=1.0))
    out = tmp_path / "out"
    status, report = dataset.report(out)
    assert (status, report["verdict"]) == (1, "fail")
    assert capsys.readouterr().err.splitlines()[-1] == "sub-01_T1w.nii.gz: truncated gzip (and 2 more)"
    figures = sorted(p.name for p in (out / "sub-01/figures").iterdir())
    assert figures == [
        "sub-01_T1w_mosaic.png",
        "sub-01_T2w_mosaic.png",
        "sub-01_task-rest_bold_mosaic.png",
    ]
    lines = (out / "sub-01/sub-01_desc-check_images.tsv").read_text("utf-8").splitlines()
    columns = lines[0].split("\t")
    assert [len(line.split("\t")) for line in lines] == [len(columns)] * 4
    dictionary = json.loads((out / "sub-01/sub-01_desc-check_images.json").read_text("utf-8"))
    assert list(dictionary) == columns
    description = json.loads((out / "dataset_description.json").read_text("utf-8"))
    assert description["GeneratedBy"][0]["Name"] == "nifti-check"


def test_an_image_that_breaks_the_check_does_not_hide_the_others(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.t1w()
    dataset.bold()
    real: Callable[..., None] = nifti_check.check_dims

    def fails_for_t1w(check: Any) -> None:
        if check.name.suffix == "T1w":
            raise MemoryError("no memory")
        real(check)

    monkeypatch.setattr(nifti_check, "check_dims", fails_for_t1w)
    status, report = dataset.report(tmp_path / "out")
    assert status == 1
    assert {i["path"]: i["errors"] for i in report["images"]} == {
        "sub-01/anat/sub-01_T1w.nii.gz": "CHECK_CRASHED",
        "sub-01/func/sub-01_task-rest_bold.nii.gz": None,
    }


def test_names_of_any_bytes_are_checked_and_reported(dataset: Dataset, tmp_path: Path) -> None:
    odd = os.fsdecode(b"sub-01_acq-\xff\t\r\n_T1w.nii.gz")
    dataset.t1w(name="sub-01/anat/sub-01_T1w.nii.gz").rename(dataset.path(f"sub-01/anat/{odd}"))
    dataset.t1w(image(head(seed=2)), "sub-01/anat/sub-01_acq-grün 脳_T1w.nii.gz")
    status, report = dataset.report(tmp_path / "out")
    assert (status, report["images_checked"]) == (0, 2)
    assert len(list((tmp_path / "out/sub-01/figures").iterdir())) == 2
    table = (tmp_path / "out/sub-01/sub-01_desc-check_images.tsv").read_text("utf-8")
    assert len(table.splitlines()) == 3


def test_two_runs_write_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    dataset.t1w()
    dataset.bold()
    outputs = []
    for name in ("one", "two"):
        dataset.report(tmp_path / name)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        outputs.append([(p.relative_to(tmp_path / name), p.read_bytes()) for p in files])
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--participant-label", "01"],
        ["--bids-dir", "nowhere", "--out-dir", "o", "--participant-label", "01"],
        ["--bids-dir", ".", "--out-dir", "o", "--participant-label", "../x"],
        ["--bids-dir", ".", "--out-dir", "o", "--participant-label", "01", "--tr-tolerance", "nan"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        nifti_check.main(arguments)
    assert stop.value.code == 2


def test_every_code_has_a_title_and_every_title_is_used() -> None:
    source = SCRIPT.read_text("utf-8")
    built = {f"{kind}_{what}" for kind in ("BVAL", "BVEC") for what in ("MISSING", "INVALID")}
    unused = {c for c in nifti_check.CODES if source.count(f'"{c}"') < 2} - built
    assert unused == set()


# ---------------------------------------------------------------- mosaics


def mosaic(dataset: Dataset, path: Path) -> Any:
    """The mosaic of an image as grey numbers."""
    check = nifti_check.check_image(dataset.root, path, LIMITS)
    return np.asarray(nifti_check.draw_body(check, check.stats).convert("L"))


def test_a_mosaic_shows_the_patients_right_on_the_right_however_it_is_stored(dataset: Dataset) -> None:
    data = head()
    data[14:, :, :] *= 3
    flipped = AFFINE @ np.diag([-1, 1, 1, 1])
    flipped[0, 3] = AFFINE[0, 3] + 3 * (data.shape[0] - 1)
    stored = dataset.t1w(image(data))
    turned = dataset.t1w(image(data[::-1], flipped), "sub-01/anat/sub-01_run-2_T1w.nii.gz")
    # Above the positions, in the middle of the axial row.
    one, two = mosaic(dataset, stored)[16:126], mosaic(dataset, turned)[16:126]
    assert np.abs(one.astype(int) - two).max() <= 1
    column = one[:, 92 + 3 * 162 : 92 + 4 * 162].mean(axis=0)
    assert column[100:140].mean() > 1.5 * column[30:70].mean()


def test_superior_and_anterior_are_up_in_a_mosaic(dataset: Dataset) -> None:
    top, front = head(), head()
    top[:, :, 9:] *= 3
    front[:, 14:, :] *= 3
    # The fourth slice of the coronal and of the axial row.
    coronal = mosaic(dataset, dataset.t1w(image(top)))[184:284, 585:735].astype(float)
    axial = mosaic(dataset, dataset.t1w(image(front)))[4:160, 585:735].astype(float)
    for picture in (coronal, axial):
        upper, lower = np.array_split(picture, 2)
        assert upper.mean() > 1.5 * lower.mean()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 2), (5, 1, 40), (2, 2, 2)])
def test_odd_shapes_have_a_mosaic_as_well(dataset: Dataset, shape: tuple[int, int, int]) -> None:
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    assert mosaic(dataset, dataset.t1w(image(data))).shape[1] == nifti_check.WIDTH


def test_an_image_without_usable_affine_has_a_mosaic_as_well(dataset: Dataset, tmp_path: Path) -> None:
    raw_t1w(dataset, srow_x=[0, 0, 0, 0])
    _, report = dataset.report(tmp_path / "out")
    with Image.open(tmp_path / "out" / report["images"][0]["mosaic"]) as picture:
        assert picture.width == nifti_check.WIDTH


# ---------------------------------------------------------------- whatever the bytes are

SMALL = image(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)).to_bytes()
PACKED = gzip.compress(SMALL, mtime=0)
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def codes_of(folder: Path, name: str, content: bytes) -> set[str]:
    """Error codes of these bytes as a T1w; drawing must not fail either."""
    path = folder / "sub-01" / "anat" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    check = nifti_check.check_image(folder, path, LIMITS)
    drawn = check.stats is not None and check.stats.seen.any()
    nifti_check.draw(check)
    nifti_check.write_mosaics([check], folder / "out", "01")
    assert (check.mosaic is not None) == drawn
    return {f.code for f in check.findings if f.severity == "error"}


@FUZZ
@given(length=st.integers(0, len(PACKED) - 1))
def test_no_truncated_gzip_passes(tmp_path: Path, length: int) -> None:
    codes = codes_of(tmp_path, "sub-01_T1w.nii.gz", PACKED[:length])
    assert codes == ({"GZIP_TRUNCATED"} if length else {"FILE_EMPTY"})


@FUZZ
@given(st.data())
def test_flipped_bytes_of_a_gzip_never_break_the_check_nor_pass_with_other_voxels(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(PACKED)
    places = st.integers(0, len(PACKED) - 1)
    for where in data.draw(st.lists(places, min_size=1, max_size=3, unique=True)):
        content[where] ^= data.draw(st.integers(1, 255))
    codes = codes_of(tmp_path, "sub-01_T1w.nii.gz", bytes(content))
    assert "CHECK_CRASHED" not in codes
    if not codes:
        # Only fields of the gzip header that do not touch the content may change unnoticed.
        assert gzip.decompress(bytes(content)) == SMALL


@FUZZ
@given(st.data())
def test_flipped_bytes_of_a_header_never_break_the_check(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(SMALL)
    for where in data.draw(st.lists(st.integers(0, 351), min_size=1, max_size=6, unique=True)):
        content[where] = data.draw(st.integers(0, 255))
    assert "CHECK_CRASHED" not in codes_of(tmp_path, "sub-01_T1w.nii", bytes(content))


@FUZZ
@given(content=st.binary(max_size=800))
def test_arbitrary_bytes_never_pass(tmp_path: Path, content: bytes) -> None:
    codes = codes_of(tmp_path, "sub-01_T1w.nii.gz", gzip.compress(content))
    assert codes
    assert "CHECK_CRASHED" not in codes
