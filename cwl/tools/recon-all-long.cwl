#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: recon-all -long, one time point from the template of its participant
doc: |
  Runs FreeSurfer's recon-all -long on one time point: surfaces and segmentation start from those of the
  participant's template (recon-all-base.cwl), so that changes over time stand out from noise. Ends at once when
  the template or a cross-sectional run is not finished.

requirements:
  EnvVarRequirement:
    envDef:
      FS_LICENSE: $(inputs.fs_license.path)
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: from_finished.sh
        contents: {$include: ../../toolwrappers/from_finished.sh}

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

# The script links the folders into the subjects directory: Toil 9 refuses to stage a step's folders there.
baseCommand: [sh, from_finished.sh]

arguments:
  - {position: -7, valueFrom: recon-all}
  - {position: -6, prefix: -sd, valueFrom: $(runtime.outdir)}
  - {position: -4, valueFrom: $(inputs.subject)}
  - {position: -3, valueFrom: -all}
  # -parallel means four threads of both kinds unless -itkthreads comes after it.
  - {position: 1, prefix: -threads, valueFrom: $(runtime.cores)}
  - {position: 1, prefix: -itkthreads, valueFrom: $(runtime.cores)}

inputs:
  timepoint:
    type: string
    doc: The name of the time point's cross-sectional run.
    inputBinding: {position: -5, prefix: -long}
  subject:
    type: string
    doc: The name of the template. The results are called TIMEPOINT.long.SUBJECT.
  subjects:
    type: Directory[]
    doc: |
      The folders of all the participant's cross-sectional runs, each called as its time point: labels are fused
      over all of them. Nothing is written into them.
    inputBinding: {position: -9}
  base:
    type: Directory
    doc: The folder of the template, called as its subject. Nothing is written into it.
    inputBinding: {position: -8}
  fs_license:
    type: File
    doc: The FreeSurfer licence file. Free of charge from https://surfer.nmr.mgh.harvard.edu/registration.html.
  parallel:
    type: boolean?
    doc: Work on both hemispheres at once.
    inputBinding: {prefix: -parallel}
  hires:
    type: boolean?
    doc: Keep the resolution of images finer than 1 mm, as in the cross-sectional runs.
    inputBinding: {prefix: -hires}
  three_tesla:
    type: boolean?
    doc: The images are from a 3 T scanner (-3T), as in the cross-sectional runs.
    inputBinding: {prefix: -3T}
  bigventricles:
    type: boolean?
    doc: Allow for large ventricles, as in old age or hydrocephalus.
    inputBinding: {prefix: -bigventricles}
  expert:
    type: File?
    doc: A file of expert options, one line for each of recon-all's commands that gets some.
    inputBinding: {prefix: -expert}
  t2pial:
    type: boolean?
    doc: Refine the pial surface with the T2-weighted image of the cross-sectional run.
    inputBinding: {prefix: -T2pial}
  flairpial:
    type: boolean?
    doc: Refine the pial surface with the FLAIR image of the cross-sectional run.
    inputBinding: {prefix: -FLAIRpial}
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
  extra_args:
    type: string[]?
    doc: Further arguments for recon-all, word by word, as they stand.
    inputBinding: {position: 2}
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

stdout: $(inputs.timepoint).long.$(inputs.subject)_recon-all-long.log
stderr: $(inputs.timepoint).long.$(inputs.subject)_recon-all-long.err

outputs:
  long:
    type: Directory
    doc: The time point as seen from the template, as FreeSurfer keeps it.
    outputBinding: {glob: $(inputs.timepoint).long.$(inputs.subject)}
  stdout_log:
    type: stdout
    doc: What recon-all says.
  stderr_log:
    type: stderr
    doc: What recon-all and its tools complain about.
