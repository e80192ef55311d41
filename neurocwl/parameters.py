"""The parameters of a pipeline: the inputs of its CWL tool that the dataset does not fill.

Types, defaults and documentation come from the CWL file; here they become command line options, and values
become CWL inputs.
"""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from neurocwl import cwlfile
from neurocwl.errors import BadInput
from neurocwl.template import Template
from neurocwl.units import is_set

# Inputs that say how much to give the tool, not what it computes: changing them invalidates no result.
RESOURCES = ("cpus", "memory_mib", "tmp_mib", "out_mib", "time_limit")
NUMBERS = {"int": int, "long": int, "float": float, "double": float}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One CWL input that the user may set."""

    name: str
    type: str  # a CWL type name; enum and record types by their kind
    many: bool
    choices: tuple[str, ...]
    default: Any
    doc: str

    @property
    def option(self) -> str:
        """The command line option."""
        return "--" + self.name.replace("_", "-")

    @property
    def summary(self) -> str:
        """The first sentence of the documentation."""
        text = " ".join(self.doc.split())
        end = text.find(". ")
        return text if end < 0 else text[: end + 1]


def parameters_of(template: Template) -> dict[str, Parameter]:
    """The parameters of a pipeline, in the order of its CWL file."""
    hidden = {*template.bind, *template.selection.values(), template.licence}
    return {
        name: _parameter(name, spec, template.choices.get(name, ()))
        for name, spec in template.tool["inputs"].items()
        if name not in hidden
    }


def _parameter(name: str, spec: Any, words: Sequence[str]) -> Parameter:
    spec = spec if isinstance(spec, Mapping) else {"type": spec}
    kind, many, choices = _kind(spec["type"])
    return Parameter(
        name, kind, many, choices or tuple(words), spec.get("default"), spec.get("doc") or spec.get("label") or ""
    )


def _kind(type_: Any) -> tuple[str, bool, tuple[str, ...]]:
    """(type name, whether a list, choices) of a CWL type, whether or not it may be null."""
    if isinstance(type_, list):
        return _kind(next(t for t in type_ if t != "null"))
    if isinstance(type_, Mapping):
        if type_["type"] == "array":
            kind, _, choices = _kind(type_["items"])
            return kind, True, choices
        if type_["type"] == "enum":
            return (
                "enum",
                False,
                tuple(str(s).rpartition("#")[2].rpartition("/")[2] for s in type_["symbols"]),
            )
        return str(type_["type"]), False, ()
    text = str(type_).removesuffix("?")
    return text.removesuffix("[]"), text.endswith("[]"), ()


def add_options(parser: argparse.ArgumentParser, template: Template) -> None:
    """Add an option for each parameter of a pipeline; unset ones stay None."""
    group = parser.add_argument_group(
        f"parameters of {template.pipeline} (see: neurocwl pipelines show {template.pipeline})"
    )
    for parameter in parameters_of(template).values():
        text = parameter.summary.replace("%", "%%")
        if parameter.default is not None:
            text += f" [{parameter.default}]"
        destination = f"parameter:{parameter.name}"
        if parameter.type == "boolean" and parameter.default:  # --x and --no-x
            action = argparse.BooleanOptionalAction
            group.add_argument(parameter.option, dest=destination, action=action, help=text)
        elif parameter.type == "boolean":
            group.add_argument(parameter.option, dest=destination, action="store_const", const=True, help=text)
        elif parameter.name == "extra_args":
            group.add_argument(
                parameter.option, dest=destination, type=shlex.split, metavar="'ARGS'", help=text
            )
        else:
            group.add_argument(
                parameter.option,
                dest=destination,
                type=NUMBERS.get(parameter.type, str),
                nargs="+" if parameter.many else None,
                choices=parameter.choices or None,
                metavar=None if parameter.choices else parameter.type.upper(),
                help=text,
            )


def given(arguments: argparse.Namespace, template: Template) -> dict[str, Any]:
    """The parameters that the user set, as CWL inputs.

    Files and folders may be paths or s3:// URLs. Raises BadInput for a path that does not exist.
    """
    values: dict[str, Any] = {}
    for parameter in parameters_of(template).values():
        value = getattr(arguments, f"parameter:{parameter.name}", None)
        if value is not None:
            values[parameter.name] = _as_cwl(parameter, value)
    return values


def from_file(file: Path, template: Template) -> dict[str, Any]:
    """Parameters from a YAML or JSON file of CWL inputs.

    Raises BadInput for a file that cannot be read and for names that are not parameters.
    """
    try:
        values = cwlfile.load(file)
    except Exception as error:
        raise BadInput(f"--parameters {file}: not a YAML or JSON file of CWL inputs: {error}") from error
    known = parameters_of(template)
    for name in values:
        if name not in known:
            raise BadInput(
                f"--parameters {file}: {name!r} is not a parameter of {template.pipeline}; there are: {', '.join(known)}"
            )
    return {name: _as_cwl(known[name], value) for name, value in values.items()}


def _as_cwl(parameter: Parameter, value: Any) -> Any:
    if isinstance(value, list):
        return [_as_cwl(parameter, item) for item in value]
    if parameter.type in ("File", "Directory") and isinstance(value, str):
        return path_object(parameter.type, value, parameter.option)
    return value


def path_object(kind: str, value: str, option: str) -> dict[str, Any]:
    """A CWL File or Directory for a path or an s3:// URL; an option's NAME=PATH gives its basename.

    Raises BadInput for a path that does not exist.
    """
    if value.startswith("s3://"):
        return {
            "class": kind,
            "location": value.rstrip("/"),
            "basename": value.rstrip("/").rpartition("/")[2],
        }
    name, _, path = value.partition("=") if "=" in value and not Path(value).exists() else ("", "", value)
    file = Path(path).expanduser().absolute()
    if not (file.is_dir() if kind == "Directory" else file.is_file()):
        raise BadInput(
            f"{option} {value}: there is no such {'folder' if kind == 'Directory' else 'file'} ({file})"
        )
    return {"class": kind, "location": "file://" + quote(str(file)), "basename": name or file.name}


def check(template: Template, values: Mapping[str, Any]) -> None:
    """Refuse parameters that exclude each other or that lack the one they need.

    Raises BadInput that names the options and the reason.
    """

    known = parameters_of(template)

    def in_force(term: str, *, counting_default: bool = False) -> bool:
        name, _, wanted = term.partition("=")
        value = values.get(name)
        if wanted:
            return wanted in value if isinstance(value, list) else value == wanted
        default = known[name].default if name in known and not counting_default else None
        return is_set(value) and value != default

    def option(term: str) -> str:
        name, _, wanted = term.partition("=")
        return "--" + name.replace("_", "-") + (f" {wanted}" if wanted else "")

    for name, value in values.items():
        choices = known[name].choices if name in known else ()
        for one in value if isinstance(value, list) else [value]:
            if choices and one is not None and one not in choices:
                raise BadInput(f"{option(name)} {one}: must be one of {', '.join(choices)}")
    for rule in template.rules:
        together = [term for term in rule.exclusive if in_force(term)]
        if len(together) > 1:
            raise BadInput(
                f"{' and '.join(option(term) for term in together)} exclude each other: {rule.because}"
            )
        if (
            rule.option
            and in_force(rule.option)
            and not any(in_force(t, counting_default=True) for t in rule.needs)
        ):
            needed = " or ".join(option(term) for term in rule.needs)
            raise BadInput(f"{option(rule.option)} needs {needed}: {rule.because}")
