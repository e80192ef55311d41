"""Globs over paths, as job templates write them: * stays within one part of a path, ** crosses parts."""

import re
from collections.abc import Iterable
from functools import lru_cache

_WORDS = re.compile(r"(\*\*|\*|\?|\[[^]/]+\])")
_KNOWN = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


@lru_cache(maxsize=4096)
def regex(glob: str) -> re.Pattern[str]:
    """The regular expression of a glob; the same as toolwrappers/stage_out.py reads it."""
    parts = []
    for word in _WORDS.split(glob):
        if word in _KNOWN:
            parts.append(_KNOWN[word])
        elif word.startswith("[") and word.endswith("]") and len(word) > 2:
            parts.append(word.replace("[!", "[^", 1))
        else:
            parts.append(re.escape(word))
    return re.compile("".join(parts), re.DOTALL)


def matching(glob: str, paths: Iterable[str]) -> list[str]:
    """The paths that a glob matches as a whole."""
    pattern = regex(glob)
    return [path for path in paths if pattern.fullmatch(path)]


def literal(glob: str) -> str:
    """What every path that matches begins with."""
    return _WORDS.split(glob, maxsplit=1)[0]
