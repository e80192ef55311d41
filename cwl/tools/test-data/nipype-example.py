"""Smooth the BOLD runs of a participant with two kernels, and average each over time. All of it runs in Nipype."""

import json
import os

from nipype import Function, Node, Workflow
from nipype_s3 import S3Grabber, S3Sink


def smooth(bold, fwhm):
    """Gaussian smoothing, fwhm in mm."""
    import os

    import nibabel
    from scipy.ndimage import gaussian_filter

    image = nibabel.load(bold)
    sigma = [fwhm / 2.355 / size for size in image.header.get_zooms()[:3]]
    smoothed = gaussian_filter(image.get_fdata(), [*sigma, 0])
    out = os.path.abspath("smoothed.nii.gz")
    nibabel.save(nibabel.Nifti1Image(smoothed.astype("float32"), image.affine), out)
    return out


def average(smoothed):
    """The mean over time."""
    import os

    import nibabel

    image = nibabel.load(smoothed)
    out = os.path.abspath("mean.nii.gz")
    nibabel.save(nibabel.Nifti1Image(image.get_fdata().mean(axis=3).astype("float32"), image.affine), out)
    return out


label = os.environ["PARTICIPANT_LABEL"]

# BIDS_DIR is a folder here; elsewhere it may be an s3:// URL, whose files come to local_directory.
grab = Node(S3Grabber(infields=["label"], outfields=["bold"]), name="grab")
grab.inputs.base_directory = os.environ["BIDS_DIR"]
grab.inputs.local_directory = os.environ["WORK_DIR"]
grab.inputs.template = r"sub-%s/func/.*_bold\.nii\.gz$"
grab.inputs.label = label
grab.inputs.sort_filelist = True

smoothing = Node(Function(["bold", "fwhm"], ["smoothed"], smooth), name="smoothing")
smoothing.iterables = ("fwhm", [4, 8])
averaging = Node(Function(["smoothed"], ["mean"], average), name="averaging")

# What is in this folder goes to the output; elsewhere it may be an s3:// URL. The layout is the same.
sink = Node(S3Sink(), name="sink")
sink.inputs.base_directory = os.environ["OUTPUT_DIR"]
sink.inputs.container = f"sub-{label}"
sink.inputs.substitutions = [("_fwhm_", "fwhm-")]

workflow = Workflow("example", base_dir=os.environ["WORK_DIR"])
workflow.connect(grab, "bold", smoothing, "bold")
workflow.connect(smoothing, "smoothed", averaging, "smoothed")
workflow.connect(smoothing, "smoothed", sink, "func.@smoothed")
workflow.connect(averaging, "mean", sink, "func.mean")
workflow.run("MultiProc", plugin_args=json.loads(os.environ["PLUGIN_ARGS"]))
