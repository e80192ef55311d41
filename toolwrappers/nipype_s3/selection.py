"""Which files a Nipype workflow takes: the templates of DataGrabber and S3DataGrabber over a list of names.

Facts: nipype 1.11, nipype.interfaces.io.S3DataGrabber. A template is a regular expression, filled in by %, that
a name must begin with; `$` at its end makes it match whole names only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .destinations import Refused


def select(
    names: Sequence[str],
    template: str,
    template_args: Sequence[Sequence[Any]],
    values: Mapping[str, Any],
    *,
    sort: bool,
    raise_on_empty: bool = True,
) -> Any:
    """The names of one output: one name, a list of names, or a list with an element for each filling.

    template_args: the words of each filling; a word that `values` has stands for its value, and lists are gone
    through side by side. Without any the template is taken as it stands. None: something was not found.
    Raises Refused for what was not found, unless raise_on_empty is off, and for words that do not fit.
    """
    fillings = [filled for words in template_args for filled in fill(template, words, values)]
    found = [_simple(_matching(names, filled, sort, raise_on_empty)) for filled in fillings or [template]]
    if any(one is None for one in found):
        return None
    return found[0] if len(found) == 1 else found


def fill(template: str, words: Sequence[Any], values: Mapping[str, Any]) -> list[str]:
    """The template with its words filled in, once for each element of the lists among them.

    Raises Refused for lists of different lengths, and for words that do not fit the template.
    """
    known = [values.get(word, word) if isinstance(word, str) else word for word in words]
    lengths = {len(word) for word in known if isinstance(word, list)}
    if len(lengths) > 1 or lengths == {0}:
        raise Refused(f"template {template!r}: the lists among {known} must be equally long, and not empty")
    times = lengths.pop() if lengths else 1
    rows = [tuple(word[i] if isinstance(word, list) else word for word in known) for i in range(times)]
    try:
        return [template % row if row else template for row in rows]
    except (TypeError, ValueError) as error:
        raise Refused(f"template {template!r} does not take {known}: {error}") from error


def in_human_order(names: Sequence[str]) -> list[str]:
    """Names with numbers in them by size: run-2 before run-10."""

    def parts(name: str) -> list[tuple[int, str]]:
        return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)]

    return sorted(names, key=parts)


def _matching(names: Sequence[str], pattern: str, sort: bool, raise_on_empty: bool) -> list[str]:
    try:
        compiled = re.compile(pattern.lstrip("/"))
    except re.error as error:
        raise Refused(f"template {pattern!r} is no regular expression: {error}; for *, write .*") from error
    found = [name for name in names if compiled.match(name)]
    if not found and raise_on_empty:
        raise Refused(
            f"template {pattern!r}: none of {len(names)} files matches; raise_on_empty=False allows that"
        )
    return in_human_order(found) if sort else found


def _simple(found: list[str]) -> Any:
    return None if not found else found[0] if len(found) == 1 else found
