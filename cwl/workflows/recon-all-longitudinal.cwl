#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: Workflow
label: recon-all, longitudinal - all sessions of one participant
doc: |
  FreeSurfer's longitudinal stream for one participant: each session by itself (cross), unless it is there already
  (finished); a template of all sessions (base); each session anew, from the template (long). A participant with one
  session gets a template and a longitudinal run as well, as FreeSurfer asks for, so that all are treated alike.
  When a session fails, the template and all that follows from it fail at once and say which.

requirements:
  MultipleInputFeatureRequirement: {}
  ScatterFeatureRequirement: {}
  StepInputExpressionRequirement: {}

inputs:
  subject:
    type: string
    doc: The name of the template, such as sub-01; not that of a time point.
  timepoints:
    type: string[]
    doc: The names of all time points, those of sessions and of finished, in the order of time.
  sessions:
    type:
      type: array
      items:
        type: record
        name: session
        fields:
          subject: {type: string, doc: "The name of the time point, such as sub-01_ses-1."}
          t1w: {type: "File[]", doc: "Its T1-weighted images."}
          t2: {type: File?, doc: "Its T2-weighted image, for t2pial."}
          flair: {type: File?, doc: "Its FLAIR image, for flairpial."}
    doc: The time points to process by themselves first.
  finished:
    type: Directory[]
    default: []
    doc: The folders of time points that were processed by themselves earlier, each called as its time point.
  fs_license:
    type: File
    doc: The FreeSurfer licence file. Free of charge from https://surfer.nmr.mgh.harvard.edu/registration.html.
  parallel:
    type: boolean?
    doc: Work on both hemispheres at once.
  hires:
    type: boolean?
    doc: Keep the resolution of images finer than 1 mm. Takes more memory and time.
  three_tesla:
    type: boolean?
    doc: The images are from a 3 T scanner (-3T); chooses the bias correction and the Talairach atlas for it.
  bigventricles:
    type: boolean?
    doc: Allow for large ventricles, as in old age or hydrocephalus.
  t2pial:
    type: boolean?
    doc: Refine the pial surface with a T2-weighted image.
  flairpial:
    type: boolean?
    doc: Refine the pial surface with a FLAIR image.
  qcache:
    type: boolean?
    doc: Write surface measures of the sessions also smoothed and on fsaverage, ready for group analysis.
  measure:
    type: string[]?
    doc: The measures that qcache takes (thickness, area, volume, ...). Default is all.
  fwhm:
    type: int?
    doc: The only smoothing of qcache, in mm. Default is 0, 5, 10, 15, 20 and 25.
  expert:
    type: File?
    doc: A file of expert options for all runs, one line for each of recon-all's commands that gets some.
  extra_args:
    type: string[]?
    doc: Further arguments for all runs of recon-all, word by word, as they stand.
  cpus:
    type: int
    default: 4
    doc: CPUs of each run. Little is gained past 8.
  memory_mib:
    type: int
    default: 8192
    doc: Memory of each run in MiB. Images finer than 1 mm need twice as much or more.
  tmp_mib:
    type: int
    default: 2048
    doc: Disk of each run for temporary files, in MiB.
  out_mib:
    type: int
    default: 4096
    doc: Disk of each run for the outputs, in MiB.
  time_limit:
    type: int
    default: 172800
    doc: Seconds after which a run is stopped; 0 is no limit.

steps:
  cross_sectional:
    run: ../tools/recon-all.cwl
    scatter: [subject, t1w, t2, flair]
    scatterMethod: dotproduct
    in:
      subject: {source: sessions, valueFrom: $(self.subject)}
      t1w: {source: sessions, valueFrom: $(self.t1w)}
      t2: {source: sessions, valueFrom: $(self.t2)}
      flair: {source: sessions, valueFrom: $(self.flair)}
      fs_license: fs_license
      parallel: parallel
      hires: hires
      three_tesla: three_tesla
      bigventricles: bigventricles
      expert: expert
      extra_args: extra_args
      cpus: cpus
      memory_mib: memory_mib
      tmp_mib: tmp_mib
      out_mib: out_mib
      time_limit: time_limit
      t2pial: t2pial
      flairpial: flairpial
      qcache: qcache
      measure: measure
      fwhm: fwhm
    out: [subject_dir, stdout_log, stderr_log]
  template:
    run: ../tools/recon-all-base.cwl
    in:
      subject: subject
      timepoints: timepoints
      subjects:
        source: [finished, cross_sectional/subject_dir]
        linkMerge: merge_flattened
        pickValue: all_non_null
      fs_license: fs_license
      parallel: parallel
      hires: hires
      three_tesla: three_tesla
      bigventricles: bigventricles
      expert: expert
      extra_args: extra_args
      cpus: cpus
      memory_mib: memory_mib
      tmp_mib: tmp_mib
      out_mib: out_mib
      time_limit: time_limit
    out: [base, stdout_log, stderr_log]
  longitudinal:
    run: ../tools/recon-all-long.cwl
    scatter: timepoint
    in:
      timepoint: timepoints
      subject: subject
      subjects:
        source: [finished, cross_sectional/subject_dir]
        linkMerge: merge_flattened
        pickValue: all_non_null
      base: template/base
      fs_license: fs_license
      parallel: parallel
      hires: hires
      three_tesla: three_tesla
      bigventricles: bigventricles
      expert: expert
      extra_args: extra_args
      cpus: cpus
      memory_mib: memory_mib
      tmp_mib: tmp_mib
      out_mib: out_mib
      time_limit: time_limit
      t2pial: t2pial
      flairpial: flairpial
      qcache: qcache
      measure: measure
      fwhm: fwhm
    out: [long, stdout_log, stderr_log]

outputs:
  cross:
    type: Directory[]
    doc: The sessions by themselves, those of finished among them.
    outputSource: [finished, cross_sectional/subject_dir]
    linkMerge: merge_flattened
  base:
    type: Directory
    doc: The template.
    outputSource: template/base
  long:
    type: Directory[]
    doc: The sessions as seen from the template, each called TIMEPOINT.long.SUBJECT.
    outputSource: longitudinal/long
  logs:
    type: File[]
    doc: What every run said and complained about.
    outputSource:
      - cross_sectional/stdout_log
      - cross_sectional/stderr_log
      - template/stdout_log
      - template/stderr_log
      - longitudinal/stdout_log
      - longitudinal/stderr_log
    linkMerge: merge_flattened
