"""What a program's own argument parser and the CWL tool that wraps it no longer agree on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from neurocwl import contract, pyenv
from neurocwl.cliparser import Option, Parser
from neurocwl.parameters import parameter_kind
from neurocwl.template import Template

FREE_WORDS = "extra_args"  # an input for further words, as they stand
STATED_DEFAULT = re.compile(r"\(default ([^()\s,;]+)[),;]")
HELP_DEFAULT = re.compile(r"[(\[]default(?: is|:|=)? ?([^()\[\]\s,;]+)[)\],;]", re.IGNORECASE)
IGNORED = ("Help", "Version")


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. breaking: command lines that the tool makes are refused, or mean something else."""

    what: str  # gone, new, choices, words, type, required, default or deprecated
    option: str
    message: str
    breaking: bool = False
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The differences between a CWL tool and one version of its program."""

    pipeline: str
    package: str
    made_for: str
    version: str
    findings: tuple[Finding, ...]

    @property
    def breaking(self) -> bool:
        """Whether something that the tool uses is gone or has changed incompatibly."""
        return any(finding.breaking for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {**asdict(self), "findings": [asdict(f) for f in self.findings], "breaking": self.breaking}

    def __str__(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.package} {self.version} against the CWL tool of {self.pipeline}, made for {self.made_for}:"
        if not self.findings:
            yield "no drift"
        for finding in sorted(self.findings, key=lambda f: (not f.breaking, f.what, f.option)):
            mark = "BREAKS " if finding.breaking else ""
            named = f" (input {finding.input})" if finding.input else ""
            yield f"  {mark}{finding.what}: {finding.option}{named}: {finding.message}"


@dataclass(frozen=True, slots=True)
class _Use:
    """What a CWL tool puts on the command line for one input or argument."""

    input: str | None
    flag: str | None  # None for a positional
    words: tuple[str, ...]  # those that it can be, where they are known
    many: bool
    repeated: bool  # the flag again for each item
    switch: bool
    type: str
    always: bool
    position: int
    glued: bool = False  # flag and value are one word
    doc: str = ""


@dataclass(slots=True)
class _Comparison:
    parser: Parser
    not_offered: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)

    def found(
        self, what: str, use: _Use | None, option: str, message: str, *, breaking: bool = False
    ) -> None:
        self.findings.append(Finding(what, option, message, breaking, use.input if use else None))


def report(template: Template, version: str | None = None, python: str | None = None) -> Report:
    """Compare a pipeline's tool with a version of its program: one to install, or the one that a Python has.

    Raises BadInput without a contract, InfrastructureError when the install fails.
    """
    agreed = contract.load(template)
    made_for = contract.made_for(template, agreed)
    if python:
        there = pyenv.find(python)
        parser, found = contract.read(agreed, there), pyenv.version(there, agreed.package)
    else:
        with pyenv.throwaway() as environment:
            contract.install(agreed, version or made_for, environment)
            parser = contract.read(agreed, environment.python)
            found = environment.version(agreed.package)
    findings = compare(template, parser, agreed.not_offered)
    return Report(template.pipeline, agreed.package, made_for, found, findings)


def compare(template: Template, parser: Parser, not_offered: Mapping[str, str]) -> tuple[Finding, ...]:
    """Every difference between the tool of a job template and a parser. not_offered: option, or option=choice."""
    comparison = _Comparison(parser, not_offered)
    uses = list(_uses(template))
    known = parser.by_flag()
    used: set[str] = set()
    always: set[str] = set()
    flagged = [use for use in uses if use.flag is not None]
    for use in flagged:
        option = _option(use, known)
        if option is None:
            comparison.found("gone", use, str(use.flag), "the program does not know it", breaking=True)
            continue
        used.add(option.dest)
        always |= {option.dest} if use.always else set()
        _judge(comparison, use, option)
    for option in parser.options:
        if not option.flags or option.dest in used or option.action in IGNORED:
            if option.required and option.flags and option.dest not in always:
                comparison.found(
                    "required", None, option.name, "it must be given, and the tool may not", breaking=True
                )
            continue
        if option.required:
            comparison.found(
                "required", None, option.name, "it must be given, and no input does", breaking=True
            )
        elif not option.deprecated and not _left_out(comparison, option):
            comparison.found("new", None, option.name, f"no input gives it: {option.help or 'no help'}")
    _positionals(comparison, [use for use in uses if use.flag is None])
    return tuple(comparison.findings)


def _judge(comparison: _Comparison, use: _Use, option: Option) -> None:
    """Whether what a tool gives an option is what the option takes."""
    name = str(use.flag or option.dest)
    if option.deprecated:
        comparison.found("deprecated", use, name, option.help)
    if use.flag is not None and use.switch != option.is_switch and not _counted(use, option):
        takes = "no value any more" if option.is_switch else "a value now"
        if not (use.switch and option.nargs in ("?", "*")):
            comparison.found("words", use, name, f"it takes {takes}", breaking=True)
        return
    if use.many and not option.takes_many and not use.repeated:
        comparison.found("words", use, name, "it takes one word, the input is a list", breaking=True)
    if isinstance(option.nargs, int) and option.nargs > 1 and not use.many:
        comparison.found("words", use, name, f"it takes {option.nargs} words now", breaking=True)
    _judge_choices(comparison, use, option, name)
    bad = {"int": ("string", "double", "float"), "float": ("string",)}.get(option.type or "", ())
    if use.type in bad:
        comparison.found("type", use, name, f"it takes {option.type}, not {use.type}", breaking=True)
    stated, default = STATED_DEFAULT.search(use.doc), _default(option)
    if stated and default is not None and not _same(stated[1], default):
        comparison.found(
            "default", use, name, f"the program's is {default}, the input's doc says {stated[1]}"
        )


def _judge_choices(comparison: _Comparison, use: _Use, option: Option, name: str) -> None:
    if _counted(use, option):
        return
    if option.choices:
        for word in use.words:
            if word not in option.choices:
                comparison.found("choices", use, name, f"it does not take {word} any more", breaking=True)
        for word in option.choices if use.words and use.input else ():
            listed = any(f"{flag}={word}" in comparison.not_offered for flag in option.flags)
            if word not in use.words and not listed:
                comparison.found("choices", use, name, f"it also takes {word}, the input does not")
    if option.type == "int" and any(not re.fullmatch(r"[+-]?\d+", word) for word in use.words):
        comparison.found("type", use, name, f"it takes int, not {', '.join(use.words)}", breaking=True)


def _positionals(comparison: _Comparison, uses: Sequence[_Use]) -> None:
    given = sorted(uses, key=lambda use: use.position)
    for number, option in enumerate(comparison.parser.positionals):
        if number >= len(given):
            if option.nargs not in ("?", "*"):
                comparison.found("required", None, option.name, "the tool does not give it", breaking=True)
            elif not _left_out(comparison, option):
                comparison.found("new", None, option.name, "no input gives it")
            continue
        _judge(comparison, given[number], option)
    last = comparison.parser.positionals[-1:]
    if not (last and last[0].takes_many):
        for use in given[len(comparison.parser.positionals) :]:
            name = use.input or " ".join(use.words) or "an argument"
            comparison.found("gone", use, name, "the program takes no such positional", breaking=True)


def _left_out(comparison: _Comparison, option: Option) -> bool:
    return any(name in comparison.not_offered for name in (*option.flags, option.dest))


def _default(option: Option) -> Any:
    """The default of the parser, or, where the program fills it in later, the one that the help names."""
    named = HELP_DEFAULT.search(option.help)
    return named[1] if option.default is None and named and named[1] != "None" else option.default


def _same(stated: str, default: Any) -> bool:
    try:
        return float(stated) == float(default)
    except (TypeError, ValueError):
        return stated == str(default)


def _option(use: _Use, known: Mapping[str, Option]) -> Option | None:
    flag = str(use.flag)
    if flag in known or not use.glued:
        return known.get(flag)
    # A prefix and each of its words make a flag: - and v, vv, vvv.
    options = {id(found): found for word in use.words if (found := known.get(flag + word[:1]))}
    return next(iter(options.values())) if len(options) == 1 else None


def _counted(use: _Use, option: Option) -> bool:
    return use.glued and option.action == "Count"


def _uses(template: Template) -> Iterator[_Use]:
    """Everything that a CWL tool may put on its command line."""
    tool = template.tool
    words: list[str] = []
    for entry in tool.get("arguments", []):
        if isinstance(entry, str):
            if entry.startswith("-") and len(entry) > 1:
                words.append(entry)
            elif not words or "=" in words[-1]:
                yield _argument(None, entry, 0)
            else:
                yield _argument(words.pop(), entry, 0)
            continue
        value = str(entry.get("valueFrom", ""))
        if "prefix" not in entry and value.startswith("-"):
            words.append(value)
        else:
            yield _argument(entry.get("prefix"), value, entry.get("position", 0))
    for word in words:
        flag, equals, value = word.partition("=")
        yield _argument(flag, value, 0, switch=not equals)
    for name, spec in tool["inputs"].items():
        use = _input(template, name, spec)
        if use is not None and name != FREE_WORDS:
            yield use


def _argument(flag: str | None, value: str, position: int, *, switch: bool = False) -> _Use:
    words = () if switch or "$(" in value else (value,)
    flag = flag.removesuffix("=") if flag else None
    return _Use(None, flag, words, False, False, switch, "", True, position)


def _input(template: Template, name: str, spec: Any) -> _Use | None:
    binding, item = _bindings(spec)
    if binding is None and item is None:
        return None
    kind, many, choices = parameter_kind(spec["type"])
    prefix = str((item or {}).get("prefix") or (binding or {}).get("prefix") or "")
    return _Use(
        input=name,
        flag=prefix.removesuffix("=") if prefix else None,
        words=choices or tuple(str(word) for word in template.choices.get(name, ())),
        many=many and not (binding or {}).get("itemSeparator"),
        repeated=bool((item or {}).get("prefix")),
        switch=kind == "boolean",
        type=kind,
        always=not _optional(spec["type"]) or spec.get("default") is not None,
        position=int((binding or item or {}).get("position", 0)),
        glued=(binding or {}).get("separate") is False and not prefix.endswith("="),
        doc=str(spec.get("doc", "")),
    )


def _bindings(spec: Any) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """(the input's own binding, that of the items of its list)."""
    if not isinstance(spec, Mapping):
        return None, None
    types = spec["type"] if isinstance(spec["type"], list) else [spec["type"]]
    items = next((t.get("inputBinding") for t in types if isinstance(t, Mapping)), None)
    return spec.get("inputBinding"), items


def _optional(type_: Any) -> bool:
    return "null" in type_ if isinstance(type_, list) else isinstance(type_, str) and type_.endswith("?")
