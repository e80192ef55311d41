"""recon-all's command line: the table of its flags, and what of it decides the course."""

import json
from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "flags.json"
VERSION = "freesurfer-linux-rehearsal-7.3.3"

AUTORECON = {
    "-all": (1, 2, 3),
    "-autorecon1": (1,),
    "-autorecon2": (2,),
    "-autorecon2-synthseg": (2,),
    "-autorecon2-volonly": (2,),
    "-autorecon2-perhemi": (2,),
    "-autorecon2-inflate1": (2,),
    "-autorecon2-cp": (2,),
    "-autorecon2-wm": (2,),
    "-autorecon-pial": (3,),
    "-autorecon3": (3,),
    "-autorecon3-T2pial": (3,),
    "-autorecon-hemi": (2, 3),
    "-make": (1, 2, 3),
}
"""Stages by the first spelling of the flag that asks for them."""


class RefusedError(Exception):
    """The script ends with 1 before it makes anything."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One option: its spellings, first the name used here, and its arguments."""

    spellings: tuple[str, ...]
    nargs: int = 0
    file_must_exist: bool = False
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A parsed command line: values of each flag given, by the flag's first spelling."""

    values: dict[str, list[tuple[str, ...]]]
    words: tuple[str, ...] = field(default=())

    def given(self, *names: str) -> bool:
        """Whether any of these flags is on the line."""
        return any(name in self.values for name in names)

    def last(self, name: str) -> str | None:
        """The first argument of a flag's last use."""
        return self.values[name][-1][0] if self.values.get(name) else None

    def all(self, name: str) -> list[str]:
        """The first argument of each of a flag's uses."""
        return [value[0] for value in self.values.get(name, [])]

    @property
    def stages(self) -> tuple[int, ...]:
        """Which of autorecon1, 2, 3 are asked for, in order."""
        return tuple(sorted({stage for name in self.values for stage in AUTORECON.get(name, ())}))

    @property
    def hemispheres(self) -> tuple[str, ...]:
        """lh and rh, or the one that -hemi, -lh or -rh leaves."""
        one = self.last("-hemi") or self.last("-autorecon-hemi")
        one = one or ("lh" if self.given("-lh") else "rh" if self.given("-rh") else None)
        return (one,) if one else ("lh", "rh")


def table() -> dict[str, Flag]:
    """Every spelling of every flag of recon-all 7.3.3."""
    flags = [
        Flag(tuple(row["flags"]), row.get("nargs", 0), row.get("file_must_exist", False),
             row.get("repeatable", False))
        for row in json.loads(TABLE.read_text())["options"]
    ]  # fmt: skip
    known: dict[str, Flag] = {}
    for flag in flags:
        for spelling in flag.spellings:
            known.setdefault(spelling, flag)
    return known


def parse(words: list[str]) -> Line:
    """Take the line apart; RefusedError for an unknown flag, missing arguments, missing files."""
    known = table()
    values: dict[str, list[tuple[str, ...]]] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag = known.get(word)
        if flag is None:
            raise RefusedError(f"ERROR: Flag {word} unrecognized.\n{' '.join(words)}")
        if len(rest) < flag.nargs:
            raise RefusedError(f"ERROR: flag {word} requires {flag.nargs} argument(s)")
        taken, rest = tuple(rest[: flag.nargs]), rest[flag.nargs :]
        # A tcsh script: an argument with a blank in it falls apart, and only its first word is used.
        taken = tuple(value.split()[0] if value.split() else value for value in taken)
        if flag.file_must_exist and not Path(taken[0]).exists():
            raise RefusedError(f"ERROR: cannot find {taken[0]}")
        values.setdefault(flag.spellings[0], []).append(taken)
    return Line(values, tuple(words))


def check(line: Line) -> None:
    """Combinations that the script refuses."""
    if line.given("-T2", "-T2pial") and line.given("-FLAIR", "-FLAIRpial"):
        raise RefusedError("ERROR: cannot use T2 and FLAIR at the same time")
    if line.given("-parallel") and len(line.hemispheres) == 1:
        raise RefusedError("ERROR: -parallel cannot be used when only one hemisphere is specified")
    for hemi in line.hemispheres:
        if hemi not in ("lh", "rh"):
            raise RefusedError(f"ERROR: hemisphere must be lh or rh, not {hemi}")
    if line.given("-base") and not line.given("-base-tp"):
        raise RefusedError("ERROR: must specify subjects for base subject using -tp")
    if not line.given("-subject", "-base", "-long"):
        raise RefusedError("ERROR: must specify a subject id")
