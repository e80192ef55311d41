#!/usr/bin/env cwl-runner
# Written by `neurocwl pipelines build fmriprep-sessions` from its tool and its job template.
cwlVersion: v1.2
class: Workflow
label: 'fMRIPrep, each session by itself: every unit of a dataset'
doc: |
  Runs fMRIPrep 25.2 (https://fmriprep.org) on one participant of a BIDS dataset: anatomical
  reconstruction, susceptibility and head-motion correction, registration to template spaces, confounds
  and a visual report. Options that are not given keep fMRIPrep's own default, which the documentation of
  each input names. Nothing is sent to the developers (--notrack) and nothing is downloaded: output spaces
  are limited to the TemplateFlow templates in the image.

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
          "bids_dir":
            type: Directory
            doc: The BIDS dataset, or the part of it that belongs to the participant.
          "participant_label":
            type: string
            doc: The participant to process, without "sub-".
          "session_label":
            type: string[]?
            doc: Sessions to process, without "ses-". Default is every session.
          "fs_subjects_dir":
            type: Directory?
            doc: |
              FreeSurfer results of this participant to build on, as a subjects directory. It is copied, missing steps
              are computed in the copy, and the copy is not among the outputs.
          "continue_from":
            type: Directory?
            doc: |
              FreeSurfer subjects of an earlier run that was cut off, as a subjects directory. The copy is among the
              outputs, as if this run had made it; steps whose files are there are not run again. For output layout bids;
              no scripts/IsRunning may be in it, and no file that is half written.
          "derivatives":
            type: Directory[]?
            doc: |
              Derivatives made before, to be used instead of computing them anew. The name of each folder is taken as
              the name of the package that made it (smriprep, fmriprep, ...), so the names must differ.
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
    doc: |
      The FreeSurfer licence file. Free of charge from https://surfer.nmr.mgh.harvard.edu/registration.html;
      fMRIPrep needs it even without surface reconstruction.
  task_id:
    type: string?
    doc: The only task whose BOLD runs are processed. Default is every task.
  echo_idx:
    type: int?
    doc: The only echo of multi-echo runs that is processed. Default is all echoes, combined.
  bids_filter_file:
    type: File?
    doc: A JSON file of PyBIDS filters that choose the images, by query (t1w, t2w, bold, sbref, fmap, ...).
  skip_bids_validation:
    type: boolean
    default: true
    doc: |
      Take the dataset as valid BIDS. The validator looks at a whole dataset: run it once, before, and not
      again for each participant, of whom a folder with a part of the dataset would fail it.
  no_track_sessions:
    type: boolean?
    doc: Leave the session labels out of the names of FreeSurfer subjects.
  output_layout:
    type:
    - 'null'
    - type: enum
      symbols:
      - bids
      - legacy
    doc: |
      Where things lie (default bids). bids puts the derivatives at the root and FreeSurfer's results into
      sourcedata/freesurfer; legacy puts them into fmriprep/ and freesurfer/.
  anat_only:
    type: boolean?
    doc: Process the anatomical images only.
  level:
    type:
    - 'null'
    - type: enum
      symbols:
      - minimal
      - resampling
      - full
    doc: |
      How many outputs are written (default full). minimal keeps what cannot be recomputed, resampling also
      what helps to resample, full everything.
  ignore:
    type: string[]?
    doc: |
      Parts of the dataset, or steps, to leave out. One or more of fieldmaps, slicetiming, sbref, t2w, flair and
      fmap-jacobian.
  force:
    type: string[]?
    doc: |
      Choices that are made whatever fMRIPrep would find best. One or more of bbr or no-bbr (boundary-based
      registration of BOLD to T1w), syn-sdc (fieldmap-less correction besides the fieldmaps) and fmap-jacobian
      (Jacobian weighting with every kind of fieldmap).
  sloppy:
    type: boolean?
    doc: Compute with poor quality and fast, for trying things out; the results are of no other use.
  low_mem:
    type: boolean?
    doc: Use less memory and more disk.
  omp_nthreads:
    type: int?
    doc: Threads of a single process. Default follows from the number of CPUs, at most 8.
  random_seed:
    type: int?
    doc: The seed of all random numbers, for runs that can be repeated. Default is a new one every time.
  stop_on_first_crash:
    type: boolean?
    doc: Stop at the first step that fails. Default is to finish what does not depend on it.
  skull_strip_t1w:
    type:
    - 'null'
    - type: enum
      symbols:
      - auto
      - skip
      - force
    doc: Whether the T1w image gets its skull stripped (default force); auto looks whether it was already.
  skull_strip_template:
    type: string?
    doc: The TemplateFlow template for skull stripping (default OASIS30ANTs).
  skull_strip_fixed_seed:
    type: boolean?
    doc: Use a fixed seed in skull stripping; runs repeat exactly with one thread and a random seed of their 
      own.
  fs_no_reconall:
    type: boolean?
    doc: Leave out FreeSurfer's surface reconstruction, which takes most of the time.
  fs_no_resume:
    type: boolean?
    doc: Use the FreeSurfer results as they are, complete or not.
  no_submm_recon:
    type: boolean?
    doc: Reconstruct surfaces at 1 mm, also where the T1w image is finer.
  no_msm:
    type: boolean?
    doc: Leave out the surface registration by MSMSulc.
  dummy_scans:
    type: int?
    doc: The number of volumes at the start that are not in steady state. Default is to detect them.
  slice_time_ref:
    type: double?
    doc: The time to which slices are shifted, as a fraction of the acquisition, 0 to 1 (default 0.5).
  bold2anat_init:
    type:
    - 'null'
    - type: enum
      symbols:
      - auto
      - t1w
      - t2w
      - header
    doc: |
      What BOLD is first registered to (default auto). auto takes the T2w image if there is one and the T1w
      image otherwise; header trusts the positions in the file headers.
  bold2anat_dof:
    type:
    - 'null'
    - type: enum
      symbols:
      - '6'
      - '9'
      - '12'
    doc: Degrees of freedom of the registration of BOLD to the anatomical image (default 6).
  me_t2s_fit_method:
    type:
    - 'null'
    - type: enum
      symbols:
      - curvefit
      - loglin
    doc: How T2* is fitted to multi-echo data (default curvefit); loglin is quicker and takes less memory.
  use_syn_sdc:
    type:
    - 'null'
    - type: enum
      symbols:
      - warn
      - error
    doc: Correct distortion without a fieldmap where there is none; warn or fail where that is impossible.
  fallback_total_readout_time:
    type: string?
    doc: Seconds, or "estimated", for fieldmaps whose total readout time is not known.
  fmap_bspline:
    type: boolean?
    doc: Fit a B-spline field to fieldmaps (experimental).
  fmap_no_demean:
    type: boolean?
    doc: Keep the median of fieldmaps.
  output_spaces:
    type: string[]?
    doc: |
      Spaces to resample to, such as MNI152NLin2009cAsym:res-2, fsaverage, fsLR, anat or func. Default is
      MNI152NLin2009cAsym at the resolution of the images. For no resampled BOLD at all give
      `--output-spaces` in extra_args, with nothing after it.
  cifti_output:
    type:
    - 'null'
    - type: enum
      symbols:
      - 91k
      - 170k
    doc: Write BOLD also as CIFTI dense time series, of 91k (2 mm) or 170k (1.6 mm) grayordinates.
  project_goodvoxels:
    type: boolean?
    doc: Keep voxels of unusually variable signal out of surface outputs.
  medial_surface_nan:
    type: boolean?
    doc: Fill the medial wall of surface outputs with NaN.
  me_output_echos:
    type: boolean?
    doc: Write each echo of multi-echo runs, corrected, as tedana takes them.
  return_all_components:
    type: boolean?
    doc: Write all CompCor components, not only those that explain half of the variance.
  fd_spike_threshold:
    type: double?
    doc: Framewise displacement, in mm, above which a volume is marked as an outlier (default 0.5).
  dvars_spike_threshold:
    type: double?
    doc: Standardised DVARS above which a volume is marked as an outlier (default 1.5).
  aggregate_session_reports:
    type: int?
    doc: The number of sessions up to which a participant has a single report (default 4).
  md_only_boilerplate:
    type: boolean?
    doc: Write the methods text as Markdown only, not as HTML and LaTeX.
  write_graph:
    type: boolean?
    doc: Write the graph of the workflow.
  resource_monitor:
    type: boolean?
    doc: Record the memory and CPU of every step.
  track_carbon:
    type: boolean?
    doc: Estimate the carbon dioxide of the run, with CodeCarbon.
  country_code:
    type: string?
    doc: The country whose electricity track_carbon reckons with, as an ISO code of three letters (default 
      CAN).
  debug:
    type: string[]?
    doc: Parts whose intermediate results are kept for inspection. One or both of compcor and fieldmaps.
  verbose:
    type:
    - 'null'
    - type: enum
      symbols:
      - v
      - vv
      - vvv
    doc: How much the log says; more letters say more.
  extra_args:
    type: string[]?
    doc: Further arguments for fmriprep, word by word, as they stand.
  cpus:
    type: int
    default: 8
    doc: CPUs. Little is gained past 16.
  memory_mib:
    type: int
    default: 28672
    doc: Memory in MiB; fMRIPrep plans its steps with it. 8192 is the least without surfaces.
  tmp_mib:
    type: int
    default: 51200
    doc: Disk for the working directory, in MiB.
  out_mib:
    type: int
    default: 20480
    doc: Disk for the outputs, in MiB.
  time_limit:
    type: int
    default: 259200
    doc: Seconds after which the run is stopped; 0 is no limit.
steps:
  per_unit:
    scatter: unit
    in:
      unit: units
      output: output
      run: run
      fs_license: fs_license
      task_id: task_id
      echo_idx: echo_idx
      bids_filter_file: bids_filter_file
      skip_bids_validation: skip_bids_validation
      no_track_sessions: no_track_sessions
      output_layout: output_layout
      anat_only: anat_only
      level: level
      ignore: ignore
      force: force
      sloppy: sloppy
      low_mem: low_mem
      omp_nthreads: omp_nthreads
      random_seed: random_seed
      stop_on_first_crash: stop_on_first_crash
      skull_strip_t1w: skull_strip_t1w
      skull_strip_template: skull_strip_template
      skull_strip_fixed_seed: skull_strip_fixed_seed
      fs_no_reconall: fs_no_reconall
      fs_no_resume: fs_no_resume
      no_submm_recon: no_submm_recon
      no_msm: no_msm
      dummy_scans: dummy_scans
      slice_time_ref: slice_time_ref
      bold2anat_init: bold2anat_init
      bold2anat_dof: bold2anat_dof
      me_t2s_fit_method: me_t2s_fit_method
      use_syn_sdc: use_syn_sdc
      fallback_total_readout_time: fallback_total_readout_time
      fmap_bspline: fmap_bspline
      fmap_no_demean: fmap_no_demean
      output_spaces: output_spaces
      cifti_output: cifti_output
      project_goodvoxels: project_goodvoxels
      medial_surface_nan: medial_surface_nan
      me_output_echos: me_output_echos
      return_all_components: return_all_components
      fd_spike_threshold: fd_spike_threshold
      dvars_spike_threshold: dvars_spike_threshold
      aggregate_session_reports: aggregate_session_reports
      md_only_boilerplate: md_only_boilerplate
      write_graph: write_graph
      resource_monitor: resource_monitor
      track_carbon: track_carbon
      country_code: country_code
      debug: debug
      verbose: verbose
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
              "bids_dir":
                type: Directory
              "participant_label":
                type: string
              "session_label":
                type: string[]?
              "fs_subjects_dir":
                type: Directory?
              "continue_from":
                type: Directory?
              "derivatives":
                type: Directory[]?
        output: string
        run: string
        fs_license:
          type: File
        task_id:
          type: string?
        echo_idx:
          type: int?
        bids_filter_file:
          type: File?
        skip_bids_validation:
          type: boolean
        no_track_sessions:
          type: boolean?
        output_layout:
          type:
          - 'null'
          - type: enum
            symbols:
            - bids
            - legacy
        anat_only:
          type: boolean?
        level:
          type:
          - 'null'
          - type: enum
            symbols:
            - minimal
            - resampling
            - full
        ignore:
          type: string[]?
        force:
          type: string[]?
        sloppy:
          type: boolean?
        low_mem:
          type: boolean?
        omp_nthreads:
          type: int?
        random_seed:
          type: int?
        stop_on_first_crash:
          type: boolean?
        skull_strip_t1w:
          type:
          - 'null'
          - type: enum
            symbols:
            - auto
            - skip
            - force
        skull_strip_template:
          type: string?
        skull_strip_fixed_seed:
          type: boolean?
        fs_no_reconall:
          type: boolean?
        fs_no_resume:
          type: boolean?
        no_submm_recon:
          type: boolean?
        no_msm:
          type: boolean?
        dummy_scans:
          type: int?
        slice_time_ref:
          type: double?
        bold2anat_init:
          type:
          - 'null'
          - type: enum
            symbols:
            - auto
            - t1w
            - t2w
            - header
        bold2anat_dof:
          type:
          - 'null'
          - type: enum
            symbols:
            - '6'
            - '9'
            - '12'
        me_t2s_fit_method:
          type:
          - 'null'
          - type: enum
            symbols:
            - curvefit
            - loglin
        use_syn_sdc:
          type:
          - 'null'
          - type: enum
            symbols:
            - warn
            - error
        fallback_total_readout_time:
          type: string?
        fmap_bspline:
          type: boolean?
        fmap_no_demean:
          type: boolean?
        output_spaces:
          type: string[]?
        cifti_output:
          type:
          - 'null'
          - type: enum
            symbols:
            - 91k
            - 170k
        project_goodvoxels:
          type: boolean?
        medial_surface_nan:
          type: boolean?
        me_output_echos:
          type: boolean?
        return_all_components:
          type: boolean?
        fd_spike_threshold:
          type: double?
        dvars_spike_threshold:
          type: double?
        aggregate_session_reports:
          type: int?
        md_only_boilerplate:
          type: boolean?
        write_graph:
          type: boolean?
        resource_monitor:
          type: boolean?
        track_carbon:
          type: boolean?
        country_code:
          type: string?
        debug:
          type: string[]?
        verbose:
          type:
          - 'null'
          - type: enum
            symbols:
            - v
            - vv
            - vvv
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
            class: CommandLineTool
            label: fMRIPrep, preprocessing of functional MRI
            doc: |
              Runs fMRIPrep 25.2 (https://fmriprep.org) on one participant of a BIDS dataset: anatomical
              reconstruction, susceptibility and head-motion correction, registration to template spaces, confounds
              and a visual report. Options that are not given keep fMRIPrep's own default, which the documentation of
              each input names. Nothing is sent to the developers (--notrack) and nothing is downloaded: output spaces
              are limited to the TemplateFlow templates in the image.
            requirements:
              EnvVarRequirement:
                envDef:
                  TEMPLATEFLOW_HOME: /home/fmriprep/.cache/templateflow
                  NEUROCWL_UNIT: $(inputs.unit_context.unit)
              InitialWorkDirRequirement:
                listing:
                - entryname: subjects
                  entry: $(inputs.fs_subjects_dir)
                  writable: true
                - entryname: derivatives/sourcedata/freesurfer
                  entry: $(inputs.continue_from)
                  writable: true
            hints:
              DockerRequirement:
                dockerPull: docker.io/nipreps/fmriprep:25.2.7
              ResourceRequirement:
                coresMin: $(inputs.cpus)
                ramMin: $(inputs.memory_mib)
                tmpdirMin: $(inputs.tmp_mib)
                outdirMin: $(inputs.out_mib)
              ToolTimeLimit:
                timelimit: $(inputs.time_limit)
              SoftwareRequirement:
                packages:
                  fmriprep:
                    version:
                    - 25.2.7
                    specs:
                    - https://identifiers.org/RRID:SCR_016216
            arguments:
            - position: -2
              valueFrom: $(runtime.outdir)/derivatives
            - position: -1
              valueFrom: participant
            - --notrack
            - prefix: -w
              valueFrom: $(runtime.tmpdir)/work
            - prefix: --nprocs
              valueFrom: $(runtime.cores)
            - prefix: --mem
              valueFrom: $(runtime.ram)
            inputs:
              bids_dir:
                type: Directory
                doc: The BIDS dataset, or the part of it that belongs to the participant.
                inputBinding:
                  position: -3
              participant_label:
                type: string
                doc: The participant to process, without "sub-".
                inputBinding:
                  prefix: --participant-label
              fs_license:
                type: File
                doc: |
                  The FreeSurfer licence file. Free of charge from https://surfer.nmr.mgh.harvard.edu/registration.html;
                  fMRIPrep needs it even without surface reconstruction.
                inputBinding:
                  prefix: --fs-license-file
              session_label:
                type: string[]?
                doc: Sessions to process, without "ses-". Default is every session.
                inputBinding:
                  prefix: --session-label
              task_id:
                type: string?
                doc: The only task whose BOLD runs are processed. Default is every task.
                inputBinding:
                  prefix: --task-id=
                  separate: false
              echo_idx:
                type: int?
                doc: The only echo of multi-echo runs that is processed. Default is all echoes, combined.
                inputBinding:
                  prefix: --echo-idx=
                  separate: false
              bids_filter_file:
                type: File?
                doc: A JSON file of PyBIDS filters that choose the images, by query (t1w, t2w, bold, sbref, 
                  fmap, ...).
                inputBinding:
                  prefix: --bids-filter-file
              skip_bids_validation:
                type: boolean
                default: true
                doc: |
                  Take the dataset as valid BIDS. The validator looks at a whole dataset: run it once, before, and not
                  again for each participant, of whom a folder with a part of the dataset would fail it.
                inputBinding:
                  prefix: --skip-bids-validation
              subject_anatomical_reference:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - first-lex
                  - unbiased
                  - sessionwise
                doc: |
                  The anatomical reference of a participant with several T1w images (default first-lex). first-lex is the
                  first image by name; unbiased is an average that favours none; sessionwise treats each session by itself.
                inputBinding:
                  prefix: --subject-anatomical-reference
              no_track_sessions:
                type: boolean?
                doc: Leave the session labels out of the names of FreeSurfer subjects.
                inputBinding:
                  prefix: --no-track-sessions
              output_layout:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - bids
                  - legacy
                doc: |
                  Where things lie (default bids). bids puts the derivatives at the root and FreeSurfer's results into
                  sourcedata/freesurfer; legacy puts them into fmriprep/ and freesurfer/.
                inputBinding:
                  prefix: --output-layout
              derivatives:
                type: Directory[]?
                doc: |
                  Derivatives made before, to be used instead of computing them anew. The name of each folder is taken as
                  the name of the package that made it (smriprep, fmriprep, ...), so the names must differ.
                inputBinding:
                  prefix: --derivatives
              anat_only:
                type: boolean?
                doc: Process the anatomical images only.
                inputBinding:
                  prefix: --anat-only
              level:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - minimal
                  - resampling
                  - full
                doc: |
                  How many outputs are written (default full). minimal keeps what cannot be recomputed, resampling also
                  what helps to resample, full everything.
                inputBinding:
                  prefix: --level
              ignore:
                type: string[]?
                doc: |
                  Parts of the dataset, or steps, to leave out. One or more of fieldmaps, slicetiming, sbref, t2w, flair and
                  fmap-jacobian.
                inputBinding:
                  prefix: --ignore
              force:
                type: string[]?
                doc: |
                  Choices that are made whatever fMRIPrep would find best. One or more of bbr or no-bbr (boundary-based
                  registration of BOLD to T1w), syn-sdc (fieldmap-less correction besides the fieldmaps) and fmap-jacobian
                  (Jacobian weighting with every kind of fieldmap).
                inputBinding:
                  prefix: --force
              sloppy:
                type: boolean?
                doc: Compute with poor quality and fast, for trying things out; the results are of no other 
                  use.
                inputBinding:
                  prefix: --sloppy
              low_mem:
                type: boolean?
                doc: Use less memory and more disk.
                inputBinding:
                  prefix: --low-mem
              omp_nthreads:
                type: int?
                doc: Threads of a single process. Default follows from the number of CPUs, at most 8.
                inputBinding:
                  prefix: --omp-nthreads=
                  separate: false
              random_seed:
                type: int?
                doc: The seed of all random numbers, for runs that can be repeated. Default is a new one every
                  time.
                inputBinding:
                  prefix: --random-seed=
                  separate: false
              stop_on_first_crash:
                type: boolean?
                doc: Stop at the first step that fails. Default is to finish what does not depend on it.
                inputBinding:
                  prefix: --stop-on-first-crash
              skull_strip_t1w:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - auto
                  - skip
                  - force
                doc: Whether the T1w image gets its skull stripped (default force); auto looks whether it was 
                  already.
                inputBinding:
                  prefix: --skull-strip-t1w
              skull_strip_template:
                type: string?
                doc: The TemplateFlow template for skull stripping (default OASIS30ANTs).
                inputBinding:
                  prefix: --skull-strip-template=
                  separate: false
              skull_strip_fixed_seed:
                type: boolean?
                doc: Use a fixed seed in skull stripping; runs repeat exactly with one thread and a random 
                  seed of their own.
                inputBinding:
                  prefix: --skull-strip-fixed-seed
              fs_no_reconall:
                type: boolean?
                doc: Leave out FreeSurfer's surface reconstruction, which takes most of the time.
                inputBinding:
                  prefix: --fs-no-reconall
              fs_subjects_dir:
                type: Directory?
                doc: |
                  FreeSurfer results of this participant to build on, as a subjects directory. It is copied, missing steps
                  are computed in the copy, and the copy is not among the outputs.
                inputBinding:
                  prefix: --fs-subjects-dir
              continue_from:
                type: Directory?
                doc: |
                  FreeSurfer subjects of an earlier run that was cut off, as a subjects directory. The copy is among the
                  outputs, as if this run had made it; steps whose files are there are not run again. For output layout bids;
                  no scripts/IsRunning may be in it, and no file that is half written.
              fs_no_resume:
                type: boolean?
                doc: Use the FreeSurfer results as they are, complete or not.
                inputBinding:
                  prefix: --fs-no-resume
              no_submm_recon:
                type: boolean?
                doc: Reconstruct surfaces at 1 mm, also where the T1w image is finer.
                inputBinding:
                  prefix: --no-submm-recon
              no_msm:
                type: boolean?
                doc: Leave out the surface registration by MSMSulc.
                inputBinding:
                  prefix: --no-msm
              dummy_scans:
                type: int?
                doc: The number of volumes at the start that are not in steady state. Default is to detect 
                  them.
                inputBinding:
                  prefix: --dummy-scans=
                  separate: false
              slice_time_ref:
                type: double?
                doc: The time to which slices are shifted, as a fraction of the acquisition, 0 to 1 (default 
                  0.5).
                inputBinding:
                  prefix: --slice-time-ref=
                  separate: false
              bold2anat_init:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - auto
                  - t1w
                  - t2w
                  - header
                doc: |
                  What BOLD is first registered to (default auto). auto takes the T2w image if there is one and the T1w
                  image otherwise; header trusts the positions in the file headers.
                inputBinding:
                  prefix: --bold2anat-init
              bold2anat_dof:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - '6'
                  - '9'
                  - '12'
                doc: Degrees of freedom of the registration of BOLD to the anatomical image (default 6).
                inputBinding:
                  prefix: --bold2anat-dof
              me_t2s_fit_method:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - curvefit
                  - loglin
                doc: How T2* is fitted to multi-echo data (default curvefit); loglin is quicker and takes less
                  memory.
                inputBinding:
                  prefix: --me-t2s-fit-method
              use_syn_sdc:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - warn
                  - error
                doc: Correct distortion without a fieldmap where there is none; warn or fail where that is 
                  impossible.
                inputBinding:
                  prefix: --use-syn-sdc
              fallback_total_readout_time:
                type: string?
                doc: Seconds, or "estimated", for fieldmaps whose total readout time is not known.
                inputBinding:
                  prefix: --fallback-total-readout-time=
                  separate: false
              fmap_bspline:
                type: boolean?
                doc: Fit a B-spline field to fieldmaps (experimental).
                inputBinding:
                  prefix: --fmap-bspline
              fmap_no_demean:
                type: boolean?
                doc: Keep the median of fieldmaps.
                inputBinding:
                  prefix: --fmap-no-demean
              output_spaces:
                type: string[]?
                doc: |
                  Spaces to resample to, such as MNI152NLin2009cAsym:res-2, fsaverage, fsLR, anat or func. Default is
                  MNI152NLin2009cAsym at the resolution of the images. For no resampled BOLD at all give
                  `--output-spaces` in extra_args, with nothing after it.
                inputBinding:
                  prefix: --output-spaces
              cifti_output:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - 91k
                  - 170k
                doc: Write BOLD also as CIFTI dense time series, of 91k (2 mm) or 170k (1.6 mm) grayordinates.
                inputBinding:
                  prefix: --cifti-output
              project_goodvoxels:
                type: boolean?
                doc: Keep voxels of unusually variable signal out of surface outputs.
                inputBinding:
                  prefix: --project-goodvoxels
              medial_surface_nan:
                type: boolean?
                doc: Fill the medial wall of surface outputs with NaN.
                inputBinding:
                  prefix: --medial-surface-nan
              me_output_echos:
                type: boolean?
                doc: Write each echo of multi-echo runs, corrected, as tedana takes them.
                inputBinding:
                  prefix: --me-output-echos
              return_all_components:
                type: boolean?
                doc: Write all CompCor components, not only those that explain half of the variance.
                inputBinding:
                  prefix: --return-all-components
              fd_spike_threshold:
                type: double?
                doc: Framewise displacement, in mm, above which a volume is marked as an outlier (default 
                  0.5).
                inputBinding:
                  prefix: --fd-spike-threshold=
                  separate: false
              dvars_spike_threshold:
                type: double?
                doc: Standardised DVARS above which a volume is marked as an outlier (default 1.5).
                inputBinding:
                  prefix: --dvars-spike-threshold=
                  separate: false
              aggregate_session_reports:
                type: int?
                doc: The number of sessions up to which a participant has a single report (default 4).
                inputBinding:
                  prefix: --aggregate-session-reports=
                  separate: false
              md_only_boilerplate:
                type: boolean?
                doc: Write the methods text as Markdown only, not as HTML and LaTeX.
                inputBinding:
                  prefix: --md-only-boilerplate
              write_graph:
                type: boolean?
                doc: Write the graph of the workflow.
                inputBinding:
                  prefix: --write-graph
              resource_monitor:
                type: boolean?
                doc: Record the memory and CPU of every step.
                inputBinding:
                  prefix: --resource-monitor
              track_carbon:
                type: boolean?
                doc: Estimate the carbon dioxide of the run, with CodeCarbon.
                inputBinding:
                  prefix: --track-carbon
              country_code:
                type: string?
                doc: The country whose electricity track_carbon reckons with, as an ISO code of three letters 
                  (default CAN).
                inputBinding:
                  prefix: --country-code=
                  separate: false
              debug:
                type: string[]?
                doc: Parts whose intermediate results are kept for inspection. One or both of compcor and 
                  fieldmaps.
                inputBinding:
                  prefix: --debug
              verbose:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - v
                  - vv
                  - vvv
                doc: How much the log says; more letters say more.
                inputBinding:
                  prefix: '-'
                  separate: false
              extra_args:
                type: string[]?
                doc: Further arguments for fmriprep, word by word, as they stand.
                inputBinding:
                  position: 1
              cpus:
                type: int
                default: 8
                doc: CPUs. Little is gained past 16.
              memory_mib:
                type: int
                default: 28672
                doc: Memory in MiB; fMRIPrep plans its steps with it. 8192 is the least without surfaces.
              tmp_mib:
                type: int
                default: 51200
                doc: Disk for the working directory, in MiB.
              out_mib:
                type: int
                default: 20480
                doc: Disk for the outputs, in MiB.
              time_limit:
                type: int
                default: 259200
                doc: Seconds after which the run is stopped; 0 is no limit.
              unit_context: Any
              unit_output: string
              unit_run: string
            stdout: fmriprep.log
            stderr: fmriprep.err
            outputs:
              out_dir:
                type: Directory?
                doc: The derivatives, as a BIDS dataset, with FreeSurfer's results (output_layout says where).
                outputBinding:
                  glob: derivatives
              stdout_log:
                type: stdout
                doc: What fMRIPrep says.
              stderr_log:
                type: stderr
                doc: What fMRIPrep and its tools complain about.
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
              passed_output:
                type: string
                outputBinding:
                  outputEval: $(inputs.unit_output)
              passed_run:
                type: string
                outputBinding:
                  outputEval: $(inputs.unit_run)
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
            unit_context:
              source: unit
              valueFrom: $(self.context)
            unit_output: output
            unit_run: run
            "bids_dir":
              source: unit
              valueFrom: $(self.bids_dir)
            "participant_label":
              source: unit
              valueFrom: $(self.participant_label)
            "session_label":
              source: unit
              valueFrom: $(self.session_label)
            "fs_subjects_dir":
              source: unit
              valueFrom: $(self.fs_subjects_dir)
            "continue_from":
              source: unit
              valueFrom: $(self.continue_from)
            "derivatives":
              source: unit
              valueFrom: $(self.derivatives)
            "subject_anatomical_reference":
              default: "sessionwise"
            fs_license: fs_license
            task_id: task_id
            echo_idx: echo_idx
            bids_filter_file: bids_filter_file
            skip_bids_validation: skip_bids_validation
            no_track_sessions: no_track_sessions
            output_layout: output_layout
            anat_only: anat_only
            level: level
            ignore: ignore
            force: force
            sloppy: sloppy
            low_mem: low_mem
            omp_nthreads: omp_nthreads
            random_seed: random_seed
            stop_on_first_crash: stop_on_first_crash
            skull_strip_t1w: skull_strip_t1w
            skull_strip_template: skull_strip_template
            skull_strip_fixed_seed: skull_strip_fixed_seed
            fs_no_reconall: fs_no_reconall
            fs_no_resume: fs_no_resume
            no_submm_recon: no_submm_recon
            no_msm: no_msm
            dummy_scans: dummy_scans
            slice_time_ref: slice_time_ref
            bold2anat_init: bold2anat_init
            bold2anat_dof: bold2anat_dof
            me_t2s_fit_method: me_t2s_fit_method
            use_syn_sdc: use_syn_sdc
            fallback_total_readout_time: fallback_total_readout_time
            fmap_bspline: fmap_bspline
            fmap_no_demean: fmap_no_demean
            output_spaces: output_spaces
            cifti_output: cifti_output
            project_goodvoxels: project_goodvoxels
            medial_surface_nan: medial_surface_nan
            me_output_echos: me_output_echos
            return_all_components: return_all_components
            fd_spike_threshold: fd_spike_threshold
            dvars_spike_threshold: dvars_spike_threshold
            aggregate_session_reports: aggregate_session_reports
            md_only_boilerplate: md_only_boilerplate
            write_graph: write_graph
            resource_monitor: resource_monitor
            track_carbon: track_carbon
            country_code: country_code
            debug: debug
            verbose: verbose
            extra_args: extra_args
            cpus: cpus
            memory_mib: memory_mib
            tmp_mib: tmp_mib
            out_mib: out_mib
            time_limit: time_limit
          out:
          - "out_dir"
          - "stdout_log"
          - "stderr_log"
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
              - tool/out_dir
              linkMerge: merge_nested
            logs:
              source:
              - tool/stdout_log
              - tool/stderr_log
              linkMerge: merge_nested
            delivery:
              default:
                pipeline: "fmriprep-sessions"
                deliver: "success"
                outputs:
                - "."
                expect:
                - "sub-{participant}_ses-{session}.html | fmriprep/sub-{participant}_ses-{session}.html"
                forbid:
                - "sub-{participant}/log/*/crash* | fmriprep/sub-{participant}/log/*/crash*"
                - "sub-{participant}/ses-*/log/*/crash* | fmriprep/sub-{participant}/ses-*/log/*/crash*"
                - "logs/crash* | fmriprep/logs/crash*"
                - "logs/report-*.err | fmriprep/logs/report-*.err"
                shared:
                - "dataset_description.json"
                - ".bidsignore"
                - "logs/CITATION.*"
                - "desc-*_dseg.tsv"
                - "sourcedata/freesurfer/fsaverage*/**"
                - "fmriprep/dataset_description.json"
                - "fmriprep/.bidsignore"
                - "fmriprep/logs/CITATION.*"
                - "fmriprep/desc-*_dseg.tsv"
                - "freesurfer/fsaverage*/**"
                resume:
                - "sourcedata/freesurfer/sub-{participant}_ses-{session}"
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
