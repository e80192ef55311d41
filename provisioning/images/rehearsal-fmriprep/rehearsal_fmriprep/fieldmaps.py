"""Which fieldmaps a run would estimate, and which BOLD series each corrects (after SDCFlows' wrangler)."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal_fmriprep import dataset
from rehearsal_fmriprep.dataset import Image, NoSuchDataError
from rehearsal_fmriprep.parser import Options

MAPS = ("fieldmap", "phasediff", "phase1")


@dataclass(frozen=True, slots=True)
class Fieldmap:
    """One estimator: its files, its identifier (B0FieldIdentifier, or auto_00000), what it is meant for."""

    identifier: str
    sources: tuple[Image, ...]
    intended: frozenset[str] = field(default_factory=frozenset)

    @property
    def fmapid(self) -> str:
        """The identifier as it stands in file names: letters and digits."""
        return re.sub(r"[^a-zA-Z0-9]", "", self.identifier)

    @property
    def reference(self) -> str:
        """How upstream names the reference image: epi or magnitude."""
        return "epi" if self.sources[0].suffix == "epi" else "magnitude"


def plan(found: list[Image], series: list[list[Image]], options: Options) -> dict[str, Fieldmap]:
    """The fieldmap of each BOLD series (by the path of its first image); series without one are left out.

    NoSuchDataError when --use-syn-sdc error finds no phase encoding direction to work with.
    """
    ignore, forced = "fieldmaps" in options.ignore, "syn-sdc" in options.force
    if ignore and not options.syn and not forced:
        return {}
    distorted = [image for image in found if image.datatype != "anat"]
    meta = {image.path: dataset.sidecar(image, options.bids_dir) for image in distorted}
    measured = [] if ignore else _measured(dataset.select(found, "fmap", options), meta)
    without_map = bool(options.syn) or (ignore and forced)
    wanted = without_map and (not measured or forced or ignore)
    guessed = _without_map(series, meta, len(measured)) if wanted else []
    if options.syn == "error" and not measured and not guessed:
        raise NoSuchDataError(
            "Fieldmap-less (SyN) estimation was requested, but PhaseEncodingDirection information appears to "
            "be absent."
        )
    planned = {}
    for echoes in series:
        first = echoes[0]
        sources = meta[first.path].get("B0FieldSource", [])
        named = {sources} if isinstance(sources, str) else set(sources)
        name = _below_participant(first.path)
        fitting = [f for f in [*guessed, *measured] if f.identifier in named or name in f.intended]
        if fitting:
            planned[str(first.path)] = fitting[0]
    return planned


def _measured(maps: list[Image], meta: dict[Path, dict[str, Any]]) -> list[Fieldmap]:
    named: dict[str, list[Image]] = {}
    for image in maps:
        identifiers = meta[image.path].get("B0FieldIdentifier", [])
        for identifier in [identifiers] if isinstance(identifiers, str) else identifiers:
            named.setdefault(identifier, []).append(image)
    if named:
        return [Fieldmap(name, tuple(own), _intended(own, meta)) for name, own in sorted(named.items())]
    groups: list[list[Image]] = []
    for image in maps:
        if image.suffix in MAPS:
            prefix = image.path.name.rpartition("_")[0]
            family = [m for m in maps if m.path.parent == image.path.parent]
            groups.append([m for m in family if m.path.name.rpartition("_")[0] == prefix])
    by_intent: dict[frozenset[str], list[Image]] = {}
    for image in maps:
        if image.suffix == "epi":
            by_intent.setdefault(_intended([image], meta), []).append(image)
    groups += list(by_intent.values())
    return [Fieldmap(f"auto_{n:05d}", tuple(g), _intended(g, meta)) for n, g in enumerate(groups)]


def _without_map(series: list[list[Image]], meta: dict[Path, dict[str, Any]], start: int) -> list[Fieldmap]:
    able = [echoes for echoes in series if meta[echoes[0].path].get("PhaseEncodingDirection")]
    return [
        Fieldmap(f"auto_{start + n:05d}", (echoes[0],), frozenset({_below_participant(echoes[0].path)}))
        for n, echoes in enumerate(able)
    ]


def _intended(images: list[Image], meta: dict[Path, dict[str, Any]]) -> frozenset[str]:
    targets = set()
    for image in images:
        value = meta[image.path].get("IntendedFor", [])
        for target in [value] if isinstance(value, str) else value:
            targets.add(re.sub(r"^(bids::)?(sub-[^/]+/)?", "", target))
    return frozenset(targets)


def _below_participant(path: Path) -> str:
    parts = path.parts
    start = max(n for n, part in enumerate(parts[:-1]) if part.startswith("sub-"))
    return "/".join(parts[start + 1 :])
