#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Deliver the outputs of one unit and commit them by a receipt
doc: |
  Copies what a tool made to the output (an s3:// URL or a folder), with a SHA-256 of every file, and writes
  the receipt of the unit last. Runs without a container, on the worker that ran the tool, with the worker's
  own credentials. See toolwrappers/stage_out.py.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: stage_out.py
        contents: {$include: ../../toolwrappers/stage_out.py}
      - class: File
        basename: output_store.py
        contents: {$include: ../../toolwrappers/output_store.py}
      - class: File
        basename: gate.py
        contents: {$include: ../../toolwrappers/gate.py}
      - class: File
        basename: shortage.py
        contents: {$include: ../../toolwrappers/shortage.py}
      - class: File
        basename: worker_environment.py
        contents: {$include: ../../toolwrappers/worker_environment.py}
      - entryname: request.json
        entry: $(inputs)

hints:
  # Asks for no more than any tool, so that Toil runs it in the tool's own worker, at once.
  ResourceRequirement: {coresMin: 1, ramMin: 256, tmpdirMin: 1, outdirMin: 1}
  SoftwareRequirement:
    packages:
      python: {version: ["3.11"], specs: ["https://identifiers.org/RRID:SCR_008394"]}

baseCommand: [python3, stage_out.py, request.json]

inputs:
  context:
    type: Any
    doc: The unit, its participant and session, its task key and the tag of the receipt that it replaces.
  output:
    type: string
    doc: Where the derivatives go, an s3:// URL or a folder.
  run:
    type: string
    doc: The id of the run.
  exit_code:
    type: Any
    doc: The exit code of the tool; of a workflow, those of its steps, in lists of lists.
  outputs:
    type:
      type: array
      items: ["null", File, Directory, {type: array, items: ["null", File, Directory]}]
    doc: What the tool made, in the order of delivery.outputs.
  logs:
    type:
      type: array
      items: ["null", File, Directory, {type: array, items: ["null", File, Directory]}]
    doc: The tool's logs.
  delivery:
    type: Any
    doc: |
      What the job template says - places of the outputs, expected and forbidden files, shared files - and what the
      tool was given (asked).
  used:
    type:
      - "null"
      - File
      - type: array
        items: ["null", File, {type: array, items: ["null", File]}]
    doc: What the tool's container took, as toolwrappers/container_run.py wrote it; of a workflow, of each step.

stdout: stage-out.log

outputs:
  receipt:
    type: File
    doc: The receipt, as it was committed.
    outputBinding: {glob: receipt.json}
  log:
    type: stdout
    doc: One line that says what was delivered.
