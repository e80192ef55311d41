"""Findings about the bval and bvec files of a diffusion image."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .findings import Finding, listed
from .images import Array
from .sidecars import applicable_files, parse_name, relative

B0_LIMIT = 50.0  # s/mm2; directions of volumes up to here mean nothing
LENGTH_TOLERANCE = 0.01


def check_gradients(root: Path, image: Path, volumes: int) -> Iterator[Finding]:
    """bval and bvec against the number of volumes, and the length of directions."""
    if parse_name(image)[1] != "dwi":
        return
    tables: dict[str, Array] = {}
    sources: dict[str, str] = {}
    for kind, rows, what in (("bval", 1, "b-values"), ("bvec", 3, "directions")):
        files = applicable_files(root, image, f".{kind}")
        if not files:
            yield Finding(f"{kind.upper()}_MISSING", f"no .{kind} file applies, expected {volumes} {what}")
            continue
        sources[kind] = source = relative(root, files[-1])
        try:
            lines = files[-1].read_text("utf-8-sig").splitlines()
            table = np.array([line.split() for line in lines if line.strip()], float, ndmin=2)
        except (OSError, ValueError) as error:
            yield Finding(f"{kind.upper()}_INVALID", f"{source}: {error}")
            continue
        if table.shape != (rows, volumes):
            seen = "{} rows of {} numbers".format(*table.shape)
            yield Finding(f"{kind.upper()}_COUNT", f"{source} has {seen}, expected {rows} of {volumes}")
        else:
            tables[kind] = table
    b_values = tables["bval"][0] if "bval" in tables else None
    if b_values is not None and not (np.isfinite(b_values) & (b_values >= 0)).all():
        yield Finding("BVAL_INVALID", f"{sources['bval']} has b-values that are not numbers from 0 (s/mm2)")
    elif "bvec" in tables:
        yield from _check_lengths(tables["bvec"], b_values, sources["bvec"])


def _check_lengths(directions: Array, b_values: Array | None, source: str) -> Iterator[Finding]:
    """Directions of weighted volumes are unit vectors."""
    lengths = np.linalg.norm(directions, axis=0)
    weighted = b_values > B0_LIMIT if b_values is not None else lengths > LENGTH_TOLERANCE
    off = np.flatnonzero(weighted & ~(np.abs(lengths - 1) <= LENGTH_TOLERANCE)).tolist()
    if off:
        yield Finding(
            "BVEC_INVALID",
            f"{source} has a direction of length {lengths[off[0]]:.4g}, expected 1, for volumes {listed(off)}",
        )
