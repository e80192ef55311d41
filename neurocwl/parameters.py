"""The parameters of a pipeline: the inputs of its CWL tool that the dataset does not fill.

Types, defaults and documentation come from the CWL file; here they become command line options, and values
become CWL inputs.
"""

import argparse
import difflib
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlparse

from neurocwl import cwlfile
from neurocwl.errors import BadInput
from neurocwl.template import Template
from neurocwl.units import is_set

# Inputs that say how much to give the tool, not what it computes: changing them invalidates no result.
RESOURCES = ("cpus", "memory_mib", "tmp_mib", "out_mib", "time_limit")
NUMBERS: Mapping[str, type[int] | type[float]] = {"int": int, "long": int, "float": float, "double": float}


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
    """The parameters of a pipeline, in the order of its CWL file.

    An input of earlier derivatives is one, too: the user names their place, the units get their parts.
    """
    places = {name for name, binding in template.bind.items() if binding.kind == "derivatives"}
    hidden = {*template.bind, *template.selection.values(), *template.fixed, template.licence} - places
    return {
        name: _parameter(name, spec, template.choices.get(name, ()))
        for name, spec in template.tool["inputs"].items()
        if name not in hidden
    }


def _parameter(name: str, spec: Any, words: Sequence[str]) -> Parameter:
    spec = spec if isinstance(spec, Mapping) else {"type": spec}
    kind, many, choices = parameter_kind(spec["type"])
    return Parameter(
        name,
        kind,
        many,
        choices or tuple(words),
        spec.get("default"),
        spec.get("doc") or spec.get("label") or "",
    )


def parameter_kind(type_: Any) -> tuple[str, bool, tuple[str, ...]]:
    """(type name, whether a list, choices) of a CWL type, whether or not it may be null."""
    if isinstance(type_, list):
        return parameter_kind(next(t for t in type_ if t != "null"))
    if isinstance(type_, Mapping):
        if type_["type"] == "array":
            kind, _, choices = parameter_kind(type_["items"])
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
        text = parameter.summary + ("" if parameter.default is None else f" [{parameter.default}]")
        text = text.replace("%", "%%")
        destination = f"parameter:{parameter.name}"
        try:
            if parameter.type == "boolean" and parameter.default:  # --x and --no-x
                both = argparse.BooleanOptionalAction
                group.add_argument(parameter.option, dest=destination, action=both, help=text)
            elif parameter.type == "boolean":
                group.add_argument(
                    parameter.option, dest=destination, action="store_const", const=True, help=text
                )
            elif parameter.name == "extra_args":
                group.add_argument(
                    parameter.option, dest=destination, type=_words, metavar="'ARGS'", help=text
                )
            else:
                group.add_argument(
                    parameter.option,
                    dest=destination,
                    type=partial(_number, parameter.type) if parameter.type in NUMBERS else str,
                    nargs="+" if parameter.many else None,
                    choices=parameter.choices or None,
                    metavar=None if parameter.choices else parameter.type.upper(),
                    help=text,
                )
        except argparse.ArgumentError as error:  # one of neurocwl's own options is called so
            raise BadInput(
                f"{template.tool_file}: an input cannot be called {parameter.name!r} ({error}); rename it"
            ) from error


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def _number(type_: str, text: str) -> int | float:
    try:
        value = NUMBERS[type_](text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not of type {type_}") from error
    if not _fits(type_, value):
        raise argparse.ArgumentTypeError(f"{text} is not of type {type_}")
    return value


def _fits(type_: str, value: Any) -> bool:
    """Whether a value is of a CWL type; what is no number, text or truth value is not judged here."""
    if type_ in ("int", "long"):
        bits = 31 if type_ == "int" else 63
        return isinstance(value, int) and not isinstance(value, bool) and -(1 << bits) <= value < 1 << bits
    if type_ in ("float", "double"):
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if type_ in ("string", "enum"):
        return isinstance(value, str)
    if type_ == "boolean":
        return isinstance(value, bool)
    return True


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
    if not file.is_file():
        raise BadInput(f"--parameters {file}: there is no such file")
    try:
        values = cwlfile.load(file)
    except Exception as error:
        raise BadInput(f"--parameters {file}: not a YAML or JSON file of CWL inputs: {error}") from error
    known = parameters_of(template)
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(str(name).replace("-", "_"), known, n=3) or list(known)
            raise BadInput(
                f"--parameters {file}: {name!r} is not a parameter of {template.pipeline}; there are: {', '.join(near)}"
            )
        _check_type(known[name], value, f"--parameters {file}: {name}")
    return {
        name: _as_cwl(known[name], value, file.absolute().parent)
        for name, value in values.items()
        if value is not None
    }


def _check_type(parameter: Parameter, value: Any, where: str) -> None:
    if value is None:
        return
    if parameter.many != isinstance(value, list):
        raise BadInput(
            f"{where}: {value!r} is {'no' if parameter.many else 'a'} list; write {'a list' if parameter.many else 'one value'}"
        )
    for item in value if isinstance(value, list) else [value]:
        if parameter.choices and item not in parameter.choices:
            raise BadInput(f"{where}: {item!r} is not one of {', '.join(parameter.choices)}")
        of_type = (
            isinstance(item, str) or (isinstance(item, Mapping) and item.get("class") == parameter.type)
            if parameter.type in ("File", "Directory")
            else _fits(parameter.type, item)
        )
        if not of_type:
            raise BadInput(f"{where}: {item!r} is not of type {parameter.type}")


def _as_cwl(parameter: Parameter, value: Any, base: Path | None = None) -> Any:
    """A value as a CWL input. Paths in a file are relative to it, as in a CWL job order."""
    if isinstance(value, list):
        return [_as_cwl(parameter, item, base) for item in value]
    if parameter.type not in ("File", "Directory"):
        return value
    if isinstance(value, Mapping):
        if "location" not in value and "path" not in value:  # a literal
            return dict(value)
        place = str(value.get("location") or value["path"])
        place = unquote(urlparse(place).path) if place.startswith("file://") else place
        rest = {key: item for key, item in value.items() if key not in ("class", "location", "path")}
        return {**_as_cwl(parameter, place, base), **rest}
    if base and not value.startswith("s3://"):
        value = str(base / Path(value).expanduser())
    return path_object(parameter.type, value, parameter.option)


def path_object(kind: str, value: str, option: str) -> dict[str, Any]:
    """A CWL File or Directory for a path or an s3:// URL; an option's NAME=PATH (or URL) gives its basename.

    Raises BadInput for a path that does not exist.
    """
    named, _, url = value.partition("=")
    if value.startswith("s3://") or (url.startswith("s3://") and "/" not in named):
        place = (value if value.startswith("s3://") else url).rstrip("/")
        last = place.rpartition("/")[2] if value.startswith("s3://") else named
        return {"class": kind, "location": place, "basename": last}
    name, _, path = value.partition("=") if "=" in value and not Path(value).exists() else ("", "", value)
    file = Path(path).expanduser().absolute()
    if not (file.is_dir() if kind == "Directory" else file.is_file()):
        raise BadInput(
            f"{option} {value}: there is no such {'folder' if kind == 'Directory' else 'file'} ({file})"
        )
    return {"class": kind, "location": "file://" + quote(str(file)), "basename": name or file.name}


def place_object(template: Template, name: str, url: str) -> Any:
    """The value of an input of earlier derivatives that lie at a place."""
    kind, option = "Directory", "--after"
    value = path_object(kind, url, option)
    return [value] if template.takes_many(name) else value


def _is_required(template: Template, parameter: Parameter) -> bool:
    spec = template.tool["inputs"][parameter.name]
    type_ = spec["type"] if isinstance(spec, Mapping) else spec
    optional = "null" in type_ if isinstance(type_, list) else str(type_).endswith("?")
    return not optional and parameter.default is None and parameter.name not in template.fixed


def check(template: Template, values: Mapping[str, Any]) -> None:
    """Refuse parameters that exclude each other or that lack the one they need.

    Raises BadInput that names the options and the reason.
    """

    known = parameters_of(template)

    def in_force(term: str, *, counting_default: bool = False) -> bool:
        name, _, wanted = term.partition("=")
        default = known[name].default if name in known else None
        value = values.get(name, default if counting_default else None)
        if wanted:
            return wanted in map(str, value if isinstance(value, list) else [value])
        return is_set(value) and (counting_default or value != default)

    def option(term: str) -> str:
        name, _, wanted = term.partition("=")
        return "--" + name.replace("_", "-") + (f" {wanted}" if wanted else "")

    for parameter in known.values():
        if _is_required(template, parameter) and values.get(parameter.name) is None:
            raise BadInput(f"{parameter.option} is missing: {parameter.summary}")
    for name in set(RESOURCES) & set(values):
        least = 0 if name == "time_limit" else 1
        if isinstance(values[name], int) and values[name] < least:
            raise BadInput(f"{option(name)} {values[name]}: must be {least} or more")
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
