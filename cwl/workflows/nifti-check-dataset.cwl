#!/usr/bin/env cwl-runner
# Written by `neurocwl pipelines build nifti-check` from its tool and its job template.
cwlVersion: v1.2
class: Workflow
label: 'open every NIfTI image whole and look for what is broken, before money is spent: every unit of a dataset'
doc: |
  Checks every .nii and .nii.gz file of one participant of a BIDS dataset before time is spent on it: truncated or
  corrupt gzip, size against header, NaN, empty and constant volumes, dimensions, affines, voxel sizes, data types,
  TR and slice timing against the sidecars (BIDS inheritance), bval and bvec against volumes, and duplicate images.
  Writes BIDS derivatives: a table with its data dictionary, a JSON report with a verdict, and a mosaic PNG for each
  readable image. Exit status 1: at least one image has an error; all outputs are written.

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
          bids_dir:
            type: Directory
            doc: |
              BIDS dataset, or the part of it that belongs to the participant: images, their sidecars, and the sidecars at
              higher levels that apply to them.
          participant_label:
            type: string
            doc: Label of the participant to check, without "sub-".
    doc: The units to process.
  output:
    type: string
    doc: Where the derivatives go, an s3:// URL or a folder.
  run:
    type: string
    doc: The id of the run; receipts carry it.
    default: by-hand
  tr_tolerance:
    type: double
    default: 0.001
    doc: Largest difference in seconds between the TR of the header and RepetitionTime of the sidecar.
  ignore:
    type: string[]?
    doc: |
      Codes of findings to leave out, such as VOXEL_SIZE_RANGE for ex vivo images. The data dictionary of the table
      lists the codes.
  cpus:
    type: int
    default: 1
    doc: CPU cores to reserve.
  memory_mib:
    type: long
    default: 2048
    doc: Memory to reserve, in MiB.
  tmp_mib:
    type: long
    default: 256
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
      tr_tolerance: tr_tolerance
      ignore: ignore
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
              bids_dir:
                type: Directory
              participant_label:
                type: string
        output: string
        run: string
        tr_tolerance:
          type: double
        ignore:
          type: string[]?
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
            label: 'nifti-check: open every NIfTI image of a participant whole'
            doc: |
              Checks every .nii and .nii.gz file of one participant of a BIDS dataset before time is spent on it: truncated or
              corrupt gzip, size against header, NaN, empty and constant volumes, dimensions, affines, voxel sizes, data types,
              TR and slice timing against the sidecars (BIDS inheritance), bval and bvec against volumes, and duplicate images.
              Writes BIDS derivatives: a table with its data dictionary, a JSON report with a verdict, and a mosaic PNG for each
              readable image. Exit status 1: at least one image has an error; all outputs are written.
            requirements:
              InitialWorkDirRequirement:
                listing:
                - class: Directory
                  basename: nifti_check
                  listing:
                  - class: File
                    basename: __init__.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/__init__.py
                  - class: File
                    basename: __main__.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/__main__.py
                  - class: File
                    basename: checks.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/checks.py
                  - class: File
                    basename: findings.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/findings.py
                  - class: File
                    basename: geometry.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/geometry.py
                  - class: File
                    basename: gradients.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/gradients.py
                  - class: File
                    basename: images.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/images.py
                  - class: File
                    basename: mosaic.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/mosaic.py
                  - class: File
                    basename: report.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/report.py
                  - class: File
                    basename: sidecars.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/sidecars.py
                  - class: File
                    basename: voxels.py
                    contents:
                      $include: ../../toolwrappers/nifti_check/voxels.py
              EnvVarRequirement:
                envDef:
                  NEUROCWL_UNIT: $(inputs.unit_context.unit)
            hints:
              DockerRequirement:
                dockerPull: localhost/neurocwl/nifti-check:0.1.0
              SoftwareRequirement:
                packages:
                  python:
                    version:
                    - '3.11'
                    specs:
                    - https://identifiers.org/RRID:SCR_008394
                  numpy:
                    specs:
                    - https://identifiers.org/RRID:SCR_008633
                  nibabel:
                    specs:
                    - https://identifiers.org/RRID:SCR_002498
                  pillow: {}
              ResourceRequirement:
                coresMin: $(inputs.cpus)
                ramMin: $(inputs.memory_mib)
                tmpdirMin: $(inputs.tmp_mib)
                outdirMin: $(inputs.out_mib)
              ToolTimeLimit:
                timelimit: $(inputs.time_limit)
            baseCommand:
            - python3
            - -m
            - nifti_check
            arguments:
            - prefix: --out-dir
              valueFrom: derivatives
            inputs:
              bids_dir:
                type: Directory
                label: BIDS dataset
                doc: |
                  BIDS dataset, or the part of it that belongs to the participant: images, their sidecars, and the sidecars at
                  higher levels that apply to them.
                inputBinding:
                  prefix: --bids-dir
              participant_label:
                type: string
                label: participant label
                doc: Label of the participant to check, without "sub-".
                inputBinding:
                  prefix: --participant-label
              tr_tolerance:
                type: double
                default: 0.001
                doc: Largest difference in seconds between the TR of the header and RepetitionTime of the 
                  sidecar.
                inputBinding:
                  prefix: --tr-tolerance
              ignore:
                type: string[]?
                doc: |
                  Codes of findings to leave out, such as VOXEL_SIZE_RANGE for ex vivo images. The data dictionary of the table
                  lists the codes.
                inputBinding:
                  prefix: --ignore
              cpus:
                type: int
                default: 1
                doc: CPU cores to reserve.
              memory_mib:
                type: long
                default: 2048
                doc: Memory to reserve, in MiB.
              tmp_mib:
                type: long
                default: 256
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
            stdout: nifti-check.log
            stderr: nifti-check.err
            outputs:
              out_dir:
                type: Directory?
                doc: BIDS derivatives with the table, the report and the mosaics of the participant.
                outputBinding:
                  glob: derivatives
              stdout_log:
                type: stdout
                doc: A line for each image with its status.
              stderr_log:
                type: stderr
                doc: A line for each finding; the last line is the reason for a failure.
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
            bids_dir:
              source: unit
              valueFrom: $(self.bids_dir)
            participant_label:
              source: unit
              valueFrom: $(self.participant_label)
            tr_tolerance: tr_tolerance
            ignore: ignore
            cpus: cpus
            memory_mib: memory_mib
            tmp_mib: tmp_mib
            out_mib: out_mib
            time_limit: time_limit
          out:
          - out_dir
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
              - tool/out_dir
              linkMerge: merge_nested
            logs:
              source:
              - tool/stdout_log
              - tool/stderr_log
              linkMerge: merge_nested
            delivery:
              default:
                pipeline: nifti-check
                deliver: always
                outputs:
                - "."
                expect:
                - "sub-{participant}/sub-{participant}_desc-check_report.json"
                - "sub-{participant}/sub-{participant}_desc-check_images.tsv"
                forbid: []
                shared:
                - dataset_description.json
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
