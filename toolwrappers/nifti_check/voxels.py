"""Statistics, a preview and time series of an image that arrives slab by slab; findings about its values."""

import hashlib
import math
from collections.abc import Iterator

import numpy as np

from .findings import Finding, listed
from .images import Array, Header

PREVIEW_VOXELS = 12_000_000
SERIES_VOXELS, SERIES_NUMBERS = 4_000, 4_000_000


class Voxels:
    """What is known of the voxels read so far: arrays are by volume, or on the thinned grid of the preview."""

    def __init__(self, header: Header) -> None:
        count, voxels = header.volumes, math.prod(header.space)
        self.complete = False
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self.total, self.finite, self.broken = np.zeros(count), np.zeros(count, int), np.zeros(count, int)
        self.step = math.ceil((voxels / PREVIEW_VOXELS) ** (1 / 3))
        self.sum = np.zeros(_grid(header, self.step))
        self.planes_seen = np.zeros(self.sum.shape[2], int)
        self.squares = np.zeros(self.sum.shape if count > 1 else (0, 0, 0))
        chosen = min(SERIES_VOXELS, max(1, SERIES_NUMBERS // count))
        self.series_step = math.ceil((voxels / chosen) ** (1 / 3))
        self.series = np.zeros((*_grid(header, self.series_step), count), np.float32)
        self._digest = hashlib.sha256(str(header.shape).encode())

    def add(self, volume: int, plane: int, values: Array) -> None:
        """Take in planes (x, y, planes) of a volume, the first of them being number `plane`."""
        good = np.isfinite(values)
        self.low[volume] = min(self.low[volume], values.min(where=good, initial=np.inf))
        self.high[volume] = max(self.high[volume], values.max(where=good, initial=-np.inf))
        self.total[volume] += values.sum(where=good, dtype=np.float64)
        self.finite[volume] += np.count_nonzero(good)
        self.broken[volume] += values.size - np.count_nonzero(good)
        # Scaled values, so that the same image is recognised whatever data type it is stored as.
        self._digest.update(values.astype("<f4").tobytes(order="F"))
        values = np.where(good, values, 0)
        part, where = _thinned(values, plane, self.step)
        self.sum[:, :, where] += part
        self.planes_seen[where] += 1
        if len(self.low) > 1:
            self.squares[:, :, where] += part.astype(np.float64) ** 2
        part, where = _thinned(values, plane, self.series_step)
        self.series[:, :, where, volume] = part

    @property
    def content_sha256(self) -> str | None:
        """SHA-256 of dimensions and scaled values; None if not all were read."""
        return self._digest.hexdigest() if self.complete else None

    @property
    def means(self) -> Array:
        """Mean of the finite values of each volume; NaN where there is none."""
        return np.asarray(np.where(self.finite > 0, self.total / np.maximum(self.finite, 1), np.nan))

    @property
    def bad_volumes(self) -> list[int]:
        """Volumes that hold NaN, infinite values or only one value."""
        return [int(v) for v in np.flatnonzero((self.broken > 0) | (self.low == self.high))]

    def summary(self) -> dict[str, float | None]:
        """Minimum, maximum and mean of the finite values."""
        if not (count := self.finite.sum()):
            return {"min": None, "max": None, "mean": None}
        return {
            "min": float(self.low.min()),
            "max": float(self.high.max()),
            "mean": float(self.total.sum() / count),
        }

    def mean_volume(self) -> Array:
        """Mean over volumes, on the grid of the preview."""
        return np.asarray(self.sum / np.maximum(self.planes_seen, 1))

    def deviation_volume(self) -> Array:
        """Standard deviation over volumes, on the grid of the preview."""
        variance = self.squares / np.maximum(self.planes_seen, 1) - self.mean_volume() ** 2
        return np.asarray(np.sqrt(np.maximum(variance, 0)))

    def time_series(self) -> Array:
        """Sampled bright voxels by volumes read, the brightest first."""
        read = np.count_nonzero(self.finite + self.broken)
        series = self.series.reshape(-1, len(self.low))[:, :read]
        level = series.mean(axis=1)
        inside = level > 0.2 * np.percentile(level, 98)
        return np.asarray(series[inside][np.argsort(-level[inside], kind="stable")])


def _grid(header: Header, step: int) -> tuple[int, int, int]:
    x, y, z = (math.ceil(n / step) for n in header.space)
    return x, y, z


def _thinned(values: Array, plane: int, step: int) -> tuple[Array, slice]:
    """Every step-th voxel along each axis of planes from number `plane` on, and their planes in the thinned grid."""
    part = values[::step, ::step, -plane % step :: step]
    first = math.ceil(plane / step)
    return part, slice(first, first + part.shape[2])


def check_voxels(voxels: Voxels) -> Iterator[Finding]:
    """Findings about the values of an image that was read whole."""
    count = len(voxels.low)
    if bad := np.flatnonzero(voxels.broken).tolist():
        where = f" in volumes {listed(bad)} (counted from 0)" if count > 1 else ""
        yield Finding("NON_FINITE", f"{voxels.broken.sum()} NaN or infinite voxels{where}, expected none")
    flat = voxels.low == voxels.high
    for kind, chosen, what in (
        ("EMPTY", flat & (voxels.low == 0), "zeros"),
        ("CONSTANT", flat & (voxels.low != 0), "one value"),
    ):
        if chosen.all():
            yield Finding(f"IMAGE_{kind}", f"nothing but {what}, expected an image")
        elif chosen.any():
            where = f"volumes {listed(np.flatnonzero(chosen).tolist())} (counted from 0) of {count}"
            yield Finding(f"VOLUMES_{kind}", f"{where} hold nothing but {what}")
