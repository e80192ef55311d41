#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: "nifti-check: open every NIfTI image of a participant whole"
doc: |
  Checks every .nii and .nii.gz file of one participant of a BIDS dataset before time is spent on it: truncated or
  corrupt gzip, size against header, NaN, empty and constant volumes, dimensions, affines, voxel sizes, data types,
  outlying volumes, TR and slice timing against the sidecars (BIDS inheritance), bval and bvec against volumes, and
  duplicate images. Writes BIDS derivatives: a table with its data dictionary, a JSON report with a verdict, and a
  mosaic PNG for each readable image. Exit status 1: at least one image has an error; all outputs are written.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: nifti_check.py
        contents:
          $include: ../../toolwrappers/nifti_check.py

hints:
  DockerRequirement:
    dockerPull: localhost/neurocwl/nifti-check:0.1.0
  SoftwareRequirement:
    packages:
      python:
        version: ["3.11"]
        specs: ["https://identifiers.org/RRID:SCR_008394"]
      numpy:
        specs: ["https://identifiers.org/RRID:SCR_008633"]
      nibabel:
        specs: ["https://identifiers.org/RRID:SCR_002498"]
      pillow: {}
  ResourceRequirement:
    coresMin: $(inputs.cpus)
    ramMin: $(inputs.memory_mib)
    tmpdirMin: $(inputs.tmp_mib)
    outdirMin: $(inputs.out_mib)
  ToolTimeLimit:
    timelimit: $(inputs.time_limit)

baseCommand: [python3, nifti_check.py]

arguments:
  - prefix: --out-dir
    valueFrom: derivatives

inputs:
  bids_dir:
    type: Directory
    label: BIDS dataset
    doc: |
      BIDS dataset, or the part of it that belongs to the participant: images, their sidecars, and the sidecars at
      higher levels that apply to them.
    inputBinding:
      prefix: --bids-dir
  participant_label:
    type: string
    label: participant label
    doc: Label of the participant to check, without "sub-".
    inputBinding:
      prefix: --participant-label
  tr_tolerance:
    type: double
    default: 0.001
    doc: Largest difference in seconds between the TR of the header and RepetitionTime of the sidecar.
    inputBinding:
      prefix: --tr-tolerance
  min_voxel_size:
    type: double
    default: 0.05
    doc: Smallest voxel edge in mm that is plausible.
    inputBinding:
      prefix: --min-voxel-size
  max_voxel_size:
    type: double
    default: 20.0
    doc: Largest voxel edge in mm that is plausible.
    inputBinding:
      prefix: --max-voxel-size
  orientation_tolerance:
    type: double
    default: 0.5
    doc: Largest distance in mm between the places where sform and qform put a corner of the image.
    inputBinding:
      prefix: --orientation-tolerance
  bvec_tolerance:
    type: double
    default: 0.01
    doc: Largest deviation of the length of a diffusion direction from 1.
    inputBinding:
      prefix: --bvec-tolerance
  outlier_threshold:
    type: double
    default: 8.0
    doc: |
      Robust z score from which the mean of a volume is an outlier. The score is the distance from the median in units
      of the scaled median absolute deviation; diffusion volumes are compared within their shell.
    inputBinding:
      prefix: --outlier-threshold
  outlier_fraction:
    type: double
    default: 0.05
    doc: Smallest relative change of the mean of a volume (0.05 is 5 %) that is reported as an outlier or jump.
    inputBinding:
      prefix: --outlier-fraction
  saturated_fraction:
    type: double
    default: 0.005
    doc: Fraction of voxels at the largest stored value (0.005 is 0.5 %) from which an image counts as saturated.
    inputBinding:
      prefix: --saturated-fraction
  cpus:
    type: int
    default: 1
    doc: CPU cores to reserve.
  memory_mib:
    type: long
    default: 2048
    doc: Memory to reserve, in MiB.
  tmp_mib:
    type: long
    default: 256
    doc: Temporary disk space to reserve, in MiB.
  out_mib:
    type: long
    default: 512
    doc: Disk space to reserve for the outputs, in MiB.
  time_limit:
    type: long
    default: 7200
    doc: Time after which the tool is stopped, in seconds.

stdout: nifti-check.log
stderr: nifti-check.err

outputs:
  out_dir:
    type: Directory
    doc: BIDS derivatives with the table, the report and the mosaics of the participant.
    outputBinding:
      glob: derivatives
  stdout_log:
    type: stdout
    doc: A line for each image with its status.
  stderr_log:
    type: stderr
    doc: A line for each finding; the last line is the reason for a failure.
