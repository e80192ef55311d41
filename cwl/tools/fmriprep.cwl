#!/usr/bin/env cwl-runner
cwlVersion: v1.2
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
      # CWL engines replace HOME; under the new one TemplateFlow would find no templates and download them.
      TEMPLATEFLOW_HOME: /home/fmriprep/.cache/templateflow
  InitialWorkDirRequirement:
    listing:
      # fMRIPrep writes into it (fsaverage, recon-all's missing steps), and inputs are read-only.
      - {entryname: subjects, entry: $(inputs.fs_subjects_dir), writable: true}
      # Where fMRIPrep itself keeps FreeSurfer's subjects, and looks for them.
      - {entryname: derivatives/sourcedata/freesurfer, entry: $(inputs.continue_from), writable: true}

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
      fmriprep: {version: ["25.2.7"], specs: ["https://identifiers.org/RRID:SCR_016216"]}

# Options of several fixed words are string[]: cwltool 3.3 cannot bind an optional array of enums ("name is
# already in use").
# No baseCommand: the image's entry point is fmriprep. Several options take all words that follow, hence the
# positional arguments come first and extra_args last.
arguments:
  - {position: -2, valueFrom: $(runtime.outdir)/derivatives}
  - {position: -1, valueFrom: participant}
  - --notrack
  - {prefix: -w, valueFrom: $(runtime.tmpdir)/work}
  - {prefix: --nprocs, valueFrom: $(runtime.cores)}
  - {prefix: --mem, valueFrom: $(runtime.ram)}

inputs:
  bids_dir:
    type: Directory
    doc: The BIDS dataset, or the part of it that belongs to the participant.
    inputBinding: {position: -3}
  participant_label:
    type: string
    doc: The participant to process, without "sub-".
    inputBinding: {prefix: --participant-label}
  fs_license:
    type: File
    doc: |
      The FreeSurfer licence file. Free of charge from https://surfer.nmr.mgh.harvard.edu/registration.html;
      fMRIPrep needs it even without surface reconstruction.
    inputBinding: {prefix: --fs-license-file}

  # Which images
  session_label:
    type: string[]?
    doc: Sessions to process, without "ses-". Default is every session.
    inputBinding: {prefix: --session-label}
  task_id:
    type: string?
    doc: The only task whose BOLD runs are processed. Default is every task.
    inputBinding: {prefix: --task-id=, separate: false}
  echo_idx:
    type: int?
    doc: The only echo of multi-echo runs that is processed. Default is all echoes, combined.
    inputBinding: {prefix: --echo-idx=, separate: false}
  bids_filter_file:
    type: File?
    doc: A JSON file of PyBIDS filters that choose the images, by query (t1w, t2w, bold, sbref, fmap, ...).
    inputBinding: {prefix: --bids-filter-file}
  skip_bids_validation:
    type: boolean
    default: true
    doc: |
      Take the dataset as valid BIDS. The validator looks at a whole dataset: run it once, before, and not
      again for each participant, of whom a folder with a part of the dataset would fail it.
    inputBinding: {prefix: --skip-bids-validation}
  subject_anatomical_reference:
    type: ["null", {type: enum, symbols: [first-lex, unbiased, sessionwise]}]
    doc: |
      The anatomical reference of a participant with several T1w images (default first-lex). first-lex is the
      first image by name; unbiased is an average that favours none; sessionwise treats each session by itself.
    inputBinding: {prefix: --subject-anatomical-reference}
  no_track_sessions:
    type: boolean?
    doc: Leave the session labels out of the names of FreeSurfer subjects.
    inputBinding: {prefix: --no-track-sessions}
  output_layout:
    type: ["null", {type: enum, symbols: [bids, legacy]}]
    doc: |
      Where things lie (default bids). bids puts the derivatives at the root and FreeSurfer's results into
      sourcedata/freesurfer; legacy puts them into fmriprep/ and freesurfer/.
    inputBinding: {prefix: --output-layout}
  derivatives:
    type: Directory[]?
    doc: |
      Derivatives made before, to be used instead of computing them anew. The name of each folder is taken as
      the name of the package that made it (smriprep, fmriprep, ...), so the names must differ.
    inputBinding: {prefix: --derivatives}

  # How much to do
  anat_only:
    type: boolean?
    doc: Process the anatomical images only.
    inputBinding: {prefix: --anat-only}
  level:
    type: ["null", {type: enum, symbols: [minimal, resampling, full]}]
    doc: |
      How many outputs are written (default full). minimal keeps what cannot be recomputed, resampling also
      what helps to resample, full everything.
    inputBinding: {prefix: --level}
  ignore:
    type: string[]?
    doc: |
      Parts of the dataset, or steps, to leave out. One or more of fieldmaps, slicetiming, sbref, t2w, flair and
      fmap-jacobian.
    inputBinding: {prefix: --ignore}
  force:
    type: string[]?
    doc: |
      Choices that are made whatever fMRIPrep would find best. One or more of bbr or no-bbr (boundary-based
      registration of BOLD to T1w), syn-sdc (fieldmap-less correction besides the fieldmaps) and fmap-jacobian
      (Jacobian weighting with every kind of fieldmap).
    inputBinding: {prefix: --force}
  sloppy:
    type: boolean?
    doc: Compute with poor quality and fast, for trying things out; the results are of no other use.
    inputBinding: {prefix: --sloppy}
  low_mem:
    type: boolean?
    doc: Use less memory and more disk.
    inputBinding: {prefix: --low-mem}
  omp_nthreads:
    type: int?
    doc: Threads of a single process. Default follows from the number of CPUs, at most 8.
    inputBinding: {prefix: --omp-nthreads=, separate: false}
  random_seed:
    type: int?
    doc: The seed of all random numbers, for runs that can be repeated. Default is a new one every time.
    inputBinding: {prefix: --random-seed=, separate: false}
  stop_on_first_crash:
    type: boolean?
    doc: Stop at the first step that fails. Default is to finish what does not depend on it.
    inputBinding: {prefix: --stop-on-first-crash}

  # Anatomy
  skull_strip_t1w:
    type: ["null", {type: enum, symbols: [auto, skip, force]}]
    doc: Whether the T1w image gets its skull stripped (default force); auto looks whether it was already.
    inputBinding: {prefix: --skull-strip-t1w}
  skull_strip_template:
    type: string?
    doc: The TemplateFlow template for skull stripping (default OASIS30ANTs).
    inputBinding: {prefix: --skull-strip-template=, separate: false}
  skull_strip_fixed_seed:
    type: boolean?
    doc: Use a fixed seed in skull stripping; runs repeat exactly with one thread and a random seed of their own.
    inputBinding: {prefix: --skull-strip-fixed-seed}
  fs_no_reconall:
    type: boolean?
    doc: Leave out FreeSurfer's surface reconstruction, which takes most of the time.
    inputBinding: {prefix: --fs-no-reconall}
  fs_subjects_dir:
    type: Directory?
    doc: |
      FreeSurfer results of this participant to build on, as a subjects directory. It is copied, missing steps
      are computed in the copy, and the copy is not among the outputs.
    inputBinding: {prefix: --fs-subjects-dir}
  continue_from:
    type: Directory?
    doc: |
      FreeSurfer subjects of an earlier run that was cut off, as a subjects directory. The copy is among the
      outputs, as if this run had made it; steps whose files are there are not run again. For output layout bids;
      no scripts/IsRunning may be in it, and no file that is half written.
  fs_no_resume:
    type: boolean?
    doc: Use the FreeSurfer results as they are, complete or not.
    inputBinding: {prefix: --fs-no-resume}
  no_submm_recon:
    type: boolean?
    doc: Reconstruct surfaces at 1 mm, also where the T1w image is finer.
    inputBinding: {prefix: --no-submm-recon}
  no_msm:
    type: boolean?
    doc: Leave out the surface registration by MSMSulc.
    inputBinding: {prefix: --no-msm}

  # BOLD
  dummy_scans:
    type: int?
    doc: The number of volumes at the start that are not in steady state. Default is to detect them.
    inputBinding: {prefix: --dummy-scans=, separate: false}
  slice_time_ref:
    type: double?
    doc: The time to which slices are shifted, as a fraction of the acquisition, 0 to 1 (default 0.5).
    inputBinding: {prefix: --slice-time-ref=, separate: false}
  bold2anat_init:
    type: ["null", {type: enum, symbols: [auto, t1w, t2w, header]}]
    doc: |
      What BOLD is first registered to (default auto). auto takes the T2w image if there is one and the T1w
      image otherwise; header trusts the positions in the file headers.
    inputBinding: {prefix: --bold2anat-init}
  bold2anat_dof:
    type: ["null", {type: enum, symbols: ["6", "9", "12"]}]
    doc: Degrees of freedom of the registration of BOLD to the anatomical image (default 6).
    inputBinding: {prefix: --bold2anat-dof}
  me_t2s_fit_method:
    type: ["null", {type: enum, symbols: [curvefit, loglin]}]
    doc: How T2* is fitted to multi-echo data (default curvefit); loglin is quicker and takes less memory.
    inputBinding: {prefix: --me-t2s-fit-method}

  # Fieldmaps
  use_syn_sdc:
    type: ["null", {type: enum, symbols: [warn, error]}]
    doc: Correct distortion without a fieldmap where there is none; warn or fail where that is impossible.
    inputBinding: {prefix: --use-syn-sdc}
  fallback_total_readout_time:
    type: string?
    doc: Seconds, or "estimated", for fieldmaps whose total readout time is not known.
    inputBinding: {prefix: --fallback-total-readout-time=, separate: false}
  fmap_bspline:
    type: boolean?
    doc: Fit a B-spline field to fieldmaps (experimental).
    inputBinding: {prefix: --fmap-bspline}
  fmap_no_demean:
    type: boolean?
    doc: Keep the median of fieldmaps.
    inputBinding: {prefix: --fmap-no-demean}

  # Outputs
  output_spaces:
    type: string[]?
    doc: |
      Spaces to resample to, such as MNI152NLin2009cAsym:res-2, fsaverage, fsLR, anat or func. Default is
      MNI152NLin2009cAsym at the resolution of the images. For no resampled BOLD at all give
      `--output-spaces` in extra_args, with nothing after it.
    inputBinding: {prefix: --output-spaces}
  cifti_output:
    type: ["null", {type: enum, symbols: [91k, 170k]}]
    doc: Write BOLD also as CIFTI dense time series, of 91k (2 mm) or 170k (1.6 mm) grayordinates.
    inputBinding: {prefix: --cifti-output}
  project_goodvoxels:
    type: boolean?
    doc: Keep voxels of unusually variable signal out of surface outputs.
    inputBinding: {prefix: --project-goodvoxels}
  medial_surface_nan:
    type: boolean?
    doc: Fill the medial wall of surface outputs with NaN.
    inputBinding: {prefix: --medial-surface-nan}
  me_output_echos:
    type: boolean?
    doc: Write each echo of multi-echo runs, corrected, as tedana takes them.
    inputBinding: {prefix: --me-output-echos}
  return_all_components:
    type: boolean?
    doc: Write all CompCor components, not only those that explain half of the variance.
    inputBinding: {prefix: --return-all-components}
  fd_spike_threshold:
    type: double?
    doc: Framewise displacement, in mm, above which a volume is marked as an outlier (default 0.5).
    inputBinding: {prefix: --fd-spike-threshold=, separate: false}
  dvars_spike_threshold:
    type: double?
    doc: Standardised DVARS above which a volume is marked as an outlier (default 1.5).
    inputBinding: {prefix: --dvars-spike-threshold=, separate: false}
  aggregate_session_reports:
    type: int?
    doc: The number of sessions up to which a participant has a single report (default 4).
    inputBinding: {prefix: --aggregate-session-reports=, separate: false}
  md_only_boilerplate:
    type: boolean?
    doc: Write the methods text as Markdown only, not as HTML and LaTeX.
    inputBinding: {prefix: --md-only-boilerplate}
  write_graph:
    type: boolean?
    doc: Write the graph of the workflow.
    inputBinding: {prefix: --write-graph}
  resource_monitor:
    type: boolean?
    doc: Record the memory and CPU of every step.
    inputBinding: {prefix: --resource-monitor}
  track_carbon:
    type: boolean?
    doc: Estimate the carbon dioxide of the run, with CodeCarbon.
    inputBinding: {prefix: --track-carbon}
  country_code:
    type: string?
    doc: The country whose electricity track_carbon reckons with, as an ISO code of three letters (default CAN).
    inputBinding: {prefix: --country-code=, separate: false}
  debug:
    type: string[]?
    doc: Parts whose intermediate results are kept for inspection. One or both of compcor and fieldmaps.
    inputBinding: {prefix: --debug}
  verbose:
    type: ["null", {type: enum, symbols: [v, vv, vvv]}]
    doc: How much the log says; more letters say more.
    inputBinding: {prefix: "-", separate: false}
  extra_args:
    type: string[]?
    doc: Further arguments for fmriprep, word by word, as they stand.
    inputBinding: {position: 1}

  # Resources
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

stdout: fmriprep.log
stderr: fmriprep.err

outputs:
  out_dir:
    type: Directory
    doc: The derivatives, as a BIDS dataset, with FreeSurfer's results (output_layout says where).
    outputBinding: {glob: derivatives}
  stdout_log:
    type: stdout
    doc: What fMRIPrep says.
  stderr_log:
    type: stderr
    doc: What fMRIPrep and its tools complain about.
