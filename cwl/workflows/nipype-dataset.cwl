#!/usr/bin/env cwl-runner
# Written by `neurocwl pipelines build nipype` from its tool and its job template.
cwlVersion: v1.2
class: Workflow
label: "a Nipype workflow script of one's own: every unit of a dataset"
doc: |
  Runs a Python script that builds and runs a Nipype workflow. The script is called as a BIDS App is: with the dataset,
  the folder for its outputs, the word participant, and --participant-label; the same and the work folder, and the
  arguments of Nipype's MultiProc plugin, are in its environment (BIDS_DIR, OUTPUT_DIR, PARTICIPANT_LABEL, WORK_DIR,
  PLUGIN_ARGS). It can import nipype_s3, whose S3Sink and S3Grabber follow Nipype's DataSink and S3DataGrabber.
  Exit status: the script's; 1 as well when Nipype left crash files, when there are no outputs, or when outputs do not
  name the participant. Crash files are in the folder crash of the outputs, as text.

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
            doc: BIDS dataset, or the part of it that belongs to the participant.
          participant_label:
            type: string
            doc: Label of the participant, without "sub-".
    doc: The units to process.
  output:
    type: string
    doc: Where the derivatives go, an s3:// URL or a folder.
  run:
    type: string
    doc: The id of the run; receipts carry it.
    default: by-hand
  script:
    type: File
    label: Nipype script
    doc: The Python script. See docs/nipype.md for how it is called.
  modules:
    type: Directory?
    doc: A folder of Python modules that the script imports.
  extra_args:
    type: string[]?
    doc: Further arguments for the script, word by word, as they stand.
  cpus:
    type: int
    default: 2
    doc: CPU cores to reserve; n_procs of Nipype's MultiProc plugin.
  memory_mib:
    type: long
    default: 4096
    doc: Memory to reserve, in MiB; memory_gb of Nipype's MultiProc plugin.
  tmp_mib:
    type: long
    default: 4096
    doc: Disk space to reserve for Nipype's work folder, in MiB.
  out_mib:
    type: long
    default: 2048
    doc: Disk space to reserve for the outputs, in MiB.
  time_limit:
    type: long
    default: 86400
    doc: Time after which the script is stopped, in seconds.
steps:
  per_unit:
    scatter: unit
    in:
      unit: units
      output: output
      run: run
      script: script
      modules: modules
      extra_args: extra_args
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
        script:
          type: File
        modules:
          type: Directory?
        extra_args:
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
            label: "nipype-script: a Nipype workflow script of one's own, for one participant"
            doc: |
              Runs a Python script that builds and runs a Nipype workflow. The script is called as a BIDS App is: with the dataset,
              the folder for its outputs, the word participant, and --participant-label; the same and the work folder, and the
              arguments of Nipype's MultiProc plugin, are in its environment (BIDS_DIR, OUTPUT_DIR, PARTICIPANT_LABEL, WORK_DIR,
              PLUGIN_ARGS). It can import nipype_s3, whose S3Sink and S3Grabber follow Nipype's DataSink and S3DataGrabber.
              Exit status: the script's; 1 as well when Nipype left crash files, when there are no outputs, or when outputs do not
              name the participant. Crash files are in the folder crash of the outputs, as text.
            requirements:
              InitialWorkDirRequirement:
                listing:
                - class: File
                  basename: nipype_script.py
                  contents:
                    $include: ../../toolwrappers/nipype_script.py
                - class: Directory
                  basename: nipype_s3
                  listing:
                  - class: File
                    basename: __init__.py
                    contents:
                      $include: ../../toolwrappers/nipype_s3/__init__.py
                  - class: File
                    basename: credentials.py
                    contents:
                      $include: ../../toolwrappers/nipype_s3/credentials.py
                  - class: File
                    basename: delivery.py
                    contents:
                      $include: ../../toolwrappers/nipype_s3/delivery.py
                  - class: File
                    basename: destinations.py
                    contents:
                      $include: ../../toolwrappers/nipype_s3/destinations.py
                  - class: File
                    basename: interfaces.py
                    contents:
                      $include: ../../toolwrappers/nipype_s3/interfaces.py
                  - class: File
                    basename: selection.py
                    contents:
                      $include: ../../toolwrappers/nipype_s3/selection.py
              EnvVarRequirement:
                envDef:
                  NEUROCWL_UNIT: $(inputs.unit_context.unit)
            hints:
              DockerRequirement:
                dockerPull: localhost/neurocwl/nipype:0.1.0
              SoftwareRequirement:
                packages:
                  nipype:
                    version:
                    - 1.11.0
                    specs:
                    - https://identifiers.org/RRID:SCR_002502
                  nibabel:
                    specs:
                    - https://identifiers.org/RRID:SCR_002498
                  numpy:
                    specs:
                    - https://identifiers.org/RRID:SCR_008633
                  scipy:
                    specs:
                    - https://identifiers.org/RRID:SCR_008058
              ResourceRequirement:
                coresMin: $(inputs.cpus)
                ramMin: $(inputs.memory_mib)
                tmpdirMin: $(inputs.tmp_mib)
                outdirMin: $(inputs.out_mib)
              ToolTimeLimit:
                timelimit: $(inputs.time_limit)
            baseCommand:
            - python3
            - nipype_script.py
            arguments:
            - prefix: --work-dir
              valueFrom: $(runtime.tmpdir)/work
            - position: 1
              valueFrom: --
            inputs:
              script:
                type: File
                label: Nipype script
                doc: The Python script. See docs/nipype.md for how it is called.
                inputBinding:
                  prefix: --script
              bids_dir:
                type: Directory
                label: BIDS dataset
                doc: BIDS dataset, or the part of it that belongs to the participant.
                inputBinding:
                  prefix: --bids-dir
              participant_label:
                type: string
                label: participant label
                doc: Label of the participant, without "sub-".
                inputBinding:
                  prefix: --participant-label
              modules:
                type: Directory?
                doc: A folder of Python modules that the script imports.
                inputBinding:
                  prefix: --modules
              extra_args:
                type: string[]?
                doc: Further arguments for the script, word by word, as they stand.
                inputBinding:
                  position: 2
              cpus:
                type: int
                default: 2
                doc: CPU cores to reserve; n_procs of Nipype's MultiProc plugin.
                inputBinding:
                  prefix: --cpus
              memory_mib:
                type: long
                default: 4096
                doc: Memory to reserve, in MiB; memory_gb of Nipype's MultiProc plugin.
                inputBinding:
                  prefix: --memory-mib
              tmp_mib:
                type: long
                default: 4096
                doc: Disk space to reserve for Nipype's work folder, in MiB.
              out_mib:
                type: long
                default: 2048
                doc: Disk space to reserve for the outputs, in MiB.
              time_limit:
                type: long
                default: 86400
                doc: Time after which the script is stopped, in seconds.
              unit_context: Any
              unit_output: string
              unit_run: string
            stdout: nipype-script.log
            stderr: nipype-script.err
            outputs:
              out_dir:
                type: Directory?
                doc: What the script wrote to OUTPUT_DIR, and crash files.
                outputBinding:
                  glob: outputs
              stdout_log:
                type: stdout
                doc: What the script and Nipype say.
              stderr_log:
                type: stderr
                doc: Errors; the last line is the reason for a failure.
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
            script: script
            modules: modules
            extra_args: extra_args
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
                pipeline: nipype
                deliver: success
                outputs:
                - "."
                expect:
                - "**"
                forbid:
                - "crash/*"
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
