"""A small real BIDS dataset, made from images that Python packages carry: for the demo and the tests.

T1w: the MNI152 template of nilearn; BOLD: example4d of nibabel; DWI: small_64D of dipy. No participant is a
person: each is the same images, altered in a way that a picture shows and a checksum notices.
"""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocwl.errors import InfrastructureError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Voxels = npt.NDArray[np.float32]
    Alter = Callable[[Voxels, int], Voxels]  # the axis is the one from left to right

T1W = ("nilearn", "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
BOLD = ("nibabel", "tests/data/example4d.nii.gz")
DWI = ("dipy", "data/files/small_64D.nii")

REPETITION_TIME = 2.0
"""Seconds. The header of example4d holds 2000 and calls it seconds; it was milliseconds."""

DESCRIPTION = {
    "Name": "Three altered copies of images that Python packages carry",
    "BIDSVersion": "1.10.0",
    "DatasetType": "raw",
    "License": "The images keep the licences of their packages: see README",
    "Authors": ["The authors of nilearn, nibabel, dipy and MNI152"],
}

README = """\
# Three altered copies of images that Python packages carry

For trying software: no participant is a person.

- T1w: MNI152 2009a template from nilearn (Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033)
- BOLD: example4d.nii.gz from nibabel; two volumes
- DWI: small_64D from dipy; a block of 10 x 10 x 10 voxels

sub-01 has the images as they are, sub-02 smoothed and brighter, sub-03 mirrored from left to right and darker.
BOLD headers had milliseconds as seconds; that is corrected. DWI directions are in three rows, and zero, not NaN,
where b is 0.
"""

PARTICIPANTS = """\
participant_id\tage\tsex\talteration
sub-01\tn/a\tn/a\tnone
sub-02\tn/a\tn/a\tsmoothed
sub-03\tn/a\tn/a\tmirrored
"""

PARTICIPANTS_COLUMNS = {
    "age": {"Description": "Age: no participant is a person", "Units": "year"},
    "sex": {"Description": "Sex: no participant is a person", "Levels": {"F": "female", "M": "male"}},
    "alteration": {
        "Description": "What was done to the images",
        "Levels": {
            "none": "nothing",
            "smoothed": "mean of three neighbours along each axis, a tenth brighter",
            "mirrored": "left and right exchanged, a tenth darker",
        },
    },
}


def make(folder: Path) -> Path:
    """Build the dataset: three participants with T1w, BOLD and DWI, 8 MB; returns the folder.

    Same packages, same bytes. Raises InfrastructureError when a package of the extra `demo` is missing.
    """
    sources = {name: _source(*place) for name, place in (("T1w", T1W), ("bold", BOLD), ("dwi", DWI))}
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "dataset_description.json", DESCRIPTION)
    (folder / "README").write_text(README)
    (folder / "participants.tsv").write_text(PARTICIPANTS)
    _write_json(folder / "participants.json", PARTICIPANTS_COLUMNS)
    # At the root: by inheritance it belongs to every run.
    _write_json(folder / "task-rest_bold.json", {"TaskName": "rest", "RepetitionTime": REPETITION_TIME})
    for participant, alter in (("sub-01", _kept), ("sub-02", _smoothed), ("sub-03", _mirrored)):
        home = folder / participant
        for kind in ("anat", "func", "dwi"):
            (home / kind).mkdir(parents=True, exist_ok=True)
        _write_image(sources["T1w"], alter, home / "anat" / f"{participant}_T1w.nii.gz")
        _write_image(sources["bold"], alter, home / "func" / f"{participant}_task-rest_bold.nii.gz")
        _write_image(sources["dwi"], alter, home / "dwi" / f"{participant}_dwi.nii.gz")
        _write_gradients(sources["dwi"], home / "dwi" / f"{participant}_dwi", mirrored=alter is _mirrored)
    return folder


def _source(package: str, inside: str) -> Path:
    """A file of an installed package, found without importing the package."""
    found = importlib.util.find_spec(package)
    for place in (found.submodule_search_locations if found else None) or ():
        if (file := Path(place) / inside).is_file():
            return file
    raise InfrastructureError(
        f"the package {package} with {inside} is not installed: pip install 'neurocwl[demo]'"
    )


def _kept(voxels: "Voxels", axis: int) -> "Voxels":
    return voxels


def _smoothed(voxels: "Voxels", axis: int) -> "Voxels":
    """The mean of three neighbours along each axis of space, a tenth brighter."""
    import numpy as np

    for along in range(3):
        voxels = (np.roll(voxels, 1, along) + voxels + np.roll(voxels, -1, along)) / np.float32(3)
    return voxels * np.float32(1.1)


def _mirrored(voxels: "Voxels", axis: int) -> "Voxels":
    """Left and right exchanged, a tenth darker; the affine stays."""
    import numpy as np

    return np.flip(voxels, axis) * np.float32(0.9)


def _left_right(affine: "npt.NDArray[np.float64]") -> int:
    """The axis of the voxels that runs most nearly from left to right."""
    return int(abs(affine[0, :3]).argmax())


def _write_image(source: Path, alter: "Alter", file: Path) -> None:
    """An altered copy, in the source's data type and with a header that says its units."""
    import nibabel
    import numpy as np

    nib: Any = nibabel  # it annotates only part of what is used here
    image = nib.load(source)
    kind = image.get_data_dtype()
    limits = np.iinfo(kind)
    voxels = alter(np.asarray(image.dataobj, np.float32), _left_right(image.affine))
    stored = voxels.round().clip(limits.min, limits.max).astype(kind)
    copy = nib.Nifti1Image(stored, image.affine, image.header)
    copy.header.set_xyzt_units("mm", "sec")
    # One orientation, not two that may differ: the form that the source filled in.
    code = int(image.header["sform_code"]) or int(image.header["qform_code"])
    copy.set_sform(image.affine, code)
    copy.set_qform(image.affine, code)
    if file.name.endswith("_bold.nii.gz"):
        copy.header.set_zooms((*copy.header.get_zooms()[:3], REPETITION_TIME))
    nib.save(copy, file)


def _write_gradients(source: Path, stem: Path, *, mirrored: bool) -> None:
    """The bval and bvec files beside a DWI: one row of b values (s/mm2), three rows of unit vectors."""
    import nibabel
    import numpy as np

    nib: Any = nibabel
    values = np.atleast_1d(np.loadtxt(source.with_suffix(".bval")))
    vectors = np.nan_to_num(np.loadtxt(source.with_suffix(".bvec"))).reshape(len(values), 3).T
    if mirrored:
        vectors[_left_right(nib.load(source).affine)] *= -1
    np.savetxt(stem.with_name(f"{stem.name}.bval"), values[np.newaxis], fmt="%.2f")
    np.savetxt(stem.with_name(f"{stem.name}.bvec"), vectors + 0.0, fmt="%.8f")


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")
