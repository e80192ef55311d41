#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: "nipype-script: a Nipype workflow script of one's own, for one participant"
doc: |
  Runs a Python script that builds and runs a Nipype workflow. The script is called as a BIDS App is: with the dataset,
  the folder for its outputs, the word participant, and --participant-label; the same and the work folder, and the
  arguments of Nipype's MultiProc plugin, are in its environment (BIDS_DIR, OUTPUT_DIR, PARTICIPANT_LABEL, WORK_DIR,
  PLUGIN_ARGS). It can import nipype_s3, whose S3Sink and S3Grabber follow Nipype's DataSink and S3DataGrabber.
  Exit status: the script's; 1 as well when Nipype left crash files, when there are no outputs, or when outputs do not
  name the participant. Crash files are in the folder crash of the outputs, as text.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: nipype_script.py
        contents: {$include: ../../toolwrappers/nipype_script.py}
      - class: Directory
        basename: nipype_s3
        listing:
          - class: File
            basename: __init__.py
            contents: {$include: ../../toolwrappers/nipype_s3/__init__.py}
          - class: File
            basename: credentials.py
            contents: {$include: ../../toolwrappers/nipype_s3/credentials.py}
          - class: File
            basename: delivery.py
            contents: {$include: ../../toolwrappers/nipype_s3/delivery.py}
          - class: File
            basename: destinations.py
            contents: {$include: ../../toolwrappers/nipype_s3/destinations.py}
          - class: File
            basename: interfaces.py
            contents: {$include: ../../toolwrappers/nipype_s3/interfaces.py}
          - class: File
            basename: selection.py
            contents: {$include: ../../toolwrappers/nipype_s3/selection.py}

hints:
  DockerRequirement:
    dockerPull: localhost/neurocwl/nipype:0.1.0
  SoftwareRequirement:
    packages:
      nipype:
        version: ["1.11.0"]
        specs: ["https://identifiers.org/RRID:SCR_002502"]
      nibabel:
        specs: ["https://identifiers.org/RRID:SCR_002498"]
      numpy:
        specs: ["https://identifiers.org/RRID:SCR_008633"]
      scipy:
        specs: ["https://identifiers.org/RRID:SCR_008058"]
  ResourceRequirement:
    coresMin: $(inputs.cpus)
    ramMin: $(inputs.memory_mib)
    tmpdirMin: $(inputs.tmp_mib)
    outdirMin: $(inputs.out_mib)
  ToolTimeLimit:
    timelimit: $(inputs.time_limit)

baseCommand: [python3, nipype_script.py]

arguments:
  - prefix: --work-dir
    valueFrom: $(runtime.tmpdir)/work
  - position: 1
    valueFrom: --

inputs:
  script:
    type: File
    label: Nipype script
    doc: The Python script. See docs/nipype.md for how it is called.
    inputBinding:
      prefix: --script
  bids_dir:
    type: Directory
    label: BIDS dataset
    doc: BIDS dataset, or the part of it that belongs to the participant.
    inputBinding:
      prefix: --bids-dir
  participant_label:
    type: string
    label: participant label
    doc: Label of the participant, without "sub-".
    inputBinding:
      prefix: --participant-label
  modules:
    type: Directory?
    doc: A folder of Python modules that the script imports.
    inputBinding:
      prefix: --modules
  extra_args:
    type: string[]?
    doc: Further arguments for the script, word by word, as they stand.
    inputBinding:
      position: 2
  cpus:
    type: int
    default: 2
    doc: CPU cores to reserve; n_procs of Nipype's MultiProc plugin.
    inputBinding:
      prefix: --cpus
  memory_mib:
    type: long
    default: 4096
    doc: Memory to reserve, in MiB; memory_gb of Nipype's MultiProc plugin.
    inputBinding:
      prefix: --memory-mib
  tmp_mib:
    type: long
    default: 4096
    doc: Disk space to reserve for Nipype's work folder, in MiB.
  out_mib:
    type: long
    default: 2048
    doc: Disk space to reserve for the outputs, in MiB.
  time_limit:
    type: long
    default: 86400
    doc: Time after which the script is stopped, in seconds.

stdout: nipype-script.log
stderr: nipype-script.err

outputs:
  out_dir:
    type: Directory
    doc: What the script wrote to OUTPUT_DIR, and crash files.
    outputBinding:
      glob: outputs
  stdout_log:
    type: stdout
    doc: What the script and Nipype say.
  stderr_log:
    type: stderr
    doc: Errors; the last line is the reason for a failure.
