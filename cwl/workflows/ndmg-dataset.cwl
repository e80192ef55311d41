#!/usr/bin/env cwl-runner
# Written by `neurocwl pipelines build ndmg` from its tool and its job template.
cwlVersion: v1.2
class: Workflow
label: "connectomes from diffusion MRI, as m2g's predecessor makes them: every unit of a dataset"
doc: |
  Runs ndmg 0.2 (https://pypi.org/project/ndmg), the predecessor of m2g, on one scan, a T1w and a diffusion
  image of one session: eddy correction, registration, tractography, and a connectome for each parcellation.
  Results lie in sub-LABEL/ses-LABEL. Options that are not given keep ndmg's own default, which the
  documentation of each input names.

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
          participant_label:
            type: string
            doc: The participant, without "sub-".
          session_label:
            type: string?
            doc: |
              The session, without "ses-". ndmg does not run without sessions: the results of a participant who has
              none lie in ses-none.
          t1w:
            type: File
            doc: The T1w image, as .nii.gz.
          dwi:
            type: File
            doc: The diffusion image, as .nii.gz.
          bval:
            type: File
            doc: The b-values of the diffusion image.
          bvec:
            type: File
            doc: The b-vectors of the diffusion image.
    doc: The units to process.
  output:
    type: string
    doc: Where the derivatives go, an s3:// URL or a folder.
  run:
    type: string
    doc: The id of the run; receipts carry it.
    default: by-hand
  atlas:
    type: string?
    doc: A part of the names of parcellations (desikan, AAL), to make these only. Default is all that the 
      image has.
  vox:
    type:
    - 'null'
    - type: enum
      symbols:
      - 2mm
      - 1mm
    doc: The voxels of the templates to register to (default 2mm).
  mod:
    type:
    - 'null'
    - type: enum
      symbols:
      - det
      - prob
    doc: Deterministic or probabilistic tracking (default det).
  tt:
    type:
    - 'null'
    - type: enum
      symbols:
      - local
      - particle
    doc: How streamlines are tracked (default local); particle filters them by tissue.
  mf:
    type:
    - 'null'
    - type: enum
      symbols:
      - csd
      - csa
    doc: The diffusion model (default csd); constrained spherical deconvolution, or constant solid angle.
  sp:
    type:
    - 'null'
    - type: enum
      symbols:
      - native
      - native_dsn
      - mni
    doc: |
      The space of the streamlines (default native); native_dsn normalises them to the template, mni
      registers the images to it first.
  seeds:
    type: int?
    doc: How densely streamlines are seeded (default 20).
  extra_args:
    type: string[]?
    doc: Further arguments for ndmg_bids, word by word, as they stand.
  cpus:
    type: int
    default: 2
    doc: CPUs. Most of ndmg uses one.
  memory_mib:
    type: int
    default: 15200
    doc: Memory in MiB.
  tmp_mib:
    type: int
    default: 10240
    doc: Disk for temporary files, in MiB.
  out_mib:
    type: int
    default: 20480
    doc: Disk for the outputs and intermediate results, in MiB.
  time_limit:
    type: int
    default: 43200
    doc: Seconds after which the run is stopped; 0 is no limit.
steps:
  per_unit:
    scatter: unit
    in:
      unit: units
      output: output
      run: run
      atlas: atlas
      vox: vox
      mod: mod
      tt: tt
      mf: mf
      sp: sp
      seeds: seeds
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
              participant_label:
                type: string
              session_label:
                type: string?
              t1w:
                type: File
              dwi:
                type: File
              bval:
                type: File
              bvec:
                type: File
        output: string
        run: string
        atlas:
          type: string?
        vox:
          type:
          - 'null'
          - type: enum
            symbols:
            - 2mm
            - 1mm
        mod:
          type:
          - 'null'
          - type: enum
            symbols:
            - det
            - prob
        tt:
          type:
          - 'null'
          - type: enum
            symbols:
            - local
            - particle
        mf:
          type:
          - 'null'
          - type: enum
            symbols:
            - csd
            - csa
        sp:
          type:
          - 'null'
          - type: enum
            symbols:
            - native
            - native_dsn
            - mni
        seeds:
          type: int?
        extra_args:
          type: string[]?
        cpus:
          type: int
        memory_mib:
          type: int
        tmp_mib:
          type: int
        out_mib:
          type: int
        time_limit:
          type: int
      steps:
        tool:
          run:
            class: CommandLineTool
            label: ndmg, connectomes from diffusion MRI
            doc: |
              Runs ndmg 0.2 (https://pypi.org/project/ndmg), the predecessor of m2g, on one scan, a T1w and a diffusion
              image of one session: eddy correction, registration, tractography, and a connectome for each parcellation.
              Results lie in sub-LABEL/ses-LABEL. Options that are not given keep ndmg's own default, which the
              documentation of each input names.
            requirements:
              InitialWorkDirRequirement:
                listing:
                - entryname: bids/dataset_description.json
                  entry: '{"Name": "one scan", "BIDSVersion": "1.8.0"}'
                - entryname: 
                    bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/anat/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_T1w.nii.gz
                  entry: $(inputs.t1w)
                - entryname: 
                    bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/dwi/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_dwi.nii.gz
                  entry: $(inputs.dwi)
                - entryname: 
                    bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/dwi/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_dwi.bval
                  entry: $(inputs.bval)
                - entryname: 
                    bids/sub-$(inputs.participant_label)/ses-$(inputs.session_label)/dwi/sub-$(inputs.participant_label)_ses-$(inputs.session_label)_dwi.bvec
                  entry: $(inputs.bvec)
              EnvVarRequirement:
                envDef:
                  NEUROCWL_UNIT: $(inputs.unit_context.unit)
            hints:
              DockerRequirement:
                dockerPull: docker.io/neurodata/ndmg_dev:latest
              ResourceRequirement:
                coresMin: $(inputs.cpus)
                ramMin: $(inputs.memory_mib)
                tmpdirMin: $(inputs.tmp_mib)
                outdirMin: $(inputs.out_mib)
              ToolTimeLimit:
                timelimit: $(inputs.time_limit)
              SoftwareRequirement:
                packages:
                  ndmg:
                    version:
                    - 0.2.1
                  fsl:
                    specs:
                    - https://identifiers.org/RRID:SCR_002823
                  afni:
                    specs:
                    - https://identifiers.org/RRID:SCR_005927
                  dipy:
                    specs:
                    - https://identifiers.org/RRID:SCR_000029
            arguments:
            - position: -2
              valueFrom: $(runtime.outdir)/bids
            - position: -1
              valueFrom: 
                $(runtime.outdir)/derivatives/sub-$(inputs.participant_label)/ses-$(inputs.session_label)
            inputs:
              participant_label:
                type: string
                doc: The participant, without "sub-".
                inputBinding:
                  prefix: --participant_label
              session_label:
                type: string
                default: none
                doc: |
                  The session, without "ses-". ndmg does not run without sessions: the results of a participant who has
                  none lie in ses-none.
                inputBinding:
                  prefix: --session_label
              t1w:
                type: File
                doc: The T1w image, as .nii.gz.
              dwi:
                type: File
                doc: The diffusion image, as .nii.gz.
              bval:
                type: File
                doc: The b-values of the diffusion image.
              bvec:
                type: File
                doc: The b-vectors of the diffusion image.
              atlas:
                type: string?
                doc: A part of the names of parcellations (desikan, AAL), to make these only. Default is all 
                  that the image has.
                inputBinding:
                  prefix: --atlas
              vox:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - 2mm
                  - 1mm
                doc: The voxels of the templates to register to (default 2mm).
                inputBinding:
                  prefix: --vox
              mod:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - det
                  - prob
                doc: Deterministic or probabilistic tracking (default det).
                inputBinding:
                  prefix: --mod
              tt:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - local
                  - particle
                doc: How streamlines are tracked (default local); particle filters them by tissue.
                inputBinding:
                  prefix: --tt
              mf:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - csd
                  - csa
                doc: The diffusion model (default csd); constrained spherical deconvolution, or constant solid
                  angle.
                inputBinding:
                  prefix: --mf
              sp:
                type:
                - 'null'
                - type: enum
                  symbols:
                  - native
                  - native_dsn
                  - mni
                doc: |
                  The space of the streamlines (default native); native_dsn normalises them to the template, mni
                  registers the images to it first.
                inputBinding:
                  prefix: --sp
              seeds:
                type: int?
                doc: How densely streamlines are seeded (default 20).
                inputBinding:
                  prefix: --seeds
              extra_args:
                type: string[]?
                doc: Further arguments for ndmg_bids, word by word, as they stand.
                inputBinding:
                  position: 1
              cpus:
                type: int
                default: 2
                doc: CPUs. Most of ndmg uses one.
              memory_mib:
                type: int
                default: 15200
                doc: Memory in MiB.
              tmp_mib:
                type: int
                default: 10240
                doc: Disk for temporary files, in MiB.
              out_mib:
                type: int
                default: 20480
                doc: Disk for the outputs and intermediate results, in MiB.
              time_limit:
                type: int
                default: 43200
                doc: Seconds after which the run is stopped; 0 is no limit.
              unit_context: Any
              unit_output: string
              unit_run: string
            stdout: ndmg.log
            stderr: ndmg.err
            outputs:
              out_dir:
                type: Directory?
                doc: sub-LABEL/ses-LABEL with anat, dwi (connectomes in dwi/roi-connectomes), qa, and 
                  intermediate results in tmp.
                outputBinding:
                  glob: derivatives
              stdout_log:
                type: stdout
                doc: What ndmg says.
              stderr_log:
                type: stderr
                doc: What ndmg and its tools complain about.
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
            participant_label:
              source: unit
              valueFrom: $(self.participant_label)
            session_label:
              source: unit
              valueFrom: $(self.session_label)
            t1w:
              source: unit
              valueFrom: $(self.t1w)
            dwi:
              source: unit
              valueFrom: $(self.dwi)
            bval:
              source: unit
              valueFrom: $(self.bval)
            bvec:
              source: unit
              valueFrom: $(self.bvec)
            atlas: atlas
            vox: vox
            mod: mod
            tt: tt
            mf: mf
            sp: sp
            seeds: seeds
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
                pipeline: ndmg
                deliver: success
                outputs:
                - "."
                expect:
                - "sub-{participant}/ses-*/dwi/roi-connectomes/*/*_adj.ssv"
                - "sub-{participant}/ses-*/dwi/fiber/streamlines.trk"
                forbid: []
                shared: []
                leave_out:
                - "sub-*/ses-*/tmp/**"
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
