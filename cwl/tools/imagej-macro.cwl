#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: "ImageJ: run a macro over many images"
doc: |
  Runs an ImageJ macro over every image of a folder, many in one JVM, on a screen and with preferences of its own.
  The macro gets "IMAGE|FOLDER|PARAMETERS" as its argument and writes into FOLDER. An image is done when what is
  expected lies there. A JVM that takes too long, or waits for an answer to a dialog, is ended; the image is tried
  once more alone, the others go on. Writes a folder for each image, called as the image, and images.tsv.
  Exit status 1: at least one image failed; the results of the others are written.

requirements:
  InitialWorkDirRequirement:
    listing:
      - class: Directory
        basename: scripts
        listing:
          - class: File
            basename: imagej_batch.py
            contents: {$include: ../../toolwrappers/imagej_batch.py}
          - class: File
            basename: screen.py
            contents: {$include: ../../toolwrappers/screen.py}

hints:
  DockerRequirement:
    dockerPull: localhost/neurocwl/imagej:0.1.0
  SoftwareRequirement:
    packages:
      imagej:
        version: ["1.53t"]
        specs: ["https://identifiers.org/RRID:SCR_003070"]
      python:
        version: ["3.11"]
        specs: ["https://identifiers.org/RRID:SCR_008394"]
      xvfb: {}
  ResourceRequirement:
    coresMin: $(inputs.cpus)
    ramMin: $(inputs.memory_mib)
    tmpdirMin: $(inputs.tmp_mib)
    outdirMin: $(inputs.out_mib)
  ToolTimeLimit:
    timelimit: $(inputs.time_limit)

baseCommand: [python3, scripts/imagej_batch.py]

arguments:
  - {prefix: --out-dir, valueFrom: results}
  - {prefix: --heap-mib, valueFrom: $(runtime.ram)}
  - {prefix: --cpus, valueFrom: $(runtime.cores)}

inputs:
  images:
    type: Directory
    doc: The images, at any depth; every file counts as one.
    inputBinding: {prefix: --images}
  macro:
    type: File
    doc: |
      The macro (.ijm). It begins with split(getArgument() + " ", "|"): the image, the folder for results, the
      parameters.
    inputBinding: {prefix: --macro}
  macro_parameters:
    type: string
    default: ""
    doc: The third part of the macro's argument, the same for every image.
    inputBinding: {prefix: --parameters}
  expect:
    type: string[]?
    doc: |
      Globs that must each match a file, not empty, at any depth of an image's folder. Default is any file: name
      them, so that half of the results does not pass for all.
    inputBinding: {prefix: --expect}
  image_limit:
    type: int
    default: 1800
    doc: Time for one image, in seconds.
    inputBinding: {prefix: --image-limit}
  idle_limit:
    type: int
    default: 60
    doc: Time without any computing after which ImageJ counts as stuck in a dialog, in seconds.
    inputBinding: {prefix: --idle-limit}
  class_path:
    type: string
    default: /usr/share/java/ij.jar
    doc: |
      ImageJ's classes in the container. /opt/prokaryote/prokaryote.jar is another build (1.51g) to compare with;
      for Fiji, "/opt/fiji/Fiji.app/jars/*:/opt/fiji/Fiji.app/plugins/*" or wherever it lies in that image.
    inputBinding: {prefix: --class-path}
  cpus:
    type: int
    default: 1
    doc: CPU cores to reserve, as many as ImageJ's filters may use.
  memory_mib:
    type: long
    default: 2048
    doc: Memory to reserve, in MiB; three quarters are Java's heap.
  tmp_mib:
    type: long
    default: 1024
    doc: Temporary disk space to reserve, in MiB.
  out_mib:
    type: long
    default: 1024
    doc: Disk space to reserve for the outputs, in MiB.
  time_limit:
    type: long
    default: 86400
    doc: Time after which the whole batch is stopped, in seconds.

stdout: imagej-macro.log
stderr: imagej-macro.err

outputs:
  results:
    type: Directory
    doc: A folder with the results of each image, and images.tsv with what became of each.
    outputBinding:
      glob: results
  stdout_log:
    type: stdout
    doc: A line for each image as it ends.
  stderr_log:
    type: stderr
    doc: The images that failed, with the reasons.
