#!/usr/bin/env cwl-runner
# Written by `neurocwl pipelines build imagej-tables` from its tool and its job template.
cwlVersion: v1.2
class: Workflow
label: 'one table out of those of all images: every unit of a dataset'
doc: |
  Gathers the CSV and TSV tables that imagej-macro.cwl left for each image into one TSV of each kind, with the column
  image in front and a data dictionary beside it, and what became of every image into images.tsv. Columns that only
  some tables have are kept, with n/a for the others; what had to be left out is named in problems.tsv. An image in
  two batches is an error. Runs without a container.

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
          results:
            type: Directory
            doc: Results of imagej-macro.cwl, those of many batches beside each other or below each other.
    doc: The units to process.
  output:
    type: string
    doc: Where the derivatives go, an s3:// URL or a folder.
  run:
    type: string
    doc: The id of the run; receipts carry it.
    default: by-hand
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
steps:
  per_unit:
    scatter: unit
    in:
      unit: units
      output: output
      run: run
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
              results:
                type: Directory
        output: string
        run: string
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
                    contents:
                      $include: ../../toolwrappers/collate_tables.py
              EnvVarRequirement:
                envDef:
                  NEUROCWL_UNIT: $(inputs.unit_context.unit)
            hints:
              SoftwareRequirement:
                packages:
                  python:
                    version:
                    - '3.11'
                    specs:
                    - https://identifiers.org/RRID:SCR_008394
              ResourceRequirement:
                coresMin: $(inputs.cpus)
                ramMin: $(inputs.memory_mib)
                tmpdirMin: $(inputs.tmp_mib)
                outdirMin: $(inputs.out_mib)
              ToolTimeLimit:
                timelimit: $(inputs.time_limit)
            baseCommand:
            - python3
            - scripts/collate_tables.py
            arguments:
            - prefix: --out-dir
              valueFrom: tables
            inputs:
              results:
                type: Directory
                doc: Results of imagej-macro.cwl, those of many batches beside each other or below each other.
                inputBinding:
                  prefix: --results
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
              unit_context: Any
              unit_output: string
              unit_run: string
            stdout: collate-tables.log
            stderr: collate-tables.err
            outputs:
              tables:
                type: Directory?
                doc: A TSV table and a JSON data dictionary of each kind, images.tsv and problems.tsv.
                outputBinding:
                  glob: tables
              stdout_log:
                type: stdout
                doc: A line for each table, and for each column that some images lack.
              stderr_log:
                type: stderr
                doc: What had to be left out, or why it failed.
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
            results:
              source: unit
              valueFrom: $(self.results)
            cpus: cpus
            memory_mib: memory_mib
            tmp_mib: tmp_mib
            out_mib: out_mib
            time_limit: time_limit
          out:
          - tables
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
              - tool/tables
              linkMerge: merge_nested
            logs:
              source:
              - tool/stdout_log
              - tool/stderr_log
              linkMerge: merge_nested
            delivery:
              default:
                pipeline: imagej-tables
                deliver: success
                outputs:
                - "tables"
                expect:
                - "tables/images.tsv"
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
