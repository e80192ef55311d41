"""`neurocwl pipelines import`: where a BIDS App's command line is read, and where its files are written."""

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from neurocwl import bidsapp, boutiques, cliparser, cwlfile, export, pyenv, template
from neurocwl.bidsapp import Imported, Program
from neurocwl.errors import BadInput

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for."""

    name: str
    source: str  # a Boutiques descriptor (.json), MODULE:FUNCTION, or a command
    folder: Path
    image: str | None = None
    entrypoint: bool = False
    rrid: str | None = None
    packages: tuple[str, ...] = ()  # to install for reading the parser; then thrown away
    python: str | None = None
    replace: bool = False


def run(request: Request, own_options: Collection[str]) -> Iterator[str]:
    """Write a pipeline's files into a folder and yield what was written and what is left to do.

    own_options: flags of neurocwl itself. Raises BadInput before anything is written.
    """
    if not NAME.fullmatch(request.name):
        raise BadInput(f"{request.name!r} is no name for a pipeline: small letters, digits, - and _")
    contract = None
    if request.source.endswith(".json"):
        program = _described(request)
    else:
        program, contract = _parsed(request)
    made = bidsapp.convert(program, own_options)
    documents = _documents(request, made, contract)
    for file in documents:
        if file.exists() and not request.replace:
            raise BadInput(
                f"{file} is there already; --replace replaces it, --pipeline-dir names another folder"
            )
    for file, text in documents.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        if file.suffix == ".cwl":
            file.chmod(0o755)
        yield f"wrote {file}"
    yield f"wrote {export.build(template.read(request.folder / 'jobs' / f'{request.name}.yml'))}"
    yield from _left_to_do(request, program, made)


def _described(request: Request) -> Program:
    found = boutiques.read(Path(request.source))
    image = request.image or found.image
    if not image:
        raise BadInput(f"{request.source} names no container image that can be pulled; give --image")
    return Program(
        name=request.name,
        parser=found.parser,
        command=() if request.entrypoint or found.entrypoint else found.command,
        image=image,
        package=found.parser.prog,
        version=found.version,
        rrid=request.rrid,
        python=False,
    )


def _parsed(request: Request) -> tuple[Program, str | None]:
    """The program behind an argparse parser, and its contract where a package holds it."""
    if not request.image:
        raise BadInput("--image is missing: the container image that has the program")
    with ExitStack() as stack:
        python, target = _where(request, stack)
        parser = cliparser.read(python, target)
        owner = pyenv.owner(python, target)
        needs = pyenv.declared(python, owner[0]) if owner else {}
    command = Path(request.source).name if ":" not in request.source else parser.prog
    program = Program(
        name=request.name,
        parser=parser,
        command=() if request.entrypoint else (command,),
        image=request.image,
        package=owner[0] if owner else command,
        version=owner[1] if owner else None,
        rrid=request.rrid,
    )
    if owner is None:
        return program, None
    listed = f"needs: [{', '.join(needs)}]\n" if needs else ""
    where = request.source if ":" in request.source else command
    return program, f"class: Contract\npackage: {owner[0]}\nparser: {where}\n{listed}"


def _where(request: Request, stack: ExitStack) -> tuple[Path, str]:
    """The Python that has the program, and what cliparser reads there."""
    if request.packages:
        environment = stack.enter_context(pyenv.throwaway())
        environment.install(*request.packages)
        return environment.python, request.source
    if request.python:
        return pyenv.find(request.python), request.source
    if ":" in request.source:
        raise BadInput(
            f"{request.source}: which Python has it? Give --python PYTHON or --package REQUIREMENT"
        )
    script = shutil.which(request.source)
    if script is None:
        raise BadInput(
            f"{request.source}: there is no such command, and no descriptor (FILE.json) of that name"
        )
    with Path(script).open("rb") as opened:
        first = opened.readline(256).decode("utf-8", "replace").strip()
    words = first.removeprefix("#!").split()
    interpreter = words[-1] if words[:1] == ["/usr/bin/env"] else (words or [""])[0]
    if not first.startswith("#!") or "python" not in interpreter:
        raise BadInput(
            f"{script} is no Python program; give its Boutiques descriptor, or write its tool by hand"
        )
    return pyenv.find(interpreter), str(Path(script).absolute())


def _documents(request: Request, made: Imported, contract: str | None) -> dict[Path, str]:
    jobs, tools = request.folder / "jobs", request.folder / "cwl" / "tools"
    head = f"# Imported from {Path(request.source).name}; look it through: types, defaults, what the options mean.\n"
    template_head = (
        "# Imported. What a participant must have (requires) and what proves success (evidence) are guesses:\n"
        "# name the images that the App needs, and the file that it writes last.\n"
    )
    documents = {
        tools / f"{request.name}.cwl": f"#!/usr/bin/env cwl-runner\n{head}{cwlfile.as_yaml(made.tool)}",
        tools
        / f"{request.name}.test.yml": f"# A dataset without images, for the command line alone.\n{cwlfile.as_yaml(made.job)}",
        jobs / f"{request.name}.yml": f"{template_head}{cwlfile.as_yaml(made.template)}",
    }
    if contract:
        reasons = "".join(
            f"  {option}: {why}\n" for option, why in made.left_out.items() if why != "deprecated"
        )
        listed = f"not_offered:\n{reasons}" if reasons else ""
        documents[jobs / f"{request.name}.contract.yml"] = contract + listed
    return documents


def _left_to_do(request: Request, program: Program, made: Imported) -> Iterator[str]:
    for option, why in made.left_out.items():
        yield f"left out {option}: {why} (extra_args takes it)"
    if not program.rrid:
        yield "to do: the RRID of the program (https://scicrunch.org/resources) in SoftwareRequirement, or --rrid"
    yield "to do: requires and evidence in the job template, cpus and memory in the tool"
    yield f"next: neurocwl plan dataset DATASET --pipeline {request.name} --pipeline-dir {request.folder}"
