#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: "s3-sink: deliver files by the rules of Nipype's DataSink"
doc: |
  Brings files and folders to an s3:// URL or a folder. The destination of each is base_directory, container, the folders
  that its attribute names (a.b is a/b, parts with @ are left out), and its name; then the substitutions are made, then
  the regular expressions. Runs without a container, on the worker, with the worker's own credentials. Files that are
  there already with the same bytes are not sent again. See docs/nipype.md.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: File
        basename: s3_sink.py
        contents: {$include: ../../toolwrappers/s3_sink.py}
      - class: File
        basename: worker_environment.py
        contents: {$include: ../../toolwrappers/worker_environment.py}
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
      - entryname: request.json
        entry: $(inputs)

hints:
  ResourceRequirement: {coresMin: 1, ramMin: 256, tmpdirMin: 1, outdirMin: 1}
  SoftwareRequirement:
    packages:
      python: {version: ["3.11"], specs: ["https://identifiers.org/RRID:SCR_008394"]}
  NetworkAccess: {networkAccess: true}

baseCommand: [python3, s3_sink.py, request.json]

inputs:
  base_directory:
    type: string
    doc: Where everything goes, an s3:// URL or the absolute path of a folder of the worker's.
  container:
    type: string?
    doc: A folder below it for everything, such as sub-01.
  attributes:
    type:
      type: array
      items:
        type: record
        fields:
          name: {type: string, doc: Such as motion.@par.}
          files: {type: {type: array, items: [File, Directory]}, doc: What goes there.}
    doc: The files and folders of each attribute.
  substitutions:
    type: {type: array, items: {type: array, items: string}}
    default: []
    doc: Pairs of strings to replace in destinations, in order.
  regexp_substitutions:
    type: {type: array, items: {type: array, items: string}}
    default: []
    doc: Pairs of a regular expression and its replacement, in order, after the strings.
  local_copy:
    type: string?
    doc: A folder of the worker's for a copy of everything.
  creds_path:
    type: string?
    doc: A credentials file of the worker's, where it has no keys of its own.
  encrypt:
    type: boolean?
    doc: Have S3 encrypt with keys of its own (AES256).

stdout: destinations.json
stderr: s3-sink.err

outputs:
  destinations:
    type: stdout
    doc: A JSON list of the destination of each file and folder.
  stderr_log:
    type: stderr
    doc: Why it was refused.
