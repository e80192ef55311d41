#!/usr/bin/env cwl-runner
# Written by `neurocwl pipelines build recon-all-longitudinal` from its tool and its job template.
cwlVersion: v1.2
class: Workflow
label: 'FreeSurfer recon-all over time: every unit of a dataset'
doc: |
  FreeSurfer's longitudinal stream for one participant: each session by itself (cross), unless it is there already
  (finished); a template of all sessions (base); each session anew, from the template (long). A participant with one
  session gets a template and a longitudinal run as well, as FreeSurfer asks for, so that all are treated alike.
  When a session fails, the template and all that follows from it fail at once and say which.

  Scatters over units; the outputs of each go to `output` as soon as it ends, and its receipt is written last. A unit that fails leaves the others alone: its receipt says why.
requirements:
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}
  StepInputExpressionRequirement: {}
  MultipleInputFeatureRequirement: {}
inputs:
  units:
    type:
      type: array
      items:
        type: record
        name: unit
        fields:
          context:
            type:
              type: record
              name: unit_context
              fields:
                unit: string
                participant: string?
                session: string?
                task_key: string
                previous: string?
                rehearsal: string?
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
                  subject:
                    type: string
                    doc: The name of the time point, such as sub-01_ses-1.
                  t1w:
                    type: File[]
                    doc: Its T1-weighted images.
                  t2:
                    type: File?
                    doc: Its T2-weighted image, for t2pial.
                  flair:
                    type: File?
                    doc: Its FLAIR image, for flairpial.
            doc: The time points to process by themselves first.
          finished:
            type: Directory[]?
            doc: The folders of time points that were processed by themselves earlier, each called as its time
              point.
    doc: The units to process.
  output:
    type: string
    doc: Where the derivatives go, an s3:// URL or a folder.
  run:
    type: string
    doc: The id of the run; receipts carry it.
    default: by-hand
  fs_license:
    type: File
    doc: The FreeSurfer licence file. Free of charge from 
      https://surfer.nmr.mgh.harvard.edu/registration.html.
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
  per_unit:
    scatter: unit
    in:
      unit: units
      output: output
      run: run
      fs_license: fs_license
      parallel: parallel
      hires: hires
      three_tesla: three_tesla
      bigventricles: bigventricles
      t2pial: t2pial
      flairpial: flairpial
      qcache: qcache
      measure: measure
      fwhm: fwhm
      expert: expert
      extra_args: extra_args
      cpus: cpus
      memory_mib: memory_mib
      tmp_mib: tmp_mib
      out_mib: out_mib
      time_limit: time_limit
    out:
    - receipt
    run:
      class: Workflow
      requirements:
        StepInputExpressionRequirement: {}
        MultipleInputFeatureRequirement: {}
      inputs:
        unit:
          type:
            type: record
            name: one_unit
            fields:
              context:
                type:
                  type: record
                  name: one_unit_context
                  fields:
                    unit: string
                    participant: string?
                    session: string?
                    task_key: string
                    previous: string?
                    rehearsal: string?
              subject:
                type: string
              timepoints:
                type: string[]
              sessions:
                type:
                  type: array
                  items:
                    type: record
                    name: session
                    fields:
                      subject:
                        type: string
                        doc: The name of the time point, such as sub-01_ses-1.
                      t1w:
                        type: File[]
                        doc: Its T1-weighted images.
                      t2:
                        type: File?
                        doc: Its T2-weighted image, for t2pial.
                      flair:
                        type: File?
                        doc: Its FLAIR image, for flairpial.
              finished:
                type: Directory[]?
        output: string
        run: string
        fs_license:
          type: File
        parallel:
          type: boolean?
        hires:
          type: boolean?
        three_tesla:
          type: boolean?
        bigventricles:
          type: boolean?
        t2pial:
          type: boolean?
        flairpial:
          type: boolean?
        qcache:
          type: boolean?
        measure:
          type: string[]?
        fwhm:
          type: int?
        expert:
          type: File?
        extra_args:
          type: string[]?
        cpus:
          type: int
        memory_mib:
          type: int
        tmp_mib:
          type: int
        out_mib:
          type: int
        time_limit:
          type: int
      steps:
        tool:
          run:
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
                      subject:
                        type: string
                        doc: The name of the time point, such as sub-01_ses-1.
                      t1w:
                        type: File[]
                        doc: Its T1-weighted images.
                      t2:
                        type: File?
                        doc: Its T2-weighted image, for t2pial.
                      flair:
                        type: File?
                        doc: Its FLAIR image, for flairpial.
                doc: The time points to process by themselves first.
              finished:
                type: Directory[]
                default: []
                doc: The folders of time points that were processed by themselves earlier, each called as its 
                  time point.
              fs_license:
                type: File
                doc: The FreeSurfer licence file. Free of charge from 
                  https://surfer.nmr.mgh.harvard.edu/registration.html.
              parallel:
                type: boolean?
                doc: Work on both hemispheres at once.
              hires:
                type: boolean?
                doc: Keep the resolution of images finer than 1 mm. Takes more memory and time.
              three_tesla:
                type: boolean?
                doc: The images are from a 3 T scanner (-3T); chooses the bias correction and the Talairach 
                  atlas for it.
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
                doc: Write surface measures of the sessions also smoothed and on fsaverage, ready for group 
                  analysis.
              measure:
                type: string[]?
                doc: The measures that qcache takes (thickness, area, volume, ...). Default is all.
              fwhm:
                type: int?
                doc: The only smoothing of qcache, in mm. Default is 0, 5, 10, 15, 20 and 25.
              expert:
                type: File?
                doc: A file of expert options for all runs, one line for each of recon-all's commands that 
                  gets some.
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
              unit_context: Any
              unit_output: string
              unit_run: string
            steps:
              cross_sectional:
                run:
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
                      - entry: $(inputs.continue_from)
                        writable: true
                    EnvVarRequirement:
                      envDef:
                        FS_LICENSE: $(inputs.fs_license.path)
                        NEUROCWL_UNIT: $(inputs.unit_context.unit)
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
                        freesurfer:
                          version:
                          - 7.4.1
                          specs:
                          - https://identifiers.org/RRID:SCR_001847
                  baseCommand: recon-all
                  arguments:
                  - position: -6
                    prefix: -sd
                    valueFrom: $(runtime.outdir)
                  - position: 1
                    prefix: -threads
                    valueFrom: $(runtime.cores)
                  - position: 1
                    prefix: -itkthreads
                    valueFrom: $(runtime.cores)
                  inputs:
                    subject:
                      type: string
                      doc: |
                        The name of the subject, and of the folder with its results. Letters, digits, "-", "_" and "." only:
                        recon-all takes the first of several words, and ".long." stands for its longitudinal runs.
                      inputBinding:
                        position: -5
                        prefix: -s
                    t1w:
                      type:
                      - 'null'
                      - type: array
                        items: File
                        inputBinding:
                          prefix: -i
                      doc: |
                        T1-weighted images of the subject. Several are registered to the first and averaged. None when the run goes
                        on from an earlier one, which has them.
                      inputBinding:
                        position: -4
                    continue_from:
                      type: Directory[]?
                      doc: |
                        One folder, called as subject, as an earlier run left it, edited or not. It is copied. recon-all refuses one
                        whose run was cut off (scripts/IsRunning is in it): such a folder may be half written.
                    fs_license:
                      type: File
                      doc: The FreeSurfer licence file. Free of charge from 
                        https://surfer.nmr.mgh.harvard.edu/registration.html.
                    stage:
                      type:
                        type: enum
                        symbols:
                        - all
                        - autorecon1
                        - autorecon2
                        - autorecon2-cp
                        - autorecon2-wm
                        - autorecon-pial
                        - autorecon3
                        - qcache
                      default: all
                      doc: |
                        What to do first. all is the whole reconstruction; autorecon1 its first stage, which ends with the skull
                        strip; these two can start from images. With continue_from, also autorecon2 (after edits of the brain mask),
                        autorecon2-cp (of control points), autorecon2-wm (of the white matter), autorecon-pial (of the pial
                        surface), autorecon3 (parcellation and statistics), qcache (nothing but the smoothed measures).
                      inputBinding:
                        position: -3
                        prefix: '-'
                        separate: false
                    autorecon2:
                      type: boolean?
                      doc: After stage autorecon1, segment the brain and make its surfaces.
                      inputBinding:
                        position: -2
                        prefix: -autorecon2
                    autorecon2_volonly:
                      type: boolean?
                      doc: After stage autorecon1, segment the brain and make no surfaces.
                      inputBinding:
                        position: -2
                        prefix: -autorecon2-volonly
                    autorecon3:
                      type: boolean?
                      doc: After autorecon2 or one of its parts, parcellate the cortex and write statistics.
                      inputBinding:
                        position: -1
                        prefix: -autorecon3
                    hemi:
                      type:
                      - 'null'
                      - type: enum
                        symbols:
                        - lh
                        - rh
                      doc: The only hemisphere whose surfaces are made. Default is both.
                      inputBinding:
                        prefix: -hemi
                    parallel:
                      type: boolean?
                      doc: Work on both hemispheres at once.
                      inputBinding:
                        prefix: -parallel
                    expert:
                      type: File?
                      doc: A file of expert options, one line for each of recon-all's commands that gets some.
                      inputBinding:
                        prefix: -expert
                    earlier_expert:
                      type:
                      - 'null'
                      - type: enum
                        symbols:
                        - use
                        - clean
                        - overwrite
                      doc: |
                        What becomes of the expert options that the subject of continue_from was made with; without this, recon-all
                        refuses it. use them again, clean them away, or overwrite them by those of expert.
                      inputBinding:
                        prefix: -xopts-
                        separate: false
                    t2:
                      type: File?
                      doc: A T2-weighted image of the subject.
                      inputBinding:
                        prefix: -T2
                    t2pial:
                      type: boolean?
                      doc: Refine the pial surface with a T2-weighted image.
                      inputBinding:
                        prefix: -T2pial
                    flair:
                      type: File?
                      doc: A FLAIR image of the subject.
                      inputBinding:
                        prefix: -FLAIR
                    flairpial:
                      type: boolean?
                      doc: Refine the pial surface with a FLAIR image.
                      inputBinding:
                        prefix: -FLAIRpial
                    hires:
                      type: boolean?
                      doc: Keep the resolution of images finer than 1 mm. Takes more memory and time.
                      inputBinding:
                        prefix: -hires
                    conf2hires:
                      type: boolean?
                      doc: Segment at 1 mm and place the pial surface at the finer resolution of the image.
                      inputBinding:
                        prefix: -conf2hires
                    cm:
                      type: boolean?
                      doc: Conform to the smallest voxel size of the image instead of 1 mm.
                      inputBinding:
                        prefix: -cm
                    cw256:
                      type: boolean?
                      doc: Cut the field of view to 256 mm, for images that are larger.
                      inputBinding:
                        prefix: -cw256
                    cubic:
                      type: boolean?
                      doc: Interpolate by cubic splines when conforming.
                      inputBinding:
                        prefix: -cubic
                    deface:
                      type: boolean?
                      doc: Write also a volume with the face removed.
                      inputBinding:
                        prefix: -deface
                    three_tesla:
                      type: boolean?
                      doc: The images are from a 3 T scanner (-3T); chooses the bias correction and the 
                        Talairach atlas for it.
                      inputBinding:
                        prefix: -3T
                    no_mprage:
                      type: boolean?
                      doc: The images are no MPRAGE. Default is MPRAGE as made at MGH, with darker grey 
                        matter.
                      inputBinding:
                        prefix: -no-mprage
                    washu_mprage:
                      type: boolean?
                      doc: The images are MPRAGE as made at Washington University; goes with no_mprage.
                      inputBinding:
                        prefix: -washu_mprage
                    no_tal_check:
                      type: boolean?
                      doc: Go on when the Talairach registration looks wrong. Default is to fail.
                      inputBinding:
                        prefix: -notal-check
                    custom_tal_atlas:
                      type: string?
                      doc: The name of another atlas of the image's average folder for the Talairach 
                        registration.
                      inputBinding:
                        prefix: -custom-tal-atlas
                    nuiterations:
                      type: int?
                      doc: The number of iterations of the bias field correction.
                      inputBinding:
                        prefix: -nuiterations
                    norm3diters:
                      type: int?
                      doc: The number of 3D iterations of both intensity normalisations.
                      inputBinding:
                        prefix: -norm3diters
                    normmaxgrad:
                      type: double?
                      doc: The largest gradient in both intensity normalisations (default 1).
                      inputBinding:
                        prefix: -normmaxgrad
                    seg_wlo:
                      type: double?
                      doc: The lower intensity limit of white matter.
                      inputBinding:
                        prefix: -seg-wlo
                    seg_ghi:
                      type: double?
                      doc: The upper intensity limit of grey matter.
                      inputBinding:
                        prefix: -seg-ghi
                    high_myelin:
                      type: double?
                      doc: Place the white surface for cortex rich in myelin, from 0 (towards white) to 1 
                        (towards grey matter).
                      inputBinding:
                        prefix: -high-myelin
                    wscopy:
                      type: boolean?
                      doc: The images have no skull, nothing is stripped.
                      inputBinding:
                        prefix: -wscopy
                    xmask:
                      type: File?
                      doc: A brain mask to use instead of the skull strip.
                      inputBinding:
                        prefix: -xmask
                    synthstrip:
                      type: boolean?
                      doc: Strip the skull by SynthStrip, a neural network.
                      inputBinding:
                        prefix: -synthstrip
                    wsthresh:
                      type: int?
                      doc: The height of the watershed, in percent; a higher one keeps more brain, and more 
                        skull.
                      inputBinding:
                        prefix: -wsthresh
                    wsless:
                      type: boolean?
                      doc: Lower the watershed, for skull left in.
                      inputBinding:
                        prefix: -wsless
                    wsmore:
                      type: boolean?
                      doc: Raise the watershed, for brain cut away.
                      inputBinding:
                        prefix: -wsmore
                    wsatlas:
                      type: boolean?
                      doc: Use an atlas in the watershed.
                      inputBinding:
                        prefix: -wsatlas
                    gcut:
                      type: boolean?
                      doc: Take away what the watershed left of dura, by graph cuts.
                      inputBinding:
                        prefix: -gcut
                    synthseg:
                      type: boolean?
                      doc: Segment by SynthSeg, a neural network.
                      inputBinding:
                        prefix: -synthseg
                    samseg:
                      type: boolean?
                      doc: Segment by SAMSEG, which adapts to the contrast of the image.
                      inputBinding:
                        prefix: -samseg
                    bigventricles:
                      type: boolean?
                      doc: Allow for large ventricles, as in old age or hydrocephalus.
                      inputBinding:
                        prefix: -bigventricles
                    nowmsa:
                      type: boolean?
                      doc: Do not label white matter lesions.
                      inputBinding:
                        prefix: -nowmsa
                    no_cerebellum:
                      type: boolean?
                      doc: The images have no cerebellum.
                      inputBinding:
                        prefix: -no-cerebellum
                    fix_mtl:
                      type: boolean?
                      doc: Keep hippocampus and amygdala out of the surfaces.
                      inputBinding:
                        prefix: -fix_mtl
                    pial_noaparc:
                      type: boolean?
                      doc: Place the pial surface without the help of the parcellation.
                      inputBinding:
                        prefix: -pial-noaparc
                    qcache:
                      type: boolean?
                      doc: Write surface measures also smoothed and on fsaverage, ready for group analysis.
                      inputBinding:
                        prefix: -qcache
                    measure:
                      type:
                      - 'null'
                      - type: array
                        items: string
                        inputBinding:
                          prefix: -measure
                      doc: The measures that qcache takes (thickness, area, volume, ...). Default is all.
                      inputBinding: {}
                    fwhm:
                      type: int?
                      doc: The only smoothing of qcache, in mm. Default is 0, 5, 10, 15, 20 and 25.
                      inputBinding:
                        prefix: -fwhm
                    target:
                      type: string?
                      doc: The average subject that qcache resamples to (default fsaverage).
                      inputBinding:
                        prefix: -target
                    label_v1:
                      type: boolean?
                      doc: Predict the primary visual cortex.
                      inputBinding:
                        prefix: -label-v1
                    vno_match_check:
                      type: boolean?
                      doc: Check that all surfaces have the same vertices.
                      inputBinding:
                        prefix: -vno-check
                    rng_seed:
                      type: int?
                      doc: The seed of random numbers (default 1234).
                      inputBinding:
                        prefix: -rng-seed
                    randomness:
                      type: boolean?
                      doc: Take random numbers from the clock, so that runs differ.
                      inputBinding:
                        prefix: -randomness
                    extra_args:
                      type: string[]?
                      doc: Further arguments for recon-all, word by word, as they stand.
                      inputBinding:
                        position: 2
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
                    unit_context: Any
                  stdout: $(inputs.subject)_recon-all.log
                  stderr: $(inputs.subject)_recon-all.err
                  outputs:
                    subject_dir:
                      type: Directory?
                      doc: The subject, as FreeSurfer keeps it (mri, surf, label, stats, scripts, ...).
                      outputBinding:
                        glob: $(inputs.subject)
                    stdout_log:
                      type: stdout
                      doc: What recon-all says.
                    stderr_log:
                      type: stderr
                      doc: What recon-all and its tools complain about.
                    exit_code:
                      type: int
                      outputBinding:
                        outputEval: $(runtime.exitCode)
                    used:
                      type: File?
                      outputBinding:
                        glob: .neurocwl-used.json
                    passed_context:
                      type: Any
                      outputBinding:
                        outputEval: $(inputs.unit_context)
                  successCodes:
                  - 0
                  - 1
                  - 2
                  - 3
                  - 4
                  - 5
                  - 6
                  - 7
                  - 8
                  - 9
                  - 10
                  - 11
                  - 12
                  - 13
                  - 14
                  - 15
                  - 16
                  - 17
                  - 18
                  - 19
                  - 20
                  - 21
                  - 22
                  - 23
                  - 24
                  - 25
                  - 26
                  - 27
                  - 28
                  - 29
                  - 30
                  - 31
                  - 32
                  - 33
                  - 34
                  - 35
                  - 36
                  - 37
                  - 38
                  - 39
                  - 40
                  - 41
                  - 42
                  - 43
                  - 44
                  - 45
                  - 46
                  - 47
                  - 48
                  - 49
                  - 50
                  - 51
                  - 52
                  - 53
                  - 54
                  - 55
                  - 56
                  - 57
                  - 58
                  - 59
                  - 60
                  - 61
                  - 62
                  - 63
                  - 64
                  - 65
                  - 66
                  - 67
                  - 68
                  - 69
                  - 70
                  - 71
                  - 72
                  - 73
                  - 74
                  - 75
                  - 76
                  - 77
                  - 78
                  - 79
                  - 80
                  - 81
                  - 82
                  - 83
                  - 84
                  - 85
                  - 86
                  - 87
                  - 88
                  - 89
                  - 90
                  - 91
                  - 92
                  - 93
                  - 94
                  - 95
                  - 96
                  - 97
                  - 98
                  - 99
                  - 100
                  - 101
                  - 102
                  - 103
                  - 104
                  - 105
                  - 106
                  - 107
                  - 108
                  - 109
                  - 110
                  - 111
                  - 112
                  - 113
                  - 114
                  - 115
                  - 116
                  - 117
                  - 118
                  - 119
                  - 120
                  - 121
                  - 122
                  - 123
                  - 124
                  - 125
                  - 126
                  - 127
                  - 128
                  - 129
                  - 130
                  - 131
                  - 132
                  - 133
                  - 134
                  - 135
                  - 136
                  - 137
                  - 138
                  - 139
                  - 140
                  - 141
                  - 142
                  - 143
                  - 144
                  - 145
                  - 146
                  - 147
                  - 148
                  - 149
                  - 150
                  - 151
                  - 152
                  - 153
                  - 154
                  - 155
                  - 156
                  - 157
                  - 158
                  - 159
                  - 160
                  - 161
                  - 162
                  - 163
                  - 164
                  - 165
                  - 166
                  - 167
                  - 168
                  - 169
                  - 170
                  - 171
                  - 172
                  - 173
                  - 174
                  - 175
                  - 176
                  - 177
                  - 178
                  - 179
                  - 180
                  - 181
                  - 182
                  - 183
                  - 184
                  - 185
                  - 186
                  - 187
                  - 188
                  - 189
                  - 190
                  - 191
                  - 192
                  - 193
                  - 194
                  - 195
                  - 196
                  - 197
                  - 198
                  - 199
                  - 200
                  - 201
                  - 202
                  - 203
                  - 204
                  - 205
                  - 206
                  - 207
                  - 208
                  - 209
                  - 210
                  - 211
                  - 212
                  - 213
                  - 214
                  - 215
                  - 216
                  - 217
                  - 218
                  - 219
                  - 220
                  - 221
                  - 222
                  - 223
                  - 224
                  - 225
                  - 226
                  - 227
                  - 228
                  - 229
                  - 230
                  - 231
                  - 232
                  - 233
                  - 234
                  - 235
                  - 236
                  - 237
                  - 238
                  - 239
                  - 240
                  - 241
                  - 242
                  - 243
                  - 244
                  - 245
                  - 246
                  - 247
                  - 248
                  - 249
                  - 250
                  - 251
                  - 252
                  - 253
                  - 254
                  - 255
                scatter:
                - subject
                - t1w
                - t2
                - flair
                scatterMethod: dotproduct
                in:
                  subject:
                    source: sessions
                    valueFrom: $(self.subject)
                  t1w:
                    source: sessions
                    valueFrom: $(self.t1w)
                  t2:
                    source: sessions
                    valueFrom: $(self.t2)
                  flair:
                    source: sessions
                    valueFrom: $(self.flair)
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
                  unit_context: unit_context
                out:
                - subject_dir
                - stdout_log
                - stderr_log
                - exit_code
                - used
              template:
                run:
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
                        NEUROCWL_UNIT: $(inputs.unit_context.unit)
                    InitialWorkDirRequirement:
                      listing:
                      - class: File
                        basename: from_finished.sh
                        contents:
                          $include: ../../toolwrappers/from_finished.sh
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
                        freesurfer:
                          version:
                          - 7.4.1
                          specs:
                          - https://identifiers.org/RRID:SCR_001847
                  baseCommand:
                  - sh
                  - from_finished.sh
                  arguments:
                  - position: -7
                    valueFrom: recon-all
                  - position: -6
                    prefix: -sd
                    valueFrom: $(runtime.outdir)
                  - position: -3
                    valueFrom: -all
                  - position: 1
                    prefix: -threads
                    valueFrom: $(runtime.cores)
                  - position: 1
                    prefix: -itkthreads
                    valueFrom: $(runtime.cores)
                  inputs:
                    subject:
                      type: string
                      doc: |
                        The name of the template, and of the folder with its results; not that of a time point. Letters, digits,
                        "-", "_" and "." only.
                      inputBinding:
                        position: -5
                        prefix: -base
                    timepoints:
                      type:
                        type: array
                        items: string
                        inputBinding:
                          prefix: -tp
                      doc: The names of the cross-sectional runs, in the order of time.
                      inputBinding:
                        position: -4
                    subjects:
                      type:
                      - 'null'
                      - type: array
                        items:
                        - 'null'
                        - Directory
                      doc: The folders of the cross-sectional runs, each called as its time point. Nothing is 
                        written into them.
                      inputBinding:
                        position: -9
                    fs_license:
                      type: File
                      doc: The FreeSurfer licence file. Free of charge from 
                        https://surfer.nmr.mgh.harvard.edu/registration.html.
                    parallel:
                      type: boolean?
                      doc: Work on both hemispheres at once.
                      inputBinding:
                        prefix: -parallel
                    hires:
                      type: boolean?
                      doc: Keep the resolution of images finer than 1 mm, as in the cross-sectional runs.
                      inputBinding:
                        prefix: -hires
                    three_tesla:
                      type: boolean?
                      doc: The images are from a 3 T scanner (-3T), as in the cross-sectional runs.
                      inputBinding:
                        prefix: -3T
                    bigventricles:
                      type: boolean?
                      doc: Allow for large ventricles, as in old age or hydrocephalus.
                      inputBinding:
                        prefix: -bigventricles
                    expert:
                      type: File?
                      doc: A file of expert options, one line for each of recon-all's commands that gets some.
                      inputBinding:
                        prefix: -expert
                    extra_args:
                      type: string[]?
                      doc: Further arguments for recon-all, word by word, as they stand.
                      inputBinding:
                        position: 2
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
                    unit_context: Any
                  stdout: $(inputs.subject)_recon-all-base.log
                  stderr: $(inputs.subject)_recon-all-base.err
                  outputs:
                    base:
                      type: Directory?
                      doc: The template, as FreeSurfer keeps it.
                      outputBinding:
                        glob: $(inputs.subject)
                    stdout_log:
                      type: stdout
                      doc: What recon-all says.
                    stderr_log:
                      type: stderr
                      doc: What recon-all and its tools complain about.
                    exit_code:
                      type: int
                      outputBinding:
                        outputEval: $(runtime.exitCode)
                    used:
                      type: File?
                      outputBinding:
                        glob: .neurocwl-used.json
                    passed_context:
                      type: Any
                      outputBinding:
                        outputEval: $(inputs.unit_context)
                  successCodes:
                  - 0
                  - 1
                  - 2
                  - 3
                  - 4
                  - 5
                  - 6
                  - 7
                  - 8
                  - 9
                  - 10
                  - 11
                  - 12
                  - 13
                  - 14
                  - 15
                  - 16
                  - 17
                  - 18
                  - 19
                  - 20
                  - 21
                  - 22
                  - 23
                  - 24
                  - 25
                  - 26
                  - 27
                  - 28
                  - 29
                  - 30
                  - 31
                  - 32
                  - 33
                  - 34
                  - 35
                  - 36
                  - 37
                  - 38
                  - 39
                  - 40
                  - 41
                  - 42
                  - 43
                  - 44
                  - 45
                  - 46
                  - 47
                  - 48
                  - 49
                  - 50
                  - 51
                  - 52
                  - 53
                  - 54
                  - 55
                  - 56
                  - 57
                  - 58
                  - 59
                  - 60
                  - 61
                  - 62
                  - 63
                  - 64
                  - 65
                  - 66
                  - 67
                  - 68
                  - 69
                  - 70
                  - 71
                  - 72
                  - 73
                  - 74
                  - 75
                  - 76
                  - 77
                  - 78
                  - 79
                  - 80
                  - 81
                  - 82
                  - 83
                  - 84
                  - 85
                  - 86
                  - 87
                  - 88
                  - 89
                  - 90
                  - 91
                  - 92
                  - 93
                  - 94
                  - 95
                  - 96
                  - 97
                  - 98
                  - 99
                  - 100
                  - 101
                  - 102
                  - 103
                  - 104
                  - 105
                  - 106
                  - 107
                  - 108
                  - 109
                  - 110
                  - 111
                  - 112
                  - 113
                  - 114
                  - 115
                  - 116
                  - 117
                  - 118
                  - 119
                  - 120
                  - 121
                  - 122
                  - 123
                  - 124
                  - 125
                  - 126
                  - 127
                  - 128
                  - 129
                  - 130
                  - 131
                  - 132
                  - 133
                  - 134
                  - 135
                  - 136
                  - 137
                  - 138
                  - 139
                  - 140
                  - 141
                  - 142
                  - 143
                  - 144
                  - 145
                  - 146
                  - 147
                  - 148
                  - 149
                  - 150
                  - 151
                  - 152
                  - 153
                  - 154
                  - 155
                  - 156
                  - 157
                  - 158
                  - 159
                  - 160
                  - 161
                  - 162
                  - 163
                  - 164
                  - 165
                  - 166
                  - 167
                  - 168
                  - 169
                  - 170
                  - 171
                  - 172
                  - 173
                  - 174
                  - 175
                  - 176
                  - 177
                  - 178
                  - 179
                  - 180
                  - 181
                  - 182
                  - 183
                  - 184
                  - 185
                  - 186
                  - 187
                  - 188
                  - 189
                  - 190
                  - 191
                  - 192
                  - 193
                  - 194
                  - 195
                  - 196
                  - 197
                  - 198
                  - 199
                  - 200
                  - 201
                  - 202
                  - 203
                  - 204
                  - 205
                  - 206
                  - 207
                  - 208
                  - 209
                  - 210
                  - 211
                  - 212
                  - 213
                  - 214
                  - 215
                  - 216
                  - 217
                  - 218
                  - 219
                  - 220
                  - 221
                  - 222
                  - 223
                  - 224
                  - 225
                  - 226
                  - 227
                  - 228
                  - 229
                  - 230
                  - 231
                  - 232
                  - 233
                  - 234
                  - 235
                  - 236
                  - 237
                  - 238
                  - 239
                  - 240
                  - 241
                  - 242
                  - 243
                  - 244
                  - 245
                  - 246
                  - 247
                  - 248
                  - 249
                  - 250
                  - 251
                  - 252
                  - 253
                  - 254
                  - 255
                in:
                  subject: subject
                  timepoints: timepoints
                  subjects:
                    source:
                    - finished
                    - cross_sectional/subject_dir
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
                  unit_context: unit_context
                out:
                - base
                - stdout_log
                - stderr_log
                - exit_code
                - used
              longitudinal:
                run:
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
                        NEUROCWL_UNIT: $(inputs.unit_context.unit)
                    InitialWorkDirRequirement:
                      listing:
                      - class: File
                        basename: from_finished.sh
                        contents:
                          $include: ../../toolwrappers/from_finished.sh
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
                        freesurfer:
                          version:
                          - 7.4.1
                          specs:
                          - https://identifiers.org/RRID:SCR_001847
                  baseCommand:
                  - sh
                  - from_finished.sh
                  arguments:
                  - position: -7
                    valueFrom: recon-all
                  - position: -6
                    prefix: -sd
                    valueFrom: $(runtime.outdir)
                  - position: -4
                    valueFrom: $(inputs.subject)
                  - position: -3
                    valueFrom: -all
                  - position: 1
                    prefix: -threads
                    valueFrom: $(runtime.cores)
                  - position: 1
                    prefix: -itkthreads
                    valueFrom: $(runtime.cores)
                  inputs:
                    timepoint:
                      type: string
                      doc: The name of the time point's cross-sectional run.
                      inputBinding:
                        position: -5
                        prefix: -long
                    subject:
                      type: string
                      doc: The name of the template. The results are called TIMEPOINT.long.SUBJECT.
                    subjects:
                      type:
                      - 'null'
                      - type: array
                        items:
                        - 'null'
                        - Directory
                      doc: |
                        The folders of all the participant's cross-sectional runs, each called as its time point: labels are fused
                        over all of them. Nothing is written into them.
                      inputBinding:
                        position: -9
                    base:
                      type: Directory?
                      doc: The folder of the template, called as its subject. Nothing is written into it.
                      inputBinding:
                        position: -8
                    fs_license:
                      type: File
                      doc: The FreeSurfer licence file. Free of charge from 
                        https://surfer.nmr.mgh.harvard.edu/registration.html.
                    parallel:
                      type: boolean?
                      doc: Work on both hemispheres at once.
                      inputBinding:
                        prefix: -parallel
                    hires:
                      type: boolean?
                      doc: Keep the resolution of images finer than 1 mm, as in the cross-sectional runs.
                      inputBinding:
                        prefix: -hires
                    three_tesla:
                      type: boolean?
                      doc: The images are from a 3 T scanner (-3T), as in the cross-sectional runs.
                      inputBinding:
                        prefix: -3T
                    bigventricles:
                      type: boolean?
                      doc: Allow for large ventricles, as in old age or hydrocephalus.
                      inputBinding:
                        prefix: -bigventricles
                    expert:
                      type: File?
                      doc: A file of expert options, one line for each of recon-all's commands that gets some.
                      inputBinding:
                        prefix: -expert
                    t2pial:
                      type: boolean?
                      doc: Refine the pial surface with the T2-weighted image of the cross-sectional run.
                      inputBinding:
                        prefix: -T2pial
                    flairpial:
                      type: boolean?
                      doc: Refine the pial surface with the FLAIR image of the cross-sectional run.
                      inputBinding:
                        prefix: -FLAIRpial
                    qcache:
                      type: boolean?
                      doc: Write surface measures also smoothed and on fsaverage, ready for group analysis.
                      inputBinding:
                        prefix: -qcache
                    measure:
                      type:
                      - 'null'
                      - type: array
                        items: string
                        inputBinding:
                          prefix: -measure
                      doc: The measures that qcache takes (thickness, area, volume, ...). Default is all.
                      inputBinding: {}
                    fwhm:
                      type: int?
                      doc: The only smoothing of qcache, in mm. Default is 0, 5, 10, 15, 20 and 25.
                      inputBinding:
                        prefix: -fwhm
                    extra_args:
                      type: string[]?
                      doc: Further arguments for recon-all, word by word, as they stand.
                      inputBinding:
                        position: 2
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
                    unit_context: Any
                  stdout: $(inputs.timepoint).long.$(inputs.subject)_recon-all-long.log
                  stderr: $(inputs.timepoint).long.$(inputs.subject)_recon-all-long.err
                  outputs:
                    long:
                      type: Directory?
                      doc: The time point as seen from the template, as FreeSurfer keeps it.
                      outputBinding:
                        glob: $(inputs.timepoint).long.$(inputs.subject)
                    stdout_log:
                      type: stdout
                      doc: What recon-all says.
                    stderr_log:
                      type: stderr
                      doc: What recon-all and its tools complain about.
                    exit_code:
                      type: int
                      outputBinding:
                        outputEval: $(runtime.exitCode)
                    used:
                      type: File?
                      outputBinding:
                        glob: .neurocwl-used.json
                    passed_context:
                      type: Any
                      outputBinding:
                        outputEval: $(inputs.unit_context)
                  successCodes:
                  - 0
                  - 1
                  - 2
                  - 3
                  - 4
                  - 5
                  - 6
                  - 7
                  - 8
                  - 9
                  - 10
                  - 11
                  - 12
                  - 13
                  - 14
                  - 15
                  - 16
                  - 17
                  - 18
                  - 19
                  - 20
                  - 21
                  - 22
                  - 23
                  - 24
                  - 25
                  - 26
                  - 27
                  - 28
                  - 29
                  - 30
                  - 31
                  - 32
                  - 33
                  - 34
                  - 35
                  - 36
                  - 37
                  - 38
                  - 39
                  - 40
                  - 41
                  - 42
                  - 43
                  - 44
                  - 45
                  - 46
                  - 47
                  - 48
                  - 49
                  - 50
                  - 51
                  - 52
                  - 53
                  - 54
                  - 55
                  - 56
                  - 57
                  - 58
                  - 59
                  - 60
                  - 61
                  - 62
                  - 63
                  - 64
                  - 65
                  - 66
                  - 67
                  - 68
                  - 69
                  - 70
                  - 71
                  - 72
                  - 73
                  - 74
                  - 75
                  - 76
                  - 77
                  - 78
                  - 79
                  - 80
                  - 81
                  - 82
                  - 83
                  - 84
                  - 85
                  - 86
                  - 87
                  - 88
                  - 89
                  - 90
                  - 91
                  - 92
                  - 93
                  - 94
                  - 95
                  - 96
                  - 97
                  - 98
                  - 99
                  - 100
                  - 101
                  - 102
                  - 103
                  - 104
                  - 105
                  - 106
                  - 107
                  - 108
                  - 109
                  - 110
                  - 111
                  - 112
                  - 113
                  - 114
                  - 115
                  - 116
                  - 117
                  - 118
                  - 119
                  - 120
                  - 121
                  - 122
                  - 123
                  - 124
                  - 125
                  - 126
                  - 127
                  - 128
                  - 129
                  - 130
                  - 131
                  - 132
                  - 133
                  - 134
                  - 135
                  - 136
                  - 137
                  - 138
                  - 139
                  - 140
                  - 141
                  - 142
                  - 143
                  - 144
                  - 145
                  - 146
                  - 147
                  - 148
                  - 149
                  - 150
                  - 151
                  - 152
                  - 153
                  - 154
                  - 155
                  - 156
                  - 157
                  - 158
                  - 159
                  - 160
                  - 161
                  - 162
                  - 163
                  - 164
                  - 165
                  - 166
                  - 167
                  - 168
                  - 169
                  - 170
                  - 171
                  - 172
                  - 173
                  - 174
                  - 175
                  - 176
                  - 177
                  - 178
                  - 179
                  - 180
                  - 181
                  - 182
                  - 183
                  - 184
                  - 185
                  - 186
                  - 187
                  - 188
                  - 189
                  - 190
                  - 191
                  - 192
                  - 193
                  - 194
                  - 195
                  - 196
                  - 197
                  - 198
                  - 199
                  - 200
                  - 201
                  - 202
                  - 203
                  - 204
                  - 205
                  - 206
                  - 207
                  - 208
                  - 209
                  - 210
                  - 211
                  - 212
                  - 213
                  - 214
                  - 215
                  - 216
                  - 217
                  - 218
                  - 219
                  - 220
                  - 221
                  - 222
                  - 223
                  - 224
                  - 225
                  - 226
                  - 227
                  - 228
                  - 229
                  - 230
                  - 231
                  - 232
                  - 233
                  - 234
                  - 235
                  - 236
                  - 237
                  - 238
                  - 239
                  - 240
                  - 241
                  - 242
                  - 243
                  - 244
                  - 245
                  - 246
                  - 247
                  - 248
                  - 249
                  - 250
                  - 251
                  - 252
                  - 253
                  - 254
                  - 255
                scatter: timepoint
                in:
                  timepoint: timepoints
                  subject: subject
                  subjects:
                    source:
                    - finished
                    - cross_sectional/subject_dir
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
                  unit_context: unit_context
                out:
                - long
                - stdout_log
                - stderr_log
                - exit_code
                - used
            outputs:
              cross:
                type:
                - 'null'
                - type: array
                  items:
                  - 'null'
                  - Directory
                doc: The sessions by themselves, those of finished among them.
                outputSource:
                - finished
                - cross_sectional/subject_dir
                linkMerge: merge_flattened
              base:
                type: Directory?
                doc: The template.
                outputSource: template/base
              long:
                type:
                - 'null'
                - type: array
                  items:
                  - 'null'
                  - Directory
                doc: The sessions as seen from the template, each called TIMEPOINT.long.SUBJECT.
                outputSource: longitudinal/long
              logs:
                type:
                - 'null'
                - type: array
                  items:
                  - 'null'
                  - File
                doc: What every run said and complained about.
                outputSource:
                - cross_sectional/stdout_log
                - cross_sectional/stderr_log
                - template/stdout_log
                - template/stderr_log
                - longitudinal/stdout_log
                - longitudinal/stderr_log
                linkMerge: merge_flattened
              exit_code:
                type: Any
                outputSource:
                - cross_sectional/exit_code
                - template/exit_code
                - longitudinal/exit_code
                linkMerge: merge_nested
              used:
                type:
                  type: array
                  items:
                  - 'null'
                  - File
                  - type: array
                    items:
                    - 'null'
                    - File
                outputSource:
                - cross_sectional/used
                - template/used
                - longitudinal/used
                linkMerge: merge_nested
              passed_context:
                type: Any
                outputSource: unit_context
              passed_output:
                type: string
                outputSource: unit_output
              passed_run:
                type: string
                outputSource: unit_run
          in:
            unit_context:
              source: unit
              valueFrom: $(self.context)
            unit_output: output
            unit_run: run
            subject:
              source: unit
              valueFrom: $(self.subject)
            timepoints:
              source: unit
              valueFrom: $(self.timepoints)
            sessions:
              source: unit
              valueFrom: $(self.sessions)
            finished:
              source: unit
              valueFrom: $(self.finished)
            fs_license: fs_license
            parallel: parallel
            hires: hires
            three_tesla: three_tesla
            bigventricles: bigventricles
            t2pial: t2pial
            flairpial: flairpial
            qcache: qcache
            measure: measure
            fwhm: fwhm
            expert: expert
            extra_args: extra_args
            cpus: cpus
            memory_mib: memory_mib
            tmp_mib: tmp_mib
            out_mib: out_mib
            time_limit: time_limit
          out:
          - cross
          - base
          - long
          - logs
          - exit_code
          - used
          - passed_context
          - passed_output
          - passed_run
        stage_out:
          run: ../tools/stage-out.cwl
          in:
            context: tool/passed_context
            output: tool/passed_output
            run: tool/passed_run
            exit_code: tool/exit_code
            used: tool/used
            outputs:
              source:
              - tool/cross
              - tool/base
              - tool/long
              linkMerge: merge_nested
            logs:
              source:
              - tool/logs
              linkMerge: merge_nested
            delivery:
              default:
                pipeline: recon-all-longitudinal
                deliver: success
                outputs:
                - "*"
                - "*"
                - "*"
                expect:
                - "{unit}/scripts/recon-all.done"
                - "{unit}/base-tps"
                - "{unit}_ses-*.long.{unit}/scripts/recon-all.done"
                forbid:
                - "*/scripts/recon-all.error"
                - "*/scripts/IsRunning*"
                shared: []
                resume:
                - "sub-{participant}_ses-*"
          out:
          - receipt
      outputs:
        receipt:
          type: File
          outputSource: stage_out/receipt
outputs:
  receipts:
    type:
      type: array
      items: File
    doc: The receipt of each unit.
    outputSource: per_unit/receipt
