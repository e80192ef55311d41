"""BIDS names, the sidecars that apply to an image, and findings about their timing.

Inheritance principle: https://bids-specification.readthedocs.io/en/stable/common-principles.html
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .findings import Finding
from .geometry import SERIES
from .images import Header


class Stated(NamedTuple):
    """A sidecar's value, and the file that says it."""

    value: Any
    source: str


def parse_name(path: Path) -> tuple[dict[str, str], str]:
    """Entities and suffix of a BIDS file name; what is not key-value is left out."""
    *pairs, suffix = path.name.partition(".")[0].split("_")
    return dict(pair.split("-", 1) for pair in pairs if "-" in pair), suffix


def relative(root: Path, path: Path) -> str:
    """A file as reports name it: one line of UTF-8, whatever bytes its name holds."""
    text = path.relative_to(root).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


def applicable_files(root: Path, image: Path, extension: str) -> list[Path]:
    """Files with this extension that apply to an image, the most general first."""
    entities, suffix = parse_name(image)
    found = []
    for path in (p for folder in image.parents if folder.is_relative_to(root) for p in folder.iterdir()):
        if path.suffix == extension:
            others, other_suffix = parse_name(path)
            if other_suffix == suffix and others.items() <= entities.items():
                found.append((len(path.parts), len(others), path))
    return [path for _, _, path in sorted(found)]


def read_sidecar(root: Path, image: Path) -> tuple[dict[str, Stated], list[Finding]]:
    """Metadata of an image, deeper files overriding; an unreadable file is a finding."""
    merged: dict[str, Stated] = {}
    findings = []
    for path in applicable_files(root, image, ".json"):
        source = relative(root, path)
        try:
            content = json.loads(path.read_text("utf-8-sig"))
            if not isinstance(content, dict):
                raise ValueError("expected a JSON object")
        except (OSError, ValueError, RecursionError) as error:
            findings.append(Finding("SIDECAR_INVALID", f"{source}: {error}"))
        else:
            merged |= {key: Stated(value, source) for key, value in content.items()}
    return merged, findings


def check_timing(root: Path, image: Path, header: Header, tolerance: float) -> Iterator[Finding]:
    """Sidecars of an image, and TR and slice timing of a series; the tolerance is in seconds."""
    sidecar, findings = read_sidecar(root, image)
    yield from findings
    if parse_name(image)[1] not in SERIES or header.volumes < 2:
        return
    if tr := sidecar.get("RepetitionTime"):
        yield from _check_tr(header.tr, tr, tolerance)
    elif "VolumeTiming" not in sidecar and not findings:
        looked = ", ".join(relative(root, path) for path in applicable_files(root, image, ".json"))
        yield Finding("TR_MISSING", f"no RepetitionTime in {looked or 'any sidecar (none applies)'}")
    if "SliceTiming" in sidecar:
        yield from _check_slice_timing(header, sidecar, tolerance)


def _check_tr(seen: float | None, stated: Stated, tolerance: float) -> Iterator[Finding]:
    """The header's TR against RepetitionTime, both in seconds."""
    tr, source = stated
    if not _is_number(tr) or not 0 < tr < 100:
        yield Finding("TR_INVALID", f"{source} says RepetitionTime {tr!r}, expected seconds, 0 to 100")
    elif not seen:
        yield Finding("TR_HEADER_MISSING", f"header has no TR, expected {tr:g} s as {source} says")
    elif abs(seen - tr) > tolerance:
        in_other_unit = any(abs(seen * factor - tr) <= tolerance for factor in (1e-6, 1e-3, 1e3, 1e6))
        code = "TR_UNIT" if in_other_unit else "TR_MISMATCH"
        yield Finding(code, f"header TR is {seen:g} s, {source} says {tr:g} s")


def _check_slice_timing(header: Header, sidecar: dict[str, Stated], tolerance: float) -> Iterator[Finding]:
    """SliceTiming against the number of slices and the TR."""
    timing, source = sidecar["SliceTiming"]
    direction = str(sidecar.get("SliceEncodingDirection", Stated("k", "")).value)
    slices = header.space[{"i": 0, "j": 1}.get(direction[:1], 2)]
    tr = sidecar.get("RepetitionTime", Stated(None, "")).value
    problem = None
    if not isinstance(timing, list) or not all(_is_number(t) and t >= 0 for t in timing):
        problem = f"SliceTiming {json.dumps(timing)[:60]}, expected a list of seconds from 0"
    elif len(timing) != slices:
        problem = f"{len(timing)} slice times, the image has {slices} slices along {direction}"
    elif _is_number(tr) and max(timing) > tr + tolerance:
        problem = f"a slice time of {max(timing):g} s, expected up to the TR of {tr:g} s"
    if problem:
        yield Finding("SLICE_TIMING_INVALID", f"{source} has {problem}")


def _is_number(value: object) -> bool:
    """True for a finite JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
