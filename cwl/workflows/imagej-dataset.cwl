#!/usr/bin/env cwl-runner
# Written by `neurocwl pipelines build imagej` from its tool and its job template.
cwlVersion: v1.2
class: Workflow
label: 'an ImageJ macro over every image, many images to a job: every unit of a dataset'
doc: |
  Runs an ImageJ macro over every image of a folder, many in one JVM, on a screen and with preferences of its own.
  The macro gets "IMAGE|FOLDER|PARAMETERS" as its argument and writes into FOLDER. An image is done when what is
  expected lies there. A JVM that takes too long, or waits for an answer to a dialog, is ended; the image is tried
  once more alone, the others go on. Writes a folder for each image, called as the image, and images.tsv.
  Exit status 1: at least one image failed; the results of the others are written.

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
          images:
            type: Directory
            doc: The images, at any depth; every file counts as one.
    doc: The units to process.
  output:
    type: string
    doc: Where the derivatives go, an s3:// URL or a folder.
  run:
    type: string
    doc: The id of the run; receipts carry it.
    default: by-hand
  macro:
    type: File
    doc: |
      The macro (.ijm). It begins with split(getArgument() + " ", "|"): the image, the folder for results, the
      parameters.
  macro_parameters:
    type: string
    default: ''
    doc: The third part of the macro's argument, the same for every image.
  expect:
    type: string[]?
    doc: |
      Globs that must each match a file, not empty, at any depth of an image's folder. Default is any file: name
      them, so that half of the results does not pass for all.
  image_limit:
    type: int
    default: 1800
    doc: Time for one image, in seconds.
  idle_limit:
    type: int
    default: 60
    doc: Time without any computing after which ImageJ counts as stuck in a dialog, in seconds.
  class_path:
    type: string
    default: /usr/share/java/ij.jar
    doc: |
      ImageJ's classes in the container. /opt/prokaryote/prokaryote.jar is another build (1.51g) to compare with;
      for Fiji, "/opt/fiji/Fiji.app/jars/*:/opt/fiji/Fiji.app/plugins/*" or wherever it lies in that image.
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
steps:
  per_unit:
    scatter: unit
    in:
      unit: units
      output: output
      run: run
      macro: macro
      macro_parameters: macro_parameters
      expect: expect
      image_limit: image_limit
      idle_limit: idle_limit
      class_path: class_path
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
              images:
                type: Directory
        output: string
        run: string
        macro:
          type: File
        macro_parameters:
          type: string
        expect:
          type: string[]?
        image_limit:
          type: int
        idle_limit:
          type: int
        class_path:
          type: string
        cpus:
          type: int
        memory_mib:
          type: long
        tmp_mib:
          type: long
        out_mib:
          type: long
        time_limit:
          type: long
      steps:
        tool:
          run:
            class: CommandLineTool
            label: 'ImageJ: run a macro over many images'
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
                    contents:
                      $include: ../../toolwrappers/imagej_batch.py
                  - class: File
                    basename: screen.py
                    contents:
                      $include: ../../toolwrappers/screen.py
              EnvVarRequirement:
                envDef:
                  NEUROCWL_UNIT: $(inputs.unit_context.unit)
            hints:
              DockerRequirement:
                dockerPull: localhost/neurocwl/imagej:0.1.0
              SoftwareRequirement:
                packages:
                  imagej:
                    version:
                    - 1.53t
                    specs:
                    - https://identifiers.org/RRID:SCR_003070
                  python:
                    version:
                    - '3.11'
                    specs:
                    - https://identifiers.org/RRID:SCR_008394
                  xvfb: {}
              ResourceRequirement:
                coresMin: $(inputs.cpus)
                ramMin: $(inputs.memory_mib)
                tmpdirMin: $(inputs.tmp_mib)
                outdirMin: $(inputs.out_mib)
              ToolTimeLimit:
                timelimit: $(inputs.time_limit)
            baseCommand:
            - python3
            - scripts/imagej_batch.py
            arguments:
            - prefix: --out-dir
              valueFrom: results
            - prefix: --heap-mib
              valueFrom: $(runtime.ram)
            - prefix: --cpus
              valueFrom: $(runtime.cores)
            inputs:
              images:
                type: Directory
                doc: The images, at any depth; every file counts as one.
                inputBinding:
                  prefix: --images
              macro:
                type: File
                doc: |
                  The macro (.ijm). It begins with split(getArgument() + " ", "|"): the image, the folder for results, the
                  parameters.
                inputBinding:
                  prefix: --macro
              macro_parameters:
                type: string
                default: ''
                doc: The third part of the macro's argument, the same for every image.
                inputBinding:
                  prefix: --parameters
              expect:
                type: string[]?
                doc: |
                  Globs that must each match a file, not empty, at any depth of an image's folder. Default is any file: name
                  them, so that half of the results does not pass for all.
                inputBinding:
                  prefix: --expect
              image_limit:
                type: int
                default: 1800
                doc: Time for one image, in seconds.
                inputBinding:
                  prefix: --image-limit
              idle_limit:
                type: int
                default: 60
                doc: Time without any computing after which ImageJ counts as stuck in a dialog, in seconds.
                inputBinding:
                  prefix: --idle-limit
              class_path:
                type: string
                default: /usr/share/java/ij.jar
                doc: |
                  ImageJ's classes in the container. /opt/prokaryote/prokaryote.jar is another build (1.51g) to compare with;
                  for Fiji, "/opt/fiji/Fiji.app/jars/*:/opt/fiji/Fiji.app/plugins/*" or wherever it lies in that image.
                inputBinding:
                  prefix: --class-path
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
              unit_context: Any
              unit_output: string
              unit_run: string
            stdout: imagej-macro.log
            stderr: imagej-macro.err
            outputs:
              results:
                type: Directory?
                doc: A folder with the results of each image, and images.tsv with what became of each.
                outputBinding:
                  glob: results
              stdout_log:
                type: stdout
                doc: A line for each image as it ends.
              stderr_log:
                type: stderr
                doc: The images that failed, with the reasons.
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
            images:
              source: unit
              valueFrom: $(self.images)
            macro: macro
            macro_parameters: macro_parameters
            expect: expect
            image_limit: image_limit
            idle_limit: idle_limit
            class_path: class_path
            cpus: cpus
            memory_mib: memory_mib
            tmp_mib: tmp_mib
            out_mib: out_mib
            time_limit: time_limit
          out:
          - results
          - stdout_log
          - stderr_log
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
              - tool/results
              linkMerge: merge_nested
            logs:
              source:
              - tool/stdout_log
              - tool/stderr_log
              linkMerge: merge_nested
            delivery:
              default:
                pipeline: imagej
                deliver: always
                outputs:
                - "batches/{unit}"
                expect:
                - "batches/{unit}/images.tsv"
                forbid: []
                shared: []
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
