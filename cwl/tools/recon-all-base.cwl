#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: recon-all -base, the template of one participant over time
doc: |
  Runs FreeSurfer's recon-all -base on the finished cross-sectional runs of one participant: a template that is
  nearer to none of the time points, from which each of them is processed anew (recon-all-long.cwl). One time
  point is enough; its participant is then treated as all others. Ends at once when a cross-sectional run is not
  finished.

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
  - {position: -3, valueFrom: -all}
  # -parallel means four threads of both kinds unless -itkthreads comes after it.
  - {position: 1, prefix: -threads, valueFrom: $(runtime.cores)}
  - {position: 1, prefix: -itkthreads, valueFrom: $(runtime.cores)}

inputs:
  subject:
    type: string
    doc: |
      The name of the template, and of the folder with its results; not that of a time point. Letters, digits,
      "-", "_" and "." only.
    inputBinding: {position: -5, prefix: -base}
  timepoints:
    type:
      type: array
      items: string
      inputBinding: {prefix: -tp}
    doc: The names of the cross-sectional runs, in the order of time.
    inputBinding: {position: -4}
  subjects:
    type: Directory[]
    doc: The folders of the cross-sectional runs, each called as its time point. Nothing is written into them.
    inputBinding: {position: -9}
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

stdout: $(inputs.subject)_recon-all-base.log
stderr: $(inputs.subject)_recon-all-base.err

outputs:
  base:
    type: Directory
    doc: The template, as FreeSurfer keeps it.
    outputBinding: {glob: $(inputs.subject)}
  stdout_log:
    type: stdout
    doc: What recon-all says.
  stderr_log:
    type: stderr
    doc: What recon-all and its tools complain about.
