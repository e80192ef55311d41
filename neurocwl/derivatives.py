"""Earlier derivatives that units build on: what lies at a place that the user names, and which part is whose."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neurocwl import globs
from neurocwl.bidsnames import Entry
from neurocwl.binding import Binding, Derivatives, Resume
from neurocwl.errors import BadInput, InfrastructureError, NeurocwlError
from neurocwl.receipts import SHARED, STATE, Receipt, UnitState, read_states
from neurocwl.storage import Location
from neurocwl.template import Template
from neurocwl.units import Unit

DONE = "done"


@dataclass(frozen=True, slots=True)
class Part:
    """A folder of earlier derivatives as a unit gets it: one CWL Directory."""

    name: str
    location: Location
    files: tuple[tuple[str, Entry], ...]  # (path in that folder, file below the location)


@dataclass(frozen=True)
class Earlier:
    """What an earlier run, or anybody, left at a place."""

    name: str  # what the folder is called where a tool sees it
    location: Location
    entries: tuple[Entry, ...]  # sorted by path
    units: Mapping[str, UnitState]  # of the run that wrote there; empty: nobody knows
    written: frozenset[str] = frozenset()  # units that are done there
    _folders: dict[int, tuple[list[str], dict[str, list[Entry]]]] = field(default_factory=dict, repr=False)
    _beside: dict[tuple[str, ...], list[Entry]] = field(default_factory=dict, repr=False)
    _units: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def folders(self, pattern: str) -> list[str]:
        """The folders whose whole path matches a glob."""
        names = self._at(pattern.count("/"))[0]
        stem = globs.literal(pattern)
        near = names[bisect_left(names, stem) : bisect_left(names, stem + "\U0010ffff")]
        return globs.matching(pattern, near)

    def beside(self, patterns: Sequence[str]) -> list[Entry]:
        """The files that lie in no folder and match one of the globs."""
        key = tuple(patterns)
        if key not in self._beside:
            root = [entry for entry in self.entries if "/" not in entry.path]
            self._beside[key] = [e for e in root if any(globs.regex(p).fullmatch(e.path) for p in patterns)]
        return self._beside[key]

    def units_of(self, participant: str) -> list[str]:
        """The units of a participant that were run there, sorted."""
        if not self._units:
            for name in sorted(self.units):
                self._units.setdefault(name.partition("_")[0], []).append(name)
        return self._units.get(f"sub-{participant}", [])

    def below(self, folder: str) -> list[Entry]:
        """The files below one folder."""
        return self._at(folder.count("/"))[1].get(folder, [])

    def _at(self, depth: int) -> tuple[list[str], dict[str, list[Entry]]]:
        """Every folder at a depth with its files; made once."""
        if depth not in self._folders:
            found: dict[str, list[Entry]] = {}
            for entry in self.entries:
                parts = entry.path.split("/", depth + 1)
                if len(parts) == depth + 2:
                    found.setdefault("/".join(parts[:-1]), []).append(entry)
            self._folders[depth] = (sorted(found), found)
        return self._folders[depth]


def read(
    name: str,
    location: Location,
    *,
    rehearsal: bool,
    above: Sequence[tuple[Location, str]] = (),
    edited: bool = False,
) -> Earlier:
    """Look at a place: where neurocwl wrote, its receipts alone are believed; elsewhere it is listed.

    above: folders that the place lies in, each with the path from there ("sourcedata/freesurfer/"): the place may be
    part of an output. edited: people work on the files by hand, so that they count as they lie; receipts say only
    which units are done. Raises BadInput when nothing is there, or when results would be built on a rehearsal;
    InfrastructureError for records that cannot be read.
    """
    states, home, base = read_states(location), location, ""
    for higher, path in above:
        if not states:
            states, home, base = _states_if_readable(higher), higher, path
    if not rehearsal and any(state.receipt and state.receipt.rehearsal for state in states.values()):
        raise BadInput(
            f"{location.url} holds a rehearsal: no results can be built on it; launch that one first"
        )
    if states:
        written = [w for s in states.values() if _is_done(s) for w in s.receipt.delivered]  # type: ignore[union-attr]
        known = [Entry(w.path, w.size, w.etag) for w in written] + _shared(home)
        entries = [e._replace(path=e.path[len(base) :]) for e in known if e.path.startswith(base)]
    if not states or edited:
        whole = {entry.path.partition("/")[0] for entry in entries} if states else None
        entries = [
            e
            for e in location.entries()
            if not e.path.endswith("/") and not e.path.startswith(STATE)
            if whole is None or e.path.partition("/")[0] in whole
        ]
    if not entries and not states:
        raise BadInput(
            f"{location.url}: nothing there to build on; give a folder of derivatives, or an --output"
        )
    done = frozenset(unit for unit, state in states.items() if _is_done(state))
    return Earlier(name, location, tuple(sorted(set(entries))), states, done)


def _states_if_readable(location: Location) -> dict[str, UnitState]:
    """The receipts of a folder that nobody named: whoever may not look into it takes the place as it is."""
    try:
        return read_states(location)
    except NeurocwlError:
        return {}


def _is_done(state: UnitState) -> bool:
    return state.receipt is not None and state.receipt.status == DONE and state.staging is None


def _shared(location: Location) -> list[Entry]:
    try:
        raw = json.loads(location.read(SHARED) or b'{"manifest": []}')
        return [Entry(one["path"], one["size"], one["etag"]) for one in raw["manifest"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(
            f"{location.url}/{SHARED} is damaged ({error!r}); launch there again: it is written anew"
        ) from error


def input_for(template: Template, pipeline: str, url: str) -> str:
    """The CWL input that --after fills.

    Raises BadInput when this pipeline does not build on that one.
    """
    builds_on = {name: binding.after for name, binding in template.bind.items() if binding.after}
    for name, pipelines in builds_on.items():
        if pipeline in pipelines:
            return name
    known = sorted({one for pipelines in builds_on.values() for one in pipelines})
    raise BadInput(
        f"--after {url}: {pipeline} wrote there; {template.pipeline} builds on "
        + (" or ".join(known) or "no other pipeline")
    )


def parts_of(binding: Binding, earlier: Sequence[Earlier], unit: Unit) -> tuple[Part, ...]:
    """The folders that one unit gets for one input, in order."""
    wanted = binding.derivatives
    assert wanted is not None
    parts: list[Part] = []
    for one in earlier:
        folders = sorted({f for pattern in wanted.folders for f in one.folders(filled(pattern, unit))})
        beside = one.beside(wanted.files)
        if wanted.each == "folder":
            parts += [
                Part(f.rpartition("/")[2], one.location, _below(one.below(f), f"{f}/")) for f in folders
            ]
        elif folders:
            files = [e for f in folders for e in one.below(f)]
            parts.append(Part(one.name, one.location, _below([*beside, *files], _above(folders))))
    return tuple(parts)


def _above(folders: Sequence[str]) -> str:
    """The folder that all of them lie in, with its '/': what the tool's folder stands for."""
    above = {folder.rpartition("/")[0] for folder in folders}
    return f"{above.pop()}/" if len(above) == 1 and above != {""} else ""


def _below(entries: Iterable[Entry], base: str) -> tuple[tuple[str, Entry], ...]:
    return tuple((entry.path.removeprefix(base), entry) for entry in entries)


def filled(pattern: str, unit: Unit) -> str:
    """A glob with the unit's labels in it."""
    for word, label in (("unit", unit.name), ("participant", unit.participant), ("session", unit.session)):
        pattern = pattern.replace("{" + word + "}", label or "")
    return pattern


def lacking(name: str, binding: Binding, earlier: Sequence[Earlier], unit: Unit) -> str:
    """What a unit lacks of earlier derivatives, and why as far as receipts tell; empty when it lacks nothing."""
    wanted = binding.derivatives
    assert wanted is not None
    for one in earlier:
        if any(one.folders(filled(pattern, unit)) for pattern in wanted.folders):
            continue
        option = "--" + name.replace("_", "-")
        looked = " or ".join(dict.fromkeys(filled(pattern, unit) for pattern in wanted.folders))
        return f"{looked} at {one.location.url} ({option}){_why(one, unit)}"
    return ""


def _why(earlier: Earlier, unit: Unit) -> str:
    failed = failures(earlier, unit)
    if failed:
        return f": {failed[0]}"
    others = earlier.folders(f"sub-{unit.participant}_*")
    if others:
        return f": there is {', '.join(others)}"
    done = [name for name in earlier.units_of(unit.participant) if name in earlier.written]
    if done:
        return f": {done[0]} is done there, but left no such folder"
    return ": it is not done there" if earlier.units else ""


def failures(earlier: Earlier, unit: Unit) -> list[str]:
    """What became of the units of a participant that are not done there."""
    found = []
    for name in earlier.units_of(unit.participant):
        state = earlier.units[name]
        if state.receipt and state.receipt.status != DONE:
            found.append(f"{name} failed there: {state.receipt.reason}")
        elif state.staging is not None:
            found.append(f"{name} is cut off there")
    return found


def results(wanted: Sequence[str], location: Location, receipts: Iterable[Receipt]) -> Part:
    """The delivered files that match, at their paths below the output.

    A failed unit has some where its pipeline delivers always (what it did manage counts), and where an earlier
    success of it still lies there.
    """
    patterns = [globs.regex(glob) for glob in wanted]
    written = [w for receipt in receipts for w in (*receipt.delivered, *receipt.earlier)]
    found = [w for w in written if any(p.fullmatch(w.path) for p in patterns)]
    entries = sorted(Entry(w.path, w.size, w.etag) for w in found)
    return Part("results", location, tuple((entry.path, entry) for entry in entries))


def resumed(
    wanted: Derivatives, location: Location, receipt: Receipt, unit: Unit
) -> tuple[tuple[Part, Resume], ...]:
    """The folders of a failed attempt that the next one goes on from, each with how it does."""
    base = f"{STATE}/units/{receipt.unit}/attempts/{receipt.attempt}/outputs/"
    left = [w for w in receipt.manifest if w.path.startswith(base)]
    files: dict[str, dict[str, Entry]] = {}
    for pattern in (filled(folder, unit) for folder in wanted.folders):
        depth = pattern.count("/") + 1
        for written in left:
            parts = written.path.removeprefix(base).split("/", depth)
            folder = "/".join(parts[:depth])
            if len(parts) > depth and globs.regex(pattern).fullmatch(folder):
                entry = Entry(written.path, written.size, written.etag)
                files.setdefault(folder, {})[parts[depth]] = entry
    found = []
    for folder, inside in sorted(files.items()):
        how = next((one for one in wanted.resume if _fits(one, inside)), None)
        if how:
            useless = {entry.path for pattern in how.leave_out for entry in _matching(inside, pattern)}
            kept = tuple((path, entry) for path, entry in sorted(inside.items()) if entry.path not in useless)
            found.append((Part(folder.rpartition("/")[2], location, kept), how))
    return tuple(found) if wanted.each else _in_one(found)


def _in_one(found: Sequence[tuple[Part, Resume]]) -> tuple[tuple[Part, Resume], ...]:
    """The folders as those of one Directory, for an input that takes no list."""
    if not found:
        return ()
    files = [(f"{part.name}/{path}", entry) for part, _ in found for path, entry in part.files]
    return ((Part("earlier", found[0][0].location, tuple(files)), found[0][1]),)


def _fits(how: Resume, files: Mapping[str, Entry]) -> bool:
    there = all(any(entry.size for entry in _matching(files, pattern)) for pattern in how.expect)
    return there and not any(_matching(files, pattern) for pattern in how.forbid)


def _matching(files: Mapping[str, Entry], pattern: str) -> list[Entry]:
    return [files[path] for path in globs.matching(pattern, files)]
