#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Bring the files of one unit from S3 to the worker
doc: |
  Downloads many objects at once, unsigned or as requester pays where asked to. Runs without a container, on
  the worker, with the worker's own credentials. See toolwrappers/stage_in.py.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: stage_in.py
        contents: {$include: ../../toolwrappers/stage_in.py}
      - class: File
        basename: worker_environment.py
        contents: {$include: ../../toolwrappers/worker_environment.py}
      - entryname: request.json
        entry: $(inputs.request)

hints:
  ResourceRequirement: {coresMin: 1, ramMin: 512, tmpdirMin: 1, outdirMin: 1024}
  SoftwareRequirement:
    packages:
      python: {version: ["3.11"], specs: ["https://identifiers.org/RRID:SCR_008394"]}

baseCommand: [python3, stage_in.py, request.json]

inputs:
  request:
    type: string
    doc: What to bring, as JSON - access, and for each input its files as location, path and size.

stdout: stage-in.log

outputs:
  staged:
    type: Directory
    doc: A folder for each input.
    outputBinding: {glob: staged}
  log:
    type: stdout
    doc: One line that says how much was brought.
