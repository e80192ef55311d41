#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: recon-all, FreeSurfer's cortical reconstruction
doc: |
  Runs FreeSurfer's recon-all on the T1-weighted images of one subject: segmentation, cortical surfaces,
  parcellations and their statistics. A run starts from the images (t1w), in a fresh subjects directory, or goes
  on from a copy of a subject that an earlier run made and somebody may have edited (continue_from): one of them.
  Options that are not given keep recon-all's own default.

requirements:
  InitialWorkDirRequirement:
    listing:
      - {entry: $(inputs.continue_from), writable: true}
  EnvVarRequirement:
    envDef:
      FS_LICENSE: $(inputs.fs_license.path)

hints:
  DockerRequirement:
    dockerPull: docker.io/freesurfer/freesurfer:7.4.1
  ResourceRequirement:
    coresMin: $(inputs.cpus)
    ramMin: $(inputs.memory_mib)
    tmpdirMin: $(inputs.tmp_mib)
    outdirMin: $(inputs.out_mib)
  ToolTimeLimit:
    timelimit: $(inputs.time_limit)
  SoftwareRequirement:
    packages:
      freesurfer: {version: ["7.4.1"], specs: ["https://identifiers.org/RRID:SCR_001847"]}

baseCommand: recon-all

# Stages come before all else: they turn steps on, later words turn single ones off again.
arguments:
  # recon-all also links fsaverage into this directory, to a path in the image; only the subject is an output.
  - {position: -6, prefix: -sd, valueFrom: $(runtime.outdir)}
  # -parallel means four threads of both kinds unless -itkthreads comes after it.
  - {position: 1, prefix: -threads, valueFrom: $(runtime.cores)}
  - {position: 1, prefix: -itkthreads, valueFrom: $(runtime.cores)}

inputs:
  subject:
    type: string
    doc: |
      The name of the subject, and of the folder with its results. Letters, digits, "-", "_" and "." only:
      recon-all takes the first of several words, and ".long." stands for its longitudinal runs.
    inputBinding: {position: -5, prefix: -s}
  t1w:
    type:
      - "null"
      - {type: array, items: File, inputBinding: {prefix: -i}}
    doc: |
      T1-weighted images of the subject. Several are registered to the first and averaged. None when the run goes
      on from an earlier one, which has them.
    inputBinding: {position: -4}
  continue_from:
    type: Directory[]?
    doc: |
      One folder, called as subject, as an earlier run left it, edited or not. It is copied. recon-all refuses one
      whose run was cut off (scripts/IsRunning is in it): such a folder may be half written.
  fs_license:
    type: File
    doc: The FreeSurfer licence file. Free of charge from https://surfer.nmr.mgh.harvard.edu/registration.html.

  # What to do
  stage:
    type:
      type: enum
      symbols: [all, autorecon1, autorecon2, autorecon2-cp, autorecon2-wm, autorecon-pial, autorecon3, qcache]
    default: all
    doc: |
      What to do first. all is the whole reconstruction; autorecon1 its first stage, which ends with the skull
      strip; these two can start from images. With continue_from, also autorecon2 (after edits of the brain mask),
      autorecon2-cp (of control points), autorecon2-wm (of the white matter), autorecon-pial (of the pial
      surface), autorecon3 (parcellation and statistics), qcache (nothing but the smoothed measures).
    inputBinding: {position: -3, prefix: "-", separate: false}
  autorecon2:
    type: boolean?
    doc: After stage autorecon1, segment the brain and make its surfaces.
    inputBinding: {position: -2, prefix: -autorecon2}
  autorecon2_volonly:
    type: boolean?
    doc: After stage autorecon1, segment the brain and make no surfaces.
    inputBinding: {position: -2, prefix: -autorecon2-volonly}
  autorecon3:
    type: boolean?
    doc: After autorecon2 or one of its parts, parcellate the cortex and write statistics.
    inputBinding: {position: -1, prefix: -autorecon3}
  hemi:
    type: ["null", {type: enum, symbols: [lh, rh]}]
    doc: The only hemisphere whose surfaces are made. Default is both.
    inputBinding: {prefix: -hemi}
  parallel:
    type: boolean?
    doc: Work on both hemispheres at once.
    inputBinding: {prefix: -parallel}
  expert:
    type: File?
    doc: A file of expert options, one line for each of recon-all's commands that gets some.
    inputBinding: {prefix: -expert}
  earlier_expert:
    type: ["null", {type: enum, symbols: [use, clean, overwrite]}]
    doc: |
      What becomes of the expert options that the subject of continue_from was made with; without this, recon-all
      refuses it. use them again, clean them away, or overwrite them by those of expert.
    inputBinding: {prefix: -xopts-, separate: false}

  # Further images for the pial surface
  t2:
    type: File?
    doc: A T2-weighted image of the subject.
    inputBinding: {prefix: -T2}
  t2pial:
    type: boolean?
    doc: Refine the pial surface with a T2-weighted image.
    inputBinding: {prefix: -T2pial}
  flair:
    type: File?
    doc: A FLAIR image of the subject.
    inputBinding: {prefix: -FLAIR}
  flairpial:
    type: boolean?
    doc: Refine the pial surface with a FLAIR image.
    inputBinding: {prefix: -FLAIRpial}

  # Resolution and input
  hires:
    type: boolean?
    doc: Keep the resolution of images finer than 1 mm. Takes more memory and time.
    inputBinding: {prefix: -hires}
  conf2hires:
    type: boolean?
    doc: Segment at 1 mm and place the pial surface at the finer resolution of the image.
    inputBinding: {prefix: -conf2hires}
  cm:
    type: boolean?
    doc: Conform to the smallest voxel size of the image instead of 1 mm.
    inputBinding: {prefix: -cm}
  cw256:
    type: boolean?
    doc: Cut the field of view to 256 mm, for images that are larger.
    inputBinding: {prefix: -cw256}
  cubic:
    type: boolean?
    doc: Interpolate by cubic splines when conforming.
    inputBinding: {prefix: -cubic}
  deface:
    type: boolean?
    doc: Write also a volume with the face removed.
    inputBinding: {prefix: -deface}

  # Scanner and sequence
  three_tesla:
    type: boolean?
    doc: The images are from a 3 T scanner (-3T); chooses the bias correction and the Talairach atlas for it.
    inputBinding: {prefix: -3T}
  no_mprage:
    type: boolean?
    doc: The images are no MPRAGE. Default is MPRAGE as made at MGH, with darker grey matter.
    inputBinding: {prefix: -no-mprage}
  washu_mprage:
    type: boolean?
    doc: The images are MPRAGE as made at Washington University; goes with no_mprage.
    inputBinding: {prefix: -washu_mprage}

  # Talairach
  no_tal_check:
    type: boolean?
    doc: Go on when the Talairach registration looks wrong. Default is to fail.
    inputBinding: {prefix: -notal-check}
  custom_tal_atlas:
    type: string?
    doc: The name of another atlas of the image's average folder for the Talairach registration.
    inputBinding: {prefix: -custom-tal-atlas}

  # Intensities
  nuiterations:
    type: int?
    doc: The number of iterations of the bias field correction.
    inputBinding: {prefix: -nuiterations}
  norm3diters:
    type: int?
    doc: The number of 3D iterations of both intensity normalisations.
    inputBinding: {prefix: -norm3diters}
  normmaxgrad:
    type: double?
    doc: The largest gradient in both intensity normalisations (default 1).
    inputBinding: {prefix: -normmaxgrad}
  seg_wlo:
    type: double?
    doc: The lower intensity limit of white matter.
    inputBinding: {prefix: -seg-wlo}
  seg_ghi:
    type: double?
    doc: The upper intensity limit of grey matter.
    inputBinding: {prefix: -seg-ghi}
  high_myelin:
    type: double?
    doc: Place the white surface for cortex rich in myelin, from 0 (towards white) to 1 (towards grey matter).
    inputBinding: {prefix: -high-myelin}

  # Skull strip
  wscopy:
    type: boolean?
    doc: The images have no skull, nothing is stripped.
    inputBinding: {prefix: -wscopy}
  xmask:
    type: File?
    doc: A brain mask to use instead of the skull strip.
    inputBinding: {prefix: -xmask}
  synthstrip:
    type: boolean?
    doc: Strip the skull by SynthStrip, a neural network.
    inputBinding: {prefix: -synthstrip}
  wsthresh:
    type: int?
    doc: The height of the watershed, in percent; a higher one keeps more brain, and more skull.
    inputBinding: {prefix: -wsthresh}
  wsless:
    type: boolean?
    doc: Lower the watershed, for skull left in.
    inputBinding: {prefix: -wsless}
  wsmore:
    type: boolean?
    doc: Raise the watershed, for brain cut away.
    inputBinding: {prefix: -wsmore}
  wsatlas:
    type: boolean?
    doc: Use an atlas in the watershed.
    inputBinding: {prefix: -wsatlas}
  gcut:
    type: boolean?
    doc: Take away what the watershed left of dura, by graph cuts.
    inputBinding: {prefix: -gcut}

  # Segmentation and surfaces
  synthseg:
    type: boolean?
    doc: Segment by SynthSeg, a neural network.
    inputBinding: {prefix: -synthseg}
  samseg:
    type: boolean?
    doc: Segment by SAMSEG, which adapts to the contrast of the image.
    inputBinding: {prefix: -samseg}
  bigventricles:
    type: boolean?
    doc: Allow for large ventricles, as in old age or hydrocephalus.
    inputBinding: {prefix: -bigventricles}
  nowmsa:
    type: boolean?
    doc: Do not label white matter lesions.
    inputBinding: {prefix: -nowmsa}
  no_cerebellum:
    type: boolean?
    doc: The images have no cerebellum.
    inputBinding: {prefix: -no-cerebellum}
  fix_mtl:
    type: boolean?
    doc: Keep hippocampus and amygdala out of the surfaces.
    inputBinding: {prefix: -fix_mtl}
  pial_noaparc:
    type: boolean?
    doc: Place the pial surface without the help of the parcellation.
    inputBinding: {prefix: -pial-noaparc}

  # Outputs
  qcache:
    type: boolean?
    doc: Write surface measures also smoothed and on fsaverage, ready for group analysis.
    inputBinding: {prefix: -qcache}
  measure:
    type:
      - "null"
      - {type: array, items: string, inputBinding: {prefix: -measure}}
    doc: The measures that qcache takes (thickness, area, volume, ...). Default is all.
    inputBinding: {}
  fwhm:
    type: int?
    doc: The only smoothing of qcache, in mm. Default is 0, 5, 10, 15, 20 and 25.
    inputBinding: {prefix: -fwhm}
  target:
    type: string?
    doc: The average subject that qcache resamples to (default fsaverage).
    inputBinding: {prefix: -target}
  label_v1:
    type: boolean?
    doc: Predict the primary visual cortex.
    inputBinding: {prefix: -label-v1}
  vno_match_check:
    type: boolean?
    doc: Check that all surfaces have the same vertices.
    inputBinding: {prefix: -vno-check}

  # Random numbers
  rng_seed:
    type: int?
    doc: The seed of random numbers (default 1234).
    inputBinding: {prefix: -rng-seed}
  randomness:
    type: boolean?
    doc: Take random numbers from the clock, so that runs differ.
    inputBinding: {prefix: -randomness}

  extra_args:
    type: string[]?
    doc: Further arguments for recon-all, word by word, as they stand.
    inputBinding: {position: 2}

  # Resources
  cpus:
    type: int
    default: 4
    doc: CPUs. Little is gained past 8.
  memory_mib:
    type: int
    default: 8192
    doc: Memory in MiB. Images finer than 1 mm need twice as much or more.
  tmp_mib:
    type: int
    default: 2048
    doc: Disk for temporary files, in MiB.
  out_mib:
    type: int
    default: 4096
    doc: Disk for the outputs, in MiB.
  time_limit:
    type: int
    default: 172800
    doc: Seconds after which the run is stopped; 0 is no limit.

stdout: $(inputs.subject)_recon-all.log
stderr: $(inputs.subject)_recon-all.err

outputs:
  subject_dir:
    type: Directory
    doc: The subject, as FreeSurfer keeps it (mri, surf, label, stats, scripts, ...).
    outputBinding: {glob: $(inputs.subject)}
  stdout_log:
    type: stdout
    doc: What recon-all says.
  stderr_log:
    type: stderr
    doc: What recon-all and its tools complain about.
