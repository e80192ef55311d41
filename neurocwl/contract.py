"""How the argument parser of the program behind a CWL tool is had: jobs/<pipeline>.contract.yml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurocwl import assets, cliparser, pyenv
from neurocwl.cliparser import Parser
from neurocwl.errors import BadInput
from neurocwl.pyenv import Environment
from neurocwl.template import Template

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Contract:
    """Where a parser is, what it needs, and which of its options a CWL tool leaves out for a reason."""

    package: str
    parser: str
    bare: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    stubs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    not_offered: Mapping[str, str] = field(default_factory=dict)


def load(template: Template) -> Contract:
    """The contract beside a job template. Raises BadInput where there is none."""
    file = template.file.with_suffix(".contract.yml")
    if not file.is_file():
        raise BadInput(
            f"{template.pipeline} has no contract: {file} would say how the parser of its program is had"
        )
    raw = _validated(file)
    for name in ("environment", "not_offered"):
        if not isinstance(raw.get(name) or {}, dict):
            raise BadInput(f"{file}: {name} is {raw[name]!r}; it must be a map of names")
    return Contract(
        package=raw["package"],
        parser=raw["parser"],
        bare=tuple(raw.get("bare") or ()),
        needs=tuple(raw.get("needs") or ()),
        stubs=tuple(raw.get("stubs") or ()),
        environment=raw.get("environment") or {},
        not_offered=raw.get("not_offered") or {},
    )


def _validated(file: Path) -> dict[str, Any]:
    from schema_salad.exceptions import SchemaSaladException
    from schema_salad.schema import load_and_validate, load_schema

    loader, names, _, _ = load_schema(str(assets.path("jobs") / "contract.schema.yml"))
    if isinstance(names, Exception):
        raise names
    try:
        raw, _ = load_and_validate(loader, names, str(file), True)
    except (SchemaSaladException, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not a valid contract:\n{error}") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{file} is not a valid contract: it must be one map that begins with class: Contract")
    return raw


def made_for(template: Template, contract: Contract) -> str:
    """The version of the program that the CWL tool says it is made for."""
    packages = template.tool.get("hints", {}).get("SoftwareRequirement", {}).get("packages", {})
    versions = (packages.get(contract.package) or {}).get("version") or []
    if not versions:
        raise BadInput(
            f"{template.tool_file}: SoftwareRequirement names no version of {contract.package}; add it, or give --version"
        )
    return str(versions[0])


def install(contract: Contract, version: str, environment: Environment) -> None:
    """Install the parser of one version ("latest", or what may follow ==) and as little else as it needs."""
    pinned = contract.package if version == LATEST else f"{contract.package}=={version}"
    environment.install(pinned, dependencies=False)
    declared = environment.declared(contract.package)
    environment.install(*(declared.get(pyenv.normal(n), n) for n in contract.bare), dependencies=False)
    environment.install(*(declared.get(pyenv.normal(n), n) for n in contract.needs))


def read(contract: Contract, python: Path) -> Parser:
    """The parser that a Python has."""
    return cliparser.read(python, contract.parser, stubs=contract.stubs, environment=contract.environment)
