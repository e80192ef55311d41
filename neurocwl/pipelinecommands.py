"""What each verb of `neurocwl pipelines` does: reads arguments, calls the layers below, prints."""

import argparse
import json
from pathlib import Path

from neurocwl import drift, export, importing, show, standalone, template
from neurocwl.errors import BadInput


def run(arguments: argparse.Namespace) -> int:
    """Dispatch to a verb; returns the exit code."""
    if arguments.verb != "list" and not arguments.name:
        raise BadInput(
            f"neurocwl pipelines {arguments.verb}: {'DIR' if arguments.verb == 'export' else 'NAME'} is missing"
        )
    if arguments.verb == "export":
        for line in standalone.write(Path(arguments.name), arguments.pipeline_dir):
            print(line)
    elif arguments.verb == "build":
        print(export.build(template.load(arguments.name, arguments.pipeline_dir)))
    elif arguments.verb == "import":
        _import(arguments)
    elif arguments.verb == "image":
        export.image(template.load(arguments.name, arguments.pipeline_dir))
    elif arguments.verb == "drift":
        return _drift(arguments)
    elif arguments.verb == "show":
        show.pipeline(template.load(arguments.name, arguments.pipeline_dir))
    else:
        show.pipelines(
            [template.load(name, arguments.pipeline_dir) for name in template.names(arguments.pipeline_dir)]
        )
    return 0


def _import(arguments: argparse.Namespace) -> None:
    if not arguments.source:
        raise BadInput("--from is missing: a Boutiques descriptor (FILE.json), a command, or MODULE:FUNCTION")
    if not arguments.pipeline_dir:
        raise BadInput("--pipeline-dir is missing: the folder for the new pipeline's files")
    request = importing.Request(
        name=arguments.name,
        source=arguments.source,
        folder=arguments.pipeline_dir,
        image=arguments.image,
        entrypoint=arguments.entrypoint,
        rrid=arguments.rrid,
        packages=tuple(arguments.package),
        python=arguments.python,
        replace=arguments.replace,
    )
    for line in importing.run(request, arguments.own_options):
        print(line)


def _drift(arguments: argparse.Namespace) -> int:
    if arguments.python and arguments.version:
        raise BadInput("--version and --python exclude each other: a Python has the version that it has")
    chosen = template.load(arguments.name, arguments.pipeline_dir)
    report = drift.report(chosen, arguments.version, arguments.python)
    print(json.dumps(report.as_dict(), indent=1, ensure_ascii=False) if arguments.json else str(report))
    return 1 if report.breaking else 0
