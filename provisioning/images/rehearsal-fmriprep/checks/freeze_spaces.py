"""Write what fMRIPrep's parser asks TemplateFlow for into a JSON file (runs while the image is built)."""

import json
import sys
from pathlib import Path

import nipype
import templateflow
from templateflow import api

names = list(api.templates())
frozen = {
    "nipype_version": nipype.__version__,
    "templateflow_version": templateflow.__version__,
    "templates": names,
    "templates_2d": list(api.templates(suffix="sphere")),
    "cohorts": {name: [str(c) for c in api.TF_LAYOUT.get_cohorts(template=name)] for name in names},
}
Path(sys.argv[1]).write_text(json.dumps(frozen, indent=1))
