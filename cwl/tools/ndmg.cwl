#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: ndmg, connectomes from diffusion MRI
doc: |
  Runs ndmg 0.2 (https://pypi.org/project/ndmg), the predecessor of m2g, on one scan, a T1w and a diffusion
  image of one session: eddy correction, registration, tractography, and a connectome for each parcellation.
  Results lie in sub-LABEL/ses-LABEL. Options that are not given keep ndmg's own default, which the
  documentation of each input names.

requirements:
  InitialWorkDirRequirement:
    # A dataset of the scan alone: of several runs ndmg would process the first, in silence. b-values and
    # b-vectors may come from anywhere above the image.
    listing:
      - entryname: bids/dataset_description.json
        entry: '{"Name": "one scan", "BIDSVersion": "1.8.0"}'
      - entryname: bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/anat/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_T1w.nii.gz
        entry: $(inputs.t1w)
      - entryname: bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/dwi/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_dwi.nii.gz
        entry: $(inputs.dwi)
      - entryname: bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/dwi/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_dwi.bval
        entry: $(inputs.bval)
      - entryname: bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/dwi/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_dwi.bvec
        entry: $(inputs.bvec)

hints:
  DockerRequirement:
    dockerPull: docker.io/neurodata/ndmg_dev:latest
  ResourceRequirement:
    coresMin: $(inputs.cpus)
    ramMin: $(inputs.memory_mib)
    tmpdirMin: $(inputs.tmp_mib)
    outdirMin: $(inputs.out_mib)
  ToolTimeLimit:
    timelimit: $(inputs.time_limit)
  SoftwareRequirement:
    packages:
      ndmg: {version: ["0.2.1"]}
      fsl: {specs: ["https://identifiers.org/RRID:SCR_002823"]}
      afni: {specs: ["https://identifiers.org/RRID:SCR_005927"]}
      dipy: {specs: ["https://identifiers.org/RRID:SCR_000029"]}

# No baseCommand: the image's entry point is ndmg_bids. The options of labels take all words that follow, hence the
# positional arguments come first.
arguments:
  - {position: -2, valueFrom: $(runtime.outdir)/bids}
  # ndmg writes into this folder itself, whatever the participant and the session.
  - position: -1
    valueFrom: $(runtime.outdir)/derivatives/sub-$(inputs.participant_label)/ses-$(inputs.session_label)

inputs:
  participant_label:
    type: string
    doc: The participant, without "sub-".
    inputBinding: {prefix: --participant_label}
  session_label:
    type: string
    default: none
    doc: |
      The session, without "ses-". ndmg does not run without sessions: the results of a participant who has
      none lie in ses-none.
    inputBinding: {prefix: --session_label}
  t1w:
    type: File
    doc: The T1w image, as .nii.gz.
  dwi:
    type: File
    doc: The diffusion image, as .nii.gz.
  bval:
    type: File
    doc: The b-values of the diffusion image.
  bvec:
    type: File
    doc: The b-vectors of the diffusion image.

  # Which connectomes
  atlas:
    type: string?
    doc: A part of the names of parcellations (desikan, AAL), to make these only. Default is all that the image has.
    inputBinding: {prefix: --atlas}
  vox:
    type: ["null", {type: enum, symbols: [2mm, 1mm]}]
    doc: The voxels of the templates to register to (default 2mm).
    inputBinding: {prefix: --vox}

  # How they are made
  mod:
    type: ["null", {type: enum, symbols: [det, prob]}]
    doc: Deterministic or probabilistic tracking (default det).
    inputBinding: {prefix: --mod}
  tt:
    type: ["null", {type: enum, symbols: [local, particle]}]
    doc: How streamlines are tracked (default local); particle filters them by tissue.
    inputBinding: {prefix: --tt}
  mf:
    type: ["null", {type: enum, symbols: [csd, csa]}]
    doc: The diffusion model (default csd); constrained spherical deconvolution, or constant solid angle.
    inputBinding: {prefix: --mf}
  sp:
    type: ["null", {type: enum, symbols: [native, native_dsn, mni]}]
    doc: |
      The space of the streamlines (default native); native_dsn normalises them to the template, mni
      registers the images to it first.
    inputBinding: {prefix: --sp}
  seeds:
    type: int?
    doc: How densely streamlines are seeded (default 20).
    inputBinding: {prefix: --seeds}
  extra_args:
    type: string[]?
    doc: Further arguments for ndmg_bids, word by word, as they stand.
    inputBinding: {position: 1}

  # Resources
  cpus:
    type: int
    default: 2
    doc: CPUs. Most of ndmg uses one.
  memory_mib:
    type: int
    default: 15200
    doc: Memory in MiB.
  tmp_mib:
    type: int
    default: 10240
    doc: Disk for temporary files, in MiB.
  out_mib:
    type: int
    default: 20480
    doc: Disk for the outputs and intermediate results, in MiB.
  time_limit:
    type: int
    default: 43200
    doc: Seconds after which the run is stopped; 0 is no limit.

stdout: ndmg.log
stderr: ndmg.err

outputs:
  out_dir:
    type: Directory
    doc: sub-LABEL/ses-LABEL with anat, dwi (connectomes in dwi/roi-connectomes), qa, and intermediate results in tmp.
    outputBinding: {glob: derivatives}
  stdout_log:
    type: stdout
    doc: What ndmg says.
  stderr_log:
    type: stderr
    doc: What ndmg and its tools complain about.
