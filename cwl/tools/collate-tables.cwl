#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Gather the tables of many images into one
doc: |
  Gathers the CSV and TSV tables that imagej-macro.cwl left for each image into one TSV of each kind, with the column
  image in front and a data dictionary beside it, and what became of every image into images.tsv. Columns that only
  some tables have are kept, with n/a for the others; what had to be left out is named in problems.tsv. An image in
  two batches is an error. Runs without a container.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: Directory
        basename: scripts
        listing:
          - class: File
            basename: collate_tables.py
            contents: {$include: ../../toolwrappers/collate_tables.py}

hints:
  SoftwareRequirement:
    packages:
      python:
        version: ["3.11"]
        specs: ["https://identifiers.org/RRID:SCR_008394"]
  ResourceRequirement:
    coresMin: $(inputs.cpus)
    ramMin: $(inputs.memory_mib)
    tmpdirMin: $(inputs.tmp_mib)
    outdirMin: $(inputs.out_mib)
  ToolTimeLimit:
    timelimit: $(inputs.time_limit)

baseCommand: [python3, scripts/collate_tables.py]

arguments:
  - {prefix: --out-dir, valueFrom: tables}

inputs:
  results:
    type: Directory
    doc: Results of imagej-macro.cwl, those of many batches beside each other or below each other.
    inputBinding: {prefix: --results}
  cpus:
    type: int
    default: 1
    doc: CPU cores to reserve.
  memory_mib:
    type: long
    default: 1024
    doc: Memory to reserve, in MiB; all tables of one kind are held at once.
  tmp_mib:
    type: long
    default: 64
    doc: Temporary disk space to reserve, in MiB.
  out_mib:
    type: long
    default: 512
    doc: Disk space to reserve for the outputs, in MiB.
  time_limit:
    type: long
    default: 7200
    doc: Time after which the tool is stopped, in seconds.

stdout: collate-tables.log
stderr: collate-tables.err

outputs:
  tables:
    type: Directory
    doc: A TSV table and a JSON data dictionary of each kind, images.tsv and problems.tsv.
    outputBinding:
      glob: tables
  stdout_log:
    type: stdout
    doc: A line for each table, and for each column that some images lack.
  stderr_log:
    type: stderr
    doc: What had to be left out, or why it failed.
