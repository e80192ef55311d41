"""neurocwl doctor, and the same checks before a launch."""

import argparse
import json
import os
import sys
from pathlib import Path

from neurocwl import doctor, parameters, prepare, show, template
from neurocwl.backend import Backend
from neurocwl.checks.finding import FAILED
from neurocwl.doctor import Case
from neurocwl.errors import BadInput
from neurocwl.template import Template


def run(arguments: argparse.Namespace, where: Backend, work: Path) -> int:
    """Examine, print, and return 1 when a check failed.

    Raises BadInput for options that cannot be used.
    """
    chosen = template.load(arguments.pipeline, arguments.pipeline_dir) if arguments.pipeline else None
    words = arguments.words[1:]
    if chosen:
        parameters.add_options(arguments.parser, chosen)
        known = {name: getattr(arguments, name) for name in ("action", "noun", "parser", "words")}
        arguments = arguments.parser.parse_args(words, argparse.Namespace(**known))
    found = doctor.examine(case(arguments, chosen, where, work))
    if arguments.json:
        document = {
            "backend": where.name,
            "pipeline": chosen.pipeline if chosen else None,
            "checks": [one.as_dict() for one in found],
        }
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        show.findings(found, sys.stdout)
    return int(any(one.status == FAILED for one in found))


def case(arguments: argparse.Namespace, chosen: Template | None, where: Backend, work: Path) -> Case:
    """What the options of doctor, or of launch, describe."""
    values = parameters.given(arguments, chosen) if chosen else {}
    if chosen and arguments.parameters:
        values = {**parameters.from_file(arguments.parameters, chosen), **values}
    if arguments.rehearse and not (chosen and chosen.rehearsal):
        raise BadInput("--rehearse: needs a --pipeline that has a rehearsal image")
    rehearsal = chosen.rehearsal if chosen and arguments.rehearse else None
    return Case(
        backend=where,
        access=prepare.access(arguments),
        dataset_access=prepare.access(arguments, dataset=True),
        work_dir=work,
        environment=os.environ,
        dataset=arguments.dataset,
        output=arguments.output,
        template=chosen,
        parameters=values,
        image=arguments.image or rehearsal or "",
        licence=arguments.fs_license_file,
        container=not arguments.no_container,
        rehearsal=arguments.rehearse,
    )
