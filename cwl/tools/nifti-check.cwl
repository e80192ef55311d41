#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: "nifti-check: open every NIfTI image of a participant whole"
doc: |
  Checks every .nii and .nii.gz file of one participant of a BIDS dataset before time is spent on it: truncated or
  corrupt gzip, size against header, NaN, empty and constant volumes, dimensions, affines, voxel sizes, data types,
  TR and slice timing against the sidecars (BIDS inheritance), bval and bvec against volumes, and duplicate images.
  Writes BIDS derivatives: a table with its data dictionary, a JSON report with a verdict, and a mosaic PNG for each
  readable image. Exit status 1: at least one image has an error; all outputs are written.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: Directory
        basename: nifti_check
        listing:
          - class: File
            basename: __init__.py
            contents: {$include: ../../toolwrappers/nifti_check/__init__.py}
          - class: File
            basename: __main__.py
            contents: {$include: ../../toolwrappers/nifti_check/__main__.py}
          - class: File
            basename: checks.py
            contents: {$include: ../../toolwrappers/nifti_check/checks.py}
          - class: File
            basename: findings.py
            contents: {$include: ../../toolwrappers/nifti_check/findings.py}
          - class: File
            basename: geometry.py
            contents: {$include: ../../toolwrappers/nifti_check/geometry.py}
          - class: File
            basename: gradients.py
            contents: {$include: ../../toolwrappers/nifti_check/gradients.py}
          - class: File
            basename: images.py
            contents: {$include: ../../toolwrappers/nifti_check/images.py}
          - class: File
            basename: mosaic.py
            contents: {$include: ../../toolwrappers/nifti_check/mosaic.py}
          - class: File
            basename: report.py
            contents: {$include: ../../toolwrappers/nifti_check/report.py}
          - class: File
            basename: sidecars.py
            contents: {$include: ../../toolwrappers/nifti_check/sidecars.py}
          - class: File
            basename: voxels.py
            contents: {$include: ../../toolwrappers/nifti_check/voxels.py}

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

baseCommand: [python3, -m, nifti_check]

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
  ignore:
    type: string[]?
    doc: |
      Codes of findings to leave out, such as VOXEL_SIZE_RANGE for ex vivo images. The data dictionary of the table
      lists the codes.
    inputBinding:
      prefix: --ignore
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
