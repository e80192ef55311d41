"""Preflight: what an earlier check of the images found, so that no unit runs on images that it objected to."""

import concurrent.futures
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocwl import template
from neurocwl.bids import File
from neurocwl.derivatives import filled
from neurocwl.errors import BadInput
from neurocwl.receipts import READERS, Receipt, read_states
from neurocwl.runs import read_inputs
from neurocwl.storage import Location
from neurocwl.units import Unit

IMAGES = (".nii", ".nii.gz")
SHOWN = 3  # findings in a reason


@dataclass(frozen=True, slots=True)
class Preflight:
    """The findings of a check, and which images it has seen."""

    url: str
    checked: Mapping[str, tuple[int, str]]  # URL of an image -> size in bytes, ETag
    errors: Mapping[str, tuple[str, ...]]  # path of a file -> what is wrong with it
    broken: Mapping[str, str]  # participant -> why its check has no report

    def objection(self, unit: Unit, files: Iterable[tuple[File, str]]) -> str:
        """Why a unit should not run on these files (each with its URL); empty when nothing speaks against it."""
        if unit.participant in self.broken:
            return f"a preflight ({self.url}: {self.broken[unit.participant]})"
        reasons = []
        for file, url in files:
            if file.extension not in IMAGES:
                continue
            if file.path in self.errors:
                reasons.append(f"{file.path}: {', '.join(self.errors[file.path])}")
            elif url not in self.checked:
                reasons.append(f"{file.path} was not looked at")
            elif self.checked[url] != (file.size, file.etag):
                reasons.append(f"{file.path} has changed since")
        more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        return f"a clean preflight ({'; '.join(reasons[:SHOWN])}{more}; {self.url})" if reasons else ""


def read(location: Location, pipeline_dir: Path | None) -> Preflight:
    """What a check left at its output.

    Raises BadInput for an output of something that reports no findings.
    """
    states = read_states(location)
    receipts = [state.receipt for state in states.values() if state.receipt]
    if not receipts:
        raise BadInput(
            f"--require-preflight {location.url}: no unit was checked there; launch the check first"
        )
    pipeline = receipts[0].pipeline
    report = template.load(pipeline, pipeline_dir).findings
    if report is None:
        raise BadInput(
            f"--require-preflight {location.url}: {pipeline} wrote there, which has no findings about images"
        )
    errors: dict[str, list[str]] = {}
    broken: dict[str, str] = {}
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        reports = pool.map(lambda receipt: _report(location, receipt, report), receipts)
        for receipt, found in zip(receipts, reports, strict=True):
            if found is None:
                broken[receipt.participant or receipt.unit] = receipt.reason or "it has no report"
                continue
            for finding in found:
                if finding["severity"] == "error":
                    errors.setdefault(finding["file"], []).append(finding["title"])
    runs = {(receipt.run, receipt.unit) for receipt in receipts}
    checked: dict[str, tuple[int, str]] = {}
    for run in {run for run, _ in runs}:
        for unit, files in read_inputs(location, run).items():
            if (run, unit) in runs:
                checked |= {url: (size, etag) for url, size, etag in files}
    return Preflight(location.url, checked, {path: tuple(found) for path, found in errors.items()}, broken)


def _report(location: Location, receipt: Receipt, pattern: str) -> list[dict[str, Any]] | None:
    unit = Unit(receipt.unit, receipt.participant or "", receipt.session, ())
    path = filled(pattern, unit)
    data = location.read(path) if any(w.path == path for w in receipt.delivered) else None
    try:
        return None if data is None else list(json.loads(data)["findings"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{location.url}/{path}: damaged ({error!r}); run the check of {receipt.unit} again"
        ) from error
