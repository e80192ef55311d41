#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Group tables of FreeSurfer's statistics
doc: |
  Gathers SUBJECT/stats/*.stats of many FreeSurfer subjects into TSV tables with data dictionaries, one row for each
  subject, with the columns and values of asegstats2table and aparcstats2table. Files that are missing, cut off or
  damaged are named in problems.tsv, and their values are n/a. Runs without a container.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: freesurfer_tables.py
        contents: {$include: ../../toolwrappers/freesurfer_tables.py}

hints:
  ResourceRequirement:
    coresMin: $(inputs.cpus)
    ramMin: $(inputs.memory_mib)
    tmpdirMin: $(inputs.tmp_mib)
    outdirMin: $(inputs.out_mib)
  ToolTimeLimit:
    timelimit: $(inputs.time_limit)
  SoftwareRequirement:
    packages:
      python: {version: ["3.11"], specs: ["https://identifiers.org/RRID:SCR_008394"]}

baseCommand: [python3, freesurfer_tables.py]
arguments:
  - {position: 2, valueFrom: group}

inputs:
  results:
    type: Directory
    doc: The statistics of all subjects, at their paths below the subjects directory.
    inputBinding: {position: 1}

  # Resources
  cpus:
    type: int
    default: 1
    doc: CPUs.
  memory_mib:
    type: int
    default: 512
    doc: Memory in MiB.
  tmp_mib:
    type: int
    default: 1024
    doc: Disk for the statistics, in MiB.
  out_mib:
    type: int
    default: 64
    doc: Disk for the tables, in MiB.
  time_limit:
    type: int
    default: 3600
    doc: Seconds after which the run is stopped; 0 is no limit.

stdout: freesurfer-tables.log
stderr: freesurfer-tables.err

outputs:
  tables:
    type: Directory
    doc: The tables, their data dictionaries and problems.tsv.
    outputBinding: {glob: group}
  stdout_log:
    type: stdout
    doc: What the script says.
  stderr_log:
    type: stderr
    doc: What the script complains about.
