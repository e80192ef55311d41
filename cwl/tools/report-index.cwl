#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: One page that leads to every participant's report
doc: |
  Writes reports.html, a table with a link to each HTML report of a folder, its title and how many figures it shows.
  The links are relative: the page belongs where the reports lie. Runs without a container.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: report_index.py
        contents: {$include: ../../toolwrappers/report_index.py}

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

baseCommand: [python3, report_index.py]
arguments:
  - {position: 2, valueFrom: index}

inputs:
  results:
    type: Directory
    doc: The reports, at their paths below the derivatives.
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
    doc: Disk for the reports, in MiB.
  out_mib:
    type: int
    default: 64
    doc: Disk for the page, in MiB.
  time_limit:
    type: int
    default: 3600
    doc: Seconds after which the run is stopped; 0 is no limit.

stdout: report-index.log
stderr: report-index.err

outputs:
  index:
    type: Directory
    doc: The folder with reports.html.
    outputBinding: {glob: index}
  stdout_log:
    type: stdout
    doc: What the script says.
  stderr_log:
    type: stderr
    doc: What the script complains about.
